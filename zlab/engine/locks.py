"""Who may replace an object, when its old bytes are part of the new ones.

Whole chunks need no lock. A partial write reads, merges and replaces; two of them on one object
must not overlap. Threads of one process are kept apart always, processes on demand.
"""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from zlab.errors import MissingExtraError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from zlab.stores.base import Store


class Locks(Protocol):
    """Keeps writers of one object apart."""

    def hold(self, store: Store, key: str) -> AbstractContextManager[object]:
        """A context in which nobody else replaces the object."""
        ...


class ThreadLocks:
    """Keeps the threads of this process apart.

    Args:
        count: Locks that the objects share.
    """

    def __init__(self, count: int = 256) -> None:
        self._count = count
        self.reset()

    def hold(self, store: Store, key: str) -> AbstractContextManager[object]:
        """A context in which no other thread of this process replaces the object."""
        return self._locks[hash((store, key)) % self._count]

    def __reduce__(self) -> str:
        # in another process these are that process's
        return "threads"

    def reset(self) -> None:
        """Starts anew in a forked child, which has none of the threads that held a lock."""
        self._locks = [threading.Lock() for _ in range(self._count)]


class FileLocks:
    """Keeps processes apart that share a folder, by lock files.

    Args:
        folder: Where the lock files are made. All writers must name the same.
        timeout_s: Seconds to wait for another writer before that is an error.

    Raises:
        MissingExtraError: The library `filelock` is not installed.
        ValueError: `timeout_s` is negative.

    Example:
        >>> import zlab
        >>> locks = zlab.FileLocks("locks")  # doctest: +SKIP
        >>> array = zlab.open_array("a.zarr", mode="r+", locks=locks)  # doctest: +SKIP
    """

    def __init__(self, folder: str | os.PathLike[str], *, timeout_s: float = 60.0) -> None:
        if timeout_s < 0:
            msg = f"timeout_s must not be negative: {timeout_s}"
            raise ValueError(msg)
        _file_lock()
        self.folder = Path(folder)
        self.timeout_s = timeout_s

    @contextmanager
    def hold(self, store: Store, key: str) -> Iterator[None]:
        """A context in which no other process that uses this folder replaces the object.

        Raises:
            StoreError: Another writer held the lock for longer than the timeout, or the lock file
                cannot be made.
        """
        name = hashlib.blake2b(f"{store.name}\0{key}".encode(), digest_size=16).hexdigest()
        lock = _file_lock()(self.folder / f"{name}.lock", timeout=self.timeout_s)
        # threads of this process queue up here, not at the file
        with threads.hold(store, key):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                lock.acquire()
            except TimeoutError as error:
                raise StoreError(
                    f"no lock for a partial write within {self.timeout_s} s",
                    store=store.name,
                    key=key,
                    hint=f"Another writer may hold {lock.lock_file}; nothing was written",
                ) from error
            except OSError as error:
                raise StoreError(
                    f"the lock of a partial write cannot be made: {error}",
                    store=store.name,
                    key=key,
                    hint=f"Nothing was written; the folder of the locks is {str(self.folder)!r}",
                ) from error
            try:
                yield
            finally:
                lock.release()

    def __repr__(self) -> str:
        return f"FileLocks({str(self.folder)!r}, timeout_s={self.timeout_s})"


def _file_lock() -> Any:
    try:
        from filelock import FileLock  # noqa: PLC0415  only who asks for such locks needs it
    except ImportError as error:
        raise MissingExtraError("filelock", "lock", "A lock between processes") from error
    return FileLock


threads = ThreadLocks()

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=threads.reset)
