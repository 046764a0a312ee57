"""Slice streams: pieces along one axis, each chunk decoded once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, final

from zlab.config import settings
from zlab.engine.plan import split_axis
from zlab.engine.read import read_region
from zlab.engine.selection import Region, Span
from zlab.errors import MemoryBudgetError, SelectionError
from zlab.memory import aligned_empty
from zlab.stream.ahead import ReadAhead, Unit
from zlab.stream.arguments import whole_number
from zlab.stream.budget import Account
from zlab.stream.chunks import format_region
from zlab.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.stream.ahead import Halt
    from zlab.stream.stream import Tally


@final
@dataclass(frozen=True, eq=False, slots=True)
class Slice:
    """A slice of a stream.

    Attributes:
        start: The first position along the axis.
        stop: The position behind the last.
        axis: The axis that is cut.
        region: Where `data` lies in the array, a slice for each axis.
        data: Its values, with all axes of the array; yours to keep and change, in memory of its
            own that starts at a multiple of 64 bytes.
    """

    start: int
    stop: int
    axis: int
    region: tuple[slice, ...]
    data: NDArray[Any]

    def __repr__(self) -> str:
        return f"<Slice [{format_region(self.region)}] {self.data.dtype}>"


class SlicePlan(NamedTuple):
    """What a slice stream reads and holds.

    Attributes:
        nslices: Slices that it yields.
        nchunks: Chunks that it visits, stored or not.
        slab_nbytes: Bytes of the largest slab: what is read at once, all chunks that have one
            coordinate along the axis. Where slices are made of whole chunks it is a slice.
        slice_nbytes: Bytes of a slice that is copied out of slabs; 0 where a slab is a slice.
    """

    nslices: int
    nchunks: int
    slab_nbytes: int
    slice_nbytes: int

    @property
    def nbytes_held(self) -> int:
        """Bytes that are held at once at least."""
        return self.slab_nbytes + self.slice_nbytes


@final
@dataclass(frozen=True, eq=False, repr=False)
class SliceStream(Stream[Slice]):
    """An array as slices along an axis, as a stream; see `Array.stream_slices`.

    Attributes:
        axis: The axis that is cut.
        span: The positions along it.
        length: Positions of one slice.
        max_bytes: Decoded bytes that are in flight or wait for the consumer, at most.
    """

    kind: ClassVar[str] = "slices"

    axis: int
    span: Span
    length: int
    max_bytes: int

    @cached_property
    def plan(self) -> SlicePlan:
        """What is read and held. No bytes are read for it."""
        count, shape = self.span.count, self.layout.metadata.shape
        nslices = -(-count // self.length)
        if not count or 0 in shape:
            return SlicePlan(nslices, 0, 0, 0)
        row = prod(n for a, n in enumerate(shape) if a != self.axis) * self.layout.dtype.itemsize
        touched, largest = self._chunks_along()
        slice_nbytes = min(self.length, count) * row
        if self._whole_chunks:
            return SlicePlan(nslices, touched * self._chunks_across, slice_nbytes, 0)
        return SlicePlan(nslices, touched * self._chunks_across, largest * row, slice_nbytes)

    @cached_property
    def _chunks_across(self) -> int:
        """Chunks that have one coordinate along the axis."""
        return prod(n for a, n in enumerate(self.layout.chunks.shape) if a != self.axis)

    @cached_property
    def _whole_chunks(self) -> bool:
        """Whether every slice is made of whole chunks, so that it can be read by itself."""
        chunk_shape, (start, step, _) = self.layout.chunks.chunk_shape, self.span
        if chunk_shape is None:
            return False
        chunk = chunk_shape[self.axis]
        return step == 1 and start % chunk == 0 and self.length % chunk == 0

    def _chunks_along(self) -> tuple[int, int]:
        """How many chunks along the axis are read, and the most positions in one of them."""
        axis, chunk_shape = self.layout.chunks.axes[self.axis], self.layout.chunks.chunk_shape
        start, step, count = self.span
        if chunk_shape is None:
            sizes = [part.stop - part.start for _, _, part, _, _ in split_axis(axis, self.span)]
            return len(sizes), max(sizes)
        chunk = chunk_shape[self.axis]
        if step >= chunk:
            return count, 1
        last = axis.chunk_at(start + (count - 1) * step)
        return last - axis.chunk_at(start) + 1, min(count, -(-chunk // step))

    @property
    def max_nchunks(self) -> int:
        """Chunks that an iteration visits at most."""
        return self.plan.nchunks

    def __repr__(self) -> str:
        place = f"{self.layout.store.name}/{self.layout.path}".rstrip("/")
        along = format_region((self._along(0, self.span.count),))
        return (
            f"<SliceStream {place} [{along}] along axis {self.axis}: {self.plan.nslices} slices of "
            f"{self.length}, {self.plan.nchunks} chunks, each decoded once, "
            f"{self.plan.nbytes_held / (1 << 20):.3g} MiB held at once>"
        )

    def _along(self, first: int, n: int) -> slice:
        """Some positions as a slice of the axis."""
        start, step, _ = self.span
        begin = start + first * step
        return slice(begin, begin + (n - 1) * step + 1 if n else begin, step)

    def items(self, halt: Halt, tally: Tally) -> Generator[Slice]:
        """One iteration."""
        axis, count = self.axis, self.span.count
        shape = self.layout.metadata.shape
        before = tuple(slice(0, n, 1) for n in shape[:axis])
        behind = tuple(slice(0, n, 1) for n in shape[axis + 1 :])

        def positions(start: int, n: int) -> tuple[slice, ...]:
            return (*(slice(None),) * axis, slice(start, start + n))

        def cut(first: int, data: NDArray[Any]) -> Slice:
            tally.nbytes += data.nbytes
            along = self._along(first, data.shape[axis])
            return Slice(along.start, along.stop, axis, (*before, along, *behind), data)

        width = self._slabs_at_once()
        ahead = ReadAhead(
            self._slabs(),
            Account(self.max_bytes - self.plan.slice_nbytes),
            width=width,
            depth=2 * width,
            ordered=True,
            halt=halt,
        )
        done = 0  # positions that were handed on or lie in `joined`
        joined: NDArray[Any] | None = None
        for nbytes, (slab, nchunks) in ahead:
            tally.nchunks += nchunks
            taken = 0
            while taken < slab.shape[axis]:
                first = done - done % self.length
                want = min(self.length, count - first)
                n = min(first + want - done, slab.shape[axis] - taken)
                if n == want == slab.shape[axis]:
                    joined = slab
                else:
                    if joined is None:
                        whole = (*shape[:axis], want, *shape[axis + 1 :])
                        joined = aligned_empty(whole, self.layout.dtype)
                    joined[positions(done - first, n)] = slab[positions(taken, n)]
                taken += n
                done += n
                if done == first + want:
                    item, joined = cut(first, joined), None
                    yield item
                    del item
            del slab
            ahead.release(nbytes)

    def _slabs_at_once(self) -> int:
        """As many as keep the store and the cores busy; a slab of many chunks does by itself."""
        at_once = settings.threads if self.layout.store.local else settings.fetch_concurrency
        nchunks = next(self._parts(), (1,))[0] * self._chunks_across
        return max(1, at_once // max(nchunks, 1))

    def _slabs(self) -> Iterator[Unit[tuple[NDArray[Any], int]]]:
        shape, itemsize = self.layout.metadata.shape, self.layout.dtype.itemsize
        for nchunks, along in self._parts():
            spans = [Span(0, 1, n) for n in shape]
            spans[self.axis] = along
            region = Region(tuple(spans))
            nbytes = prod(region.shape) * itemsize
            yield Unit(nbytes, partial(self._load, region, nchunks * self._chunks_across))

    def _load(self, region: Region, nchunks: int) -> tuple[NDArray[Any], int]:
        return read_region(self.layout, region), nchunks

    def _parts(self) -> Iterator[tuple[int, Span]]:
        """What is read at once: the number of chunks along the axis, and the positions."""
        start, step, count = self.span
        axis = self.layout.chunks.axes[self.axis]
        if not self._whole_chunks:
            for _, _, target, _, _ in split_axis(axis, self.span):
                yield 1, Span(start + target.start * step, step, target.stop - target.start)
            return
        for first in range(start, start + count, self.length):
            n = min(self.length, start + count - first)
            yield axis.chunk_at(first + n - 1) - axis.chunk_at(first) + 1, Span(first, 1, n)


def stream_slices(
    layout: ArrayLayout,
    axis: int = 0,
    *,
    start: int | None = None,
    stop: int | None = None,
    step: int = 1,
    length: int = 1,
    max_bytes: int | None = None,
) -> SliceStream:
    """Describes a stream of slices; `Array.stream_slices` tells what the arguments mean.

    Raises:
        SelectionError: There is no such axis, or `start` and `stop` do not lie on it in order.
        TypeError: An argument is not a whole number.
        ValueError: `step`, `length` or `max_bytes` is less than 1.
        MemoryBudgetError: More must be held at once than `max_bytes`.
    """
    shape = layout.metadata.shape
    axis = whole_number(axis, "axis")
    if not -len(shape) <= axis < len(shape):
        raise SelectionError(f"no axis {axis} in an array of {len(shape)} dimensions")
    axis %= len(shape)
    step = whole_number(step, "step", least=1)
    length = whole_number(length, "length", least=1)
    budget = whole_number(
        settings.memory_budget if max_bytes is None else max_bytes, "max_bytes", least=1
    )
    first = 0 if start is None else whole_number(start, "start")
    end = shape[axis] if stop is None else whole_number(stop, "stop")
    if not 0 <= first <= end <= shape[axis]:
        msg = f"{first}:{end} is not inside axis {axis}, which has length {shape[axis]}"
        raise SelectionError(msg)
    span = Span(first, step, -(-(end - first) // step))
    stream = SliceStream(layout, axis, span, length, budget)
    needed = stream.plan.nbytes_held
    if needed > budget:
        raise MemoryBudgetError(
            f"slices of {length} along axis {axis} need {needed} bytes at once, more than the "
            f"{budget} that the stream may hold",
            needed=needed,
            budget=budget,
            hint=f"Pass max_bytes={needed}, or cut along another axis: all chunks with one "
            "coordinate along the axis are held, so that each is decoded once",
        )
    return stream
