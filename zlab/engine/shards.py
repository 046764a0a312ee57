"""Chunks out of shards: the index, kept while it is valid, and coalesced byte ranges.

Where the inner chunks of a shard are shards again, a chunk is found by the index of each level.

Source: Zarr v3 `sharding_indexed` codec specification.
"""

from __future__ import annotations

from itertools import pairwise
from operator import itemgetter
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zlab.codecs.sharding import MISSING
from zlab.config import settings
from zlab.engine.cache import Entry
from zlab.engine.record import tell_look_ups
from zlab.engine.stamps import stamp
from zlab.errors import ChunkReadError, CodecError
from zlab.stores.base import Noticed, Range, Suffix
from zlab.telemetry.events import RangeRead, ShardIndexRead
from zlab.telemetry.hub import hub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from zlab.codecs.sharding import ShardingCodec
    from zlab.engine.layout import ArrayLayout
    from zlab.engine.plan import ChunkJob
    from zlab.memory import Buffer

_MISSING = np.uint64(MISSING)
_FARTHEST = np.uint64(1 << 62)
_ATTEMPTS = 2


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
    if kept is not None and _is_old(layout, kept):
        # the indices of shards inside it too
        cache.drop(layout.store, key)
        kept = None
    if hub.watches_caches:
        _tell_look_up(layout, shard, kept)
    if kept is not None:
        return kept
    before = perf_counter()
    seen = stamp(layout.store, key)
    size = sharding.index_nbytes
    at_end = sharding.index_location == "end"
    data = layout.store.get(key, Suffix(size) if at_end else Range(0, size))
    index = None if data is None else sharding.decode_index(data)
    if hub.wants(ShardIndexRead):
        _tell_index(layout, shard, key, 0 if data is None else size, before)
    if index is None:
        return None
    cache.put(layout.store, key, index, seen)
    return Entry(index, seen)


def _is_old(layout: ArrayLayout, kept: Entry) -> bool:
    """Whether another process may have replaced the shard, as far as nobody tells.

    Who asks for a cache has chosen; an index that is kept only to save a request is not believed
    for long where the store tells no versions.
    """
    match kept.stamp:
        case (None | Noticed(), _) if layout.access.cache is None:
            return monotonic() - kept.since > settings.shard_index_age_ms / 1000
        case _:
            return False


def read_places(layout: ArrayLayout, shard: tuple[int, ...]) -> NDArray[np.uint64] | None:
    """As `read_index`, for every chunk of the shard, through the shards inside it.

    Raises:
        StoreError: The store failed.
        CodecError: An index is corrupt.
        ChunkReadError: The shard is replaced again and again while it is read.
    """
    sharding = layout.sharding
    if sharding is None or not sharding.is_nested:
        read = read_index(layout, shard)
        return None if read is None else read.array
    shape = sharding.chunk_grid_shape
    inside = np.indices(shape, np.intp).reshape(len(shape), -1).T
    for _ in range(_ATTEMPTS):
        read = read_index(layout, shard)
        if read is None:
            return None
        try:
            found = _Nested(layout, shard, read.stamp).places(read.array, inside)
        except _ReplacedError:
            layout.index_cache.drop(layout.store, layout.key(shard))
        else:
            return found.reshape(*shape, 2)
    raise ChunkReadError(
        f"the shard was replaced {_ATTEMPTS} times while its index was read",
        coords=layout.first_chunk(shard),
        store=layout.store.name,
        key=layout.key(shard),
        hint="Read again when its writer is done",
    )


def fetch_from_shard(
    layout: ArrayLayout, shard: tuple[int, ...], jobs: list[ChunkJob]
) -> Iterator[tuple[ChunkJob, Buffer | None]]:
    """The encoded bytes of some inner chunks of one shard, `None` for those that are absent.

    Chunks come in the order in which they lie in the shard; absent ones come first.

    Raises:
        StoreError: The store failed.
        CodecError: The index is corrupt, or points outside the shard.
    """
    sharding = layout.sharding
    is_nested = sharding is not None and sharding.is_nested
    for _ in range(_ATTEMPTS):
        read = read_index(layout, shard)
        if read is None:
            for job in jobs:
                yield job, None
            return
        done = 0
        try:
            if len(jobs) == 1 and not is_nested:
                yield jobs[0], _fetch_one(layout, shard, read, jobs[0])
                return
            offsets, lengths = _places(layout, shard, read, jobs)
            absent = np.flatnonzero(offsets < 0).tolist()
            for number in absent:
                yield jobs[number], None
            order = np.argsort(offsets, kind="stable")[len(absent) :]
            jobs = [jobs[number] for number in order.tolist()]
            offsets, lengths = offsets[order], lengths[order]
            for some in coalesce(offsets, lengths):
                first = int(offsets[some.start])
                starts = (offsets[some] - first).tolist()
                stops = (offsets[some] + lengths[some] - first).tolist()
                nbytes = int(lengths[some].sum())
                data = _fetch(layout, shard, read.stamp, first, max(stops), nbytes, len(stops))
                for job, start, stop in zip(jobs[some], starts, stops, strict=True):
                    yield job, data[start:stop]
                done = some.stop
        except _ReplacedError:
            layout.index_cache.drop(layout.store, layout.key(shard))
            jobs = jobs[done:]
        else:
            return
    # beside a busy writer only the object as a whole is sure to be of one version
    whole = layout.store.get(layout.key(shard))
    chunks = {} if whole is None or sharding is None else sharding.split(whole)
    start = layout.first_chunk(shard)
    for job in jobs:
        yield job, chunks.get(tuple(c - s for c, s in zip(job.coords, start, strict=True)))


def _fetch_one(
    layout: ArrayLayout, shard: tuple[int, ...], read: Entry, job: ChunkJob
) -> memoryview | None:
    """One chunk alone: samplers read them by the million."""
    first = layout.first_chunk(shard)
    start, nbytes = read.array[
        tuple(c - f for c, f in zip(job.coords, first, strict=True))
    ].tolist()
    if start == nbytes == MISSING:
        return None
    return _fetch(layout, shard, read.stamp, start, nbytes, nbytes, 1)


def _places(
    layout: ArrayLayout, shard: tuple[int, ...], read: Entry, jobs: list[ChunkJob]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offset and length of each job's chunk in the shard; an offset of -1 for one that is absent.

    Raises:
        CodecError: The index points to where no shard can reach.
    """
    index: NDArray[np.uint64] = read.array
    sharding = layout.sharding
    inside = np.asarray([job.coords for job in jobs], np.intp).reshape(len(jobs), -1)
    inside -= np.asarray(layout.first_chunk(shard), np.intp)
    if sharding is not None and sharding.is_nested:
        found = _Nested(layout, shard, read.stamp).places(index, inside)
    else:
        found = index[tuple(inside.T)]
    places = found.astype(np.int64)
    absent = (found == _MISSING).all(axis=1)
    if ((found > _FARTHEST).any(axis=1) & ~absent).any():
        raise CodecError("the index of the shard points outside it")
    places[absent] = -1, 0
    return places[:, 0], places[:, 1]


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

    def __init__(self, layout: ArrayLayout, shard: tuple[int, ...], seen: object) -> None:
        self._layout = layout
        self._shard = shard
        self._key = layout.key(shard)
        self._seen = seen

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
            # an array without axes has one place, which this index gives without its row
            at = index[tuple(distinct.T)].reshape(-1, 2)
            places = self._moved(shard, at).tolist()
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
        wanted: list[tuple[int, _Piece]] = []
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
            wanted.append((start, piece))
        wanted.sort(key=itemgetter(0))
        offsets = np.array([start for start, _ in wanted], np.int64)
        for some in coalesce(offsets, np.full(len(wanted), size, np.int64)):
            first, last = wanted[some.start][0], wanted[some.stop - 1][0]
            nbytes, n = last + size - first, some.stop - some.start
            data = _fetch(layout, self._shard, self._seen, first, nbytes, n * size, n)
            for start, piece in wanted[some]:
                at = start - first
                index = codec.decode_index(data[at : at + size])
                cache.put(layout.store, self._key, index, self._seen, _part(piece, depth))
                yield piece, index


def _part(piece: _Piece, depth: int) -> tuple[int, ...]:
    # no coordinates of a chunk begin with a negative number
    return (-depth, *piece.first)


def _fetch(
    layout: ArrayLayout,
    shard: tuple[int, ...],
    seen: object,
    start: int,
    nbytes: int,
    nbytes_used: int,
    nchunks: int,
) -> memoryview:
    """Bytes of a shard.

    Raises:
        _ReplacedError: There is another shard now, or none.
    """
    key = layout.key(shard)
    before = perf_counter()
    data = layout.store.get(key, Range(start, nbytes))
    # offsets of an old index mean nothing in a shard that was replaced meanwhile
    if data is None or stamp(layout.store, key) != seen:
        raise _ReplacedError
    if hub.wants(RangeRead):
        now = perf_counter()
        hub.emit(
            RangeRead(
                *(layout.store.name, layout.path, shard, key, start, nbytes),
                nbytes_used=nbytes_used,
                nchunks=nchunks,
                duration_s=now - before,
                t=now,
            )
        )
    return memoryview(data)


def coalesce(offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> Iterator[slice]:
    """Puts places that one request brings together, of sorted ones."""
    if not len(offsets):
        return
    gap, limit = settings.coalesce_gap, settings.coalesce_limit
    ends = np.maximum.accumulate(offsets + lengths)
    apart = np.flatnonzero(offsets[1:] - ends[:-1] > gap) + 1
    for begin, stop in pairwise([0, *apart.tolist(), len(offsets)]):
        first = begin
        while ends[stop - 1] - offsets[first] > limit and stop - first > 1:
            fitting = int(np.searchsorted(ends[first:stop], offsets[first] + limit, side="right"))
            yield slice(first, first + max(fitting, 1))
            first += max(fitting, 1)
        yield slice(first, stop)


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
