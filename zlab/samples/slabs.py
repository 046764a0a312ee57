"""Reading samples in order: slab by slab, each chunk once, and batches that are views of slabs.

A slab is all chunks that have some coordinates in a row along the first sampled axis. Its memory
begins with what the windows that reach into it have of the slab before, so that every window lies
in one piece. Where the samples lie there one behind the other, batches are not copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product, repeat
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zlab.config import settings
from zlab.engine.plan import split_axis
from zlab.engine.read import read_into
from zlab.engine.selection import Region, Span
from zlab.memory import ALIGNMENT, aligned_empty
from zlab.samples.blocks import chunks_in, longest_chunk
from zlab.stream.ahead import ReadAhead, Unit
from zlab.stream.budget import Account

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from zlab.samples.grid import Placement
    from zlab.samples.orders import Epochs
    from zlab.stream.ahead import Halt
    from zlab.stream.buffers import Pools
    from zlab.stream.tally import Tally

SLAB_NBYTES = 4 << 20
"""Bytes of a slab that is made of several chunks in a row, at most; or of four batches."""

_FIRST_NBYTES = 1 << 18  # of the first slab: reading less takes as long


class Slab(NamedTuple):
    """What is read at once.

    Attributes:
        start: The first row that is read: an element of the first sampled axis.
        stop: The row behind the last.
        above: Rows before it that are there already, and that its first samples begin in.
        first: The first sample along the axis that is complete with it, and was not before.
        last: The one behind the last.
    """

    start: int
    stop: int
    above: int
    first: int
    last: int


@dataclass(frozen=True)
class SlabPlan:
    """How one array is read in order.

    Attributes:
        placement: Where the samples lie in it.
    """

    placement: Placement

    @cached_property
    def axis(self) -> int:
        """The array's axis that the first sampled axis is."""
        return self.placement.sampled[0]

    @cached_property
    def row_shape(self) -> tuple[int, ...]:
        """The elements of one row along each of the array's axes."""
        box = [(0, n) for n in self.placement.grid.shape]
        spans = self.placement.spans(box)
        return tuple(1 if a == self.axis else span.count for a, span in enumerate(spans))

    @cached_property
    def row_nbytes(self) -> int:
        """Bytes of a row."""
        return prod(self.row_shape) * self.placement.layout.dtype.itemsize

    @cached_property
    def most_above(self) -> int:
        """Rows of the slab before that are kept at most."""
        return self.placement.crop[self.axis][1] - 1

    @cached_property
    def object_nbytes(self) -> int:
        """Bytes of the rows that one object of the store has at most."""
        return longest_chunk(self.placement.layout.objects.axes[self.axis]) * self.row_nbytes

    @cached_property
    def least_nbytes(self) -> int:
        """Bytes that are held at least."""
        axis = self.placement.layout.chunks.axes[self.axis]
        # what is kept of one slab until the next one is there
        return (longest_chunk(axis) + 2 * self.most_above) * self.row_nbytes

    def slabs(self, epoch: Epochs, limits: Iterator[int]) -> Iterator[Slab]:
        """The slabs of one epoch.

        Args:
            epoch: What is wanted of it.
            limits: Bytes of each slab of several chunks at most, without end.
        """
        grid, (first_crop, n) = self.placement.grid, self.placement.crop[self.axis]
        step = grid.axes[0].step
        wanted = epoch.wanted
        if wanted.start == wanted.stop:
            return
        lowest, highest = wanted.start // grid.inner, (wanted.stop - 1) // grid.inner
        begin, end = lowest * step + first_crop, highest * step + first_crop + n
        done, behind = lowest, begin  # samples, and rows, that are settled
        slab: Slab | None = None
        limit = next(limits)
        axis = self.placement.layout.chunks.axes[self.axis]
        for chunk in range(axis.chunk_at(begin), axis.chunk_at(end - 1) + 1):
            start = max(axis.start(chunk), begin)
            stop = min(axis.start(chunk) + axis.size(chunk), end)
            settled = done if slab is None else slab.last
            # samples that begin before `stop` and end behind `start`
            touching = max(settled, -(-(start - first_crop - n + 1) // step))
            behind_touching = -(-(stop - first_crop) // step)
            if not epoch.wants(touching * grid.inner, behind_touching * grid.inner):
                continue
            complete = (stop - first_crop - n) // step + 1
            if slab is not None and (
                slab.stop != start
                # windows may be longer than chunks
                or (slab.last > slab.first and self._is_full(slab, stop, epoch, limit))
            ):
                yield slab
                done, behind, slab = slab.last, slab.stop, None
                limit = next(limits)
            if slab is not None:
                slab = slab._replace(stop=stop, last=max(complete, slab.first))
                continue
            first = done if start == behind else max(done, -(-(start - first_crop) // step))
            row = first * step + first_crop
            slab = Slab(max(start, row), stop, max(0, start - row), first, max(complete, first))
        if slab is not None:
            yield slab

    def _is_full(self, slab: Slab, stop: int, epoch: Epochs, max_nbytes: int) -> bool:
        """Whether a slab is large enough; a batch is not copied where a slab ends with it."""
        with_next = (stop - slab.start) * self.row_nbytes
        ends_with_batch = epoch.first_pick(slab.last * self.placement.grid.inner) == 0
        return with_next > (max_nbytes // 2 if ends_with_batch else max_nbytes)

    def spans(self, slab: Slab) -> tuple[Span, ...]:
        """The elements of a slab, along each of the array's axes."""
        spans = list(self.placement.spans([(0, n) for n in self.placement.grid.shape]))
        spans[self.axis] = Span(slab.start, 1, slab.stop - slab.start)
        return tuple(spans)


def growing(first: int, most: int) -> Iterator[int]:
    """Limits of slabs: an iteration's first batch waits for a small one, and later ones are large.

    Args:
        first: Bytes of the first slab.
        most: Bytes of a slab.
    """
    nbytes = max(first, _FIRST_NBYTES)
    while nbytes < most:
        yield nbytes
        nbytes *= 2
    yield from repeat(most)


class _Loaded(NamedTuple):
    """Some of a slab was read.

    Attributes:
        slab: Which.
        box: All of its memory, with the array's axes.
        nchunks: Chunks that were read.
        is_last: It is all there now.
    """

    slab: Slab
    box: NDArray[Any]
    nchunks: int
    is_last: bool


class _Ready:
    """The samples of a slab.

    Args:
        plan: Of the array.
        read: The slab.
        above: The last rows of the slab before, where its windows begin in them.

    Attributes:
        first: The first sample.
        last: The one behind the last.
    """

    def __init__(self, plan: SlabPlan, read: _Loaded, above: NDArray[Any] | None) -> None:
        placement, slab = plan.placement, read.slab
        self._plan = plan
        self._box = read.box
        if slab.above and above is not None:
            rows = self._rows(above, above.shape[plan.axis] - slab.above, None)
            self._rows(self._box, 0, slab.above)[...] = rows
        inner = placement.grid.inner
        self.first, self.last = slab.first * inner, slab.last * inner
        counts = (slab.last - slab.first, *placement.grid.shape[1:])
        self._samples = placement.view(self._box, counts)
        self._flat: NDArray[Any] | None = None
        self._address = self._nbytes = 0
        if self._samples.flags.c_contiguous:
            self._flat = self._samples.reshape((prod(counts), *placement.sample_shape))
            # nobody else takes over the memory of objects
            if not (self._flat.dtype.hasobject or self._flat.dtype.kind == "T"):
                self._address, self._nbytes = self._flat.ctypes.data, placement.sample_nbytes

    def _rows(self, box: NDArray[Any], start: int, stop: int | None) -> NDArray[Any]:
        return box[(*(slice(None),) * self._plan.axis, slice(start, stop))]

    def above(self, nrows: int) -> NDArray[Any] | None:
        """A copy of the last rows."""
        length = self._box.shape[self._plan.axis]
        return self._rows(self._box, max(0, length - nrows), None).copy() if nrows else None

    def view(self, start: int, stop: int) -> NDArray[Any] | None:
        """Some samples as they are in memory; `None` where that is not at a multiple of 64."""
        at = start - self.first
        if self._flat is None or (self._address + at * self._nbytes) % ALIGNMENT:
            return None
        return self._flat[at : stop - self.first]

    def copy(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Copies some samples."""
        if self._flat is not None:
            out[...] = self._flat[start - self.first : stop - self.first]
            return
        grid = self._plan.placement.grid
        along, *rest = grid.coords(np.arange(start, stop))
        out[...] = self._samples[(along - self.first // grid.inner, *rest)]


class SlabReader:
    """One array in one iteration.

    Args:
        plan: How it is read.
        max_bytes: That it may hold.
        batch_size: Samples of a batch.
        pools: Memory of slabs.
        halt: Ends the iteration when it is set.
        tally: Told of what is read.
    """

    def __init__(
        self,
        plan: SlabPlan,
        max_bytes: int,
        batch_size: int,
        pools: Pools,
        halt: Halt,
        tally: Tally,
    ) -> None:
        self._plan = plan
        self._halt = halt
        self._tally = tally
        self._account = Account(max_bytes)
        tally.accounts.append(self._account)
        local = plan.placement.layout.store.local
        self._local = local
        slabs = (settings.threads if local else settings.fetch_concurrency) + 1
        least = plan.least_nbytes
        wanted = max(SLAB_NBYTES, 4 * batch_size * plan.placement.sample_nbytes)
        max_nbytes = min(wanted, max(max_bytes - least, 0) // slabs)
        first = batch_size * plan.placement.sample_nbytes
        self._limits = growing(first if local else max(first, plan.object_nbytes), max_nbytes)
        self._pools = pools

    def parts(self, epochs: Iterator[Epochs], again: Iterator[Epochs]) -> Iterator[NDArray[Any]]:
        """The samples of each batch.

        Args:
            epochs: What is handed on.
            again: The same epochs, for the threads that read ahead.
        """
        at_once = settings.threads if self._local else settings.fetch_concurrency
        ahead = ReadAhead(
            (unit for epoch in again for unit in self._units(epoch)),
            self._account,
            width=at_once,
            depth=2 * at_once,
            ordered=True,
            halt=self._halt,
        )
        loaded = iter(ahead)
        for epoch in epochs:
            yield from self._epoch(epoch.picks(), ahead, loaded)

    def _epoch(
        self,
        picks: Iterator[tuple[int, int]],
        ahead: ReadAhead[_Loaded],
        loaded: Iterator[tuple[int, _Loaded]],
    ) -> Iterator[NDArray[Any]]:
        placement = self._plan.placement
        shape, dtype = placement.sample_shape, placement.layout.dtype
        ready: _Ready | None = None
        held = 0
        for start, stop in picks:
            part: NDArray[Any] | None = None
            at = start
            while at < stop:
                while ready is None or at >= ready.last:
                    # a slab that only begins windows of the next ones has no sample for this host
                    above = None if ready is None else ready.above(self._plan.most_above)
                    ready = None
                    ahead.release(held)
                    held, read = self._next(loaded)
                    if read is None:
                        return
                    ready = _Ready(self._plan, read, above)
                    del read, above
                end = min(stop, ready.last)
                if start == at and end == stop:
                    part = ready.view(start, stop)
                    if part is not None:
                        break
                if part is None:
                    part = aligned_empty((stop - start, *shape), dtype)
                ready.copy(at, end, part[at - start : end - start])
                at = end
            yield aligned_empty((0, *shape), dtype) if part is None else part
            del part
        ready = None
        ahead.release(held)

    def _next(self, loaded: Iterator[tuple[int, _Loaded]]) -> tuple[int, _Loaded | None]:
        """Waits for the next slab; its bytes come with the first of what is read of it."""
        held = 0
        for nbytes, part in loaded:
            held += nbytes
            self._tally.visit(part.nchunks)
            if part.is_last:
                return held, part
        return held, None

    # -- reading ahead

    def _units(self, epoch: Epochs) -> Iterator[Unit[_Loaded]]:
        plan = self._plan
        for slab in plan.slabs(epoch, self._limits):
            shape = list(plan.row_shape)
            shape[plan.axis] = slab.above + slab.stop - slab.start
            nbytes = prod(shape) * plan.placement.layout.dtype.itemsize
            offset = (epoch.first_pick(slab.first * plan.placement.grid.inner)) * (
                plan.placement.sample_nbytes
            )
            box = plan.placement.empty_box(shape, empty=partial(self._empty, offset))
            parts = list(self._parts(plan.spans(slab)))
            for place, spans in enumerate(parts):
                last = place + 1 == len(parts)
                load = partial(self._load, slab, box, spans, is_last=last)
                yield Unit(nbytes, load)
                nbytes = 0

    def _parts(self, spans: tuple[Span, ...]) -> Iterator[tuple[Span, ...]]:
        """What one thread reads of a slab: all of it, or what one request brings."""
        if self._local:
            yield spans
            return
        axes = self._plan.placement.layout.objects.axes
        pieces = [list(split_axis(axis, span)) for axis, span in zip(axes, spans, strict=True)]
        for parts in product(*pieces):
            yield tuple(
                Span(span.start + piece.target.start, 1, piece.target.stop - piece.target.start)
                for span, piece in zip(spans, parts, strict=True)
            )

    def _load(
        self, slab: Slab, box: NDArray[Any], spans: tuple[Span, ...], *, is_last: bool
    ) -> _Loaded:
        plan, layout = self._plan, self._plan.placement.layout
        firsts = [span.start for span in plan.spans(slab)]
        firsts[plan.axis] -= slab.above
        part = tuple(
            slice(span.start - first, span.start - first + span.count)
            for span, first in zip(spans, firsts, strict=True)
        )
        read_into(layout, Region(spans), box[part])
        return _Loaded(slab, box, chunks_in(layout.chunks.axes, spans), is_last)

    def _empty(self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Memory in which what lies `offset` bytes behind the first is at a multiple of 64."""
        if dtype.hasobject or dtype.kind == "T":
            return aligned_empty(shape, dtype)
        nbytes = prod(shape) * dtype.itemsize
        room = nbytes + ALIGNMENT
        raw = self._pools.of(room).empty((room,), np.dtype(np.uint8))
        start = -offset % ALIGNMENT
        return raw[start : start + nbytes].view(dtype).reshape(shape)
