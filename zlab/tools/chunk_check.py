"""Checking the stored objects of one array: chunks, and shards with their inner chunks."""

from __future__ import annotations

import threading
from math import prod
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from zlab.codecs.sharding import MISSING
from zlab.config import settings
from zlab.engine.cache import replacing
from zlab.engine.read import scratch
from zlab.errors import StoreError, ZlabError
from zlab.grid import Grid
from zlab.stores.base import Range, Suffix
from zlab.tools.headers import looks_whole
from zlab.tools.problems import Problem
from zlab.tools.rechunk import largest_chunk
from zlab.tools.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from zlab.codecs.pipeline import Pipeline
    from zlab.codecs.sharding import ShardingCodec
    from zlab.engine.layout import ArrayLayout
    from zlab.memory import Buffer
    from zlab.tools.problems import Problems

Coords: TypeAlias = tuple[int, ...]

_SMALL = 1 << 16  # bytes that looking at an object takes, whatever its size


class StoredObject(NamedTuple):
    """A chunk or shard in a listing."""

    coords: Coords
    key: str
    nbytes: int


class Place(NamedTuple):
    """Where an inner chunk lies in its shard."""

    offset: int
    nbytes: int
    inner: Coords


class Places(NamedTuple):
    """What the index of a shard says.

    Attributes:
        inside: Inner chunks that lie in the shard, in the order in which they lie there.
        beyond: Those that do not: the shard is truncated, or the index corrupt.
        shared: Those that begin before another one ends.
    """

    inside: list[Place]
    beyond: list[Coords]
    shared: list[Coords]


def find_places(index: NDArray[np.uint64], start: int, stop: int) -> Places:
    """Where the inner chunks of a shard lie.

    Args:
        index: Offset and length of each, of shape `(*grid_shape, 2)`.
        start: The first byte that may be an inner chunk's.
        stop: The byte behind the last one.

    Example:
        >>> index = np.array([[0, 4], [4, 4], [MISSING, MISSING]], np.uint64)
        >>> find_places(index, 0, 6)
        Places(inside=[Place(offset=0, nbytes=4, inner=(0,))], beyond=[(1,)], shared=[])
    """
    inside: list[Place] = []
    beyond: list[Coords] = []
    grid_shape = index.shape[:-1]
    for inner, (offset, nbytes) in zip(
        np.ndindex(grid_shape), index.reshape(-1, 2).tolist(), strict=True
    ):
        if offset == nbytes == MISSING:
            continue
        if start <= offset and offset + nbytes <= stop:
            inside.append(Place(offset, nbytes, inner))
        else:
            beyond.append(inner)
    inside.sort()
    shared: list[Coords] = []
    end = 0
    for place in inside:
        if place.nbytes and place.offset < end:
            shared.append(place.inner)
        end = max(end, place.offset + place.nbytes)
    return Places(inside, beyond, shared)


class ArrayCheck:
    """Checks the objects of one array, each in whichever thread.

    Args:
        layout: Of the array.
        problems: Where what is wrong is noted.
        deep: Decode every chunk.
        repair: Replace torn shards by what is whole of them.

    Attributes:
        chunks: The grid of what is checked one by one: of a shard of shards, the inner shards.
        nchunks: Chunks that are stored, so far.
        nlost: Chunks of torn shards of which it is not known whether they were stored, or what
            they held.
    """

    def __init__(
        self, layout: ArrayLayout, problems: Problems, *, deep: bool, repair: bool
    ) -> None:
        self.layout = layout
        self.problems = problems
        self.deep = deep
        self.repair = repair
        self.nchunks = 0
        self.nlost = 0
        self.chunks = layout.chunks
        if layout.sharding is not None:
            self.chunks = Grid.regular(layout.metadata.shape, layout.sharding.chunk_shape)
        itemsize = max(layout.dtype.itemsize, 1)
        self._chunk_nbytes = itemsize * prod(largest_chunk(self.chunks))
        self._lock = threading.Lock()

    def held(self, item: StoredObject) -> int:
        """Bytes that checking an object holds: what is stored, decoded, and made between."""
        sharding, chunk = self.layout.sharding, self._chunk_nbytes
        if sharding is None:
            return item.nbytes + 3 * chunk
        index = min(item.nbytes, sharding.index_nbytes)
        fetched = min(item.nbytes, max(settings.coalesce_limit, chunk)) if self.deep else 0
        rewritten = 3 * item.nbytes if self.repair else 0
        # an index takes far more as Python's numbers than as it is stored
        return _SMALL + 16 * index + 2 * fetched + 3 * chunk + rewritten

    def object(self, item: StoredObject) -> None:
        """Checks one object."""
        try:
            if self.layout.sharding is None:
                self._check_chunk(item)
            else:
                self._check_shard(item, self.layout.sharding)
        except StoreError as error:
            self.problems.add(Problem("unreadable", item.key, error.what, item.coords))

    def _count(self, *, stored: int, lost: int = 0) -> None:
        with self._lock:
            self.nchunks += stored
            self.nlost += lost

    def _check_chunk(self, item: StoredObject) -> None:
        self._count(stored=1)
        pipeline = self.layout.pipeline(item.coords)
        store = self.layout.store
        if not self.deep and looks_whole(store, item.key, item.nbytes, pipeline):
            return
        data = store.get(item.key)
        wrong = None if data is None else _undecodable(pipeline, data)
        if wrong is not None:
            self.problems.add(Problem("chunk", item.key, wrong, item.coords))

    def _check_shard(self, item: StoredObject, sharding: ShardingCodec) -> None:
        layout, size = self.layout, sharding.index_nbytes
        at_end = sharding.index_location == "end"
        try:
            if item.nbytes < size:
                index = None
                wrong = f"{item.nbytes} bytes are stored, and its index alone has {size}"
            else:
                data = layout.store.get(item.key, Suffix(size) if at_end else Range(0, size))
                if data is None:  # deleted since it was listed
                    return
                index = sharding.decode_index(data)
                wrong = ""
        except StoreError:
            raise
        except ZlabError as error:
            index, wrong = None, error.what
        if index is None:
            nchunks = self._nshown(item.coords)
            self._count(stored=0, lost=nchunks)
            what = f"{wrong}: none of its {counted(nchunks, 'chunk')} can be found"
            self.problems.add(Problem("torn", item.key, what))
            return
        start, stop = (0, item.nbytes - size) if at_end else (size, item.nbytes)
        places = find_places(index, start, stop)
        first = self._first_chunk(item.coords)
        contains = self.chunks.contains
        self._count(
            stored=sum(contains(_added(first, place.inner)) for place in places.inside),
            lost=sum(contains(_added(first, inner)) for inner in places.beyond),
        )
        for inner in places.shared:
            what = "its bytes are another inner chunk's too"
            self.problems.add(Problem("overlap", item.key, what, _added(first, inner)))
        for place, wrong in self._wrong_inside(item, sharding, places):
            self.problems.add(Problem("chunk", item.key, wrong, _added(first, place.inner)))
        if places.beyond:
            self._report_torn(item, sharding, places)

    def _first_chunk(self, shard: Coords) -> Coords:
        region = self.layout.objects.region(shard)
        return tuple(
            axis.chunk_at(part.start) if axis.length else 0
            for axis, part in zip(self.chunks.axes, region, strict=True)
        )

    def _nshown(self, shard: Coords) -> int:
        """How many inner chunks of a shard lie in the array."""
        region = self.layout.objects.region(shard)
        return prod(
            axis.chunk_at(part.stop - 1) - axis.chunk_at(part.start) + 1
            for axis, part in zip(self.chunks.axes, region, strict=True)
        )

    def _wrong_inside(
        self, item: StoredObject, sharding: ShardingCodec, places: Places
    ) -> Iterator[tuple[Place, str]]:
        """The inner chunks that cannot be decoded, or that have a wrong size."""
        pipeline = sharding.inner
        if not self.deep:
            needed = pipeline.encoded_nbytes
            for place in places.inside:
                if needed is not None and place.nbytes != needed:
                    yield place, f"{place.nbytes} bytes are stored, and {needed} are needed"
            return
        for group in _neighbours(places.inside):
            start = group[0].offset
            end = max(place.offset + place.nbytes for place in group)
            data = self.layout.store.get(item.key, Range(start, end - start))
            if data is None:
                return
            view = memoryview(data)
            for place in group:
                at = place.offset - start
                wrong = _undecodable(pipeline, view[at : at + place.nbytes])
                if wrong is not None:
                    yield place, wrong

    def _report_torn(self, item: StoredObject, sharding: ShardingCodec, places: Places) -> None:
        first = self._first_chunk(item.coords)
        lost = tuple(_added(first, inner) for inner in places.beyond)
        what = (
            f"truncated or corrupt: {len(lost)} of {len(lost) + len(places.inside)} inner chunks "
            f"do not lie in its {item.nbytes} bytes"
        )
        repaired = self.repair and self._rewrite(item, sharding, places)
        self.problems.add(Problem("torn", item.key, what, lost=lost, repaired=repaired))

    def _rewrite(self, item: StoredObject, sharding: ShardingCodec, places: Places) -> bool:
        """Replaces a shard by one with the inner chunks that are whole, if its index is believed.

        It is if it has a checksum, or stands before what was cut off.
        """
        names = {codec["name"] for codec in sharding.configuration["index_codecs"]}
        if not places.inside or (sharding.index_location == "end" and names == {"bytes"}):
            return False
        store = self.layout.store
        data = store.get(item.key)
        if data is None or len(data) != item.nbytes:  # somebody is writing it anew
            return False
        view = memoryview(data)
        parts: dict[Coords, Buffer] = {
            inner: view[offset : offset + nbytes] for offset, nbytes, inner in places.inside
        }
        with replacing(store, item.key):
            store.put(item.key, sharding.assemble(parts))
        return True


def _added(first: Coords, inner: Coords) -> Coords:
    """The coordinates in the array of an inner chunk of a shard that begins at `first`."""
    return tuple(f + i for f, i in zip(first, inner, strict=True))


def _undecodable(pipeline: Pipeline, data: Buffer) -> str | None:
    """What keeps a chunk from being decoded, `None` where nothing does."""
    try:
        pipeline.check_limit()
        pipeline.decode(data, scratch(pipeline.chunk.shape, pipeline.chunk.dtype))
    except ZlabError as error:
        return error.what
    return None


def _neighbours(places: list[Place]) -> Iterator[list[Place]]:
    """Inner chunks that are read by one request: those that lie close together."""
    gap, limit = settings.coalesce_gap, settings.coalesce_limit
    group: list[Place] = []
    end = 0
    for place in places:
        last = place.offset + place.nbytes
        if group and (place.offset - end > gap or last - group[0].offset > limit):
            yield group
            group = []
        group.append(place)
        end = max(end, last)
    if group:
        yield group
