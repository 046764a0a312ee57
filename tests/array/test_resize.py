"""Growing and shrinking: nothing stale comes back, data come before metadata."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.errors import ChunkWriteError, MetadataError, ReadOnlyError
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore, Fault, FaultStore


@given(data=st.data(), sharded=st.booleans(), zarr_format=st.sampled_from([2, 3]))
def test_a_resized_array_is_a_cropped_or_filled_one(
    data: st.DataObject,
    sharded: bool,
    zarr_format: Any,
) -> None:
    ndim = data.draw(st.integers(1, 3))
    sizes = st.lists(st.integers(0, 9), min_size=ndim, max_size=ndim).map(tuple)
    chunks = tuple(data.draw(st.integers(1, 4)) for _ in range(ndim))
    shards = tuple(2 * c for c in chunks) if sharded and zarr_format == 3 else None
    model = np.arange(1, 1 + np.prod(shape := data.draw(sizes)), dtype="i4").reshape(shape)
    array = zlab.create_array(
        {}, data=model, chunks=chunks, shards=shards, zarr_format=zarr_format, fill_value=-1
    )
    for _ in range(data.draw(st.integers(1, 4))):
        shape = data.draw(sizes)
        resized = np.full(shape, -1, "i4")
        kept = tuple(slice(0, min(a, b)) for a, b in zip(shape, model.shape, strict=True))
        resized[kept] = model[kept]
        array.resize(shape)
        model = resized
        assert array.shape == shape
        np.testing.assert_array_equal(array[...], model)
        np.testing.assert_array_equal(zlab.open_array(array.store)[...], model)
        # nothing is stored outside
        assert array.nbytes_stored() >= 0
        keys = [e.key for e in array.store.list() if "zarr.json" not in e.key and ".z" not in e.key]
        assert all(array.layout.coords_of(key) is not None for key in keys)


@given(data=st.data())
def test_appending_is_concatenating(data: st.DataObject) -> None:
    axis = data.draw(st.integers(-2, 1))
    chunks = (data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5)))
    model = np.arange(12, dtype="f8").reshape(3, 4)
    array = zlab.create_array({}, data=model, chunks=chunks)
    for _ in range(3):
        shape = list(model.shape)
        shape[axis] = data.draw(st.integers(0, 4))
        more = np.full(shape, data.draw(st.floats(1, 9)))
        model = np.concatenate([model, more], axis)
        assert array.append(more, axis) == model.shape
        np.testing.assert_array_equal(array[...], model)
    np.testing.assert_array_equal(zlab.open_array(array.store)[...], model)


def test_a_failed_append_leaves_the_array_as_it_was() -> None:
    store = MemoryStore()
    zlab.create_array(store, data=np.arange(1, 9), chunks=4)
    array = zlab.open_array(FaultStore(store, [Fault("put", key="c/3")]), mode="r+")
    with pytest.raises(ChunkWriteError):
        array.append(np.arange(1, 9))
    assert array.shape == (8,)
    assert zlab.open_array(store)[...].tolist() == list(range(1, 9))


def test_a_sparse_array_is_shrunk_by_what_it_stores() -> None:
    counting = CountingStore(MemoryStore())
    array = zlab.create_array(counting, shape=(10**12,), dtype="i4", chunks=1000)
    array[5] = 1
    array[10**11] = 1
    counting.reset()
    array.resize(7)
    assert counting.counts.deletes == 1
    assert counting.counts.puts == 2
    assert array[...].tolist() == [0, 0, 0, 0, 0, 1, 0]


def test_attributes_and_other_fields_survive() -> None:
    array = zlab.create_array(
        {}, shape=(3, 2), dtype="i1", attributes={"a": 1}, dimension_names=["y", "x"]
    )
    array.resize((5, 2))
    again = zlab.open_array(array.store)
    assert (again.shape, dict(again.attrs), again.dimension_names) == ((5, 2), {"a": 1}, ("y", "x"))


@pytest.mark.parametrize("shape", [(1,), (1, 2, 3), (-1, 2)])
def test_shapes_that_do_not_fit(shape: tuple[int, ...]) -> None:
    array = zlab.create_array({}, shape=(3, 2), dtype="i1")
    with pytest.raises(MetadataError, match="resize"):
        array.resize(shape)
    assert array.shape == (3, 2)


@pytest.mark.parametrize(("data", "axis"), [(np.zeros((1, 3)), 0), (np.zeros(2), 0), ([[1, 1]], 2)])
def test_data_that_do_not_fit(data: Any, axis: int) -> None:
    array = zlab.create_array({}, shape=(3, 2), dtype="f8")
    with pytest.raises(MetadataError, match="axis"):
        array.append(data, axis)
    assert array.shape == (3, 2)


def test_a_read_only_array_is_not_resized() -> None:
    store: dict[str, bytes] = {}
    zlab.create_array(store, shape=(3,), dtype="i1")
    with pytest.raises(ReadOnlyError):
        zlab.open_array(store).resize(4)
