"""Selections are NumPy's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import zlab
from zlab.engine.read import read_region
from zlab.engine.selection import Span, fit_value, parse_basic, parse_orthogonal, parse_region
from zlab.errors import SelectionError

if TYPE_CHECKING:
    from zlab.engine.selection import Region


def _apply(region: Region, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    parts = []
    for span in region.spans:
        assert isinstance(span, Span)
        parts.append(slice(span.start, span.start + span.count * span.step, span.step))
    box: np.ndarray[Any, Any] = array[tuple(parts)]
    return region.forward(box).reshape(region.shape)


@given(data=st.data())
def test_a_region_takes_what_numpy_takes(data: st.DataObject) -> None:
    shape = data.draw(npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7))
    array = np.arange(np.prod(shape)).reshape(shape)
    selection = data.draw(npst.basic_indices(shape))
    region = parse_basic(selection, shape)
    expected = array[selection]
    assert region.shape == expected.shape
    np.testing.assert_array_equal(_apply(region, array), expected)


@given(
    length=st.integers(0, 6),
    start=st.none() | st.integers(-20, 20),
    stop=st.none() | st.integers(-20, 20),
    step=st.none() | st.integers(-4, 4).filter(bool),
)
def test_slices_out_of_range_are_clipped(
    length: int, start: int | None, stop: int | None, step: int | None
) -> None:
    array = np.arange(length)
    selection = slice(start, stop, step)
    np.testing.assert_array_equal(
        _apply(parse_basic(selection, (length,)), array), array[selection]
    )


@pytest.mark.parametrize(
    ("selection", "shape", "words"),
    [
        (5, (5,), "index 5 is out of bounds for axis 0 with length 5"),
        (-6, (5,), "index -6 is out of bounds"),
        ((0, 0), (5,), "2 indices for an array of 1 dimensions"),
        ((..., ...), (5, 5), "one ellipsis"),
        (True, (5,), "boolean"),
        (1.5, (5,), "not float"),
        ([0, 1], (5,), "oindex"),
        (slice(0, 4, 0), (5,), "axis 0"),
        ("time", (5,), "not str"),
        (None, (5,), "not NoneType"),
    ],
)
def test_what_does_not_fit_is_told(selection: object, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(SelectionError, match=words):
        parse_basic(selection, shape)


def test_numpy_integers_are_indices() -> None:
    assert parse_basic(np.int32(-1), (5,)).spans == (Span(4, 1, 1),)


@pytest.mark.parametrize(
    ("region", "spans"),
    [
        (None, (Span(0, 1, 5), Span(0, 1, 4))),
        (slice(1, 3), (Span(1, 1, 2), Span(0, 1, 4))),
        ((..., slice(2, None)), (Span(0, 1, 5), Span(2, 1, 2))),
        ((slice(2, 2), slice(None)), (Span(2, 1, 0), Span(0, 1, 4))),
    ],
)
def test_regions(region: object, spans: tuple[Span, ...]) -> None:
    assert parse_region(region, (5, 4)).spans == spans


@pytest.mark.parametrize(
    "region", [slice(0, 6), slice(-1, None), slice(3, 2), slice(0, 4, 2), slice("x"), 1]
)
def test_regions_are_strict(region: object) -> None:
    with pytest.raises(SelectionError, match="region"):
        parse_region(region, (5, 4))


@given(data=st.data())
def test_a_value_fits_where_numpy_s_assignment_takes_it(data: st.DataObject) -> None:
    shape = data.draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    own = data.draw(npst.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=3))
    value = np.arange(np.prod(own, dtype=int), dtype="f8").reshape(own)
    target = np.zeros(shape, "i2")
    try:
        target[...] = value
    except ValueError:
        with pytest.raises(ValueError, match="does not fit a selection of shape"):
            fit_value(value, shape, target.dtype)
    else:
        fitted = fit_value(value, shape, target.dtype)
        assert fitted.dtype == target.dtype
        np.testing.assert_array_equal(fitted, target)


def test_a_value_that_fits_is_not_copied() -> None:
    value = np.zeros((3, 4), "i2")
    assert np.shares_memory(fit_value(value, (2, 3, 4), np.dtype("i2")), value)


def test_python_s_numbers_are_checked_and_arrays_are_cast() -> None:
    with pytest.raises(OverflowError):
        fit_value(300, (2,), np.dtype("u1"))
    assert fit_value(np.array([300]), (2,), np.dtype("u1")).tolist() == [44, 44]


@given(data=st.data())
def test_a_part_of_a_region_is_that_part_of_what_numpy_takes(data: st.DataObject) -> None:
    shape = data.draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=7))
    array = zlab.create_array({}, data=np.arange(np.prod(shape, dtype=int)).reshape(shape))
    selection: Any = data.draw(npst.basic_indices(shape))
    picked = data.draw(st.sampled_from([None, *range(len(shape))]))
    if picked is None:
        region = parse_basic(selection, shape)
    else:
        wanted = st.lists(st.integers(-shape[picked], shape[picked] - 1), max_size=5)
        indices = data.draw(wanted) if shape[picked] else []
        selection = (*[slice(None, None, -2)] * picked, np.array(indices, int))
        region = parse_orthogonal(selection, shape)
    expected = array[...][selection]
    bounds = [
        sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2)))
        for n in expected.shape
    ]
    box = tuple(slice(*each) for each in bounds)
    part = region.part(box)
    assert part.shape == expected[box].shape
    np.testing.assert_array_equal(read_region(array.layout, part), expected[box])
