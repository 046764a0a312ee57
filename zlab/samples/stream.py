"""Sample streams: batches of samples of aligned arrays, in order or shuffled."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, final

import numpy as np

from zlab.config import settings
from zlab.errors import MemoryBudgetError
from zlab.samples.gather import Scatter
from zlab.samples.groups import GroupReader, chunk_nbytes
from zlab.samples.lanes import check_share
from zlab.samples.orders import Epochs
from zlab.samples.randomness import (
    Randomness,
    chunks_of_a_sample,
    decoded_in_blocks,
    decoded_in_groups,
    spread,
    visited,
)
from zlab.samples.slabs import SlabPlan, SlabReader
from zlab.samples.state import State
from zlab.samples.windows import WindowReader, plan_windows
from zlab.stream.ahead import ReadAhead
from zlab.stream.arguments import check_kind, whole_number
from zlab.stream.budget import Account
from zlab.stream.buffers import Pools
from zlab.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

    from zlab.samples.grid import Placement, SampleGrid
    from zlab.samples.lanes import Share
    from zlab.samples.state import Entropy, Shuffle
    from zlab.samples.windows import WindowPlan
    from zlab.stream.ahead import Halt
    from zlab.stream.tally import Tally

_LOOKED_AT = 64  # batches

GROUP_NCHUNKS = 1 << 13
"""Chunks that are planned for at one go, at most, if a batch has fewer."""

GROUP_NBYTES = 256 << 20
"""Bytes of the batches that are read together, if the budget allows."""


class SampleBatch(NamedTuple):
    """A batch, or one host's share of it.

    Attributes:
        arrays: Its samples, of each array: shape `(samples, *sample shape)`, in memory that starts
            at a multiple of 64 bytes and is not written again as long as anybody refers to it.
        indices: Which samples they are.
    """

    arrays: tuple[NDArray[Any], ...]
    indices: NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False, repr=False)
class SampleStream(Stream[SampleBatch]):
    """Batches of samples; see `stream_samples`.

    Attributes:
        placements: Where the samples lie in each array.
        batch_size: Samples of a batch, of all hosts together.
        seed: As it was given.
        drop_remainder: Leave out a last batch that would be smaller, and what it alone needs.
        epochs: The epoch at which an iteration ends, `None` for none.
        share: What is this host's.
        max_bytes: Decoded bytes that are held, the batches that were handed on left aside.
        start: Where an iteration begins.
        pools: Memory of earlier iterations, for the next ones.
    """

    kind: ClassVar[str] = "batches"

    placements: tuple[Placement, ...]
    batch_size: int
    seed: Entropy | None
    drop_remainder: bool
    epochs: int | None
    share: Share
    max_bytes: int
    start: State
    pools: Pools = field(default_factory=Pools)

    # -- what it says of itself

    @property
    def grid(self) -> SampleGrid:
        """What a sample is."""
        return self.placements[0].grid

    @property
    def shuffle(self) -> Shuffle:
        """The order of the samples."""
        return self.start.shuffle

    @property
    def lanes(self) -> int:
        """Lanes that the blocks are dealt to."""
        return self.start.lanes

    @property
    def nsamples(self) -> int:
        """Samples of one whole epoch, of all hosts together."""
        n = self.grid.nsamples
        return min(n, self.nbatches * self.batch_size) if self.drop_remainder else n

    @cached_property
    def nbatches(self) -> int:
        """Batches of one whole epoch."""
        return self._epochs.begin().nbatches

    @cached_property
    def batch_nbytes(self) -> int:
        """Bytes of this host's part of a whole batch."""
        return self.batch_size // self.share.count * self._sample_nbytes

    @cached_property
    def _sample_nbytes(self) -> int:
        return sum(placement.sample_nbytes for placement in self.placements)

    @property
    def sample_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of each array."""
        return tuple(placement.sample_shape for placement in self.placements)

    @property
    def dtypes(self) -> tuple[np.dtype[Any], ...]:
        """Of each array."""
        return tuple(placement.layout.dtype for placement in self.placements)

    @cached_property
    def max_nchunks(self) -> int:
        """Chunks that an iteration visits at most."""
        if self.shuffle == "window":
            an_epoch = decoded_in_blocks(self._window_plan)
        elif self._reads_slabs:
            an_epoch = sum(map(visited, self.placements))
        else:
            ngroups = -(-self.nbatches // self.group_size)
            an_epoch = ngroups * sum(map(visited, self.placements))
        return an_epoch * max(1 if self.epochs is None else self.epochs - self.start.epoch, 0)

    def randomness(self, nbatches: int | None = None) -> Randomness:
        """How random the order is, and how often it has chunks decoded; nothing is read for it.

        Args:
            nbatches: Batches of the first epoch that are looked at, by default 64 at most. With
                all of them the decodes are exact; else those of `"global"` are an estimate.

        Raises:
            ValueError: `nbatches` is less than 1.

        Example:
            >>> import numpy as np, zlab
            >>> array = zlab.create_array({}, data=np.arange(1000), chunks=10)
            >>> zlab.samples.stream_samples([array.layout], 20).randomness()
            Randomness(per_chunk=10.0, chunks=2.0, decodes=1.0)
        """
        epoch = self._epochs.begin()
        n = _LOOKED_AT if nbatches is None else whole_number(nbatches, "nbatches", least=1)
        n = min(n, epoch.nbatches)
        there = max(sum(map(visited, self.placements)), 1)
        if self.shuffle == "window":
            decoded: float = decoded_in_blocks(self._window_plan)
        elif self._reads_slabs:
            decoded = there
        else:
            decoded = decoded_in_groups(self.placements, epoch, n, self.group_size)
            decoded *= epoch.nbatches / max(n, 1)
        return Randomness(*spread(self.placements, epoch, n), decoded / there)

    @property
    def item_nbytes(self) -> int:
        """Bytes of a whole batch."""
        return self.batch_nbytes

    def __repr__(self) -> str:
        n = len(self.placements)
        order = {"none": "in order", "window": "shuffled in windows", "global": "shuffled"}
        return (
            f"<SampleStream of {n} array{'s' * (n > 1)}: {self.nbatches} batches of "
            f"{self.batch_size} of {self.grid.nsamples} samples, {order[self.shuffle]}>"
        )

    # -- where it is

    @cached_property
    def _epochs(self) -> Epochs:
        blocks = self._window_plan.blocks if self.shuffle == "window" else None
        return Epochs(
            self.grid, blocks, self.batch_size, self.drop_remainder, self.share, self.start
        )

    def _epochs_from_here(self) -> Iterator[Epochs]:
        current = self._epochs
        while self.epochs is None or current.state.epoch < self.epochs:
            if current.nbatches:
                yield current
            elif self.epochs is None and not current.begin().nbatches:
                return
            current = current.next_epoch()

    def at(self, state: State) -> Self:
        """The same stream from a state on.

        Raises:
            TypeError: It is no state.
            ValueError: The state is one of other samples or of another order, or behind the end of
                an epoch, or the hosts do not divide its lanes.
        """
        check_kind(state, State, "state", "a zlab.samples.State")
        if state.shuffle != self.shuffle:
            msg = f"the state is of shuffle={state.shuffle!r}, and this stream has {self.shuffle!r}"
            raise ValueError(msg)
        if self.seed is not None and state.seed != self.seed:
            msg = f"the state is of seed {state.seed}, and this stream has {self.seed}"
            raise ValueError(msg)
        if state.fingerprint != self.start.fingerprint:
            msg = (
                "the state is of other samples: the arrays have other shapes or chunks, or axis=, "
                "windows= or overlap= are others"
            )
            raise ValueError(msg)
        check_share(self.share, self.batch_size, state.lanes if state.shuffle == "window" else None)
        if not replace(self._epochs, state=state).has_positions:
            msg = "the state is behind the end of its epoch"
            raise ValueError(msg)
        return replace(self, start=state).checked()

    def after(self, nbatches: int) -> State:
        """The state when so many batches were handed on since `start`; nothing is read for it.

        Raises:
            ValueError: The stream has fewer batches.
        """
        left = whole_number(nbatches, "nbatches", least=0)
        for current in self._epochs_from_here():
            if left < current.nbatches or (left == 0):
                return current.after(left)
            left -= current.nbatches
            if not left:
                return current.next_epoch().state
        if left:
            msg = f"the stream has {nbatches - left} batches, not {nbatches}"
            raise ValueError(msg)
        return self.start

    # -- reading

    @cached_property
    def _slab_plans(self) -> tuple[SlabPlan, ...]:
        return tuple(map(SlabPlan, self.placements))

    @cached_property
    def _slabs_nbytes(self) -> int:
        return sum(plan.least_nbytes for plan in self._slab_plans)

    @property
    def _reads_slabs(self) -> bool:
        return self.shuffle == "none" and self._slabs_nbytes <= self.max_bytes

    @cached_property
    def _window_plan(self) -> WindowPlan:
        return plan_windows(self.placements)

    @property
    def _blocks_held(self) -> int:
        """Blocks that this host has open at once."""
        return self.start.lanes // self.share.count * self.start.blocks

    @cached_property
    def _groups_nbytes(self) -> int:
        return self.batch_nbytes + max(map(chunk_nbytes, self.placements))

    def within(self, max_bytes: int) -> Self:
        """The same stream with so many bytes to hold."""
        return replace(self, max_bytes=max_bytes).checked()

    @property
    def least_nbytes(self) -> int:
        """Decoded bytes that must be held at once."""
        if self.shuffle == "window":
            plan = self._window_plan
            return plan.whole_nbytes + self._blocks_held * plan.block_nbytes
        if self.shuffle == "none":
            return min(self._slabs_nbytes, self._groups_nbytes)
        return self._groups_nbytes

    def checked(self) -> Self:
        """The stream itself, if it may hold what it must.

        Raises:
            MemoryBudgetError: It may not.
        """
        needed = self.least_nbytes
        if needed > self.max_bytes:
            what = "a batch and a chunk"
            if self.shuffle == "window":
                what = f"{self._blocks_held} blocks of chunks to shuffle"
            raise MemoryBudgetError(
                f"batches need {needed} bytes at once ({what}), more than the {self.max_bytes} "
                "that they may hold",
                needed=needed,
                budget=self.max_bytes,
                hint=f"Pass max_bytes={needed}, or store the arrays in smaller chunks along the "
                "sampled axes",
            )
        return self

    def items(self, halt: Halt, tally: Tally) -> Generator[SampleBatch]:
        """One iteration."""
        if self.shuffle == "window":
            return self._by_windows(halt, tally)
        if self._reads_slabs:
            return self._by_slabs(halt, tally)
        return self._by_groups(halt, tally)

    def _by_slabs(self, halt: Halt, tally: Tally) -> Generator[SampleBatch]:
        spare = self.max_bytes - self._slabs_nbytes
        size = self.batch_size // self.share.count
        parts = []
        for plan in self._slab_plans:
            more = spare * plan.placement.sample_nbytes // max(self._sample_nbytes, 1)
            reader = SlabReader(plan, plan.least_nbytes + more, size, self.pools, halt, tally)
            parts.append(reader.parts(self._epochs_from_here(), self._epochs_from_here()))
        picks = (pick for epoch in self._epochs_from_here() for pick in epoch.picks())
        per_sample = self._sample_nbytes
        for (start, stop), *arrays in zip(picks, *parts, strict=False):
            tally.add(0, (stop - start) * per_sample)
            batch = SampleBatch(tuple(arrays), np.arange(start, stop))
            del arrays
            yield batch
            del batch

    def _by_windows(self, halt: Halt, tally: Tally) -> Generator[SampleBatch]:
        plan = self._window_plan
        if not plan.blocks.nblocks:
            return
        nslots = (self.max_bytes - plan.whole_nbytes) // plan.block_nbytes
        nslots = max(1, min(nslots, 2 * self._blocks_held, self._blocks_to_come))
        nbytes = plan.whole_nbytes + nslots * plan.block_nbytes
        account = Account(self.max_bytes)
        tally.accounts.append(account)
        with account.holding(nbytes):
            has_room_for_all = self.epochs is not None and nslots == self._blocks_to_come
            reader = WindowReader(
                plan,
                nslots,
                nslots if has_room_for_all else nslots - self._blocks_held,
                self.batch_size // self.share.count,
                self.pools,
                halt,
                tally,
            )
            for arrays, indices in reader.batches(
                self._epochs_from_here(), self._epochs_from_here()
            ):
                tally.add(0, len(indices) * self._sample_nbytes)
                batch = SampleBatch(arrays, indices)
                del arrays, indices
                yield batch
                del batch

    @property
    def _blocks_to_come(self) -> int:
        """Blocks that this host will have at most, of all epochs."""
        lanes = self.start.lanes // self.share.count
        an_epoch = lanes * -(-self._window_plan.blocks.nblocks // self.start.lanes)
        return an_epoch * (2 if self.epochs is None else max(self.epochs - self.start.epoch, 1))

    def _by_groups(self, halt: Halt, tally: Tally) -> Generator[SampleBatch]:
        local = self.layout.store.local
        width = settings.threads if local else settings.fetch_concurrency
        chunk = max(map(chunk_nbytes, self.placements))
        budget = max(self.max_bytes - width * chunk, self.batch_nbytes)
        account = Account(budget)
        tally.accounts.append(account)
        group = self.group_size * self.batch_size // self.share.count
        reader = GroupReader(
            tuple(map(Scatter, self.placements)),
            self.group_size,
            None if local else threading.BoundedSemaphore(settings.threads),
            tuple(self.pools.of(chunk_nbytes(placement)).empty for placement in self.placements),
            tuple(self.pools.of(group * p.sample_nbytes).empty for p in self.placements),
        )
        ahead = ReadAhead(
            (unit for epoch in self._epochs_from_here() for unit in reader.units(epoch.batches())),
            account,
            width=width,
            depth=2 * width,
            ordered=True,
            halt=halt,
        )
        held = done = 0
        for nbytes, (read, ready, nchunks) in ahead:
            held += nbytes
            tally.visit(nchunks)
            while done < ready:
                batch = SampleBatch(read.batch(done), read.batches[done])
                done += 1
                tally.add(0, sum(part.nbytes for part in batch.arrays))
                yield batch
                del batch
            if ready == len(read.batches):
                del read
                ahead.release(held)
                held = done = 0

    @property
    def group_size(self) -> int:
        """Batches that are read together, where chunks are decoded for each group anew."""
        width = settings.threads if self.layout.store.local else settings.fetch_concurrency
        chunks = width * max(map(chunk_nbytes, self.placements))
        # one group is handed on while the next one is read
        budget = min((self.max_bytes - chunks) // 2, GROUP_NBYTES)
        most = budget // max(self.batch_nbytes, 1)
        if sum(map(visited, self.placements)) > GROUP_NCHUNKS:
            touched = sum(map(chunks_of_a_sample, self.placements))
            most = min(most, GROUP_NCHUNKS // (touched * max(self.batch_size, 1)))
        return max(1, most)
