"""Objects in the memory of this process, or in any mapping of keys to bytes."""

from __future__ import annotations

import itertools
import threading
from collections.abc import MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zlab.errors import StoreError
from zlab.stores.base import Entry, Listing, check_key, check_prefix, check_writable, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange

_numbers = itertools.count(1)


class MemoryStore:
    """Objects in a dictionary.

    A pickled copy carries the objects and is a store of its own.

    Args:
        mapping: Keys to bytes, used as it is and not copied; a new dictionary by default. One
            that cannot be changed makes the store read-only.
        name: How messages and telemetry call it; a name that no other store of the process has
            by default.
        read_only: Refuse writes.

    Example:
        >>> store = MemoryStore(name="scratch")
        >>> store.put("a/c/0", b"bytes")
        >>> [entry.key for entry in store.list("a")]
        ['a/c/0']
    """

    local = True

    def __init__(
        self,
        mapping: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        read_only: bool = False,
    ) -> None:
        self.mapping: Mapping[str, Any] = {} if mapping is None else mapping
        self.name = name or f"memory:{next(_numbers)}"
        self.read_only = read_only or not isinstance(self.mapping, MutableMapping)
        self._named = name is not None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<MemoryStore {self.name!r}: {len(self.mapping)} objects>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemoryStore) and self.mapping is other.mapping

    def __hash__(self) -> int:
        return hash((MemoryStore, id(self.mapping)))

    def __reduce__(self) -> tuple[object, ...]:
        name = self.name if self._named else None
        return _rebuild, (self._copy(), name, self.read_only)

    def get(self, key: str, byte_range: ByteRange | None = None) -> Buffer | None:
        """The object's bytes, or those of a range; `None` only where the mapping has no such key.

        Raises:
            StoreError: The mapping failed, or the object has no such range.
        """
        check_key(key, self.name)
        try:
            value = self.mapping[key]
        except KeyError:
            return None
        except Exception as error:
            raise self._failure("the mapping failed", key) from error
        data = self._bytes(key, value)
        if byte_range is None:
            return data
        start, stop = span(byte_range, len(data), self.name, key)
        return data[start:stop]

    def put(self, key: str, value: Buffer) -> None:
        """Replaces the object; the bytes are copied where they could change.

        Raises:
            StoreError: The mapping failed.
            ReadOnlyError: The store was opened for reading.
        """
        check_key(key, self.name)
        with self._changing(key) as mapping:
            mapping[key] = bytes(value)

    def delete(self, key: str) -> None:
        """Removes the object; one that does not exist is no error.

        Raises:
            StoreError: The mapping failed.
            ReadOnlyError: The store was opened for reading.
        """
        check_key(key, self.name)
        with self._changing(key) as mapping:
            mapping.pop(key, None)

    def delete_prefix(self, prefix: str) -> None:
        """Removes every object below a prefix.

        Raises:
            StoreError: The mapping failed.
            ReadOnlyError: The store was opened for reading.
        """
        below = _below(check_prefix(prefix, self.name))
        with self._changing(prefix) as mapping:
            for key in [key for key in mapping if key.startswith(below)]:
                del mapping[key]

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects below a prefix, as they are at the time of the call.

        Raises:
            StoreError: The mapping failed.
        """
        below = _below(check_prefix(prefix, self.name))
        return iter(
            [
                Entry(key, len(self._bytes(key, value)))
                for key, value in self._copy().items()
                if key.startswith(below)
            ]
        )

    def list_dir(self, prefix: str = "") -> Listing:
        """One level below a prefix.

        Raises:
            StoreError: The mapping failed.
        """
        return one_level(self.list(prefix), prefix)

    def nbytes(self, key: str) -> int | None:
        """The object's size, or `None` where it does not exist.

        Raises:
            StoreError: The mapping failed.
        """
        data = self.get(key)
        return None if data is None else len(data)

    def version(self, key: str) -> object:
        """A hash of the object (Python keeps it with the bytes), or `None` where it has none."""
        with self._reporting(key):
            value = self.mapping.get(key)
        return (len(value), hash(value)) if isinstance(value, bytes) else None

    def _bytes(self, key: str, value: Any) -> Buffer:
        if isinstance(value, (bytes, bytearray)):
            return value
        try:
            return memoryview(value).cast("B")
        except TypeError as error:
            what = f"the mapping holds a {type(value).__name__} where bytes belong"
            raise self._failure(what, key) from error

    @contextmanager
    def _changing(self, key: str) -> Iterator[MutableMapping[str, Any]]:
        check_writable(self, key)
        if not isinstance(self.mapping, MutableMapping):  # `read_only` was set by hand
            raise self._failure("the mapping cannot be changed", key)
        with self._lock, self._reporting(key):
            yield self.mapping

    @contextmanager
    def _reporting(self, key: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise self._failure("the mapping failed", key) from error

    def _copy(self) -> dict[str, Any]:
        with self._lock, self._reporting(""):
            return dict(self.mapping)

    def _failure(self, what: str, key: str) -> StoreError:
        return StoreError(what, store=self.name, key=key)


def one_level(entries: Iterator[Entry], prefix: str) -> Listing:
    """What `list_dir` answers, from all objects below a prefix."""
    skip = len(_below(prefix))
    files: list[Entry] = []
    prefixes: set[str] = set()
    for entry in entries:
        end = entry.key.find("/", skip)
        if end < 0:
            files.append(entry)
        else:
            prefixes.add(entry.key[:end])
    return Listing(sorted(files), sorted(prefixes))


def _below(prefix: str) -> str:
    return f"{prefix}/" if prefix else ""


def _rebuild(mapping: dict[str, Any], name: str | None, read_only: bool) -> MemoryStore:  # noqa: FBT001 - called by pickle
    return MemoryStore(mapping, name=name, read_only=read_only)
