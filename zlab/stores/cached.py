"""A store whose bytes are kept, in memory or on a disk, and read from there while they are current.

What tells that they are is the version of the object. Where the store knows it without a request,
it is compared. Else the store is asked for the object *unless* it is still that version, which
costs the request and not the bytes; or, within an age that the user sets, not asked at all.

Within an age all parts of an object are taken to be of one version. One that comes with another tag
changes what `version` says, by which the engine knows that an index and a chunk do not belong
together, and reads both again. Metadata documents are never kept: what an array is, is always what
is stored.

Source: RFC 9110, sections 8.8.3 (`ETag`) and 13.1.2 (`If-None-Match`).
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeAlias, final
from uuid import uuid4
from weakref import WeakValueDictionary

from zlab.stores.base import Noticed, Tagged, close
from zlab.stores.bytecache import WHOLE, MemoryCache, Place, check_bound, object_of, part_of
from zlab.stores.diskcache import DISK_NBYTES, DiskCache
from zlab.telemetry.events import StoreCached
from zlab.telemetry.hub import hub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange, Entry, Listing, Store
    from zlab.stores.bytecache import ByteCache, ByteCacheInfo, Kept

Outcome: TypeAlias = Literal["hit", "unchanged", "miss"]

_DOCUMENTS = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
_SEEN = 1 << 16
_SLOTS = 1 << 10
_PROCESS = uuid4().hex


@dataclass(frozen=True, slots=True)
class CachedInfo:
    """What a cached store did so far.

    Attributes:
        hits: Reads that were answered without a request.
        unchanged: Reads for which the store was asked, and said that what is kept is current.
        misses: Reads whose bytes came from the store.
        cache: What is held.
    """

    hits: int
    unchanged: int
    misses: int
    cache: ByteCacheInfo


class _Seen(NamedTuple):
    """The version of an object that is believed to be the present one.

    Attributes:
        tag: Its tag.
        checked: When the store said so.
    """

    tag: str | None
    checked: float


@final
class CachedStore:
    """A store around a store that keeps what is read of its objects, wholes and ranges.

    What this process writes or deletes through it, or through another cached store of the same
    place, is forgotten at once.

    Args:
        store: The store.
        cache: Where the bytes are kept.
        age_s: For how many seconds they are believed without asking; `math.inf` for data that never
            change. Another process's writes are seen after that.

    Raises:
        ValueError: `age_s` is negative; or it is 0, and the store cannot be asked whether an object
            has changed.

    Example:
        >>> from zlab.stores.memory import MemoryStore
        >>> store = CachedStore(MemoryStore({"a": b"bytes"}), MemoryCache(1_000_000))
        >>> store.get("a"), store.get("a")
        (b'bytes', b'bytes')
        >>> store.info().hits, store.info().misses
        (1, 1)
    """

    def __init__(self, store: Store, cache: ByteCache, *, age_s: float = 0.0) -> None:
        _check_age(age_s)
        self._ask = getattr(store, "get_if_changed", None)
        if not age_s and not store.local and not getattr(store, "tells_tags", False):
            msg = f"{store.name} cannot be asked whether an object has changed: say for how long "
            raise ValueError(f"{msg}it is believed not to have, cache_age_s in storage_options")
        self.store = store
        self.cache = cache
        self.age_s = age_s
        self.name = store.name
        self.read_only = store.read_only
        self.local = store.local
        self.conditional: bool = getattr(store, "conditional", False)
        self.identity = _identity(store)
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._noticed: dict[str, Noticed] = {}
        self._counts: dict[Outcome, int] = {"hit": 0, "unchanged": 0, "miss": 0}
        self._lock = threading.Lock()
        self._pid = os.getpid()
        with _stores_lock:
            _stores[id(self)] = self

    def __repr__(self) -> str:
        return f"CachedStore({self.store!r}, {self.cache!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CachedStore) and self.store == other.store

    def __hash__(self) -> int:
        return hash(self.store)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.store, self.cache, self.age_s)

    def get(self, key: str, byte_range: ByteRange | None = None) -> Buffer | None:
        """As `Store.get`.

        Raises:
            StoreError: It cannot be read.
        """
        # in a forked child another thread may have left the locks shut
        if key.endswith(_DOCUMENTS) or self._pid != os.getpid():
            return self.store.get(key, byte_range)
        name = object_of(self.identity, key)
        place, kept = self._find(name, byte_range)
        known = self.store.version(key)
        if known is not None:
            return self._get_known(key, byte_range, known, place, kept)
        if kept is not None and self._believes(name, kept):
            return self._told("hit", key, kept.data)
        slot = hash(name) % _SLOTS
        mark = _marks[slot]
        tag = None if kept is None else kept.tag
        if self._ask is None:
            data = self.store.get(key, byte_range)
            found = None if data is None else Tagged(data, None)
        else:
            found = self._ask(key, byte_range, tag)
        if found is None:
            if kept is not None or name in self._seen:
                self._notice(name, None)
                self.forget(name)
            return None
        if found.data is None:
            assert kept is not None  # noqa: S101  only then there was a tag to compare with
            self.cache.check(place)
            self._see(name, found.tag)
            return self._told("unchanged", key, kept.data)
        self._notice(name, found.tag)
        if found.tag is not None or self.age_s:
            place = Place(name, part_of(byte_range))
            # what is being written now may be old before it is kept
            if _marks[slot] is mark:
                self.cache.put(place, found.data, found.tag)
                self._see(name, found.tag)
            if _marks[slot] is not mark:
                self.forget(name)
        return self._told("miss", key, found.data)

    def _find(self, name: str, byte_range: ByteRange | None) -> tuple[Place, Kept | None]:
        """What is kept: the range itself, or the whole object that has it."""
        place = Place(name, part_of(byte_range))
        kept = self.cache.get(place)
        if kept is None and byte_range is not None:
            whole = Place(name, WHOLE)
            kept = self.cache.get(whole, byte_range)
            if kept is not None:
                return whole, kept
        return place, kept

    def _get_known(
        self,
        key: str,
        byte_range: ByteRange | None,
        known: object,
        place: Place,
        kept: Kept | None,
    ) -> Buffer | None:
        """Of a store that knows an object's version without a request."""
        tag = repr(known)
        if kept is not None and kept.tag == tag:
            return self._told("hit", key, kept.data)
        data = self.store.get(key, byte_range)
        if data is None:
            return None
        if self.store.version(key) == known:
            self.cache.put(Place(place.object, part_of(byte_range)), data, tag)
        return self._told("miss", key, data)

    def _believes(self, name: str, kept: Kept) -> bool:
        """Whether what is kept is the present version without asking."""
        if not self.age_s:
            return False
        with self._lock:
            seen = self._seen.get(name)
        checked = kept.checked
        if seen is not None and self._is_young(seen.checked):
            if seen.tag != kept.tag:
                return False
            checked = max(checked, seen.checked)
        if not self._is_young(checked):
            return False
        self._see(name, kept.tag, checked)
        return True

    def _notice(self, name: str, tag: str | None) -> None:
        """Forgets an object that is now of another version than what was read of it before."""
        if not self.age_s:
            return
        with self._lock:
            seen = self._seen.get(name)
            if seen is None or seen.tag == tag:
                return
            self._noticed[name] = Noticed(self._noticed.get(name, Noticed(0)).times + 1)
        self.forget(name)

    def _is_young(self, checked: float) -> bool:
        return 0 <= time() - checked < self.age_s

    def _see(self, name: str, tag: str | None, checked: float | None = None) -> None:
        if not self.age_s:
            return
        with self._lock:
            self._seen[name] = _Seen(tag, time() if checked is None else checked)
            self._seen.move_to_end(name)
            if len(self._seen) > _SEEN:
                self._seen.popitem(last=False)

    def _told(self, outcome: Outcome, key: str, data: Buffer) -> Buffer:
        with self._lock:
            self._counts[outcome] += 1
        if hub.wants(StoreCached):
            hub.emit(StoreCached(self.name, key, outcome, len(data)))
        return data

    def info(self) -> CachedInfo:
        """What it did so far, and what its cache holds."""
        counts = self._counts
        return CachedInfo(counts["hit"], counts["unchanged"], counts["miss"], self.cache.info())

    def forget(self, name: str) -> None:
        """Forgets an object, by its digest."""
        with self._lock:
            self._seen.pop(name, None)
        self.cache.drop(name)

    def put(self, key: str, value: Buffer) -> None:
        """As `Store.put`."""
        with _writing(self.identity, key):
            self.store.put(key, value)

    def delete(self, key: str) -> None:
        """As `Store.delete`."""
        with _writing(self.identity, key):
            self.store.delete(key)

    def delete_prefix(self, prefix: str) -> None:
        """As `Store.delete_prefix`."""
        keys = [entry.key for entry in self.store.list(prefix)] if self.age_s else []
        try:
            self.store.delete_prefix(prefix)
        finally:
            _marks[:] = [object() for _ in _marks]
            for key in keys:
                _forget(self.identity, object_of(self.identity, key))

    def get_tagged(self, key: str) -> tuple[Buffer, str] | None:
        """As `RemoteStore.get_tagged`, always of the store."""
        inner: Any = self.store
        found: tuple[Buffer, str] | None = inner.get_tagged(key)
        return found

    def put_if(self, key: str, value: Buffer, tag: str | None) -> None:
        """As `RemoteStore.put_if`."""
        inner: Any = self.store
        with _writing(self.identity, key):
            inner.put_if(key, value, tag)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """As `Store.list`."""
        return self.store.list(prefix)

    def list_dir(self, prefix: str = "") -> Listing:
        """As `Store.list_dir`."""
        return self.store.list_dir(prefix)

    def list_versions(self, prefix: str = "") -> Iterator[tuple[str, object]]:
        """Keys below a prefix, each with its version; `None` where the store tells none."""
        tell = getattr(self.store, "list_versions", None)
        if tell is not None:
            yield from tell(prefix)
            return
        for entry in self.store.list(prefix):
            yield entry.key, self.store.version(entry.key)

    def nbytes(self, key: str) -> int | None:
        """As `Store.nbytes`."""
        return self.store.nbytes(key)

    def version(self, key: str) -> object:
        """As `Store.version`; of a store that knows none, whether a replacement was noticed."""
        known = self.store.version(key)
        if known is None and self._noticed:
            return self._noticed.get(object_of(self.identity, key))
        return known

    def close(self) -> None:
        """Closes the store, where it can be closed."""
        close(self.store)


class Caching(NamedTuple):
    """What a user says of a cache in `storage_options`.

    Attributes:
        directory: `cache_dir`; `None` for memory.
        max_nbytes: `cache_nbytes`.
        age_s: `cache_age_s`.
    """

    directory: str | None
    max_nbytes: int
    age_s: float

    @classmethod
    def take(cls, options: dict[str, Any]) -> Self | None:
        """Takes what is said of a cache out of the options; `None` where nothing is.

        Raises:
            TypeError: An option is not what its name says.
            ValueError: A number is out of range, or it is not said how large the cache may be.
        """
        directory = options.pop("cache_dir", None)
        nbytes = options.pop("cache_nbytes", None)
        age_s = options.pop("cache_age_s", None)
        if directory is None and nbytes is None:
            if age_s is not None:
                msg = "cache_age_s is of a cache: pass cache_dir, or cache_nbytes for one in memory"
                raise ValueError(msg)
            return None
        if directory is not None and not isinstance(directory, (str, os.PathLike)):
            msg = f"cache_dir must be a path, not {type(directory).__name__}"
            raise TypeError(msg)
        for name, value in (("cache_nbytes", nbytes), ("cache_age_s", age_s)):
            if isinstance(value, bool) or not isinstance(value, (int, float, type(None))):
                msg = f"{name} must be a number, not {type(value).__name__}"
                raise TypeError(msg)
        return cls(
            None if directory is None else os.fspath(directory),
            DISK_NBYTES if nbytes is None else check_bound(int(nbytes)),
            0.0 if age_s is None else _check_age(float(age_s)),
        )

    def around(self, store: Store) -> CachedStore:
        """The store with its cache.

        Raises:
            StoreError: There can be no such directory.
            ValueError: A number is out of range, or the store tells no versions.
        """
        cache: ByteCache
        if self.directory is None:
            cache = MemoryCache(self.max_nbytes)
        else:
            cache = DiskCache(self.directory, self.max_nbytes)
        return CachedStore(store, cache, age_s=self.age_s)


def _check_age(age_s: float) -> float:
    if not age_s >= 0:
        msg = f"the age of a cache must be a number of seconds, not {age_s!r}"
        raise ValueError(msg)
    return age_s


def _identity(store: Store) -> str:
    """What tells a store from every other one, of other processes too."""
    backend = getattr(store, "backend", None)
    place = getattr(backend, "place", "")
    process = _PROCESS if store.name.startswith("memory:") else ""
    return f"{place} {store.name} {process}"


# by identity: two that are equal keep bytes each for itself
_stores: WeakValueDictionary[int, CachedStore] = WeakValueDictionary()
_stores_lock = threading.Lock()
# replaced when an object of the slot begins and ends to be written
_marks: list[object] = [object() for _ in range(_SLOTS)]


@contextmanager
def _writing(identity: str, key: str) -> Iterator[None]:
    """A context in which an object is replaced or deleted; nobody has it afterwards."""
    name = object_of(identity, key)
    slot = hash(name) % _SLOTS
    _marks[slot] = object()
    try:
        yield
    finally:
        _marks[slot] = object()
        _forget(identity, name)


def _forget(identity: str, name: str) -> None:
    with _stores_lock:
        stores = tuple(_stores.values())
    for store in stores:
        if store.identity == identity:
            store.forget(name)


def _after_fork() -> None:
    global _stores_lock  # noqa: PLW0603  a thread that the child does not have may have held it
    _stores_lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def _rebuild(store: Store, cache: ByteCache, age_s: float) -> CachedStore:
    return CachedStore(store, cache, age_s=age_s)
