"""From blocks of arrays to frames of rows, the coordinates beside the values."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, final

import numpy as np
import polars as pl

from zlab.array import Array
from zlab.polars.columns import column

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from zlab.polars.columns import ColumnType

_WHOLE_NBYTES = 64 << 20  # coordinates up to which they are read once and kept


@final
@dataclass(slots=True)
class Coordinate:
    """The coordinates of one dimension, as they are asked for.

    Attributes:
        values: Of the dimension, `None` for positions.
    """

    values: Array | NDArray[Any] | None
    _known: NDArray[Any] | None = field(default=None, init=False)
    _start: int = field(default=0, init=False)

    def at(self, start: int, stop: int) -> NDArray[Any]:
        """Those from one position up to the one before another."""
        if self.values is None:
            return np.arange(start, stop)
        if not isinstance(self.values, Array):
            return self.values[start:stop]
        known = self._known
        if known is None or not self._start <= start <= stop <= self._start + len(known):
            whole = self.values.nbytes <= _WHOLE_NBYTES
            self._start = 0 if whole else start
            known = self._known = self.values[:] if whole else self.values[start:stop]
        return known[start - self._start : stop - self._start]


def rows_of(
    region: tuple[slice, ...],
    values: Mapping[str, NDArray[Any]],
    coordinates: Mapping[str, tuple[int, Coordinate]],
    kinds: Mapping[str, ColumnType],
    *,
    n: int,
    limit: int | None = None,
) -> Iterator[pl.DataFrame]:
    """The rows of a block, in C order, some at a time.

    Args:
        region: Where the block lies.
        values: Of the block, by column name.
        coordinates: By column name, with the axis that they are of.
        kinds: How values become columns; positions have none.
        n: Rows of a frame, at most where one position along the last axis is not more.
        limit: Rows that are wanted, all by default.
    """
    shape = tuple([part.stop - part.start for part in region])
    flat = {name: array.reshape(-1) for name, array in values.items()}
    along = {
        name: (axis, coordinate.at(region[axis].start, region[axis].stop))
        for name, (axis, coordinate) in coordinates.items()
    }
    total = prod(shape) if limit is None else limit
    at = 0
    for box in _boxes(shape, n):
        if at >= total:
            return
        inside = tuple([part.stop - part.start for part in box])
        size = min(prod(inside), total - at)
        columns = {}
        for name, (axis, coordinate) in along.items():
            spread = spread_along(coordinate[box[axis]], axis, inside)[:size]
            columns[name] = column(name, spread, kinds.get(name))
        for name, array in flat.items():
            columns[name] = column(name, array[at : at + size], kinds[name])
        yield pl.DataFrame(columns)
        at += size


def _boxes(shape: tuple[int, ...], n: int) -> Iterator[tuple[slice, ...]]:
    """Boxes of at most `n` elements, each of which lies in one piece in C order, one by one."""
    behind, axis = 1, len(shape) - 1
    while axis >= 0 and behind * shape[axis] <= n:
        behind *= shape[axis]
        axis -= 1
    if axis < 0:
        yield tuple([slice(0, length) for length in shape])
        return
    step = max(1, n // behind)
    rest = tuple([slice(0, length) for length in shape[axis + 1 :]])
    for outer in np.ndindex(shape[:axis]):
        before = tuple([slice(place, place + 1) for place in outer])
        for start in range(0, shape[axis], step):
            yield (*before, slice(start, min(start + step, shape[axis])), *rest)


def spread_along(values: NDArray[Any], axis: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """The coordinates of one dimension for every element of a box, in C order."""
    behind = (1,) * (len(shape) - axis - 1)
    return np.broadcast_to(values.reshape(-1, *behind), shape).reshape(-1)
