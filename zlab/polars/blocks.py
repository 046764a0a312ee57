"""The blocks that a table is read by: boxes that no chunk of any of its arrays reaches across.

The blocks of arrays that are cut into the same chunks are these chunks. Else they are the smallest
boxes that hold whole chunks of each, or, where those are too large to be held, the largest chunks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from math import lcm, prod
from typing import TYPE_CHECKING, Any, Self, TypeAlias, final

import numpy as np

from zlab.config import settings
from zlab.engine.read import read_region
from zlab.engine.selection import parse_region
from zlab.grid.grid import Grid, RegularAxis, VariableAxis
from zlab.polars.sources import same_chunks
from zlab.stream.ahead import Halt, ReadAhead, Unit
from zlab.stream.budget import Account
from zlab.stream.chunks import stream_chunks
from zlab.stream.plan import coords_in
from zlab.stream.ranges import Ranges
from zlab.stream.together import ZipStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.grid import Axis

Block: TypeAlias = "tuple[tuple[slice, ...], tuple[NDArray[Any], ...]]"
"""Where a block lies, and the values of each array there."""


def block_grid(layouts: Sequence[ArrayLayout], max_bytes: int) -> Grid:
    """The grid of the blocks.

    Args:
        layouts: Of arrays of one shape.
        max_bytes: What all arrays of a block may take together, if their chunks differ.
    """
    first, *others = layouts
    if all(same_chunks(first, other) for other in others):
        return first.chunks
    axes = tuple(
        _common([layout.chunks.axes[axis] for layout in layouts])
        for axis in range(len(first.metadata.shape))
    )
    itemsize = sum(layout.dtype.itemsize for layout in layouts)
    if prod(_largest(axis) for axis in axes) * itemsize <= max_bytes:
        return Grid(axes, None)
    return max((layout.chunks for layout in layouts), key=lambda g: prod(map(_largest, g.axes)))


def _common(axes: list[Axis]) -> Axis:
    """An axis that is cut where all axes are."""
    length = axes[0].length
    chunks = [axis.chunk for axis in axes if isinstance(axis, RegularAxis)]
    if len(chunks) == len(axes):
        return RegularAxis(length, max(1, min(lcm(*chunks), length)))
    edges: NDArray[np.int64] | None = None
    for axis in axes:
        found = edges_of(axis, range(axis.nchunks))
        edges = found if edges is None else np.intersect1d(edges, found)
    sizes = np.diff([0] if edges is None else edges)
    return VariableAxis(length, [(int(n), 1) for n in sizes]) if len(sizes) else RegularAxis(0, 1)


def _largest(axis: Axis) -> int:
    if isinstance(axis, RegularAxis):
        return min(axis.chunk, max(axis.length, 1))
    return max((axis.size(number) for number in range(axis.nchunks)), default=1)


def edges_of(axis: Axis, numbers: range) -> NDArray[np.int64]:
    """Where some blocks of an axis begin, and where the last of them ends."""
    if isinstance(axis, RegularAxis):
        edges = np.arange(numbers.start, numbers.stop + 1, dtype=np.int64) * axis.chunk
    else:
        starts = [axis.start(number) for number in numbers]
        last = [starts[-1] + axis.size(numbers[-1])] if starts else [0]
        edges = np.array(starts + last, np.int64)
    return np.minimum(edges, axis.length)


def ends_of(axis: Axis, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where some blocks of an axis begin, and where they end."""
    if isinstance(axis, RegularAxis):
        starts = numbers * axis.chunk
        return starts, np.minimum(starts + axis.chunk, axis.length)
    edges = edges_of(axis, range(axis.nchunks))
    return edges[numbers], edges[numbers + 1]


@final
@dataclass(frozen=True, slots=True)
class Wanted:
    """Which blocks are read, in C order.

    Attributes:
        grid: Of the blocks.
        box: The blocks along each axis among which they are.
        numbers: Their places in the C order of the box, ascending; `None` for the first of it.
        stop: How many of the grid's blocks, in its C order, are wanted at most.
        cut: Where the block lies of which only some rows are wanted, and how many; `None` where
            there is none.
    """

    grid: Grid
    box: tuple[range, ...]
    numbers: NDArray[np.int64] | None
    stop: int
    cut: tuple[tuple[slice, ...], int] | None = None

    @classmethod
    def rows(cls, grid: Grid, n: int | None) -> Self:
        """The blocks that hold the first rows, or all."""
        box = tuple(range(length) for length in grid.shape)
        if n is None:
            return cls(grid, box, None, grid.nchunks)
        rest = n
        for number, coords in enumerate(grid.coords()):
            region = grid.region(coords)
            size = prod(part.stop - part.start for part in region)
            if rest <= size:
                return cls(grid, box, None, number + (rest > 0), (region, rest))
            rest -= size
        return cls(grid, box, None, grid.nchunks)

    @property
    def region(self) -> tuple[slice, ...]:
        """The elements of the box."""
        region = []
        for axis, numbers in zip(self.grid.axes, self.box, strict=True):
            if not len(numbers):
                region.append(slice(0, 0))
                continue
            last = numbers.stop - 1
            stop = min(axis.start(last) + axis.size(last), axis.length)
            region.append(slice(axis.start(numbers.start), stop))
        return tuple(region)

    def regions(self) -> Iterator[tuple[slice, ...]]:
        """Where the blocks lie."""
        for coords in self._coords():
            yield self.grid.region(coords)

    def _coords(self) -> Iterator[tuple[int, ...]]:
        if self.numbers is not None:
            for number in self.numbers:
                yield coords_in(self.box, int(number))
            return
        yield from islice(self.grid.coords(), self.stop)

    @property
    def skipped(self) -> Ranges:
        """The places of the box that are not read."""
        total = prod(r.stop - r.start for r in self.box)
        if self.numbers is None:
            return Ranges([(self.stop, total)])
        skipped = Ranges()
        at = 0
        breaks = np.flatnonzero(np.diff(self.numbers) != 1) + 1
        for run in np.split(self.numbers, breaks):
            if len(run):
                skipped.add(at, int(run[0]))
                at = int(run[-1]) + 1
        skipped.add(at, total)
        return skipped


def read_blocks(
    layouts: Mapping[str, ArrayLayout],
    wanted: Wanted,
    *,
    concurrency: int | None,
    max_bytes: int,
) -> Iterator[Block]:
    """The blocks, one after another, read ahead in bounded memory.

    Raises:
        ChunkReadError: A chunk that is there cannot be read.
    """
    if not layouts:
        yield from ((region, ()) for region in wanted.regions())
        return
    arrays = tuple(layouts.values())
    if wanted.numbers is not None and not len(wanted.numbers):
        return
    if all(same_chunks(arrays[0], other) for other in arrays[1:]):
        streams = tuple(
            replace(
                stream_chunks(
                    layout,
                    region=wanted.region,
                    ordered=True,
                    include_missing=True,
                    concurrency=concurrency,
                    max_bytes=max(1, max_bytes // len(arrays)),
                ),
                done=wanted.skipped,
            )
            for layout in arrays
        )
        for chunks in ZipStream(arrays[0], streams):
            values = tuple([chunk.data for chunk in chunks])
            region = chunks[0].region
            del chunks
            yield region, values
            del values
        return
    halt = Halt()
    near = all(layout.store.local for layout in arrays)
    # each block is read by many threads
    width = concurrency or (2 if near else max(2, settings.fetch_concurrency // 8))
    ahead = ReadAhead(
        (_unit(arrays, region) for region in wanted.regions()),
        Account(max_bytes),
        width=width,
        depth=2 * width,
        ordered=True,
        halt=halt,
    )
    try:
        for nbytes, block in ahead:
            ahead.release(nbytes)
            yield block
            del block
    finally:
        halt.set()


def _unit(arrays: tuple[ArrayLayout, ...], region: tuple[slice, ...]) -> Unit[Block]:
    size = prod(part.stop - part.start for part in region)
    nbytes = size * sum(layout.dtype.itemsize for layout in arrays)
    return Unit(nbytes, partial(_read, arrays, region))


def _read(arrays: tuple[ArrayLayout, ...], region: tuple[slice, ...]) -> Block:
    return region, tuple(
        [read_region(layout, parse_region(region, layout.metadata.shape)) for layout in arrays]
    )
