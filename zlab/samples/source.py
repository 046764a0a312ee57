"""Samples by their numbers, for loaders that choose the order themselves.

Such loaders shuffle over the whole array and read in many threads, so that a chunk is wanted again
and again: decoded chunks are kept, in a bounded cache, and a thread that wants one which another
is decoding waits for it. How often chunks were decoded all the same is counted.
"""

from __future__ import annotations

import operator
import os
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, TypeAlias, final

import numpy as np

from zlab.config import settings
from zlab.engine.cache import Cache
from zlab.engine.layout import ArrayLayout
from zlab.engine.locks import ThreadLocks
from zlab.engine.read import read_region
from zlab.engine.selection import Picks
from zlab.engine.workers import Team, shared_cores
from zlab.errors import SelectionError
from zlab.memory import aligned_empty
from zlab.samples.grid import parse_grid
from zlab.stream.arguments import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from zlab.engine.selection import Region
    from zlab.samples.grid import AxisKey, AxisLengths
    from zlab.stores.base import Store

Parts: TypeAlias = "tuple[NDArray[Any], ...]"


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What a source has read so far, in this process.

    Attributes:
        nsamples: Samples that it was asked for.
        ndecoded: Chunks that were decoded for them, of all arrays.
    """

    nsamples: int
    ndecoded: int

    @property
    def decodes_per_sample(self) -> float:
        """Chunks that were decoded for a sample: the fewer, the better the cache serves.

        Example:
            >>> SourceReport(nsamples=100, ndecoded=25).decodes_per_sample
            0.25
        """
        return self.ndecoded / self.nsamples if self.nsamples else 0.0


class _Piece(NamedTuple):
    """The part of a sample that lies in one array."""

    array: int
    region: Region
    chunk: tuple[int, ...]
    place: int


@final
class SampleSource:
    """The samples of aligned arrays, each read when it is asked for.

    It shows the arrays as they are when it is made. Threads may share it; a process that it is
    pickled to, or forked to, has a cache of its own.

    Args:
        layouts: Of the arrays.
        axis: Axes along which a sample is one index, by number or name; by default the first one,
            or none where there are windows.
        windows: Along which axes a sample is a window, and its length.
        overlap: Elements that neighbouring windows share; none by default.
        cache: Bytes of decoded chunks that are kept; a quarter of `zlab.settings.memory_budget` by
            default.

    Raises:
        TypeError: An argument is not what its name says.
        ValueError: The arrays do not have these axes, or different numbers of samples, or a number
            is out of range.

    Attributes:
        layouts: Of the arrays, with the cache that decoded chunks are kept in.
        grid: What a sample is.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(12).reshape(6, 2), chunks=(3, 2))
        >>> source = SampleSource([array.layout])
        >>> source.read(4)
        (array([8, 9]),)
        >>> source.read_many([5, 0, 5])[0].tolist()
        [[10, 11], [0, 1], [10, 11]]
        >>> source.report()
        SourceReport(nsamples=4, ndecoded=2)
    """

    def __init__(
        self,
        layouts: Sequence[ArrayLayout],
        *,
        axis: AxisKey | Sequence[AxisKey] | None = None,
        windows: AxisLengths | None = None,
        overlap: AxisLengths | None = None,
        cache: int | None = None,
    ) -> None:
        nbytes = settings.memory_budget // 4 if cache is None else cache
        self._cache = _DecodedChunks(max(1, whole_number(nbytes, "cache", least=0)))
        self._arguments = (axis, windows, overlap, cache)
        self.layouts = tuple(_with_cache(layout, self._cache) for layout in layouts)
        self.grid, self._placements = parse_grid(self.layouts, axis, windows, overlap, None)

    def __len__(self) -> int:
        return self.grid.nsamples

    @property
    def sample_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of a sample of each array."""
        return tuple(placement.sample_shape for placement in self._placements)

    @property
    def dtypes(self) -> tuple[np.dtype[Any], ...]:
        """The dtype of each array."""
        return tuple(layout.dtype for layout in self.layouts)

    def read(self, index: SupportsIndex) -> Parts:
        """A sample.

        Args:
            index: Its number, from 0.

        Returns:
            Of each array an array of the shape of a sample, in memory of its own.

        Raises:
            SelectionError: There is no such sample, an `IndexError`.
            TypeError: It is no whole number.
            ChunkReadError: A chunk that is there could not be read or decoded.
        """
        pieces = self._pieces([self._number(index)])
        self._cache.serve(1)
        return tuple(self._read(piece, None) for piece in pieces)

    def read_many(self, indices: Iterable[SupportsIndex]) -> Parts:
        """Some samples, side by side; the chunks that they need are decoded on all cores.

        Args:
            indices: Their numbers, from 0, in any order, some perhaps twice.

        Returns:
            Of each array an array of the shape `(samples, *sample shape)`, whose memory starts at
            a multiple of 64 bytes.

        Raises:
            SelectionError: There is no such sample, an `IndexError`. Nothing was read.
            TypeError: A number is no whole number.
            ChunkReadError: A chunk that is there could not be read or decoded.
        """
        numbers = [self._number(index) for index in indices]
        out = tuple(
            aligned_empty((len(numbers), *placement.sample_shape), placement.layout.dtype)
            for placement in self._placements
        )
        together: dict[tuple[int, tuple[int, ...]], list[_Piece]] = defaultdict(list)
        for piece in self._pieces(numbers):
            together[piece.array, piece.chunk].append(piece)

        def read_all(pieces: list[_Piece]) -> None:
            for piece in pieces:
                self._read(piece, out[piece.array][piece.place, ...])

        team = Team(together.values(), read_all)
        if all(layout.store.local for layout in self.layouts):
            with shared_cores() as others:
                width = min(settings.threads - others, len(together))
                team.run(max(1, width), caller_works=True)
        else:
            team.run(min(settings.fetch_concurrency, len(together)), caller_works=False)
        self._cache.serve(len(numbers))
        return out

    def report(self) -> SourceReport:
        """What was read so far, by this object in this process."""
        return self._cache.report()

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.layouts, self._arguments)

    def _number(self, index: SupportsIndex) -> int:
        try:
            number = operator.index(index)
        except TypeError as error:
            msg = f"a sample is asked for by its number, not by {index!r:.80}"
            raise TypeError(msg) from error
        if not 0 <= number < len(self):
            msg = f"there is no sample {number} of {len(self)}"
            raise SelectionError(msg, hint="Samples are numbered from 0, none is negative")
        return number

    def _pieces(self, numbers: Sequence[int]) -> list[_Piece]:
        along = self.grid.coords(np.asarray(numbers, np.int64))
        boxes = zip(*(coords.tolist() for coords in along), strict=True)
        pieces = []
        for place, coords in enumerate(boxes):
            for array, placement in enumerate(self._placements):
                box = placement.region([(at, at + 1) for at in coords])
                region = replace(box, dropped_axes=tuple(sorted(placement.dropped)))
                pieces.append(_Piece(array, region, _first_chunk(placement.layout, region), place))
        return pieces

    def _read(self, piece: _Piece, out: NDArray[Any] | None) -> NDArray[Any]:
        layout = self.layouts[piece.array]
        with _turns.hold(layout.store, f"{layout.path} {piece.chunk}"):
            return read_region(layout, piece.region, out)


class _DecodedChunks(Cache):
    """A cache that counts the chunks which were decoded for it, and the samples it served."""

    def __init__(self, max_nbytes: int) -> None:
        super().__init__(max_nbytes)
        self._nsamples = self._ndecoded = 0

    def serve(self, nsamples: int) -> None:
        """Counts samples."""
        with self._lock:
            self._nsamples += nsamples

    def report(self) -> SourceReport:
        """What was counted."""
        return SourceReport(self._nsamples, self._ndecoded)

    def put(
        self,
        store: Store,
        key: str,
        array: NDArray[Any],
        seen: object,
        part: tuple[int, ...] | None = None,
    ) -> None:
        """Keeps a chunk, and counts it."""
        with self._lock:
            self._ndecoded += 1
        super().put(store, key, array, seen, part)


def _with_cache(layout: ArrayLayout, cache: Cache) -> ArrayLayout:
    access = replace(layout.access, cache=cache)
    kept = ArrayLayout(layout.node_store, layout.path, layout.metadata, access)
    # only chunks are counted, and indices do not crowd them out
    kept.index_cache = Cache(settings.shard_index_cache)
    return kept


def _first_chunk(layout: ArrayLayout, region: Region) -> tuple[int, ...]:
    """The chunk in which a box begins."""
    pairs = zip(layout.chunks.axes, region.spans, strict=True)
    return tuple(
        axis.chunk_at(span.start) if axis.length and not isinstance(span, Picks) else 0
        for axis, span in pairs
    )


def _rebuild(layouts: Sequence[ArrayLayout], arguments: tuple[Any, ...]) -> SampleSource:
    axis, windows, overlap, cache = arguments
    return SampleSource(layouts, axis=axis, windows=windows, overlap=overlap, cache=cache)


# of the threads that want one chunk, the first decodes it and the others find it in the cache
_turns = ThreadLocks()

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_turns.reset)
