"""What was decoded already: chunks and shard indices, in one LRU bounded in bytes.

An entry belongs to a stored object, and to the version of it that was read. It is valid as long as
the store says that the object is the same version; of a store that cannot tell without a request,
until this process writes, resizes or deletes.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from weakref import WeakSet

from zlab.engine.stamps import stamp, written
from zlab.telemetry.events import CacheEvict
from zlab.telemetry.hub import hub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from zlab.stores.base import Store

_Object: TypeAlias = "tuple[Store, str]"
Part: TypeAlias = "tuple[int, ...] | None"
"""An inner chunk's coordinates; `None` for the object itself, of a shard its index."""


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """What a cache did so far.

    Attributes:
        hits: Look-ups that found a valid entry.
        misses: Look-ups that did not.
        evictions: Entries that were dropped to keep the bound.
        nbytes: Bytes that are held now.
        max_nbytes: The bound.
    """

    hits: int
    misses: int
    evictions: int
    nbytes: int
    max_nbytes: int


class Entry(NamedTuple):
    """What is kept, and of which version of the object.

    Attributes:
        array: Decoded, not to be written.
        stamp: What `engine.stamps` said before the object was read.
        since: When it was kept, seconds of `time.monotonic`.
    """

    array: NDArray[Any]
    stamp: object
    since: float = 0.0


class Cache:
    """Decoded chunks, least recently used ones dropped. Handles and threads may share one.

    Args:
        max_nbytes: Bytes of decoded chunks and shard indices that are held at most. What is
            larger than that by itself is not kept.

    Raises:
        ValueError: `max_nbytes` is not positive.

    Example:
        >>> import numpy as np, zlab
        >>> store = zlab.create_array({}, data=np.arange(10), chunks=5).store
        >>> cache = zlab.Cache(1 << 20)
        >>> array = zlab.open_array(store, cache=cache)
        >>> _ = array[:5], array[2]
        >>> cache.info().hits, cache.info().misses
        (1, 1)
    """

    def __init__(self, max_nbytes: int) -> None:
        if max_nbytes < 1:
            msg = f"a cache needs room for at least one byte, not {max_nbytes}"
            raise ValueError(msg)
        self._max_nbytes = max_nbytes
        self._lock = threading.Lock()
        self._reset()
        self._hits = self._misses = self._evictions = 0

    def get(
        self, store: Store, key: str, part: Part = None, seen: object | None = None
    ) -> Entry | None:
        """A valid entry, `None` where there is none.

        Args:
            store: Where the object is.
            key: Its key.
            part: Which part of the object is wanted.
            seen: The object's stamp, from who has just taken it.
        """
        place = store, key, part
        entry = self._entries.get(place)
        if entry is None or entry.stamp != (stamp(store, key) if seen is None else seen):
            with self._lock:
                self._misses += 1
            return None
        with self._lock:
            # another thread may have dropped it meanwhile
            with suppress(KeyError):
                self._entries.move_to_end(place)
            self._hits += 1
        return entry

    def put(
        self, store: Store, key: str, array: NDArray[Any], seen: object, part: Part = None
    ) -> None:
        """Keeps an array, which nobody may write any more.

        Args:
            store: Where the object is.
            key: Its key.
            array: What was decoded.
            seen: The stamp that was taken before the object was read.
            part: Which part of the object it is.
        """
        if array.nbytes > self._max_nbytes:
            return
        array.flags.writeable = False
        # only a cache that holds something is told of writes
        with _caches_lock:
            _caches.add(self)
        evicted: list[CacheEvict] = []
        with self._lock:
            self._remove(store, key, part)
            self._entries[store, key, part] = Entry(array, seen, monotonic())
            self._parts.setdefault((store, key), set()).add(part)
            self._nbytes += array.nbytes
            while self._nbytes > self._max_nbytes:
                (home, name, piece), old = next(iter(self._entries.items()))
                self._remove(home, name, piece)
                self._evictions += 1
                evicted.append(CacheEvict(home.name, name, piece, old.array.nbytes, self._nbytes))
        # not under the lock: a listener may read
        for event in evicted:
            hub.emit(event)

    def drop(self, store: Store, key: str) -> None:
        """Forgets all parts of an object."""
        with self._lock:
            for part in list(self._parts.get((store, key), ())):
                self._remove(store, key, part)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._reset()

    def after_fork(self) -> None:
        """Forgets everything, in a child that a thread may have left the lock to."""
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._entries: OrderedDict[tuple[Store, str, Part], Entry] = OrderedDict()
        self._parts: dict[_Object, set[Part]] = {}
        self._nbytes = 0

    def info(self) -> CacheInfo:
        """What it did so far."""
        return CacheInfo(self._hits, self._misses, self._evictions, self._nbytes, self._max_nbytes)

    def _remove(self, store: Store, key: str, part: Part) -> None:
        entry = self._entries.pop((store, key, part), None)
        if entry is None:
            return
        self._nbytes -= entry.array.nbytes
        parts = self._parts[store, key]
        parts.discard(part)
        if not parts:
            del self._parts[store, key]

    def __repr__(self) -> str:
        return f"<zlab.Cache {self._nbytes} of {self._max_nbytes} bytes>"

    def __reduce__(self) -> tuple[object, ...]:
        # another process starts with an empty one
        return Cache, (self._max_nbytes,)


_caches: WeakSet[Cache] = WeakSet()
_caches_lock = threading.Lock()


@contextmanager
def replacing(store: Store, key: str) -> Iterator[None]:
    """A context in which an object is written or deleted: no cache has it afterwards."""
    try:
        with written(store, key):
            yield
    finally:
        with _caches_lock:
            caches = tuple(_caches)
        for cache in caches:
            cache.drop(store, key)


def _after_fork() -> None:
    global _caches_lock  # noqa: PLW0603  a thread that the child does not have may have held it
    _caches_lock = threading.Lock()
    for cache in _caches:
        cache.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
