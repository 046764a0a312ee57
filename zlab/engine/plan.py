"""From a box to the chunks that it touches. Pure: no store, no bytes."""

from __future__ import annotations

from itertools import islice, pairwise, product, repeat
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zlab.engine.selection import Picks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from zlab.engine.selection import Span
    from zlab.grid import Axis, Grid


class Piece(NamedTuple):
    """The part of a span that lies in one chunk of an axis.

    Attributes:
        chunk: The chunk's coordinate along the axis.
        source: Where the part lies in the chunk.
        target: Where it lies in the box.
        whole: It is the chunk as it is stored.
        covers: It is all of the chunk that lies in the array.
    """

    chunk: int
    source: slice | NDArray[np.intp]
    target: slice
    whole: bool
    covers: bool


class ChunkJob(NamedTuple):
    """One chunk's part in a read or write.

    Attributes:
        coords: The chunk's coordinates.
        source: Where its part lies in the chunk, as an index of NumPy.
        target: Where that part lies in the box.
        whole: The part is the chunk as it is stored, so it can be decoded in place.
        covers: The part is all of the chunk that lies in the array, so a write need not read.
    """

    coords: tuple[int, ...]
    source: tuple[Any, ...]
    target: tuple[slice, ...]
    whole: bool
    covers: bool

    def part_of(self, box: NDArray[Any]) -> NDArray[Any]:
        """The chunk's part of a box, a view."""
        # an array without axes would give a scalar
        return box[self.target] if self.target else box


class Run(NamedTuple):
    """Jobs that one worker does in one go.

    Attributes:
        shard: Of a sharded array, the shard that holds all of their chunks; else `None`.
        jobs: In the order of the plan.
    """

    shard: tuple[int, ...] | None
    jobs: list[ChunkJob]


def split_axis(axis: Axis, span: Span | Picks) -> Iterator[Piece]:
    """The pieces of a span, one for each chunk that holds some of it."""
    if isinstance(span, Picks):
        yield from _split_picks(axis, span.indices)
        return
    start, step, count = span
    done = 0
    while done < count:
        position = start + done * step
        chunk = axis.chunk_at(position)
        first = axis.start(chunk)
        size = axis.size(chunk)
        inside = min(size, axis.length - first)
        offset = position - first
        n = min(count - done, -(-(inside - offset) // step))
        yield Piece(
            chunk,
            slice(offset, offset + (n - 1) * step + 1, step),
            slice(done, done + n),
            whole=n == size,
            covers=n == inside,
        )
        done += n


def _split_picks(axis: Axis, indices: NDArray[np.intp]) -> Iterator[Piece]:
    chunks = axis.chunks_at(indices)
    bounds = [0, *(np.flatnonzero(np.diff(chunks)) + 1).tolist(), len(indices)]
    for begin, end in pairwise(bounds):
        if begin == end:
            continue
        chunk = int(chunks[begin])
        first = axis.start(chunk)
        inside = min(axis.size(chunk), axis.length - first)
        yield Piece(
            chunk,
            indices[begin:end] - first,
            slice(begin, end),
            whole=False,
            covers=end - begin == inside,
        )


def _crossed(parts: tuple[slice | NDArray[np.intp], ...]) -> Any:
    """The index of NumPy that takes each axis for itself."""
    if sum(not isinstance(part, slice) for part in parts) < 2:  # noqa: PLR2004  one crosses none
        return parts
    return np.ix_(
        *(
            np.arange(part.start, part.stop, part.step) if isinstance(part, slice) else part
            for part in parts
        )
    )


def _jobs(pieces: Sequence[Sequence[Piece]]) -> Iterator[ChunkJob]:
    if not all(pieces):
        return iter(())
    # a chunk's job costs less than the decoding of a few kilobytes: no Python runs for each
    columns = [tuple(zip(*axis_pieces, strict=True)) for axis_pieces in pieces]
    coords, sources, targets, wholes, covers = zip(*columns, strict=True) if columns else ((),) * 5
    crossed: Iterator[tuple[Any, ...]] = product(*sources)
    if any(not isinstance(parts[0], slice) for parts in sources):
        crossed = map(_crossed, crossed)
    return map(
        ChunkJob, product(*coords), crossed, product(*targets), _every(wholes), _every(covers)
    )


def _every(flags: Sequence[Sequence[bool]]) -> Iterator[bool]:
    """Of each combination of the axes' pieces, whether all of them say so."""
    if all(map(all, flags)):
        return repeat(True)  # noqa: FBT003  the value that is repeated
    return map(all, product(*flags))


def plan_one(grid: Grid, spans: Sequence[Span | Picks]) -> ChunkJob | None:
    """The job of a box that lies in one chunk, `None` where the box is empty or does not.

    It costs a fraction of what a plan does, and samplers read single chunks by the million.
    """
    coords: list[int] = []
    source: list[slice] = []
    target: list[slice] = []
    whole = covers = True
    for axis, span in zip(grid.axes, spans, strict=True):
        if isinstance(span, Picks) or not span.count:
            return None
        position, step, count = span
        chunk = axis.chunk_at(position)
        first, size = axis.start(chunk), axis.size(chunk)
        start = position - first
        stop = start + (count - 1) * step + 1
        if stop > size:
            return None
        coords.append(chunk)
        source.append(slice(start, stop, step))
        target.append(slice(0, count))
        whole = whole and count == size
        covers = covers and count == min(size, axis.length - first)
    return ChunkJob(tuple(coords), tuple(source), tuple(target), whole, covers)


def plan_runs(
    grid: Grid, spans: Sequence[Span | Picks], *, width: int, least: int = 1
) -> tuple[int, Iterator[Run]]:
    """Plans a box of an array without shards.

    Args:
        grid: Of the array.
        spans: The box.
        width: Workers that will share the runs.
        least: Jobs that a run should have at least.

    Returns:
        How many chunks the box touches, and the runs, made as they are asked for.
    """
    pieces = [list(split_axis(axis, span)) for axis, span in zip(grid.axes, spans, strict=True)]
    njobs = prod(map(len, pieces))
    # a few chunks are shared out evenly, each being a request of its own anyway
    length = min(run_length(njobs, width, least), -(-njobs // width))
    return njobs, _batch(None, _jobs(pieces), length)


def plan_shard_runs(
    shards: Grid,
    chunks: Grid,
    spans: Sequence[Span | Picks],
    *,
    width: int,
    least: int = 1,
    most: int | None = None,
) -> tuple[int, Iterator[Run]]:
    """Plans a box of a sharded array: runs of inner chunks, each within one shard.

    Args:
        shards: The grid of shards.
        chunks: The grid of inner chunks.
        spans: The box.
        width: Workers that will share the runs.
        least: Jobs that a run should have at least.
        most: Jobs that a run may have.

    Returns:
        How many inner chunks the box touches, and the runs, made as they are asked for.
    """
    groups: list[list[tuple[int, list[Piece]]]] = []
    for shard_axis, chunk_axis, span in zip(shards.axes, chunks.axes, spans, strict=True):
        by_shard: dict[int, list[Piece]] = {}
        for piece in split_axis(chunk_axis, span):
            shard = shard_axis.chunk_at(chunk_axis.start(piece.chunk))
            by_shard.setdefault(shard, []).append(piece)
        groups.append(list(by_shard.items()))
    nshards = prod(map(len, groups))
    njobs = prod(sum(len(pieces) for _, pieces in group) for group in groups)
    # a shard is split only where there are too few of them to keep every worker busy
    split = run_length(njobs, width, least) if nshards < 2 * width and width > 1 else njobs
    if most is not None:
        split = min(split, most)

    def runs() -> Iterator[Run]:
        for parts in product(*groups):
            shard = tuple(number for number, _ in parts)
            yield from _batch(shard, _jobs([pieces for _, pieces in parts]), split)

    return njobs, runs()


def run_length(njobs: int, width: int, least: int = 1) -> int:
    """Jobs in a run: enough to make the hand-over cheap, few enough to share them out evenly."""
    return max(least, min(64, njobs // (4 * width)))


def _batch(shard: tuple[int, ...] | None, jobs: Iterable[ChunkJob], length: int) -> Iterator[Run]:
    iterator = iter(jobs)
    while batch := list(islice(iterator, max(length, 1))):
        yield Run(shard, batch)
