"""Writing: chunks that are covered are encoded and put; the others are read, merged and put.

A stored object is always replaced as a whole, so that a reader sees the old one or the new one.
Of a shard, only the inner chunks that change are encoded again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any

from zlab.codecs.fill import is_filled
from zlab.config import settings
from zlab.engine.cache import replacing
from zlab.engine.exchange import exchanged
from zlab.engine.locks import threads
from zlab.engine.read import plan, read_failed, scratch
from zlab.engine.record import Recorder, array_call
from zlab.engine.selection import Span, fit_value
from zlab.engine.workers import Team
from zlab.errors import AlignmentError, ChunkError, ChunkWriteError, CodecError, ZlabError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from zlab.codecs.pipeline import Pipeline
    from zlab.codecs.sharding import ShardingCodec
    from zlab.engine.exchange import Exchange
    from zlab.engine.layout import ArrayLayout
    from zlab.engine.plan import ChunkJob, Run
    from zlab.engine.record import ArrayCall
    from zlab.engine.selection import Region
    from zlab.memory import Buffer


def write_region(
    layout: ArrayLayout, region: Region, value: object, *, write_empty_chunks: bool
) -> None:
    """Writes a box.

    Args:
        layout: Of the array.
        region: What to write.
        value: Array-like, broadcast to the region's shape and cast to the array's dtype as NumPy
            does in an assignment.
        write_empty_chunks: Store chunks that hold nothing but the fill value; otherwise they are
            left out, and deleted where they were stored.

    Raises:
        ChunkWriteError: A chunk could not be encoded or stored. Others may have been written.
        ChunkReadError: A chunk that had to be merged with could not be read; it is unchanged.
        ValueError: The value cannot be broadcast or cast.
    """
    if layout.access.aligned:
        _check_aligned(layout, region)
    box = _as_box(layout, region, value)
    local = layout.store.local
    width = settings.threads if local else settings.fetch_concurrency
    if layout.sharding is None:
        njobs, runs = plan(layout, region, width=width)
    else:
        # a shard is written as a whole, by one worker
        njobs, runs = plan(layout, region, width=1)
    write_runs(layout, runs, box, width=min(width, njobs), write_empty_chunks=write_empty_chunks)


def _check_aligned(layout: ArrayLayout, region: Region) -> None:
    """Raises `AlignmentError` where a region cuts a stored object."""
    nearest: list[str] = []
    is_aligned = True
    for axis, span in zip(layout.objects.axes, region.spans, strict=True):
        if span.count == 0:
            return
        if not isinstance(span, Span) or (span.step > 1 and span.count > 1):
            is_aligned = False
            nearest.append(f"0:{axis.length}")
            continue
        first, last = axis.chunk_at(span.start), axis.chunk_at(span.start + span.count - 1)
        start, stop = axis.start(first), min(axis.start(last) + axis.size(last), axis.length)
        is_aligned &= (start, stop) == (span.start, span.start + span.count)
        nearest.append(f"{start}:{stop}")
    if not is_aligned:
        what = "chunks" if layout.sharding is None else "shards"
        raise AlignmentError(
            f"a write that does not cover whole {what}, and aligned=True was asked for",
            store=layout.store.name,
            key=layout.path,
            hint=f"The nearest region that does is [{', '.join(nearest)}]",
        )


def write_runs(
    layout: ArrayLayout,
    runs: Iterable[Run],
    box: NDArray[Any],
    *,
    width: int,
    write_empty_chunks: bool,
) -> None:
    """Has workers write runs from the box that they were planned for."""
    if width == 0:
        return
    with array_call(layout, "write", box.nbytes) as call:
        write = partial(
            _write_chunks if layout.sharding is None else _write_shard,
            layout,
            box,
            call=call,
            write_empty_chunks=write_empty_chunks,
        )
        Team(runs, write).run(width, caller_works=layout.store.local)


def _as_box(layout: ArrayLayout, region: Region, value: object) -> NDArray[Any]:
    """The value in the box's shape, forward along every axis, without a copy where NumPy can."""
    shown = fit_value(value, region.shape, layout.dtype)
    if not region.gathers:
        return region.forward(shown.reshape(region.box_shape))
    lengths = list(region.box_shape)
    for gather in region.gathers:
        lengths[gather.axis] = len(gather.places)
    box = shown.reshape(lengths)
    for gather in region.gathers:
        box = box.take(gather.last, axis=gather.axis)
    return region.forward(box)


def _merged(
    layout: ArrayLayout,
    pipeline: Pipeline,
    job: ChunkJob,
    part: NDArray[Any],
    old: Buffer | None,
) -> NDArray[Any]:
    """The chunk as it is to be stored: the part, on top of the old chunk or of fill."""
    if job.whole:
        return part
    whole = stored_chunk(layout, job.coords, pipeline, old)
    whole[job.source] = part
    return whole


def stored_chunk(
    layout: ArrayLayout, coords: tuple[int, ...], pipeline: Pipeline, old: Buffer | None
) -> NDArray[Any]:
    """A chunk as it is stored, or of fill: in this thread's scratch array, to be changed there.

    Raises:
        ChunkReadError: What is stored cannot be decoded.
    """
    whole = scratch(pipeline.chunk.shape, pipeline.chunk.dtype)
    if old is None:
        whole[...] = layout.fill
    else:
        try:
            pipeline.decode(old, whole)
        except CodecError as error:
            raise read_failed(layout, coords, error) from error
    return whole


def _write_chunks(
    layout: ArrayLayout,
    box: NDArray[Any],
    run: Run,
    *,
    call: ArrayCall | None,
    write_empty_chunks: bool,
) -> None:
    recorder = Recorder.start(layout, "write", len(run.jobs), call)
    store = layout.store
    job = run.jobs[0]
    try:
        for job in run.jobs:
            begun = perf_counter()
            key = layout.key(job.coords)
            pipeline = layout.pipeline(job.coords)
            part = job.part_of(box)
            if job.covers:
                data = _encoded(layout, pipeline, job, part, None, write_empty_chunks)
                encoded = perf_counter()
                # a partial write that has read the old bytes must not undo this one
                with threads.hold(store, key):
                    replace_object(layout, key, data)
            else:
                with layout.access.locks.hold(store, key):
                    attempt = partial(
                        _replace_part, layout, pipeline, job, part, key, write_empty_chunks
                    )
                    data, encoded = exchanged(store, attempt)
            if recorder is not None:
                recorder.add(
                    job.coords,
                    -1 if data is None else len(data),
                    part.nbytes,
                    perf_counter() - encoded,
                    encoded - begun,
                )
    except ZlabError as error:
        failure = _failed(layout, job.coords, error, recorder)
        if failure is error:
            raise
        raise failure from error
    finally:
        if recorder is not None:
            recorder.stop()


def _replace_part(
    layout: ArrayLayout,
    pipeline: Pipeline,
    job: ChunkJob,
    part: NDArray[Any],
    key: str,
    write_empty_chunks: bool,  # noqa: FBT001  passed on as it is
    exchange: Exchange,
) -> tuple[Buffer | None, float]:
    """Puts the chunk that is stored with a part of it changed; when it was encoded comes along."""
    old = exchange.get(key)
    # no store deletes one version alone: what somebody else writes then would be deleted
    keeps = write_empty_chunks or (exchange.conditional and old is not None)
    data = _encoded(layout, pipeline, job, part, old, keeps)
    encoded = perf_counter()
    with replacing(layout.store, key):
        exchange.put(key, data)
    return data, encoded


def _encoded(
    layout: ArrayLayout,
    pipeline: Pipeline,
    job: ChunkJob,
    part: NDArray[Any],
    old: Buffer | None,
    write_empty_chunks: bool,  # noqa: FBT001  passed on as it is
) -> Buffer | None:
    chunk = _merged(layout, pipeline, job, part, old)
    if not write_empty_chunks and is_filled(chunk, layout.fill):
        return None
    return pipeline.encode(chunk)


def replace_object(layout: ArrayLayout, key: str, data: Buffer | None) -> None:
    """Puts a stored object, or deletes one that holds nothing but the fill value."""
    with replacing(layout.store, key):
        if data is None:
            layout.store.delete(key)
        else:
            layout.store.put(key, data)


def _failed(
    layout: ArrayLayout, coords: tuple[int, ...], error: ZlabError, recorder: Recorder | None
) -> ChunkError:
    failure = error if isinstance(error, ChunkError) else write_failed(layout, coords, error)
    if recorder is not None:
        recorder.fail(failure)
    return failure


def write_failed(
    layout: ArrayLayout,
    coords: tuple[int, ...],
    error: ZlabError,
    hint: str = "The old chunk is as it was; others of this write may be stored already",
) -> ChunkWriteError:
    """The error that says which chunk of which store could not be written."""
    shard = coords if layout.sharding is None else layout.shard_of(coords)
    return ChunkWriteError(
        f"cannot write a chunk: {error.what}",
        coords=coords,
        codec=getattr(error, "codec", None),
        store=layout.store.name,
        key=layout.key(shard),
        hint=error.hint or hint,
    )


def _write_shard(
    layout: ArrayLayout,
    box: NDArray[Any],
    run: Run,
    *,
    call: ArrayCall | None,
    write_empty_chunks: bool,
) -> None:
    sharding, shard = layout.sharding, run.shard
    if sharding is None or shard is None:
        return
    recorder = Recorder.start(layout, "write", len(run.jobs), call)
    try:
        with layout.access.locks.hold(layout.store, layout.key(shard)):
            write = _ShardWrite(layout, sharding, shard, write_empty_chunks)
            write.replace(run.jobs, box, recorder)
    except ZlabError as error:
        failure = _failed(layout, run.jobs[0].coords, error, recorder)
        if failure is error:
            raise
        raise failure from error
    finally:
        if recorder is not None:
            recorder.stop()


@dataclass(frozen=True, slots=True)
class _ShardWrite:
    """The replacement of one shard by one with some of its inner chunks changed."""

    layout: ArrayLayout
    sharding: ShardingCodec
    shard: tuple[int, ...]
    write_empty_chunks: bool

    def replace(self, jobs: list[ChunkJob], box: NDArray[Any], recorder: Recorder | None) -> None:
        layout = self.layout
        key = layout.key(self.shard)
        times: list[float] = []
        if self._is_complete(jobs):
            parts: dict[tuple[int, ...], Buffer] = {}
            sizes = self._change(parts, jobs, box, times)
            replace_object(layout, key, self.sharding.join(parts) if parts else None)
        else:
            sizes = exchanged(layout.store, partial(self._exchange, key, jobs, box, times))
        if recorder is not None:
            # a chunk of a shard is stored when the shard is
            store_s = (perf_counter() - times[-1]) / len(jobs)
            for job, size, (begun, encoded) in zip(jobs, sizes, pairwise(times), strict=True):
                recorder.add(job.coords, size, job.part_of(box).nbytes, store_s, encoded - begun)

    def _exchange(
        self,
        key: str,
        jobs: list[ChunkJob],
        box: NDArray[Any],
        times: list[float],
        exchange: Exchange,
    ) -> list[int]:
        """Puts the shard that is stored with some of its chunks changed."""
        stored = exchange.get(key)
        parts = {} if stored is None else self.sharding.split(stored)
        sizes = self._change(parts, jobs, box, times)
        # as of chunks: what is not deleted here is an index without chunks
        keeps = bool(parts) or (exchange.conditional and stored is not None)
        with replacing(self.layout.store, key):
            exchange.put(key, self.sharding.join(parts) if keeps else None)
        return sizes

    def _change(
        self,
        parts: dict[tuple[int, ...], Buffer],
        jobs: list[ChunkJob],
        box: NDArray[Any],
        times: list[float],
    ) -> list[int]:
        """Encodes the chunks that change; their sizes, and the moments between them."""
        layout = self.layout
        first = layout.first_chunk(self.shard)
        pipeline = self.sharding.innermost
        sizes: list[int] = []
        times[:] = [perf_counter()]
        for job in jobs:
            inner = tuple(c - f for c, f in zip(job.coords, first, strict=True))
            old = None if job.covers else parts.get(inner)
            try:
                data = _encoded(
                    layout, pipeline, job, job.part_of(box), old, self.write_empty_chunks
                )
            except CodecError as error:
                raise write_failed(layout, job.coords, error) from error
            parts.pop(inner, None)
            if data is not None:
                # an encoder may hand back a view of the scratch array, which the next chunk takes
                parts[inner] = bytes(data)
            sizes.append(-1 if data is None else len(data))
            times.append(perf_counter())
        return sizes

    def _is_complete(self, jobs: list[ChunkJob]) -> bool:
        """Whether the jobs cover all of the shard that lies in the array."""
        covered = 1
        axes = zip(self.layout.objects.axes, self.layout.chunks.axes, self.shard, strict=True)
        for shards, chunks, s in axes:
            last = min(shards.start(s) + shards.size(s), shards.length) - 1
            covered *= chunks.chunk_at(last) - chunks.chunk_at(shards.start(s)) + 1
        return len(jobs) == covered and all(job.covers for job in jobs)
