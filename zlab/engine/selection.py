"""What a user typed between brackets, normalised: one span along each axis.

NumPy's rules: slices are clipped, integers are checked and drop their axis, an ellipsis stands for
the axes that are not named.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from types import EllipsisType
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np

from zlab.errors import SelectionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

BasicIndex: TypeAlias = SupportsIndex | slice | EllipsisType
BasicSelection: TypeAlias = BasicIndex | tuple[BasicIndex, ...]
ArrayIndex: TypeAlias = "BasicIndex | Sequence[int] | Sequence[bool] | NDArray[Any]"
Selection: TypeAlias = "ArrayIndex | tuple[ArrayIndex, ...] | Mapping[str, ArrayIndex]"


class Span(NamedTuple):
    """`count` elements of an axis from `start`, `step` (> 0) apart."""

    start: int
    step: int
    count: int  # type: ignore[assignment]  # nobody asks a span for tuple.count


@dataclass(frozen=True, slots=True, eq=False)
class Picks:
    """Elements of an axis one by one, in ascending order and each once."""

    indices: NDArray[np.intp]

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.indices)


@dataclass(frozen=True, slots=True)
class Gather:
    """How the user wants to see the picks of an axis.

    Attributes:
        axis: Which axis.
        places: For each element that the user sees, its place among the picks.
        last: For each pick, the last element that the user sees of it, which wins in a write.
    """

    axis: int
    places: NDArray[np.intp]
    last: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Region:
    """A box of an array, and how the user wants to see it.

    Attributes:
        spans: What is taken along each axis of the array.
        reversed_axes: Axes that were selected with a negative step.
        dropped_axes: Axes that were selected with an integer.
        gathers: Axes that were selected with an array of indices.
    """

    spans: tuple[Span | Picks, ...]
    reversed_axes: tuple[int, ...] = ()
    dropped_axes: tuple[int, ...] = ()
    gathers: tuple[Gather, ...] = ()

    @property
    def box_shape(self) -> tuple[int, ...]:
        """Elements along each axis of the array, dropped ones included."""
        return tuple(span.count for span in self.spans)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that the user sees."""
        if not self.dropped_axes and not self.gathers:
            return self.box_shape
        lengths = [span.count for span in self.spans]
        for gather in self.gathers:
            lengths[gather.axis] = len(gather.places)
        return tuple(n for axis, n in enumerate(lengths) if axis not in self.dropped_axes)

    def forward(self, box: NDArray[Any]) -> NDArray[Any]:
        """A view of a box in the user's order, that runs forward along every axis."""
        if not self.reversed_axes:
            return box
        return box[
            tuple(
                slice(None, None, -1) if axis in self.reversed_axes else slice(None)
                for axis in range(len(self.spans))
            )
        ]

    def part(self, box: tuple[slice, ...]) -> Region:
        """The region of a box of what the user sees.

        Args:
            box: A slice without a step for each axis that the user sees.

        Example:
            >>> parse_basic((0, slice(None, None, -2)), (3, 5)).part((slice(1, 3),)).spans
            (Span(start=0, step=1, count=1), Span(start=0, step=2, count=2))
        """
        spans = list(self.spans)
        gathers = {gather.axis: gather for gather in self.gathers}
        seen = [axis for axis in range(len(spans)) if axis not in self.dropped_axes]
        for axis, cut in zip(seen, box, strict=True):
            span = spans[axis]
            if isinstance(span, Picks):
                wanted = span.indices[gathers[axis].places[cut]]
                spans[axis], gathers[axis] = _pick(axis, wanted)
            else:
                start, stop, _ = cut.indices(span.count)
                first = span.count - stop if axis in self.reversed_axes else start
                count = max(stop - start, 0)
                spans[axis] = Span(span.start + first * span.step, span.step, count)
        return replace(self, spans=tuple(spans), gathers=tuple(gathers.values()))


def parse_basic(selection: object, shape: tuple[int, ...]) -> Region:
    """Normalises a basic selection.

    Args:
        selection: Integers, slices and at most one ellipsis, alone or in a tuple.
        shape: Of the array.

    Raises:
        SelectionError: Too many indices, an integer out of bounds, or something else than
            integers, slices and an ellipsis.

    Example:
        >>> region = parse_basic((0, slice(None, None, -2)), (3, 5))
        >>> region.spans, region.reversed_axes, region.dropped_axes
        ((Span(start=0, step=1, count=1), Span(start=0, step=2, count=3)), (1,), (0,))
    """
    indices = selection if isinstance(selection, tuple) else (selection,)
    spans: list[Span] = []
    reversed_axes: list[int] = []
    dropped_axes: list[int] = []
    for axis, (index, length) in enumerate(zip(_expand(indices, shape), shape, strict=True)):
        if isinstance(index, slice):
            span, is_reversed = _parse_slice(index, length, axis)
            spans.append(span)
            if is_reversed:
                reversed_axes.append(axis)
        else:
            spans.append(Span(_parse_integer(index, length, axis), 1, 1))
            dropped_axes.append(axis)
    return Region(tuple(spans), tuple(reversed_axes), tuple(dropped_axes))


def _expand(indices: tuple[object, ...], shape: tuple[int, ...]) -> list[object]:
    places = [place for place, index in enumerate(indices) if index is Ellipsis]
    if len(places) > 1:
        msg = "a selection may hold only one ellipsis ('...')"
        raise SelectionError(msg)
    given = len(indices) - len(places)
    if given > len(shape):
        msg = f"{given} indices for an array of {len(shape)} dimensions, shape {shape}"
        raise SelectionError(msg)
    missing: list[object] = [slice(None)] * (len(shape) - given)
    if not places:
        return [*indices, *missing]
    return [*indices[: places[0]], *missing, *indices[places[0] + 1 :]]


def _parse_slice(index: slice, length: int, axis: int) -> tuple[Span, bool]:
    try:
        start, stop, step = index.indices(length)
    except (TypeError, ValueError) as error:
        raise SelectionError(f"bad slice {index} along axis {axis}: {error}") from error
    count = len(range(start, stop, step))
    if step > 0:
        return Span(start, step, count), False
    return Span(start + (count - 1) * step if count else 0, -step, count), True


def _parse_integer(index: object, length: int, axis: int) -> int:
    if isinstance(index, bool):
        msg = f"a boolean is not an index along axis {axis}"
        raise SelectionError(msg, hint="Select by a mask with `array.vindex[mask]`")
    try:
        number = operator.index(index)  # type: ignore[arg-type]  # what cannot is told below
    except TypeError as error:
        msg = f"an index must be an integer, a slice or '...', not {type(index).__name__}"
        raise SelectionError(
            msg, hint="Select by arrays of indices with `array.oindex` or `array.vindex`"
        ) from error
    if not -length <= number < length:
        msg = f"index {number} is out of bounds for axis {axis} with length {length}"
        raise SelectionError(msg)
    return number + length if number < 0 else number


def parse_orthogonal(selection: object, shape: tuple[int, ...]) -> Region:
    """Normalises an orthogonal selection: each axis is selected for itself.

    Args:
        selection: For each axis an integer, a slice, an array of integers or a mask of the axis's
            length; one ellipsis may stand for several axes.
        shape: Of the array.

    Raises:
        SelectionError: It does not fit the array.

    Example:
        >>> parse_orthogonal(([2, 0, 2], slice(1, 3)), (3, 5)).shape
        (3, 2)
    """
    indices = selection if isinstance(selection, tuple) else (selection,)
    spans: list[Span | Picks] = []
    reversed_axes: list[int] = []
    dropped_axes: list[int] = []
    gathers: list[Gather] = []
    for axis, (index, length) in enumerate(zip(_expand(indices, shape), shape, strict=True)):
        if isinstance(index, slice):
            span, is_reversed = _parse_slice(index, length, axis)
            spans.append(span)
            if is_reversed:
                reversed_axes.append(axis)
        elif as_array(index).ndim == 0:
            spans.append(Span(_parse_integer(index, length, axis), 1, 1))
            dropped_axes.append(axis)
        else:
            picks, gather = _pick(axis, parse_indices(index, length, axis))
            spans.append(picks)
            gathers.append(gather)
    return Region(tuple(spans), tuple(reversed_axes), tuple(dropped_axes), tuple(gathers))


def _pick(axis: int, wanted: NDArray[np.intp]) -> tuple[Picks, Gather]:
    """Elements of an axis in any order, some of them more than once."""
    picks, places = np.unique(wanted, return_inverse=True)
    last = np.empty(len(picks), np.intp)
    last[places] = np.arange(len(wanted))
    return Picks(picks), Gather(axis, places.astype(np.intp, copy=False), last)


def as_array(index: object) -> NDArray[Any]:
    """An index as an array; `SelectionError` for lists of many lengths."""
    try:
        return np.asarray(index)
    except ValueError as error:
        msg = f"lists of many lengths are no index: {index!r:.60}"
        raise SelectionError(msg) from error


def parse_indices(index: object, length: int, axis: int) -> NDArray[np.intp]:
    """The elements of an axis that an array of integers, or a mask, selects.

    Raises:
        SelectionError: It has more than one axis, another dtype, or an index out of bounds.
    """
    array = as_array(index)
    if array.ndim != 1:
        msg = f"axis {axis} is selected by an array of {array.ndim} axes; one is needed"
        raise SelectionError(msg)
    if array.dtype == bool:
        if len(array) != length:
            msg = f"a mask of {len(array)} elements for axis {axis} with length {length}"
            raise SelectionError(msg)
        return np.flatnonzero(array)
    if array.size == 0:
        return np.empty(0, np.intp)
    return check_indices(array, length, axis)


def check_indices(array: NDArray[Any], length: int, axis: int) -> NDArray[np.intp]:
    """Indices of an axis without negative ones; raises `SelectionError` for those out of bounds."""
    if array.dtype.kind not in "iu":
        msg = f"indices must be integers or booleans, not {array.dtype}"
        raise SelectionError(msg)
    outside = (array < -length) | (array >= length)
    if outside.any():
        msg = (
            f"index {array[outside].flat[0]} is out of bounds for axis {axis} with length {length}"
        )
        raise SelectionError(msg)
    indices = array.astype(np.intp)
    indices[indices < 0] += length
    return indices


def parse_region(region: object, shape: tuple[int, ...]) -> Region:
    """Normalises the region of a stream, which keeps every axis and is checked strictly.

    Args:
        region: A tuple of slices with step 1 (or one slice, or `None` for all).
        shape: Of the array.

    Raises:
        SelectionError: A slice reaches outside the array, has a step, or is something else.
    """
    if region is None:
        return Region(tuple(Span(0, 1, n) for n in shape))
    indices = region if isinstance(region, tuple) else (region,)
    spans: list[Span] = []
    for axis, (index, length) in enumerate(zip(_expand(indices, shape), shape, strict=True)):
        if not isinstance(index, slice) or index.step not in (None, 1):
            msg = f"a region is made of slices without a step; axis {axis} has {index!r:.80}"
            raise SelectionError(msg)
        try:
            start = 0 if index.start is None else operator.index(index.start)
            stop = length if index.stop is None else operator.index(index.stop)
        except TypeError as error:
            msg = f"the bounds of a region must be integers; axis {axis} has {index!r:.80}"
            raise SelectionError(msg) from error
        if not 0 <= start <= stop <= length:
            msg = f"region {start}:{stop} is not inside axis {axis}, which has length {length}"
            raise SelectionError(
                msg, hint="The bounds of a region count from 0 and are not clipped"
            )
        spans.append(Span(start, 1, stop - start))
    return Region(tuple(spans))


def fit_value(value: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """What is assigned to a selection, cast and broadcast as NumPy does; no copy where it need not.

    Args:
        value: Array-like; axes of length 1 that it has too many at its front are left out.
        shape: Of the selection.
        dtype: Of the array.

    Raises:
        ValueError: The value cannot be broadcast, or not cast.
        OverflowError: A Python integer that the dtype does not hold.

    Example:
        >>> fit_value([[1], [2]], (2, 3), np.dtype("i4"))
        array([[1, 1, 1],
               [2, 2, 2]], dtype=int32)
    """
    # NumPy refuses a Python number that the dtype does not hold, and wraps one of an array
    array = np.asarray(value, dtype=None if hasattr(value, "dtype") else dtype)
    if array.dtype != dtype:
        array = array.astype(dtype)
    surplus = max(array.ndim - len(shape), 0)
    if array.shape[:surplus] == (1,) * surplus:
        array = array.reshape(array.shape[surplus:])
    try:
        return np.broadcast_to(array, shape)
    except ValueError as error:
        msg = f"a value of shape {np.shape(array)} does not fit a selection of shape {shape}"
        raise ValueError(msg) from error
