"""Totals since the start, in a size that does not depend on how much was read.

`Snapshot` and `Totals` have the fields of a frame of `docs/wire.md`. Runs of chunks are put aside
as they come and counted some thousand chunks at a time, with NumPy, or when somebody asks: who
reads pays for an append.
"""

from __future__ import annotations

import os
import threading
from dataclasses import asdict, dataclass
from itertools import chain
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from zlab.telemetry.events import (
    ABSENT,
    CacheRun,
    ChunkFailed,
    ChunkRun,
    ItemRetry,
    StoreRetry,
    StreamStart,
    StreamStop,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from zlab.telemetry.hub import Hub, Subscription
    from zlab.telemetry.quantiles import Histogram

LATENCY_BUCKETS = 24
TOP_ARRAYS = 8
_TRACKED_ARRAYS = 256
_PENDING_CHUNKS = 4096
_ALMOST_ZERO_S = 1e-300  # added, since the exponent of 0.0 is 0, and lost in any measured time
OTHERS = "(others)"
"""The path of what was counted for arrays that are no longer told apart."""


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


class Subject(NamedTuple):
    """What a line of a summary is about."""

    store: str
    path: str
    codecs: str


class Traffic:
    """What was read from and written to one array, or several.

    Attributes:
        totals: Counters, those of chunks.
        fetch: How long fetching a stored chunk took.
        decode: How long decoding it took.
        store: How long storing a chunk took.
        encode: How long encoding it took.
    """

    __slots__ = ("decode", "encode", "fetch", "store", "totals")

    def __init__(self) -> None:
        from zlab.telemetry.quantiles import Histogram  # noqa: PLC0415  NumPy, which a reader has

        self.totals: dict[str, Any] = dict.fromkeys(_OF_CHUNKS, 0)
        self.fetch, self.decode, self.store, self.encode = (Histogram() for _ in range(4))

    @property
    def nchunks(self) -> int:
        """Stored chunks read and written."""
        return int(self.totals["chunks_read"] + self.totals["chunks_written"])

    @property
    def nbytes(self) -> int:
        """Their bytes in the store."""
        return int(self.totals["nbytes_fetched"] + self.totals["nbytes_stored"])

    def merge(self, other: Traffic) -> None:
        """Adds what another one counted."""
        for name, value in other.totals.items():
            self.totals[name] += value
        for mine, theirs in zip(self.histograms, other.histograms, strict=True):
            mine.merge(theirs)

    @property
    def histograms(self) -> tuple[Histogram, Histogram, Histogram, Histogram]:
        """Fetching, decoding, encoding, storing."""
        return self.fetch, self.decode, self.encode, self.store


_OF_CHUNKS = (
    *("chunks_read", "chunks_absent", "chunks_written"),
    *("nbytes_fetched", "nbytes_decoded", "nbytes_encoded", "nbytes_stored"),
    *("fetch_s", "decode_s", "encode_s", "store_s"),
)


class Aggregator:
    """Counts what happens.

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
            (ChunkRun, self._put_aside),
            (CacheRun, self._count_look_ups),
            (ChunkFailed, lambda _: self._count("errors")),
            (StoreRetry, lambda _: self._count("retries")),
            (ItemRetry, lambda _: self._count("retries")),
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
            self._fold()
            totals = Totals(**self._totals)
            latency = tuple(self._latency)
            arrays: dict[tuple[str, str], list[int]] = {}
            for (store, path, _), traffic in self._traffic.items():
                if path == OTHERS:
                    continue
                counts = arrays.setdefault((store, path), [0, 0])
                counts[0] += traffic.nchunks
                counts[1] += traffic.nbytes
        busiest = sorted(arrays.items(), key=lambda item: item[1][1], reverse=True)
        top = tuple(
            ArrayTraffic(store, path, chunks, nbytes)
            for (store, path), (chunks, nbytes) in busiest[:TOP_ARRAYS]
        )
        return Snapshot(perf_counter(), totals, self._hub.in_flight, latency, top)

    def traffic(self) -> tuple[float, Totals, list[tuple[Subject, Traffic]]]:
        """Seconds since the start, the totals, and a copy of what was counted for each array."""
        with self._lock:
            self._fold()
            copies: list[tuple[Subject, Traffic]] = []
            for subject, traffic in self._traffic.items():
                copy = Traffic()
                copy.merge(traffic)
                copies.append((subject, copy))
            return perf_counter() - self._started, Totals(**self._totals), copies

    def restart(self) -> None:
        """Forgets all totals."""
        self._lock = threading.Lock()
        self._started = perf_counter()
        self._totals: dict[str, Any] = asdict(Totals())
        self._latency = [0] * LATENCY_BUCKETS
        self._traffic: dict[Subject, Traffic] = {}
        self._pending: list[ChunkRun] = []
        self._pending_chunks = 0

    def _count(self, name: str) -> None:
        with self._lock:
            self._totals[name] += 1

    def _count_look_ups(self, run: CacheRun) -> None:
        with self._lock:
            self._totals["cache_hits"] += len(run.hits)
            self._totals["cache_misses"] += len(run.misses)

    def _put_aside(self, run: ChunkRun) -> None:
        with self._lock:
            self._pending.append(run)
            self._pending_chunks += len(run.coords)
            if self._pending_chunks >= _PENDING_CHUNKS:
                self._fold()

    def _fold(self) -> None:
        """Counts what was put aside; the lock is held."""
        runs, self._pending, self._pending_chunks = self._pending, [], 0
        alike: dict[tuple[str, Subject], list[ChunkRun]] = {}
        for run in runs:
            subject = Subject(run.store, run.path, run.codecs)
            alike.setdefault((run.operation, subject), []).append(run)
        for (operation, subject), group in alike.items():
            self._fold_group(operation == "read", self._traffic_of(subject), group)

    def _fold_group(self, is_read: bool, traffic: Traffic, runs: list[ChunkRun]) -> None:  # noqa: FBT001
        import numpy as np  # noqa: PLC0415  who reads has it, and who does not never comes here

        stored = np.fromiter(chain.from_iterable([run.nbytes_stored for run in runs]), np.int64)
        nbytes = np.fromiter(chain.from_iterable([run.nbytes for run in runs]), np.int64)
        store_s = np.fromiter(chain.from_iterable([run.fetch_s for run in runs]), np.float64)
        codec_s = np.fromiter(chain.from_iterable([run.decode_s for run in runs]), np.float64)
        there = stored != ABSENT
        nabsent = len(stored) - int(there.sum())
        all_store_s, all_codec_s = float(store_s.sum()), float(codec_s.sum())
        if nabsent:
            stored, nbytes, store_s = stored[there], nbytes[there], store_s[there]
        nbytes_stored = int(stored.sum())
        if is_read:
            if nabsent:
                codec_s = codec_s[there]
            exponents = np.frexp(store_s + codec_s + _ALMOST_ZERO_S)[1]
            buckets = (exponents + 19).clip(0, LATENCY_BUCKETS - 1)
            for bucket, count in enumerate(np.bincount(buckets).tolist()):
                self._latency[bucket] += count
            traffic.fetch.add(store_s)
            traffic.decode.add(codec_s)
            values = {
                "chunks_read": len(stored),
                "chunks_absent": nabsent,
                "nbytes_fetched": nbytes_stored,
                "nbytes_decoded": int(nbytes.sum()),
                "fetch_s": all_store_s,
                "decode_s": all_codec_s,
            }
        else:
            traffic.store.add(store_s)
            traffic.encode.add(codec_s)
            values = {
                "chunks_written": len(stored),
                "nbytes_encoded": int(nbytes.sum()),
                "nbytes_stored": nbytes_stored,
                "store_s": all_store_s,
                "encode_s": all_codec_s,
            }
        for name, value in values.items():
            self._totals[name] += value
            traffic.totals[name] += value

    def _traffic_of(self, subject: Subject) -> Traffic:
        traffic = self._traffic.get(subject)
        if traffic is None:
            if len(self._traffic) >= 2 * _TRACKED_ARRAYS:
                self._forget_idle()
            traffic = self._traffic[subject] = Traffic()
        return traffic

    def _forget_idle(self) -> None:
        # halving at twice the bound keeps the cost of a new array small on average
        busiest = sorted(self._traffic.items(), key=lambda item: item[1].nbytes, reverse=True)
        self._traffic = dict(busiest[: _TRACKED_ARRAYS - 1])
        others = self._traffic.setdefault(Subject(OTHERS, OTHERS, OTHERS), Traffic())
        for _, traffic in busiest[_TRACKED_ARRAYS - 1 :]:
            if traffic is not others:
                others.merge(traffic)


_alive: WeakSet[Aggregator] = WeakSet()


def _after_fork() -> None:
    # the lock may have been held, with totals half added: a forked child counts its own work
    for aggregator in _alive:
        aggregator.restart()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
