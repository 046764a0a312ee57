"""Reading: runs of chunk jobs, fetched, decoded and placed by the process's workers."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from math import prod
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

import numpy as np

from zlab.config import settings
from zlab.engine.plan import Run, plan_one, plan_runs, plan_shard_runs
from zlab.engine.record import Recorder, array_call
from zlab.engine.shards import fetch_from_shard
from zlab.engine.stamps import stamp
from zlab.engine.workers import Team, shared_cores
from zlab.errors import (
    ChunkError,
    ChunkReadError,
    ChunkSizeError,
    CodecError,
    DecodedSizeError,
    MemoryBudgetError,
    ZlabError,
)
from zlab.memory import aligned_empty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from numpy.typing import NDArray

    from zlab.engine.cache import Cache
    from zlab.engine.layout import ArrayLayout
    from zlab.engine.plan import ChunkJob
    from zlab.engine.record import ArrayCall
    from zlab.engine.selection import Region
    from zlab.memory import Buffer
    from zlab.stores.base import Store


def read_region(
    layout: ArrayLayout, region: Region, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Reads a box.

    Args:
        layout: Of the array.
        region: What to read.
        out: Written to where given: an array of the region's shape and the array's dtype.

    Returns:
        `out`, or a new array whose memory starts at a multiple of 64 bytes.

    Raises:
        ChunkReadError: A chunk that is there could not be read or decoded.
        MemoryBudgetError: The result is larger than the memory that there is.
    """
    if region.gathers:
        picked = _room(layout, region.box_shape)
        read_into(layout, region, region.forward(picked))
        for gather in region.gathers:
            picked = picked.take(gather.places, axis=gather.axis)
        picked = picked.reshape(region.shape)
        if out is None:
            return picked
        out[...] = picked
        return out
    result = _room(layout, region.shape) if out is None else out
    box = region.forward(result.reshape(region.box_shape) if region.dropped_axes else result)
    read_into(layout, region, box)
    return result


def _room(layout: ArrayLayout, shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        return aligned_empty(shape, layout.dtype)
    except (MemoryError, ValueError) as error:
        nbytes = prod(shape) * layout.dtype.itemsize
        raise MemoryBudgetError(
            f"{layout.path or '/'!r} of {layout.store.name}: the {nbytes} bytes of a selection of "
            f"shape {shape} do not fit into memory",
            needed=nbytes,
            budget=settings.memory_budget,
            hint="Select less, or read it in parts with stream_chunks() or stream_slices()",
        ) from error


def read_into(layout: ArrayLayout, region: Region, box: NDArray[Any]) -> None:
    """Reads a box into an array of the box's shape, forward along every axis."""
    local = layout.store.local
    if local:
        job = plan_one(layout.chunks, region.spans)
        if job is not None:
            shard = None if layout.sharding is None else layout.shard_of(job.coords)
            read_runs(layout, [Run(shard, [job])], box, width=1)
            return
    width = settings.threads if local else settings.fetch_concurrency
    njobs, runs = plan(layout, region, width=width)
    if local and njobs * _chunk_nbytes(layout) < _SMALL:
        width = 1
    read_runs(layout, runs, box, width=min(width, njobs))


def read_runs(layout: ArrayLayout, runs: Iterable[Run], box: NDArray[Any], *, width: int) -> None:
    """Has workers read runs into the box that they were planned for."""
    if width == 0:
        return
    local = layout.store.local
    with array_call(layout, "read", box.nbytes) as call:
        if local and width == 1:
            for run in runs:
                _read_run(layout, run, box, None, call)
            return
        slots = None if local else threading.BoundedSemaphore(settings.threads)

        # many requests wait for the store at once, but only as many threads decode as there are
        # cores
        def work(run: Run) -> None:
            _read_run(layout, run, box, slots, call)

        team = Team(runs, work)
        if not local:
            team.run(width, caller_works=False)
            return
        with shared_cores() as others:
            # threads of the user's that read too are workers already
            team.run(max(1, min(width, settings.threads - others)), caller_works=True)


_SMALL = 1 << 16  # bytes that are decoded faster than they are handed over to other threads
_MOST_LOCAL = 1024  # inner chunks of a run, where a request costs little
_RUN_NBYTES = 1 << 18  # decoded bytes of a run at least, where its chunks are fetched one by one


def _chunk_nbytes(layout: ArrayLayout) -> int:
    first = (0,) * len(layout.chunks.axes)
    return prod(layout.chunks.stored_shape(first)) * max(layout.dtype.itemsize, 1)


def plan(layout: ArrayLayout, region: Region, *, width: int) -> tuple[int, Iterator[Run]]:
    """How many chunks a region touches, and the runs that read or write them."""
    least = max(1, _RUN_NBYTES // _chunk_nbytes(layout))
    if layout.sharding is None:
        # of a store that is not local each chunk is a request, and requests wait side by side
        least = least if layout.store.local else 1
        return plan_runs(layout.objects, region.spans, width=width, least=least)
    # each run of a shard is a request; of a local store that costs less than long lists of jobs,
    # which keep the other threads waiting while they are made
    most = _MOST_LOCAL if layout.store.local else None
    return plan_shard_runs(
        layout.objects, layout.chunks, region.spans, width=width, least=least, most=most
    )


def fetch_run(layout: ArrayLayout, run: Run) -> Iterator[tuple[ChunkJob, Buffer | None]]:
    """The encoded bytes of a run's chunks, `None` for those that are absent, one at a time.

    Raises:
        ChunkReadError: The store failed, or a shard's index is corrupt.
    """
    if run.shard is not None:
        try:
            yield from fetch_from_shard(layout, run.shard, run.jobs)
        except ChunkError:
            raise
        except ZlabError as error:
            raise read_failed(layout, run.jobs[0].coords, error) from error
        return
    get, key = layout.store.get, layout.key
    for job in run.jobs:
        try:
            data = get(key(job.coords))
        except ZlabError as error:
            raise read_failed(layout, job.coords, error) from error
        yield job, data


def read_failed(
    layout: ArrayLayout, coords: tuple[int, ...], error: BaseException
) -> ChunkReadError:
    """The error that says which chunk of which store could not be read."""
    shard = coords if layout.sharding is None else layout.shard_of(coords)
    kind = ChunkSizeError if isinstance(error, DecodedSizeError) else ChunkReadError
    return kind(
        f"cannot read a chunk: {error.what if isinstance(error, ZlabError) else error}",
        coords=coords,
        codec=getattr(error, "codec", None),
        store=layout.store.name,
        key=layout.key(shard),
        hint=error.hint or "The stored bytes are corrupt or not what the metadata say"
        if isinstance(error, CodecError)
        else "Whether the chunk exists is not known; nothing was filled in",
    )


_Fetched: TypeAlias = "tuple[ChunkJob, Buffer, float]"
"""A chunk's job, its encoded bytes, and the seconds that they took."""


class _Reading:
    """A run that is being read: telemetry learns how it goes, and errors of which chunk they are.

    Args:
        layout: Of the array.
        run: What is read.
        turn: Entered while chunks are decoded, so that not all who fetch decode at once.
        call: The read that the run belongs to, where somebody wants to know of it.
    """

    __slots__ = ("_absent_s", "_job", "_layout", "_now", "_turn", "recorder")

    def __init__(
        self,
        layout: ArrayLayout,
        run: Run,
        turn: AbstractContextManager[object] | None,
        call: ArrayCall | None = None,
    ) -> None:
        self._layout = layout
        self._job = run.jobs[0]
        self._absent_s = self._now = 0.0
        self._turn = turn or nullcontext()
        self.recorder = Recorder.start(layout, "read", len(run.jobs), call)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        recorder = self.recorder
        try:
            if isinstance(error, ZlabError):
                failure = (
                    error
                    if isinstance(error, ChunkError)
                    else read_failed(self._layout, self._job.coords, error)
                )
                if recorder is not None:
                    recorder.fail(failure)
                if failure is not error:
                    raise failure from error
        finally:
            if recorder is not None:
                recorder.stop()

    def batches(self, run: Run) -> Iterator[ChunkJob | list[_Fetched]]:
        """Fetches the chunks of a run.

        Returns:
            Those that are there, as many at a time as are decoded together; of an absent one its
            job alone.
        """
        layout = self._layout
        # where the next chunk may take long to come, none waits for it
        together = run.shard is not None or layout.store.local
        length = layout.batch_length if together else 1
        batch: list[_Fetched] = []
        # a look at the clock costs more than the rest of what telemetry does to a chunk
        timed = self.recorder is not None
        took = 0.0
        if timed:
            self._now = perf_counter()
        for job, data in fetch_run(layout, run):
            self._job = job
            if timed:
                before, self._now = self._now, perf_counter()
                took = self._now - before
            if data is None:
                self._absent_s = took
                yield job
            else:
                batch.append((job, data, took))
                if len(batch) >= length:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def tell_absent(self, job: ChunkJob, nbytes: int) -> None:
        """The chunk that `batches` found absent last was seen as so many bytes."""
        if self.recorder is not None:
            self.recorder.add(job.coords, -1, nbytes, self._absent_s, 0.0)
            self._now = perf_counter()

    def decode(
        self,
        batch: list[_Fetched],
        views: Callable[[ChunkJob], NDArray[Any]],
        cached_as: Mapping[tuple[int, ...], _CachedAs] = MappingProxyType({}),
    ) -> list[NDArray[Any]]:
        """Decodes chunks and places their parts.

        Args:
            batch: From `batches`.
            views: Where the part of a chunk goes.
            cached_as: What chunks are to be kept as.

        Returns:
            The views.
        """
        layout = self._layout
        timed = self.recorder is not None
        with self._turn:
            before = perf_counter() if timed else 0.0
            placed = [views(job) for job, _, _ in batch]
            arrays = None
            if len(batch) > 1 and not cached_as:
                pipeline = layout.chunk_pipeline(batch[0][0].coords)
                arrays = pipeline.decode_batch([data for _, data, _ in batch])
            if arrays is None:
                for (job, data, _), view in zip(batch, placed, strict=True):
                    self._job = job
                    decode_part(layout, data, job, view, cached_as.get(job.coords))
            else:
                for (job, _, _), array, view in zip(batch, arrays, placed, strict=True):
                    view[...] = array if job.whole else array[job.source]
            if timed:
                self._now = perf_counter()
        if self.recorder is not None:
            each = (self._now - before) / len(batch)
            for (job, data, fetch_s), view in zip(batch, placed, strict=True):
                self.recorder.add(job.coords, len(data), view.nbytes, fetch_s, each)
        return placed


def _read_run(
    layout: ArrayLayout,
    run: Run,
    box: NDArray[Any],
    turn: AbstractContextManager[object] | None,
    call: ArrayCall | None,
) -> None:
    with _Reading(layout, run, turn, call) as reading:
        cached_as: Mapping[tuple[int, ...], _CachedAs] = {}
        if layout.access.cache is not None:
            run, cached_as = place_cached(layout, layout.access.cache, run, box, reading.recorder)
            if not run.jobs:
                return
        for batch in reading.batches(run):
            if isinstance(batch, list):
                reading.decode(batch, lambda job: job.part_of(box), cached_as)
            elif layout.access.missing == "raise":
                raise absent(layout, batch.coords)
            else:
                view = batch.part_of(box)
                view[...] = layout.fill
                reading.tell_absent(batch, view.nbytes)


def absent(layout: ArrayLayout, coords: tuple[int, ...]) -> ChunkReadError:
    """The error for a chunk that is not stored, where such chunks are not to be filled in."""
    shard = coords if layout.sharding is None else layout.shard_of(coords)
    return ChunkReadError(
        "the chunk is not stored, and missing='raise' was asked for",
        coords=coords,
        store=layout.store.name,
        key=layout.key(shard),
        hint="Open with missing='fill' to read the fill value instead",
    )


class _CachedAs(NamedTuple):
    """Where in a cache a chunk goes that is about to be fetched, and what its object's stamp is."""

    cache: Cache
    key: str
    part: tuple[int, ...] | None
    seen: object

    def put(self, store: Store, chunk: NDArray[Any]) -> None:
        self.cache.put(store, self.key, chunk, self.seen, self.part)


def _cache_key(layout: ArrayLayout, coords: tuple[int, ...]) -> tuple[str, tuple[int, ...] | None]:
    if layout.sharding is None:
        return layout.key(coords), None
    return layout.key(layout.shard_of(coords)), coords


def place_cached(
    layout: ArrayLayout, cache: Cache, run: Run, box: NDArray[Any], recorder: Recorder | None
) -> tuple[Run, dict[tuple[int, ...], _CachedAs]]:
    """Places the chunks that are in a cache.

    Returns:
        The run of the others, and what they will be cached as.
    """
    others = []
    cached_as: dict[tuple[int, ...], _CachedAs] = {}
    # of the chunks of a shard, the stamp is the shard's
    stamps: dict[str, object] = {}
    hits: list[tuple[int, ...]] = []
    nbytes = 0
    for job in run.jobs:
        key, part = _cache_key(layout, job.coords)
        if key not in stamps:
            stamps[key] = stamp(layout.store, key)
        kept = cache.get(layout.store, key, part, stamps[key])
        if kept is None:
            others.append(job)
            cached_as[job.coords] = _CachedAs(cache, key, part, stamps[key])
        else:
            job.part_of(box)[...] = kept.array[job.source]
            if recorder is not None:
                hits.append(job.coords)
                nbytes += kept.array.nbytes
    if recorder is not None:
        recorder.look_ups(hits, [job.coords for job in others], nbytes)
    return Run(run.shard, others), cached_as


_scratch = threading.local()


def scratch(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """This thread's scratch array, which the next call overwrites."""
    if dtype.hasobject or dtype.kind == "T":
        return np.empty(shape, dtype)
    nbytes = dtype.itemsize
    for n in shape:
        nbytes *= n
    raw: NDArray[np.uint8] | None = getattr(_scratch, "raw", None)
    if raw is None or raw.nbytes < nbytes:
        raw = _scratch.raw = aligned_empty((nbytes,), np.dtype(np.uint8))
    return raw[:nbytes].view(dtype).reshape(shape)


def decode_part(
    layout: ArrayLayout,
    data: Buffer,
    job: ChunkJob,
    view: NDArray[Any],
    cached_as: _CachedAs | None = None,
) -> None:
    """Decodes a chunk and places its part: straight into the view where it is all of the chunk.

    With `cached_as` the chunk is decoded into memory of its own, which stays in the cache.
    """
    pipeline = layout.chunk_pipeline(job.coords)
    if cached_as is not None:
        pipeline.check_limit()
        chunk = aligned_empty(pipeline.chunk.shape, pipeline.chunk.dtype)
        pipeline.decode(data, chunk)
        view[...] = chunk[job.source]
        cached_as.put(layout.store, chunk)
        return
    if job.whole:
        pipeline.decode(data, view)
        return
    pipeline.check_limit()
    whole = scratch(pipeline.chunk.shape, pipeline.chunk.dtype)
    pipeline.decode(data, whole)
    view[...] = whole[job.source]


class LoadedChunk(NamedTuple):
    """A chunk in memory.

    Attributes:
        job: Which chunk, and where it lies in the box that was planned.
        data: Its part of the box, in memory of its own that starts at a multiple of 64 bytes;
            `None` where the chunk is absent.
        nbytes_stored: Its encoded size, 0 where it is absent.
    """

    job: ChunkJob
    data: NDArray[Any] | None
    nbytes_stored: int


def load_run(
    layout: ArrayLayout,
    run: Run,
    turn: AbstractContextManager[object] | None = None,
    empty: Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]] = aligned_empty,
) -> Iterator[LoadedChunk]:
    """Reads a run's chunks into memory of their own, one at a time.

    Chunks of a shard come in the order in which they lie there; absent ones come first.

    Args:
        layout: Of the array.
        run: What to read.
        turn: Entered while a chunk is decoded, so that not all who fetch decode at once.
        empty: Makes the memory of a chunk.

    Raises:
        ChunkReadError: A chunk that is there could not be read or decoded.
    """
    dtype = layout.dtype
    with _Reading(layout, run, turn) as reading:
        for batch in reading.batches(run):
            if not isinstance(batch, list):
                reading.tell_absent(batch, 0)
                yield LoadedChunk(batch, None, 0)
                continue
            arrays = reading.decode(
                batch,
                lambda job: empty(tuple(part.stop - part.start for part in job.target), dtype),
            )
            # from here on each is the consumer's alone
            arrays.reverse()
            for job, data, _ in batch:
                yield LoadedChunk(job, arrays.pop(), len(data))
