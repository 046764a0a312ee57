"""Memory of chunks that nobody holds any more, for the next ones."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, final

import numpy as np

from zlab.memory import ALIGNMENT, aligned_empty

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALLEST = 1 << 17  # bytes that the allocator maps and clears anew each time; less it keeps itself
_MOST = 64  # arrays that are looked through

# where threads run at once a count of references tells nothing
_COUNTS_TELL = (
    sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
)


def _references(pool: list[NDArray[np.uint8]], place: int) -> int:
    return sys.getrefcount(pool[place])


_UNUSED = _references([np.empty(0, np.uint8)], 0)


@final
class Buffers:
    """Makes the arrays of one stream, in memory that is used again.

    All views of an array, and JAX and Polars that alias it, keep its memory alive by a reference.
    What only the pool refers to can be seen by nobody, and is handed out again.

    Args:
        nbytes: Of the arrays that are kept: those of whole chunks. Others are made anew.
    """

    __slots__ = ("_lock", "_nbytes", "_pool")

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes
        self._lock = threading.Lock()
        self._pool: list[NDArray[np.uint8]] = []

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """As `aligned_empty`."""
        nbytes = dtype.itemsize
        for n in shape:
            nbytes *= n
        if (
            nbytes != self._nbytes
            or nbytes < _SMALLEST
            or dtype.hasobject
            or dtype.kind == "T"
            or not _COUNTS_TELL
        ):
            return aligned_empty(shape, dtype)
        raw = self._unused()
        start = -raw.__array_interface__["data"][0] % ALIGNMENT
        return raw[start : start + nbytes].view(dtype).reshape(shape)

    def _unused(self) -> NDArray[np.uint8]:
        pool = self._pool
        with self._lock:
            for place in range(len(pool)):
                if _references(pool, place) == _UNUSED:
                    return pool[place]
            raw = np.empty(self._nbytes + ALIGNMENT, np.uint8)
            if len(pool) < _MOST:
                pool.append(raw)
            return raw


@final
class Pools:
    """Buffers by their size, kept between iterations that follow each other.

    Memory that is new is cleared page by page, which takes longer than to decode into it; a
    training loop has as many epochs as it likes. A pickle carries none of it.
    """

    __slots__ = ("_by_nbytes",)

    def __init__(self) -> None:
        self._by_nbytes: dict[int, Buffers] = {}

    def of(self, nbytes: int) -> Buffers:
        """The buffers for arrays of so many bytes."""
        # of two threads that ask at once both get the one that is stored
        return self._by_nbytes.get(nbytes) or self._by_nbytes.setdefault(nbytes, Buffers(nbytes))

    def __reduce__(self) -> tuple[object, ...]:
        return Pools, ()
