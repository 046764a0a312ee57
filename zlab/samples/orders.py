"""Which samples an epoch's batches hold, in which order. Pure: no store, no bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zlab.samples.lanes import Deal, Turns, filled, in_turn, nbatches_left
from zlab.samples.permutation import Permutation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from zlab.samples.blocks import Blocks, Box
    from zlab.samples.grid import SampleGrid
    from zlab.samples.lanes import Share
    from zlab.samples.state import State


class Pick(NamedTuple):
    """A range of the order.

    Attributes:
        start: The first place in the order.
        stop: The place behind the last.
    """

    start: int
    stop: int


@dataclass(frozen=True)
class Epochs:
    """The batches of a stream, epoch by epoch.

    Attributes:
        grid: What a sample is.
        blocks: What is dealt to lanes, where the order is `"window"`.
        batch_size: Samples of a batch of all hosts together.
        drop_remainder: Leave out a last batch that would be smaller.
        share: What is this host's.
        state: Where they begin.
    """

    grid: SampleGrid
    blocks: Blocks | None
    batch_size: int
    drop_remainder: bool
    share: Share
    state: State

    @property
    def size(self) -> int:
        """Samples of this host's part of a whole batch."""
        return self.batch_size // self.share.count

    @cached_property
    def deal(self) -> Deal:
        """The lanes of the epoch."""
        return Deal(self._dealt_blocks, self.state, self.state.epoch)

    @property
    def _dealt_blocks(self) -> Blocks:
        if self.blocks is None:
            msg = f"shuffle={self.state.shuffle!r} has no blocks"
            raise TypeError(msg)
        return self.blocks

    @cached_property
    def positions(self) -> NDArray[np.int64]:
        """How far each lane is, or the epoch."""
        return np.asarray(self.state.positions, np.int64)

    @cached_property
    def order(self) -> Permutation:
        """The order of the samples, where it is `"global"`."""
        key = np.random.SeedSequence(self.state.seed, spawn_key=(self.state.epoch, 0))
        return Permutation(self.grid.nsamples, key)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Samples of each lane, or of the epoch."""
        if self.state.shuffle == "window":
            return self.deal.lengths
        return np.asarray([self.grid.nsamples], np.int64)

    @property
    def has_positions(self) -> bool:
        """Whether no lane is behind its end."""
        return not any(self.state.positions) or bool((self.positions <= self.lengths).all())

    @cached_property
    def nbatches(self) -> int:
        """Batches that are left of the epoch."""
        lengths, positions = self.lengths, self.positions
        size, hosts = self.batch_size, 1
        if self.state.shuffle == "window":
            hosts = self.share.count
            if not self.drop_remainder:
                # each host goes on until its own lanes are done
                mine = slice(self.share.index, None, hosts)
                lengths, positions, size, hosts = lengths[mine], positions[mine], self.size, 1
        return nbatches_left(lengths, positions, size, hosts, drop_remainder=self.drop_remainder)

    def next_epoch(self) -> Epochs:
        """The epoch after this one, from its beginning."""
        state = self.state
        return replace(self, state=state.moved(state.epoch + 1, (0,) * state.lanes))

    def begin(self) -> Epochs:
        """The same epoch from its beginning."""
        return replace(self, state=self.state.moved(self.state.epoch, (0,) * self.state.lanes))

    def after(self, nbatches: int) -> State:
        """Where all hosts are when so many more batches were handed on, which the epoch has."""
        if nbatches == self.nbatches:
            return self.next_epoch().state
        n = nbatches * self.batch_size
        if self.state.shuffle != "window":
            return self.state.moved(self.state.epoch, [self.state.positions[0] + n])
        positions, hosts = self.positions.copy(), self.share.count
        for host in range(hosts):
            mine = slice(host, None, hosts)
            positions[mine] = filled(positions[mine], self.deal.lengths[mine], n // hosts)
        return self.state.moved(self.state.epoch, positions.tolist())

    # -- "none" and "global": a batch is a range of places

    def picks(self) -> Iterator[tuple[int, int]]:
        """This host's part of each batch that is left: the first place, and the one behind."""
        begin, n = self.state.positions[0], self.grid.nsamples
        size = self.batch_size
        whole = min(self.nbatches, (n - begin) // size)
        first, own = begin + self.share.index * self.size, self.size
        for start in range(first, first + whole * size, size):
            yield start, start + own
        if whole < self.nbatches:
            yield self._pick(whole)

    @cached_property
    def wanted(self) -> Pick:
        """All that is left of the epoch for this host, and what lies between its parts."""
        batches = self.nbatches
        # the last samples of an epoch may be too few for all hosts
        if batches and self._is_empty(batches - 1):
            batches -= 1
        return Pick(self._pick(0).start, self._pick(batches - 1).stop) if batches else Pick(0, 0)

    def _is_empty(self, batch: int) -> bool:
        start, stop = self._pick(batch)
        return start == stop

    def _pick(self, batch: int) -> Pick:
        start = self.state.positions[0] + batch * self.batch_size
        size = min(self.batch_size, self.grid.nsamples - start)
        index, hosts = self.share
        return Pick(start + index * size // hosts, start + (index + 1) * size // hosts)

    def wants(self, start: int, stop: int) -> bool:
        """Whether this host needs some of the samples in a range of places."""
        batch = max(0, (start - self.state.positions[0]) // self.batch_size)
        for number in (batch, batch + 1):
            if number < self.nbatches:
                pick = self._pick(number)
                # of a last batch a host may have no part
                if max(pick.start, start) < min(pick.stop, stop):
                    return True
        return False

    def first_pick(self, place: int) -> int:
        """How far behind a place this host's next part of a batch begins."""
        begin = self.state.positions[0] + self.share.index * self.size
        return begin - place if place < begin else (begin - place) % self.batch_size

    def indices(self, start: int, stop: int) -> NDArray[np.int64]:
        """The samples at some places of the order."""
        places = np.arange(start, stop)
        return places if self.state.shuffle == "none" else self.order.take(places)

    # -- "window"

    def turns(self) -> Turns:
        """This host's way through its lanes."""
        mine = slice(self.share.index, None, self.share.count)
        left = int((self.deal.lengths - self.positions)[mine].sum())
        return Turns(self.deal, self.positions, self.share, min(self.nbatches * self.size, left))

    def boxes(self, lane: int, window: int) -> list[Box]:
        """The samples of a window, block by block."""
        return [self._dealt_blocks.box(number) for number in self.deal.blocks_in(lane, window)]

    def numbers(self, box: Box) -> NDArray[np.int64]:
        """The numbers of the samples of a box, in C order."""
        numbers = np.zeros((1,), np.int64)
        for n, (start, stop) in zip(self.grid.shape, box, strict=True):
            numbers = (numbers[:, None] * n + np.arange(start, stop)).reshape(-1)
        return numbers

    # -- all

    def batches(self) -> Iterator[NDArray[np.int64]]:
        """The samples of this host's part of each batch that is left."""
        if self.state.shuffle != "window":
            return (self.indices(*pick) for pick in self.picks())
        return self._dealt()

    def _dealt(self) -> Iterator[NDArray[np.int64]]:
        turns = self.turns()
        windows = turns.windows()
        open_windows: dict[int, tuple[int, NDArray[np.int64]]] = {}
        batch: list[NDArray[np.int64]] = []
        nbatches, missing = self.nbatches, self.size
        while nbatches:
            for place in turns.to_open():
                key = next(windows)
                numbers = np.concatenate([self.numbers(box) for box in self.boxes(*key)])
                order = self.deal.shuffled(*key, len(numbers))
                open_windows[place] = turns.opened(place, key), numbers[order]
            before, after, _ = turns.take(missing)
            places, positions = in_turn(before, after)
            taken = np.empty(len(places), np.int64)
            for place in np.unique(places).tolist():
                begin, numbers = open_windows[place]
                mine = places == place
                taken[mine] = numbers[positions[mine] - begin]
            batch.append(taken)
            missing -= len(taken)
            if not missing or (nbatches == 1 and not len(taken) and not turns.left):
                yield np.concatenate(batch)
                batch, missing = [], self.size
                nbatches -= 1
