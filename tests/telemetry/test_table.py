from __future__ import annotations

import io
import sys

import numpy as np
import pytest

pytest.importorskip("rich")
from rich.console import Console

import zlab
from zlab.errors import MissingExtraError
from zlab.telemetry import live_table
from zlab.telemetry.hub import hub


def read_something(path: str = "x") -> None:
    array = zlab.create_array({}, path=path, data=np.arange(1, 65), chunks=8)
    array[8:16] = 0
    array[...]


def test_the_last_table_is_printed_once_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    with live_table(Console(file=out, width=120)):
        read_something()
    text = out.getvalue()
    assert text.count("fetch") == 1
    (row,) = [line for line in text.splitlines() if "/x" in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[1:4] == ["7", "1", "8"]
    assert "0 errors" in text
    assert not hub.active


def test_it_is_drawn_in_a_terminal() -> None:
    out = io.StringIO()
    with live_table(Console(file=out, width=120, force_terminal=True), hz=20):
        read_something()
    assert "\x1b[" in out.getvalue()
    assert "/x" in out.getvalue()


def test_names_are_not_markup() -> None:
    out = io.StringIO()
    with live_table(Console(file=out, width=120)):
        read_something("[red]x[]")
    assert "[red]x[]" in out.getvalue()


def test_it_ends_when_the_block_raises() -> None:
    with pytest.raises(KeyError), live_table(Console(file=io.StringIO())):
        raise KeyError
    assert not hub.active


def test_without_rich_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.live", None)
    with pytest.raises(MissingExtraError, match=r"zlab\[progress\]"), live_table():
        pass
