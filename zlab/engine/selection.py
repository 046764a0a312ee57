"""What a user typed between brackets, normalised: one span along each axis.

NumPy's rules: slices are clipped, integers are checked and drop their axis, an ellipsis stands for
the axes that are not named.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from types import EllipsisType
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, TypeAlias

from zlab.errors import SelectionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BasicIndex: TypeAlias = SupportsIndex | slice | EllipsisType
BasicSelection: TypeAlias = BasicIndex | tuple[BasicIndex, ...]


class Span(NamedTuple):
    """`count` elements of an axis from `start`, `step` (> 0) apart."""

    start: int
    step: int
    count: int  # type: ignore[assignment]  # nobody asks a span for tuple.count


@dataclass(frozen=True, slots=True)
class Region:
    """A box of an array, and how the user wants to see it.

    Attributes:
        spans: What is taken along each axis of the array.
        reversed_axes: Axes that were selected with a negative step.
        dropped_axes: Axes that were selected with an integer.
    """

    spans: tuple[Span, ...]
    reversed_axes: tuple[int, ...] = ()
    dropped_axes: tuple[int, ...] = ()

    @property
    def box_shape(self) -> tuple[int, ...]:
        """Elements along each axis of the array, dropped ones included."""
        return tuple(span.count for span in self.spans)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that the user sees."""
        return tuple(
            span.count for axis, span in enumerate(self.spans) if axis not in self.dropped_axes
        )

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


def parse_basic(selection: object, shape: tuple[int, ...]) -> Region:
    """Normalises a basic selection.

    Args:
        selection: Integers, slices and at most one ellipsis, alone or in a tuple.
        shape: Of the array.

    Raises:
        SelectionError: Too many indices, an integer out of bounds, or something else than
            integers, slices and an ellipsis.

    Example:
        >>> parse_basic((0, slice(None, None, -2)), (3, 5))
        Region(spans=(Span(start=0, step=1, count=1), Span(start=0, step=2, count=3)), \
reversed_axes=(1,), dropped_axes=(0,))
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
        start = 0 if index.start is None else operator.index(index.start)
        stop = length if index.stop is None else operator.index(index.stop)
        if not 0 <= start <= stop <= length:
            msg = f"region {start}:{stop} is not inside axis {axis}, which has length {length}"
            raise SelectionError(msg)
        spans.append(Span(start, 1, stop - start))
    return Region(tuple(spans))
