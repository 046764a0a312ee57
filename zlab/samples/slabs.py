"""Reading samples in order: slab by slab, each chunk once, and batches that are views of slabs.

A slab is all chunks that have some coordinates in a row along the first sampled axis. Its memory
begins with what the windows that reach into it have of the slab before, so that every window lies
in one piece. Where the samples lie there one behind the other, batches are not copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zlab.config import settings
from zlab.engine.plan import split_axis
from zlab.engine.read import read_into
from zlab.engine.selection import Region, Span
from zlab.memory import ALIGNMENT, aligned_empty
from zlab.stream.ahead import ReadAhead, Unit
from zlab.stream.budget import Account
from zlab.stream.buffers import Buffers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from zlab.samples.grid import Placement
    from zlab.samples.orders import Epochs
    from zlab.stream.ahead import Halt
    from zlab.stream.tally import Tally

SLAB_NBYTES = 4 << 20
"""Bytes of a slab that is made of several chunks in a row, at most; or of four batches."""


class Slab(NamedTuple):
    """What is read at once.

    Attributes:
        start: The first row that is read: an element of the first sampled axis.
        stop: The row behind the last.
        above: Rows before it that are there already, and that its first samples begin in.
        first: The first sample along the axis that is complete with it, and was not before.
        last: The one behind the last.
        nchunks: Chunks along the axis.
    """

    start: int
    stop: int
    above: int
    first: int
    last: int
    nchunks: int


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
        spans = self.placement.region(box).spans
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
    def least_nbytes(self) -> int:
        """Bytes that are held at least."""
        axis = self.placement.layout.chunks.axes[self.axis]
        chunk = getattr(axis, "chunk", None) or getattr(axis, "largest", axis.length)
        # what is kept of one slab until the next one is there
        return (min(chunk, axis.length) + 2 * self.most_above) * self.row_nbytes

    @cached_property
    def nchunks_across(self) -> int:
        """Chunks that have one coordinate along the axis."""
        box = [(0, n) for n in self.placement.grid.shape]
        across = 1
        spans = self.placement.region(box).spans
        for a, (axis, span) in enumerate(
            zip(self.placement.layout.chunks.axes, spans, strict=True)
        ):
            if a != self.axis and span.count:
                first = span.start
                across *= axis.chunk_at(first + span.count - 1) - axis.chunk_at(first) + 1
        return across

    def slabs(self, epoch: Epochs, max_nbytes: int) -> Iterator[Slab]:
        """The slabs of one epoch.

        Args:
            epoch: What is wanted of it.
            max_nbytes: Bytes of a slab of several chunks.
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
                or (slab.last > slab.first and self._is_full(slab, stop, epoch, max_nbytes))
            ):
                yield slab
                done, behind, slab = slab.last, slab.stop, None
            if slab is not None:
                slab = slab._replace(
                    stop=stop, last=max(complete, slab.first), nchunks=slab.nchunks + 1
                )
                continue
            first = done if start == behind else max(done, -(-(start - first_crop) // step))
            row = first * step + first_crop
            slab = Slab(max(start, row), stop, max(0, start - row), first, max(complete, first), 1)
        if slab is not None:
            yield slab

    def _is_full(self, slab: Slab, stop: int, epoch: Epochs, max_nbytes: int) -> bool:
        """Whether a slab is large enough; a batch is not copied where a slab ends with it."""
        with_next = (stop - slab.start) * self.row_nbytes
        ends_with_batch = epoch.first_pick(slab.last * self.placement.grid.inner) == 0
        return with_next > (max_nbytes // 2 if ends_with_batch else max_nbytes)

    def region(self, slab: Slab) -> Region:
        """The elements of a slab."""
        box = [(0, n) for n in self.placement.grid.shape]
        spans = list(self.placement.region(box).spans)
        spans[self.axis] = Span(slab.start, 1, slab.stop - slab.start)
        return Region(tuple(spans))


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


class SlabReader:
    """One array in one iteration.

    Args:
        plan: How it is read.
        max_bytes: That it may hold.
        batch_size: Samples of a batch.
        halt: Ends the iteration when it is set.
        tally: Told of what is read.
    """

    def __init__(
        self, plan: SlabPlan, max_bytes: int, batch_size: int, halt: Halt, tally: Tally
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
        self._max_nbytes = min(wanted, max(max_bytes - least, 0) // slabs)
        self._buffers: dict[int, Buffers] = {}

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
        picks: Iterator[Pick],
        ahead: ReadAhead[_Loaded],
        loaded: Iterator[tuple[int, _Loaded]],
    ) -> Iterator[NDArray[Any]]:
        placement = self._plan.placement
        inner, nbytes_sample = placement.grid.inner, placement.sample_nbytes
        shape, dtype = placement.sample_shape, placement.layout.dtype
        movable = not (dtype.hasobject or dtype.kind == "T")
        first = last = 0  # samples that are there
        held = address = 0
        view: NDArray[Any] | None = None
        flat: NDArray[Any] | None = None
        tail: NDArray[Any] | None = None
        box: NDArray[Any] | None = None
        for start, stop in picks:
            part: NDArray[Any] | None = None
            at = start
            while at < stop:
                if at >= last:
                    # the windows that reach into the next slab take along what they have of this
                    tail, view, flat = box, None, None
                    if tail is not None and self._plan.most_above:
                        tail = self._rows(tail, max(0, self._length(tail) - self._plan.most_above))
                        tail = tail.copy()
                    box = None
                    if held:
                        ahead.release(held)
                    held, box, slab = self._next(loaded)
                    if box is None or slab is None:
                        return
                    if slab.above and tail is not None:
                        head = self._rows(box, 0, slab.above)
                        head[...] = self._rows(tail, self._length(tail) - slab.above)
                    tail = None
                    first, last = slab.first * inner, slab.last * inner
                    view = placement.view(box, (slab.last - slab.first, *placement.grid.shape[1:]))
                    if view.flags.c_contiguous:
                        flat = view.reshape((-1, *shape))
                        address = flat.ctypes.data if movable else 0
                    continue
                n = min(stop, last) - at
                if flat is not None:
                    piece = flat[at - first : at - first + n]
                    if n == stop - start and (address + (at - first) * nbytes_sample) % 64 == 0:
                        part = piece
                        break
                if part is None:
                    part = aligned_empty((stop - start, *shape), dtype)
                target = part[at - start : at - start + n]
                if flat is not None:
                    target[...] = piece
                elif view is not None:
                    along, *rest = placement.grid.coords(np.arange(at, at + n))
                    target[...] = view[(along - first // inner, *rest)]
                at += n
            yield aligned_empty((0, *shape), dtype) if part is None else part
            del part
        if held:
            view = flat = box = None
            ahead.release(held)

    def _next(
        self, loaded: Iterator[tuple[int, _Loaded]]
    ) -> tuple[int, NDArray[Any] | None, Slab | None]:
        held = 0
        for nbytes, part in loaded:
            held += nbytes
            self._tally.visit(part.nchunks)
            if part.is_last:
                return held, part.box, part.slab
        return held, None, None

    def _rows(self, box: NDArray[Any], start: int, stop: int | None = None) -> NDArray[Any]:
        return box[(*(slice(None),) * self._plan.axis, slice(start, stop))]

    def _length(self, box: NDArray[Any]) -> int:
        return box.shape[self._plan.axis]

    # -- reading ahead

    def _units(self, epoch: Epochs) -> Iterator[Unit[_Loaded]]:
        plan = self._plan
        for slab in plan.slabs(epoch, self._max_nbytes):
            shape = list(plan.row_shape)
            shape[plan.axis] = slab.above + slab.stop - slab.start
            nbytes = prod(shape) * plan.placement.layout.dtype.itemsize
            offset = (epoch.first_pick(slab.first * plan.placement.grid.inner)) * (
                plan.placement.sample_nbytes
            )
            box = plan.placement.empty_box(shape, empty=partial(self._empty, offset))
            regions = list(self._regions(plan.region(slab)))
            for place, (region, nchunks) in enumerate(regions):
                last = place + 1 == len(regions)
                load = partial(self._load, slab, box, region, nchunks, is_last=last)
                yield Unit(nbytes, load)
                nbytes = 0

    def _regions(self, region: Region) -> Iterator[tuple[Region, int]]:
        """What one thread reads of a slab: all of it, or what one request brings."""
        axes = self._plan.placement.layout.objects.axes
        nchunks = self._plan.nchunks_across
        if self._local:
            yield region, nchunks
            return
        pieces = [
            list(split_axis(axis, span)) for axis, span in zip(axes, region.spans, strict=True)
        ]
        for part in product(*pieces):
            spans = tuple(
                Span(span.start + piece.target.start, 1, piece.target.stop - piece.target.start)
                for span, piece in zip(region.spans, part, strict=True)
            )
            yield Region(spans), 1

    def _load(
        self, slab: Slab, box: NDArray[Any], region: Region, nchunks: int, *, is_last: bool
    ) -> _Loaded:
        plan = self._plan
        whole = plan.region(slab)
        part = tuple(
            slice(
                span.start - all_of.start + (slab.above if a == plan.axis else 0),
                span.start - all_of.start + (slab.above if a == plan.axis else 0) + span.count,
            )
            for a, (span, all_of) in enumerate(zip(region.spans, whole.spans, strict=True))
        )
        read_into(plan.placement.layout, region, box[part])
        return _Loaded(slab, box, nchunks * slab.nchunks if self._local else nchunks, is_last)

    def _empty(self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Memory in which what lies `offset` bytes behind the first is at a multiple of 64."""
        if dtype.hasobject or dtype.kind == "T":
            return aligned_empty(shape, dtype)
        nbytes = prod(shape) * dtype.itemsize
        room = nbytes + ALIGNMENT
        buffers = self._buffers.setdefault(room, Buffers(room))
        raw = buffers.empty((room,), np.dtype(np.uint8))
        start = -offset % ALIGNMENT
        return raw[start : start + nbytes].view(dtype).reshape(shape)
