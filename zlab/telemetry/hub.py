"""Where facts are handed in, and from where they go to whoever listens.

The reader and the writer of chunks look at one attribute, `hub.watches_chunks`, and do nothing
more while it is false. When it is true they hand in one `ChunkRun` for many chunks:

```python
watched = hub.watches_chunks
if watched:
    hub.started(len(jobs))
...
if watched:
    hub.record(ChunkRun(...))
```

Whoever listens is called in the thread where it happened, must be quick, and cannot change what
the caller gets: what a listener raises is logged once, and the work goes on.

Events that happen now and then are made for those who want them:

```python
if hub.wants(RangeRead):
    hub.emit(RangeRead(...))
```
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Self, TypeVar

from zlab.telemetry.events import (
    EVENT_TYPES,
    TOLD_AGAIN,
    TOLD_BY_CACHES,
    TOLD_BY_CHUNKS,
    CacheRun,
    ChunkFailed,
    ChunkRun,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from zlab.telemetry.events import Event, Run

E = TypeVar("E", bound="Event")

_log = logging.getLogger("zlab.telemetry")


class Subscription:
    """A listener's place at the hub, until it is closed.

    Example:
        >>> seen = []
        >>> with hub.subscribe("stream.*", seen.append):
        ...     pass
    """

    __slots__ = ("_hub", "_reported", "closed", "listener", "types")

    def __init__(
        self, hub: Hub, types: tuple[type[Event], ...], listener: Callable[[Any], object]
    ) -> None:
        self._hub = hub
        self._reported = False
        self.types = types
        self.listener = listener
        self.closed = False

    def close(self) -> None:
        """Ends it; a second call does nothing."""
        self._hub.unsubscribe(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        names = ", ".join(kind.name for kind in self.types)
        state = ", closed" if self.closed else ""
        return f"<Subscription of {_name_of(self.listener)} to {names}{state}>"

    def deliver(self, event: Event) -> None:
        """Calls the listener; an exception of its is logged the first time, and goes no further."""
        if self.closed:
            return
        try:
            self.listener(event)
        except Exception:  # noqa: BLE001 - whatever it is, it must not reach the reader of chunks
            if not self._reported:
                self._reported = True
                _log.exception(
                    "the telemetry listener %s failed on %s; it stays subscribed, and further "
                    "failures of it are not reported",
                    _name_of(self.listener),
                    type(event).name,
                )


class Hub:
    """The one place of a process through which telemetry goes.

    Attributes:
        active: Somebody listens. While it is false, hand in nothing.
        watches_chunks: Somebody listens to what a `ChunkRun` or a `ChunkFailed` tells.
        watches_caches: Somebody listens to what a `CacheRun` tells.
    """

    def __init__(self) -> None:
        self.active = self.watches_chunks = self.watches_caches = self._tells_single = False
        self._lock = threading.Lock()
        self._in_flight = 0
        self._streams = itertools.count(1)
        # replaced as a whole under the lock, read without it
        self._listeners: dict[type[Event], tuple[Subscription, ...]] = {}

    @property
    def in_flight(self) -> int:
        """Chunks that were started and neither recorded, failed nor abandoned yet."""
        return self._in_flight

    def started(self, nchunks: int) -> None:
        """Work on this many chunks begins."""
        with self._lock:
            self._in_flight += nchunks

    def abandoned(self, nchunks: int) -> None:
        """So many chunks that were started will be neither recorded nor reported as failed."""
        with self._lock:
            # work that began before anybody listened ends uncounted
            self._in_flight = max(0, self._in_flight - nchunks)

    def wants(self, *kinds: type[Event]) -> bool:
        """Whether somebody listens to one of these types: else the event need not be made.

        Example:
            >>> from zlab.telemetry.events import StreamProgress
            >>> Hub().wants(StreamProgress)
            False
        """
        return self.active and any(self._listeners.get(kind) for kind in kinds)

    def record(self, run: Run) -> None:
        """Hands in a run; chunks that were read or written are no longer in flight."""
        if type(run) is ChunkRun:
            self.abandoned(len(run.coords))
        listeners = self._listeners
        for subscription in listeners.get(type(run), ()):
            subscription.deliver(run)
        if not self._tells_single:
            return
        for kind in run.single:
            single = listeners.get(kind)
            if single:
                for event in run.told_as(kind):
                    for subscription in single:
                        subscription.deliver(event)

    def emit(self, event: Event) -> None:
        """Hands in one event; a chunk that failed is no longer in flight."""
        if isinstance(event, ChunkRun | CacheRun):
            self.record(event)
            return
        if type(event) is ChunkFailed:
            self.abandoned(1)
        for subscription in self._listeners.get(type(event), ()):
            subscription.deliver(event)

    def new_stream(self) -> int:
        """A number for a stream that no other stream of the process has."""
        return next(self._streams)

    def subscribe(self, what: str | type[E], listener: Callable[[E], object]) -> Subscription:
        """Calls `listener` with each event of a kind, in the thread where it happens.

        Args:
            what: An event type, or a pattern over their names such as `"chunk.*"` or `"*"`.
                Those that tell once more what others tell (`chunk.run`, `cache.run`,
                `chunk.fetch`, `chunk.decode`, `chunk.encode`, `chunk.store`) are matched by no
                wildcard: ask for them by their name or their type.
            listener: Takes the event. What it returns is ignored; what it raises is logged once.

        Returns:
            The subscription: close it, or use it in a `with` block.

        Raises:
            TypeError: The listener cannot be called.
            ValueError: There is no such event.
        """
        _check_callable(listener)
        if isinstance(what, str):
            types = tuple(
                kind
                for kind in EVENT_TYPES
                if kind.name == what or (kind not in TOLD_AGAIN and fnmatchcase(kind.name, what))
            )
        else:
            types = tuple(kind for kind in EVENT_TYPES if kind is what)
        if not types:
            names = ", ".join(kind.name for kind in EVENT_TYPES)
            msg = f"no event is called {what!r}; there are {names}"
            raise ValueError(msg)
        subscription = Subscription(self, types, listener)
        with self._lock:
            if not self.active:
                self._in_flight = 0
            self._replace_listeners(
                {
                    kind: (
                        *self._listeners.get(kind, ()),
                        *((subscription,) if kind in types else ()),
                    )
                    for kind in EVENT_TYPES
                }
            )
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Ends a subscription; `subscription.close()` calls this."""
        with self._lock:
            subscription.closed = True
            self._replace_listeners(
                {
                    kind: tuple(other for other in listeners if other is not subscription)
                    for kind, listeners in self._listeners.items()
                }
            )

    def _replace_listeners(self, listeners: dict[type[Event], tuple[Subscription, ...]]) -> None:
        self._listeners = listeners
        self._tells_single = any(
            listeners[kind]
            for kind in (*TOLD_BY_CHUNKS, *TOLD_BY_CACHES)
            if kind not in (ChunkRun, CacheRun)
        )
        self.watches_chunks = any(listeners[kind] for kind in (ChunkFailed, *TOLD_BY_CHUNKS))
        self.watches_caches = any(listeners[kind] for kind in TOLD_BY_CACHES)
        self.active = any(listeners.values())

    def after_fork(self) -> None:
        """Makes the hub usable in a forked child; called there by itself."""
        # another thread of the parent may have held the lock; the child has none of its work
        self._lock = threading.Lock()
        self._in_flight = 0


def _check_callable(listener: object) -> None:
    if not callable(listener):
        msg = f"a listener is a function of an event, not {listener!r:.80}"
        raise TypeError(msg)


def _name_of(listener: object) -> str:
    module = getattr(listener, "__module__", None)
    name = getattr(listener, "__qualname__", None) or repr(listener)
    return f"{module}.{name}" if module else name


hub = Hub()

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=hub.after_fork)
