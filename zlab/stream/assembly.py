"""What has come of the stored objects that are being put together. Pure: no store, no codec."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from zlab.engine.plan import ChunkJob

if TYPE_CHECKING:
    from zlab.engine.layout import ArrayLayout

Coords: TypeAlias = tuple[int, ...]
Box: TypeAlias = tuple[tuple[int, int], ...]


def number_of(coords: Coords, grid: tuple[int, ...]) -> int:
    """The place of coordinates among all of a grid, in C order."""
    number = 0
    for c, n in zip(coords, grid, strict=True):
        number = number * n + c
    return number


def whole_chunk(layout: ArrayLayout, coords: Coords) -> ChunkJob:
    """The job of all of a chunk that lies in the array."""
    region = layout.chunks.region(coords)
    inside = tuple([slice(0, part.stop - part.start) for part in region])
    stored = layout.chunks.stored_shape(coords)
    whole = all(part.stop == n for part, n in zip(inside, stored, strict=True))
    return ChunkJob(coords, inside, inside, whole, covers=True)


def chunks_of(layout: ArrayLayout, coords: Coords) -> tuple[range, ...]:
    """The chunks in the array that a stored object holds, along each axis."""
    if layout.sharding is None:
        return tuple([range(c, c + 1) for c in coords])
    ranges = []
    for shards, chunks, c in zip(layout.objects.axes, layout.chunks.axes, coords, strict=True):
        start = shards.start(c)
        last = min(start + shards.size(c), shards.length) - 1
        ranges.append(range(chunks.chunk_at(start), chunks.chunk_at(last) + 1))
    return tuple(ranges)


class Coverage:
    """Which part of a chunk has come, as boxes that do not overlap.

    Boxes that make a larger one together are joined, so that a chunk that comes slice by slice
    is one box all the time.

    Example:
        >>> coverage = Coverage()
        >>> coverage.add(((0, 2), (0, 3))), coverage.add(((2, 4), (0, 3))), coverage.size
        (True, True, 12)
        >>> coverage.boxes
        [((0, 4), (0, 3))]
        >>> coverage.add(((3, 5), (1, 2)))
        False
    """

    __slots__ = ("boxes", "size")

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.size = 0

    def overlaps(self, box: Box) -> bool:
        """Whether something of a box has come already."""
        return any(
            all(a < d and c < b for (a, b), (c, d) in zip(box, other, strict=True))
            for other in self.boxes
        )

    def add(self, box: Box) -> bool:
        """Adds a box; returns `False`, and adds nothing, where some of it has come already."""
        if self.overlaps(box):
            return False
        self.size += prod(stop - start for start, stop in box)
        while True:
            for place, other in enumerate(self.boxes):
                joined = _joined(box, other)
                if joined is not None:
                    del self.boxes[place]
                    box = joined
                    break
            else:
                self.boxes.append(box)
                return True


def _joined(box: Box, other: Box) -> Box | None:
    """The box that two make together, `None` where they make none."""
    differing = [axis for axis, pair in enumerate(box) if pair != other[axis]]
    if len(differing) != 1:
        return None
    axis = differing[0]
    (a, b), (c, d) = box[axis], other[axis]
    if b != c and d != a:
        return None
    return (*box[:axis], (min(a, c), max(b, d)), *box[axis + 1 :])


@dataclass(slots=True, eq=False)
class Partial:
    """A chunk that came in part.

    Attributes:
        coverage: Which part.
        pieces: Where each piece lies in the chunk, its shape, and its number on the shelf.
    """

    coverage: Coverage = field(default_factory=Coverage)
    pieces: list[tuple[tuple[Any, ...], tuple[int, ...], int]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Assembly:
    """A stored object that is being put together.

    Attributes:
        coords: Its coordinates: a shard's, or a chunk's.
        number: Its place among the objects, in C order.
        entry: The first entry that something of it came with.
        chunks: The chunks that it is made of, along each axis.
        whole: Chunks that came whole.
        partial: Chunks that came in part so far.
        encoded: Of a shard, the numbers of the encoded chunks on the shelf, `None` for those that
            are left out since they hold nothing but the fill value.
        encoding: Chunks that are being encoded.
        failed: It was given up, and what else comes of it is not written.
    """

    coords: Coords
    number: int
    entry: int
    chunks: tuple[range, ...]
    whole: set[Coords] = field(default_factory=set)
    partial: dict[Coords, Partial] = field(default_factory=dict)
    encoded: dict[Coords, int | None] = field(default_factory=dict)
    encoding: int = 0
    failed: bool = False

    @property
    def nchunks(self) -> int:
        """Chunks that it is made of."""
        return prod(map(len, self.chunks))

    @property
    def is_complete(self) -> bool:
        """Whether all of it has come."""
        return len(self.whole) == self.nchunks

    def missing(self) -> list[Coords]:
        """The chunks that did not come whole, in C order."""
        return [coords for coords in product(*self.chunks) if coords not in self.whole]

    def has_some_of(self, job: ChunkJob) -> bool:
        """Whether something of a job's part has come already."""
        partial = self.partial.get(job.coords)
        return job.coords in self.whole or (
            partial is not None and partial.coverage.overlaps(box_of(job))
        )


def box_of(job: ChunkJob) -> Box:
    """Where a job's part lies in its chunk."""
    return tuple([(part.start, part.stop) for part in job.source])
