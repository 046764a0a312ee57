from __future__ import annotations

import json
import multiprocessing
import os
import threading
from dataclasses import asdict
from math import frexp
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.telemetry.aggregate import (
    LATENCY_BUCKETS,
    Aggregator,
    ArrayTraffic,
    Snapshot,
    Totals,
)
from zlab.telemetry.events import ChunkFailed, ChunkRun, StreamStart, StreamStop
from zlab.telemetry.hub import Hub

if TYPE_CHECKING:
    from collections.abc import Callable

WIRE = Path(__file__).parents[1] / "wire"


def reads(store: str, path: str, nbytes_stored: list[int], fetch_s: float = 0.5) -> ChunkRun:
    n = len(nbytes_stored)
    return ChunkRun(
        "read", store, path, [(i,) for i in range(n)], nbytes_stored, [80] * n,
        [fetch_s] * n, [0.25] * n, 7.0,
    )  # fmt: skip


def test_totals_are_exact() -> None:
    hub = Hub()
    aggregator = Aggregator(hub)
    hub.record(reads("s", "a", [10, -1, 20, -1, -1]))
    hub.record(
        ChunkRun("write", "s", "a", [(0,), (1,)], [7, -1], [80, 80], [0.5, 0.0], [0.25, 0.125], 8.0)
    )
    hub.emit(ChunkFailed("s", "a", (3,), "read", "OSError: gone"))
    hub.emit(StreamStart(1, "chunks", "s", "a", 4))
    hub.emit(StreamStart(2, "chunks", "s", "a", 4))
    hub.emit(StreamStop(1, "chunks", "s", "a", 4, 320, 1.5, "closed"))
    hub.started(3)
    snapshot = aggregator.snapshot()
    aggregator.close()
    assert snapshot.totals == Totals(
        chunks_read=2,
        chunks_absent=3,
        chunks_written=1,
        nbytes_fetched=30,
        nbytes_decoded=160,
        nbytes_encoded=80,
        nbytes_stored=7,
        fetch_s=2.5,
        decode_s=1.25,
        encode_s=0.375,
        store_s=0.5,
        errors=1,
        streams_started=2,
        streams_stopped=1,
    )
    assert snapshot.in_flight == 3
    assert snapshot.top == (ArrayTraffic("s", "a", chunks=3, nbytes=37),)
    assert sum(snapshot.latency) == 2  # stored chunks that were read


def test_a_closed_aggregator_keeps_its_totals() -> None:
    hub = Hub()
    aggregator = Aggregator(hub)
    hub.record(reads("s", "a", [10]))
    aggregator.close()
    assert not hub.active
    hub.record(reads("s", "a", [10]))
    assert aggregator.snapshot().totals.chunks_read == 1


@given(st.floats(min_value=0, max_value=1e6, allow_subnormal=True))
def test_latency_buckets_are_those_of_the_wire(seconds: float) -> None:
    hub = Hub()
    aggregator = Aggregator(hub)
    hub.record(ChunkRun("read", "s", "a", [(0,)], [1], [8], [seconds], [0.0], 7.0))
    latency = aggregator.snapshot().latency
    assert len(latency) == LATENCY_BUCKETS == 24
    assert sum(latency) == 1
    bucket = latency.index(1)
    assert bucket == 0 or seconds >= 2.0 ** (bucket - 20)
    assert bucket == LATENCY_BUCKETS - 1 or seconds < 2.0 ** (bucket - 19)


def test_fetch_and_decode_count_together() -> None:
    hub = Hub()
    aggregator = Aggregator(hub)
    hub.record(ChunkRun("read", "s", "a", [(0,)], [1], [8], [2.0**-6], [2.0**-6], 7.0))
    assert aggregator.snapshot().latency.index(1) == 15  # [2**-5, 2**-4)
    assert frexp(2.0**-5) == (0.5, -4)


def test_the_top_lists_eight_arrays_most_bytes_first() -> None:
    hub = Hub()
    aggregator = Aggregator(hub)
    for number in range(20):
        hub.record(reads("s", f"a{number}", [number * 10, number * 10]))
    assert aggregator.snapshot().top == tuple(
        ArrayTraffic("s", f"a{number}", chunks=2, nbytes=number * 20)
        for number in range(19, 11, -1)
    )


def test_many_arrays_are_tracked_in_bounded_memory() -> None:
    hub = Hub()
    aggregator = Aggregator(hub)
    hub.record(reads("s", "busiest", [10**9]))
    for number in range(3000):
        hub.record(reads("s", f"a{number}", [1 + number % 7]))
    assert len(aggregator._traffic) <= 512
    snapshot = aggregator.snapshot()
    assert snapshot.top[0] == ArrayTraffic("s", "busiest", 1, 10**9)
    assert snapshot.totals.chunks_read == 3001


def frames() -> list[dict[str, Any]]:
    golden = json.loads((WIRE / "frame.json").read_text())
    return list(golden["accept"])


@pytest.mark.parametrize("frame", frames())
def test_a_snapshot_has_the_fields_of_a_frame(frame: dict[str, Any]) -> None:
    hub = Hub()
    aggregator = Aggregator(hub)
    hub.record(reads("s", "a", [10]))
    snapshot = aggregator.snapshot()
    assert isinstance(snapshot, Snapshot)
    ours = json.loads(json.dumps(asdict(snapshot)))
    assert {*ours, "zlab", "v", "session", "seq", "source"} == {*frame}
    assert list(ours["totals"]) == list(frame["totals"])
    assert len(ours["latency"]) == len(frame["latency"])
    assert all({*entry} == {*ours["top"][0]} for entry in frame["top"])


def test_nothing_is_lost_among_threads() -> None:
    hub = Hub()
    aggregator = Aggregator(hub)
    run = reads("s", "a", [10, -1, 20])

    def work() -> None:
        for _ in range(1000):
            hub.record(run)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    totals = aggregator.snapshot().totals
    assert (totals.chunks_read, totals.chunks_absent, totals.nbytes_fetched) == (
        16_000,
        8_000,
        240_000,
    )
    assert sum(aggregator.snapshot().latency) == 16_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_forked_child_counts_its_own_work() -> None:
    hub = Hub()
    aggregator = Aggregator(hub)
    hub.record(reads("s", "a", [10]))

    def child(answer: Callable[[object], None]) -> None:
        hub.record(reads("s", "a", [10, 10]))
        answer(aggregator.snapshot().totals.chunks_read)

    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    with aggregator._lock:
        process = context.Process(target=child, args=(queue.put,))
        process.start()
    process.join(60)
    assert process.exitcode == 0
    assert queue.get() == 2
    assert aggregator.snapshot().totals.chunks_read == 1
