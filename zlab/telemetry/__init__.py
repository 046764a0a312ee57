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
    StoreRetry,
    StreamProgress,
    StreamStart,
    StreamStop,
    WorkerReplaced,
    event_types,
)
from zlab.telemetry.hub import Subscription
from zlab.telemetry.hub import hub as _hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zlab.telemetry.events import Event

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
    "ChunkWrite",
    "EventInfo",
    "FieldInfo",
    "ItemFailed",
    "ItemRetry",
    "PipelineStart",
    "PipelineStop",
    "RangeRead",
    "ShardIndexRead",
    "Snapshot",
    "StageProgress",
    "StoreRetry",
    "StreamProgress",
    "StreamStart",
    "StreamStop",
    "Subscription",
    "Totals",
    "WorkerReplaced",
    "capture",
    "disable",
    "enable",
    "event_types",
    "snapshot",
    "subscribe",
]

E = TypeVar("E", bound="Event")

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
