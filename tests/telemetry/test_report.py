from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zlab
from zlab.stores.memory import MemoryStore
from zlab.telemetry import ChunkRun, Summary
from zlab.telemetry.aggregate import OTHERS, Aggregator
from zlab.telemetry.hub import Hub
from zlab.telemetry.report import format_nbytes, format_seconds, summarize


def run(path: str, codecs: str, n: int, fetch_s: float, operation: Any = "read") -> ChunkRun:
    coords: list[tuple[int, ...]] = [(i,) for i in range(n)]
    return ChunkRun(
        operation, "s", path, coords, [10] * n, [80] * n, [fetch_s] * n, [0.5] * n, 7.0, codecs
    )


def test_lines_add_up_for_store_codecs_and_array() -> None:
    hub = Hub()
    aggregator = Aggregator(hub)
    hub.record(run("a", "bytes zstd", 3, 0.25))
    hub.record(run("b", "bytes zstd", 2, 1.0))
    hub.record(run("b", "bytes", 4, 2.0, "write"))
    hub.record(ChunkRun("read", "t", "", [(0,)], [-1], [80], [0.1], [0.0], 7.0, "bytes"))
    summary = summarize(aggregator)
    assert [(line.name, line.chunks_read, line.chunks_written) for line in summary.arrays] == [
        ("s/b", 2, 4),
        ("s/a", 3, 0),
        ("t", 0, 0),
    ]
    assert [(line.name, line.chunks_absent) for line in summary.stores] == [("s", 0), ("t", 1)]
    by_codecs = {line.name: line for line in summary.codecs}
    zstd, raw = by_codecs["bytes zstd"], by_codecs["bytes"]
    assert (zstd.fetch.count, zstd.fetch.max_s, zstd.store.count) == (5, 1.0, 0)
    assert zstd.fetch.p50_s == pytest.approx(0.25, rel=0.032)
    assert zstd.fetch.p90_s == pytest.approx(1.0, rel=0.032)
    assert (raw.store.count, raw.encode.sum_s, raw.fetch.count) == (4, 2.0, 0)
    assert (zstd.nbytes_fetched, zstd.nbytes_decoded) == (50, 400)
    assert (raw.nbytes_stored, raw.nbytes_encoded) == (40, 320)
    assert summary.seconds > 0
    assert summary.chunks_per_s == 9 / summary.seconds
    assert summary.fetched_nbytes_per_s == 50 / summary.seconds
    assert summary.decoded_nbytes_per_s == 400 / summary.seconds
    assert summary.stored_nbytes_per_s == 40 / summary.seconds


def test_what_is_no_longer_told_apart_still_counts() -> None:
    hub = Hub()
    aggregator = Aggregator(hub)
    for number in range(2000):
        hub.record(run(f"a{number}", "bytes", 1 + number % 3, 0.25))
    summary = summarize(aggregator)
    assert len(summary.arrays) <= 512
    assert f"{OTHERS}/{OTHERS}" in [line.name for line in summary.arrays]
    nchunks = sum(1 + number % 3 for number in range(2000))
    assert sum(line.chunks_read for line in summary.arrays) == nchunks
    assert summary.totals.chunks_read == nchunks
    assert OTHERS not in [traffic.path for traffic in aggregator.snapshot().top]


def test_a_block_is_measured_apart_and_stays_as_it_was() -> None:
    array = zlab.create_array(MemoryStore(), data=np.arange(1, 65, dtype="i4"), chunks=8)
    array[8:16] = 0
    with zlab.telemetry.measure() as measured:
        array[0:20]
        assert measured.summary().totals.chunks_read == 2
    array[...]
    summary = measured.summary()
    assert isinstance(summary, Summary)
    assert (summary.totals.chunks_read, summary.totals.chunks_absent) == (2, 1)
    assert [line.name for line in summary.codecs] == ["bytes zstd"]
    assert summary is measured.summary()


def test_the_process_is_summarized_from_when_it_began_to_count() -> None:
    zlab.telemetry.disable()
    try:
        assert zlab.telemetry.summary().totals.chunks_read == 0
        array = zlab.create_array({}, data=np.arange(1, 9), chunks=2, shards=4)
        array[...]
        summary = zlab.telemetry.summary()
        assert (summary.totals.chunks_read, summary.totals.chunks_written) == (4, 4)
        # both shards were looked up, perhaps by two threads each
        assert summary.totals.cache_misses >= 2
    finally:
        zlab.telemetry.disable()


def test_it_is_readable() -> None:
    hub = Hub()
    aggregator = Aggregator(hub)
    hub.record(run("a", "bytes zstd", 3, 0.00025))
    text = str(summarize(aggregator))
    assert "3 chunks read, 30 B stored, 240 B decoded" in text
    head, row = [line for line in text.splitlines() if line.startswith(("codecs", "bytes"))]
    assert head.split()[:3] == ["codecs", "read", "filled"]
    assert row.split()[:7] == ["bytes", "zstd", "3", "0", "0", "30", "B"]
    assert row.endswith("500 ms / 500 ms")


def test_numbers_for_people() -> None:
    assert list(map(format_nbytes, [0, 999, 1000, 2_500_000, 3e9, 4.2e13])) == [
        *("0 B", "999 B", "1 kB", "2.5 MB", "3 GB", "42 TB"),
    ]
    assert list(map(format_seconds, [2.0, 0.0123, 4.5e-5, 3e-9, 0.0])) == [
        *("2 s", "12.3 ms", "45 us", "3 ns", "0 ns"),
    ]
