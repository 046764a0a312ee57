from __future__ import annotations

import logging

import pytest

from zlab.telemetry import ChunkFailed, StreamStart, log
from zlab.telemetry.hub import hub

START = StreamStart(1, "chunks", "s", "a", 4)
FAILED = ChunkFailed("s", "a", (0,), "read", "OSError: gone")


def test_events_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "zlab.telemetry")
    with log():
        hub.emit(START)
        hub.emit(FAILED)
    hub.emit(START)
    assert [(record.levelname, record.name) for record in caplog.records] == [
        ("DEBUG", "zlab.telemetry"),
        ("WARNING", "zlab.telemetry"),
    ]
    assert caplog.messages[0] == (
        "stream.start StreamStart(stream=1, kind='chunks', store='s', path='a', nchunks=4)"
    )
    assert caplog.records[1].event is FAILED  # type: ignore[attr-defined]


def test_to_which_logger_and_at_which_level(caplog: pytest.LogCaptureFixture) -> None:
    mine = logging.getLogger("mine")
    caplog.set_level(logging.INFO)
    with log("stream.*", logger=mine, level=logging.INFO), log("stream.*", level=logging.DEBUG):
        hub.emit(START)
        hub.emit(FAILED)
    assert [(record.name, record.levelno) for record in caplog.records] == [("mine", logging.INFO)]


def test_a_kind_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no event is called"):
        log("strem.*")
