"""Bytes that wait until others have come: in memory as far as they fit, then in a file."""

from __future__ import annotations

import tempfile
import threading
from itertools import count
from typing import TYPE_CHECKING

from zlab.stores.base import storage_error

if TYPE_CHECKING:
    from typing import IO

    from zlab.memory import Buffer
    from zlab.stream.budget import Account


class Shelf:
    """Holds bytes under numbers. Those that were put there first are the first to leave memory.

    The file has no name, so that nothing is left of it when the process is killed, and it takes
    no more room than was needed at once.

    Args:
        account: What is kept was taken from it by the caller; the shelf gives it back as bytes
            go to the file or are dropped.
        limit: Bytes that stay in memory.

    Example:
        >>> from zlab.stream.budget import Account
        >>> shelf = Shelf(Account(100), limit=4)
        >>> first, second = shelf.keep(b"abc"), shelf.keep(b"def")
        >>> shelf.look(first), shelf.look(second), shelf.nbytes_spilled
        (b'abc', b'def', 3)
        >>> shelf.close()
    """

    def __init__(self, account: Account, limit: int) -> None:
        self.nbytes_spilled = 0
        """Bytes that went to the file, in all."""
        self._account = account
        self._limit = limit
        self._lock = threading.Lock()
        self._numbers = count()
        self._near: dict[int, Buffer] = {}
        self._near_nbytes = 0
        self._far: dict[int, tuple[int, int]] = {}
        self._file: IO[bytes] | None = None
        self._room = _Room()

    def keep(self, data: Buffer) -> int:
        """Keeps bytes; returns their number.

        Raises:
            StoreError: They do not fit into memory, and the file cannot be written.
        """
        with self._lock:
            number = next(self._numbers)
            self._near[number] = data
            self._near_nbytes += len(data)
            while self._near_nbytes > self._limit:
                self._spill()
            return number

    def spill(self) -> bool:
        """Moves the oldest bytes to the file; returns whether there were any in memory.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._lock:
            if not self._near:
                return False
            self._spill()
            return True

    def look(self, number: int) -> Buffer:
        """The bytes with a number.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._lock:
            data = self._near.get(number)
            if data is not None:
                return data
            start, nbytes = self._far[number]
            try:
                file = self._opened()
                file.seek(start)
                return file.read(nbytes)
            except OSError as error:
                raise _failed(error, "read") from error

    def nbytes(self, number: int) -> int:
        """How many bytes have a number."""
        with self._lock:
            data = self._near.get(number)
            return self._far[number][1] if data is None else len(data)

    def drop(self, number: int) -> None:
        """Forgets the bytes with a number."""
        with self._lock:
            if number in self._near:
                nbytes = len(self._near.pop(number))
                self._near_nbytes -= nbytes
                self._account.release(nbytes)
            else:
                self._room.give(*self._far.pop(number))

    def close(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._account.release(self._near_nbytes)
            self._near_nbytes = 0
            self._near.clear()
            self._far.clear()
            if self._file is not None:
                self._file.close()
                self._file = None

    def _spill(self) -> None:
        number = next(iter(self._near))
        data = self._near[number]
        nbytes = len(data)
        start = self._room.take(nbytes)
        try:
            file = self._opened()
            file.seek(start)
            file.write(data)
            file.flush()
        except OSError as error:
            raise _failed(error, "written") from error
        del self._near[number]
        self._far[number] = (start, nbytes)
        self._near_nbytes -= nbytes
        self.nbytes_spilled += nbytes
        self._account.release(nbytes)

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="zlab-")  # noqa: SIM115  closed by `close`
        return self._file


def _failed(error: OSError, what: str) -> Exception:
    failure = storage_error(error, f"the temporary file cannot be {what}", "", None)
    failure.store = tempfile.gettempdir()
    failure.hint = (
        "It holds what waits for the rest of its shard or chunk. Set TMPDIR to a larger disk, "
        "raise max_bytes, or hand over the chunks of a shard one after another"
    )
    return failure


class _Room:
    """Which parts of a file are free."""

    def __init__(self) -> None:
        self._end = 0
        self._free: dict[int, int] = {}  # where a free part starts: its bytes

    def take(self, nbytes: int) -> int:
        """The start of a part of so many bytes, the first that is large enough."""
        for start, free in self._free.items():
            if free >= nbytes:
                del self._free[start]
                if free > nbytes:
                    self._free[start + nbytes] = free - nbytes
                return start
        start = self._end
        self._end += nbytes
        return start

    def give(self, start: int, nbytes: int) -> None:
        """Frees a part."""
        follows = self._free.pop(start + nbytes, 0)
        self._free[start] = nbytes + follows
        if start + nbytes + follows == self._end:
            self._end = start
            del self._free[start]
