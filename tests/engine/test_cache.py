"""The cache of decoded chunks: hits, the bound, and what makes an entry invalid."""

from __future__ import annotations

import gc
import pickle
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.engine.cache import Cache, replacing
from zlab.engine.stamps import stamp
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore, InterposedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from zlab.stores.base import Store
    from zlab.testing.stores import Call

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
            cache.put(store, key, np.zeros(nbytes, "u1"), stamp(store, key), (part,))
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
            with replacing(store, "c/0"):
                pass
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


def test_a_cache_is_cleared_beside_its_users(interval: None) -> None:
    store, cache = MemoryStore(), Cache(1 << 10)
    failures: list[BaseException] = []
    stop = threading.Event()

    def use() -> None:
        try:
            while not stop.is_set():
                cache.put(store, "c/0", np.zeros(60), None)
                cache.get(store, "c/0")
                cache.drop(store, "c/0")
        except KeyError as error:
            failures.append(error)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(500):
        cache.clear()
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []


class Unversioned(InterposedStore):
    """A store that tells no versions, and calls back after each read of a chunk or shard."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.after_get: Callable[[], None] | None = None

    def version(self, key: str) -> object:
        del key
        return None

    def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        answer = proceed(call)
        if call.operation == "get" and call.key.startswith("c/") and self.after_get:
            then, self.after_get = self.after_get, None
            then()
        return answer


@pytest.fixture
def unversioned() -> Unversioned:
    return Unversioned(MemoryStore())


def test_what_is_written_while_it_is_fetched_is_not_kept(unversioned: Unversioned) -> None:
    array = zlab.create_array(unversioned, data=np.ones(8, "i4"), chunks=8, compressors=None)
    reader = zlab.open_array(unversioned, cache=1 << 20)
    unversioned.after_get = lambda: array.__setitem__(..., 5)
    assert reader[0] == 1  # what was there when it was asked for
    assert reader[0] == 5
    assert reader[0] == 5


SHARDED: Any = {"chunks": (8, 8), "shards": (64, 64), "compressors": None, "fill_value": 0}
DATA = np.arange(64 * 64, dtype="i4").reshape(64, 64)
# without its first row of chunks, the others lie elsewhere
MOVED = np.where(np.arange(64)[:, None] < 8, 0, DATA)


def test_a_shard_that_this_process_replaces_between_index_and_chunk(
    unversioned: Unversioned,
) -> None:
    array = zlab.create_array(unversioned, data=DATA, **SHARDED)
    reader = zlab.open_array(unversioned)
    unversioned.after_get = lambda: array.__setitem__(..., MOVED)
    np.testing.assert_array_equal(reader[8:16, 8:16], DATA[8:16, 8:16])
    np.testing.assert_array_equal(reader[...], MOVED)


@pytest.mark.parametrize("age", [0, 10**6])
def test_an_index_is_believed_as_long_as_the_settings_say(
    unversioned: Unversioned, age: int
) -> None:
    zlab.create_array(unversioned, data=DATA, **SHARDED)
    other: dict[str, bytes] = {}
    zlab.create_array(other, data=MOVED, **SHARDED)
    with zlab.settings.override(shard_index_age_ms=age):
        reader = zlab.open_array(unversioned)
        np.testing.assert_array_equal(reader[8:16, 8:16], DATA[8:16, 8:16])
        # as another process does it: nobody here is told
        unversioned.store.put("c/0/0", other["c/0/0"])
        right = np.array_equal(reader[8:16, 8:16], DATA[8:16, 8:16])
    assert right == (age == 0)
    reader.refresh()
    np.testing.assert_array_equal(reader[8:16, 8:16], DATA[8:16, 8:16])


def test_a_group_that_is_deleted_takes_its_chunks_along(unversioned: Unversioned) -> None:
    cache = Cache(1 << 20)
    group = zlab.create_group(unversioned)
    for value in (1, 2):
        array = group.create_array("a", shape=8, chunks=8, dtype="i4", overwrite=True)
        array[...] = value
        assert zlab.open_array(unversioned, path="a", cache=cache)[0] == value


def test_the_stamp_of_a_shard_is_taken_once_for_its_cached_chunks() -> None:
    memory = MemoryStore()
    zlab.create_array(memory, data=DATA, **SHARDED)
    asked: list[str] = []

    class Asked(InterposedStore):
        def version(self, key: str) -> object:
            asked.append(key)
            return self.store.version(key)

        def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
            return proceed(call)

    reader = zlab.open_array(Asked(memory), cache=1 << 20)
    np.testing.assert_array_equal(reader[...], DATA)
    asked.clear()
    with zlab.settings.override(threads=1):
        np.testing.assert_array_equal(reader[...], DATA)
    assert asked.count("c/0/0") == 1
