"""From samples to the chunks that hold them, and from a chunk to its samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zlab.engine.plan import ChunkJob
from zlab.memory import strided

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from zlab.samples.grid import Placement


class Pieces(NamedTuple):
    """Which chunks some samples lie in: a piece is what one sample has of one chunk.

    Only the sampled axes count: along the others a sample has all chunks.

    Attributes:
        chunks: The distinct chunks, one row of coordinates each, in C order.
        bounds: The pieces of chunk `i` are those from `bounds[i]` to `bounds[i + 1]`.
        places: Of each piece, the place of its sample among the samples.
        starts: Of each piece, along each sampled axis the first element of its sample.
    """

    chunks: NDArray[np.int64]
    bounds: NDArray[np.int64]
    places: NDArray[np.int64]
    starts: tuple[NDArray[np.int64], ...]


def split(placement: Placement, indices: NDArray[np.int64]) -> Pieces:
    """Splits samples into pieces, grouped by chunk.

    Args:
        placement: Where samples lie in the array.
        indices: The numbers of the samples.
    """
    places = np.arange(len(indices))
    starts: list[NDArray[np.int64]] = []
    chunks: list[NDArray[np.int64]] = []
    grid, layout = placement.grid, placement.layout
    for axis, a, along in zip(grid.axes, placement.sampled, grid.coords(indices), strict=True):
        first, n = placement.crop[a]
        start = along * axis.step + first
        chunked = layout.chunks.axes[a]
        lowest = chunked.chunks_at(start)
        if axis.window is not None:
            count = chunked.chunks_at(start + n - 1) - lowest + 1
            if count.max(initial=1) > 1:
                # all that is known of the samples so far, once for each of the chunks
                pieces = np.repeat(np.arange(len(places)), count[places])
                firsts = np.cumsum(count[places]) - count[places]
                nth = np.arange(len(pieces)) - firsts[pieces]
                places = places[pieces]
                chunks = [c[pieces] for c in chunks]
                chunks.append(lowest[places] + nth)
                starts.append(start)
                continue
        chunks.append(lowest[places])
        starts.append(start)
    shape = tuple(layout.chunks.axes[a].nchunks for a in placement.sampled)
    numbers = np.ravel_multi_index(chunks, shape)
    order = np.argsort(numbers, kind="stable")
    numbers, places = numbers[order], places[order]
    changes = np.flatnonzero(np.diff(numbers)) + 1
    heads = np.concatenate([np.zeros(min(len(numbers), 1), np.int64), changes])
    return Pieces(
        np.stack(np.unravel_index(numbers[heads], shape), axis=-1),
        np.append(heads, len(numbers)),
        places,
        tuple(start[places] for start in starts),
    )


class Across(NamedTuple):
    """What is read of a chunk along one of the axes that are not sampled.

    Attributes:
        chunk: The chunk's coordinate.
        source: Where it lies in the chunk.
        target: Where it lies in the sample.
        whole: It is the chunk as it is stored.
        covers: It is all of the chunk that lies in the array.
    """

    chunk: int
    source: slice
    target: slice
    whole: bool
    covers: bool


@dataclass(frozen=True)
class Scatter:
    """Puts what chunks hold of samples into an array of them.

    Attributes:
        placement: Where samples lie in the array.
    """

    placement: Placement

    @cached_property
    def _across(self) -> tuple[tuple[Across, ...], ...]:
        """Of each axis that is not sampled, what is read along it."""
        across = []
        for a, (first, n) in enumerate(self.placement.crop):
            if a in self.placement.sampled:
                continue
            axis = self.placement.layout.chunks.axes[a]
            parts = []
            chunks = range(axis.chunk_at(first), axis.chunk_at(first + n - 1) + 1) if n else ()
            for chunk in chunks:
                start, size = axis.start(chunk), axis.size(chunk)
                inside = min(size, axis.length - start)
                begin, end = max(first, start), min(first + n, start + inside)
                taken = end - begin
                parts.append(
                    Across(
                        chunk,
                        slice(begin - start, end - start),
                        slice(begin - first, end - first),
                        whole=taken == size,
                        covers=taken == inside,
                    )
                )
            across.append(tuple(parts))
        return tuple(across)

    @cached_property
    def nchunks_across(self) -> int:
        """Chunks that have the same coordinates along the sampled axes, and are read."""
        return prod(map(len, self._across))

    def jobs(self, chunk: tuple[int, ...]) -> Iterator[tuple[ChunkJob, tuple[Across, ...]]]:
        """The chunks to read for samples.

        Args:
            chunk: The coordinates along the sampled axes.
        """
        layout, sampled = self.placement.layout, self.placement.sampled
        ndim = len(layout.chunks.axes)
        own = {}
        for a, c in zip(sampled, chunk, strict=True):
            axis = layout.chunks.axes[a]
            size = axis.size(c)
            inside = min(size, axis.length - axis.start(c))
            own[a] = Across(c, slice(0, inside), slice(0, 0), whole=inside == size, covers=True)
        others = [a for a in range(ndim) if a not in own]
        for parts in product(*self._across):
            given = {**own, **dict(zip(others, parts, strict=True))}
            along = [given[a] for a in range(ndim)]
            job = ChunkJob(
                tuple(part.chunk for part in along),
                tuple(part.source for part in along),
                tuple(slice(0, part.source.stop - part.source.start) for part in along),
                whole=all(part.whole for part in along),
                covers=all(part.covers for part in along),
            )
            yield job, parts

    def __call__(
        self,
        data: NDArray[Any],
        chunk: tuple[int, ...],
        across: tuple[Across, ...],
        starts: tuple[NDArray[np.int64], ...],
        places: NDArray[np.int64],
        out: NDArray[Any],
    ) -> None:
        """Copies the pieces of one chunk.

        Args:
            data: The chunk, as its job says.
            chunk: Its coordinates along the sampled axes.
            across: What it is along the others.
            starts: As in `Pieces`, of the chunk's pieces.
            places: Where their samples are in `out`.
            out: The samples.
        """
        placement = self.placement
        chunked = placement.layout.chunks.axes
        inside = [
            start - chunked[a].start(c)
            for start, a, c in zip(starts, placement.sampled, chunk, strict=True)
        ]
        windows = [
            (k, a)
            for k, (a, axis) in enumerate(zip(placement.sampled, placement.grid.axes, strict=True))
            if axis.window is not None
        ]
        if not windows:
            self._copy(data, inside, {}, across, places, out)
            return
        # the pieces of windows that the chunk cuts differ in where they begin, and in length
        cuts = []
        for k, a in windows:
            n = placement.crop[a][1]
            begin = np.maximum(inside[k], 0)
            length = np.minimum(inside[k] + n, data.shape[a]) - begin
            cuts += [begin - inside[k], length]
            inside[k] = begin
        kinds = np.stack(cuts, axis=-1)
        if (kinds == kinds[0]).all():
            kind = kinds[0].tolist()
            targets = {a: (kind[2 * i], kind[2 * i + 1]) for i, (_, a) in enumerate(windows)}
            self._copy(data, inside, targets, across, places, out)
            return
        found, members = np.unique(kinds, axis=0, return_inverse=True)
        members = members.reshape(-1)
        for number, cut in enumerate(found.tolist()):
            picked = members == number
            targets = {a: (cut[2 * i], cut[2 * i + 1]) for i, (_, a) in enumerate(windows)}
            self._copy(
                data, [along[picked] for along in inside], targets, across, places[picked], out
            )

    def _copy(
        self,
        data: NDArray[Any],
        inside: list[NDArray[np.int64]],
        targets: dict[int, tuple[int, int]],
        across: tuple[Across, ...],
        places: NDArray[np.int64],
        out: NDArray[Any],
    ) -> None:
        """Copies pieces of one kind: `targets` has the first element and the length of each."""
        placement = self.placement
        parts = iter(across)
        shape: list[int] = []
        strides: list[int] = []
        index: list[Any] = [places]
        full = True
        for a, (_, n) in enumerate(placement.crop):
            if a in placement.dropped:
                continue
            if a in targets:
                first, length = targets[a]
            else:
                target = next(parts).target
                first, length = target.start, target.stop - target.start
            full = full and length == n
            shape.append(length)
            strides.append(data.strides[a])
            index.append(slice(first, first + length))
        lead = [
            data.shape[a] - (targets[a][1] - 1 if a in targets else 0) for a in placement.sampled
        ]
        if full and not targets and data.flags.c_contiguous and out.flags.c_contiguous:
            rows = _rows(data, len(lead)) if placement.leads else None
            if rows is not None:
                flat = inside[0]
                for along, length in zip(inside[1:], lead[1:], strict=True):
                    flat = flat * length + along
                _rows_of(out)[places] = rows[flat]
                return
        if targets:
            view = strided(
                data, (*lead, *shape), (*(data.strides[a] for a in placement.sampled), *strides)
            )
        else:
            others = [a for a in range(data.ndim) if a not in placement.sampled]
            view = data.transpose((*placement.sampled, *others))
        values = view[tuple(inside)]
        if full:
            out[places] = values
        else:
            out[tuple(index)] = values


def _rows(data: NDArray[Any], naxes: int) -> NDArray[Any] | None:
    """What stands at each place of the first axes, as one element of NumPy each."""
    nbytes = prod(data.shape[naxes:]) * data.dtype.itemsize
    if data.dtype.hasobject or data.dtype.kind == "T" or not nbytes:
        return None
    return data.reshape(-1).view(np.dtype((np.void, nbytes)))


def _rows_of(out: NDArray[Any]) -> NDArray[Any]:
    rows = _rows(out, 1)
    return out if rows is None else rows
