"""Stores around a store: every call passes one place, where it can fail, wait or be counted."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from zlab.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange, Entry, Listing, Store

Operation: TypeAlias = Literal[
    "get", "put", "delete", "delete_prefix", "list", "list_dir", "nbytes"
]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a store.

    Attributes:
        operation: The method's name.
        key: The key or prefix.
        byte_range: What part of the object is asked for, `None` for all of it.
        value: What is to be put.
    """

    operation: Operation
    key: str
    byte_range: ByteRange | None = None
    value: Buffer = b""


class InterposedStore(ABC):
    """A store whose calls all pass through `around`.

    Args:
        store: Who does the work.
        local: What the `local` attribute says; the store's own by default.

    Example:
        >>> from zlab.stores.memory import MemoryStore
        >>> class ShoutingStore(InterposedStore):
        ...     def around(self, call, proceed):
        ...         print(call.operation.upper(), call.key)
        ...         return proceed(call)
        >>> ShoutingStore(MemoryStore()).get("a/c/0")
        GET a/c/0
    """

    def __init__(self, store: Store, *, local: bool | None = None) -> None:
        self.store = store
        self.name = store.name
        self.read_only = store.read_only
        self.local = store.local if local is None else local

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.store!r})"

    @abstractmethod
    def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """Does a call: `proceed(call)` asks the store inside, with this call or another."""

    def get(self, key: str, byte_range: ByteRange | None = None) -> Buffer | None:
        """As `Store.get`."""
        return self.around(  # type: ignore[no-any-return]
            Call("get", key, byte_range), lambda call: self.store.get(call.key, call.byte_range)
        )

    def put(self, key: str, value: Buffer) -> None:
        """As `Store.put`."""
        self.around(
            Call("put", key, value=value), lambda call: self.store.put(call.key, call.value)
        )

    def delete(self, key: str) -> None:
        """As `Store.delete`."""
        self.around(Call("delete", key), lambda call: self.store.delete(call.key))

    def delete_prefix(self, prefix: str) -> None:
        """As `Store.delete_prefix`."""
        self.around(Call("delete_prefix", prefix), lambda call: self.store.delete_prefix(call.key))

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """As `Store.list`, all at once."""
        return iter(self.around(Call("list", prefix), lambda call: [*self.store.list(call.key)]))

    def list_dir(self, prefix: str = "") -> Listing:
        """As `Store.list_dir`."""
        return self.around(  # type: ignore[no-any-return]
            Call("list_dir", prefix), lambda call: self.store.list_dir(call.key)
        )

    def nbytes(self, key: str) -> int | None:
        """As `Store.nbytes`."""
        return self.around(  # type: ignore[no-any-return]
            Call("nbytes", key), lambda call: self.store.nbytes(call.key)
        )

    def version(self, key: str) -> object:
        """As `Store.version`; it is no request and passes by."""
        return self.store.version(key)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and when.

    Without an effect it raises `StoreError`. The effects are done in the order of the attributes
    below, as far as they are given.

    Attributes:
        operation: The method that it happens to.
        key: A pattern of keys; `*` matches `/` too.
        nth: Only the matching call of this number, counted from 1; `None` for all.
        delay_s: Seconds to wait before anything else.
        truncate_to: Bytes that are left of what is read or put.
        corrupt_at: The byte, of what is read or put, whose bits are all turned over.
        error: What is raised, instead of the call or (`after`) when it is done.
        after: The call is done before `error` is raised: an acknowledgement that is lost.
    """

    operation: Operation = "get"
    key: str = "*"
    nth: int | None = None
    delay_s: float = 0.0
    truncate_to: int | None = None
    corrupt_at: int | None = None
    error: Exception | type[Exception] | None = None
    after: bool = False

    def spoil(self, data: Buffer) -> Buffer:
        """The bytes, with the part of the fault that changes bytes."""
        if self.truncate_to is not None:
            data = data[: self.truncate_to]
        if self.corrupt_at is not None:
            changed = bytearray(data)
            changed[self.corrupt_at] ^= 0xFF
            data = bytes(changed)
        return data

    def failure(self, call: Call, store: str) -> Exception | None:
        """What is to be raised, if anything."""
        if isinstance(self.error, type):
            return self.error("injected fault")
        if self.error is not None:
            return self.error
        if self.delay_s or self.truncate_to is not None or self.corrupt_at is not None:
            return None
        return StoreError("injected fault", store=store, key=call.key)


class FaultStore(InterposedStore):
    """A store where chosen calls go wrong.

    Args:
        store: Who does the work.
        faults: For each call the first that fits it.
        local: As for `InterposedStore`.

    Attributes:
        fired: The calls that went wrong, in order.

    Example:
        >>> from zlab.stores.memory import MemoryStore
        >>> inside = MemoryStore({"a/c/0": b"abc"})
        >>> store = FaultStore(inside, [Fault("get", "a/c/*", nth=2, truncate_to=1)])
        >>> store.get("a/c/0"), store.get("a/c/0"), store.get("a/c/0")
        (b'abc', b'a', b'abc')
    """

    def __init__(self, store: Store, faults: Iterable[Fault], *, local: bool | None = None) -> None:
        super().__init__(store, local=local)
        self.fired: list[Call] = []
        self._faults = tuple(faults)
        self._met = [0] * len(self._faults)
        self._lock = threading.Lock()

    def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """Does the call, or what a fault makes of it."""
        fault = self._fault_for(call)
        if fault is None:
            return proceed(call)
        time.sleep(fault.delay_s)
        failure = fault.failure(call, self.name)
        if failure is not None and not fault.after:
            raise failure
        answer = proceed(replace(call, value=fault.spoil(call.value)) if call.value else call)
        if failure is not None:
            raise failure
        if call.operation == "get" and answer is not None:
            return fault.spoil(answer)
        return answer

    def _fault_for(self, call: Call) -> Fault | None:
        with self._lock:
            for number, fault in enumerate(self._faults):
                if fault.operation == call.operation and fnmatchcase(call.key, fault.key):
                    self._met[number] += 1
                    if fault.nth in (None, self._met[number]):
                        self.fired.append(call)
                        return fault
        return None


class LatencyStore(InterposedStore):
    """A store that answers each call so many seconds later, as if it were far away.

    Args:
        store: Who does the work.
        seconds: For each call.
        nbytes_per_s: What one call transfers in a second, without limit by default.
        local: Not, so that the engine keeps many requests in flight.

    Example:
        >>> from zlab.stores.memory import MemoryStore
        >>> LatencyStore(MemoryStore({"a": b"abc"}), 0.001).get("a")
        b'abc'
    """

    def __init__(
        self,
        store: Store,
        seconds: float,
        *,
        nbytes_per_s: float = float("inf"),
        local: bool | None = False,
    ) -> None:
        super().__init__(store, local=local)
        self.seconds = seconds
        self.nbytes_per_s = nbytes_per_s

    def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """Waits, then does the call."""
        answer = proceed(call)
        nbytes = len(call.value)
        if call.operation == "get" and answer is not None:
            nbytes = len(answer)
        time.sleep(self.seconds + nbytes / self.nbytes_per_s)
        return answer


@dataclass(slots=True)
class Counts:
    """What was asked of a store.

    Attributes:
        gets: Gets of whole objects.
        ranges: Gets of a part.
        absent: Gets, of either kind, that found nothing.
        nbytes_read: Bytes that the gets brought.
        puts: Puts.
        nbytes_written: Their bytes.
        deletes: Deletes, of objects and prefixes.
        lists: Listings, of either kind.
        lookups: Questions for the size of an object.
        max_in_flight: Calls that were under way at one time, at most.
        keys: How often each key was got, whole or in part.
    """

    gets: int = 0
    ranges: int = 0
    absent: int = 0
    nbytes_read: int = 0
    puts: int = 0
    nbytes_written: int = 0
    deletes: int = 0
    lists: int = 0
    lookups: int = 0
    max_in_flight: int = 0
    keys: Counter[str] = field(default_factory=Counter)


_COUNTER_OF = {
    "put": "puts",
    "delete": "deletes",
    "delete_prefix": "deletes",
    "list": "lists",
    "list_dir": "lists",
    "nbytes": "lookups",
}


class CountingStore(InterposedStore):
    """A store that counts what it is asked.

    Attributes:
        counts: Since the store was made, or since `reset`.

    Example:
        >>> from zlab.stores.memory import MemoryStore
        >>> store = CountingStore(MemoryStore({"a/c/0": b"abc"}))
        >>> store.get("a/c/0"), store.get("a/c/1")
        (b'abc', None)
        >>> store.counts.gets, store.counts.absent, store.counts.nbytes_read
        (2, 1, 3)
    """

    def __init__(self, store: Store, *, local: bool | None = None) -> None:
        super().__init__(store, local=local)
        self.counts = Counts()
        self._in_flight = 0
        self._lock = threading.Lock()

    def reset(self) -> Counts:
        """Starts from zero; returns the counts until now."""
        with self._lock:
            counts, self.counts = self.counts, Counts()
        return counts

    def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """Counts the call, and does it."""
        with self._lock:
            self._in_flight += 1
            self.counts.max_in_flight = max(self.counts.max_in_flight, self._in_flight)
        answer = None
        try:
            answer = proceed(call)
        finally:
            with self._lock:
                self._in_flight -= 1
                self._count(call, answer)
        return answer

    def _count(self, call: Call, answer: Any) -> None:
        counts = self.counts
        if call.operation != "get":
            name = _COUNTER_OF[call.operation]
            setattr(counts, name, getattr(counts, name) + 1)
            counts.nbytes_written += len(call.value)
            return
        counts.keys[call.key] += 1
        if call.byte_range is None:
            counts.gets += 1
        else:
            counts.ranges += 1
        if answer is None:
            counts.absent += 1
        else:
            counts.nbytes_read += len(answer)
