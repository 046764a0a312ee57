"""Boxes that a variable is written in: whole stored objects, and not too many bytes at once."""

from __future__ import annotations

from itertools import pairwise, product
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zlab.engine.layout import ArrayLayout
    from zlab.grid import Grid

_BOX_NBYTES = 16 << 20
"""So that all cores have chunks to encode while the next box is read."""


def boxes(
    layout: ArrayLayout, starts: Sequence[int], shape: Sequence[int]
) -> Iterator[tuple[slice, ...]]:
    """Boxes that cover a region of an array, in C order, cut where stored objects begin.

    Args:
        layout: Of the array, as long as it is to be.
        starts: Where the region begins along each axis.
        shape: Its lengths.

    Yields:
        Boxes within the region.
    """
    itemsize = layout.dtype.itemsize
    grid = layout.objects
    if layout.sharding is not None and _largest(grid) * itemsize > _BOX_NBYTES:
        # a large shard is put together of chunks, which wait encoded
        grid = layout.chunks
    edges = [
        _edges(grid, axis, start, length)
        for axis, (start, length) in enumerate(zip(starts, shape, strict=True))
    ]
    if any(len(cuts) < 2 for cuts in edges):  # noqa: PLR2004  nothing to write
        return
    longest = [max(stop - start for start, stop in pairwise(cuts)) for cuts in edges]
    room = _BOX_NBYTES // max(1, prod(longest) * itemsize)
    for axis in reversed(range(len(edges))):
        together = max(1, min(room, len(edges[axis]) - 1))
        cuts = edges[axis]
        edges[axis] = [*cuts[:-1:together], cuts[-1]]
        # boxes grow along an axis when they are as long as the one behind it
        room = room // together if together == len(cuts) - 1 else 1
    for place in product(*map(pairwise, edges)):
        yield tuple(slice(start, stop) for start, stop in place)


def _largest(grid: Grid) -> int:
    return prod(grid.stored_shape((0,) * len(grid.axes)))


def _edges(grid: Grid, axis: int, start: int, length: int) -> list[int]:
    """Where a box may begin, counted from the start of the region, and its end."""
    if length == 0:
        return [0]
    chunks = grid.axes[axis]
    first, last = chunks.chunk_at(start), chunks.chunk_at(start + length - 1)
    inner = (chunks.start(number) - start for number in range(first + 1, last + 1))
    return [0, *inner, length]
