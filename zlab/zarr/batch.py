"""What zarr-python's indexers ask of a codec pipeline, as the engine's jobs. Pure.

An indexer hands out one item for each stored object (a chunk, or a shard): its key, what to take
of it and where that goes. Slices and integers become chunk jobs on the output itself; arrays of
indices, points and masks become selections for the engine.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from zlab.engine.plan import ChunkJob, Run, run_length, split_axis
from zlab.engine.selection import Span, parse_orthogonal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.engine.plan import Piece
    from zlab.engine.selection import Region

Kind: TypeAlias = Literal["basic", "orthogonal", "points"]


class Item(NamedTuple):
    """One stored object's part in a read or write.

    Attributes:
        coords: Of the object.
        shape: That it is stored with.
        selection: What is taken of it, one entry an axis.
        target: Where that lies in the output, as an index of NumPy.
        is_complete: It is all of the object that lies in the array.
    """

    coords: tuple[int, ...]
    shape: tuple[int, ...]
    selection: tuple[Any, ...]
    target: Any
    is_complete: bool


def kind_of(item: Item) -> Kind | None:
    """How an item selects, `None` for a way that is not known here."""
    if not isinstance(item.target, tuple):
        return "points" if all(isinstance(part, np.ndarray) for part in item.selection) else None
    if all(isinstance(part, slice | int | np.integer) for part in item.selection):
        return "basic"
    if all(isinstance(part, slice | np.ndarray) for part in item.selection):
        return "orthogonal"
    return None


class Jobs(NamedTuple):
    """Chunk jobs for one box.

    Attributes:
        runs: Of each stored object.
        njobs: In all of them.
        dropped: Axes that the output lacks, because each was selected by an integer.
        shape: Of the output.
    """

    runs: list[Run]
    njobs: int
    dropped: tuple[int, ...]
    shape: tuple[int, ...]


def plan_jobs(layout: ArrayLayout, items: Sequence[Item], *, is_scalar: bool = False) -> Jobs:
    """The chunk jobs of items that select by slices and integers.

    Args:
        layout: Of the array.
        items: All of that kind.
        is_scalar: There is one value for all elements, and so no place in a box.

    Returns:
        One run for each stored object.
    """
    ndim = len(items[0].selection)
    dropped = tuple(
        axis for axis, part in enumerate(items[0].selection) if not isinstance(part, slice)
    )
    kept = [axis for axis in range(ndim) if axis not in dropped]
    known: list[dict[Any, list[Piece]]] = [{} for _ in range(ndim)]
    lengths = [0] * ndim
    runs: list[Run] = []
    njobs = 0
    for item in items:
        targets = dict(zip(kept, item.target, strict=True))
        pieces: list[list[Piece]] = []
        for axis, part in enumerate(item.selection):
            at = targets[axis].start if axis in targets else 0
            key = (
                item.coords[axis],
                (part.start, part.stop, part.step) if isinstance(part, slice) else part,
                at,
            )
            found = known[axis].get(key)
            if found is None:
                found = known[axis][key] = _pieces(layout, item, axis, at)
            pieces.append(found)
            lengths[axis] = max(lengths[axis], found[-1].target.stop)
        jobs = [_job(parts, item, is_scalar=is_scalar) for parts in product(*pieces)]
        runs.append(Run(None if layout.sharding is None else item.coords, jobs))
        njobs += len(jobs)
    return Jobs(runs, njobs, dropped, tuple(lengths[axis] for axis in kept))


def _pieces(layout: ArrayLayout, item: Item, axis: int, at: int) -> list[Piece]:
    """The parts of an item's selection along one axis, one for each chunk, and where they go."""
    part = item.selection[axis]
    first = layout.objects.axes[axis].start(item.coords[axis])
    if isinstance(part, slice):
        start, stop, step = part.indices(item.shape[axis])
        span = Span(first + start, step, len(range(start, stop, step)))
    else:
        span = Span(first + int(part), 1, 1)
    return [
        piece._replace(target=slice(piece.target.start + at, piece.target.stop + at))
        for piece in split_axis(layout.chunks.axes[axis], span)
    ]


def _job(parts: tuple[Piece, ...], item: Item, *, is_scalar: bool) -> ChunkJob:
    whole = all(part.whole for part in parts)
    return ChunkJob(
        tuple(part.chunk for part in parts),
        tuple(part.source for part in parts),
        () if is_scalar else tuple(part.target for part in parts),
        whole=whole and not is_scalar,
        covers=whole or item.is_complete,
    )


def divide(runs: Sequence[Run], njobs: int, width: int, least: int) -> Iterator[Run]:
    """Runs of a size that keeps all workers busy and makes the hand-over cheap.

    Args:
        runs: One for each stored object.
        njobs: In all of them.
        width: Workers that will share the runs.
        least: Jobs that a run should have at least.
    """
    length = run_length(njobs, width, least)
    if not runs or runs[0].shard is None:
        jobs = [job for run in runs for job in run.jobs]
        for start in range(0, len(jobs), length):
            yield Run(None, jobs[start : start + length])
        return
    if len(runs) >= 2 * width or width == 1:
        yield from runs
        return
    for run in runs:
        for start in range(0, len(run.jobs), length):
            yield Run(run.shard, run.jobs[start : start + length])


def least_jobs(layout: ArrayLayout, nbytes: int) -> int:
    """Jobs that a run should have at least, where each decodes into little."""
    chunk = layout.chunks.stored_shape((0,) * len(layout.chunks.axes))
    return max(1, nbytes // max(prod(chunk) * max(layout.dtype.itemsize, 1), 1))


def region_of(layout: ArrayLayout, item: Item) -> Region:
    """The region that an item with slices and arrays of indices selects."""
    selection: list[slice | NDArray[Any]] = []
    for part, start, length in zip(item.selection, _starts(layout, item), item.shape, strict=True):
        if isinstance(part, slice):
            inside = range(*part.indices(length))
            selection.append(slice(start + inside.start, start + inside.stop, inside.step))
        else:
            indices = np.flatnonzero(part) if part.dtype == bool else part.reshape(-1)
            selection.append(indices + start)
    return parse_orthogonal(tuple(selection), layout.metadata.shape)


def points_of(
    layout: ArrayLayout, items: Sequence[Item]
) -> tuple[tuple[NDArray[np.intp], ...], NDArray[np.intp]]:
    """The points that items select together: their indices, and their places in the output."""
    indices: list[list[NDArray[np.intp]]] = [[] for _ in items[0].selection]
    places: list[NDArray[np.intp]] = []
    for item in items:
        starts = _starts(layout, item)
        for axis, (part, start) in enumerate(zip(item.selection, starts, strict=True)):
            indices[axis].append(np.asarray(part, np.intp) + start)
        target = item.target
        if isinstance(target, slice):
            target = np.arange(target.start, target.stop)
        places.append(np.asarray(target, np.intp))
    return tuple(map(np.concatenate, indices)), np.concatenate(places)


def _starts(layout: ArrayLayout, item: Item) -> list[int]:
    return [axis.start(c) for axis, c in zip(layout.objects.axes, item.coords, strict=True)]
