"""Reading blocks in the order of the lanes: each once, into memory that is used again.

All blocks that are open lie in one array, so that a batch is one `take` of it, however many blocks
its samples are from.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zlab.config import settings
from zlab.engine.read import read_into
from zlab.engine.selection import Region
from zlab.samples.blocks import chunks_in, crosses_any, cut
from zlab.samples.lanes import in_turn, is_even
from zlab.stream.ahead import ReadAhead, Unit
from zlab.stream.budget import Account

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from zlab.samples.blocks import Blocks, Box
    from zlab.samples.grid import Placement
    from zlab.samples.orders import Epochs
    from zlab.stream.ahead import Halt
    from zlab.stream.buffers import Pools
    from zlab.stream.tally import Tally

LANES = 64
"""Lanes that blocks are dealt to, if the budget and their number allow."""

WINDOW_NBYTES = 32 << 20
"""Bytes of the samples that are shuffled together, if the budget allows."""

_SMALL = 1 << 20  # bytes of arrays that are held as a whole whatever the others have
_MOST_CHUNKS = 8  # along each axis, of blocks whose windows share chunks with other blocks
_UNIT_NBYTES = 2 << 20  # of windows that a thread reads in one go, of a local store
_STRETCH = 1 << 13  # samples whose places are worked out at one go


@dataclass(frozen=True)
class WindowPlan:
    """What is held to read blocks in the order of the lanes.

    Small arrays, such as labels, whose chunks do not fit those of the largest one are held as a
    whole: they would make the blocks larger.

    Attributes:
        placements: Where the samples lie in each array.
        held: Which arrays are held as a whole.
        blocks: How the samples are cut.
    """

    placements: tuple[Placement, ...]
    held: tuple[bool, ...]
    blocks: Blocks

    @cached_property
    def dealt(self) -> tuple[Placement, ...]:
        """The arrays that are read block by block."""
        pairs = zip(self.placements, self.held, strict=True)
        return tuple(placement for placement, held in pairs if not held)

    @cached_property
    def whole_nbytes(self) -> int:
        """Bytes of the arrays that are held as a whole."""
        shape = self.placements[0].grid.shape
        pairs = zip(self.placements, self.held, strict=True)
        return sum(box_nbytes(placement, shape) for placement, held in pairs if held)

    @cached_property
    def cells(self) -> int:
        """Samples that a block may have."""
        return prod(self.blocks.largest)

    @cached_property
    def block_nbytes(self) -> int:
        """Bytes of the largest block, and of the order of its samples."""
        nbytes = sum(box_nbytes(placement, self.blocks.largest) for placement in self.dealt)
        return max(nbytes + 8 * self.cells, 1)

    def nchunks(self, box: Box) -> int:
        """Chunks that a block touches."""
        return sum(
            chunks_in(placement.layout.chunks.axes, placement.spans(box))
            for placement in self.dealt
        )


def plan_windows(placements: tuple[Placement, ...]) -> WindowPlan:
    """Which arrays are held as a whole, and how the others are cut.

    It depends on the arrays alone, so that a state of the order fits any budget.

    Args:
        placements: Where the samples lie in each array.
    """
    shape = placements[0].grid.shape
    largest = max(placements, key=lambda placement: placement.sample_nbytes)
    blocks = cut([largest])
    chunks = 1
    while chunks < _MOST_CHUNKS and crosses_any(largest):
        wider = cut([largest], chunks=2 * chunks)
        if wider.nblocks == blocks.nblocks or (
            LANES * box_nbytes(largest, wider.largest) > WINDOW_NBYTES
        ):
            break
        blocks, chunks = wider, 2 * chunks
    left = max(box_nbytes(largest, shape) // 8, _SMALL)
    held = []
    for placement in placements:
        nbytes = box_nbytes(placement, shape)
        fits = placement is largest or (
            cut([largest, placement], chunks=chunks).largest == blocks.largest
        )
        held.append(not fits and nbytes <= left)
        left -= nbytes if held[-1] else 0
    dealt = [p for p, is_held in zip(placements, held, strict=True) if not is_held]
    return WindowPlan(placements, tuple(held), cut(dealt, chunks=chunks))


def box_shape(placement: Placement, counts: Sequence[int]) -> tuple[int, ...]:
    """The elements of a box of so many samples, along each of the array's axes."""
    if 0 in counts:
        return (0,) * len(placement.crop)
    return placement.region([(0, n) for n in counts]).box_shape


def box_nbytes(placement: Placement, counts: Sequence[int]) -> int:
    """Bytes of a box of so many samples."""
    return prod(box_shape(placement, counts)) * placement.layout.dtype.itemsize


class _Piece(NamedTuple):
    """Blocks of a window.

    Attributes:
        boxes: Their samples.
        is_last: They are the last of the window.
    """

    boxes: list[Box]
    is_last: bool


class _Part(NamedTuple):
    """Blocks that were read.

    Attributes:
        piece: Which they are.
        slots: Where each of them is.
        nchunks: Chunks that were read.
    """

    piece: _Piece
    slots: list[int]
    nchunks: int


class WindowReader:
    """One iteration.

    Args:
        plan: What is held.
        nslots: Blocks that are held at most.
        spare: How many of them a thread may wait for before it reads.
        batch_size: Samples of a batch.
        pools: Memory of blocks and batches.
        halt: Ends the iteration when it is set.
        tally: Told of what is read.
    """

    def __init__(
        self,
        plan: WindowPlan,
        nslots: int,
        spare: int,
        batch_size: int,
        pools: Pools,
        halt: Halt,
        tally: Tally,
    ) -> None:
        self._plan = plan
        self._batch_size = batch_size
        self._halt = halt
        self._tally = tally
        self._nslots = nslots
        self._spare = spare
        self._arrived: deque[_Part] = deque()
        self._largest = plan.blocks.largest
        self._free = list(range(nslots))
        self._starts = np.zeros((len(self._largest), nslots), np.int64)
        self._boxes = [_slots(p, nslots, box_shape(p, self._largest), pools) for p in plan.dealt]
        self._views = [
            p.view(box, self._largest, before=1)
            for p, box in zip(plan.dealt, self._boxes, strict=True)
        ]
        self._empties = [
            pools.of(batch_size * placement.sample_nbytes).empty for placement in plan.placements
        ]

    def batches(
        self, epochs: Iterator[Epochs], again: Iterator[Epochs]
    ) -> Iterator[tuple[tuple[NDArray[Any], ...], NDArray[np.int64]]]:
        """The batches of some epochs, each with the numbers of its samples.

        Args:
            epochs: What is handed on.
            again: The same epochs, for the threads that read ahead.
        """
        plan, local = self._plan, self._plan.dealt[0].layout.store.local
        nchunks = max(1, plan.nchunks(plan.blocks.box(0)))
        width = settings.threads if local else max(1, settings.fetch_concurrency // nchunks)
        account = Account(self._nslots * plan.block_nbytes, counted=True)
        ahead = ReadAhead(
            (unit for epoch in again for unit in self._units(epoch, local=local)),
            account,
            width=width,
            depth=self._nslots + 1,
            ordered=True,
            halt=self._halt,
        )
        whole = [
            self._read_whole(placement) if held else None
            for placement, held in zip(plan.placements, plan.held, strict=True)
        ]
        parts = iter(ahead)
        for epoch in epochs:
            yield from self._epoch(epoch, ahead, parts, whole)
            if self._halt.is_set():
                return

    def _epoch(
        self,
        epoch: Epochs,
        ahead: ReadAhead[list[_Part]],
        parts: Iterator[tuple[int, list[_Part]]],
        whole: list[NDArray[Any] | None],
    ) -> Iterator[tuple[tuple[NDArray[Any], ...], NDArray[np.int64]]]:
        turns = epoch.turns()
        windows = turns.windows()
        nlanes = len(range(epoch.share.index, epoch.state.lanes, epoch.share.count))
        opened: dict[int, list[int]] = {}  # the slots of each lane's window
        begins = np.zeros(nlanes, np.int64)
        # the places of the open windows' samples in the memory of all blocks, a column for each
        # lane: where the lanes keep step the order of the samples is the order in memory
        table = np.zeros((epoch.state.blocks * self._plan.cells, nlanes), np.int64)
        left = epoch.nbatches
        batch: tuple[NDArray[Any], ...] = ()
        indices = np.empty(0, np.int64)
        filled = size = 0
        total = turns.left
        while left:
            for place in turns.to_open():
                key = next(windows)
                cells = self._open(place, opened, parts)
                if cells is None:
                    return
                table[: len(cells), place] = cells[epoch.deal.shuffled(*key, len(cells))]
                begins[place] = turns.opened(place, key)
            before, after, emptied = turns.take(max(_STRETCH, self._batch_size))
            if (begins == begins[0]).all() and is_even(before) and is_even(after):
                first, behind = int((before - begins).sum()), int((after - begins).sum())
                cells = table.reshape(-1)[first:behind]
            else:
                places, positions = in_turn(before, after)
                cells = table[positions - begins[places], places]
            numbers = self._numbers(cells, epoch.grid.shape)
            taken = 0
            while taken < len(cells):
                if not batch:
                    size = min(self._batch_size, total)
                    batch = self._new_batch(size)
                    indices = np.empty(size, np.int64)
                n = min(size - filled, len(cells) - taken)
                part = slice(taken, taken + n)
                place_in = slice(filled, filled + n)
                self._gather(cells[part], numbers[part], whole, [a[place_in] for a in batch])
                indices[place_in] = numbers[part]
                taken += n
                filled += n
                total -= n
                if filled == size:
                    full, batch, filled = batch, (), 0
                    left -= 1
                    yield full, indices
                    del full
            for place in emptied.tolist():
                slots = opened.pop(place)
                self._free += slots
                ahead.release(len(slots) * self._plan.block_nbytes)

    def _open(
        self, place: int, opened: dict[int, list[int]], parts: Iterator[tuple[int, list[_Part]]]
    ) -> NDArray[np.int64] | None:
        """Waits for a lane's next window; returns where its samples lie, in the order of blocks."""
        slots: list[int] = []
        cells = []
        while True:
            if not self._arrived:
                _, several = next(parts, (0, []))
                if not several:
                    return None
                self._arrived += several
            part = self._arrived.popleft()
            slots += part.slots
            self._tally.visit(part.nchunks)
            for slot, box in zip(part.slots, part.piece.boxes, strict=True):
                cells.append(self._cells(slot, box))
                self._starts[:, slot] = [start for start, _ in box]
            if part.piece.is_last:
                opened[place] = slots
                return np.concatenate(cells)

    def _cells(self, slot: int, box: Box) -> NDArray[np.int64]:
        cells = np.asarray([slot], np.int64)
        for n, (start, stop) in zip(self._largest, box, strict=True):
            cells = (cells[:, None] * n + np.arange(stop - start)).reshape(-1)
        return cells

    def _coords(self, cells: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The slot of each cell, and where it stands in its block along each sampled axis."""
        coords = []
        for n in reversed(self._largest):
            # NumPy divides by one number several times faster than it takes remainders
            quotient = cells // n
            coords.append(cells - quotient * n)
            cells = quotient
        return [cells, *reversed(coords)]

    def _numbers(self, cells: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
        slots, *coords = self._coords(cells)
        numbers = np.zeros(len(cells), np.int64)
        for n, starts, along in zip(shape, self._starts, coords, strict=True):
            numbers = numbers * n + starts[slots] + along
        return numbers

    def _gather(
        self,
        cells: NDArray[np.int64],
        numbers: NDArray[np.int64],
        whole: list[NDArray[Any] | None],
        out: list[NDArray[Any]],
    ) -> None:
        views = iter(self._views)
        for placement, held, target in zip(self._plan.placements, whole, out, strict=True):
            view = next(views) if held is None else held
            if view.flags.c_contiguous:
                shape = placement.sample_shape
                flat = view.reshape((prod(view.shape[: view.ndim - len(shape)]), *shape))
                # all indices are valid, and "clip" is the mode that writes straight to `out`
                flat.take(cells if held is None else numbers, axis=0, out=target, mode="clip")
            elif held is None:
                target[...] = view[tuple(self._coords(cells))]
            else:
                target[...] = view[placement.grid.coords(numbers)]

    def _new_batch(self, size: int) -> tuple[NDArray[Any], ...]:
        return tuple(
            empty((size, *placement.sample_shape), placement.layout.dtype)
            for placement, empty in zip(self._plan.placements, self._empties, strict=True)
        )

    # -- reading ahead

    def _units(self, epoch: Epochs, *, local: bool) -> Iterator[Unit[list[_Part]]]:
        nbytes = self._plan.block_nbytes
        several: list[_Piece] = []
        n = 0
        for key in epoch.turns().windows():
            boxes = epoch.boxes(*key)
            if not local:
                # requests wait side by side
                for place, box in enumerate(boxes):
                    piece = _Piece([box], is_last=place + 1 == len(boxes))
                    yield Unit(nbytes, partial(self._load, [piece]))
                continue
            # windows that wait for each other's places would wait for ever
            if several and n + len(boxes) > min(self._spare, _UNIT_NBYTES // nbytes):
                yield Unit(n * nbytes, partial(self._load, several))
                several, n = [], 0
            several.append(_Piece(boxes, is_last=True))
            n += len(boxes)
        if several:
            yield Unit(n * nbytes, partial(self._load, several))

    def _load(self, pieces: list[_Piece]) -> list[_Part]:
        plan = self._plan
        parts = []
        for piece in pieces:
            slots = []
            for box in piece.boxes:
                # the account has let this block in, so there is a slot
                slots.append(self._free.pop())
                for placement, room in zip(plan.dealt, self._boxes, strict=True):
                    region = placement.region(box)
                    part = tuple(slice(0, n) for n in region.box_shape)
                    read_into(placement.layout, region, room[slots[-1]][part])
            parts.append(_Part(piece, slots, sum(map(plan.nchunks, piece.boxes))))
        return parts

    def _read_whole(self, placement: Placement) -> NDArray[Any]:
        shape = placement.grid.shape
        box = placement.empty_box(box_shape(placement, shape))
        if box.size:
            region = Region(spans := placement.spans([(0, n) for n in shape]))
            self._tally.visit(chunks_in(placement.layout.chunks.axes, spans))
            read_into(placement.layout, region, box)
        return placement.view(box, shape)


def _slots(placement: Placement, nslots: int, shape: tuple[int, ...], pools: Pools) -> NDArray[Any]:
    """Memory for the boxes of so many blocks."""
    nbytes = nslots * prod(shape) * placement.layout.dtype.itemsize
    return placement.empty_box(shape, before=(nslots,), empty=pools.of(nbytes).empty)
