"""What a store is: keys to bytes, synchronous, safe to use from many threads.

Absent is `None`; everything else that goes wrong is a `StoreError`. A store never turns a
failure into an absence. Keys are `/`-separated, never start or end with `/`, and hold no empty,
`.` or `..` part (`check_key`). Prefixes are keys too, `""` for the root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, runtime_checkable

from zlab.errors import StoreError

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


class Listing(NamedTuple):
    """One level below a prefix: full keys and full prefixes (no trailing `/`), both sorted."""

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


def check_key(key: str, store: str) -> str:
    """Returns the key, or raises `StoreError` where it could leave the store or name nothing."""
    if (
        not key
        or "\0" in key
        or "\\" in key
        or any(part in ("", ".", "..") for part in key.split("/"))
    ):
        raise StoreError(
            "not a valid key",
            store=store,
            key=key,
            hint="Keys are parts joined by '/', without '..', '.', empty parts or NUL",
        )
    return key
