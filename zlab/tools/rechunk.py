"""Planning a rechunking copy: which boxes of an array are read and written, one at a time. Pure.

A box is made of whole objects of the target, so that each of them is written once and as a whole.
The larger the boxes, the fewer source chunks lie in two of them and are read twice; the smaller,
the less memory is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, lcm, prod
from typing import TYPE_CHECKING

from zlab.errors import MetadataError
from zlab.grid import Grid
from zlab.grid.grid import RegularAxis, VariableAxis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zlab.grid import Axis

MOST_EDGES = 1 << 22
"""Chunks of an axis that has chunks of several sizes, which are looked at one by one."""

LEAST_NBYTES = 1 << 20
"""Bytes of a box at least, if there are as many: less costs more to hand over than to copy."""


@dataclass(frozen=True, slots=True)
class RechunkPlan:
    """How an array is cut into boxes.

    Attributes:
        boxes: The grid that they form.
        reads: Source chunks that are read, each counted as often as it is read.
        reads_per_chunk: How often one source chunk is read at most.
        nbytes: Of the largest box, decoded.
    """

    boxes: Grid
    reads: int
    reads_per_chunk: int
    nbytes: int


def plan_rechunk(source: Grid, target: Grid, *, itemsize: int, limit: int) -> RechunkPlan:
    """Plans boxes of whole target objects that read few source chunks twice.

    Args:
        source: The grid of chunks that are read.
        target: The grid of objects that are written: shards, or chunks.
        itemsize: Bytes of one element.
        limit: Decoded bytes that a box should have at most. One target object may have more.

    Raises:
        MetadataError: An axis has more chunks of several sizes than can be looked at one by one.

    Returns:
        A plan in which every box is within the limit, or is one target object.

    Example:
        >>> rows = Grid.regular((8, 8), (1, 8))
        >>> columns = Grid.regular((8, 8), (8, 1))
        >>> plan_rechunk(rows, columns, itemsize=1, limit=64).reads_per_chunk
        1
        >>> plan_rechunk(rows, columns, itemsize=1, limit=16).reads_per_chunk
        4
    """
    pairs = list(zip(source.axes, target.axes, strict=True))
    for axis in (*source.axes, *target.axes):
        if not isinstance(axis, RegularAxis) and axis.nchunks > MOST_EDGES:
            msg = f"an axis of {axis.nchunks} chunks of several sizes is too long to be planned"
            raise MetadataError(
                msg, hint="Copy it as it is, or read it in parts with stream_chunks()"
            )
    lengths = [_largest(axis) for axis in target.axes]
    costs = [_reads(s, t, n) for (s, t), n in zip(pairs, lengths, strict=True)]
    while (better := _improved(pairs, lengths, costs, limit // max(itemsize, 1))) is not None:
        place, length = better
        lengths[place] = length
        costs[place] = _reads(*pairs[place], length)
    _grow(pairs, lengths, costs, min(limit, LEAST_NBYTES) // max(itemsize, 1))
    axes = tuple(_cut(axis, n) for axis, n in zip(target.axes, lengths, strict=True))
    regular = all(isinstance(axis, RegularAxis) for axis in axes)
    boxes = Grid(axes, tuple(axis.size(0) for axis in axes) if regular else None)
    return RechunkPlan(
        boxes,
        prod(_reads(s, t, n) for (s, t), n in zip(pairs, lengths, strict=True)),
        prod(_most(s, axis) for s, axis in zip(source.axes, axes, strict=True)),
        itemsize * prod(map(_largest, axes)) if boxes.nchunks else 0,
    )


def largest_chunk(grid: Grid) -> tuple[int, ...]:
    """The most elements that a chunk is stored with, along each axis."""
    return tuple(
        axis.chunk
        if isinstance(axis, RegularAxis)
        else axis.largest
        if isinstance(axis, VariableAxis)
        else max((axis.size(c) for c in range(axis.nchunks)), default=1)
        for axis in grid.axes
    )


def _largest(axis: Axis) -> int:
    """The most elements of the array that a chunk of the axis has."""
    if isinstance(axis, RegularAxis):
        return max(min(axis.chunk, axis.length), 1)
    return max(_sizes(axis), default=1)


def _sizes(axis: Axis) -> Iterator[int]:
    """The elements of the array that each chunk has."""
    for c in range(axis.nchunks):
        yield min(axis.size(c), axis.length - axis.start(c))


def _cut(axis: Axis, length: int) -> Axis:
    """The axis in pieces of whole chunks, of `length` elements at most."""
    if isinstance(axis, RegularAxis):
        count = axis.nchunks if length >= axis.length else length // axis.chunk
        return RegularAxis(axis.length, max(count, 1) * axis.chunk)
    sizes: list[int] = []
    for size in _sizes(axis):
        if sizes and sizes[-1] + size <= length:
            sizes[-1] += size
        else:
            sizes.append(size)
    return VariableAxis(axis.length, ((size, 1) for size in sizes))


def _edges(axis: Axis) -> Iterator[int]:
    """Where one chunk ends and the next begins."""
    return (axis.start(c) for c in range(1, axis.nchunks))


def _shared(source: Axis, boxes: Axis) -> int:
    """How many edges of the boxes are edges of source chunks too."""
    if isinstance(source, RegularAxis) and isinstance(boxes, RegularAxis):
        return max(source.length - 1, 0) // lcm(source.chunk, boxes.chunk)
    if isinstance(source, RegularAxis):
        return sum(edge % source.chunk == 0 for edge in _edges(boxes))
    if isinstance(boxes, RegularAxis):
        return sum(edge % boxes.chunk == 0 for edge in _edges(source))
    return len({*_edges(source)} & {*_edges(boxes)})


def _reads(source: Axis, target: Axis, length: int) -> int:
    """Source chunks that boxes of this length read, along one axis."""
    if not target.length:
        return 0
    boxes = _cut(target, length)
    return source.nchunks + boxes.nchunks - 1 - _shared(source, boxes)


def _most(source: Axis, boxes: Axis) -> int:
    """How many boxes one source chunk lies in at most, along one axis."""
    if isinstance(source, RegularAxis) and isinstance(boxes, RegularAxis):
        # the nearest that a box's edge can come to a chunk's without being the same
        nearest = gcd(source.chunk, boxes.chunk)
        inside = -(-(source.chunk - nearest) // boxes.chunk)
        return min(inside + 1, max(boxes.nchunks, 1))
    return max(
        (
            boxes.chunk_at(min(source.start(c) + source.size(c), source.length) - 1)
            - boxes.chunk_at(source.start(c))
            + 1
            for c in range(source.nchunks)
        ),
        default=1,
    )


def _candidates(source: Axis, target: Axis, longest: int) -> Iterator[int]:
    """Lengths of a box that may be worth trying, along one axis."""
    if not isinstance(target, RegularAxis):
        step = max(longest // 32, 1)
        yield from range(step, longest + 1, step)
        return
    if target.length <= longest:
        yield target.length
    most = longest // target.chunk
    # doubling reaches any length soon, and the first multiples are where alignment is found
    counts = {*range(1, min(most, 32) + 1), *(1 << n for n in range(most.bit_length())), most}
    if isinstance(source, RegularAxis):
        aligned = lcm(source.chunk, target.chunk) // target.chunk
        counts |= {aligned, source.chunk // target.chunk, -(-source.chunk // target.chunk)}
    yield from (count * target.chunk for count in counts if 0 < count <= most)


def _improved(
    pairs: list[tuple[Axis, Axis]], lengths: list[int], costs: list[int], limit: int
) -> tuple[int, int] | None:
    """The axis and its new length that save the most reads for the memory that they take."""
    best: tuple[int, int] | None = None
    best_gain = 0.0
    for place, (source, target) in enumerate(pairs):
        others = prod(lengths) // lengths[place]
        for length in _candidates(source, target, limit // others):
            cost = _reads(source, target, length)
            if length <= lengths[place] or cost >= costs[place]:
                continue
            # what a byte more of memory saves
            gain = (costs[place] / cost - 1) / (length / lengths[place] - 1)
            if gain > best_gain:
                best, best_gain = (place, length), gain
    return best


def _grow(pairs: list[tuple[Axis, Axis]], lengths: list[int], costs: list[int], least: int) -> None:
    """Lengthens boxes that are too small, the last axis first: neighbours there lie together."""
    for place, (source, target) in reversed([*enumerate(pairs)]):
        while prod(lengths) * 2 <= least and lengths[place] < target.length:
            longer = min(lengths[place] * 2, target.length)
            if _reads(source, target, longer) > costs[place]:
                break
            lengths[place] = longer
