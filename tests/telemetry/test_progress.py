from __future__ import annotations

import io
import logging
import sys
from typing import Any

import numpy as np
import pytest

import zlab
from zlab.errors import MissingExtraError
from zlab.telemetry import (
    PipelineStop,
    ProgressBar,
    StageProgress,
    StreamProgress,
    StreamStop,
    show_progress,
)
from zlab.telemetry.hub import hub

pytestmark = pytest.mark.needs("progress")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> list[str]:
        """What stood in a line, each time that it was drawn."""
        return [each.strip() for each in self.getvalue().replace("\n", "\r").split("\r")]


def progress(stream: int, nchunks: int, path: str = "a") -> StreamProgress:
    return StreamProgress(stream, "chunks", "s", path, nchunks, 8, nchunks * 10**6, 0, 1.0)


def stop(stream: int, nchunks: int, outcome: Any = "exhausted") -> StreamStop:
    return StreamStop(stream, "chunks", "s", "a", nchunks, nchunks * 10**6, 1.0, outcome)


def test_a_bar_follows_a_stream() -> None:
    terminal = Terminal()
    with ProgressBar(file=terminal, mininterval=0) as bar:
        for nchunks in (1, 4):
            bar(progress(1, nchunks))
        bar(stop(1, 7))
    assert terminal.shown[1].startswith("chunks a:")
    assert any("4/8" in line and "4.0 MB" in line for line in terminal.shown)
    # a bound of 8, of which one was not stored: the bar is full
    (last,) = [line for line in terminal.shown if "7/7" in line][-1:]
    assert "100%" in last


@pytest.mark.parametrize("outcome", ["closed", "failed"])
def test_a_bar_of_a_stream_that_ended_early_stays_where_it_was(outcome: str) -> None:
    terminal = Terminal()
    bar = ProgressBar(file=terminal, mininterval=0)
    bar(progress(1, 2))
    bar(stop(1, 2, outcome))
    assert "2/8" in terminal.shown[-2]
    bar(stop(9, 2, outcome))  # one that nothing was told of
    assert len(bar._bars) == 0


def test_streams_have_a_bar_each() -> None:
    terminal = Terminal()
    bar = ProgressBar(file=terminal, mininterval=0)
    bar(progress(1, 1, "a"))
    bar(progress(2, 5, "b"))
    assert len(bar._bars) == 2
    bar(stop(1, 8))
    assert len(bar._bars) == 1
    bar.close()
    assert len(bar._bars) == 0
    assert any("chunks a:" in line for line in terminal.shown)
    assert any("chunks b:" in line for line in terminal.shown)


def test_stages_of_a_pipeline_have_a_bar_each() -> None:
    terminal = Terminal()
    bar = ProgressBar(file=terminal, mininterval=0)
    for stage, nitems in (("decode", 3), ("train", 2)):
        bar(StageProgress(1, stage, nitems, 0, 0, 4, 1.0, 1.0))
    assert any("decode" in line and "3item" in line for line in terminal.shown)
    assert any("train" in line and "4 in flight" in line for line in terminal.shown)
    bar(PipelineStop(1, 2, 0, 1.0, "exhausted"))
    assert len(bar._bars) == 0


def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    pipe = io.StringIO()
    with ProgressBar(file=pipe) as bar:
        bar(progress(1, 1))
        bar(stop(1, 8))
    assert pipe.getvalue() == ""


def test_lines_of_logging_stand_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    root = logging.getLogger()
    before = root.handlers
    handler = logging.StreamHandler(terminal)
    root.handlers = [handler]
    try:
        with ProgressBar(file=terminal, mininterval=0) as bar:
            bar(progress(1, 3))
            logging.getLogger("somebody").warning("a line of its own")
            bar(progress(1, 4))
        assert root.handlers == [handler]
    finally:
        root.handlers = before
    # the bar is wiped before the line, and drawn again below it
    written = terminal.getvalue()
    line = next(each for each in written.split("\n") if "a line of its own" in each)
    assert line.rpartition("\r")[2] == "a line of its own"
    assert "4/8" in written.rpartition("a line of its own")[2]


def test_streams_inside_a_block_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zlab.stream.stream._TELL_S", 0)
    terminal = Terminal()
    array = zlab.create_array({}, path="x", data=np.arange(1, 65), chunks=8)
    with show_progress(file=terminal, mininterval=0):
        assert len(list(array.stream_chunks())) == 8
    assert not hub.active
    assert any("chunks x:" in line and "8/8" in line for line in terminal.shown)
    before = terminal.getvalue()
    list(array.stream_chunks())
    assert terminal.getvalue() == before


def test_a_stream_draws_its_own_bar() -> None:
    terminal = Terminal()
    array = zlab.create_array({}, path="x", data=np.arange(1, 65), chunks=8)
    with ProgressBar(file=terminal, mininterval=0) as bar:
        assert len(list(array.stream_chunks(progress=bar))) == 8
    assert any("8/8" in line for line in terminal.shown)


def test_without_tqdm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(MissingExtraError, match=r"zlab\[progress\]"):
        ProgressBar()
