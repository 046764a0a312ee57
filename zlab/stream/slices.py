"""Slice streams: pieces along one axis, each chunk decoded once unless memory forbids it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeAlias, final

from zlab.config import settings
from zlab.engine.plan import split_axis
from zlab.engine.read import read_region
from zlab.engine.selection import Region, Span
from zlab.errors import ChunkReadError, ChunkTimeoutError, MemoryBudgetError, SelectionError
from zlab.stream.ahead import ReadAhead, Unit, raise_in_turn
from zlab.stream.arguments import flag, seconds, whole_number
from zlab.stream.budget import Account
from zlab.stream.buffers import Buffers
from zlab.stream.chunks import check_progress
from zlab.stream.failures import fail, parse_on_error, tell
from zlab.stream.loader import format_region
from zlab.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.stream.ahead import Halt
    from zlab.stream.failures import OnError
    from zlab.stream.stream import Progress
    from zlab.stream.tally import Tally


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


class _Part(NamedTuple):
    """What is read at once.

    Attributes:
        along: The positions along the axis.
        nchunks: Chunks along the axis that are read for the first time.
        nagain: Chunks along the axis that were read for an earlier part already.
    """

    along: Span
    nchunks: int
    nagain: int


_Loaded: TypeAlias = "tuple[NDArray[Any] | ChunkReadError, _Part]"


@final
@dataclass(frozen=True, eq=False, repr=False)
class SliceStream(Stream[Slice]):
    """An array as slices along an axis, as a stream; see `Array.stream_slices`.

    Attributes:
        axis: The axis that is cut.
        span: The positions along it.
        length: Positions of one slice.
        max_bytes: Decoded bytes that are in flight or wait for the consumer, at most.
        concurrency: Slabs of chunks that are read at once, `None` for as many as keep the store
            and the cores busy.
        timeout: Seconds that a slab may take, `None` for as long as it takes.
        on_error: What becomes of a slice that cannot be read.
        redecode: Whether chunks may be decoded more than once, where a slab of them is larger than
            `max_bytes`.
    """

    kind: ClassVar[str] = "slices"

    axis: int
    span: Span
    length: int
    max_bytes: int
    concurrency: int | None = None
    timeout: float | None = None
    on_error: OnError = "raise"
    redecode: bool = False

    @cached_property
    def plan(self) -> SlicePlan:
        """What is read and held. No bytes are read for it."""
        plan = self._slab_plan
        if self.redecodes:
            return plan._replace(slab_nbytes=plan.slice_nbytes, slice_nbytes=0)
        return plan

    @property
    def redecodes(self) -> bool:
        """Whether each slice is read by itself, since a slab of chunks may not be held."""
        return self.redecode and self._slab_plan.nbytes_held > self.max_bytes

    @cached_property
    def _slab_plan(self) -> SlicePlan:
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

    @cached_property
    def item_nbytes(self) -> int:
        """Decoded bytes of the largest slice."""
        return self.plan.slice_nbytes or self.plan.slab_nbytes

    @property
    def least_nbytes(self) -> int:
        """Decoded bytes that must be held at once."""
        return self.plan.nbytes_held

    def within(self, max_bytes: int) -> Self:
        """The same stream with so many bytes to hold."""
        return replace(self, max_bytes=max_bytes).checked()

    def checked(self) -> Self:
        """The stream itself, if it may hold what it must.

        Raises:
            MemoryBudgetError: It may not.
        """
        needed, budget = self.plan.nbytes_held, self.max_bytes
        if needed <= budget:
            return self
        hint = f"Pass max_bytes={needed}, or cut along another axis"
        if not self.redecode:
            hint += (
                ": all chunks with one coordinate along the axis are held, so that each is decoded "
                "once. With redecode=True each slice is read by itself"
            )
        raise MemoryBudgetError(
            f"slices of {self.length} along axis {self.axis} need {needed} bytes at once, more "
            f"than the {budget} that the stream may hold",
            needed=needed,
            budget=budget,
            hint=hint,
        )

    def __repr__(self) -> str:
        place = f"{self.layout.store.name}/{self.layout.path}".rstrip("/")
        along = format_region((self._along(0, self.span.count),))
        decoded = "decoded for each slice anew" if self.redecodes else "each decoded once"
        return (
            f"<SliceStream {place} [{along}] along axis {self.axis}: {self.plan.nslices} slices of "
            f"{self.length}, {self.plan.nchunks} chunks, {decoded}, "
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
        shape, dtype = self.layout.metadata.shape, self.layout.dtype
        before = tuple(slice(0, n, 1) for n in shape[:axis])
        behind = tuple(slice(0, n, 1) for n in shape[axis + 1 :])
        empty = Buffers(self.plan.slice_nbytes).empty

        def positions(start: int, n: int) -> tuple[slice, ...]:
            return (*(slice(None),) * axis, slice(start, start + n))

        def cut(first: int, data: NDArray[Any]) -> Slice:
            along = self._along(first, data.shape[axis])
            tally.add(0, data.nbytes)
            return Slice(along.start, along.stop, axis, (*before, along, *behind), data)

        width = self._slabs_at_once() if self.concurrency is None else self.concurrency
        account = Account(self.max_bytes - self.plan.slice_nbytes)
        tally.accounts.append(account)
        ahead = ReadAhead(
            self._slabs(),
            account,
            width=width,
            depth=2 * width,
            ordered=True,
            halt=halt,
            timeout=self.timeout,
        )
        done = 0  # positions that were handed on or lie in `joined`
        joined: NDArray[Any] | None = None
        failure: ChunkReadError | None = None  # of the slice that is being joined
        for nbytes, (slab, part) in ahead:
            self._count(tally, part)
            taken, npositions = 0, part.along.count
            while taken < npositions:
                first = done - done % self.length
                want = min(self.length, count - first)
                n = min(first + want - done, npositions - taken)
                if isinstance(slab, ChunkReadError):
                    failure = failure or slab
                elif n == want == npositions:
                    joined = slab
                elif failure is None:
                    if joined is None:
                        joined = empty((*shape[:axis], want, *shape[axis + 1 :]), dtype)
                    joined[positions(done - first, n)] = slab[positions(taken, n)]
                taken += n
                done += n
                if done < first + want:
                    continue
                if failure is not None:
                    error, failure, joined = failure, None, None
                    fail(self.on_error, tally, error, nchunks=0)
                elif joined is not None:
                    item, joined = cut(first, joined), None
                    yield item
                    del item
            del slab
            ahead.release(nbytes)
        tell(tally, f"{self.layout.store.name}/{self.layout.path}")

    def _count(self, tally: Tally, part: _Part) -> None:
        tally.visit(part.nchunks * self._chunks_across)
        tally.redecoded += part.nagain * self._chunks_across

    def _slabs_at_once(self) -> int:
        """As many as keep the store and the cores busy; a slab of many chunks does by itself."""
        at_once = settings.threads if self.layout.store.local else settings.fetch_concurrency
        first = next(self._parts(), None)
        nchunks = self._chunks_across * (1 if first is None else first.nchunks)
        return max(1, at_once // max(nchunks, 1))

    def _slabs(self) -> Iterator[Unit[_Loaded]]:
        shape, dtype = self.layout.metadata.shape, self.layout.dtype
        empty = Buffers(self.plan.slab_nbytes).empty
        for part in self._parts():
            spans = [Span(0, 1, n) for n in shape]
            spans[self.axis] = part.along
            region = Region(tuple(spans))
            nbytes = prod(region.shape) * dtype.itemsize
            load = partial(self._load, region, part, empty)
            yield Unit(nbytes, load, partial(self._give_up, part), holds_on=True)

    def _load(self, region: Region, part: _Part, empty: Any) -> _Loaded:
        try:
            return read_region(self.layout, region, empty(region.shape, self.layout.dtype)), part
        except ChunkReadError as error:
            if self.on_error == "raise":
                raise
            return error, part

    def _give_up(self, part: _Part) -> _Loaded:
        chunk = self.layout.chunks.axes[self.axis].chunk_at(part.along.start)
        coords = tuple(chunk if a == self.axis else 0 for a in range(len(self.layout.chunks.shape)))
        error = ChunkTimeoutError(
            f"chunk {chunk} along axis {self.axis}, and those beside it, did not come within "
            f"{self.timeout:g} seconds",
            coords=coords,
            store=self.layout.store.name,
            key=self.layout.path,
            hint="Allow more with timeout=, or go on without them with on_error='skip'",
        )
        if self.on_error == "raise":
            raise_in_turn(error)
        return error, part

    def _parts(self) -> Iterator[_Part]:
        """What is read at once."""
        start, step, count = self.span
        axis = self.layout.chunks.axes[self.axis]
        if not self._whole_chunks and not self.redecodes:
            for _, _, target, _, _ in split_axis(axis, self.span):
                along = Span(start + target.start * step, step, target.stop - target.start)
                yield _Part(along, 1, 0)
            return
        behind = 0  # the chunk after the last that was read
        for done in range(0, count, self.length):
            along = Span(start + done * step, step, min(self.length, count - done))
            first = axis.chunk_at(along.start)
            again = int(bool(done) and first < behind)
            yield _Part(along, sum(1 for _ in split_axis(axis, along)) - again, again)
            behind = axis.chunk_at(along.start + (along.count - 1) * step) + 1


def stream_slices(
    layout: ArrayLayout,
    axis: int = 0,
    *,
    start: int | None = None,
    stop: int | None = None,
    step: int = 1,
    length: int = 1,
    concurrency: int | None = None,
    timeout: float | None = None,
    on_error: OnError = "raise",
    redecode: bool = False,
    max_bytes: int | None = None,
    progress: Progress = None,
) -> SliceStream:
    """Describes a stream of slices; `Array.stream_slices` tells what the arguments mean.

    Raises:
        SelectionError: There is no such axis, or `start` and `stop` do not lie on it in order.
        TypeError: An argument is not what its name says.
        ValueError: A number is too small.
        MemoryBudgetError: More must be held at once than `max_bytes`.
    """
    shape = layout.metadata.shape
    axis = whole_number(axis, "axis")
    if not -len(shape) <= axis < len(shape):
        raise SelectionError(f"no axis {axis} in an array of {len(shape)} dimensions")
    axis %= len(shape)
    step = whole_number(step, "step", least=1)
    length = whole_number(length, "length", least=1)
    check_progress(progress)
    budget = whole_number(
        settings.memory_budget if max_bytes is None else max_bytes, "max_bytes", least=1
    )
    first = 0 if start is None else whole_number(start, "start")
    end = shape[axis] if stop is None else whole_number(stop, "stop")
    if not 0 <= first <= end <= shape[axis]:
        msg = f"{first}:{end} is not inside axis {axis}, which has length {shape[axis]}"
        raise SelectionError(msg)
    return SliceStream(
        layout,
        axis,
        Span(first, step, -(-(end - first) // step)),
        length,
        budget,
        None if concurrency is None else whole_number(concurrency, "concurrency", least=1),
        None if timeout is None else seconds(timeout, "timeout"),
        parse_on_error(on_error),
        flag(redecode, "redecode"),
        progress=progress,
    ).checked()
