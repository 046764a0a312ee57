"""Reading an array once for its statistics, and what is still true of them later."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from zlab.array import Array
from zlab.config import settings
from zlab.engine.inventory import stored_versions
from zlab.engine.nodes import join
from zlab.errors import MemoryBudgetError, MetadataError, StoreError
from zlab.stats.measure import comparable, measure
from zlab.stats.table import (
    KEY,
    ChunkStats,
    Rows,
    Stored,
    Tags,
    coords_of,
    fill_in,
    format_stats,
    objects_of,
    parse_stats,
    places_of,
)
from zlab.stream.arguments import check_kind, whole_number
from zlab.stream.chunks import stream_chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.stats.measure import Measured
    from zlab.stream import Chunk
    from zlab.stream.stream import Progress

_TICK_S: Final = 0.02  # more than a tick of the clocks that file systems take their times from
_VERSION = np.dtype([("object", np.int64), ("tag", np.uint64)])


def build(
    array: Array,
    *,
    concurrency: int | None = None,
    max_bytes: int | None = None,
    progress: Progress = None,
) -> ChunkStats:
    """Reads an array once and keeps least and greatest value and counts of each chunk beside it.

    They are put as one object, `KEY`, beside the array's metadata document. Chunks whose
    statistics are there and still true are not read again, so after an append, or an assignment,
    it is enough to call it again.

    Args:
        array: Of numbers, times, booleans or text.
        concurrency: Chunks that are read at once.
        max_bytes: Decoded bytes that are held ahead; `zlab.settings.memory_budget` by default.
        progress: Told how far it is; `True` for a bar.

    Returns:
        The statistics. Chunks that were written while they were read have none.

    Raises:
        TypeError: It is no `zlab.Array`.
        DataTypeError: The array's values have no order, such as complex numbers and structs.
        StoreError: The store does not tell one version of an object from the next.
        ReadOnlyError: The array was opened for reading.
        ChunkReadError: A chunk could not be read.
        MemoryBudgetError: The statistics themselves take more than `zlab.settings.memory_budget`.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.array([3, 1, 4, 4, 7, 5]), chunks=2)
        >>> stats = zlab.stats.build(array)
        >>> stats.coords.tolist(), stats.min, stats.max
        ([[0], [1], [2]], array([1, 4, 5]), array([3, 4, 7]))
    """
    check_kind(array, Array, "array", "a zlab.Array")
    if max_bytes is not None:
        max_bytes = whole_number(max_bytes, "max_bytes", least=1)
    layout = array.writable_layout()
    dtype = comparable(layout.dtype, f"array {layout.path!r}")
    before = _tags(layout)
    if (before.tags == 0).any():
        raise StoreError(
            "the store does not tell one version of an object from the next",
            store=layout.node_store.name,
            key=layout.path or None,
            hint="Statistics that may be out of date would hide data, so none are kept there",
        )
    known = _load(layout, dtype)
    unchanged = known.tags.match(before)
    kept = Tags(known.tags.objects[unchanged], known.tags.tags[unchanged])
    old = known.rows.take(np.isin(_objects(layout, known.rows.chunks), kept.objects))
    changed = np.setdiff1d(before.objects, kept.objects)
    new = _measure(layout, changed, dtype, concurrency, max_bytes, progress)
    if changed.size:
        # what is written from now on has another time
        time.sleep(_TICK_S)
    after = _tags(layout)
    same = before.match(after)
    tags = Tags(before.objects[same], before.tags[same])
    rows = Rows(*(np.concatenate(pair) for pair in zip(old, new, strict=True)))
    rows = rows.take(np.isin(_objects(layout, rows.chunks), tags.objects))
    rows = rows.take(np.argsort(rows.chunks))
    layout.node_store.put(
        _key(layout), format_stats(layout, Stored(layout.metadata.shape, tags, rows))
    )
    return ChunkStats(layout, rows, after.objects, 0)


def read(array: Array) -> ChunkStats | None:
    """The statistics of an array that are true now; `None` where there are none.

    It takes a request for them and one listing of the array.

    Raises:
        TypeError: It is no `zlab.Array`.
        DataTypeError: The array's values have no order.
        MetadataError: What lies under their key are no statistics.
        StoreError: They could not be read, or the array could not be listed.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(6), chunks=2)
        >>> _ = zlab.stats.build(array)
        >>> array[0] = 9
        >>> zlab.stats.read(array)
        <ChunkStats of 2 chunks of int64, 1 of them changed since>
    """
    check_kind(array, Array, "array", "a zlab.Array")
    layout = array.layout
    comparable(layout.dtype, f"array {layout.path!r}")
    data = layout.node_store.get(_key(layout))
    stored = None if data is None else parse_stats(layout, data, _key(layout))
    if stored is None:
        return None
    now = _tags(layout)
    same = stored.tags.match(now)
    true = np.isin(_objects(layout, stored.rows.chunks), stored.tags.objects[same])
    rows = stored.rows.take(true)
    return ChunkStats(layout, rows, now.objects, len(true) - len(rows.chunks))


def drop(array: Array) -> None:
    """Deletes the statistics of an array; where there are none it does nothing.

    Raises:
        TypeError: It is no `zlab.Array`.
        ReadOnlyError: The array was opened for reading.
        StoreError: They could not be deleted.

    Example:
        >>> import zlab
        >>> array = zlab.create_array({}, data=[1, 2])
        >>> _ = zlab.stats.build(array)
        >>> zlab.stats.drop(array)
        >>> zlab.stats.read(array) is None
        True
    """
    check_kind(array, Array, "array", "a zlab.Array")
    layout = array.writable_layout()
    layout.node_store.delete(_key(layout))


def _key(layout: ArrayLayout) -> str:
    return join(layout.path, KEY)


def _load(layout: ArrayLayout, dtype: np.dtype[Any]) -> Stored:
    """What an earlier build left; nothing where it is damaged, as it is replaced."""
    data = layout.node_store.get(_key(layout))
    with suppress(MetadataError):
        stored = None if data is None else parse_stats(layout, data, _key(layout))
        if stored is not None:
            return stored
    tags = Tags(np.zeros(0, np.int64), np.zeros(0, np.uint64))
    return Stored(layout.metadata.shape, tags, Rows.empty(0, dtype))


def _tags(layout: ArrayLayout) -> Tags:
    """The stored objects as they are now, from one listing."""
    shape = layout.objects.shape
    found = np.fromiter(
        (
            (place_of(coords, shape), 0 if version is None else _tag(version))
            for coords, version in stored_versions(layout)
        ),
        _VERSION,
    )
    found.sort(order="object")
    return Tags(found["object"].copy(), found["tag"].copy())


def place_of(coords: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """The place of coordinates in the C order of a grid."""
    place = 0
    for number, n in zip(coords, shape, strict=True):
        place = place * n + number
    return place


def _tag(version: object) -> int:
    """A number from 1 on that two versions share by a chance of one in 2**64."""
    return int.from_bytes(blake2b(repr(version).encode(), digest_size=8).digest()) or 1


def _objects(layout: ArrayLayout, chunks: NDArray[np.int64]) -> NDArray[np.int64]:
    return objects_of(layout, coords_of(chunks, layout.chunks.shape))


def _measure(
    layout: ArrayLayout,
    objects: NDArray[np.int64],
    dtype: np.dtype[Any],
    concurrency: int | None,
    max_bytes: int | None,
    progress: Progress,
) -> Rows:
    """Statistics of the chunks of some stored objects, the only ones that are read."""
    if not objects.size:
        return Rows.empty(0, dtype)
    chunks = _chunks_of(layout, objects)
    _check_room(len(chunks), dtype)
    coords = coords_of(chunks, layout.chunks.shape)
    rows = Rows.empty(len(chunks), dtype)._replace(chunks=chunks)
    # a chunk that its shard lacks is never seen
    rows = fill_in(layout, rows, np.ones(len(chunks), np.bool_), coords)
    trusted = np.ones(len(chunks), np.bool_)
    wanted = set(chunks.tolist())
    shape = layout.chunks.shape
    stream = stream_chunks(
        layout,
        ordered=False,
        filter=lambda coords: place_of(coords, shape) in wanted,
        concurrency=concurrency,
        max_bytes=max_bytes,
        progress=progress,
    )
    # those that wait for a worker are held too
    workers = settings.threads
    crowded = (2 * workers + 1) * stream.item_nbytes > stream.max_bytes
    work = partial(_measure_chunk, fill=layout.fill, dtype=dtype)
    for coords_, measured in stream.map(work, workers=None if crowded else workers):
        at = int(np.searchsorted(chunks, place_of(coords_, shape)))
        if measured is None:
            trusted[at] = False
            continue
        rows.has_ends[at] = measured.min is not None
        if measured.min is not None:
            rows.min[at], rows.max[at] = measured.min, measured.max
        rows.size[at] = measured.size
        rows.nan_count[at] = measured.nan_count
        rows.null_count[at] = measured.null_count
        rows.fill_count[at] = measured.fill_count
    return rows.take(trusted)


def _measure_chunk(
    chunk: Chunk, *, fill: Any, dtype: np.dtype[Any]
) -> tuple[tuple[int, ...], Measured | None]:
    return chunk.coords, measure(chunk.data, fill, dtype)


def _chunks_of(layout: ArrayLayout, objects: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the chunks of some stored objects lie, ascending."""
    if layout.sharding is None:
        return objects
    parts = []
    for shard in coords_of(objects, layout.objects.shape).tolist():
        first = layout.first_chunk(tuple(shard))
        region = layout.objects.region(tuple(shard))
        behind = [
            axis.chunk_at(part.stop - 1) + 1
            for axis, part in zip(layout.chunks.axes, region, strict=True)
        ]
        box = [np.arange(f, b) for f, b in zip(first, behind, strict=True)]
        grid = np.stack(np.meshgrid(*box, indexing="ij"), axis=-1).reshape(-1, len(box))
        parts.append(places_of(grid, layout.chunks.shape))
    return np.sort(np.concatenate(parts))


def _check_room(nchunks: int, dtype: np.dtype[Any]) -> None:
    needed = nchunks * (2 * dtype.itemsize + 48)
    if needed > settings.memory_budget:
        raise MemoryBudgetError(
            f"the statistics of {nchunks} chunks take {needed} bytes",
            needed=needed,
            budget=settings.memory_budget,
            hint="Allow more with zlab.settings.memory_budget, or rechunk: so small chunks are "
            "slow to read in any case",
        )
