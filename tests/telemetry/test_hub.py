from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from zlab.telemetry.events import (
    CacheRun,
    ChunkFailed,
    ChunkRead,
    ChunkRun,
    ChunkWrite,
    StreamStart,
    StreamStop,
)
from zlab.telemetry.hub import Hub

if TYPE_CHECKING:
    from collections.abc import Callable

READ = ChunkRun("read", "s", "a", [(0,), (1,)], [10, -1], [80, 0], [0.5, 0.5], [0.25, 0.0], 7.0)
WRITE = ChunkRun("write", "s", "a", [(0,)], [10], [80], [0.5], [0.25], 7.0)
FAILED = ChunkFailed("s", "a", (0,), "read", "OSError: gone")
START = StreamStart(1, "chunks", "s", "a", 4)
STOP = StreamStop(1, "chunks", "s", "a", 4, 320, 1.5, "exhausted")


def test_it_is_active_only_while_somebody_listens() -> None:
    hub = Hub()
    history = [hub.active]
    first = hub.subscribe(ChunkRead, print)
    second = hub.subscribe("*", print)
    history.append(hub.active)
    for subscription in (first, second, second):
        subscription.close()
        history.append(hub.active)
    assert history == [False, True, True, False, False]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (
            "*",
            [
                *("chunk.read", "chunk.read", "chunk.write", "chunk.failed"),
                *("start", "stop", "cache.hit", "cache.miss"),
            ],
        ),
        ("chunk.*", ["chunk.read", "chunk.read", "chunk.write", "chunk.failed"]),
        ("stream.*", ["start", "stop"]),
        ("chunk.run", ["chunk.run", "chunk.run"]),
        ("chunk.fetch", ["chunk.fetch", "chunk.fetch"]),
        ("chunk.decode", ["chunk.decode"]),
        ("chunk.encode", ["chunk.encode"]),
        ("chunk.store", ["chunk.store"]),
        ("cache.*", ["cache.hit", "cache.miss"]),
        ("cache.run", ["cache.run"]),
        ("array.*", []),
        ("chunk.read", ["chunk.read", "chunk.read"]),
        (ChunkRun, ["chunk.run", "chunk.run"]),
        (ChunkWrite, ["chunk.write"]),
        (StreamStop, ["stop"]),
    ],
)
def test_what_is_asked_for_is_delivered(what: str | type, expected: list[str]) -> None:
    hub = Hub()
    seen: list[Any] = []
    with hub.subscribe(what, seen.append):
        hub.record(READ)
        hub.emit(WRITE)
        hub.emit(FAILED)
        hub.emit(START)
        hub.emit(STOP)
        hub.emit(CacheRun("s", "a", "chunk", [(0,)], [(1,)], 80, 7.0))
    hub.emit(STOP)
    assert [event.name.removeprefix("stream.") for event in seen] == expected


@pytest.mark.parametrize("what", ["chunk.raed", "", int])
def test_an_event_that_does_not_exist_is_refused(what: Any) -> None:
    hub = Hub()
    with pytest.raises(ValueError, match=r"there are array\.open, array\.create"):
        hub.subscribe(what, print)
    assert not hub.active


def test_whether_an_event_is_wanted() -> None:
    hub = Hub()
    assert not hub.wants(StreamStop)
    with hub.subscribe(StreamStart, print):
        assert hub.wants(StreamStart)
        assert hub.wants(StreamStop, StreamStart)
        assert not hub.wants(StreamStop)
    assert not hub.wants(StreamStart)


@pytest.mark.parametrize(
    ("what", "chunks", "caches"),
    [
        ("*", True, True),
        ("chunk.run", True, False),
        ("chunk.decode", True, False),
        ("chunk.failed", True, False),
        ("cache.hit", False, True),
        ("cache.evict", False, False),
        ("stream.*", False, False),
    ],
)
def test_what_is_watched(what: str, chunks: bool, caches: bool) -> None:
    hub = Hub()
    with hub.subscribe(what, print):
        assert (hub.watches_chunks, hub.watches_caches) == (chunks, caches)
        with hub.subscribe("array.*", print):
            assert (hub.watches_chunks, hub.watches_caches) == (chunks, caches)
    assert (hub.watches_chunks, hub.watches_caches, hub.active) == (False, False, False)


def test_single_events_are_not_made_where_nobody_asked_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> Any:
        raise AssertionError

    monkeypatch.setattr(ChunkRun, "told_as", refuse)
    hub = Hub()
    runs: list[ChunkRun] = []
    with hub.subscribe(ChunkRun, runs.append), hub.subscribe(ChunkWrite, print):
        hub.record(READ)
    assert runs == [READ]


def test_a_listener_that_raises_is_reported_once_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = Hub()
    seen: list[ChunkRead] = []

    def broken(_: ChunkRead) -> None:
        msg = "the listener's own fault"
        raise RuntimeError(msg)

    with hub.subscribe(ChunkRead, broken), hub.subscribe(ChunkRead, seen.append):
        hub.record(READ)
        hub.record(READ)
    assert len(seen) == 4
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("zlab.telemetry", logging.ERROR)
    assert "broken" in record.getMessage()
    assert "the listener's own fault" in caplog.text


def test_an_interrupt_is_not_swallowed() -> None:
    hub = Hub()

    def interrupted(_: StreamStop) -> None:
        raise KeyboardInterrupt

    with hub.subscribe(StreamStop, interrupted), pytest.raises(KeyboardInterrupt):
        hub.emit(STOP)


def test_a_listener_may_close_itself_and_subscribe_others() -> None:
    hub = Hub()
    seen: list[str] = []

    def once(_: StreamStop) -> None:
        seen.append("once")
        subscription.close()
        hub.subscribe(StreamStop, lambda _: seen.append("later"))

    subscription = hub.subscribe(StreamStop, once)
    hub.emit(STOP)
    hub.emit(STOP)
    assert seen == ["once", "later"]


def test_in_flight() -> None:
    hub = Hub()
    with hub.subscribe(StreamStop, print):
        hub.started(6)
        assert hub.in_flight == 6
        hub.record(READ)
        assert hub.in_flight == 4
        hub.emit(FAILED)
        assert hub.in_flight == 3
        hub.abandoned(3)
        assert hub.in_flight == 0
        hub.record(READ)  # began before anybody listened
        assert hub.in_flight == 0
        hub.started(5)
    with hub.subscribe(StreamStop, print):
        assert hub.in_flight == 0


def test_streams_get_numbers_of_their_own() -> None:
    hub = Hub()
    assert [hub.new_stream() for _ in range(3)] == [1, 2, 3]


def test_a_subscription_says_who_and_to_what() -> None:
    hub = Hub()
    subscription = hub.subscribe("stream.st*", print)
    assert repr(subscription) == "<Subscription of builtins.print to stream.start, stream.stop>"
    subscription.close()
    assert repr(subscription).endswith(", closed>")


def test_nothing_is_lost_among_threads() -> None:
    hub = Hub()
    lock = threading.Lock()
    seen = 0

    def count(run: ChunkRun) -> None:
        nonlocal seen
        with lock:
            seen += len(run.coords)

    def work() -> None:
        for _ in range(500):
            hub.started(2)
            with hub.subscribe(StreamStart, print):
                hub.record(READ)

    with hub.subscribe(ChunkRun, count):
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert hub.in_flight == 0
    assert seen == 8 * 500 * 2
    assert not hub.active


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_forked_child_can_go_on_although_the_lock_was_held() -> None:
    from zlab.telemetry.hub import hub

    def child(answer: Callable[[object], None]) -> None:
        seen: list[object] = []
        with hub.subscribe(StreamStop, seen.append):
            hub.started(2)
            hub.emit(STOP)
            answer((len(seen), hub.in_flight))

    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    with hub._lock:
        process = context.Process(target=child, args=(queue.put,))
        process.start()
    process.join(60)
    assert process.exitcode == 0
    assert queue.get() == (1, 2)
