"""Chunks out of shards: the index, kept while it is valid, and coalesced byte ranges.

Where the inner chunks of a shard are shards again, a chunk is found by the index of each level.

Source: Zarr v3 `sharding_indexed` codec specification.
"""

from __future__ import annotations

from operator import itemgetter
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from zlab.codecs.sharding import MISSING
from zlab.config import settings
from zlab.engine.cache import Entry
from zlab.engine.record import tell_look_ups
from zlab.errors import ChunkReadError, CodecError
from zlab.stores.base import Range, Suffix
from zlab.telemetry.events import RangeRead, ShardIndexRead
from zlab.telemetry.hub import hub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from zlab.codecs.sharding import ShardingCodec
    from zlab.engine.layout import ArrayLayout
    from zlab.engine.plan import ChunkJob
    from zlab.memory import Buffer

T = TypeVar("T")
_Place: TypeAlias = "tuple[int, int, T]"
"""Where something lies in the object: its first byte, how many there are, and what it is."""

_MISSING = np.uint64(MISSING)
_ATTEMPTS = 3


class _ReplacedError(Exception):
    """The shard is no longer the one whose index was read."""


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
    if hub.watches_caches:
        _tell_look_up(layout, shard, kept)
    if kept is not None:
        return kept
    before = perf_counter()
    version = layout.store.version(key)
    size = sharding.index_nbytes
    at_end = sharding.index_location == "end"
    data = layout.store.get(key, Suffix(size) if at_end else Range(0, size))
    index = None if data is None else sharding.decode_index(data)
    if hub.wants(ShardIndexRead):
        _tell_index(layout, shard, key, 0 if data is None else size, before)
    if index is None:
        return None
    cache.put(layout.store, key, index, version)
    return Entry(index, version)


def read_places(layout: ArrayLayout, shard: tuple[int, ...]) -> NDArray[np.uint64] | None:
    """As `read_index`, for every chunk of the shard, through the shards inside it.

    Raises:
        StoreError: The store failed.
        CodecError: An index is corrupt.
        ChunkReadError: The shard is replaced again and again while it is read.
    """
    sharding = layout.sharding
    if sharding is None or sharding.inner.sharding is None:
        read = read_index(layout, shard)
        return None if read is None else read.array
    shape = sharding.chunk_grid_shape
    inside = np.indices(shape, np.intp).reshape(len(shape), -1).T
    for _ in range(_ATTEMPTS):
        read = read_index(layout, shard)
        if read is None:
            return None
        try:
            found = _Nested(layout, shard, read.version).places(read.array, inside)
        except _ReplacedError:
            layout.index_cache.drop(layout.store, layout.key(shard))
        else:
            return found.reshape(*shape, 2)
    raise _replaced(layout, shard, layout.first_chunk(shard))


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
    for _ in range(_ATTEMPTS):
        read = read_index(layout, shard)
        if read is None:
            for job in jobs:
                yield job, None
            return
        present: list[_Place[ChunkJob]] = []
        try:
            places = _places(layout, shard, read, jobs)
            for job, (offset, nbytes) in zip(jobs, places, strict=True):
                if offset == MISSING and nbytes == MISSING:
                    yield job, None
                else:
                    present.append((offset, nbytes, job))
            present.sort(key=itemgetter(0))
            jobs = [job for _, _, job in present]
            for group in _coalesce(present):
                data = _fetch_group(layout, shard, read.version, group)
                first = group[0][0]
                for offset, nbytes, job in group:
                    yield job, data[offset - first : offset - first + nbytes]
                jobs = jobs[len(group) :]
        except _ReplacedError:
            layout.index_cache.drop(layout.store, layout.key(shard))
        else:
            return
    raise _replaced(layout, shard, jobs[0].coords)


def _replaced(
    layout: ArrayLayout, shard: tuple[int, ...], coords: tuple[int, ...]
) -> ChunkReadError:
    return ChunkReadError(
        f"the shard was replaced {_ATTEMPTS} times while it was read",
        coords=coords,
        store=layout.store.name,
        key=layout.key(shard),
        hint="Read again when its writer is done",
    )


def _places(
    layout: ArrayLayout, shard: tuple[int, ...], read: Entry, jobs: list[ChunkJob]
) -> list[list[int]]:
    """Offset and length of each job's chunk in the shard."""
    first = layout.first_chunk(shard)
    index: NDArray[np.uint64] = read.array
    sharding = layout.sharding
    nested = sharding is not None and sharding.inner is not sharding.innermost
    if len(jobs) == 1 and not nested:
        # the read of one inner chunk, which samplers do by the million
        inner = tuple(c - f for c, f in zip(jobs[0].coords, first, strict=True))
        return [index[inner].tolist()]
    inside = np.asarray([job.coords for job in jobs], np.intp).reshape(len(jobs), -1)
    inside -= np.asarray(first, np.intp)
    if nested:
        found = _Nested(layout, shard, read.version).places(index, inside)
    else:
        found = index[tuple(inside.T)]
    places: list[list[int]] = found.tolist()
    return places


class _Piece(NamedTuple):
    """A shard inside a shard.

    Attributes:
        first: The coordinates of its first chunk in the outermost shard.
        start: Its first byte in the object.
        nbytes: How many it has.
        which: Which of the chunks that are looked for lie in it.
    """

    first: tuple[int, ...]
    start: int
    nbytes: int
    which: NDArray[np.intp]


class _Nested:
    """Finds chunks in a shard of shards, whose indices are kept as the shard's own is."""

    def __init__(self, layout: ArrayLayout, shard: tuple[int, ...], version: object) -> None:
        self._layout = layout
        self._shard = shard
        self._key = layout.key(shard)
        self._version = version

    def places(self, index: NDArray[np.uint64], inside: NDArray[np.intp]) -> NDArray[np.uint64]:
        """Offset and length of chunks, `MISSING` twice for those that are absent.

        Args:
            index: Of the outermost shard.
            inside: The chunks' coordinates in it, one a row.
        """
        found = np.full((len(inside), 2), _MISSING)
        sharding = self._layout.sharding
        if sharding is not None:
            first = (0,) * inside.shape[1]
            whole = _Piece(first, 0, MISSING, np.arange(len(inside)))
            self._find(sharding, [(whole, index)], inside, found, depth=0)
        return found

    def _find(
        self,
        codec: ShardingCodec,
        shards: list[tuple[_Piece, NDArray[np.uint64]]],
        inside: NDArray[np.intp],
        found: NDArray[np.uint64],
        *,
        depth: int,
    ) -> None:
        """Looks into shards of one level, then into those inside them."""
        nested = codec.inner.sharding
        # chunks along each axis of an inner chunk of this level
        per = np.array(
            (1,) * inside.shape[1] if nested is None else nested.chunk_grid_shape, np.intp
        )
        pieces: list[_Piece] = []
        for shard, index in shards:
            homes = (inside[shard.which] - np.array(shard.first, np.intp)) // per
            if nested is None:
                found[shard.which] = self._moved(shard, index[tuple(homes.T)])
                continue
            distinct, which = np.unique(homes, axis=0, return_inverse=True)
            places = self._moved(shard, index[tuple(distinct.T)]).tolist()
            for number, (home, (start, nbytes)) in enumerate(
                zip(distinct.tolist(), places, strict=True)
            ):
                if start == MISSING and nbytes == MISSING:
                    continue
                first = tuple(
                    f + h * n for f, h, n in zip(shard.first, home, per.tolist(), strict=True)
                )
                mine = shard.which[which.reshape(-1) == number]
                pieces.append(_Piece(first, start, nbytes, mine))
        if nested is not None:
            below = list(self._indices(nested, pieces, depth + 1))
            self._find(nested, below, inside, found, depth=depth + 1)

    def _moved(self, shard: _Piece, places: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Places in the object, of places in a shard inside it."""
        offsets, lengths = places[..., 0], places[..., 1]
        absent = (offsets == _MISSING) & (lengths == _MISSING)
        end = np.uint64(shard.nbytes)
        # the sum of two numbers that nobody has looked at may be too large for 64 bits
        beyond = ~absent & ((lengths > end) | (offsets > end - np.minimum(lengths, end)))
        if beyond.any():
            raise CodecError(
                f"the index of the inner shard at byte {shard.start} points outside its "
                f"{shard.nbytes} bytes"
            )
        moved = places.copy()
        moved[..., 0] += np.where(absent, np.uint64(0), np.uint64(shard.start))
        return moved

    def _indices(
        self, codec: ShardingCodec, pieces: list[_Piece], depth: int
    ) -> Iterator[tuple[_Piece, NDArray[np.uint64]]]:
        """The index of each shard of a level: kept ones first, others by coalesced ranges."""
        layout, size = self._layout, codec.index_nbytes
        cache = layout.index_cache
        wanted: list[_Place[_Piece]] = []
        for piece in pieces:
            kept = cache.get(layout.store, self._key, _part(piece, depth))
            if hub.watches_caches:
                _tell_look_up(layout, self._shard, kept)
            if kept is not None:
                yield piece, kept.array
                continue
            if piece.nbytes < size:
                raise CodecError(
                    f"an inner shard of {piece.nbytes} bytes, which is less than its index has"
                )
            at_end = codec.index_location == "end"
            start = piece.start + (piece.nbytes - size if at_end else 0)
            wanted.append((start, size, piece))
        wanted.sort(key=itemgetter(0))
        for group in _coalesce(wanted):
            data = _fetch_group(layout, self._shard, self._version, group)
            for start, _, piece in group:
                at = start - group[0][0]
                index = codec.decode_index(data[at : at + size])
                cache.put(layout.store, self._key, index, self._version, _part(piece, depth))
                yield piece, index


def _part(piece: _Piece, depth: int) -> tuple[int, ...]:
    # no coordinates of a chunk begin with a negative number
    return (-depth, *piece.first)


def _fetch_group(
    layout: ArrayLayout, shard: tuple[int, ...], version: object, group: list[_Place[Any]]
) -> memoryview:
    """The bytes from the first of some places to the end of the last.

    Raises:
        _ReplacedError: There is another shard now, or none.
    """
    key = layout.key(shard)
    start = group[0][0]
    end = max(offset + nbytes for offset, nbytes, _ in group)
    before = perf_counter()
    data = layout.store.get(key, Range(start, end - start))
    # offsets of an old index mean nothing in a shard that was replaced meanwhile
    if data is None or layout.store.version(key) != version:
        raise _ReplacedError
    if hub.wants(RangeRead):
        now = perf_counter()
        hub.emit(
            RangeRead(
                *(layout.store.name, layout.path, shard, key, start, end - start),
                nbytes_used=sum(nbytes for _, nbytes, _ in group),
                nchunks=len(group),
                duration_s=now - before,
                t=now,
            )
        )
    return memoryview(data)


def _coalesce(places: list[_Place[T]]) -> Iterator[list[_Place[T]]]:
    """Puts neighbours together that one request brings."""
    gap, limit = settings.coalesce_gap, settings.coalesce_limit
    group: list[_Place[T]] = []
    start = end = 0
    for place in places:
        offset, nbytes, _ = place
        if group and (offset - end > gap or offset + nbytes - start > limit):
            yield group
            group = []
        if not group:
            start, end = offset, offset
        group.append(place)
        end = max(end, offset + nbytes)
    if group:
        yield group


def _tell_look_up(layout: ArrayLayout, shard: tuple[int, ...], kept: Entry | None) -> None:
    if kept is None:
        tell_look_ups(layout, "index", [], [shard], 0)
    else:
        tell_look_ups(layout, "index", [shard], [], kept.array.nbytes)


def _tell_index(
    layout: ArrayLayout, shard: tuple[int, ...], key: str, nbytes: int, before: float
) -> None:
    now = perf_counter()
    hub.emit(ShardIndexRead(layout.store.name, layout.path, shard, key, nbytes, now - before, now))
