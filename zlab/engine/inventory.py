"""Which chunks exist, and how large they are: by listing, without decoding anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zlab.codecs.sharding import MISSING
from zlab.config import settings
from zlab.engine.shards import read_places
from zlab.errors import MemoryBudgetError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout

ABSENT = -1


def stored_objects(layout: ArrayLayout) -> Iterator[tuple[tuple[int, ...], int]]:
    """Coordinates and sizes in bytes of the stored objects: shards, or chunks."""
    for entry in layout.store.list(layout.path):
        coords = layout.coords_of(entry.key)
        if coords is not None:
            yield coords, entry.nbytes


def stored_versions(layout: ArrayLayout) -> Iterator[tuple[tuple[int, ...], object]]:
    """Coordinates of the stored objects, and what tells one version of each from the next.

    It takes one listing. `None` stands for what the store cannot tell without a request for each.
    """
    store = layout.store
    told = getattr(store, "list_versions", None)
    versions = (
        ((key, store.version(key)) for key, _ in store.list(layout.path))
        if told is None
        else told(layout.path)
    )
    for key, version in versions:
        coords = layout.coords_of(key)
        if coords is not None:
            yield coords, version


def count_stored(layout: ArrayLayout) -> int:
    """How many chunks are stored, in memory that does not grow with the grid.

    Of a sharded array these are the inner chunks: the index of each stored shard is read.
    """
    if layout.sharding is None:
        return sum(1 for _ in stored_objects(layout))
    return sum(int((sizes != ABSENT).sum()) for _, sizes in _inner_sizes(layout))


def stored_sizes(layout: ArrayLayout) -> NDArray[np.int64]:
    """Stored bytes of every chunk, -1 where it is absent; the shape is the chunk grid's.

    Of a sharded array these are the inner chunks: the index of each stored shard is read.

    Raises:
        MemoryBudgetError: So many numbers take more than `zlab.settings.memory_budget`.
    """
    nbytes = layout.chunks.nchunks * np.dtype(np.int64).itemsize
    if nbytes > settings.memory_budget:
        raise MemoryBudgetError(
            f"{layout.path!r} of {layout.store.name}: the sizes of {layout.chunks.nchunks} chunks "
            f"take {nbytes} bytes",
            needed=nbytes,
            budget=settings.memory_budget,
            hint="`nchunks_initialized` and `nbytes_stored()` need none; more is allowed by "
            "zlab.settings.memory_budget",
        )
    sizes = np.full(layout.chunks.shape, ABSENT, np.int64)
    if layout.sharding is None:
        for coords, nbytes in stored_objects(layout):
            sizes[coords] = nbytes
        return sizes
    for box, part in _inner_sizes(layout):
        sizes[box] = part
    return sizes


def _inner_sizes(layout: ArrayLayout) -> Iterator[tuple[tuple[slice, ...], NDArray[np.int64]]]:
    """Of each stored shard, where its chunks lie in the chunk grid, and how large they are."""
    for shard, _ in stored_objects(layout):
        index = read_places(layout, shard)
        if index is None:
            continue
        offsets, lengths = index[..., 0], index[..., 1]
        there = (offsets != MISSING) | (lengths != MISSING)
        inner = np.where(there, lengths, 0).astype(np.int64)
        inner[~there] = ABSENT
        first = layout.first_chunk(shard)
        # chunks of an edge shard that lie outside the array are never shown
        box = tuple(
            slice(f, min(f + n, total))
            for f, n, total in zip(first, inner.shape, layout.chunks.shape, strict=True)
        )
        yield box, inner[tuple(slice(0, part.stop - part.start) for part in box)]
