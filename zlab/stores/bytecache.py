"""Where bytes of a store are kept: what a cache is, and the one in memory.

A cache keeps, of one object, the whole or some ranges, each with the tag of the version that it was
read of and the time at which the store last said so. Whether that is still to be believed is for
`zlab.stores.cached` to decide.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, Protocol, final

from zlab.stores.base import Suffix

if TYPE_CHECKING:
    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange

WHOLE = "all"


class Place(NamedTuple):
    """What of which object: both can be the name of a file, and tell nothing of URL and key.

    Attributes:
        object: Digest of the store's identity and of the key.
        part: `"all"`, `"start+nbytes"` or `"-nbytes"`.
    """

    object: str
    part: str


class Kept(NamedTuple):
    """What a cache has.

    Attributes:
        data: The bytes.
        tag: Of the version that they are of; `None` where the store told none.
        checked: When the store said so, in seconds of `time.time`.
    """

    data: Buffer
    tag: str | None
    checked: float


@dataclass(frozen=True, slots=True)
class ByteCacheInfo:
    """What a cache holds, and what it has done in this process.

    Attributes:
        entries: Objects and ranges that are held now.
        nbytes: Bytes that they take.
        max_nbytes: The bound.
        evictions: Entries that were dropped to keep it.
        failures: Entries that could not be kept, as on a disk that is full, or were found broken.
    """

    entries: int
    nbytes: int
    max_nbytes: int
    evictions: int
    failures: int


class ByteCache(Protocol):
    """Bytes by their place, least recently used ones dropped. Threads may share one.

    Nothing that goes wrong in a cache is an error: it then has nothing.
    """

    def get(self, place: Place, within: ByteRange | None = None) -> Kept | None:
        """What is kept, or a range of it; `None` where there is none, or no such range."""
        ...

    def put(self, place: Place, data: Buffer, tag: str | None) -> None:
        """Keeps bytes, in place of those that are there."""
        ...

    def check(self, place: Place) -> None:
        """Notes that the store has said now that what is kept is its present version."""
        ...

    def drop(self, place: str) -> None:
        """Forgets all parts of an object."""
        ...

    def clear(self) -> None:
        """Forgets everything."""
        ...

    def info(self) -> ByteCacheInfo:
        """What it holds."""
        ...


def object_of(identity: str, key: str) -> str:
    """The digest of an object's name, which itself may be nobody else's business.

    Args:
        identity: Of the store.
        key: Of the object.
    """
    return blake2b(
        f"{identity}\0{key}".encode("utf-8", "surrogatepass"), digest_size=16
    ).hexdigest()


def part_of(byte_range: ByteRange | None) -> str:
    """The name of a part.

    Example:
        >>> from zlab.stores.base import Range
        >>> part_of(None), part_of(Range(100, 20)), part_of(Suffix(16))
        ('all', '100+20', '-16')
    """
    if byte_range is None:
        return WHOLE
    if isinstance(byte_range, Suffix):
        return f"-{byte_range.nbytes}"
    return f"{byte_range.start}+{byte_range.nbytes}"


def window_of(within: ByteRange | None, nbytes: int) -> tuple[int, int] | None:
    """Where a range starts and stops in so many bytes; `None` where they have no such range."""
    if within is None:
        return 0, nbytes
    if within.nbytes < 0:
        return None
    if isinstance(within, Suffix):
        return max(0, nbytes - within.nbytes), nbytes
    start, stop = within.start, within.start + within.nbytes
    return (start, stop) if start >= 0 and stop <= nbytes else None


def check_bound(max_nbytes: int) -> int:
    """A bound in bytes that is one.

    Raises:
        ValueError: It is not positive.
    """
    if max_nbytes < 1:
        msg = f"a cache needs room for at least one byte, not {max_nbytes}"
        raise ValueError(msg)
    return max_nbytes


@final
class MemoryCache:
    """Bytes in the memory of this process.

    A pickled copy is empty.

    Args:
        max_nbytes: Bytes that are held at most. What is larger by itself is not kept.

    Raises:
        ValueError: `max_nbytes` is not positive.

    Example:
        >>> from zlab.stores.base import Range
        >>> cache = MemoryCache(10)
        >>> a, b = Place("a", "all"), Place("b", "all")
        >>> cache.put(a, b"123456", "v1")
        >>> bytes(cache.get(a, Range(2, 3)).data), cache.get(b)
        (b'345', None)
        >>> cache.put(b, b"12345", "v1")
        >>> cache.get(a), cache.info().nbytes
        (None, 5)
    """

    def __init__(self, max_nbytes: int) -> None:
        self._max_nbytes = check_bound(max_nbytes)
        self._lock = threading.Lock()
        self._evictions = 0
        self._reset()

    def _reset(self) -> None:
        self._kept: OrderedDict[Place, Kept] = OrderedDict()
        self._parts: dict[str, set[str]] = {}
        self._nbytes = 0

    def __repr__(self) -> str:
        return f"MemoryCache({self._max_nbytes})"

    def __reduce__(self) -> tuple[object, ...]:
        return MemoryCache, (self._max_nbytes,)

    def get(self, place: Place, within: ByteRange | None = None) -> Kept | None:
        """As `ByteCache.get`."""
        with self._lock:
            kept = self._kept.get(place)
            if kept is None:
                return None
            self._kept.move_to_end(place)
        window = window_of(within, len(kept.data))
        if window is None:
            return None
        if within is None:
            return kept
        return kept._replace(data=memoryview(kept.data)[window[0] : window[1]])

    def put(self, place: Place, data: Buffer, tag: str | None) -> None:
        """As `ByteCache.put`; the bytes are copied where they could be changed."""
        if len(data) > self._max_nbytes:
            return
        # a view may hold much more memory than it shows
        kept = Kept(bytes(data), tag, time.time())
        with self._lock:
            self._remove(place)
            self._kept[place] = kept
            self._parts.setdefault(place.object, set()).add(place.part)
            self._nbytes += len(kept.data)
            while self._nbytes > self._max_nbytes:
                self._remove(next(iter(self._kept)))
                self._evictions += 1

    def check(self, place: Place) -> None:
        """As `ByteCache.check`."""
        with self._lock:
            kept = self._kept.get(place)
            if kept is not None:
                self._kept[place] = kept._replace(checked=time.time())

    def drop(self, place: str) -> None:
        """As `ByteCache.drop`."""
        with self._lock:
            for part in list(self._parts.get(place, ())):
                self._remove(Place(place, part))

    def clear(self) -> None:
        """As `ByteCache.clear`."""
        with self._lock:
            self._reset()

    def info(self) -> ByteCacheInfo:
        """As `ByteCache.info`."""
        with self._lock:
            return ByteCacheInfo(
                len(self._kept), self._nbytes, self._max_nbytes, self._evictions, 0
            )

    def _remove(self, place: Place) -> None:
        kept = self._kept.pop(place, None)
        if kept is None:
            return
        self._nbytes -= len(kept.data)
        parts = self._parts[place.object]
        parts.discard(place.part)
        if not parts:
            del self._parts[place.object]
