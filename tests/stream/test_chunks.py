from __future__ import annotations

import gc
import threading
import weakref
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import zlab
from zlab.errors import ChunkReadError, CodecError, SelectionError, StoreError
from zlab.memory import aligned_empty
from zlab.stores.memory import MemoryStore
from zlab.stream.budget import process_held
from zlab.telemetry import ChunkRead, StreamStart, StreamStop, capture
from zlab.testing import CountingStore, Fault, FaultStore, LatencyStore

if TYPE_CHECKING:
    from collections.abc import Callable

    Wait = Callable[[Callable[[], object]], None]


@st.composite
def stored_arrays(draw: st.DrawFn) -> zlab.Array:
    """Arrays of 0 to 3 dimensions in any chunks and shards, some chunks of which are stored."""
    ndim = draw(st.integers(0, 3))
    shape = tuple(draw(st.integers(0, 9)) for _ in range(ndim))
    chunks = tuple(draw(st.integers(1, 4)) for _ in range(ndim))
    shards = None
    if draw(st.booleans()):
        shards = tuple(c * draw(st.integers(1, 3)) for c in chunks)
    store = MemoryStore()
    array = zlab.create_array(
        store if draw(st.booleans()) else LatencyStore(store, 0),
        shape=shape,
        chunks=chunks,
        shards=shards,
        dtype=draw(st.sampled_from(["int16", "float64", "string", "M8[s]"])),
        order=draw(st.sampled_from("CF")),
    )
    values = np.arange(1, array.size + 1).reshape(shape).astype(array.dtype)
    for coords in np.ndindex(*array.chunk_grid_shape):
        if draw(st.booleans()):
            region = tuple(slice(c * n, (c + 1) * n) for c, n in zip(coords, chunks, strict=True))
            array[region] = values[region]
    return array


@st.composite
def regions(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[slice, ...]:
    bounds = [sorted((draw(st.integers(0, n)), draw(st.integers(0, n)))) for n in shape]
    return tuple(slice(*pair) for pair in bounds)


orders = st.sampled_from([None, True, False])
widths = st.integers(1, 9)
budgets = st.one_of(st.none(), st.integers(1, 200))


@given(st.data(), stored_arrays(), orders, widths, budgets)
def test_a_stream_with_missing_chunks_is_the_array(
    data: st.DataObject,
    array: zlab.Array,
    ordered: bool | None,
    concurrency: int,
    max_bytes: int | None,
) -> None:
    region = data.draw(regions(array.shape))
    stream = array.stream_chunks(
        region=region,
        ordered=ordered,
        concurrency=concurrency,
        include_missing=True,
        max_bytes=max_bytes,
    )
    out = np.zeros(array.shape, array.dtype)
    seen = np.zeros(array.shape, int)
    coords = []
    for chunk in stream:
        out[chunk.region] = chunk.data
        seen[chunk.region] += 1
        coords.append(chunk.coords)
    values = array[...]
    assert_array_equal(out[region], values[region])
    assert (seen[region] == 1).all()
    assert seen.sum() == seen[region].size
    assert len(coords) == len(set(coords)) == stream.plan.nchunks
    if ordered is not False:
        assert coords == list(stream.plan)


@given(st.data(), stored_arrays(), orders, widths)
def test_a_stream_has_every_stored_chunk_once(
    data: st.DataObject, array: zlab.Array, ordered: bool | None, concurrency: int
) -> None:
    region = data.draw(regions(array.shape))
    stream = array.stream_chunks(region=region, ordered=ordered, concurrency=concurrency)
    sizes = array.stored_sizes()
    stored = {coords for coords in stream.plan if sizes[coords] >= 0}
    values = array[...]
    coords = []
    for chunk in stream:
        assert chunk.present
        assert chunk.nbytes_stored == sizes[chunk.coords]
        assert chunk.data.dtype == array.dtype
        assert_array_equal(chunk.data, values[chunk.region])
        coords.append(chunk.coords)
    assert sorted(coords) == sorted(stored)
    if ordered is True:
        assert coords == sorted(coords)
    elif ordered is None:
        assert coords == [c for c in stream.plan if c in stored]


def test_shards_come_one_after_another_unless_order_is_asked_for(
    counted: Callable[..., Any],
) -> None:
    array = counted((4, 4), chunks=(1, 1), shards=(2, 2)).array
    by_shard = [chunk.coords for chunk in array.stream_chunks()]
    assert by_shard[:5] == [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2)]
    in_order = [chunk.coords for chunk in array.stream_chunks(ordered=True)]
    assert in_order == sorted(by_shard)


def test_nothing_is_read_before_the_first_chunk_is_asked_for(counted: Callable[..., Any]) -> None:
    array, _, store = counted((8,), chunks=2)
    stream = array.stream_chunks()
    iterator = iter(stream)
    assert repr(stream)
    assert stream.plan.nchunks == 4
    assert list(stream.plan) == [(0,), (1,), (2,), (3,)]
    assert sum(store.counts.keys.values()) + store.counts.lists == 0
    next(iterator)
    iterator.close()


def test_each_object_is_asked_for_once(counted: Callable[..., Any]) -> None:
    made = counted((40, 6), chunks=(4, 3))
    for _ in made.array.stream_chunks():
        pass
    assert made.chunk_gets() == {f"c/{i}/{j}": 1 for i in range(10) for j in range(2)}


def test_a_stream_can_be_iterated_again_and_at_once(counted: Callable[..., Any]) -> None:
    made = counted((8,), chunks=2)
    stream = made.array.stream_chunks()
    pairs = zip(stream, stream, strict=True)
    assert [(a.coords, b.data.tolist()) for a, b in pairs] == [
        ((0,), [0, 1]),
        ((1,), [2, 3]),
        ((2,), [4, 5]),
        ((3,), [6, 7]),
    ]


def test_a_chunk_is_cropped_to_the_array_and_the_region(counted: Callable[..., Any]) -> None:
    made = counted((5, 5), chunks=(3, 3))
    chunks = list(made.array.stream_chunks(region=(slice(1, 5), slice(4, 5))))
    assert [chunk.region for chunk in chunks] == [
        (slice(1, 3), slice(4, 5)),
        (slice(3, 5), slice(4, 5)),
    ]
    assert [chunk.data.tolist() for chunk in chunks] == [[[9], [14]], [[19], [24]]]
    assert repr(chunks[0]).startswith("<Chunk (0, 1) [1:3, 4:5] int32, ")


def test_data_are_the_consumers_own_and_aligned(counted: Callable[..., Any]) -> None:
    made = counted((64, 3), chunks=(8, 3))
    chunks = list(made.array.stream_chunks(region=(slice(3, 60), slice(None))))
    for chunk in chunks:
        assert chunk.data.ctypes.data % 64 == 0
        assert chunk.data.flags.c_contiguous
        chunk.data[...] = -1
    assert (made.array[...] == made.values).all()


def test_missing_chunks_come_when_they_are_asked_for() -> None:
    array = zlab.create_array("memory://", shape=6, chunks=2, dtype="int8", fill_value=7)
    array[2:4] = 1
    assert [chunk.coords for chunk in array.stream_chunks()] == [(1,)]
    chunks = list(array.stream_chunks(include_missing=True))
    assert [chunk.data.tolist() for chunk in chunks] == [[7, 7], [1, 1], [7, 7]]
    assert [chunk.present for chunk in chunks] == [False, True, False]
    assert [chunk.nbytes_stored > 0 for chunk in chunks] == [False, True, False]
    assert repr(chunks[0]) == "<Chunk (0,) [0:2] int8, not stored>"


def test_a_filter_is_asked_before_reading(counted: Callable[..., Any]) -> None:
    made = counted((8,), chunks=2)
    stream = made.array.stream_chunks(filter=lambda coords: coords[0] % 2)
    assert [chunk.coords for chunk in stream] == [(1,), (3,)]
    assert set(made.chunk_gets()) == {"c/1", "c/3"}


def test_a_filter_that_lets_nothing_pass_can_be_interrupted() -> None:
    array = zlab.create_array("memory://", shape=(10**6, 10**6), chunks=(1, 1), dtype="int8")
    asked = threading.Event()
    with array.stream_chunks(filter=lambda _: asked.set()) as stream:
        thread = threading.Thread(target=lambda: list(stream))
        thread.start()
        assert asked.wait(60)
    thread.join(60)
    assert not thread.is_alive()


def test_a_filter_that_fails_is_an_error() -> None:
    array = zlab.create_array("memory://", shape=8, chunks=2, dtype="int8")
    wanted: dict[tuple[int, ...], bool] = {(0,): True, (1,): False}
    with pytest.raises(KeyError, match="2"):
        list(array.stream_chunks(filter=wanted.__getitem__))


# -- what is not stored


@pytest.mark.parametrize("shards", [None, 6])
def test_missing_chunks_are_errors_where_that_was_asked_for(shards: int | None) -> None:
    store = MemoryStore()
    zlab.create_array(store, shape=12, chunks=2, shards=shards, dtype="int8")[0:4] = 1
    array = zlab.open_array(store, missing="raise")
    assert [chunk.coords for chunk in array.stream_chunks()] == [(0,), (1,)]
    chunks = iter(array.stream_chunks(include_missing=True, concurrency=1))
    assert [next(chunks).coords, next(chunks).coords] == [(0,), (1,)]
    with pytest.raises(ChunkReadError, match="the chunk is not stored") as caught:
        next(chunks)
    assert caught.value.coords == (2,)


@pytest.mark.parametrize("ordered", [None, True, False])
@pytest.mark.parametrize("shards", [None, (10, 10)])
def test_three_chunks_of_10_to_the_12_are_found_at_once(
    shards: tuple[int, int] | None, ordered: bool | None
) -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(
        store, shape=(10**6, 10**6), chunks=(1, 1), shards=shards, dtype="int16"
    )
    stored = [(5, 7), (70_000, 1), (999_999, 999_999)]
    for value, coords in enumerate(stored):
        array[coords] = value + 1
    store.reset()
    found = [(chunk.coords, chunk.data.item()) for chunk in array.stream_chunks(ordered=ordered)]
    assert sorted(found) == [((5, 7), 1), ((70_000, 1), 2), ((999_999, 999_999), 3)]
    if ordered is not False:
        assert found == sorted(found)
    assert store.counts.lists == 1
    assert store.counts.gets + store.counts.ranges < 1000


def test_a_dense_array_is_never_listed(counted: Callable[..., Any]) -> None:
    made = counted((1000,), chunks=1)
    assert sum(1 for _ in made.array.stream_chunks()) == 1000
    assert made.store.counts.lists == 0


@pytest.mark.parametrize("ordered", [None, True, False])
@pytest.mark.parametrize("shards", [None, (4, 6)])
def test_nothing_is_lost_or_doubled_where_probing_turns_into_listing(
    shards: tuple[int, int] | None, ordered: bool | None
) -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, shape=(400, 60), chunks=(2, 2), shards=shards, dtype="int32")
    rows = [*range(40), 301, 302, 399]
    for row in rows:
        array[row] = row + 1
    store.reset()
    chunks = [chunk.coords for chunk in array.stream_chunks(ordered=ordered, concurrency=3)]
    expected = sorted({(row // 2, column) for row in rows for column in range(30)})
    assert sorted(chunks) == expected
    assert store.counts.lists == 1


def test_a_small_region_is_probed_where_much_else_is_stored(counted: Callable[..., Any]) -> None:
    made = counted((5000,), chunks=1)
    for number in range(1000, 1200):
        made.store.delete(f"c/{number}")
    made.store.reset()
    found = list(made.array.stream_chunks(region=slice(1000, 1201)))
    assert [chunk.coords for chunk in found] == [(1200,)]
    # the listing was given up as soon as it was longer than what was left to probe was worth
    assert made.chunk_gets().keys() == {f"c/{number}" for number in range(1000, 1201)}


# -- arguments


@pytest.mark.parametrize("concurrency", [0, -1])
def test_concurrency_is_at_least_one(counted: Callable[..., Any], concurrency: int) -> None:
    with pytest.raises(ValueError, match=f"concurrency must be at least 1, not {concurrency}"):
        counted((4,), chunks=2).array.stream_chunks(concurrency=concurrency)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"concurrency": 2.5}, "concurrency must be a whole number, not 2.5"),
        ({"max_bytes": "1"}, "max_bytes must be a whole number, not '1'"),
        ({"filter": 3}, "filter must be a function of a chunk's coordinates, not int"),
        ({"ordered": "x"}, "ordered must be True or False, not 'x'"),
        ({"include_missing": "no"}, "include_missing must be True or False, not 'no'"),
    ],
)
def test_the_argument_that_is_wrong_is_named(
    counted: Callable[..., Any], arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(TypeError, match=says):
        counted((4,), chunks=2).array.stream_chunks(**arguments)


@pytest.mark.parametrize(
    "region",
    [slice(0, 5), slice(-1, 4), slice(3, 2), slice(0, 4, 2), 3, (slice(None), slice(None)), [1]],
)
def test_a_region_outside_the_array_is_refused(counted: Callable[..., Any], region: Any) -> None:
    with pytest.raises(SelectionError):
        counted((4,), chunks=2).array.stream_chunks(region=region)


def test_concurrency_follows_the_store() -> None:
    array = zlab.create_array("memory://", shape=4, dtype="int8")
    far = zlab.open_array(LatencyStore(array.store, 0))
    with zlab.settings.override(threads=3, fetch_concurrency=17):
        assert array.stream_chunks().concurrency == 3
        assert far.stream_chunks().concurrency == 17


def test_many_requests_are_in_flight_to_a_store_that_is_far(
    counted: Callable[..., Any], together: Callable[..., Any]
) -> None:
    made = counted((64,), chunks=1)
    far = CountingStore(together(made.store))
    assert sum(1 for _ in zlab.open_array(far).stream_chunks(concurrency=16)) == 64
    assert far.counts.max_in_flight <= 16


# -- memory


class Live:
    """How many bytes of the arrays that were made for chunks are alive, by weak references."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0
        self.peak = 0
        self.made = 0
        monkeypatch.setattr("zlab.stream.buffers.aligned_empty", self._empty)

    def _empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        array = aligned_empty(shape, dtype)
        self.now += array.nbytes
        self.made += 1
        self.peak = max(self.peak, self.now)
        weakref.finalize(array, self._gone, array.nbytes)
        return array

    def has_made(self, n: int) -> bool:
        return self.made == n

    def _gone(self, nbytes: int) -> None:
        self.now -= nbytes


CHUNK = 1 << 12


@pytest.mark.parametrize("ordered", [True, False])
def test_a_slow_consumer_does_not_make_memory_grow(
    counted: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Wait,
    ordered: bool,
) -> None:
    made = counted((64, CHUNK // 4), chunks=(1, CHUNK // 4))
    live = Live(monkeypatch)
    stream = made.array.stream_chunks(concurrency=8, ordered=ordered, max_bytes=6 * CHUNK)
    n = 0
    for n, chunk in enumerate(stream, 1):
        # as slow as it gets: go on only when the readers have found no more room
        wait_until(partial(live.has_made, min(64, n + 6)))
        assert live.now == (min(64, n + 6) - n + 1) * CHUNK
        del chunk
    assert n == 64
    assert live.peak == 7 * CHUNK  # six ahead, and the consumer's own


def test_the_budget_of_the_process_bounds_a_stream(
    counted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    made = counted((64, CHUNK // 4), chunks=(1, CHUNK // 4))
    live = Live(monkeypatch)
    with zlab.settings.override(memory_budget=3 * CHUNK):
        for n, _ in enumerate(made.array.stream_chunks(concurrency=8, max_bytes=100 * CHUNK), 1):
            wait_until(partial(live.has_made, min(64, n + 3)))
            assert process_held() <= 3 * CHUNK
    assert live.peak <= 5 * CHUNK


def test_a_chunk_beyond_the_budget_is_read_alone(
    counted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = counted((16, CHUNK // 4), chunks=(1, CHUNK // 4))
    live = Live(monkeypatch)
    assert sum(1 for _ in made.array.stream_chunks(concurrency=4, max_bytes=1)) == 16
    assert live.peak <= 2 * CHUNK


def test_two_streams_in_step_share_a_budget_that_is_too_small(counted: Callable[..., Any]) -> None:
    made = counted((16, CHUNK // 4), chunks=(1, CHUNK // 4))
    with zlab.settings.override(memory_budget=CHUNK):
        pairs = zip(made.array.stream_chunks(), made.array.stream_chunks(), strict=True)
        assert sum(1 for _ in pairs) == 16


# -- every way out


def events_of(stream_kind: str, seen: list[Any]) -> tuple[StreamStart, StreamStop]:
    (start,) = (event for event in seen if isinstance(event, StreamStart))
    (stop,) = (event for event in seen if isinstance(event, StreamStop))
    assert start.kind == stop.kind == stream_kind
    assert start.stream == stop.stream
    return start, stop


def test_a_stream_that_is_read_to_its_end_tells(counted: Callable[..., Any]) -> None:
    made = counted((8, 3), chunks=(2, 3))
    with capture() as captured:
        iterator = iter(made.array.stream_chunks())
        assert captured.events == []
        list(iterator)
    start, stop = events_of("chunks", captured.events)
    assert (start.path, start.nchunks) == (made.array.path, 4)
    assert (stop.outcome, stop.nchunks, stop.nbytes) == ("exhausted", 4, 96)
    assert stop.duration_s > 0
    reads = [event for event in captured.events if isinstance(event, ChunkRead)]
    assert sorted(read.coords for read in reads) == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert isinstance(captured.events[0], StreamStart)
    assert isinstance(captured.events[-1], StreamStop)


def test_each_iteration_has_a_number_of_its_own(counted: Callable[..., Any]) -> None:
    stream = counted((4,), chunks=2).array.stream_chunks()
    with capture("stream.stop") as captured:
        list(stream)
        list(stream)
    first, second = captured.events
    assert first.stream != second.stream


def closed_by_break(stream: Any) -> None:
    for _ in stream:
        break


def closed_by_hand(stream: Any) -> None:
    iterator = iter(stream)
    next(iterator)
    iterator.close()
    assert list(iterator) == []


def dropped(stream: Any) -> None:
    iterator = iter(stream)
    next(iterator)
    del iterator
    gc.collect()


def dropped_in_a_cycle(stream: Any) -> None:
    cycle = [iter(stream)]
    next(cycle[0])
    cycle.append(cycle)
    del cycle
    gc.collect()


def failed_in_the_consumer(stream: Any) -> None:
    def consume() -> None:
        for _ in stream:
            raise KeyError

    with pytest.raises(KeyError):
        consume()


def left_with_a_with(stream: Any) -> None:
    with stream as same:
        assert same is stream
        iterators = [iter(stream), iter(stream)]
        next(iterators[0])
    assert [list(iterator) for iterator in iterators] == [[], []]


@pytest.mark.parametrize(
    "leave",
    [
        closed_by_break,
        closed_by_hand,
        dropped,
        dropped_in_a_cycle,
        failed_in_the_consumer,
        left_with_a_with,
    ],
)
def test_a_stream_that_is_left_early_tells_and_lets_go(
    counted: Callable[..., Any], wait_until: Wait, leave: Callable[[Any], None]
) -> None:
    made = counted((1000,), chunks=1)
    with capture("stream.st*") as captured:
        leave(made.array.stream_chunks(max_bytes=64))
        _, stop = events_of("chunks", captured.events)
    assert (stop.outcome, stop.nchunks) == ("closed", 1)
    wait_until(lambda: process_held() == 0)
    asked = made.store.counts.gets
    assert asked < 100
    assert max(made.chunk_gets().values()) == 1


@pytest.mark.parametrize("shards", [None, 16])
@pytest.mark.parametrize("ordered", [None, True])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_corrupt_chunk_is_an_error_when_the_stream_comes_to_it(
    shards: int | None, ordered: bool | None, concurrency: int
) -> None:
    store = MemoryStore()
    array = zlab.create_array(
        store,
        data=np.arange(64, dtype="int32"),
        chunks=4,
        shards=shards,
        filters=None,
        compressors=[{"id": "zstd", "level": 1}, "crc32c"],
    )
    if shards is None:
        store.put("c/9", store.get("c/9")[:-1] + b"\0")  # type: ignore[index, operator]
    else:
        shard = bytearray(store.get("c/2"))  # type: ignore[arg-type]
        index = np.frombuffer(shard[-4 - 4 * 16 : -4], "<u8").reshape(4, 2)
        offset, nbytes = map(int, index[1])
        shard[offset + nbytes - 1] ^= 0xFF
        store.put("c/2", bytes(shard))
    coords: list[tuple[int, ...]] = []
    chunks = array.stream_chunks(ordered=ordered, concurrency=concurrency)
    with capture("stream.st*") as captured, pytest.raises(ChunkReadError) as caught:
        coords.extend(chunk.coords for chunk in chunks)
    assert caught.value.coords == (9,)
    assert isinstance(caught.value.__cause__, CodecError)
    assert coords == [(n,) for n in range(9)]
    _, stop = events_of("chunks", captured.events)
    assert (stop.outcome, stop.nchunks) == ("failed", 9)


def test_a_store_that_fails_is_an_error_and_no_missing_chunk(counted: Callable[..., Any]) -> None:
    made = counted((64,), chunks=4)
    broken = FaultStore(made.store, [Fault(key="c/5")])
    chunks = iter(zlab.open_array(broken).stream_chunks(include_missing=True))
    assert [next(chunks).coords for _ in range(5)] == [(n,) for n in range(5)]
    with pytest.raises(ChunkReadError) as caught:
        next(chunks)
    assert caught.value.coords == (5,)
    assert isinstance(caught.value.__cause__, StoreError)
    assert list(chunks) == []


def test_a_listing_that_fails_is_an_error() -> None:
    store = FaultStore(MemoryStore(), [Fault("list")])
    array = zlab.create_array(store, shape=10**9, chunks=1, dtype="int8")
    with pytest.raises(StoreError, match="injected fault"):
        list(array.stream_chunks())


def test_events_change_nothing(counted: Callable[..., Any]) -> None:
    made = counted((64, 5), chunks=(4, 5))
    with capture("chunk.run"):
        watched = [chunk.data.tolist() for chunk in made.array.stream_chunks()]
    assert watched == [chunk.data.tolist() for chunk in made.array.stream_chunks()]


def test_neighbours_in_a_stream_never_share_memory(counted: Callable[..., Any]) -> None:
    made = counted((64, 5), chunks=(4, 5), shards=(16, 5))
    for one, other in pairwise(made.array.stream_chunks()):
        assert not np.shares_memory(one.data, other.data)


def test_the_repr_tells_the_plan(counted: Callable[..., Any]) -> None:
    array = counted((8, 3), chunks=(2, 3)).array
    stream = array.stream_chunks(region=slice(2, 8), concurrency=2, max_bytes=1 << 20)
    assert repr(stream) == (
        f"<ChunkStream {array.store.name} [2:8, 0:3]: 3 chunks of int32 at most, those that are "
        "stored, in C order, 2 at once, 1 MiB ahead at most>"
    )
