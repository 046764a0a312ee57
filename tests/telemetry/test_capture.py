from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import zlab.telemetry
from zlab.telemetry import ChunkRead, ChunkRun, StreamStart
from zlab.telemetry.hub import hub

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = ChunkRun("read", "s", "a", [(0,), (1,)], [10, -1], [80, 0], [0.5, 0.5], [0.25, 0.0], 7.0)


@pytest.fixture(autouse=True)
def _leave_as_found() -> Iterator[None]:
    yield
    zlab.telemetry.disable()


def test_capture_collects_what_happens_inside() -> None:
    hub.emit(StreamStart(1, "chunks", "s", "a", 4))
    with zlab.telemetry.capture() as captured:
        hub.record(RUN)
        hub.emit(StreamStart(2, "chunks", "s", "a", 4))
    hub.emit(StreamStart(3, "chunks", "s", "a", 4))
    assert captured.events == [*RUN, StreamStart(2, "chunks", "s", "a", 4)]
    assert captured.dropped == 0
    assert repr(captured) == "<Captured: 3 events, 0 dropped>"


def test_capture_takes_a_type_or_a_pattern() -> None:
    with (
        zlab.telemetry.capture("stream.*") as streams,
        zlab.telemetry.capture(ChunkRead) as reads,
    ):
        hub.record(RUN)
    assert streams.events == []
    assert reads.events == list(RUN)


def test_capture_with_a_limit_keeps_the_latest() -> None:
    with zlab.telemetry.capture(limit=2) as captured:
        for number in range(5):
            hub.emit(StreamStart(number, "chunks", "s", "a", 4))
    assert [event.stream for event in captured.events] == [3, 4]
    assert captured.dropped == 3


def test_capture_ends_when_the_block_raises() -> None:
    before = hub.active
    with pytest.raises(KeyError), zlab.telemetry.capture():
        raise KeyError
    assert hub.active == before


def test_subscribe() -> None:
    seen: list[StreamStart] = []
    with zlab.telemetry.subscribe(StreamStart, seen.append):
        hub.emit(StreamStart(1, "chunks", "s", "a", 4))
    assert seen == [StreamStart(1, "chunks", "s", "a", 4)]


def test_only_what_can_be_called_is_subscribed() -> None:
    listener: Any = "print"
    with pytest.raises(TypeError, match="a listener is a function of an event, not 'print'"):
        zlab.telemetry.subscribe("stream.*", listener)


def test_snapshot_starts_to_count_and_disable_stops() -> None:
    zlab.telemetry.disable()
    hub.record(RUN)
    assert zlab.telemetry.snapshot().totals.chunks_read == 0
    hub.record(RUN)
    assert zlab.telemetry.snapshot().totals.chunks_read == 1
    zlab.telemetry.enable()
    assert zlab.telemetry.snapshot().totals.chunks_read == 1
    zlab.telemetry.disable()
    hub.record(RUN)
    assert zlab.telemetry.snapshot().totals.chunks_read == 0


def test_the_public_names_exist() -> None:
    assert all(hasattr(zlab.telemetry, name) for name in zlab.telemetry.__all__)


def test_importing_it_loads_neither_numpy_nor_anything_optional() -> None:
    code = (
        "import sys, zlab.telemetry\n"
        "print(*sorted({'numpy', 'fsspec', 'asyncio', 'numcodecs'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert answer.stdout == "\n"
