"""Which chunks a stream visits, and in which order. Pure, and lazy for 10^12 chunks."""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby
from math import prod
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from zlab.engine.plan import ChunkJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from zlab.engine.layout import ArrayLayout
    from zlab.grid import Axis

Coords: TypeAlias = tuple[int, ...]
Order: TypeAlias = Literal["C", "shards", "any"]

_PARTS_KEPT = 4096  # parts of an axis that are remembered, so that most chunks cost a look-up


def c_order(ranges: tuple[range, ...]) -> Iterator[Coords]:
    """All coordinates in a box of a grid, the last axis fastest, made as they are asked for.

    Example:
        >>> list(c_order((range(2), range(5, 7))))
        [(0, 5), (0, 6), (1, 5), (1, 6)]
    """
    # itertools.product would hold every range as a tuple first
    if not ranges:
        yield ()
        return
    *outer, inner = ranges
    for prefix in c_order(tuple(outer)):
        for number in inner:
            yield (*prefix, number)


def _touched(axis: Axis, part: slice) -> range:
    """The chunks of an axis that hold some of a slice."""
    if part.start == part.stop:
        return range(0)
    return range(axis.chunk_at(part.start), axis.chunk_at(part.stop - 1) + 1)


class _Part(NamedTuple):
    """What of a region lies in one chunk of an axis."""

    source: slice
    target: slice
    region: slice
    whole: bool
    covers: bool


class StreamPlan:
    """The chunks of a region, in a stream's order.

    Attributes:
        nchunks: Chunks that lie in the region, stored or not: a stream visits at most these.
        nobjects: Stored objects (chunks, or shards) that lie in the region, stored or not.
        order: `"C"` is C order over all chunks, `"shards"` C order over shards and C order within
            each, `"any"` whichever is read first.
        chunk_ranges: The chunks along each axis.
        object_ranges: The stored objects along each axis.

    Example:
        >>> import zlab
        >>> array = zlab.create_array("memory://", shape=(10, 10), chunks=(4, 4), dtype="int8")
        >>> plan = array.stream_chunks(region=(slice(2, 9), slice(0, 4))).plan
        >>> plan.nchunks, list(plan)
        (3, [(0, 0), (1, 0), (2, 0)])
    """

    def __init__(
        self,
        layout: ArrayLayout,
        region: tuple[slice, ...],
        order: Order,
        chunk_filter: Callable[[Coords], object] | None = None,
    ) -> None:
        self.order: Order = order
        self._region = region
        self._chunk_axes = layout.chunks.axes
        self._object_axes = layout.objects.axes
        self._sharded = layout.sharding is not None
        self._filter = chunk_filter
        self.chunk_ranges = tuple(
            _touched(axis, part) for axis, part in zip(self._chunk_axes, region, strict=True)
        )
        self.object_ranges = tuple(
            _touched(axis, part) for axis, part in zip(self._object_axes, region, strict=True)
        )
        # len() of a range stops at 2**63
        self.nchunks = prod(r.stop - r.start for r in self.chunk_ranges)
        self.nobjects = prod(r.stop - r.start for r in self.object_ranges)
        self._part = lru_cache(_PARTS_KEPT)(self._part_of_axis)
        self._inside = lru_cache(_PARTS_KEPT)(self._chunks_of_shard)

    def __iter__(self) -> Iterator[Coords]:
        """The coordinates of the chunks; of a stream in any order, those in C order by shard."""
        return (coords for _, coords in self.walk() if self.wants(coords))

    def wants(self, coords: Coords) -> bool:
        """Whether the filter lets a chunk pass."""
        return self._filter is None or bool(self._filter(coords))

    def walk(
        self, objects: Iterable[Coords] | None = None, *, after: Coords | None = None
    ) -> Iterator[tuple[Coords | None, Coords]]:
        """Shards (`None` where there are none) and chunks, in the stream's order, unfiltered.

        Args:
            objects: Visit only these stored objects; they stand in C order, inside the region.
            after: Go on behind this chunk.
        """
        if not self.nchunks:
            return
        pairs: Iterator[tuple[Coords | None, Coords]]
        if not self._sharded:
            pairs = self._bare(objects)
        elif self.order == "C" and self._region:
            pairs = self._across_shards(objects)
        else:
            pairs = self._by_shard(objects)
        last = None if after is None else self._place(after)
        for shard, coords in pairs:
            if last is not None:
                if self._place(coords) <= last:
                    continue
                last = None
            yield shard, coords

    def _bare(self, objects: Iterable[Coords] | None) -> Iterator[tuple[None, Coords]]:
        for coords in c_order(self.object_ranges) if objects is None else objects:
            yield None, coords

    def _by_shard(self, objects: Iterable[Coords] | None) -> Iterator[tuple[Coords, Coords]]:
        for shard in c_order(self.object_ranges) if objects is None else objects:
            for coords in c_order(tuple(self._inside(a, s) for a, s in enumerate(shard))):
                yield shard, coords

    def _across_shards(
        self, objects: Iterable[Coords] | None, shard: Coords = (), chunk: Coords = ()
    ) -> Iterator[tuple[Coords, Coords]]:
        """Follows C order over chunks through the shards, all of which begin with `shard`."""
        axis = len(shard)
        groups: Iterable[tuple[int, list[Coords] | None]]
        if objects is None:
            groups = ((number, None) for number in self.object_ranges[axis])
        else:
            by_number = groupby(objects, key=lambda coords: coords[axis])
            groups = ((number, list(members)) for number, members in by_number)
        for number, members in groups:
            here = (*shard, number)
            for c in self._inside(axis, number):
                if axis == len(self._region) - 1:
                    yield here, (*chunk, c)
                else:
                    yield from self._across_shards(members, here, (*chunk, c))

    def _place(self, coords: Coords) -> tuple[Coords, Coords]:
        """What the stream's order sorts by."""
        if not self._sharded or self.order == "C":
            return coords, ()
        return self.object_of(coords), coords

    def object_of(self, coords: Coords) -> Coords:
        """The stored object that holds a chunk."""
        if not self._sharded:
            return coords
        axes = zip(self._object_axes, self._chunk_axes, coords, strict=True)
        return tuple(shards.chunk_at(chunks.start(c)) for shards, chunks, c in axes)

    def _chunks_of_shard(self, axis: int, number: int) -> range:
        shards, chunks = self._object_axes[axis], self._chunk_axes[axis]
        start = shards.start(number)
        stop = min(start + shards.size(number), shards.length)
        inside = self.chunk_ranges[axis]
        return range(
            max(inside.start, chunks.chunk_at(start)),
            min(inside.stop, chunks.chunk_at(stop - 1) + 1),
        )

    def _part_of_axis(self, axis: int, number: int) -> _Part:
        chunks, part = self._chunk_axes[axis], self._region[axis]
        first, size = chunks.start(number), chunks.size(number)
        inside = min(size, chunks.length - first)
        start, stop = max(first, part.start), min(first + inside, part.stop)
        return _Part(
            slice(start - first, stop - first),
            slice(start - part.start, stop - part.start),
            slice(start, stop),
            whole=stop - start == size,
            covers=stop - start == inside,
        )

    def job(self, coords: Coords) -> ChunkJob:
        """What of a chunk is read, and where it lies in the region."""
        parts = [self._part(axis, number) for axis, number in enumerate(coords)]
        return ChunkJob(
            coords,
            tuple([part.source for part in parts]),
            tuple([part.target for part in parts]),
            all(part.whole for part in parts),
            all(part.covers for part in parts),
        )

    def region_of(self, coords: Coords) -> tuple[slice, ...]:
        """Where a chunk's part lies in the array."""
        return tuple([self._part(axis, number).region for axis, number in enumerate(coords)])
