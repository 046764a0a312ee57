"""A store of zarr-python over any store of zlab's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from zarr.abc.store import (
    OffsetByteRequest,
    RangeByteRequest,
    SuffixByteRequest,
)
from zarr.abc.store import Store as AbstractStore
from zarr.core.buffer import Buffer, default_buffer_prototype

from zlab.config import settings
from zlab.engine.cache import replacing
from zlab.engine.stamps import delete_below
from zlab.errors import StoreError
from zlab.stores.base import Range, Suffix
from zlab.stores.base import Store as ZlabStore
from zlab.zarr.buffers import bytes_of
from zlab.zarr.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import BufferPrototype

    from zlab.memory import Buffer as Bytes
    from zlab.stores.base import Entry, Listing

T = TypeVar("T")


class Store(AbstractStore):
    """A store of zarr-python that keeps its objects in a store of zlab's.

    What is local and quick is done at once; what may take long, listings and every request of a
    store that is not local, is done by threads, so that it holds up no event loop. The errors of
    zlab's store are raised as they are.

    Args:
        store: Any store of zlab's. Closing this one closes it.
        read_only: Refuse writes, also where the zlab store takes them.

    Raises:
        TypeError: It is not a store of zlab's.

    Example:
        >>> import zarr
        >>> from zlab.stores.memory import MemoryStore
        >>> array = zarr.create_array(Store(MemoryStore()), shape=(4,), chunks=(2,), dtype="int8")
        >>> array[:] = [1, 2, 3, 4]
        >>> int(array[2])
        3
    """

    supports_writes = True
    supports_deletes = True
    supports_listing = True

    def __init__(self, store: ZlabStore, *, read_only: bool = False) -> None:
        given: object = store
        if not isinstance(given, ZlabStore):
            msg = f"a store of zlab's is needed, not {type(given).__name__!r}"
            raise TypeError(msg)
        super().__init__(read_only=read_only or store.read_only)
        self.store = store

    def with_read_only(self, read_only: bool = False) -> Store:  # noqa: FBT001, FBT002  as zarr has it
        """The same store, with writes refused or not."""
        return type(self)(self.store, read_only=read_only)

    def __str__(self) -> str:
        return self.store.name

    def __repr__(self) -> str:
        return f"zlab.zarr.Store({self.store!r}{', read_only=True' if self.read_only else ''})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Store)
            and self.store == other.store
            and self.read_only == other.read_only
        )

    def __hash__(self) -> int:
        return hash((Store, self.store))

    def close(self) -> None:
        """Closes this store, and the zlab store where that has something to close."""
        super().close()
        close = getattr(self.store, "close", None)
        if close is not None:
            close()

    # -- without an event loop

    def get_sync(
        self,
        key: str,
        *,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """The object's bytes, or those of a range; `None` where there is no such key."""
        data = self._get(key, byte_range)
        if data is None:
            return None
        return (prototype or default_buffer_prototype()).buffer.from_bytes(data)

    def set_sync(self, key: str, value: Buffer) -> None:
        """Replaces the object."""
        self._check_writable()
        given: object = value
        if not isinstance(given, Buffer):
            msg = f"a value must be a Buffer of zarr-python, not {type(given).__name__!r}"
            raise TypeError(msg)
        with replacing(self.store, key):
            self.store.put(key, bytes_of(value))

    def delete_sync(self, key: str) -> None:
        """Removes the object; one that does not exist is no error."""
        self._check_writable()
        with replacing(self.store, key):
            self.store.delete(key)

    def _get(self, key: str, byte_range: object) -> Bytes | None:
        match byte_range:
            case None:
                return self.store.get(key)
            case RangeByteRequest(start, end):
                wanted = Range(start, end - start)
            case OffsetByteRequest(offset):
                wanted = Range(offset, -1)
            case SuffixByteRequest(suffix):
                return self.store.get(key, Suffix(suffix))
            case _:
                msg = f"Unexpected byte_range, got {byte_range!r}."
                raise ValueError(msg)
        if wanted.nbytes >= 0:
            try:
                return self.store.get(key, wanted)
            except StoreError:
                # zarr-python lets a range end behind the object; what is there is wanted then
                nbytes = self.store.nbytes(key)
                if nbytes is None or wanted.start + wanted.nbytes <= nbytes:
                    raise
        else:
            nbytes = self.store.nbytes(key)
            if nbytes is None:
                return None
        start = min(wanted.start, nbytes)
        return self.store.get(key, Range(start, nbytes - start))

    # -- with one

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """The object's bytes, or those of a range; `None` where there is no such key."""
        await self._ensure_open()
        return await self._quick(
            lambda: self.get_sync(key, prototype=prototype, byte_range=byte_range)
        )

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Several objects or ranges, in the order that they are asked for."""
        return await asyncio.gather(
            *(self.get(key, prototype, byte_range) for key, byte_range in key_ranges)
        )

    async def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        return await self._quick(lambda: self.store.nbytes(key)) is not None

    async def getsize(self, key: str) -> int:
        """The object's size; raises `FileNotFoundError` where it does not exist."""
        nbytes = await self._quick(lambda: self.store.nbytes(key))
        if nbytes is None:
            raise FileNotFoundError(key)
        return nbytes

    async def getsize_prefix(self, prefix: str) -> int:
        """The size of all objects below a prefix, from one listing."""
        return sum(entry.nbytes for entry in await self._entries(prefix))

    async def set(self, key: str, value: Buffer) -> None:
        """Replaces the object."""
        await self._ensure_open()
        await self._quick(lambda: self.set_sync(key, value))

    async def delete(self, key: str) -> None:
        """Removes the object; one that does not exist is no error."""
        await self._quick(lambda: self.delete_sync(key))

    async def delete_dir(self, prefix: str) -> None:
        """Removes every object below a prefix."""
        self._check_writable()
        await _in_thread(lambda: self._delete_below(prefix.rstrip("/")))

    def _delete_below(self, prefix: str) -> None:
        delete_below(self.store, prefix)

    async def list(self) -> AsyncIterator[str]:
        """All keys."""
        for entry in await self._entries(""):
            yield entry.key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """All keys below a prefix."""
        for entry in await self._entries(prefix):
            yield entry.key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """The names of what is one level below a prefix."""
        where = prefix.rstrip("/")
        listing: Listing = await _in_thread(lambda: self.store.list_dir(where))
        for key in [*(entry.key for entry in listing.entries), *listing.prefixes]:
            yield key.rpartition("/")[2]

    async def _entries(self, prefix: str) -> Sequence[Entry]:
        where = prefix.rstrip("/")
        return await _in_thread(lambda: [*self.store.list(where)])

    async def _quick(self, call: Callable[[], T]) -> T:
        return call() if self.store.local else await _in_thread(call)


_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def _in_thread(call: Callable[[], T]) -> T:
    """Has one of the engine's threads make a call; so many at once as requests may be in flight."""
    loop = asyncio.get_running_loop()
    slots = _slots.get(loop)
    if slots is None:
        slots = _slots[loop] = asyncio.Semaphore(settings.fetch_concurrency)
    async with slots:
        return await in_thread(call)
