"""Dealing blocks of samples to lanes, and lanes to hosts. Pure.

The blocks of an epoch come in a permuted order; the block in place j goes to lane j % lanes, and
lane l belongs to host l % hosts. A host takes samples from its lanes in turn: always from the one
that has given the least so far, as water fills what lies lowest. So how far each lane is says all
of where an epoch is, whichever hosts have read it.
"""

from __future__ import annotations

from functools import cached_property
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, NamedTuple, final

import numpy as np

from zlab.samples.permutation import Permutation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from zlab.samples.blocks import Blocks
    from zlab.samples.state import Entropy, State


class Share(NamedTuple):
    """Of every batch, the part of one of several hosts.

    Attributes:
        index: Which host, from 0.
        count: How many there are.
    """

    index: int = 0  # type: ignore[assignment]  # nor for tuple.index
    count: int = 1  # type: ignore[assignment]  # nobody asks a share for tuple.count


def check_share(share: Share, batch_size: int, lanes: int | None) -> None:
    """Refuses hosts that cannot share batches evenly.

    Args:
        share: Which host, of how many.
        batch_size: Samples of a batch.
        lanes: Lanes that are shared too, if there are some.

    Raises:
        ValueError: Their number does not divide the batch, or the lanes.
    """
    index, hosts = share
    if not 0 <= index < hosts:
        msg = f"there is no share {index} of {hosts}"
        raise ValueError(msg)
    if batch_size % hosts:
        msg = f"{hosts} hosts do not divide a batch of {batch_size}"
        raise ValueError(msg)
    if lanes is not None and lanes % hosts:
        msg = f"{hosts} hosts do not divide the {lanes} lanes"
        raise ValueError(msg)


def filled(positions: NDArray[np.int64], lengths: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Where lanes are when `n` more samples were taken from them, in turn.

    Args:
        positions: Samples that each lane has given.
        lengths: Samples that each lane has.
        n: How many; all that are left where these are fewer.

    Example:
        >>> filled(np.asarray([0, 0, 2]), np.asarray([1, 5, 5]), 5).tolist()
        [1, 3, 3]
    """
    n = min(n, int((lengths - positions).sum()))
    if not n:
        return positions
    # the highest level to which n samples fill all lanes
    left = positions[positions < lengths]
    low, high = int(left.min()), int(left.max()) + n
    while low < high:
        level = (low + high + 1) // 2
        if int(_at_level(positions, lengths, level).sum() - positions.sum()) <= n:
            low = level
        else:
            high = level - 1
    after = _at_level(positions, lengths, low)
    missing = n - int(after.sum() - positions.sum())
    after[np.flatnonzero((after == low) & (after < lengths))[:missing]] += 1
    return after


def _at_level(
    positions: NDArray[np.int64], lengths: NDArray[np.int64], level: int
) -> NDArray[np.int64]:
    return np.maximum(positions, np.minimum(lengths, level))


def in_turn(
    before: NDArray[np.int64], after: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The samples that are taken between two states of some lanes, in their order.

    Returns:
        For each sample its lane, and its position in it.

    Example:
        >>> lanes, positions = in_turn(np.asarray([0, 0, 2]), np.asarray([1, 3, 3]))
        >>> list(zip(lanes.tolist(), positions.tolist()))
        [(0, 0), (1, 0), (1, 1), (1, 2), (2, 2)]
    """
    taken = after - before
    n = int(taken.sum())
    if not n:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    low, high = int(before[taken > 0].min()), int(after[taken > 0].max())
    if (high - low) * len(taken) <= _SPARSE * n:
        levels = np.arange(low, high)[:, None]
        heights, lanes = np.nonzero((levels >= before) & (levels < after))
        return lanes, heights + low
    lanes = np.repeat(np.arange(len(before)), taken)
    firsts = np.repeat(np.cumsum(taken) - taken, taken)
    positions = np.arange(n) - firsts + np.repeat(before, taken)
    order = np.argsort(positions, kind="stable")
    return lanes[order], positions[order]


_MANY = 16  # numbers that are computed faster together than one by one
_SPARSE = 8  # a table of levels and lanes may have so many places for each sample


@final
class Deal:
    """The lanes of one epoch.

    Args:
        blocks: Of all samples.
        state: Its seed, lanes and blocks that are shuffled together.
        epoch: Determines the order, with the seed.

    Attributes:
        lengths: Samples of each lane.
    """

    def __init__(self, blocks: Blocks, state: State, epoch: int) -> None:
        self._blocks = blocks
        self._seed: Entropy = state.seed
        self._lanes = state.lanes
        self._together = state.blocks
        self._epoch = epoch
        self._order = Permutation(
            blocks.nblocks, np.random.SeedSequence(state.seed, spawn_key=(epoch, 0))
        )
        numbers, more = blocks.unusual
        places = self._order.places_of(numbers)
        by_place = np.argsort(places)
        places, more = places[by_place], more[by_place]
        self._unusual = []
        self.lengths = np.empty(self._lanes, np.int64)
        lane_of = places % self._lanes
        for lane in range(self._lanes):
            mine = lane_of == lane
            sums = np.concatenate([[0], np.cumsum(more[mine])])
            self._unusual.append((places[mine] // self._lanes, sums))
            self.lengths[lane] = self.nblocks_in(lane) * blocks.usual + sums[-1]

    def nblocks_in(self, lane: int) -> int:
        """Blocks of a lane."""
        return max(0, -(-(self._order.n - lane) // self._lanes))

    def nwindows_in(self, lane: int) -> int:
        """Windows of a lane: blocks that are shuffled together."""
        return -(-self.nblocks_in(lane) // self._together)

    def start(self, lane: int, window: int) -> int:
        """Samples of a lane before a window."""
        nblocks = min(window * self._together, self.nblocks_in(lane))
        places, sums = self._unusual[lane]
        n = nblocks * self._blocks.usual
        # mostly there are none, and this is asked for each window
        return n + int(sums[np.searchsorted(places, nblocks)]) if len(places) else n

    def window_at(self, lane: int, position: int) -> int:
        """The window of a lane that holds the sample at a position."""
        low, high = 0, self.nwindows_in(lane) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self.start(lane, middle) <= position:
                low = middle
            else:
                high = middle - 1
        return low

    def blocks_in(self, lane: int, window: int) -> list[int]:
        """The numbers of a window's blocks."""
        first = window * self._together
        last = min(first + self._together, self.nblocks_in(lane))
        if last - first < _MANY:
            return [self._order[lane + place * self._lanes] for place in range(first, last)]
        numbers = self._order.take(lane + np.arange(first, last) * self._lanes)
        return numbers.tolist()  # type: ignore[no-any-return]

    def shuffled(self, lane: int, window: int, n: int) -> NDArray[np.int64]:
        """The order of a window's samples."""
        key = np.random.SeedSequence(self._seed, spawn_key=(self._epoch, 1, lane, window))
        return np.random.Generator(np.random.Philox(key)).permutation(n)

    @cached_property
    def nsamples(self) -> int:
        """Samples of all lanes."""
        return int(self.lengths.sum())


def nbatches_left(
    lengths: NDArray[np.int64],
    positions: NDArray[np.int64],
    batch_size: int,
    hosts: int,
    *,
    drop_remainder: bool,
) -> int:
    """Batches that all hosts can still make of their lanes.

    Args:
        lengths: Samples of each lane.
        positions: Samples that each lane has given.
        batch_size: Samples of the batch of all hosts together.
        hosts: How many there are.
        drop_remainder: Leave out a last batch that would be smaller.
    """
    left = (lengths - positions).reshape(-1, hosts).sum(axis=0)
    size = batch_size // hosts
    return int((left // size if drop_remainder else -(-left // size)).min())


class WindowKey(NamedTuple):
    """Which window: blocks of a lane that are shuffled together.

    Attributes:
        lane: Of all lanes.
        number: Counts the windows of the lane.
    """

    lane: int
    number: int


@final
class Turns:
    """One host's way through its lanes in one epoch.

    Args:
        deal: The lanes of the epoch.
        positions: Samples that each lane has given.
        share: Which host.
        nsamples: Samples that it takes.
    """

    def __init__(
        self, deal: Deal, positions: NDArray[np.int64], share: Share, nsamples: int
    ) -> None:
        self._deal = deal
        self._lanes = np.arange(share.index, len(positions), share.count)
        self._lengths = deal.lengths[self._lanes]
        self._positions = positions[self._lanes]
        self._ends = self._positions.copy()  # of the windows that are open
        self._last = filled(self._positions, self._lengths, nsamples)

    @property
    def left(self) -> int:
        """Samples that are still to be taken."""
        return int((self._last - self._positions).sum())

    def windows(self) -> Iterator[WindowKey]:
        """The windows in the order in which they are opened."""
        deal = self._deal
        due = [
            (int(at), place, deal.window_at(int(self._lanes[place]), int(at)))
            for place, at in enumerate(self._positions.tolist())
            if at < self._last[place]
        ]
        heapify(due)
        while due:
            _, place, number = heappop(due)
            lane = int(self._lanes[place])
            yield WindowKey(lane, number)
            start = deal.start(lane, number + 1)
            if start < self._last[place]:
                heappush(due, (start, place, number + 1))

    def to_open(self) -> list[int]:
        """The lanes whose next window is wanted now: their places among the host's."""
        wanting = np.flatnonzero((self._positions == self._ends) & (self._ends < self._last))
        if not len(wanting):
            return []
        level = int(self._positions[wanting].min())
        # those that lie lower have samples yet, which come first
        if (self._positions[self._positions < self._last] < level).any():
            return []
        return wanting[self._positions[wanting] == level].tolist()  # type: ignore[no-any-return]

    def opened(self, place: int, window: WindowKey) -> int:
        """A lane's next window is there.

        Returns:
            Where the window begins in its lane.
        """
        self._ends[place] = self._deal.start(window.lane, window.number + 1)
        return self._deal.start(window.lane, window.number)

    def take(self, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The next samples of the open windows.

        Args:
            n: At most so many.

        Returns:
            How far each lane was before and is after, as `in_turn` takes it, and the places of the
            lanes whose windows are empty now.
        """
        before = self._positions
        after = filled(before, self._last, n)
        ending = np.flatnonzero(self._ends < self._last)
        if len(ending):
            # the first sample that is in no open window ends it
            end = int(self._ends[ending].min())
            lane = int(ending[self._ends[ending] == end][0])
            level = np.where(np.arange(len(before)) < lane, end + 1, end)
            after = np.minimum(after, np.maximum(before, np.minimum(self._last, level)))
        self._positions = after
        emptied = np.flatnonzero((after == np.minimum(self._ends, self._last)) & (after > before))
        return before, after, emptied


def is_even(positions: NDArray[np.int64]) -> bool:
    """Whether lanes have taken turns from the first to the last, with none left out so far.

    Example:
        >>> is_even(np.asarray([3, 3, 2])), is_even(np.asarray([3, 2, 3]))
        (True, False)
    """
    steps = np.diff(positions)
    return bool((steps <= 0).all()) and int(positions[0] - positions[-1]) <= 1
