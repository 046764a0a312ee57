"""Inner chunks out of shards: the index, kept while it is valid, and coalesced byte ranges.

Source: Zarr v3 `sharding_indexed` codec specification.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zlab.codecs.sharding import MISSING
from zlab.config import settings
from zlab.errors import ChunkReadError
from zlab.stores.base import Range, Suffix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.engine.plan import ChunkJob
    from zlab.memory import Buffer
    from zlab.stores.base import Store

COALESCE_GAP = 64 << 10
"""Bytes between two inner chunks that are read along rather than asked for apart."""

COALESCE_LIMIT = 16 << 20
"""Bytes of one request at most."""


@dataclass(frozen=True, slots=True)
class _Kept:
    index: NDArray[np.uint64]
    version: object


class IndexCache:
    """Shard indices, least recently used ones dropped, bounded in bytes.

    An entry is valid as long as the store says that the object is the same version; of a store
    that cannot tell cheaply, as long as this process does not write the shard.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._nbytes = 0
        self._lock = threading.Lock()

    def get(self, store: Store, key: str) -> NDArray[np.uint64] | None:
        """The index of a shard, `None` where it is not kept or no longer valid."""
        kept = self._entries.get((store.name, key))
        if kept is None or store.version(key) != kept.version:
            return None
        with self._lock:
            if (store.name, key) in self._entries:
                self._entries.move_to_end((store.name, key))
        return kept.index

    def put(self, store: Store, key: str, index: NDArray[np.uint64], version: object) -> None:
        """Keeps an index that was read from this version of the shard."""
        self.drop(store, key)
        with self._lock:
            self._entries[store.name, key] = _Kept(index, version)
            self._nbytes += index.nbytes
            while self._nbytes > settings.shard_index_cache and len(self._entries) > 1:
                _, dropped = self._entries.popitem(last=False)
                self._nbytes -= dropped.index.nbytes

    def drop(self, store: Store, key: str) -> None:
        """Forgets a shard that is written or deleted."""
        with self._lock:
            kept = self._entries.pop((store.name, key), None)
            if kept is not None:
                self._nbytes -= kept.index.nbytes

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._entries.clear()
            self._nbytes = 0


indices = IndexCache()


def read_index(layout: ArrayLayout, shard: tuple[int, ...]) -> NDArray[np.uint64] | None:
    """The index of a shard, offsets and lengths along the last axis; `None` where there is none.

    Raises:
        StoreError: The store failed.
        CodecError: The index is corrupt.
    """
    sharding = layout.sharding
    if sharding is None:
        return None
    key = layout.key(shard)
    index = indices.get(layout.store, key)
    if index is not None:
        return index
    version = layout.store.version(key)
    size = sharding.index_nbytes
    at_end = sharding.index_location == "end"
    data = layout.store.get(key, Suffix(size) if at_end else Range(0, size))
    if data is None:
        return None
    index = sharding.decode_index(data)
    indices.put(layout.store, key, index, version)
    return index


def fetch_from_shard(
    layout: ArrayLayout, shard: tuple[int, ...], jobs: list[ChunkJob]
) -> Iterator[tuple[ChunkJob, Buffer | None]]:
    """The encoded bytes of some inner chunks of one shard, `None` for those that are absent.

    Chunks come in the order in which they lie in the shard; absent ones come first.

    Raises:
        ChunkReadError: The index points outside the shard.
        StoreError: The store failed.
        CodecError: The index is corrupt.
    """
    index = read_index(layout, shard)
    if index is None:
        for job in jobs:
            yield job, None
        return
    present: list[tuple[int, int, ChunkJob]] = []
    for job, (offset, nbytes) in zip(jobs, _places(layout, shard, index, jobs), strict=True):
        if offset == MISSING and nbytes == MISSING:
            yield job, None
        else:
            present.append((offset, nbytes, job))
    present.sort(key=lambda place: place[0])
    for group in _coalesce(present):
        yield from _fetch_group(layout, shard, group)


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


def _fetch_group(
    layout: ArrayLayout, shard: tuple[int, ...], group: list[tuple[int, int, ChunkJob]]
) -> Iterator[tuple[ChunkJob, Buffer | None]]:
    key = layout.key(shard)
    first = group[0][0]
    end = max(offset + nbytes for offset, nbytes, _ in group)
    data = layout.store.get(key, Range(first, end - first))
    if data is None:
        raise ChunkReadError(
            "the shard was deleted while it was read",
            coords=group[0][2].coords,
            store=layout.store.name,
            key=key,
            hint="Read again",
        )
    view = memoryview(data)
    for offset, nbytes, job in group:
        yield job, view[offset - first : offset - first + nbytes]


def _coalesce(places: list[tuple[int, int, Any]]) -> Iterator[list[tuple[int, int, Any]]]:
    group: list[tuple[int, int, Any]] = []
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
