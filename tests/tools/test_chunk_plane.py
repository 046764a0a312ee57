from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.errors import MemoryBudgetError, SelectionError
from zlab.stores.memory import MemoryStore
from zlab.tools.chunk_plane import Cut, cut_plane, encode_plane, plan_cut, read_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((), ()),
        ((5,), (0,)),
        ((5, 2), (0, 1)),
        ((365, 1, 4), (0, 2)),
        ((2, 9, 8), (1, 2)),
        ((1, 1, 1), (1, 2)),
        ((4, 4, 4, 4), (2, 3)),
        ((0, 3, 2), (1, 2)),
    ],
)
def test_the_default_axes_have_the_most_chunks(
    shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    assert plan_cut(shape) == Cut(axes, (0,) * len(shape))


def test_the_index_of_drawn_axes_is_ignored() -> None:
    assert plan_cut((3, 4, 5), [2, 0], [99, 3, 99]) == Cut((2, 0), (0, 3, 0))


@pytest.mark.parametrize(
    ("axes", "index"),
    [
        ([0], None),
        ([0, 0], None),
        ([0, 1, 2], None),
        ([], None),
        ([0, 3], None),
        ([0, -1], None),
        ([0, 1], [0, 0]),
        ([0, 1], [0, 0, 5]),
        ([0, 1], [0, 0, -1]),
    ],
)
def test_cuts_that_do_not_fit(axes: Sequence[int], index: Sequence[int] | None) -> None:
    with pytest.raises(SelectionError):
        plan_cut((3, 4, 5), axes, index)


@given(st.data())
def test_a_plane_is_what_indexing_gives(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), max_size=4)))
    sizes = np.arange(int(np.prod(shape, dtype=int)), dtype=np.int64).reshape(shape) - 1
    order = data.draw(st.permutations(range(len(shape))))
    axes = order[:2]
    index = [data.draw(st.integers(0, n - 1)) for n in shape]
    plane = cut_plane(sizes, plan_cut(shape, axes, index), (1,) * len(shape), None)
    rows, columns = plane.nbytes_stored.shape
    for row in range(rows):
        for column in range(columns):
            at = list(index)
            for axis, coordinate in zip(axes, (row, column)[2 - len(axes) :], strict=True):
                at[axis] = coordinate
            assert plane.nbytes_stored[row, column] == sizes[tuple(at)]
    assert rows * columns == np.prod([shape[axis] for axis in axes], dtype=int)


def test_shards() -> None:
    sizes = np.zeros((6, 4, 2), np.int64)
    plane = cut_plane(sizes, plan_cut((6, 4, 2), [1, 0]), (5, 3, 1), (10, 12, 2))
    assert plane.shards_per == (4, 2)
    assert cut_plane(sizes[:, 0, 0], plan_cut((6,)), (5,), (10,)).shards_per == (1, 2)
    assert cut_plane(np.zeros((), np.int64), plan_cut(()), (), ()).shards_per == (1, 1)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (0, 3, 3), (3, 3, 0)])
def test_arrays_without_elements(shape: tuple[int, ...]) -> None:
    plane = cut_plane(np.empty(shape, np.int64), plan_cut(shape), (1,) * len(shape), None)
    header = plane.header("a", "b")
    assert header["nchunks_stored"] == header["nbytes_stored"] == 0
    assert header["min"] is None
    assert len(plane.payload()) == 8 * header["shape"][0] * header["shape"][1]


@given(st.text(), st.text())
def test_values_start_at_a_multiple_of_8(store: str, path: str) -> None:
    sizes = np.array([[5, -1, 7]], np.int64)
    body = encode_plane(cut_plane(sizes, plan_cut((1, 3)), (1, 1), None), store, path)
    (nbytes,) = struct.unpack("<I", body[:4])
    assert (4 + nbytes) % 8 == 0
    header = json.loads(body[4 : 4 + nbytes])
    assert (header["store"], header["path"]) == (store, path)
    assert (header["min"], header["max"], header["nbytes_stored"]) == (5, 7, 12)
    assert struct.unpack("<3d", body[4 + nbytes :]) == (5.0, -1.0, 7.0)


def test_sizes_of_an_array() -> None:
    array = zlab.create_array(
        MemoryStore(), shape=(4, 4), chunks=(2, 2), dtype="i2", compressors=None
    )
    array[:2, 2:] = 1
    np.testing.assert_array_equal(read_sizes(array, 4), [[-1, 8], [-1, -1]])
    with pytest.raises(MemoryBudgetError) as info:
        read_sizes(array, 3)
    assert (info.value.needed, info.value.budget) == (32, 24)
