"""Every way to select takes and writes what NumPy does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import zlab
from zlab.errors import SelectionError


@st.composite
def arrays(draw: Any, *, min_dims: int = 1) -> tuple[zlab.Array, np.ndarray[Any, Any]]:
    shape = draw(npst.array_shapes(min_dims=min_dims, max_dims=3, min_side=1, max_side=12))
    data = np.arange(1, np.prod(shape) + 1, dtype="i4").reshape(shape)
    chunks = tuple(draw(st.integers(1, n + 1)) for n in shape)
    shards = tuple(c * draw(st.integers(1, 3)) for c in chunks) if draw(st.booleans()) else None
    return zlab.create_array({}, data=data, chunks=chunks, shards=shards), data


@st.composite
def axis_indices(draw: Any, length: int) -> Any:
    kind = draw(st.sampled_from(["slice", "int", "array", "mask"]))
    if kind == "slice":
        return draw(st.slices(length))
    if kind == "int":
        return draw(st.integers(-length, length - 1))
    if kind == "mask":
        return draw(npst.arrays(bool, length))
    return draw(st.lists(st.integers(-length, length - 1), max_size=15))


def _orthogonal(data: np.ndarray[Any, Any], selection: tuple[Any, ...]) -> np.ndarray[Any, Any]:
    grids = []
    dropped = []
    for axis, (index, length) in enumerate(zip(selection, data.shape, strict=True)):
        grids.append(np.atleast_1d(np.arange(length)[index if index != [] else slice(0, 0)]))
        if isinstance(index, int):
            dropped.append(axis)
    taken: np.ndarray[Any, Any] = data[np.ix_(*grids)]
    return np.squeeze(taken, axis=tuple(dropped))


@given(made=arrays(), data=st.data())
def test_orthogonal_selection(
    made: tuple[zlab.Array, np.ndarray[Any, Any]], data: st.DataObject
) -> None:
    array, model = made
    selection = tuple(data.draw(axis_indices(n)) for n in model.shape)
    plain = tuple(
        index.tolist() and np.flatnonzero(index) if isinstance(index, np.ndarray) else index
        for index in selection
    )
    plain = tuple(
        [] if isinstance(index, np.ndarray) and not index.size else index for index in plain
    )
    lists = tuple(index.tolist() if isinstance(index, np.ndarray) else index for index in plain)
    expected = _orthogonal(model, lists)
    np.testing.assert_array_equal(array.oindex[selection], expected)
    values = np.arange(expected.size, dtype="i4").reshape(expected.shape) - 1000
    array.oindex[selection] = values
    grids = [
        np.atleast_1d(np.arange(n)[index if index != [] else slice(0, 0)])
        for index, n in zip(lists, model.shape, strict=True)
    ]
    changed = model.copy()
    changed[np.ix_(*grids)] = values.reshape([len(grid) for grid in grids])
    np.testing.assert_array_equal(array[...], changed)


@given(made=arrays(), data=st.data())
def test_coordinate_selection(
    made: tuple[zlab.Array, np.ndarray[Any, Any]], data: st.DataObject
) -> None:
    array, model = made
    shape = data.draw(npst.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=9))
    points = tuple(
        data.draw(npst.arrays("i8", shape, elements=st.integers(-n, n - 1))) for n in model.shape
    )
    np.testing.assert_array_equal(array.vindex[points], model[points])
    values = data.draw(npst.arrays("i4", shape))
    array.vindex[points] = values
    changed = model.copy()
    changed[points] = values
    np.testing.assert_array_equal(array[...], changed)


@given(made=arrays(), data=st.data())
def test_mask_selection(made: tuple[zlab.Array, np.ndarray[Any, Any]], data: st.DataObject) -> None:
    array, model = made
    mask = data.draw(npst.arrays(bool, model.shape))
    np.testing.assert_array_equal(array[mask], model[mask])
    np.testing.assert_array_equal(array.vindex[mask], model[mask])
    array[mask] = -7
    changed = model.copy()
    changed[mask] = -7
    np.testing.assert_array_equal(array[...], changed)


@given(made=arrays(), data=st.data())
def test_brackets_with_one_array_are_numpys(
    made: tuple[zlab.Array, np.ndarray[Any, Any]], data: st.DataObject
) -> None:
    array, model = made
    axis = data.draw(st.integers(0, model.ndim - 1))
    selection: list[Any] = [data.draw(st.slices(n)) for n in model.shape]
    n = model.shape[axis]
    selection[axis] = data.draw(st.lists(st.integers(-n, n - 1), min_size=1, max_size=9))
    np.testing.assert_array_equal(array[tuple(selection)], model[tuple(selection)])


@given(made=arrays(), data=st.data())
def test_blocks(made: tuple[zlab.Array, np.ndarray[Any, Any]], data: st.DataObject) -> None:
    array, model = made
    blocks = tuple(data.draw(st.integers(0, n - 1)) for n in array.chunk_grid_shape)
    region = tuple(slice(b * c, (b + 1) * c) for b, c in zip(blocks, array.chunks, strict=True))
    np.testing.assert_array_equal(array.blocks[blocks], model[region])
    array.blocks[blocks] = 0
    model = model.copy()
    model[region] = 0
    np.testing.assert_array_equal(array[...], model)
    first = array.blocks[: blocks[0] + 1]
    np.testing.assert_array_equal(first, model[: (blocks[0] + 1) * array.chunks[0]])


@st.composite
def bounds(draw: Any, length: int) -> slice:
    """A slice that need not lie in the axis, forward or backward."""
    number = st.none() | st.integers(-3 * length - 3, 3 * length + 3)
    step = draw(st.none() | st.integers(-length - 2, length + 2).filter(bool))
    return slice(draw(number), draw(number), step)


@st.composite
def values(draw: Any, shape: tuple[int, ...]) -> Any:
    """Something that NumPy broadcasts to a shape."""
    own = [draw(st.sampled_from([1, n])) for n in shape][draw(st.integers(0, len(shape))) :]
    kind = draw(st.sampled_from(["i2", "i4", "i8", "f8"]))
    array = draw(npst.arrays(kind, tuple(own), elements=st.integers(-99, 99)))
    return array if draw(st.booleans()) or not array.size else array.tolist()


@given(
    shape=npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=11),
    order=st.sampled_from("CF"),
    is_sharded=st.booleans(),
    data=st.data(),
)
def test_brackets_are_numpys(
    shape: tuple[int, ...], order: Any, is_sharded: bool, data: st.DataObject
) -> None:
    model = np.arange(1, np.prod(shape, dtype=int) + 1, dtype="i4").reshape(shape)
    chunks = tuple(data.draw(st.integers(1, n + 1)) for n in shape)
    shards = tuple(2 * c for c in chunks) if shape and is_sharded else None
    array = zlab.create_array({}, data=model, chunks=chunks, shards=shards, order=order)
    selection: tuple[Any, ...] = tuple(
        data.draw(
            bounds(n) | (st.integers(-n, n - 1) | st.integers(-n, n - 1).map(np.asarray))
            if n
            else bounds(n)
        )
        for n in shape
    )
    cut = data.draw(st.none() | st.integers(0, len(shape)))
    if cut is not None:
        selection = (*selection[:cut], Ellipsis, *selection[cut + 1 :])
    expected = model[selection]
    taken = array[selection]
    assert taken.shape == expected.shape
    np.testing.assert_array_equal(taken, expected)
    value = data.draw(values(expected.shape))
    array[selection] = value
    changed = model.copy()
    changed[selection] = value
    np.testing.assert_array_equal(array[...], changed)


@given(made=arrays(), data=st.data())
def test_any_value_that_fits_is_broadcast_to_points(
    made: tuple[zlab.Array, np.ndarray[Any, Any]], data: st.DataObject
) -> None:
    array, model = made
    shape = data.draw(npst.array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=5))
    # distinct points: of one that is named twice NumPy promises nothing
    picked = data.draw(st.permutations(range(model.size)))[: int(np.prod(shape, dtype=int))]
    if len(picked) < np.prod(shape):
        shape = (len(picked),)
    points = np.unravel_index(np.array(picked, int).reshape(shape), model.shape)
    value = data.draw(values(shape))
    array.vindex[points] = value
    changed = model.copy()
    changed[points] = value
    np.testing.assert_array_equal(array[...], changed)


def test_masks_of_axes_select_where_they_are_true() -> None:
    data = np.arange(20).reshape(4, 5)
    array = zlab.create_array({}, data=data, chunks=(3, 2))
    rows, columns = np.array([True, False, True, False]), [False, True, False, False, True]
    np.testing.assert_array_equal(array.vindex[rows, columns], data[rows, columns])
    np.testing.assert_array_equal(array.vindex[rows, 3], data[rows, 3])
    np.testing.assert_array_equal(array.vindex[(data > 7,)], data[data > 7])


def test_a_number_in_an_array_is_a_number() -> None:
    data = np.arange(20).reshape(4, 5)
    array = zlab.create_array({}, data=data, chunks=(3, 2))
    assert array.oindex[np.array(2), np.int8(-1)] == 14
    np.testing.assert_array_equal(array.oindex[np.array(2), [0, 3]], [10, 13])
    assert array[np.array(2), np.array(-1)] == 14


def test_a_number_that_does_not_fit_the_dtype_is_refused_by_every_door() -> None:
    array = zlab.create_array(
        {}, shape=(4, 5), dtype="u1", chunks=(3, 2), dimension_names=["y", "x"]
    )
    doors: list[tuple[Any, Any]] = [
        (array, 0),
        (array.oindex, ([0, 1], 2)),
        (array.vindex, ([0, 1], [2, 3])),
        (array.blocks, (0, 0)),
        (array, {"x": 0}),
    ]
    for door, selection in doors:
        with pytest.raises(OverflowError):
            door[selection] = 300
    assert not array[...].any()


def test_a_value_of_another_shape_is_refused_and_changes_nothing() -> None:
    array = zlab.create_array({}, data=np.arange(20).reshape(4, 5), chunks=(3, 2))
    with pytest.raises(ValueError, match=r"shape \(3,\) does not fit a selection of shape \(2,\)"):
        array.vindex[[0, 1], [2, 3]] = [1, 2, 3]
    with pytest.raises(ValueError, match=r"broadcast|does not fit"):
        array.oindex[[0, 1], [2, 3]] = [1, 2, 3]
    np.testing.assert_array_equal(array[...], np.arange(20).reshape(4, 5))


@given(made=arrays(), data=st.data())
def test_names_are_written_as_they_are_read(
    made: tuple[zlab.Array, np.ndarray[Any, Any]], data: st.DataObject
) -> None:
    plain, model = made
    names = ["time", "y", "x"][: model.ndim]
    array = zlab.create_array({}, data=model, chunks=plain.chunks, dimension_names=names)
    chosen = data.draw(st.lists(st.sampled_from(names), unique=True))
    selection: dict[str, Any] = {
        name: data.draw(bounds(model.shape[names.index(name)])) for name in chosen
    }
    brackets = tuple(selection.get(name, slice(None)) for name in names)
    np.testing.assert_array_equal(array.isel(**selection), model[brackets])
    np.testing.assert_array_equal(array[selection], model[brackets])
    value = data.draw(values(model[brackets].shape))
    array[selection] = value
    changed = model.copy()
    changed[brackets] = value
    np.testing.assert_array_equal(array[...], changed)


def test_named_dimensions() -> None:
    data = np.arange(24).reshape(2, 3, 4)
    array = zlab.create_array({}, data=data, dimension_names=["time", None, "x"])
    np.testing.assert_array_equal(array.isel(time=1), data[1])
    np.testing.assert_array_equal(array.isel(x=slice(1, 3)), data[..., 1:3])
    np.testing.assert_array_equal(array.isel(x=[3, 0], time=-1), data[-1][:, [3, 0]])
    assert array.isel(time=0, x=slice(0, 100)).shape == (3, 4)
    with pytest.raises(SelectionError, match=r"no dimension is named 'y'.*'time', 'x'"):
        array.isel(y=0)
    with pytest.raises(SelectionError, match="no dimension is named 'y'"):
        array[{"y": 0}] = 1
    with pytest.raises(SelectionError, match="no dimension is named None"):
        array.oindex[{None: 0}]
    array[{"x": [3, 0], "time": 1}] = [[-1, -2]]
    np.testing.assert_array_equal(array[1, :, 0], [-2, -2, -2])
    np.testing.assert_array_equal(array[1, :, 3], [-1, -1, -1])


def test_two_dimensions_of_one_name_are_ambiguous_only_when_they_are_used() -> None:
    array = zlab.create_array({}, data=np.zeros((2, 3)), dimension_names=["x", "x"])
    with pytest.raises(SelectionError, match="two dimensions"):
        array.isel(x=0)


def test_each_chunk_is_decoded_once_however_many_points_it_holds() -> None:
    array = zlab.create_array({}, data=np.arange(1, 101), chunks=10)
    points = np.tile(np.arange(0, 100, 7), 50)
    with zlab.telemetry.capture("chunk.read") as captured:
        array.vindex[points]
    assert sorted(event.coords for event in captured.events) == [(i,) for i in range(10)]


@pytest.mark.parametrize(
    ("door", "selection", "words"),
    [
        ("oindex", ([0, 9], 0), "index 9 is out of bounds for axis 0"),
        ("oindex", ([True], 0), "mask of 1 elements"),
        ("oindex", ([[0]], 0), "2 axes"),
        ("oindex", ([0.5], 0), "float64"),
        ("vindex", ([0],), "1 index arrays"),
        ("vindex", ([0], slice(None)), "oindex"),
        ("vindex", ([0, 1], [0, 1, 2]), "do not fit"),
        ("vindex", ([0], [7]), "axis 1"),
        ("vindex", np.ones((2, 2), bool), "mask of shape"),
        ("vindex", ([True], [0]), "mask of 1 elements for axis 0"),
        ("vindex", ([[0], [0, 1]], 0), "many lengths"),
        ("oindex", ([[0], [0, 1]], 0), "many lengths"),
        ("oindex", (None, 0), "NoneType"),
        ("oindex", (np.array(7), 0), "index 7 is out of bounds for axis 0"),
        ("oindex", ([2**70], 0), "object"),
        ("blocks", (9,), "out of bounds"),
        ("blocks", (slice(None, None, 2),), "step"),
    ],
)
def test_what_does_not_fit_is_told(door: str, selection: Any, words: str) -> None:
    array = zlab.create_array({}, data=np.arange(20).reshape(4, 5), chunks=1)
    with pytest.raises(SelectionError, match=words):
        getattr(array, door)[selection]


@pytest.mark.parametrize("shards", [None, (4, 4)])
@pytest.mark.parametrize(
    "selection", [..., (slice(1, 6), slice(None, None, -2)), (3,), (slice(2, 2),), (1, 2)]
)
def test_reading_into_given_memory(selection: Any, shards: tuple[int, ...] | None) -> None:
    values = np.arange(49, dtype="i4").reshape(7, 7)
    array = zlab.create_array({}, data=values, chunks=(2, 2), shards=shards)
    expected = np.asarray(values[selection])
    assert array.read(selection).tolist() == expected.tolist()
    # neither contiguous nor aligned, and what lies between stays
    memory = np.full((*expected.shape[:-1], 3 * (expected.shape or (1,))[-1]), -1, "i4")
    out = memory[..., ::3].reshape(()) if expected.ndim == 0 else memory[..., ::3]
    assert array.read(selection, out=out) is out
    assert out.tolist() == expected.tolist()
    assert (memory[..., 1::3] == -1).all()


def test_memory_that_does_not_fit_is_not_written() -> None:
    array = zlab.create_array({}, data=np.arange(6, dtype="i4"))
    for out in (np.zeros(5, "i4"), np.zeros((6, 1), "i4"), np.zeros(6, "i8"), np.zeros(6, ">i4")):
        with pytest.raises(SelectionError, match=r"out is .*, and the selection \(6,\) of int32"):
            array.read(out=out)
        assert not out.any()
    frozen = np.zeros(6, "i4")
    frozen.flags.writeable = False
    with pytest.raises(SelectionError, match="out is read-only"):
        array.read(out=frozen)
