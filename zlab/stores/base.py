"""What a store is: keys to bytes, synchronous, safe to use from many threads.

Absent is `None`; everything else that goes wrong is a `StoreError`. A store never turns a
failure into an absence. Keys are `/`-separated, never start or end with `/`, and hold no empty,
`.` or `..` part (`check_key`). Prefixes are keys too, `""` for the root.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, runtime_checkable

from zlab.errors import ReadOnlyError, StoreError, StorePermissionError, StoreRangeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zlab.memory import Buffer


class Range(NamedTuple):
    """`nbytes` bytes from `start`."""

    start: int
    nbytes: int


class Suffix(NamedTuple):
    """The last `nbytes` bytes."""

    nbytes: int


ByteRange: TypeAlias = Range | Suffix


class Entry(NamedTuple):
    """An object in a listing."""

    key: str
    nbytes: int


class Tagged(NamedTuple):
    """What was read of an object, and of which version of it.

    Attributes:
        data: The bytes; `None` where they are those of the tag that was given.
        tag: Changes when the object is replaced, such as an ETag; `None` where none is told.
    """

    data: Buffer | None
    tag: str | None


class Noticed(NamedTuple):
    """A version of an object by hearsay: another process may have replaced it unseen.

    Attributes:
        times: How often it was noticed to have been replaced.
    """

    times: int


class Listing(NamedTuple):
    """One level below a prefix: full keys and full prefixes (no trailing `/`), both sorted.

    A storage that has directories may list one as a prefix although it is empty.
    """

    entries: list[Entry]
    prefixes: list[str]


@runtime_checkable
class Store(Protocol):
    """Keys to bytes.

    Attributes:
        name: Where it is, printable and without secrets; it identifies the store in messages,
            caches and telemetry.
        read_only: Writes raise `ReadOnlyError`.
        local: Answers come from memory or a local disk, so that the thread that decodes may
            wait for them; otherwise many requests are kept in flight by threads of their own.
    """

    name: str
    read_only: bool
    local: bool

    def get(self, key: str, byte_range: ByteRange | None = None) -> Buffer | None:
        """The object's bytes, or those of a range; `None` only where it does not exist.

        A range that ends behind the object raises `StoreError`; a suffix longer than the object
        returns all of it.
        """
        ...

    def put(self, key: str, value: Buffer) -> None:
        """Replaces the object as a whole: readers see the old bytes or the new, never a mixture."""
        ...

    def delete(self, key: str) -> None:
        """Removes the object; one that does not exist is no error."""
        ...

    def delete_prefix(self, prefix: str) -> None:
        """Removes every object below a prefix."""
        ...

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects below a prefix, at any depth, in no promised order."""
        ...

    def list_dir(self, prefix: str = "") -> Listing:
        """One level below a prefix."""
        ...

    def nbytes(self, key: str) -> int | None:
        """The object's size, or `None` where it does not exist."""
        ...

    def version(self, key: str) -> object:
        """Something that changes when the object is replaced, such as its time and size.

        `None` where the store cannot tell it without a request, or there is no object.
        """
        ...


def close(store: Store) -> None:
    """Closes a store that can be closed, such as an archive; others need not be.

    Raises:
        StoreError: What was written cannot be put in its place.
    """
    closing = getattr(store, "close", None)
    if closing is not None:
        closing()


def check_key(key: str, store: str) -> str:
    """Returns the key, or raises `StoreError` where it could leave the store or name nothing."""
    # this runs once a chunk: five scans in C cost a quarter of splitting into parts
    framed = f"/{key}/"
    if "//" in framed or "/../" in framed or "/./" in framed or "\0" in key or "\\" in key:
        raise StoreError(
            "not a valid key",
            store=store,
            key=key,
            hint="Keys are parts joined by '/', without '..', '.', empty parts, NUL or backslash",
        )
    return key


def check_prefix(prefix: str, store: str) -> str:
    """As `check_key`, for a prefix, which may be empty."""
    return check_key(prefix, store) if prefix else prefix


def check_writable(store: Store, key: str) -> None:
    """Raises `ReadOnlyError` where the store was opened for reading."""
    if store.read_only:
        raise ReadOnlyError(
            "the store is read-only",
            store=store.name,
            key=key,
            hint="Open it with mode 'r+' or 'a' to write",
        )


def span(byte_range: ByteRange | None, nbytes: int, store: str, key: str) -> tuple[int, int]:
    """Where a range starts and stops in an object of `nbytes` bytes.

    Raises:
        StoreError: It is negative or ends behind the object.
    """
    if byte_range is None:
        return 0, nbytes
    if isinstance(byte_range, Suffix):
        start, stop = max(0, nbytes - byte_range.nbytes), nbytes
    else:
        start, stop = byte_range.start, byte_range.start + byte_range.nbytes
    if byte_range.nbytes < 0 or start < 0 or stop > nbytes:
        raise bad_range(byte_range, store, key)
    return start, stop


def bad_range(byte_range: ByteRange, store: str, key: str) -> StoreRangeError:
    """The error for a range that an object does not have."""
    return StoreRangeError(
        f"the object has no bytes at {byte_range}",
        store=store,
        key=key,
        hint="It is shorter than expected: truncated, or replaced while it was read",
    )


_SECRETS = re.compile(r"(?<=://)[^/@\s]*@|\?[^\s'\")>]*")


def redact(text: str) -> str:
    """Without the user name and password, and the (perhaps signed) query, of each URL."""
    return _SECRETS.sub("", text)


_HINTS = {
    errno.ENOSPC: "The disk is full; what was there before is unchanged",
    errno.EDQUOT: "The disk quota is used up; what was there before is unchanged",
    errno.EFBIG: "The file is larger than allowed here; what was there before is unchanged",
    errno.EMFILE: "Too many open files; raise the limit (ulimit -n) or lower the concurrency",
    errno.ENAMETOOLONG: "The file system allows no name of this length",
    errno.EROFS: "The file system is mounted read-only",
}


def storage_error(error: OSError, what: str, store: str, key: str | None) -> StoreError:
    """The `StoreError` for a failure of the operating system; raise it `from error`.

    `errno` is kept. It never stands for an object that does not exist: look for that first.
    """
    kind = StorePermissionError if isinstance(error, PermissionError) else StoreError
    reason = error.strerror or type(error).__name__
    failure = kind(f"{what}: {reason}", store=store, key=key, hint=_HINTS.get(error.errno or 0))
    failure.errno = error.errno
    return failure
