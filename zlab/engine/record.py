"""What a worker tells telemetry: one record a run, nothing at all when nobody listens."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Literal

from zlab.telemetry.events import ChunkFailed, ChunkRun
from zlab.telemetry.hub import hub

if TYPE_CHECKING:
    from zlab.engine.layout import ArrayLayout
    from zlab.errors import ChunkError


class Recorder:
    """Collects the chunks of one run.

    Args:
        layout: Of the array.
        operation: What is done.
        nchunks: Chunks that the run begins.
    """

    __slots__ = (
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
        self, layout: ArrayLayout, operation: Literal["read", "write"], nchunks: int
    ) -> None:
        self._layout = layout
        self._operation = operation
        self._nchunks = nchunks
        self._coords: list[tuple[int, ...]] = []
        self._nbytes_stored: list[int] = []
        self._nbytes: list[int] = []
        self._store_s: list[float] = []
        self._codec_s: list[float] = []

    @classmethod
    def start(
        cls, layout: ArrayLayout, operation: Literal["read", "write"], nchunks: int
    ) -> Recorder | None:
        """A recorder for a run that begins, `None` where nobody listens."""
        if not hub.active:
            return None
        hub.started(nchunks)
        return cls(layout, operation, nchunks)

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
        if self._coords:
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
                )
            )
