"""A zlab store over a store of zarr-python.

What zlab has itself it uses itself: of a directory or an fsspec filesystem only the place is taken
over. Any other store is asked through its own methods: through its synchronous ones where it has
them, else on the event loop that zarr-python runs in a thread of its own, to which the clients of
such a store belong.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import zarr.storage
from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.abc.store import Store as AbstractStore
from zarr.buffer.cpu import Buffer as CpuBuffer
from zarr.buffer.cpu import buffer_prototype
from zarr.core.sync import _get_loop

from zlab.config import settings
from zlab.errors import StoreError, StoreNotFoundError, StorePermissionError
from zlab.stores.base import (
    Entry,
    Listing,
    Suffix,
    bad_range,
    check_key,
    check_prefix,
    check_writable,
    redact,
)
from zlab.stores.fsspec import FsspecStore, is_local
from zlab.stores.local import LocalStore
from zlab.stores.networks import under_policy
from zlab.zarr.buffers import bytes_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence

    from zarr.abc.store import ByteRequest

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange
    from zlab.stores.base import Store as ZlabStore

T = TypeVar("T")

_WAKE_S = 0.5  # a wait without a limit cannot be interrupted on Windows, nor see its loop end


def store_of(
    target: object, *, read_only: bool, create: bool = True
) -> tuple[ZlabStore, str] | None:
    """The zlab store for a store of zarr-python, and the path inside it.

    Args:
        target: A store, a `StorePath`, or a session of icechunk's.
        read_only: Refuse writes, also where the store takes them.
        create: A directory that is missing may be made.

    Returns:
        `None` where it is none of these.

    Raises:
        StoreNotFoundError: The directory does not exist.
    """
    path = ""
    if isinstance(target, zarr.storage.StorePath):
        path = target.path
        target = target.store
    elif not isinstance(target, AbstractStore):
        target = getattr(target, "store", None)  # icechunk's sessions have one
    if not isinstance(target, AbstractStore):
        return None
    read_only = read_only or target.read_only
    return native(target, read_only=read_only, create=create) or ZarrStore(
        target, read_only=read_only
    ), path


def native(store: AbstractStore, *, read_only: bool, create: bool = True) -> ZlabStore | None:
    """The store of zlab's own for the same place, `None` where it has none.

    A class that is derived from one of zarr-python's may do more than its base.
    """
    from zlab.zarr.store import Store  # noqa: PLC0415  the one module needs the other

    if type(store) is Store and store.read_only == store.store.read_only:
        return store.store
    if type(store) is zarr.storage.LocalStore:
        return LocalStore(store.root, read_only=read_only, create=create)
    if type(store) is zarr.storage.FsspecStore:
        fs = _synchronous(store.fs)
        if fs is not None and is_local(fs):
            return LocalStore(store.path, read_only=read_only, create=create)
        if fs is not None:
            return under_policy(FsspecStore(fs, store.path, read_only=read_only))
    return None


def _synchronous(fs: Any) -> Any:
    """The same filesystem for use from threads; the given one belongs to somebody's event loop."""
    if hasattr(fs, "sync_fs"):
        return fs.sync_fs
    if not fs.asynchronous:
        return fs
    try:
        return type(fs)(*fs.storage_args, **{**fs.storage_options, "asynchronous": False})
    except Exception:  # noqa: BLE001  whatever its class says about arguments
        return None


class ZarrStore:
    """Objects in a store of zarr-python.

    `zlab.open` and all that take a store make one of a zarr-python store by themselves.

    Args:
        store: Any implementation of `zarr.abc.store.Store`.
        read_only: Refuse writes.
        loop: The event loop that runs the store's coroutines, in another thread; zarr-python's
            own by default.

    Raises:
        TypeError: It is not a store of zarr-python.

    Example:
        >>> from zarr.storage import MemoryStore
        >>> store = ZarrStore(MemoryStore())
        >>> store.put("a/c/0", b"bytes")
        >>> bytes(store.get("a/c/0"))
        b'bytes'
    """

    def __init__(
        self,
        store: AbstractStore,
        *,
        read_only: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        given: object = store
        if not isinstance(given, AbstractStore):
            msg = f"a store of zarr-python is needed, not {type(given).__name__!r}"
            raise TypeError(msg)
        self.store = store
        self.read_only = read_only or store.read_only
        self.name = redact(" ".join(str(store).split()))
        self._has_sync = _is_synchronous(store)
        self.local = self._has_sync
        self._loop = loop
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"ZarrStore({self.name!r}{', read_only=True' if self.read_only else ''})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ZarrStore):
            return False
        mine, theirs = self.store, other.store
        if mine is theirs:
            return True
        if type(mine) is not type(theirs) or self.name != other.name:
            return False
        if isinstance(mine, zarr.storage.MemoryStore):
            return True  # the name says which dictionary; zarr-python would compare all the bytes
        return bool(mine == theirs)

    def __hash__(self) -> int:
        return hash((ZarrStore, self.name))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.store, self.read_only)

    def get(self, key: str, byte_range: ByteRange | None = None) -> Buffer | None:
        """The object's bytes, or those of a range; `None` only where the store has no such key.

        Raises:
            StoreError: The store failed, or the object has no such range.
        """
        check_key(key, self.name)
        if byte_range is None:
            return self._fetch(key, None)
        if byte_range.nbytes < 0 or (not isinstance(byte_range, Suffix) and byte_range.start < 0):
            raise bad_range(byte_range, self.name, key)
        if byte_range.nbytes == 0:
            return self._nothing(key, byte_range)
        if isinstance(byte_range, Suffix):
            data = self._fetch(key, SuffixByteRequest(byte_range.nbytes))
            if data is not None and len(data) < byte_range.nbytes:
                # what a suffix means that is longer than the object differs between stores
                data = self._fetch(key, None)
            return data if data is None else data[-byte_range.nbytes :]
        start, nbytes = byte_range
        data = self._fetch(key, RangeByteRequest(start, start + nbytes))
        if data is not None and len(data) < nbytes:
            raise bad_range(byte_range, self.name, key)
        return data if data is None else data[:nbytes]

    def put(self, key: str, value: Buffer) -> None:
        """Replaces the object; the bytes are copied where they could change.

        Raises:
            StoreError: The store failed.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, key)
        check_key(key, self.name)
        buffer = CpuBuffer.from_bytes(bytes(value))
        self._call(
            "the object cannot be written",
            key,
            lambda store: store.set(key, buffer),
            lambda store: store.set_sync(key, buffer),
        )

    def delete(self, key: str) -> None:
        """Removes the object; one that does not exist is no error.

        Raises:
            StoreError: The store failed, or cannot delete.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, key)
        check_key(key, self.name)
        # zarr-python's directories take the key of a directory for all that is below
        if not isinstance(self.store, zarr.storage.LocalStore) or self.nbytes(key) is not None:
            self._call(
                "the object cannot be deleted",
                key,
                lambda store: _delete(store, key),
                lambda store: store.delete_sync(key),
            )

    def delete_prefix(self, prefix: str) -> None:
        """Removes every object below a prefix.

        Raises:
            StoreError: The store failed, or cannot delete.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, prefix)
        check_prefix(prefix, self.name)
        self._call(
            "the objects cannot be deleted", prefix, lambda store: _delete_below(store, prefix)
        )

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects below a prefix; most of zarr-python's stores are asked for each one's size.

        Raises:
            StoreError: The store failed, or cannot list.
        """
        check_prefix(prefix, self.name)
        what = "the objects cannot be listed"
        return iter(self._call(what, prefix, lambda store: _entries_below(store, prefix)))

    def list_dir(self, prefix: str = "") -> Listing:
        """One level below a prefix.

        Raises:
            StoreError: The store failed, or cannot list.
        """
        check_prefix(prefix, self.name)
        what = "the objects cannot be listed"
        return self._call(what, prefix, lambda store: _one_level(store, prefix))

    def nbytes(self, key: str) -> int | None:
        """The object's size, or `None` where it does not exist.

        Raises:
            StoreError: The store failed.
        """
        check_key(key, self.name)
        return self._call("the object cannot be looked up", key, lambda store: _size(store, key))

    def version(self, key: str) -> object:
        """Of a store in memory the very object; else `None`: it takes a request."""
        if isinstance(self.store, zarr.storage.MemoryStore):
            buffer = self.store._store_dict.get(key)  # noqa: SLF001  there is no public way
            return None if buffer is None else _Version(buffer)
        return None

    def _fetch(self, key: str, request: ByteRequest | None) -> memoryview | None:
        buffer = self._call(
            "the object cannot be read",
            key,
            lambda store: store.get(key, buffer_prototype, request),
            lambda store: store.get_sync(key, prototype=buffer_prototype, byte_range=request),
        )
        return None if buffer is None else bytes_of(buffer)

    def _nothing(self, key: str, byte_range: ByteRange) -> Buffer | None:
        nbytes = self.nbytes(key)
        if nbytes is None:
            return None
        if not isinstance(byte_range, Suffix) and byte_range.start > nbytes:
            raise bad_range(byte_range, self.name, key)
        return b""

    def _call(
        self,
        what: str,
        key: str,
        call: Callable[[AbstractStore], Coroutine[Any, Any, T]],
        call_sync: Callable[[Any], T] | None = None,
    ) -> T:
        try:
            if call_sync is not None and self._has_sync:
                return call_sync(self.store)
            return self._wait_for(_opened(self.store, call), key)
        except StoreError:
            raise
        except Exception as error:
            raise self._failure(error, what, key) from error

    def _wait_for(self, coroutine: Coroutine[Any, Any, T], key: str) -> T:
        loop = self._loop or _get_loop()
        try:
            self._check(loop, key)
        except StoreError:
            coroutine.close()
            raise
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            while True:
                try:
                    return future.result(_WAKE_S)
                except FutureTimeoutError:
                    if future.done():
                        raise
                    if not loop.is_running():
                        raise self._stopped(key) from None
        finally:
            future.cancel()

    def _check(self, loop: asyncio.AbstractEventLoop, key: str) -> None:
        if not self._has_sync and self._pid != os.getpid():
            raise StoreError(
                "the store was made before this process was forked, and its clients with it",
                store=self.name,
                key=key,
                hint="Open it in the child, or start processes by 'spawn' or 'forkserver'",
            )
        if asyncio._get_running_loop() is loop:  # noqa: SLF001  get_running_loop raises
            raise StoreError(
                "called from the event loop that would have to answer",
                store=self.name,
                key=key,
                hint="Call it from a thread: await asyncio.to_thread(...)",
            )
        if loop.is_closed():
            raise self._stopped(key)

    def _stopped(self, key: str) -> StoreError:
        return StoreError("the event loop of the store has ended", store=self.name, key=key)

    def _failure(self, error: Exception, what: str, key: str) -> StoreError:
        reason = f"{type(error).__name__} {redact(str(error))}".strip()
        kind = StoreError
        if isinstance(error, PermissionError):
            kind = StorePermissionError
        elif isinstance(error, FileNotFoundError):
            # a key that is absent is `None`, so it is the place that is missing
            kind = StoreNotFoundError
        failure = kind(f"{what}: {reason}", store=self.name, key=key or None)
        if isinstance(error, OSError):
            failure.errno = error.errno
        return failure


class _Version:
    """Equal to itself for as long as the object is the same."""

    def __init__(self, buffer: object) -> None:
        self._of = weakref.ref(buffer)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Version):
            return NotImplemented
        mine = self._of()
        return mine is not None and mine is other._of()

    def __hash__(self) -> int:
        return hash(_Version)

    def __reduce__(self) -> tuple[object, ...]:
        # whoever gets the copy has other objects
        return _version_of_none, ()


def _version_of_none() -> _Version:
    return _Version(type("Gone", (), {})())


def _is_synchronous(store: AbstractStore) -> bool:
    methods = ("get_sync", "set_sync", "delete_sync")
    return all(hasattr(type(store), name) for name in methods) and bool(
        getattr(store, "_supports_sync_io", True)
    )


def _rebuild(store: AbstractStore, read_only: bool) -> ZarrStore:  # noqa: FBT001 - called by pickle
    return ZarrStore(store, read_only=read_only)


def _below(prefix: str) -> str:
    return f"{prefix}/" if prefix else ""


async def _opened(
    store: AbstractStore, call: Callable[[AbstractStore], Coroutine[Any, Any, T]]
) -> T:
    await store._ensure_open()  # noqa: SLF001  not every method of every store does it
    return await call(store)


async def _delete(store: AbstractStore, key: str) -> None:
    with suppress(FileNotFoundError, KeyError):
        if isinstance(store, zarr.storage.FsspecStore):
            # zarr-python's own takes "[" for a pattern
            await store.fs._rm_file(_path(store, key))  # noqa: SLF001  as zarr asks it
        else:
            await store.delete(key)


def _path(store: zarr.storage.FsspecStore, key: str) -> str:
    return f"{store.path.rstrip('/')}/{key}"


async def _size(store: AbstractStore, key: str) -> int | None:
    # a directory exists too, and has a size
    if isinstance(store, zarr.storage.FsspecStore):
        try:
            info = await store.fs._info(_path(store, key))  # noqa: SLF001  as zarr asks it
        except store.allowed_exceptions:
            return None
        return None if info["type"] == "directory" else int(info["size"])
    try:
        there = await store.exists(key)
    except Exception as error:
        if "invalid zarr key" in str(error):
            return None  # icechunk's answer to a name that is no object's, such as a group's
        raise
    try:
        return await store.getsize(key) if there else None
    except FileNotFoundError:
        return None  # deleted meanwhile


async def _delete_below(store: AbstractStore, prefix: str) -> None:
    if prefix and await _size(store, prefix) is not None:
        return  # an object has nothing below, and some stores would take it along
    if prefix and not isinstance(store, zarr.storage.FsspecStore):
        await store.delete_dir(prefix)
        return
    # of a root some stores stop at the first directory; fsspec takes "[" for a pattern
    below = _below(prefix)
    keys = [key async for key in store.list_prefix(below) if key.startswith(below)]
    await _each(keys, lambda key: _delete(store, key))


async def _each(keys: Iterable[str], call: Callable[[str], Awaitable[T]]) -> Sequence[T]:
    """Calls for all keys, so many at once as requests may be in flight."""
    slots = asyncio.Semaphore(settings.fetch_concurrency)

    async def one(key: str) -> T:
        async with slots:
            return await call(key)

    return await asyncio.gather(*map(one, keys))


async def _entry(store: AbstractStore, key: str) -> Entry | None:
    nbytes = await _size(store, key)
    return None if nbytes is None else Entry(key, nbytes)


async def _entries_below(store: AbstractStore, prefix: str) -> list[Entry]:
    below = _below(prefix)
    keys = [key async for key in store.list_prefix(below) if key.startswith(below)]
    entries = await _each(keys, lambda key: _entry(store, key))
    return [entry for entry in entries if entry is not None]


async def _one_level(store: AbstractStore, prefix: str) -> Listing:
    lists_files = isinstance(store, zarr.storage.FsspecStore)  # a file is listed as itself
    if lists_files and prefix and await _size(store, prefix) is not None:
        return Listing([], [])
    below = _below(prefix)
    names = {name.rstrip("/") async for name in store.list_dir(prefix)}
    keys = [below + name for name in sorted(names) if name]
    files: list[Entry] = []
    prefixes: list[str] = []
    entries = await _each(keys, lambda key: _entry(store, key))
    for key, entry in zip(keys, entries, strict=True):
        if entry is None:
            prefixes.append(key)
        else:
            files.append(entry)
    return Listing(files, prefixes)
