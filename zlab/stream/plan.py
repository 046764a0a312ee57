"""Which chunks a stream visits, and in which order. Pure, and lazy for 10^12 chunks."""

from __future__ import annotations

import sys
from functools import lru_cache
from itertools import count, groupby, islice
from math import prod
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from zlab.engine.plan import ChunkJob
from zlab.grid.grid import RegularAxis, VariableAxis
from zlab.stream.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from zlab.engine.layout import ArrayLayout
    from zlab.grid import Axis

Coords: TypeAlias = tuple[int, ...]
Order: TypeAlias = Literal["C", "shards", "any"]

ORDERS: dict[Order, str] = {"C": "in C order", "shards": "shard by shard", "any": "in any order"}

_NONE = Ranges()
_PARTS_KEPT = 4096  # parts of an axis that are remembered, so that most chunks cost a look-up


def c_order(ranges: tuple[range, ...], start: Coords | None = None) -> Iterator[Coords]:
    """All coordinates in a box of a grid, the last axis fastest, made as they are asked for.

    Args:
        ranges: The box.
        start: The first that is wanted, the box's first by default.

    Example:
        >>> list(c_order((range(2), range(5, 7))))
        [(0, 5), (0, 6), (1, 5), (1, 6)]
        >>> list(c_order((range(2), range(5, 7)), (0, 6)))
        [(0, 6), (1, 5), (1, 6)]
    """
    # itertools.product would hold every range as a tuple first
    if not ranges:
        yield ()
        return
    *outer, inner = ranges
    numbers = inner if start is None else range(start[-1], inner.stop)
    for prefix in c_order(tuple(outer), None if start is None else start[:-1]):
        for number in numbers:
            yield (*prefix, number)
        numbers = inner


def place_in(ranges: tuple[range, ...], coords: Coords) -> int:
    """The place of coordinates in the C order of a box.

    Example:
        >>> place_in((range(2), range(5, 7)), (1, 5))
        2
    """
    place = 0
    for number, r in zip(coords, ranges, strict=True):
        place = place * (r.stop - r.start) + number - r.start
    return place


def coords_in(ranges: tuple[range, ...], place: int) -> Coords:
    """The coordinates at a place in the C order of a box.

    Example:
        >>> coords_in((range(2), range(5, 7)), 2)
        (1, 5)
    """
    numbers = []
    for r in reversed(ranges):
        place, number = divmod(place, r.stop - r.start)
        numbers.append(number + r.start)
    return tuple(reversed(numbers))


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
        region: What is visited, a slice for each axis.
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
        self.region = region
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
        self._object_at = lru_cache(_PARTS_KEPT)(self._object_of_axis)

    def __repr__(self) -> str:
        how = ORDERS[self.order]
        return f"<StreamPlan of {self.nchunks} chunks in {self.nobjects} objects, {how}>"

    def __iter__(self) -> Iterator[Coords]:
        """The coordinates of the chunks; of a stream in any order, those in C order by shard."""
        return (coords for _, coords in self.walk() if self.wants(coords))

    @property
    def filters(self) -> bool:
        """Whether there is a filter."""
        return self._filter is not None

    def wants(self, coords: Coords) -> bool:
        """Whether the filter lets a chunk pass."""
        return self._filter is None or bool(self._filter(coords))

    def walk(
        self, objects: Iterable[Coords] | None = None, *, skip: Ranges | None = None
    ) -> Iterator[tuple[Coords | None, Coords]]:
        """Shards (`None` where there are none) and chunks, in the stream's order, unfiltered.

        Args:
            objects: Visit only these stored objects; they stand in C order, inside the region.
            skip: Leave out the chunks with these numbers.
        """
        if not self.nchunks:
            return
        skip = skip or _NONE
        if objects is None:
            for start, stop in skip.gaps(self.nchunks):
                yield from islice(self._from(start), min(stop - start, sys.maxsize))
            return
        pairs: Iterator[tuple[Coords | None, Coords]]
        if not self._sharded:
            pairs = ((None, coords) for coords in objects)
        elif self._by_shard:
            pairs = self._in_shards(objects)
        else:
            pairs = self._across_shards(list(objects))
        yield from (pair for pair in pairs if self.number(pair[1]) not in skip)

    def _from(self, start: int) -> Iterator[tuple[Coords | None, Coords]]:
        """All pairs from the chunk with a number on."""
        first = self.at(start) if start else None
        if self._by_shard:
            shard = None if first is None else self.object_of(first)
            return self._in_shards(c_order(self.object_ranges, shard), first)
        in_order = c_order(self.chunk_ranges, first)
        if not self._sharded:
            return ((None, coords) for coords in in_order)
        return ((self.object_of(coords), coords) for coords in in_order)

    def _in_shards(
        self, shards: Iterable[Coords], first: Coords | None = None
    ) -> Iterator[tuple[Coords, Coords]]:
        for shard in shards:
            for coords in c_order(self._chunks_of(shard), first):
                yield shard, coords
            first = None

    def _across_shards(
        self, objects: list[Coords], shard: Coords = (), chunk: Coords = ()
    ) -> Iterator[tuple[Coords, Coords]]:
        """Follows C order over chunks through the shards, all of which begin with `shard`."""
        axis = len(shard)
        for number, group in groupby(objects, key=lambda coords: coords[axis]):
            members, here = list(group), (*shard, number)
            for c in self._inside(axis, number):
                if axis == len(self.region) - 1:
                    yield here, (*chunk, c)
                else:
                    yield from self._across_shards(members, here, (*chunk, c))

    def number(self, coords: Coords) -> int:
        """The place of a chunk in the stream's order, with nothing left out."""
        if not self._by_shard:
            return place_in(self.chunk_ranges, coords)
        shard = self.object_of(coords)
        inside = self._chunks_of(shard)
        number, before, behind = 0, 1, self.nchunks
        for axis, r in enumerate(inside):
            along = self.chunk_ranges[axis]
            behind //= along.stop - along.start
            # what lies in shards that come earlier along this axis
            number += before * (r.start - along.start) * behind
            before *= r.stop - r.start
        return number + place_in(inside, coords)

    def at(self, number: int) -> Coords:
        """The chunk at a place of the stream's order; `number` tells the place of a chunk."""
        if not self._by_shard:
            return coords_in(self.chunk_ranges, number)
        inside: list[range] = []
        before, behind = 1, self.nchunks
        for axis, along in enumerate(self.chunk_ranges):
            behind //= along.stop - along.start
            c = along.start + number // (before * behind)
            r = self._inside(axis, self._object_at(axis, c))
            number -= before * (r.start - along.start) * behind
            before *= r.stop - r.start
            inside.append(r)
        return coords_in(tuple(inside), number)

    @property
    def _by_shard(self) -> bool:
        return self._sharded and (self.order != "C" or not self.region)

    def object_of(self, coords: Coords) -> Coords:
        """The stored object that holds a chunk."""
        if not self._sharded:
            return coords
        return tuple([self._object_at(axis, c) for axis, c in enumerate(coords)])

    def _chunks_of(self, shard: Coords) -> tuple[range, ...]:
        """The chunks of a shard that lie in the region."""
        return tuple([self._inside(axis, number) for axis, number in enumerate(shard)])

    def _object_of_axis(self, axis: int, chunk: int) -> int:
        return self._object_axes[axis].chunk_at(self._chunk_axes[axis].start(chunk))

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
        chunks, part = self._chunk_axes[axis], self.region[axis]
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
        if not coords:
            return ChunkJob((), (), (), whole=True, covers=True)
        source, target, _, whole, covers = zip(*map(self._part, count(), coords), strict=True)
        return ChunkJob(coords, source, target, all(whole), all(covers))

    def region_of(self, coords: Coords) -> tuple[slice, ...]:
        """Where a chunk's part lies in the array."""
        return tuple([part.region for part in map(self._part, count(), coords)])

    @property
    def largest(self) -> int:
        """Elements of the region in the chunk that has most of them."""
        if not self.nchunks:
            return 0
        return prod(
            max(self._size_of(axis, number) for number in _telling(chunks, r))
            for axis, (chunks, r) in enumerate(
                zip(self._chunk_axes, self.chunk_ranges, strict=True)
            )
        )

    def _size_of(self, axis: int, number: int) -> int:
        part: slice = self._part(axis, number).region
        return int(part.stop - part.start)


def _telling(axis: Axis, numbers: range) -> Iterable[int]:
    """Chunks of an axis one of which is the largest, without a look at each."""
    if isinstance(axis, RegularAxis):
        runs: Iterable[range] = (numbers,)
    elif isinstance(axis, VariableAxis):
        runs = axis.runs(numbers)
    else:
        return numbers
    # the first and the last may be cut by the region
    return (n for run in runs for n in {run[0], run[:2][-1], run[-1]})
