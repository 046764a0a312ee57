from __future__ import annotations

import threading

import numpy as np
import pytest

import zlab
from zlab.stores.memory import MemoryStore
from zlab.telemetry import ChunkRun, Origin, trace
from zlab.telemetry.hub import Hub
from zlab.telemetry.tracing import Trace


def run(path: str, first: int, n: int) -> ChunkRun:
    coords: list[tuple[int, ...]] = [(first + i, 1) for i in range(n)]
    return ChunkRun("read", "s", path, coords, [10] * n, [80] * n, [0.25] * n, [0.5] * n, 7.0)


@pytest.mark.parametrize("shards", [None, 32])
def test_which_chunks_when_how_long_and_from_where(shards: int | None) -> None:
    data = np.arange(1, 65, dtype="<i4")
    data[8:16] = 0
    store = MemoryStore()
    zlab.create_array(store, data=data, chunks=8, shards=shards, compressors=None)
    array = zlab.open_array(store, mode="r+", cache=1 << 20)
    with trace() as traced, zlab.settings.override(threads=1):
        array[0:24]
        array[16:32]
        array[56:64] = 0
    rows = traced.of(array)
    assert len(rows) == len(traced) == 6
    by_origin = {
        Origin(origin): sorted(rows.coords[rows.origin == origin, 0].tolist())
        for origin in np.unique(rows.origin)
    }
    assert by_origin == {
        Origin.OBJECT if shards is None else Origin.SHARD: [0, 2, 3],
        Origin.FILL: [1],
        Origin.CACHE: [2],
        Origin.LEFT_OUT: [7],
    }
    assert rows.count(array.chunk_grid_shape).tolist() == [1, 1, 2, 1, 0, 0, 0, 1]
    assert rows.nbytes_stored.sum() == 3 * 32
    assert (np.diff(rows.t) >= 0).all()
    latest = rows.latest(rows.t, array.chunk_grid_shape)
    assert np.isnan(latest).tolist() == [False] * 4 + [True] * 3 + [False]
    assert latest[2] > latest[0]
    assert (rows.fetch_s + rows.decode_s >= 0).all()
    assert traced.arrays() == [(store.name, "")]
    array[...]
    assert len(traced) == 6


def test_the_latest_stay_in_bounded_memory() -> None:
    hub = Hub()
    traced = Trace(hub, 10_000)
    for number in range(300):
        hub.record(run("a", number * 100, 100))
        assert len(traced) <= 10_000
        assert traced.nbytes <= 10_000 * 41
    rows = traced.of(("s", "a"))
    assert traced.dropped == 30_000 - len(rows)
    assert len(rows) > 7_000
    assert rows.coords[:, 0].tolist() == list(range(30_000 - len(rows), 30_000))
    assert repr(traced) == f"<Trace of {len(rows)} chunks, {traced.dropped} dropped>"


def test_ten_million_chunks_fit() -> None:
    hub = Hub()
    traced = Trace(hub, 10_000_000)
    big = run("a", 0, 1_000_000)
    for _ in range(3):
        hub.record(big)
    assert len(traced) == 3_000_000
    # so many blocks of so many rows of 41 bytes
    assert traced.nbytes <= 41 * (3_000_000 + (1 << 16))
    assert traced.of(("s", "a")).count((1_000_000, 2)).sum() == 3_000_000


def test_arrays_of_any_number_of_axes_lie_apart() -> None:
    hub = Hub()
    traced = Trace(hub, 100)
    hub.record(ChunkRun("read", "s", "zero", [()], [1], [1], [0.0], [0.0], 1.0))
    hub.record(ChunkRun("write", "s", "three", [(1, 2, 3)], [1], [1], [0.0], [0.0], 1.0))
    assert traced.of(("s", "zero")).count(()) == 1
    three = traced.of(("s", "three"))
    assert three.coords.tolist() == [[1, 2, 3]]
    assert three.origin.tolist() == [Origin.WRITTEN]
    assert len(traced.of(("s", "nobody"))) == 0
    assert traced.of(("s", "nobody")).count((2, 2)).tolist() == [[0, 0], [0, 0]]


def test_nothing_is_lost_among_threads() -> None:
    hub = Hub()
    traced = Trace(hub, 1_000_000)

    def work() -> None:
        for number in range(200):
            hub.record(run("a", 10 * number, 10))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(traced) == 16_000
    assert traced.of(("s", "a")).coords[:, 0].sum() == 8 * sum(range(2000))


def test_a_limit_is_a_positive_number() -> None:
    with pytest.raises(ValueError, match="positive"):
        trace(0)
