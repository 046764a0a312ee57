"""The cache of decoded chunks: hits, the bound, and what makes an entry invalid."""

from __future__ import annotations

import gc
import pickle
import sys
import threading
import weakref
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.engine.cache import Cache, forget
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHARDS = pytest.mark.parametrize("shards", [None, 32])


@SHARDS
def test_the_second_read_of_a_window_asks_the_store_for_nothing(shards: int | None) -> None:
    store = MemoryStore()
    zlab.create_array(store, data=np.arange(1, 65), chunks=8, shards=shards)
    counting = CountingStore(store)
    array = zlab.open_array(counting, cache=1 << 20)
    expected = np.arange(1, 65)[3:40]
    np.testing.assert_array_equal(array[3:40], expected)
    counting.reset()
    with zlab.telemetry.capture("chunk.read") as captured:
        np.testing.assert_array_equal(array[3:40], expected)
        assert array[17] == 18
    assert (counting.counts.gets, counting.counts.ranges) == (0, 0)
    assert captured.events == []


@SHARDS
def test_a_write_by_any_handle_is_seen(shards: int | None) -> None:
    store = MemoryStore()
    zlab.create_array(store, data=np.arange(1, 65), chunks=8, shards=shards)
    reader = zlab.open_array(store, cache=1 << 20)
    reader[...]
    zlab.open_array(store, mode="r+")[10] = -1
    assert reader[10] == -1
    zlab.open_array(store, mode="r+")[8:16] = 0
    assert reader[8:16].tolist() == [0] * 8
    writer = zlab.open_array(store, mode="r+")
    writer.resize(4)
    writer.resize(64)
    assert reader[...].tolist() == [1, 2, 3, 4] + [0] * 60


def test_a_write_by_another_process_is_seen_by_its_time(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zlab.create_array(path, data=np.arange(1, 9), chunks=4)
    reader = zlab.open_array(path, cache=1 << 20)
    reader[...]
    zlab.create_array(tmp_path / "b.zarr", data=np.arange(11, 19), chunks=4)
    (tmp_path / "b.zarr" / "c" / "0").replace(path / "c" / "0")
    assert reader[...].tolist() == [11, 12, 13, 14, 5, 6, 7, 8]


def test_handles_share_a_cache() -> None:
    store = MemoryStore()
    zlab.create_group(store).create_array("x", data=np.arange(1, 9), chunks=4)
    cache = zlab.Cache(1 << 20)
    zlab.open_array(store, path="x", cache=cache)[...]
    zlab.open_group(store, cache=cache).array("x")[...]
    assert (cache.info().hits, cache.info().misses) == (2, 2)


def test_equal_keys_of_two_stores_are_two_chunks() -> None:
    cache = zlab.Cache(1 << 20)
    arrays = []
    for k in (1, 2):
        store = MemoryStore()
        zlab.create_array(store, data=np.full(4, k))
        arrays.append(zlab.open_array(store, cache=cache))
    assert [int(array[0]) for array in arrays * 2] == [1, 2, 1, 2]


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 40), st.booleans()),
        max_size=60,
    )
)
def test_the_bound_holds_and_the_oldest_go_first(
    steps: list[tuple[int, int, int, bool]],
) -> None:
    store = MemoryStore()
    cache = Cache(100)
    model: dict[tuple[str, int], int] = {}
    for number, part, nbytes, is_put in steps:
        key = str(number)
        if is_put:
            cache.put(store, key, np.zeros(nbytes, "u1"), store.version(key), (part,))
            model.pop((key, part), None)
            model[key, part] = nbytes
            while sum(model.values()) > 100:
                del model[next(iter(model))]
        else:
            found = cache.get(store, key, (part,))
            assert (found is not None) == ((key, part) in model)
            if found is not None:
                model[key, part] = model.pop((key, part))
        assert cache.info().nbytes == sum(model.values()) <= 100
    cache.drop(store, "0")
    assert all(cache.get(store, "0", (part,)) is None for part in range(4))


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    array = zlab.open_array(
        zlab.create_array({}, data=np.arange(1, 1001), chunks=1000).store, cache=100
    )
    assert array[999] == 1000
    assert array.layout.access.cache is not None
    assert array.layout.access.cache.info().nbytes == 0


def test_a_kept_chunk_cannot_be_changed_through_a_result() -> None:
    array = zlab.open_array(zlab.create_array({}, data=np.arange(1, 9)).store, cache=1 << 20)
    array[...][:] = 0
    assert array[...].tolist() == list(range(1, 9))


def test_a_cache_has_room_for_something() -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        zlab.Cache(0)


def test_another_process_starts_with_an_empty_cache() -> None:
    array = zlab.open_array(zlab.create_array({}, data=np.arange(9)).store, cache=1 << 20)
    array[...]
    assert array.layout.access.cache is not None
    again = pickle.loads(pickle.dumps(array.layout.access))  # noqa: S301  what was pickled here
    assert again.cache.info() == zlab.Cache(1 << 20).info()
    assert again.locks is array.layout.access.locks


def test_the_indices_of_shards_keep_no_store_alive() -> None:
    store = MemoryStore()
    zlab.create_array(store, data=np.arange(1, 65), chunks=8, shards=32)
    array = zlab.open_array(store)
    assert array[...].sum() == 64 * 65 // 2
    gone = weakref.ref(store)
    del array, store
    gc.collect()
    assert gone() is None


def test_caches_that_fill_beside_writes_are_all_told(interval: None) -> None:
    store = MemoryStore()
    stop = threading.Event()

    def fill() -> None:
        while not stop.is_set():
            Cache(1 << 10).put(store, "c/0", np.zeros(1), None)

    threads = [threading.Thread(target=fill) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(300):
            forget(store, "c/0")
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.fixture(name="interval")
def _interval() -> Iterator[None]:
    """Threads take turns all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
