"""Facts about what zlab did: events for those who subscribe, totals for plots.

Nothing is measured until somebody asks, and who watches never changes what is read.

Example:
    >>> import zlab.telemetry
    >>> with zlab.telemetry.capture("chunk.*") as captured:
    ...     pass  # read something
    >>> sum(event.nbytes for event in captured.events)
    0
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from zlab.telemetry.aggregate import Aggregator, ArrayTraffic, Snapshot, Totals
from zlab.telemetry.events import (
    ArrayCreate,
    ArrayOpen,
    ArrayRead,
    ArrayWrite,
    CacheEvict,
    CacheHit,
    CacheMiss,
    CacheRun,
    ChunkDecode,
    ChunkEncode,
    ChunkFailed,
    ChunkFetch,
    ChunkRead,
    ChunkRun,
    ChunkStore,
    ChunkWrite,
    EventInfo,
    FieldInfo,
    ItemFailed,
    ItemRetry,
    PipelineStart,
    PipelineStop,
    RangeRead,
    ShardIndexRead,
    StageProgress,
    StoreCached,
    StoreHedge,
    StoreRetry,
    StreamProgress,
    StreamStart,
    StreamStop,
    WorkerReplaced,
    event_types,
)
from zlab.telemetry.exposition import exposition
from zlab.telemetry.hub import Subscription
from zlab.telemetry.hub import hub as _hub
from zlab.telemetry.progress import ProgressBar, show_progress
from zlab.telemetry.report import Summary, SummaryLine, summarize
from zlab.telemetry.table import live_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zlab.telemetry.events import Event
    from zlab.telemetry.quantiles import Quantiles
    from zlab.telemetry.tracing import ChunkTrace, Origin, Trace

__all__ = [
    "ArrayCreate",
    "ArrayOpen",
    "ArrayRead",
    "ArrayTraffic",
    "ArrayWrite",
    "CacheEvict",
    "CacheHit",
    "CacheMiss",
    "CacheRun",
    "Captured",
    "ChunkDecode",
    "ChunkEncode",
    "ChunkFailed",
    "ChunkFetch",
    "ChunkRead",
    "ChunkRun",
    "ChunkStore",
    "ChunkTrace",
    "ChunkWrite",
    "EventInfo",
    "FieldInfo",
    "ItemFailed",
    "ItemRetry",
    "Measured",
    "Origin",
    "PipelineStart",
    "PipelineStop",
    "ProgressBar",
    "Quantiles",
    "RangeRead",
    "ShardIndexRead",
    "Snapshot",
    "StageProgress",
    "StoreCached",
    "StoreHedge",
    "StoreRetry",
    "StreamProgress",
    "StreamStart",
    "StreamStop",
    "Subscription",
    "Summary",
    "SummaryLine",
    "Totals",
    "Trace",
    "WorkerReplaced",
    "capture",
    "disable",
    "enable",
    "event_types",
    "live_table",
    "log",
    "measure",
    "prometheus",
    "show_progress",
    "snapshot",
    "subscribe",
    "summary",
    "trace",
]

E = TypeVar("E", bound="Event")

# these load NumPy
_HOMES = {
    "ChunkTrace": "zlab.telemetry.tracing",
    "Origin": "zlab.telemetry.tracing",
    "Quantiles": "zlab.telemetry.quantiles",
    "Trace": "zlab.telemetry.tracing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'zlab.telemetry' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_HOMES[name]), name)


_switch = threading.Lock()
_aggregator: Aggregator | None = None


def subscribe(what: str | type[E], listener: Callable[[E], object]) -> Subscription:
    """Calls `listener` with each event of a kind, in the thread where it happens.

    Args:
        what: An event type, or a pattern over the names that `event_types` lists, such as
            `"chunk.*"` or `"*"`. Some types tell once more what others tell, such as
            `"chunk.run"` and `"chunk.decode"`: no pattern matches them, only their whole name.
        listener: Takes the event. It must be quick; what it raises is logged once.

    Returns:
        The subscription: close it, or use it in a `with` block.

    Raises:
        TypeError: The listener cannot be called.
        ValueError: There is no such event.

    Example:
        >>> import zlab.telemetry
        >>> with zlab.telemetry.subscribe("stream.stop", print):
        ...     pass
    """
    return _hub.subscribe(what, listener)


class Captured:
    """The events that happened inside a `capture()` block."""

    def __init__(self, limit: int | None) -> None:
        self._lock = threading.Lock()
        self._events: deque[Any] = deque(maxlen=limit)
        self._seen = 0

    @property
    def events(self) -> list[Any]:
        """The events, oldest first; with a limit, the latest of them."""
        with self._lock:
            return list(self._events)

    @property
    def dropped(self) -> int:
        """Events that the limit pushed out."""
        with self._lock:
            return self._seen - len(self._events)

    def __repr__(self) -> str:
        return f"<Captured: {len(self.events)} events, {self.dropped} dropped>"

    def append(self, event: Event) -> None:
        """Takes an event."""
        with self._lock:
            self._events.append(event)
            self._seen += 1


@contextmanager
def capture(what: str | type[Event] = "*", *, limit: int | None = None) -> Iterator[Captured]:
    """Collects the events of all threads that happen inside a `with` block.

    Args:
        what: An event type or a pattern, as for `subscribe`.
        limit: Events that are kept at most, the latest; `None` keeps all.

    Raises:
        ValueError: There is no such event.

    Example:
        >>> import zlab.telemetry
        >>> with zlab.telemetry.capture(limit=1000) as captured:
        ...     pass  # read something
        >>> captured.events
        []
    """
    captured = Captured(limit)
    with _hub.subscribe(what, captured.append):
        yield captured


def enable() -> None:
    """Starts counting for `snapshot`; does nothing where it counts already.

    In a Jupyter kernel `import zlab` does this.
    """
    global _aggregator  # noqa: PLW0603 - the process has one
    with _switch:
        if _aggregator is None:
            _aggregator = Aggregator(_hub)


def disable() -> None:
    """Stops counting and forgets the totals."""
    global _aggregator  # noqa: PLW0603 - the process has one
    with _switch:
        if _aggregator is not None:
            _aggregator.close()
            _aggregator = None


def summary() -> Summary:
    """Rates, and quantiles for each store, codec and array, since counting began.

    Where nothing counts yet, counting begins with this call.

    Example:
        >>> import numpy as np, zlab
        >>> with zlab.telemetry.measure() as measured:
        ...     _ = zlab.create_array({}, data=np.arange(1, 9), chunks=4)[:6]
        >>> summary = measured.summary()
        >>> summary.totals.chunks_read, summary.codecs[0].name, summary.arrays[0].fetch.count
        (2, 'bytes zstd', 2)
    """
    enable()
    aggregator = _aggregator
    return summarize(Aggregator(_hub) if aggregator is None else aggregator)


class Measured:
    """What is counted inside a `measure()` block; it stays as it is when the block ends."""

    def __init__(self, aggregator: Aggregator) -> None:
        self._aggregator = aggregator
        self._summary: Summary | None = None

    def summary(self) -> Summary:
        """Rates, and quantiles for each store, codec and array, of the block so far."""
        return self._summary or summarize(self._aggregator)

    def close(self) -> None:
        """Ends it."""
        self._aggregator.close()
        self._summary = summarize(self._aggregator)


@contextmanager
def measure() -> Iterator[Measured]:
    """Counts what happens inside a `with` block, in all threads.

    Example:
        >>> import zlab.telemetry
        >>> with zlab.telemetry.measure() as measured:
        ...     pass  # read something
        >>> print(measured.summary())  # doctest: +SKIP
    """
    measured = Measured(Aggregator(_hub))
    try:
        yield measured
    finally:
        measured.close()


def prometheus() -> str:
    """What was counted since counting began, in the text form that Prometheus reads.

    Where nothing counts yet, counting begins with this call.

    Example:
        >>> import zlab.telemetry
        >>> "zlab_cache_hits_total 0" in zlab.telemetry.prometheus()  # doctest: +SKIP
        True
    """
    enable()
    aggregator = _aggregator
    return exposition(Aggregator(_hub) if aggregator is None else aggregator)


def log(
    what: str | type[Event] = "*",
    *,
    logger: str | logging.Logger = "zlab.telemetry",
    level: int = logging.DEBUG,
) -> Subscription:
    """Hands events to `logging`: the name and the fields as a text, the event as `record.event`.

    Args:
        what: An event type or a pattern, as for `subscribe`.
        logger: Which logger, or its name.
        level: At which level; those that tell of a failure are warnings at least.

    Returns:
        The subscription: close it, or use it in a `with` block.

    Raises:
        ValueError: There is no such event.

    Example:
        >>> import zlab.telemetry
        >>> with zlab.telemetry.log("stream.*"):
        ...     pass  # stream something
    """
    target = logging.getLogger(logger) if isinstance(logger, str) else logger

    def listen(event: Event) -> None:
        failed = getattr(event, "error", None) is not None
        at = max(level, logging.WARNING) if failed else level
        if target.isEnabledFor(at):
            target.log(at, "%s %s", event.name, event, extra={"event": event})

    return _hub.subscribe(what, listen)


def trace(limit: int = 10_000_000) -> Trace:
    """Keeps which chunks are read and written, when, for how long and from where, as arrays.

    Args:
        limit: Chunks that are kept at most, the latest; 10^7 take 410 MB for an array of two axes.

    Returns:
        A context that keeps them while it lasts; `of(array)` gives the arrays.

    Raises:
        ValueError: `limit` is less than 1.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(1, 9), chunks=2)
        >>> with zlab.telemetry.trace() as trace:
        ...     _ = array[3:7]
        >>> rows = trace.of(array)
        >>> rows.coords.tolist(), rows.count(array.chunk_grid_shape).tolist()
        ([[1], [2], [3]], [0, 1, 1, 1])
    """
    from zlab.telemetry.tracing import Trace  # noqa: PLC0415  NumPy loads with the first use of it

    return Trace(_hub, limit)


def snapshot() -> Snapshot:
    """The totals since counting began, at a cost that does not depend on how much was read.

    Where nothing counts yet, counting begins with this call, and the totals are zero.

    Example:
        >>> import zlab.telemetry
        >>> before = zlab.telemetry.snapshot()
        >>> after = zlab.telemetry.snapshot()
        >>> after.totals.chunks_read - before.totals.chunks_read
        0
    """
    enable()
    aggregator = _aggregator
    # another thread may have called `disable` in between
    return Aggregator(_hub).snapshot() if aggregator is None else aggregator.snapshot()
