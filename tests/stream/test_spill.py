from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from zlab.stream.budget import Account
from zlab.stream.spill import Shelf

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=60),
    st.integers(0, 200),
)
def test_what_is_kept_is_there_until_it_is_dropped(
    steps: list[tuple[int, bool]], limit: int
) -> None:
    account = Account(10**6)
    shelf = Shelf(account, limit)
    kept: dict[int, bytes] = {}
    for nbytes, drops in steps:
        if drops and kept:
            number = sorted(kept)[nbytes % len(kept)]
            shelf.drop(number)
            del kept[number]
        else:
            data = os.urandom(nbytes)
            account.admit(nbytes)
            kept[shelf.keep(data)] = data
        assert account.held <= limit
        for number, data in kept.items():
            assert shelf.look(number) == data
            assert shelf.nbytes(number) == len(data)
    shelf.close()
    assert account.held == 0


def test_the_file_has_no_name_and_its_room_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    account = Account(10**6)
    shelf = Shelf(account, 0)
    for _ in range(100):
        account.admit(10_000)
        numbers = [shelf.keep(bytes(1000)) for _ in range(10)]
        for number in numbers:
            shelf.drop(number)
    assert shelf.nbytes_spilled == 1_000_000
    assert list(tmp_path.iterdir()) == []
    assert shelf._file is not None
    assert os.fstat(shelf._file.fileno()).st_size <= 10_000
    shelf.close()
