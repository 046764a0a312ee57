"""What the engine tells telemetry: one record a run, nothing at all when nobody listens."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from time import perf_counter
from typing import TYPE_CHECKING, Literal, Self

from zlab.telemetry.events import (
    ABSENT,
    ArrayRead,
    ArrayWrite,
    CacheRun,
    ChunkFailed,
    ChunkRun,
)
from zlab.telemetry.hub import hub

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

    from zlab.engine.layout import ArrayLayout
    from zlab.errors import ChunkError
    from zlab.telemetry.events import (
        ArrayCreate,
        ArrayOpen,
    )

_NOBODY: AbstractContextManager[None] = nullcontext()


class ArrayCall:
    """One read or write of an array, told when it ends, in whatever way.

    Attributes:
        nchunks: Chunks that were placed or written so far.
        nchunks_absent: Those of them that are not stored.
        nchunks_cached: Those of them that came from a cache.
    """

    def __init__(
        self, layout: ArrayLayout, operation: Literal["read", "write"], nbytes: int
    ) -> None:
        self.nchunks = self.nchunks_absent = self.nchunks_cached = 0
        self._layout = layout
        self._operation = operation
        self._nbytes = nbytes
        self._lock = threading.Lock()
        self._begun = perf_counter()

    def add(self, nchunks: int, *, absent: int = 0, cached: int = 0) -> None:
        """So many chunks are done."""
        with self._lock:
            self.nchunks += nchunks
            self.nchunks_absent += absent
            self.nchunks_cached += cached

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        store, path = self._layout.store.name, self._layout.path
        duration_s = perf_counter() - self._begun
        said = None if error is None else f"{type(error).__name__}: {error}"
        counts = self.nchunks, self.nchunks_absent
        if self._operation == "read":
            hub.emit(
                ArrayRead(
                    *(store, path, *counts, self.nchunks_cached, self._nbytes, duration_s, said)
                )
            )
        else:
            hub.emit(ArrayWrite(store, path, *counts, self._nbytes, duration_s, said))


def array_call(
    layout: ArrayLayout, operation: Literal["read", "write"], nbytes: int
) -> AbstractContextManager[ArrayCall | None]:
    """A context for one read or write of an array; it gives `None` where nobody wants to know."""
    if hub.wants(ArrayRead if operation == "read" else ArrayWrite):
        return ArrayCall(layout, operation, nbytes)
    return _NOBODY


def tell_made(layout: ArrayLayout, kind: type[ArrayOpen | ArrayCreate], begun: float) -> None:
    """Tells that a handle was made, or an array created.

    Args:
        layout: Of the array.
        kind: Which of the two.
        begun: When it began, of `perf_counter`.
    """
    if hub.wants(kind):
        metadata = layout.metadata
        hub.emit(
            kind(
                layout.store.name,
                layout.path,
                metadata.zarr_format,
                metadata.shape,
                perf_counter() - begun,
            )
        )


class Recorder:
    """Collects the chunks of one run.

    Args:
        layout: Of the array.
        operation: What is done.
        nchunks: Chunks that the run begins.
        call: The read or write that the run belongs to, where somebody wants to know of it.
    """

    __slots__ = (
        "_call",
        "_codec_s",
        "_coords",
        "_layout",
        "_nbytes",
        "_nbytes_stored",
        "_nchunks",
        "_operation",
        "_store_s",
    )

    def __init__(
        self,
        layout: ArrayLayout,
        operation: Literal["read", "write"],
        nchunks: int,
        call: ArrayCall | None = None,
    ) -> None:
        self._layout = layout
        self._operation = operation
        self._nchunks = nchunks
        self._call = call
        self._coords: list[tuple[int, ...]] = []
        self._nbytes_stored: list[int] = []
        self._nbytes: list[int] = []
        self._store_s: list[float] = []
        self._codec_s: list[float] = []

    @classmethod
    def start(
        cls,
        layout: ArrayLayout,
        operation: Literal["read", "write"],
        nchunks: int,
        call: ArrayCall | None = None,
    ) -> Recorder | None:
        """A recorder for a run that begins, `None` where nobody listens."""
        if not hub.watches_chunks and not hub.watches_caches and call is None:
            return None
        hub.started(nchunks)
        return cls(layout, operation, nchunks, call)

    def add(
        self,
        coords: tuple[int, ...],
        nbytes_stored: int,
        nbytes: int,
        store_s: float,
        codec_s: float,
    ) -> None:
        """One chunk is done.

        Args:
            coords: Its coordinates.
            nbytes_stored: Its encoded size, -1 where it is absent.
            nbytes: Its decoded size.
            store_s: Seconds that the store took.
            codec_s: Seconds that the codecs took.
        """
        self._coords.append(coords)
        self._nbytes_stored.append(nbytes_stored)
        self._nbytes.append(nbytes)
        self._store_s.append(store_s)
        self._codec_s.append(codec_s)

    def look_ups(
        self, hits: list[tuple[int, ...]], misses: list[tuple[int, ...]], nbytes: int
    ) -> None:
        """The run's chunks were looked up in a cache; those that were there are done.

        Args:
            hits: The coordinates of those that were there.
            misses: The coordinates of the others.
            nbytes: Bytes that those that were there hold.
        """
        self._nchunks -= len(hits)
        hub.abandoned(len(hits))
        if self._call is not None:
            self._call.add(len(hits), cached=len(hits))
        if hub.watches_caches:
            tell_look_ups(self._layout, "chunk", hits, misses, nbytes)

    def fail(self, error: ChunkError) -> None:
        """A chunk failed, and with it the run."""
        self._nchunks -= 1
        hub.emit(
            ChunkFailed(
                self._layout.store.name,
                self._layout.path,
                error.coords or (),
                self._operation,
                f"{type(error).__name__}: {error}",
            )
        )

    def stop(self) -> None:
        """The run ends, in whatever way."""
        left = self._nchunks - len(self._coords)
        if left:
            hub.abandoned(left)
        if not self._coords:
            return
        if self._call is not None:
            self._call.add(len(self._coords), absent=self._nbytes_stored.count(ABSENT))
        if not hub.watches_chunks:
            hub.abandoned(len(self._coords))
            return
        hub.record(
            ChunkRun(
                self._operation,
                self._layout.store.name,
                self._layout.path,
                self._coords,
                self._nbytes_stored,
                self._nbytes,
                self._store_s,
                self._codec_s,
                perf_counter(),
                self._layout.chunk_pipeline(self._coords[0]).label,
                "object" if self._layout.sharding is None else "shard",
            )
        )


def tell_look_ups(
    layout: ArrayLayout,
    what: Literal["chunk", "index"],
    hits: list[tuple[int, ...]],
    misses: list[tuple[int, ...]],
    nbytes: int,
) -> None:
    """Tells of look-ups in a cache.

    Args:
        layout: Of the array.
        what: What was looked up.
        hits: The coordinates of what was there.
        misses: The coordinates of what was not.
        nbytes: Bytes that what was there holds.
    """
    run = CacheRun(layout.store.name, layout.path, what, hits, misses, nbytes, perf_counter())
    hub.record(run)
