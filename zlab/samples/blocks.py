"""Blocks of samples, cut where the chunks of all arrays are cut, so that each has its own chunks.

Pure. Nothing is kept for each block of a regular grid: there may be 10^9 of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import lcm, prod
from typing import TYPE_CHECKING

import numpy as np

from zlab.grid.grid import RegularAxis, VariableAxis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from zlab.engine.selection import Span
    from zlab.grid import Axis
    from zlab.samples.grid import Placement, SampledAxis

Box = tuple[tuple[int, int], ...]
"""Of samples: along each sampled axis the first one, and the one behind the last."""


@dataclass(frozen=True)
class Cuts:
    """How the samples along one axis are cut.

    Attributes:
        nsamples: Samples along the axis.
        edges: The first sample of each piece, and the number of samples; `None` where the cuts are
            regular.
        length: Elements of a piece where they are.
        step: Elements from one sample to the next.
    """

    nsamples: int
    edges: NDArray[np.int64] | None
    length: int = 1
    step: int = 1

    @cached_property
    def npieces(self) -> int:
        """Pieces along the axis."""
        if self.edges is not None:
            return len(self.edges) - 1
        return (self.nsamples - 1) * self.step // self.length + 1 if self.nsamples else 0

    def starts(self, pieces: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first sample of some pieces; of the one behind the last, the number of samples."""
        if self.edges is not None:
            return self.edges[pieces]
        return np.minimum(-(-pieces * self.length // self.step), self.nsamples)

    def piece(self, number: int) -> tuple[int, int]:
        """The first sample of a piece, and the one behind its last."""
        if self.edges is not None:
            return int(self.edges[number]), int(self.edges[number + 1])
        start = -(-number * self.length // self.step)
        return start, min(-(-(number + 1) * self.length // self.step), self.nsamples)

    @cached_property
    def usual(self) -> int:
        """The number of samples that most pieces have."""
        if self.edges is None and self.length % self.step == 0:
            return min(self.length // self.step, self.nsamples)
        sizes, n = np.unique(self._sizes, return_counts=True)
        return int(sizes[n.argmax()]) if len(sizes) else 0

    @cached_property
    def longest(self) -> int:
        """Samples of the longest piece."""
        if self.edges is None and self.length % self.step == 0:
            return self.usual
        return int(self._sizes.max(initial=0))

    @cached_property
    def unusual(self) -> NDArray[np.int64]:
        """The pieces that have another number of samples."""
        if self.edges is None and self.length % self.step == 0:
            last = self.npieces - 1
            odd = last >= 0 and self.piece(last)[1] - self.piece(last)[0] != self.usual
            return np.asarray([last] if odd else [], np.int64)
        return np.flatnonzero(self._sizes != self.usual)

    @property
    def _sizes(self) -> NDArray[np.int64]:
        return np.diff(self.starts(np.arange(self.npieces + 1)))


@dataclass(frozen=True)
class Blocks:
    """The samples as boxes, numbered in C order.

    Attributes:
        cuts: How each sampled axis is cut.
    """

    cuts: tuple[Cuts, ...]

    @cached_property
    def identity(self) -> str:
        """What another process has the same blocks by."""
        return repr(
            [
                (c.nsamples, c.length, c.step) if c.edges is None else c.edges.tolist()
                for c in self.cuts
            ]
        )

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Blocks along each sampled axis."""
        return tuple(cuts.npieces for cuts in self.cuts)

    @cached_property
    def nblocks(self) -> int:
        """Blocks in all."""
        return prod(self.shape)

    @cached_property
    def largest(self) -> tuple[int, ...]:
        """Along each sampled axis, the most samples that a block has."""
        return tuple(cuts.longest for cuts in self.cuts)

    @cached_property
    def usual(self) -> int:
        """The number of samples that most blocks have."""
        return prod(cuts.usual for cuts in self.cuts)

    def box(self, number: int) -> Box:
        """The samples of a block."""
        box = []
        for cuts in reversed(self.cuts):
            number, along = divmod(number, cuts.npieces)
            box.append(cuts.piece(along))
        return tuple(reversed(box))

    @cached_property
    def unusual(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The blocks with another number of samples than most, and what they have more."""
        numbers, sizes = [], []
        for a, cuts in enumerate(self.cuts):
            # each block once: along the axes before, only the usual pieces
            pieces = [np.setdiff1d(np.arange(c.npieces), c.unusual) for c in self.cuts[:a]]
            pieces += [cuts.unusual, *(np.arange(c.npieces) for c in self.cuts[a + 1 :])]
            if any(not len(along) for along in pieces):
                continue
            grid = np.meshgrid(*pieces, indexing="ij")
            numbers.append(np.ravel_multi_index([g.ravel() for g in grid], self.shape))
            size = np.ones(numbers[-1].shape, np.int64)
            for c, g in zip(self.cuts, grid, strict=True):
                along = g.ravel()
                size *= c.starts(along + 1) - c.starts(along)
            sizes.append(size - self.usual)
        if not numbers:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate(numbers), np.concatenate(sizes)


def cut(placements: Sequence[Placement], *, chunks: int = 1) -> Blocks:
    """The blocks of some arrays.

    Args:
        placements: Where the samples lie in each of them.
        chunks: Chunks of a block along the axes where windows cross from one chunk to the next.
    """
    grid = placements[0].grid
    return Blocks(
        tuple(
            _cut_axis(axis, [p.layout.chunks.axes[p.sampled[k]] for p in placements], chunks=chunks)
            for k, axis in enumerate(grid.axes)
        )
    )


def crosses(axis: SampledAxis, chunks: Axis) -> bool:
    """Whether samples along an axis may lie in several chunks, or share one with the next block."""
    if axis.window is None:
        return False
    if not isinstance(chunks, RegularAxis) or axis.step != axis.window:
        return True
    return chunks.chunk % axis.window != 0


def crosses_any(placement: Placement) -> bool:
    """As `crosses`, along any of the sampled axes."""
    chunked = placement.layout.chunks.axes
    pairs = zip(placement.grid.axes, placement.sampled, strict=True)
    return any(crosses(axis, chunked[a]) for axis, a in pairs)


def _cut_axis(axis: SampledAxis, chunked: Sequence[Axis], *, chunks: int) -> Cuts:
    n, step = axis.nsamples, axis.step
    lengths = [along.chunk for along in chunked if isinstance(along, RegularAxis)]
    if len(lengths) == len(chunked):
        length = lcm(*lengths)
        if any(crosses(axis, along) for along in chunked):
            length *= chunks
        # no block without a sample
        length *= -(-step // length)
        return Cuts(n, None, min(length, max(n, 1) * step), step)
    common: NDArray[np.int64] | None = None
    for along in chunked:
        edges = _edges(along)
        common = edges if common is None else np.intersect1d(common, edges)
    starts = np.minimum(-(-(np.empty(0, np.int64) if common is None else common) // step), n)
    return Cuts(n, np.unique(np.append(starts, n)))


def chunks_in(axes: Sequence[Axis], spans: Sequence[Span]) -> int:
    """Chunks that hold some of a box of elements.

    Args:
        axes: How the array is cut.
        spans: The box, without steps.
    """
    return prod(
        axis.chunk_at(first + n - 1) - axis.chunk_at(first) + 1 if n else 0
        for axis, (first, _, n) in zip(axes, spans, strict=True)
    )


def longest_chunk(axis: Axis) -> int:
    """The most elements that a chunk has along an axis."""
    if isinstance(axis, RegularAxis):
        return min(axis.chunk, axis.length)
    if isinstance(axis, VariableAxis):
        return min(axis.largest, axis.length)
    return max((axis.size(chunk) for chunk in range(axis.nchunks)), default=1)


def _edges(axis: Axis) -> NDArray[np.int64]:
    return np.asarray([axis.start(c) for c in range(axis.nchunks)], np.int64)
