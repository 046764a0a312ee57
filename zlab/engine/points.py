"""Single elements of an array, anywhere in it: grouped by chunk, so that each is decoded once."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from zlab.config import settings
from zlab.engine.plan import ChunkJob, Run
from zlab.engine.read import read_runs
from zlab.engine.selection import as_array, check_indices, fit_value, parse_indices
from zlab.engine.write import write_runs
from zlab.errors import AlignmentError, SelectionError
from zlab.memory import aligned_empty

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout


def parse_points(selection: object, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], ...]:
    """Normalises a coordinate selection.

    Args:
        selection: An array of integers for each axis, which are broadcast together; or one mask of
            the array's shape. A mask of one axis stands for the indices where it is true.
        shape: Of the array.

    Returns:
        An index array for each axis, all of the shape that the user sees.

    Raises:
        SelectionError: It does not fit the array.
    """
    if isinstance(selection, tuple) and len(selection) == 1:
        selection = selection[0]
    mask = as_array(selection) if isinstance(selection, np.ndarray | list) else None
    if mask is not None and mask.dtype == bool:
        if not shape:
            raise SelectionError(
                "an array without axes has nothing to choose among", hint="`array[...]` reads it"
            )
        if mask.shape != shape:
            msg = f"a mask of shape {mask.shape} for an array of shape {shape}"
            raise SelectionError(msg)
        return np.nonzero(mask)
    indices = selection if isinstance(selection, tuple) else (selection,)
    if len(indices) != len(shape):
        raise SelectionError(
            f"{len(indices)} index arrays for an array of {len(shape)} dimensions",
            hint="A coordinate selection has one for each axis; `array.oindex` takes slices too",
        )
    arrays = []
    for axis, (index, length) in enumerate(zip(indices, shape, strict=True)):
        if isinstance(index, slice) or index is Ellipsis:
            raise SelectionError(
                f"a coordinate selection takes index arrays, and axis {axis} has {index!r:.60}",
                hint="`array.oindex` takes slices too",
            )
        array = as_array(index)
        if array.dtype == bool:
            array = parse_indices(array, length, axis)
        empty = array.size == 0 and array.dtype.kind == "f"
        arrays.append(check_indices(array.astype(np.intp) if empty else array, length, axis))
    try:
        return tuple(np.broadcast_arrays(*arrays))
    except ValueError as error:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise SelectionError(f"index arrays of shapes {shapes} do not fit each other") from error


def _plan(
    layout: ArrayLayout, points: Sequence[NDArray[np.intp]]
) -> tuple[NDArray[np.intp], int, Iterator[Run]]:
    """Groups points by chunk.

    Args:
        layout: Of the array.
        points: A flat index array for each axis.

    Returns:
        The order in which the points are read, how many runs there are at most, and the runs,
        whose box is a flat array of the points in that order.
    """
    axes = layout.chunks.axes
    chunks = [axis.chunks_at(p) for axis, p in zip(axes, points, strict=True)]
    keys = list(chunks)
    if layout.sharding is not None:
        # whole shards together, then the chunks of each
        keys = [
            shards.chunks_at(p) for shards, p in zip(layout.objects.axes, points, strict=True)
        ] + keys
    order = np.lexsort(keys[::-1])
    changes = np.zeros(max(len(order) - 1, 0), bool)
    for chunk in chunks:
        changes |= np.diff(chunk[order]) != 0
    bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), len(order)]

    def runs() -> Iterator[Run]:
        current: Run | None = None
        for begin, end in pairwise(bounds):
            members = order[begin:end]
            coords = tuple(int(chunk[members[0]]) for chunk in chunks)
            source = tuple(
                p[members] - axis.start(c) for p, axis, c in zip(points, axes, coords, strict=True)
            )
            job = ChunkJob(coords, source, (slice(begin, end),), whole=False, covers=False)
            shard = None if layout.sharding is None else layout.shard_of(coords)
            if current is not None and shard is not None and current.shard == shard:
                current.jobs.append(job)
                continue
            if current is not None:
                yield current
            current = Run(shard, [job])
        if current is not None:
            yield current

    return order, len(bounds) - 1, runs()


def _width(layout: ArrayLayout, nruns: int) -> int:
    return min(settings.threads if layout.store.local else settings.fetch_concurrency, nruns)


def read_points(layout: ArrayLayout, points: tuple[NDArray[np.intp], ...]) -> NDArray[Any]:
    """Reads elements; each chunk that holds some of them is decoded once.

    Args:
        layout: Of the array.
        points: From `parse_points`.

    Returns:
        The elements, in the shape of the index arrays.

    Raises:
        ChunkReadError: A chunk that is there could not be read or decoded.
    """
    shape = points[0].shape
    flat = [p.reshape(-1) for p in points]
    result = aligned_empty((flat[0].size,), layout.dtype)
    if flat[0].size:
        order, nruns, runs = _plan(layout, flat)
        box = aligned_empty(result.shape, layout.dtype)
        read_runs(layout, runs, box, width=_width(layout, nruns))
        result[order] = box
    return result.reshape(shape)


def write_points(
    layout: ArrayLayout,
    points: tuple[NDArray[np.intp], ...],
    value: object,
    *,
    write_empty_chunks: bool,
) -> None:
    """Writes elements; of an element that is named twice, the last value stays.

    Args:
        layout: Of the array.
        points: From `parse_points`.
        value: Broadcast to the shape of the index arrays.
        write_empty_chunks: Store chunks that hold nothing but the fill value too.

    Raises:
        ChunkWriteError: A chunk could not be encoded or stored. Others may have been written.
        AlignmentError: The array was opened with `aligned=True`.
        ValueError: The value cannot be broadcast or cast.
    """
    if layout.access.aligned:
        objects = "chunks" if layout.sharding is None else "shards"
        shape = layout.objects.stored_shape((0,) * len(points))
        raise AlignmentError(
            "a write of single elements, and aligned=True was asked for",
            store=layout.store.name,
            key=layout.path,
            hint=f"Write whole {objects}, by regions that begin and end at multiples of {shape}",
        )
    flat = [p.reshape(-1) for p in points]
    values = fit_value(value, points[0].shape, layout.dtype).reshape(-1)
    if not values.size:
        return
    order, nruns, runs = _plan(layout, flat)
    write_runs(
        layout,
        runs,
        values[order],
        width=_width(layout, nruns),
        write_empty_chunks=write_empty_chunks,
    )
