from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from zlab.errors import ReadOnlyError, StoreError
from zlab.lab.confined import BoundedStore, ConfinedStore
from zlab.lab.paths import DocumentTooLargeError
from zlab.lab.reading import AbandonedError
from zlab.stores.aside import working_for
from zlab.stores.base import Entry, Range
from zlab.stores.local import LocalStore
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def test_a_bounded_store_reads() -> None:
    store = BoundedStore(MemoryStore({"a/b": b"0123", "empty": b""}), None, 4)
    assert store.get("a/b") == b"0123"
    assert store.get("a/b", Range(1, 2)) == b"12"
    assert store.get("empty") == b""
    assert store.get("missing") is None
    assert store.nbytes("a/b") == 4
    assert list(store.list("a")) == [Entry("a/b", 4)]
    assert store.list_dir().prefixes == ["a"]


def test_what_is_too_large_is_not_fetched() -> None:
    counting = CountingStore(MemoryStore({"a": b"01234"}))
    with pytest.raises(DocumentTooLargeError, match="max_document_nbytes"):
        BoundedStore(counting, None, 4).get("a")
    assert (counting.counts.gets, counting.counts.ranges) == (0, 0)


def test_a_bounded_store_is_read_only() -> None:
    store = BoundedStore(MemoryStore(), None, 4)
    writes: list[Callable[[], None]] = [
        lambda: store.put("a", b""),
        lambda: store.delete("a"),
        lambda: store.delete_prefix("a"),
    ]
    for write in writes:
        with pytest.raises(ReadOnlyError):
            write()


def test_nothing_is_begun_for_nobody(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0")
    counting = CountingStore(LocalStore(tmp_path, read_only=True))
    confined = ConfinedStore(counting, tmp_path, tmp_path, 4)
    bounded = BoundedStore(counting, None, 4)
    with working_for(lambda: True):
        for store in (confined, bounded):
            asks: list[Callable[[], object]] = [
                lambda store=store: store.get("a"),  # type: ignore[misc]
                lambda store=store: store.nbytes("a"),  # type: ignore[misc]
                lambda store=store: store.list_dir(),  # type: ignore[misc]
                lambda store=store: list(store.list()),  # type: ignore[misc]
            ]
            for ask in asks:
                with pytest.raises(AbandonedError):
                    ask()
    counts = counting.counts
    assert (counts.gets, counts.ranges, counts.lookups, counts.lists) == (0, 0, 0, 0)


class _Endless(MemoryStore):
    def list(self, prefix: str = "") -> Iterator[Entry]:
        return (Entry(f"{prefix}/{number}", 1) for number in count())


def test_a_listing_without_an_end_is_left(tmp_path: Path) -> None:
    for store in (
        ConfinedStore(_Endless(), tmp_path, tmp_path, 4),
        BoundedStore(_Endless(), None, 4),
    ):
        seen: list[Entry] = []
        with working_for(lambda seen=seen: len(seen) == 10), pytest.raises(AbandonedError):  # type: ignore[misc]
            seen.extend(store.list("a"))
        assert len(seen) == 10


def test_other_failures_stay_what_they_are() -> None:
    class Failing(MemoryStore):
        def nbytes(self, key: str) -> int | None:
            raise StoreError("broken", key=key)

    with pytest.raises(StoreError, match="broken"):
        BoundedStore(Failing(), None, 4).get("a")
