"""Totals since the start, in a size that does not depend on how much was read.

`Snapshot` and `Totals` have the fields of a frame of `docs/wire.md`.
"""

from __future__ import annotations

import os
import threading
from dataclasses import asdict, dataclass
from itertools import compress
from math import frexp
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from zlab.telemetry.events import ABSENT, ChunkFailed, ChunkRun, StreamStart, StreamStop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zlab.telemetry.hub import Hub, Subscription

LATENCY_BUCKETS = 24
TOP_ARRAYS = 8
_TRACKED_ARRAYS = 256
# frexp's exponent e says that x is in [2**(e-1), 2**e), which is bucket e + 19; as a list that
# takes every exponent of a float, negative ones from its end, so that the loop has no comparisons
_EXPONENTS = range(-1080, 1025)
_BUCKET_OF_EXPONENT = [0] * len(_EXPONENTS)
for _exponent in _EXPONENTS:
    _BUCKET_OF_EXPONENT[_exponent] = min(max(_exponent + 19, 0), LATENCY_BUCKETS - 1)
_ALMOST_ZERO_S = 1e-300  # added, since the exponent of 0.0 is 0, and lost in any measured time


@dataclass(frozen=True, slots=True)
class Totals:
    """Counters that only grow.

    Attributes:
        chunks_read: Chunks that were there and were read.
        chunks_absent: Chunks that a read asked for and that are not stored.
        chunks_written: Chunks that were stored.
        nbytes_fetched: Bytes read from stores.
        nbytes_decoded: Bytes that they decoded to.
        nbytes_encoded: Bytes of written chunks before they were encoded.
        nbytes_stored: Bytes written to stores.
        fetch_s: Seconds of fetching, summed over threads, absent chunks included.
        decode_s: Seconds of decoding, summed over threads.
        encode_s: Seconds of encoding, summed over threads.
        store_s: Seconds of storing, summed over threads.
        cache_hits: Answers that came from a cache.
        cache_misses: Look-ups in a cache that found nothing.
        retries: Requests to a store that were made again.
        errors: Chunks that could not be read or written.
        streams_started: Streams that were asked for a first item.
        streams_stopped: Streams that ended.
    """

    chunks_read: int = 0
    chunks_absent: int = 0
    chunks_written: int = 0
    nbytes_fetched: int = 0
    nbytes_decoded: int = 0
    nbytes_encoded: int = 0
    nbytes_stored: int = 0
    fetch_s: float = 0.0
    decode_s: float = 0.0
    encode_s: float = 0.0
    store_s: float = 0.0
    cache_hits: int = 0
    cache_misses: int = 0
    retries: int = 0
    errors: int = 0
    streams_started: int = 0
    streams_stopped: int = 0


@dataclass(frozen=True, slots=True)
class ArrayTraffic:
    """What was read from and written to one array.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        chunks: Stored chunks read and written.
        nbytes: Their bytes in the store.
    """

    store: str
    path: str
    chunks: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The totals at one moment.

    Attributes:
        t: The moment, in seconds of `time.perf_counter`.
        totals: Since the aggregator started.
        in_flight: Chunks being fetched, decoded, encoded or stored at this moment.
        latency: 24 counts; bucket `i` counts reads of stored chunks whose fetch and decode took
            `[2**(i-20), 2**(i-19))` seconds, the first and the last open-ended.
        top: The (at most 8) arrays with the most stored bytes read and written, most first.
    """

    t: float
    totals: Totals
    in_flight: int
    latency: tuple[int, ...]
    top: tuple[ArrayTraffic, ...]


class Aggregator:
    """Folds events into totals; one lock is taken for a run of chunks.

    Example:
        >>> from zlab.telemetry.hub import Hub
        >>> hub = Hub()
        >>> aggregator = Aggregator(hub)
        >>> hub.record(ChunkRun("read", "memory", "a", [(0,)], [10], [80], [0.5], [0.25], t=1.0))
        >>> aggregator.snapshot().totals.nbytes_decoded
        80
        >>> aggregator.close()
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.restart()
        listeners: tuple[tuple[type, Callable[..., None]], ...] = (
            (ChunkRun, self._fold),
            (ChunkFailed, lambda _: self._count("errors")),
            (StreamStart, lambda _: self._count("streams_started")),
            (StreamStop, lambda _: self._count("streams_stopped")),
        )
        self._subscriptions: list[Subscription] = [
            hub.subscribe(kind, listener) for kind, listener in listeners
        ]
        _alive.add(self)

    def close(self) -> None:
        """Stops counting; the last totals stay."""
        for subscription in self._subscriptions:
            subscription.close()

    def snapshot(self) -> Snapshot:
        """The totals now, at a cost that does not depend on the number of chunks."""
        with self._lock:
            totals = Totals(**self._totals)
            latency = tuple(self._latency)
            arrays = list(self._arrays.items())
            arrays = sorted(arrays, key=_nbytes, reverse=True)[:TOP_ARRAYS]
            top = tuple(
                ArrayTraffic(store, path, chunks, nbytes)
                for (store, path), (chunks, nbytes) in arrays
            )
        return Snapshot(perf_counter(), totals, self._hub.in_flight, latency, top)

    def restart(self) -> None:
        """Forgets all totals."""
        self._lock = threading.Lock()
        self._totals: dict[str, Any] = asdict(Totals())
        self._latency = [0] * LATENCY_BUCKETS
        self._arrays: dict[tuple[str, str], list[int]] = {}

    def _count(self, name: str) -> None:
        with self._lock:
            self._totals[name] += 1

    def _fold(self, run: ChunkRun) -> None:
        stored = run.nbytes_stored
        nbytes: Iterable[int] = run.nbytes
        durations: Iterable[tuple[float, float]] = zip(run.fetch_s, run.decode_s, strict=True)
        nabsent = stored.count(ABSENT)
        if nabsent:
            there = [n != ABSENT for n in stored]
            nbytes, durations = compress(nbytes, there), compress(durations, there)
        nchunks = len(stored) - nabsent
        nbytes_stored = sum(stored) - nabsent * ABSENT
        nbytes_decoded = sum(nbytes)
        store_s, codec_s = sum(run.fetch_s), sum(run.decode_s)
        totals = self._totals
        if run.operation == "read":
            buckets = [
                _BUCKET_OF_EXPONENT[frexp(fetch_s + decode_s + _ALMOST_ZERO_S)[1]]
                for fetch_s, decode_s in durations
            ]
            with self._lock:
                totals["chunks_read"] += nchunks
                totals["chunks_absent"] += nabsent
                totals["nbytes_fetched"] += nbytes_stored
                totals["nbytes_decoded"] += nbytes_decoded
                totals["fetch_s"] += store_s
                totals["decode_s"] += codec_s
                for bucket in buckets:
                    self._latency[bucket] += 1
                self._fold_array(run.store, run.path, nchunks, nbytes_stored)
        else:
            with self._lock:
                totals["chunks_written"] += nchunks
                totals["nbytes_encoded"] += nbytes_decoded
                totals["nbytes_stored"] += nbytes_stored
                totals["store_s"] += store_s
                totals["encode_s"] += codec_s
                self._fold_array(run.store, run.path, nchunks, nbytes_stored)

    def _fold_array(self, store: str, path: str, nchunks: int, nbytes: int) -> None:
        traffic = self._arrays.get((store, path))
        if traffic is None:
            if len(self._arrays) == 2 * _TRACKED_ARRAYS:
                # halving at twice the bound keeps the cost of a new array small on average
                busiest = sorted(self._arrays.items(), key=_nbytes, reverse=True)
                self._arrays = dict(busiest[:_TRACKED_ARRAYS])
            self._arrays[store, path] = [nchunks, nbytes]
        else:
            traffic[0] += nchunks
            traffic[1] += nbytes


def _nbytes(item: tuple[tuple[str, str], list[int]]) -> int:
    return item[1][1]


_alive: WeakSet[Aggregator] = WeakSet()


def _after_fork() -> None:
    # the lock may have been held, with totals half added: a forked child counts its own work
    for aggregator in _alive:
        aggregator.restart()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
