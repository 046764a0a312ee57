"""What the engine tells telemetry: of arrays, chunks and caches, and on every way out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import zlab
from zlab.errors import ChunkReadError, ChunkWriteError
from zlab.stores.memory import MemoryStore
from zlab.telemetry import (
    ArrayRead,
    ArrayWrite,
    CacheEvict,
    CacheHit,
    CacheMiss,
    CacheRun,
    ChunkRun,
)
from zlab.telemetry.hub import hub
from zlab.testing import Fault, FaultStore, LatencyStore

SHARDS = pytest.mark.parametrize("shards", [None, 32])


def sparse(shards: int | None = None) -> MemoryStore:
    """64 numbers in 8 chunks, of which the second and the sixth are not stored."""
    store = MemoryStore()
    data = np.arange(1, 65, dtype="<i4")
    data[8:16] = data[40:48] = 0
    zlab.create_array(store, data=data, chunks=8, shards=shards)
    return store


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays_that_are_created_and_opened_are_told(zarr_format: Any) -> None:
    store = MemoryStore()
    root = zlab.create_group(store, zarr_format=zarr_format)
    with zlab.telemetry.capture("array.*") as captured:
        zlab.create_array(store, path="a/b", shape=(4, 6), dtype="i4", zarr_format=zarr_format)
        zlab.open_array(store, path="a/b")
        root.array("a/b")
    told = [(e.name, e.store, e.path, e.zarr_format, e.shape) for e in captured.events]
    assert told == [
        (name, store.name, "a/b", zarr_format, (4, 6))
        for name in ("array.open", "array.create", "array.open", "array.open")
    ]
    assert all(event.duration_s > 0 for event in captured.events)


@SHARDS
@pytest.mark.parametrize("far", [False, True])
def test_a_read_tells_how_much_was_filled_in(shards: int | None, far: bool) -> None:
    store: Any = sparse(shards)
    array = zlab.open_array(LatencyStore(store, 0) if far else store)
    with zlab.telemetry.capture(ArrayRead) as captured:
        array[...]
        array[0:20]
        array[[3, 9, 12]]
        array[np.array([], int)]
    told = [(e.nchunks, e.nchunks_filled, e.nchunks_cached, e.nbytes) for e in captured.events]
    assert told[:3] == [(8, 2, 0, 256), (3, 1, 0, 80), (2, 1, 0, 12)]
    assert all(event.error is None and event.duration_s > 0 for event in captured.events)
    assert {(event.store, event.path) for event in captured.events} == {(store.name, "")}


@SHARDS
def test_a_read_tells_how_much_came_from_the_cache(shards: int | None) -> None:
    array = zlab.open_array(sparse(shards), cache=1 << 20)
    with zlab.telemetry.capture() as captured:
        array[0:20]
        array[0:32]
    reads = [event for event in captured.events if isinstance(event, ArrayRead)]
    # what is not stored is not kept either
    assert [(e.nchunks, e.nchunks_filled, e.nchunks_cached) for e in reads] == [
        (3, 1, 0),
        (4, 1, 2),
    ]
    looked_up = [
        (type(event), event.coords)
        for event in captured.events
        if isinstance(event, CacheHit | CacheMiss) and event.what == "chunk"
    ]
    # how a read is cut into runs is not told here
    assert Counter(looked_up) == Counter(
        [
            *((CacheMiss, (0,)), (CacheMiss, (1,)), (CacheMiss, (2,))),
            *((CacheHit, (0,)), (CacheHit, (2,)), (CacheMiss, (1,)), (CacheMiss, (3,))),
        ]
    )


def test_look_ups_are_one_record_a_run() -> None:
    array = zlab.open_array(sparse(), cache=1 << 20)
    array[...]
    with zlab.telemetry.capture(CacheRun) as captured, zlab.settings.override(threads=1):
        array[...]
    (run,) = captured.events
    assert (len(run.hits), run.misses, run.nbytes) == (6, [(1,), (5,)], 6 * 32)


def test_evictions_are_told() -> None:
    store = sparse()
    cache = zlab.Cache(40)
    array = zlab.open_array(store, cache=cache)
    with zlab.telemetry.capture(CacheEvict) as captured:
        array[0], array[17], array[25]
    assert captured.events == [
        CacheEvict(store.name, "c/0", None, nbytes=32, nbytes_held=32),
        CacheEvict(store.name, "c/2", None, nbytes=32, nbytes_held=32),
    ]
    assert cache.info().evictions == 2


@SHARDS
def test_a_write_is_told(shards: int | None) -> None:
    array = zlab.create_array(MemoryStore(), shape=64, chunks=8, shards=shards, dtype="<i4")
    with zlab.telemetry.capture(ArrayWrite) as captured:
        array[...] = np.repeat([1, 0, 2, 3], 16)
        array[3:9] = 4
    told = [(event.nchunks, event.nchunks_empty, event.nbytes) for event in captured.events]
    assert told == [(8, 2, 256), (2, 0, 24)]
    assert all(event.error is None and event.duration_s > 0 for event in captured.events)


@SHARDS
def test_a_read_that_fails_is_told_and_leaves_nothing_in_flight(shards: int | None) -> None:
    store = FaultStore(sparse(shards), [Fault("get", "c/*", nth=3)])
    array = zlab.open_array(store)
    said: list[str] = []
    with zlab.telemetry.capture() as captured:
        for _ in range(3):
            try:
                array[...]
            except ChunkReadError as error:
                said.append(f"ChunkReadError: {error}")
        assert hub.in_flight == 0
    reads = [event.error for event in captured.events if isinstance(event, ArrayRead)]
    assert len(reads) == 3
    assert [error for error in reads if error is not None] == said
    assert [event.name for event in captured.events].count("chunk.failed") == 1


@SHARDS
def test_a_write_that_fails_is_told_and_leaves_nothing_in_flight(shards: int | None) -> None:
    inside = MemoryStore()
    zlab.create_array(inside, shape=64, chunks=8, shards=shards, dtype="<i4")
    array = zlab.open_array(FaultStore(inside, [Fault("put", "c/1")]), mode="r+")
    with zlab.telemetry.capture() as captured:
        with pytest.raises(ChunkWriteError):
            array[...] = 1
        assert hub.in_flight == 0
    (told,) = (event for event in captured.events if isinstance(event, ArrayWrite))
    assert told.error is not None
    assert told.error.startswith("ChunkWriteError: ")
    assert told.nchunks == len([e for e in captured.events if e.name == "chunk.write"]) < 8


def test_an_interrupt_leaves_nothing_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt = Fault("get", "c/3", error=KeyboardInterrupt)  # type: ignore[arg-type]
    store = FaultStore(sparse(), [interrupt])
    array = zlab.open_array(store)
    with zlab.telemetry.capture() as captured, zlab.settings.override(threads=1):
        with pytest.raises(KeyboardInterrupt):
            array[...]
        assert hub.in_flight == 0
    (told,) = (event for event in captured.events if isinstance(event, ArrayRead))
    assert told.error == "KeyboardInterrupt: injected fault"


def test_nothing_is_made_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Any:
        raise AssertionError

    for kind in (ArrayRead, ArrayWrite, ChunkRun, CacheRun, CacheEvict):
        monkeypatch.setattr(kind, "__init__", refuse)
    zlab.telemetry.disable()
    assert not hub.active
    array = zlab.open_array(sparse(32), mode="r+", cache=1000)
    array[...] = array[...] + 1
    with zlab.telemetry.capture("stream.*"):
        array[...] = array[...] + 1
    with pytest.raises(AssertionError), zlab.telemetry.capture(ChunkRun):
        array[...]
