"""Sample streams: batches along the first axis of aligned arrays, in order or shuffled.

In order, each array is read slab by slab. Shuffled, the samples are cut into blocks where the
chunks of all arrays are cut; the blocks come in a permuted order, some of them make a window, and
the samples of a window are permuted. So each chunk is decoded once, and memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import count
from math import lcm, prod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeAlias, cast, final

import numpy as np

from zlab.config import settings
from zlab.engine.read import read_into, read_region
from zlab.engine.selection import Region, Span, parse_region
from zlab.errors import MemoryBudgetError
from zlab.memory import aligned_empty
from zlab.samples.permutation import Permutation
from zlab.stream.ahead import ReadAhead, Unit
from zlab.stream.arguments import flag, whole_number
from zlab.stream.budget import Account
from zlab.stream.slices import SliceStream
from zlab.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.stream.ahead import Halt
    from zlab.stream.tally import Tally

Batch: TypeAlias = "tuple[NDArray[Any], ...]"

WINDOW_NBYTES = 64 << 20
"""Bytes of the samples that are shuffled together, if the budget allows."""

BLOCKS_IN_WINDOW = 8
"""Blocks that are shuffled together at least, if the budget allows."""


def sample_nbytes(layout: ArrayLayout) -> int:
    """Bytes of one sample: what stands at one index of the first axis."""
    return prod(layout.metadata.shape[1:]) * layout.dtype.itemsize


class _Cuts:
    """Where the chunks of all arrays are cut along the first axis: at the edges of the blocks.

    Args:
        layouts: Of the arrays, which have the same length.
    """

    def __init__(self, layouts: Sequence[ArrayLayout]) -> None:
        self._n = layouts[0].metadata.shape[0]
        grids = [layout.chunks for layout in layouts]
        lengths = [grid.chunk_shape[0] for grid in grids if grid.chunk_shape is not None]
        self._edges: NDArray[np.int64] | None = None
        if len(lengths) == len(grids):
            self._length = min(lcm(*lengths), max(self._n, 1))
            self.nblocks, self.longest = -(-self._n // self._length), self._length
            return
        edges = np.asarray([0, self._n], np.int64)
        for place, grid in enumerate(grids):
            axis = grid.axes[0]
            starts = np.asarray([axis.start(c) for c in range(axis.nchunks)] + [self._n], np.int64)
            edges = np.intersect1d(edges, starts) if place else np.unique(starts)
        self._edges = edges
        self.nblocks, self.longest = len(edges) - 1, int(np.diff(edges).max(initial=1))

    def block(self, number: int) -> tuple[int, int]:
        """The first sample of a block, and how many it has."""
        if self._edges is not None:
            start, stop = self._edges[number : number + 2].tolist()
            return start, stop - start
        start = number * self._length
        return start, min(self._length, self._n - start)


class _Window(NamedTuple):
    """Samples that are shuffled together.

    Attributes:
        number: Counts the windows of an epoch.
        arrays: For each array its samples; `None` for those that are held as a whole.
        indices: Where each sample stands in the arrays.
    """

    number: int
    arrays: tuple[NDArray[Any] | None, ...]
    indices: NDArray[np.int64]

    def gather(
        self, whole: list[NDArray[Any] | None], picked: NDArray[np.int64], batch: Batch, at: int
    ) -> None:
        """Copies the picked samples into a batch, from its place `at` on."""
        for array, all_samples, out in zip(self.arrays, whole, batch, strict=True):
            place = out[at : at + len(picked)]
            # all indices are valid, and "clip" is the mode that writes straight to `out`
            if array is not None:
                array.take(picked, axis=0, out=place, mode="clip")
            elif all_samples is not None:
                all_samples.take(self.indices[picked], axis=0, out=place, mode="clip")


class _Part(NamedTuple):
    """A block that was read into its window."""

    window: _Window
    nchunks: int
    is_last: bool


@final
@dataclass(frozen=True, eq=False)
class SampleStream(Stream[Batch]):
    """Batches of samples, one tuple of arrays each.

    A batch is in memory of its own that starts at a multiple of 64 bytes and is not written again.

    Attributes:
        layouts: Of the arrays, all of one length along their first axis.
        batch_size: Samples of a batch.
        shuffle: Whether the samples come in a shuffled order.
        seed: Determines the order; `None` for another one in each iteration.
        drop_remainder: Leave out the last batch if it would be smaller, and what it alone needs.
        max_bytes: Decoded bytes that are held, the batches that were handed on left aside.
    """

    kind: ClassVar[str] = "batches"

    layouts: tuple[ArrayLayout, ...]
    batch_size: int
    shuffle: bool
    seed: int | Sequence[int] | None
    drop_remainder: bool
    max_bytes: int

    @cached_property
    def nsamples(self) -> int:
        """Samples of one iteration."""
        n = self.layout.metadata.shape[0]
        return n - n % self.batch_size if self.drop_remainder else n

    @property
    def nbatches(self) -> int:
        """Batches of one iteration."""
        return -(-self.nsamples // self.batch_size)

    @cached_property
    def batch_nbytes(self) -> int:
        """Bytes of a whole batch."""
        return self.batch_size * sum(map(sample_nbytes, self.layouts))

    @property
    def max_nchunks(self) -> int:
        """Chunks that an iteration visits at most."""
        if self.shuffle:
            return sum(layout.chunks.nchunks for layout in self.layouts)
        return sum(slices.plan.nchunks for slices in self._slices)

    @property
    def item_nbytes(self) -> int:
        """Bytes of a whole batch."""
        return self.batch_nbytes

    def within(self, max_bytes: int) -> Self:
        """The same stream with so many bytes to hold."""
        return replace(self, max_bytes=max_bytes).checked()

    def checked(self) -> Self:
        """The stream itself, if it may hold what it must.

        Raises:
            MemoryBudgetError: It may not.
        """
        needed = self._window_nbytes if self.shuffle else self._slabs_nbytes
        if needed > self.max_bytes:
            what = "one block of chunks to shuffle" if self.shuffle else "one slab of chunks"
            raise MemoryBudgetError(
                f"batches need {needed} bytes at once ({what}), more than the {self.max_bytes} "
                "that they may hold",
                needed=needed,
                budget=self.max_bytes,
                hint=f"Pass max_bytes={needed}, or store the arrays in smaller chunks along the "
                "first axis",
            )
        return self

    def items(self, halt: Halt, tally: Tally) -> Generator[Batch]:
        """One iteration."""
        if self.shuffle:
            return self._shuffled(halt, tally)
        return self._in_order(halt, tally)

    # -- in order

    @cached_property
    def _slices(self) -> tuple[SliceStream, ...]:
        span = Span(0, 1, self.nsamples)
        least = [
            SliceStream(layout, 0, span, self.batch_size, self.max_bytes).plan.nbytes_held
            for layout in self.layouts
        ]
        spare = max(self.max_bytes - sum(least), 0) // len(least)
        return tuple(
            SliceStream(layout, 0, span, self.batch_size, nbytes + spare)
            for layout, nbytes in zip(self.layouts, least, strict=True)
        )

    @property
    def _slabs_nbytes(self) -> int:
        return sum(slices.plan.nbytes_held for slices in self._slices)

    def _in_order(self, halt: Halt, tally: Tally) -> Generator[Batch]:
        for parts in zip(*(slices.items(halt, tally) for slices in self._slices), strict=True):
            yield tuple(part.data for part in parts)

    # -- shuffled

    @cached_property
    def _whole(self) -> tuple[bool, ...]:
        """Which arrays are read and held as a whole.

        Those are small arrays, such as labels, whose chunks do not fit those of the largest one:
        they would make the blocks larger.
        """
        largest = max(self.layouts, key=sample_nbytes)
        blocks = _Cuts([largest]).longest
        left = self.max_bytes // 8
        whole = []
        for layout in self.layouts:
            nbytes = layout.metadata.shape[0] * sample_nbytes(layout)
            fits = layout is largest or _Cuts([largest, layout]).longest == blocks
            whole.append(not fits and nbytes <= left)
            left -= nbytes if whole[-1] else 0
        return tuple(whole)

    @cached_property
    def _whole_nbytes(self) -> int:
        return self.layout.metadata.shape[0] * sum(
            sample_nbytes(layout)
            for layout, whole in zip(self.layouts, self._whole, strict=True)
            if whole
        )

    @cached_property
    def _cuts(self) -> _Cuts:
        pairs = zip(self.layouts, self._whole, strict=True)
        return _Cuts([layout for layout, whole in pairs if not whole])

    @cached_property
    def _row_nbytes(self) -> int:
        pairs = zip(self.layouts, self._whole, strict=True)
        return sum(sample_nbytes(layout) for layout, whole in pairs if not whole)

    @property
    def _window_nbytes(self) -> int:
        return self._whole_nbytes + self._cuts.longest * self._row_nbytes

    @cached_property
    def blocks_in_window(self) -> int:
        """Blocks whose samples are shuffled together."""
        block = max(self._cuts.longest * self._row_nbytes, 1)
        wanted = max(WINDOW_NBYTES, BLOCKS_IN_WINDOW * block)
        # so that the next window can be read while this one is handed on
        return max(1, min(wanted, (self.max_bytes - self._whole_nbytes) // 2) // block)

    def _shuffled(self, halt: Halt, tally: Tally) -> Generator[Batch]:
        entropy = np.random.SeedSequence(self.seed).entropy
        order = Permutation(self._cuts.nblocks, np.random.SeedSequence(entropy, spawn_key=(0,)))
        at_once = settings.threads if self.layout.store.local else settings.fetch_concurrency
        width = max(1, at_once // max(self._nchunks_in(0, self._cuts.longest), 1))
        account = Account(self.max_bytes - self._whole_nbytes)
        tally.accounts.append(account)
        ahead = ReadAhead(
            self._blocks(order),
            account,
            width=width,
            depth=2 * width,
            ordered=True,
            halt=halt,
        )
        with Account(self.max_bytes).holding(self._whole_nbytes):
            whole = [
                self._read_whole(layout, tally) if is_whole else None
                for layout, is_whole in zip(self.layouts, self._whole, strict=True)
            ]
            done = filled = 0
            batch: Batch = ()
            for window in self._windows(ahead, tally):
                m = len(window.indices)
                key = np.random.SeedSequence(entropy, spawn_key=(1, window.number))
                shuffled = np.random.Generator(np.random.Philox(key)).permutation(m)
                taken = 0
                while taken < m and done < self.nsamples:
                    size = min(self.batch_size, self.nsamples - done)
                    batch = batch or self._new_batch(size)
                    n = min(size - filled, m - taken)
                    window.gather(whole, shuffled[taken : taken + n], batch, filled)
                    taken += n
                    filled += n
                    if filled == size:
                        full, batch, filled = batch, (), 0
                        done += size
                        tally.add(0, sum(part.nbytes for part in full))
                        yield full
                        del full
                del window

    def _windows(self, ahead: ReadAhead[_Part], tally: Tally) -> Generator[_Window]:
        held = 0
        for nbytes, (window, nchunks, is_last) in ahead:
            held += nbytes
            tally.visit(nchunks)
            if is_last:
                yield window
                ahead.release(held)
                held = 0
            del window

    def _blocks(self, order: Permutation) -> Iterator[Unit[_Part]]:
        """What is read, block by block; the first block of a window takes the bytes of all."""
        left, blocks = self.nsamples, iter(order)
        for number in count():
            chosen: list[tuple[int, int]] = []
            # what only a dropped batch would need is not read
            while left > 0 and len(chosen) < self.blocks_in_window:
                start, n = self._cuts.block(next(blocks))
                chosen.append((start, n))
                left -= n
            if not chosen:
                return
            m = sum(n for _, n in chosen)
            window = _Window(
                number,
                tuple(
                    None if whole else aligned_empty((m, *layout.metadata.shape[1:]), layout.dtype)
                    for layout, whole in zip(self.layouts, self._whole, strict=True)
                ),
                np.concatenate([np.arange(start, start + n) for start, n in chosen]),
            )
            nbytes, offset = m * self._row_nbytes, 0
            for place, (start, n) in enumerate(chosen):
                is_last = place == len(chosen) - 1
                yield Unit(nbytes, partial(self._load, window, offset, start, n, is_last))
                nbytes, offset = 0, offset + n

    def _load(self, window: _Window, offset: int, start: int, n: int, is_last: bool) -> _Part:  # noqa: FBT001
        for layout, array in zip(self.layouts, window.arrays, strict=True):
            if array is not None:
                rest = (Span(0, 1, length) for length in layout.metadata.shape[1:])
                region = Region((Span(start, 1, n), *rest))
                read_into(layout, region, array[offset : offset + n])
        return _Part(window, self._nchunks_in(start, n), is_last)

    def _nchunks_in(self, start: int, n: int) -> int:
        """Chunks of the arrays that are not held as a whole."""
        nchunks = 0
        for layout, whole in zip(self.layouts, self._whole, strict=True):
            axis, *others = layout.chunks.axes
            if not whole and n:
                along = axis.chunk_at(start + n - 1) - axis.chunk_at(start) + 1
                nchunks += along * prod(other.nchunks for other in others)
        return nchunks

    def _read_whole(self, layout: ArrayLayout, tally: Tally) -> NDArray[Any]:
        tally.visit(layout.chunks.nchunks)
        return read_region(layout, parse_region(None, layout.metadata.shape))

    def _new_batch(self, size: int) -> Batch:
        return tuple(
            aligned_empty((size, *layout.metadata.shape[1:]), layout.dtype)
            for layout in self.layouts
        )


def stream_samples(
    layouts: Sequence[ArrayLayout],
    batch_size: int,
    *,
    shuffle: bool = False,
    seed: int | Sequence[int] | None = None,
    drop_remainder: bool = False,
    max_bytes: int | None = None,
) -> SampleStream:
    """Describes a stream of batches along the first axis.

    Args:
        layouts: Of the arrays: the first axis of all has one length.
        batch_size: Samples of a batch; the last one may have fewer.
        shuffle: Permute the chunks, and the samples within a window of chunks.
        seed: Determines the order; another one in each iteration by default.
        drop_remainder: Leave out a last batch that would be smaller.
        max_bytes: Bytes that are held at most; `zlab.settings.memory_budget` by default.

    Raises:
        TypeError: An argument is not what its name says.
        ValueError: The arrays have different lengths or no axis, or a number is too small.
        MemoryBudgetError: More must be held at once than `max_bytes`.
    """
    lengths = []
    for layout in layouts:
        shape = layout.metadata.shape
        if not shape:
            msg = f"array {layout.path!r} has no axis along which there could be samples"
            raise ValueError(msg)
        lengths.append(f"{layout.path!r} has {shape[0]}")
    if len({layout.metadata.shape[0] for layout in layouts}) > 1:
        msg = f"the arrays have different numbers of samples: {', '.join(lengths)}"
        raise ValueError(msg)
    return SampleStream(
        layouts[0],
        tuple(layouts),
        whole_number(batch_size, "batch_size", least=1),
        flag(shuffle, "shuffle"),
        _checked_seed(seed),
        flag(drop_remainder, "drop_remainder"),
        whole_number(
            settings.memory_budget if max_bytes is None else max_bytes, "max_bytes", least=1
        ),
    ).checked()


def _checked_seed(seed: object) -> int | tuple[int, ...] | None:
    """What `numpy.random.SeedSequence` takes, without the texts that it would take as well."""
    if seed is None:
        return None
    if isinstance(seed, np.ndarray):
        seed = seed.tolist()
    if isinstance(seed, Sequence) and not isinstance(seed, (str, bytes)):
        return tuple(whole_number(part, "every part of seed", least=0) for part in seed)
    return whole_number(cast("int", seed), "seed", least=0)
