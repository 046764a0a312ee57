"""Which chunks were read and written, when, for how long and from where: as arrays, for plots.

Rows lie in blocks of columns, some 40 bytes each, so that 10^7 of them take 400 MB; the oldest
blocks go when there are more.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from zlab.telemetry.events import ABSENT, CacheRun, ChunkRun

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from zlab.telemetry.events import Coords
    from zlab.telemetry.hub import Hub

_LARGEST_BLOCK = 1 << 16


class Origin(IntEnum):
    """From where a chunk came, or where it went."""

    OBJECT = 0
    """A stored object of its own."""
    SHARD = 1
    """A range of a shard."""
    CACHE = 2
    """Memory: it had been decoded before."""
    FILL = 3
    """Nowhere: it is not stored, and the fill value stands for it."""
    WRITTEN = 4
    """It was written."""
    LEFT_OUT = 5
    """It was written, and holds nothing but the fill value."""


@dataclass(frozen=True, slots=True)
class ChunkTrace:
    """The chunks of one array that were read and written, a row each, oldest first.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        coords: Coordinates in the grid of chunks, of shape `(n, ndim)`.
        t: When the run that the chunk belonged to ended, of `time.perf_counter`.
        fetch_s: Seconds of fetching, or storing.
        decode_s: Seconds of decoding, or encoding.
        nbytes_stored: Bytes in the store, 0 where the chunk did not come from there.
        origin: From where it came: an `Origin`.
    """

    store: str
    path: str
    coords: NDArray[np.int64]
    t: NDArray[np.float64]
    fetch_s: NDArray[np.float32]
    decode_s: NDArray[np.float32]
    nbytes_stored: NDArray[np.int64]
    origin: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.t)

    def count(self, shape: Sequence[int]) -> NDArray[np.int64]:
        """How often each chunk was read or written.

        Args:
            shape: Of the grid of chunks (`array.chunk_grid_shape`).
        """
        counts = np.zeros(tuple(shape), np.int64)
        if len(self):
            np.add.at(counts, tuple(self.coords.T), 1)
        return counts

    def latest(self, values: NDArray[Any], shape: Sequence[int]) -> NDArray[np.float64]:
        """The last value of each chunk, NaN for chunks that were neither read nor written.

        Args:
            values: One for each row, such as `trace.t` or `trace.fetch_s + trace.decode_s`.
            shape: Of the grid of chunks.
        """
        plane = np.full(tuple(shape), np.nan)
        if len(self):
            # of equal places the last assignment stays
            plane[tuple(self.coords.T)] = values
        return plane


_COLUMNS = np.dtype(
    [("t", "f8"), ("nbytes_stored", "i8"), ("fetch_s", "f4"), ("decode_s", "f4"), ("origin", "u1")]
)


class _Block:
    __slots__ = ("capacity", "columns", "coords", "n")

    def __init__(self, capacity: int, ndim: int) -> None:
        self.capacity = capacity
        self.n = 0
        self.columns = np.empty(capacity, _COLUMNS)
        self.coords = np.empty((capacity, ndim), np.int64)


class Trace:
    """Keeps the latest chunks of all arrays, as a context.

    Args:
        hub: Where to listen.
        limit: Rows that are kept at most.

    Raises:
        ValueError: `limit` is less than 1.
    """

    def __init__(self, hub: Hub, limit: int) -> None:
        if limit < 1:
            msg = f"limit must be a positive whole number, not {limit}"
            raise ValueError(msg)
        self.limit = limit
        self._hub = hub
        self._lock = threading.Lock()
        self._blocks: deque[tuple[tuple[str, str, int], _Block]] = deque()
        self._open: dict[tuple[str, str, int], _Block] = {}
        self._capacity = 0
        self._seen = 0
        self._subscriptions = [
            hub.subscribe(ChunkRun, self._add_chunks),
            hub.subscribe(CacheRun, self._add_hits),
        ]

    def close(self) -> None:
        """Stops listening; what is there stays."""
        for subscription in self._subscriptions:
            subscription.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        with self._lock:
            return sum(block.n for _, block in self._blocks)

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} chunks, {self.dropped} dropped>"

    @property
    def dropped(self) -> int:
        """Rows that went to keep the limit."""
        with self._lock:
            return self._seen - sum(block.n for _, block in self._blocks)

    @property
    def nbytes(self) -> int:
        """Bytes that the rows take."""
        with self._lock:
            return sum(block.columns.nbytes + block.coords.nbytes for _, block in self._blocks)

    def arrays(self) -> list[tuple[str, str]]:
        """Store and path of the arrays that have rows."""
        with self._lock:
            return list(dict.fromkeys((store, path) for (store, path, _), _ in self._blocks))

    def of(self, array: Any) -> ChunkTrace:
        """The rows of one array.

        Args:
            array: An open array, or its store's name and its path.
        """
        store, path = array if isinstance(array, tuple) else (array.store.name, array.path)
        with self._lock:
            blocks = [
                (block.columns[: block.n].copy(), block.coords[: block.n].copy())
                for key, block in self._blocks
                if key[:2] == (store, path)
            ]
        if not blocks:
            blocks = [(np.empty(0, _COLUMNS), np.empty((0, 0), np.int64))]
        columns = np.concatenate([each for each, _ in blocks])
        coords = np.concatenate([each for _, each in blocks])
        split = {name: np.ascontiguousarray(columns[name]) for name in _COLUMNS.names or ()}
        return ChunkTrace(store, path, coords, **split)

    def _add_chunks(self, run: ChunkRun) -> None:
        n = len(run.coords)
        rows = np.empty(n, _COLUMNS)
        rows["t"] = run.t
        rows["fetch_s"] = run.fetch_s
        rows["decode_s"] = run.decode_s
        stored = np.array(run.nbytes_stored, np.int64)
        rows["nbytes_stored"] = np.where(stored == ABSENT, 0, stored)
        if run.operation == "write":
            there, absent = Origin.WRITTEN, Origin.LEFT_OUT
        else:
            there = Origin.SHARD if run.source == "shard" else Origin.OBJECT
            absent = Origin.FILL
        rows["origin"] = np.where(stored == ABSENT, int(absent), int(there))
        self._add(run.store, run.path, run.coords, rows)

    def _add_hits(self, run: CacheRun) -> None:
        if run.what == "chunk" and run.hits:
            rows = np.zeros(len(run.hits), _COLUMNS)
            rows["t"] = run.t
            rows["origin"] = int(Origin.CACHE)
            self._add(run.store, run.path, run.hits, rows)

    def _add(self, store: str, path: str, coords: list[Coords], rows: NDArray[Any]) -> None:
        ndim = len(coords[0])
        places = np.fromiter(chain.from_iterable(coords), np.int64, len(coords) * ndim)
        places = places.reshape(len(coords), ndim)
        key = (store, path, ndim)
        with self._lock:
            self._seen += len(rows)
            at = 0
            while at < len(rows):
                block = self._open.get(key)
                if block is None or block.n == block.capacity:
                    block = self._new_block(key, block, ndim)
                n = min(len(rows) - at, block.capacity - block.n)
                block.columns[block.n : block.n + n] = rows[at : at + n]
                block.coords[block.n : block.n + n] = places[at : at + n]
                block.n += n
                at += n

    def _new_block(self, key: tuple[str, str, int], full: _Block | None, ndim: int) -> _Block:
        # small at first: there may be thousands of arrays with few rows each
        largest = min(_LARGEST_BLOCK, max(self.limit // 8, 1))
        block = _Block(min(256 if full is None else 2 * full.capacity, largest), ndim)
        while self._blocks and self._capacity + block.capacity > self.limit:
            oldest, dropped = self._blocks.popleft()
            self._capacity -= dropped.capacity
            if self._open.get(oldest) is dropped:
                del self._open[oldest]
        self._open[key] = block
        self._blocks.append((key, block))
        self._capacity += block.capacity
        return block
