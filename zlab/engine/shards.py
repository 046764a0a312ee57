"""Inner chunks out of shards: the index, kept while it is valid, and coalesced byte ranges.

Source: Zarr v3 `sharding_indexed` codec specification.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from zlab.codecs.sharding import MISSING
from zlab.engine.cache import Entry
from zlab.errors import ChunkReadError
from zlab.stores.base import Range, Suffix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.engine.plan import ChunkJob
    from zlab.memory import Buffer
    from zlab.stores.base import Store

_Place: TypeAlias = "tuple[int, int, ChunkJob]"

COALESCE_GAP = 64 << 10
"""Bytes between two inner chunks that are read along rather than asked for apart."""

COALESCE_LIMIT = 16 << 20
"""Bytes of one request at most."""


_ATTEMPTS = 3


def read_index(layout: ArrayLayout, shard: tuple[int, ...]) -> Entry | None:
    """The index of a shard, offsets and lengths along the last axis; `None` where there is none.

    Raises:
        StoreError: The store failed.
        CodecError: The index is corrupt.
    """
    sharding = layout.sharding
    if sharding is None:
        return None
    key = layout.key(shard)
    cache = layout.index_cache
    kept = cache.get(layout.store, key)
    if kept is not None:
        return kept
    version = layout.store.version(key)
    size = sharding.index_nbytes
    at_end = sharding.index_location == "end"
    data = layout.store.get(key, Suffix(size) if at_end else Range(0, size))
    if data is None:
        return None
    index = sharding.decode_index(data)
    cache.put(layout.store, key, index, version)
    return Entry(index, version)


def fetch_from_shard(
    layout: ArrayLayout, shard: tuple[int, ...], jobs: list[ChunkJob]
) -> Iterator[tuple[ChunkJob, Buffer | None]]:
    """The encoded bytes of some inner chunks of one shard, `None` for those that are absent.

    Chunks come in the order in which they lie in the shard; absent ones come first.

    Raises:
        ChunkReadError: The index points outside the shard, or the shard is replaced again and
            again while it is read.
        StoreError: The store failed.
        CodecError: The index is corrupt.
    """
    store, key = layout.store, layout.key(shard)
    for _ in range(_ATTEMPTS):
        read = read_index(layout, shard)
        if read is None:
            for job in jobs:
                yield job, None
            return
        index, version = read
        present: list[_Place] = []
        for job, (offset, nbytes) in zip(jobs, _places(layout, shard, index, jobs), strict=True):
            if offset == MISSING and nbytes == MISSING:
                yield job, None
            else:
                present.append((offset, nbytes, job))
        present.sort(key=itemgetter(0))
        jobs = [job for _, _, job in present]
        for group in _coalesce(present):
            data = _fetch_group(store, key, group)
            # offsets of an old index mean nothing in a shard that was replaced meanwhile
            if data is None or store.version(key) != version:
                layout.index_cache.drop(store, key)
                break
            for offset, nbytes, job in group:
                start = offset - group[0][0]
                yield job, data[start : start + nbytes]
            jobs = jobs[len(group) :]
        else:
            return
    raise ChunkReadError(
        f"the shard was replaced {_ATTEMPTS} times while it was read",
        coords=jobs[0].coords,
        store=store.name,
        key=key,
        hint="Read again when its writer is done",
    )


def _places(
    layout: ArrayLayout,
    shard: tuple[int, ...],
    index: NDArray[np.uint64],
    jobs: list[ChunkJob],
) -> list[list[int]]:
    """Offset and length of each job's chunk in the shard."""
    first = layout.first_chunk(shard)
    if len(jobs) == 1:
        # the read of one inner chunk, which samplers do by the million
        inner = tuple(c - f for c, f in zip(jobs[0].coords, first, strict=True))
        return [index[inner].tolist()]
    inside = np.asarray([job.coords for job in jobs], np.intp).reshape(len(jobs), -1)
    inside -= np.asarray(first, np.intp)
    places: list[list[int]] = index[tuple(inside.T)].tolist()
    return places


def _fetch_group(store: Store, key: str, group: list[_Place]) -> memoryview | None:
    """The bytes from the first of some chunks to the end of the last; `None` for no shard."""
    start = group[0][0]
    end = max(offset + nbytes for offset, nbytes, _ in group)
    data = store.get(key, Range(start, end - start))
    return None if data is None else memoryview(data)


def _coalesce(places: list[_Place]) -> Iterator[list[_Place]]:
    group: list[_Place] = []
    start = end = 0
    for place in places:
        offset, nbytes, _ = place
        if group and (offset - end > COALESCE_GAP or offset + nbytes - start > COALESCE_LIMIT):
            yield group
            group = []
        if not group:
            start, end = offset, offset
        group.append(place)
        end = max(end, offset + nbytes)
    if group:
        yield group
