from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import zlab
from zlab.errors import ChunkReadError, MemoryBudgetError, SelectionError
from zlab.stores.memory import MemoryStore
from zlab.stream.budget import process_held
from zlab.telemetry import ChunkRead, StreamStart, StreamStop, capture
from zlab.testing import CountingStore, LatencyStore

if TYPE_CHECKING:
    from collections.abc import Callable


@given(st.data())
def test_slices_put_together_are_the_selection(data: st.DataObject) -> None:
    ndim = data.draw(st.integers(1, 3))
    shape = tuple(data.draw(st.integers(0, 12)) for _ in range(ndim))
    chunks = tuple(data.draw(st.integers(1, 5)) for _ in range(ndim))
    shards = None
    if data.draw(st.booleans()):
        shards = tuple(c * data.draw(st.integers(1, 3)) for c in chunks)
    memory = MemoryStore()
    store = CountingStore(memory if data.draw(st.booleans()) else LatencyStore(memory, 0))
    array = zlab.create_array(store, shape=shape, chunks=chunks, shards=shards, dtype="int32")
    array.write(..., np.arange(array.size).reshape(shape), write_empty_chunks=True)
    store.reset()
    axis = data.draw(st.integers(-ndim, ndim - 1))
    start, stop = sorted(data.draw(st.integers(0, shape[axis])) for _ in range(2))
    step, length = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 14))
    stream = array.stream_slices(axis, start=start, stop=stop, step=step, length=length)

    with capture("chunk.read") as captured:
        slices = list(stream)

    assert len(slices) == stream.plan.nslices
    values = array[...]
    for one in slices:
        assert one.axis == axis % ndim
        assert one.region[one.axis] == slice(one.start, one.stop, step)
        assert_array_equal(one.data, values[one.region])
        assert one.data.size == 0 or one.data.ctypes.data % 64 == 0
    whole = (slice(None),) * (axis % ndim) + (slice(start, stop, step),)
    assert all(one.data.shape[axis] == length for one in slices[:-1])
    if slices:
        assert_array_equal(np.concatenate([one.data for one in slices], axis=axis), values[whole])
    else:
        assert values[whole].shape[axis] == 0
    read = [event.coords for event in captured.events]
    assert len(read) == len(set(read)) == stream.plan.nchunks


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 9, 40, 100])
@pytest.mark.parametrize("axis", [0, 1])
def test_each_chunk_is_fetched_and_decoded_once(
    counted: Callable[..., Any], axis: int, length: int
) -> None:
    made = counted((40, 12), chunks=(4, 4))
    with capture(ChunkRead) as captured:
        for _ in made.array.stream_slices(axis, length=length):
            pass
    assert made.chunk_gets() == {f"c/{i}/{j}": 1 for i in range(10) for j in range(3)}
    assert len(captured.events) == 30


def test_a_step_leaves_out_chunks_that_it_does_not_touch(counted: Callable[..., Any]) -> None:
    made = counted((40,), chunks=4)
    slices = list(made.array.stream_slices(start=1, step=10, length=3))
    assert [one.data.tolist() for one in slices] == [[1, 11, 21], [31]]
    assert [(one.start, one.stop) for one in slices] == [(1, 22), (31, 32)]
    assert set(made.chunk_gets()) == {"c/0", "c/2", "c/5", "c/7"}


def test_data_are_the_consumers_own(counted: Callable[..., Any]) -> None:
    made = counted((40, 3), chunks=(8, 3))
    for length in (2, 8, 11, 16):
        for one in made.array.stream_slices(length=length):
            assert_array_equal(one.data, made.values[one.region])
            one.data[...] = -1


def test_nothing_is_read_before_the_first_slice_is_asked_for(counted: Callable[..., Any]) -> None:
    made = counted((40, 3), chunks=(8, 3))
    iterator = iter(made.array.stream_slices())
    assert made.chunk_gets() == {}
    next(iterator)
    assert 1 <= len(made.chunk_gets()) <= 4
    iterator.close()


def test_a_slab_beyond_the_budget_is_refused_before_any_read(counted: Callable[..., Any]) -> None:
    made = counted((40, 30), chunks=(8, 5))
    needed = 8 * 30 * 4 + 1 * 30 * 4
    with pytest.raises(MemoryBudgetError, match=f"need {needed} bytes at once") as caught:
        made.array.stream_slices(max_bytes=needed - 1)
    assert (caught.value.needed, caught.value.budget) == (needed, needed - 1)
    assert f"max_bytes={needed}" in str(caught.value)
    assert made.chunk_gets() == {}
    stream = made.array.stream_slices(max_bytes=needed)
    assert stream.plan.nbytes_held == needed
    assert sum(one.data.sum() for one in stream) == made.values.sum()


def test_slices_of_whole_chunks_need_no_slab_besides(counted: Callable[..., Any]) -> None:
    plan = counted((40, 30), chunks=(4, 5)).array.stream_slices(length=8).plan
    assert (plan.nslices, plan.nchunks) == (5, 60)
    assert (plan.slab_nbytes, plan.slice_nbytes) == (8 * 30 * 4, 0)


def test_the_next_slab_is_read_ahead_only_where_there_is_room(
    counted: Callable[..., Any], wait_until: Callable[..., None]
) -> None:
    made = counted((32, 4), chunks=(8, 4))
    slab, one = 8 * 4 * 4, 4 * 4
    tight = iter(made.array.stream_slices(max_bytes=slab + one))
    for _ in range(8):
        next(tight)
        assert set(made.chunk_gets()) == {"c/0/0"}
        assert process_held() == slab
    tight.close()
    made.store.reset()
    roomy = iter(made.array.stream_slices(max_bytes=2 * slab + one))
    next(roomy)
    wait_until(lambda: set(made.chunk_gets()) == {"c/0/0", "c/1/0"})
    roomy.close()


@pytest.mark.parametrize("axis", [2, -3])
def test_an_axis_that_is_not_there_is_refused(counted: Callable[..., Any], axis: int) -> None:
    with pytest.raises(SelectionError, match=f"no axis {axis} in an array of 2 dimensions"):
        counted((4, 4), chunks=2).array.stream_slices(axis)


def test_an_array_without_axes_has_no_slices() -> None:
    with pytest.raises(IndexError, match="no axis 0"):
        zlab.create_array("memory://", shape=(), dtype="int8").stream_slices()


@pytest.mark.parametrize("bounds", [(0, 5), (-1, 4), (3, 2), (5, None)])
def test_bounds_outside_the_axis_are_refused(
    counted: Callable[..., Any], bounds: tuple[int, int | None]
) -> None:
    with pytest.raises(SelectionError, match="not inside axis 0, which has length 4"):
        counted((4,), chunks=2).array.stream_slices(start=bounds[0], stop=bounds[1])


@pytest.mark.parametrize("argument", ["step", "length", "max_bytes"])
def test_numbers_are_at_least_one(counted: Callable[..., Any], argument: str) -> None:
    with pytest.raises(ValueError, match=f"{argument} must be at least 1, not 0"):
        counted((4,), chunks=2).array.stream_slices(**{argument: 0})


@pytest.mark.parametrize("argument", ["axis", "start", "stop", "step", "length", "max_bytes"])
@pytest.mark.parametrize("given", ["x", 1.0, [1]])
def test_the_argument_that_is_no_whole_number_is_named(
    counted: Callable[..., Any], argument: str, given: object
) -> None:
    with pytest.raises(TypeError) as caught:
        counted((4,), chunks=2).array.stream_slices(**{argument: given})
    assert str(caught.value) == f"{argument} must be a whole number, not {given!r}"


@pytest.mark.parametrize("argument", ["axis", "step", "length"])
def test_what_has_a_number_by_default_cannot_be_none(
    counted: Callable[..., Any], argument: str
) -> None:
    with pytest.raises(TypeError, match=f"{argument} must be a whole number, not None"):
        counted((4,), chunks=2).array.stream_slices(**{argument: None})


def test_a_corrupt_chunk_is_an_error_when_the_stream_comes_to_it(
    counted: Callable[..., Any],
) -> None:
    made = counted((12, 4), chunks=(4, 2))
    made.store.put("c/1/1", b"not zstd")
    slices = iter(made.array.stream_slices())
    with capture("stream.st*") as captured:
        assert [next(slices).start for _ in range(4)] == [0, 1, 2, 3]
        with pytest.raises(ChunkReadError) as caught:
            next(slices)
    assert caught.value.coords == (1, 1)
    stops = [event for event in captured.events if isinstance(event, StreamStop)]
    assert [(stop.kind, stop.outcome) for stop in stops] == [("slices", "failed")]


def test_events_count_chunks_and_bytes(counted: Callable[..., Any]) -> None:
    made = counted((12, 4), chunks=(4, 2))
    with capture("stream.st*") as captured:
        for _ in made.array.stream_slices(length=5):
            pass
    start, stop = captured.events
    assert isinstance(start, StreamStart)
    assert isinstance(stop, StreamStop)
    assert start.nchunks == stop.nchunks == 6
    assert (stop.nbytes, stop.outcome) == (12 * 4 * 4, "exhausted")


def test_a_rectilinear_grid_is_cut_at_its_own_chunks() -> None:
    store = MemoryStore()
    array = zlab.create_array(store, shape=(10, 2), chunks=(10, 2), dtype="int32")
    document = array.metadata_document()
    document["chunk_grid"] = {
        "name": "rectilinear",
        "configuration": {"kind": "inline", "chunk_shapes": [[1, 4, 5], [2]]},
    }
    store.put("zarr.json", json.dumps(document).encode())
    array = zlab.open_array(store, mode="r+")
    array[...] = np.arange(20).reshape(10, 2)
    stream = array.stream_slices(length=3)
    assert (stream.plan.nchunks, stream.plan.slab_nbytes) == (3, 5 * 2 * 4)
    assert_array_equal(np.concatenate([one.data for one in stream]), array[...])
    chunks = list(array.stream_chunks())
    assert [chunk.region[0] for chunk in chunks] == [slice(0, 1), slice(1, 5), slice(5, 10)]


def test_reprs(counted: Callable[..., Any]) -> None:
    array = counted((8, 3), chunks=(4, 3)).array
    stream = array.stream_slices(start=1, step=2, length=2)
    assert repr(stream) == (
        f"<SliceStream {array.store.name} [1:8:2] along axis 0: 2 slices of 2, 2 chunks, each "
        "decoded once, 4.58e-05 MiB held at once>"
    )
    assert [repr(one) for one in stream] == [
        "<Slice [1:4:2, 0:3] int32>",
        "<Slice [5:8:2, 0:3] int32>",
    ]


def test_many_slabs_are_in_flight_from_a_store_that_is_far(
    counted: Callable[..., Any], together: Callable[..., Any]
) -> None:
    made = counted((64,), chunks=1)
    far = CountingStore(together(made.store))
    with zlab.settings.override(fetch_concurrency=16):
        assert sum(1 for _ in zlab.open_array(far).stream_slices()) == 64
    assert far.counts.max_in_flight <= 16
