"""Writing arrays larger than memory: entries in, each stored object put once.

The caller's thread asks the source, checks what comes and keeps the books; a crew of threads
encodes and puts. What belongs to an object that is not complete waits, encoded, on a shelf: in
memory up to a limit, then in a temporary file. A stored object is never read to be changed, but
for those that are incomplete at the end, where that was asked for.
"""

from __future__ import annotations

import operator
import pickle
import threading
from collections import deque
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast, final

import numpy as np

from zlab.codecs.fill import is_filled
from zlab.config import settings
from zlab.engine.locks import threads
from zlab.engine.plan import Run, plan_runs
from zlab.engine.read import fetch_run, scratch
from zlab.engine.record import Recorder
from zlab.engine.selection import fit_value, parse_region
from zlab.engine.write import replace_object, stored_chunk, write_failed
from zlab.errors import (
    ChunkError,
    EntryError,
    SelectionError,
    ZlabError,
)
from zlab.stream.arguments import flag, whole_number
from zlab.stream.assembly import Assembly, Partial, box_of, chunks_of, number_of, whole_chunk
from zlab.stream.budget import Account
from zlab.stream.checkpoint import Checkpoint, Ledger
from zlab.stream.crew import Crew
from zlab.stream.loader import Chunk
from zlab.stream.ranges import Ranges
from zlab.stream.slices import Slice
from zlab.stream.spill import Shelf
from zlab.telemetry.events import StreamProgress, StreamStart, StreamStop
from zlab.telemetry.hub import hub

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.engine.plan import ChunkJob
    from zlab.engine.selection import Span
    from zlab.memory import Buffer
    from zlab.stream.assembly import Coords
    from zlab.stream.stream import Progress
    from zlab.telemetry.events import Outcome

OnError: TypeAlias = "Literal['raise', 'skip'] | Callable[[ZlabError], object]"
Incomplete: TypeAlias = Literal["raise", "merge"]

_TELL_S = 0.2  # seconds between two events that tell of progress
_LOCAL_RUN = 1 << 18  # decoded bytes that are handed over at once, to a store that is near


@final
@dataclass(frozen=True, slots=True)
class WriteReport:
    """What a write stream did. Objects are chunks, of a sharded array shards.

    Attributes:
        written: Objects that were put.
        empty: Objects that were left out, and deleted where they were stored, since they hold
            nothing but the fill value.
        skipped: Objects that the checkpoint knew as complete, and that came again.
        failed: What went wrong and was passed over, as `on_error` asked for: each error has the
            coordinates of its chunk, and those of entries that do not fit their number.
        nentries: Entries that the source gave.
        nchunks: Chunks that came whole, in one entry or in several.
        nbytes: Bytes of the entries that were taken, decoded.
        nbytes_stored: Bytes that were put.
        nbytes_spilled: Bytes that went through the temporary file.
        duration_s: Seconds that it took.
    """

    written: int
    empty: int
    skipped: int
    failed: tuple[ZlabError, ...]
    nentries: int
    nchunks: int
    nbytes: int
    nbytes_stored: int
    nbytes_spilled: int
    duration_s: float


class _Entry(NamedTuple):
    """What the source gave, understood.

    Attributes:
        number: Its place in the source.
        jobs: The chunks that it has a part of.
        box: Its values.
        keeps: Whether its memory stays as it is when the source goes on.
    """

    number: int
    jobs: list[ChunkJob]
    box: NDArray[Any]
    keeps: bool


class _Task(NamedTuple):
    """A chunk that is to be encoded; with `job` of `None` an object that is to be merged.

    Attributes:
        assembly: The object that it belongs to.
        job: The chunk.
        data: Its values; `None` where they lie on the shelf in pieces.
        nbytes: Bytes that were taken from the account for it.
    """

    assembly: Assembly
    job: ChunkJob | None
    data: NDArray[Any] | None
    nbytes: int


def write_stream(
    layout: ArrayLayout,
    source: Iterable[object],
    *,
    batch_size: int = 32,
    validate: bool = True,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    concurrency: int | None = None,
    on_error: OnError = "raise",
    incomplete: Incomplete = "raise",
    write_empty_chunks: bool = False,
    max_bytes: int | None = None,
    progress: Progress = None,
) -> WriteReport:
    """Writes what a source gives; `Array.write_stream` tells what the arguments mean.

    Raises:
        TypeError: An argument is not what its name says, or the source cannot be iterated.
        ValueError: `batch_size`, `concurrency` or `max_bytes` is less than 1, or an option has no
            such value.
        EntryError: An entry does not fit the array, came already, or leaves an object incomplete.
        ChunkWriteError: A chunk could not be encoded or put.
        CheckpointError: The checkpoint is another write's, or is broken.
    """
    if not hasattr(source, "__iter__"):
        msg = f"a source is iterated with `for`, and {type(source).__name__} cannot be"
        raise TypeError(msg)
    if not callable(on_error) and on_error not in ("raise", "skip"):
        msg = f"on_error must be 'raise', 'skip' or a function of the error, not {on_error!r:.80}"
        raise ValueError(msg)
    if incomplete not in ("raise", "merge"):
        msg = f"incomplete must be 'raise' or 'merge', not {incomplete!r:.80}"
        raise ValueError(msg)
    if concurrency is None:
        concurrency = settings.threads if layout.store.local else settings.fetch_concurrency
    if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint)
    writer = _Writer(
        layout,
        batch_size=whole_number(batch_size, "batch_size", least=1),
        validate=flag(validate, "validate"),
        ledger=None if checkpoint is None else Ledger(checkpoint, layout),
        concurrency=whole_number(concurrency, "concurrency", least=1),
        on_error=on_error,
        merge=incomplete == "merge" and not layout.access.aligned,
        write_empty_chunks=flag(write_empty_chunks, "write_empty_chunks"),
        max_bytes=whole_number(
            settings.memory_budget if max_bytes is None else max_bytes, "max_bytes", least=1
        ),
        progress=progress,
    )
    return writer.run(source)


class _Entries:
    """Understands what a source gives."""

    def __init__(self, layout: ArrayLayout, *, validate: bool) -> None:
        self._layout = layout
        self._validate = validate
        self._shape = layout.metadata.shape

    def parse(self, number: int, value: object) -> _Entry:
        """The entry that a value is.

        Raises:
            EntryError: It does not fit the array.
        """
        region = getattr(value, "region", None)
        if region is not None:
            # a chunk or slice of a stream: its region says where, whatever grid it was cut by
            data, keeps = getattr(value, "data", None), isinstance(value, (Chunk, Slice))
        elif isinstance(value, (tuple, list)) and len(value) == 2:  # noqa: PLR2004  a pair
            (region, data), keeps = value, False
        else:
            raise self._refusal(
                number,
                f"{type(value).__name__} is no entry",
                hint="Entries are (coordinates, data), (region, data), or what a stream yields",
            )
        coords = self._coords(region)
        if coords is not None:
            if not self._layout.chunks.contains(coords):
                grid = self._layout.chunks.shape
                raise self._refusal(number, f"the grid of {grid} chunks has no such one", coords)
            job = whole_chunk(self._layout, coords)
            shape = tuple([part.stop for part in job.target])
            box, keeps = self._box(number, coords, data, shape, keeps=keeps)
            return _Entry(number, [job], box, keeps)
        try:
            spans = parse_region(region, self._shape).spans
        except SelectionError as error:
            raise self._refusal(number, error.what, hint=error.hint) from error
        shape = tuple([span.count for span in spans])
        first = self._first_chunk(cast("tuple[Span, ...]", spans))
        box, keeps = self._box(number, first, data, shape, keeps=keeps)
        _, runs = plan_runs(self._layout.chunks, spans, width=1)
        return _Entry(number, [job for run in runs for job in run.jobs], box, keeps)

    def _coords(self, place: object) -> Coords | None:
        """Chunk coordinates; `None` where a region is meant."""
        indices = place if isinstance(place, tuple) else (place,)
        if any(isinstance(index, slice) or index is Ellipsis for index in indices):
            return None
        try:
            return tuple([operator.index(cast("Any", index)) for index in indices])
        except TypeError:
            return None

    def _first_chunk(self, spans: tuple[Span, ...]) -> Coords | None:
        if any(span.count == 0 for span in spans):
            return None
        axes = self._layout.chunks.axes
        return tuple([axis.chunk_at(span.start) for axis, span in zip(axes, spans, strict=True)])

    def _box(
        self,
        number: int,
        coords: Coords | None,
        data: object,
        shape: tuple[int, ...],
        *,
        keeps: bool,
    ) -> tuple[NDArray[Any], bool]:
        """The values, and whether their memory stays as it is."""
        dtype = self._layout.dtype
        if not self._validate:
            try:
                return fit_value(data, shape, dtype), keeps
            except (ValueError, TypeError, OverflowError) as error:
                raise self._refusal(number, str(error), coords) from error
        array = np.asarray(data)
        if array.shape != shape:
            what = f"data of shape {array.shape}, where the array has {shape}"
            raise self._refusal(number, what, coords, "Data are cropped to the array at its edge")
        # "equiv" is the same but for the order of bytes
        if not np.can_cast(array.dtype, dtype, "equiv"):
            what = f"data of dtype {array.dtype}, where the array has {dtype}"
            hint = "Cast them, or pass validate=False to have them cast as an assignment does"
            raise self._refusal(number, what, coords, hint)
        # what another library lends to NumPy for reading does not change under it
        lent = array is not data and not array.flags.writeable and not isinstance(data, np.ndarray)
        return array.astype(dtype, copy=False), keeps or lent

    def _refusal(
        self, number: int, what: str, coords: Coords | None = None, hint: str | None = None
    ) -> EntryError:
        store, path = self._layout.store.name, self._layout.path
        return EntryError(what, entry=number, coords=coords, store=store, key=path, hint=hint)


class _Writer:
    """One write. Methods that begin with `_do` run in the crew's threads, the others do not."""

    def __init__(
        self,
        layout: ArrayLayout,
        *,
        batch_size: int,
        validate: bool,
        ledger: Ledger | None,
        concurrency: int,
        on_error: OnError,
        merge: bool,
        write_empty_chunks: bool,
        max_bytes: int,
        progress: Progress,
    ) -> None:
        self._layout = layout
        self._entries = _Entries(layout, validate=validate)
        self._batch_size = batch_size
        self._ledger = ledger
        self._on_error = on_error
        self._merge = merge
        self._write_empty_chunks = write_empty_chunks
        self._progress = progress
        self._told: Callable[[StreamProgress], object] | None = None
        self._number = hub.new_stream()
        self._begun = self._due = perf_counter()
        self._nchunks_told = 0
        self._account = Account(max_bytes)
        # the other half is for what is being encoded
        self._shelf = Shelf(self._account, max_bytes // 2)
        local = layout.store.local
        run_nbytes = min(_LOCAL_RUN, max_bytes // (4 * concurrency)) if local else 0
        self._crew = Crew(self._do_run, concurrency, run_nbytes)
        # many threads wait for a store that is far, but no more encode than there are cores
        self._turn = nullcontext() if local else threading.BoundedSemaphore(settings.threads)
        # the caller's alone
        self._open: dict[Coords, Assembly] = {}
        self._complete = Ranges()
        self._skipped = Ranges()
        self._failed: list[ZlabError] = []
        self._broken = False
        self._nentries = 0
        self._nchunks = 0
        self._nbytes = 0
        # shared with the crew, under the lock
        self._lock = threading.Lock()
        self._alone = threading.Lock()
        self._failures: deque[ZlabError] = deque()
        self._written = 0
        self._empty = 0
        self._nchunks_done = 0
        self._nbytes_stored = 0
        self._unsaved = 0

    # -- the caller's thread

    def run(self, source: Iterable[object]) -> WriteReport:
        """Writes all that the source gives."""
        layout, store, path = self._layout, self._layout.store.name, self._layout.path
        if hub.wants(StreamStart):
            hub.emit(StreamStart(self._number, "write", store, path, layout.chunks.nchunks))
        outcome: Outcome = "closed"
        problem: str | None = None
        try:
            with self._watching():
                self._take_all(source)
            outcome = "exhausted"
        except Exception as error:
            outcome, problem = "failed", f"{type(error).__name__}: {error}"
            error.add_note(f"Before that, {self._written} chunks or shards were put as a whole")
            raise
        finally:
            duration_s = perf_counter() - self._begun
            if hub.wants(StreamStop):
                nchunks, nskipped = self._nchunks, len(self._failed)
                stop = StreamStop(
                    self._number,
                    "write",
                    store,
                    path,
                    nchunks,
                    self._nbytes,
                    duration_s,
                    outcome,
                    nskipped,
                    problem,
                )
                hub.emit(stop)
        return WriteReport(
            written=self._written,
            empty=self._empty,
            skipped=self._skipped.count,
            failed=tuple(self._failed),
            nentries=self._nentries,
            nchunks=self._nchunks,
            nbytes=self._nbytes,
            nbytes_stored=self._nbytes_stored,
            nbytes_spilled=self._shelf.nbytes_spilled,
            duration_s=duration_s,
        )

    def _watching(self) -> AbstractContextManager[object]:
        if self._progress is True:
            from zlab.telemetry import ProgressBar  # noqa: PLC0415  tqdm is wanted now

            self._told = bar = ProgressBar()
            return bar
        self._told = self._progress
        return nullcontext()

    def _tell(self) -> None:
        """Tells how far the write is: the caller's function each time, others now and then."""
        now, done = perf_counter(), self._nchunks_done
        told = self._told if done > self._nchunks_told else None
        is_due = now >= self._due and hub.wants(StreamProgress)
        if told is None and not is_due:
            return
        event = StreamProgress(
            self._number,
            "write",
            self._layout.store.name,
            self._layout.path,
            done,
            self._layout.chunks.nchunks,
            self._nbytes,
            self._account.held,
            now - self._begun,
        )
        if told is not None:
            self._nchunks_told = done
            told(event)
        if is_due:
            self._due = now + _TELL_S
            hub.emit(event)

    def _take_all(self, source: Iterable[object]) -> None:
        iterator = iter(source)
        try:
            for value in iterator:
                self._take(value)
                del value
                self._look()
            self._drain()
            self._finish()
            self._drain()
        except Exception:
            if not self._broken:
                # the source's fault, or an entry's: those before it are written all the same
                self._crew.drain()
            raise
        except BaseException:
            # Ctrl-C: nobody waits for a put that may take long
            self._crew.leave(self._close)
            raise
        finally:
            # an iteration that was begun here is ended here
            if iterator is not source and hasattr(iterator, "close"):
                iterator.close()
            if not self._crew.stopped:
                self._crew.stop(self._close)
            with self._lock:
                self._save()

    def _close(self) -> None:
        """Lets go of everything, when nothing is under way any more."""
        self._shelf.close()
        self._account.release(self._account.held)
        with self._lock, suppress(ZlabError):  # of an interrupted write; else it is told
            self._save()

    def _look(self) -> None:
        """Tells what happened in the crew."""
        if self._crew.failure is not None:
            self._broken = True
            raise self._crew.failure
        while self._failures:
            self._broken = self._on_error == "raise"
            self._fail(self._failures.popleft())
        if self._told is not None or hub.wants(StreamProgress):
            self._tell()

    def _drain(self) -> None:
        while self._crew.wait():
            self._look()
        self._look()

    def _fail(self, error: ZlabError) -> None:
        if self._on_error == "raise":
            raise error
        _forget_frames(error)
        self._failed.append(error)
        if callable(self._on_error):
            self._on_error(error)

    def _admit(self, nbytes: int) -> None:
        """Waits until there is room for so many bytes."""
        while not self._account.admit(nbytes):
            if self._crew.wait():
                self._look()
            else:
                self._shelf.spill()

    def _take(self, value: object) -> None:
        number, self._nentries = self._nentries, self._nentries + 1
        # objects that begin with this entry; not among the others before all of it is checked
        begun: dict[Coords, Assembly] = {}
        wanted: list[tuple[ChunkJob, Assembly]] = []
        try:
            entry = self._entries.parse(number, value)
            for job in entry.jobs:
                assembly = self._assembly_of(job, number, begun)
                if assembly is not None:
                    if assembly.has_some_of(job):
                        raise self._duplicate(number, job.coords)
                    wanted.append((job, assembly))
        except EntryError as error:
            self._fail(error)
            return
        self._open |= begun
        self._nbytes += entry.box.nbytes
        for job, assembly in wanted:
            if not assembly.failed:
                self._take_part(entry, job, assembly)

    def _assembly_of(
        self, job: ChunkJob, entry: int, begun: dict[Coords, Assembly]
    ) -> Assembly | None:
        """The object that a chunk belongs to; `None` where it was complete before this write."""
        layout = self._layout
        coords = job.coords if layout.sharding is None else layout.shard_of(job.coords)
        assembly = self._open.get(coords) or begun.get(coords)
        if assembly is not None:
            return assembly
        number = number_of(coords, layout.objects.shape)
        if number in self._complete:
            raise self._duplicate(entry, job.coords)
        if self._ledger is not None:
            with self._lock:
                is_done = self._ledger.is_done(number)
            if is_done:
                if number not in self._skipped:
                    self._skipped.add(number, number + 1)
                    with self._lock:
                        self._nchunks_done += prod(map(len, chunks_of(layout, coords)))
                return None
        begun[coords] = assembly = Assembly(coords, number, entry, chunks_of(layout, coords))
        return assembly

    def _duplicate(self, entry: int, coords: Coords) -> EntryError:
        return EntryError(
            "an earlier entry wrote this chunk, or a part of it that this one has too",
            entry=entry,
            coords=coords,
            store=self._layout.store.name,
            key=self._layout.path,
            hint="Each element may come once in a write",
        )

    def _take_part(self, entry: _Entry, job: ChunkJob, assembly: Assembly) -> None:
        part = job.part_of(entry.box)
        coords = job.coords
        if not job.covers:
            self._admit(part.nbytes)
            partial = assembly.partial.setdefault(coords, Partial())
            partial.coverage.add(box_of(job))
            number = self._shelf.keep(_pack(part))
            partial.pieces.append((job.source, part.shape, number))
            job = whole_chunk(self._layout, coords)
            if partial.coverage.size < prod(part.stop for part in job.target):
                return
            nbytes, data = self._chunk_nbytes(coords), None
            self._admit(nbytes)
        else:
            # twice: for the values, and for what they are encoded to
            nbytes = 2 * part.nbytes
            self._admit(nbytes)
            data = part if entry.keeps else part.copy()
        self._nchunks += 1
        with self._lock:
            assembly.whole.add(coords)
            assembly.encoding += 1
            if assembly.is_complete:
                del self._open[assembly.coords]
                self._complete.add(assembly.number, assembly.number + 1)
        self._crew.give(_Task(assembly, job, data, nbytes), nbytes)

    def _chunk_nbytes(self, coords: Coords) -> int:
        return prod(self._layout.chunks.stored_shape(coords)) * self._layout.dtype.itemsize

    def _finish(self) -> None:
        """Does what was asked for with objects that are not complete."""
        left = [assembly for assembly in self._open.values() if not assembly.failed]
        for assembly in left:
            if not self._merge:
                self._fail(self._lacking(assembly, len(left)))
                continue
            nbytes = self._layout.pipeline(assembly.coords).chunk.nbytes
            self._admit(nbytes)
            self._crew.give(_Task(assembly, None, None, nbytes), nbytes)
            self._look()

    def _lacking(self, assembly: Assembly, nincomplete: int) -> EntryError:
        sharded = self._layout.sharding is not None
        missing = assembly.missing()
        what = f"its shard has {len(assembly.whole)} of {assembly.nchunks} chunks"
        return EntryError(
            f"the source ended, and {what if sharded else 'a part of its chunk did not come'}; "
            f"{nincomplete} {'shards' if sharded else 'chunks'} are incomplete, and not written",
            entry=assembly.entry,
            coords=missing[0],
            store=self._layout.store.name,
            key=self._layout.key(assembly.coords),
            hint="Pass incomplete='merge' to keep what is stored of the rest, or the fill value "
            "where there is nothing",
        )

    def _save(self) -> None:
        if self._ledger is not None and self._unsaved:
            self._ledger.save()
            self._unsaved = 0

    # -- the crew's threads

    def _do_run(self, run: list[_Task]) -> None:
        nchunks = sum(task.job is not None for task in run)
        recorder = Recorder.start(self._layout, "write", nchunks) if nchunks else None
        try:
            for task in run:
                if self._crew.stopped:
                    return
                try:
                    self._do_task(task, recorder)
                except ZlabError as error:
                    self._do_fail(task, error, recorder)
        finally:
            if recorder is not None:
                recorder.stop()

    def _do_task(self, task: _Task, recorder: Recorder | None) -> None:
        assembly, job = task.assembly, task.job
        if job is None:
            self._do_merge(task)
            return
        begun, kept = perf_counter(), 0
        try:
            with self._turn:
                data = self._do_encode(assembly, job, task.data)
            encoded = perf_counter()
            if self._layout.sharding is None:
                with threads.hold(self._layout.store, self._layout.key(job.coords)):
                    self._do_put(assembly, data)
            else:
                number = None
                if data is not None:
                    # the encoder may hand back a view of scratch memory
                    data = bytes(data)
                    number = self._shelf.keep(data)
                    kept = len(data)
                assembly.encoded[job.coords] = number
        finally:
            self._account.release(task.nbytes - kept)
            is_last = self._do_settle(assembly)
        if is_last and self._layout.sharding is not None:
            with threads.hold(self._layout.store, self._layout.key(assembly.coords)):
                self._do_put_shard(assembly)
        if recorder is not None:
            nbytes_stored = -1 if data is None else len(data)
            done = perf_counter()
            nbytes = _nbytes(job.target, self._layout)
            recorder.add(job.coords, nbytes_stored, nbytes, done - encoded, encoded - begun)

    def _do_settle(self, assembly: Assembly) -> bool:
        """A chunk is encoded, or failed; returns whether it was the last of an object to put."""
        with self._lock:
            assembly.encoding -= 1
            if assembly.encoding:
                return False
            if assembly.failed:
                self._do_drop(assembly)
            return assembly.is_complete and not assembly.failed

    def _do_encode(
        self, assembly: Assembly, job: ChunkJob, values: NDArray[Any] | None
    ) -> Buffer | None:
        """The encoded bytes, `None` for nothing but the fill value."""
        layout = self._layout
        pipeline = layout.chunk_pipeline(job.coords)
        if values is None or not job.whole:
            whole = scratch(pipeline.chunk.shape, pipeline.chunk.dtype)
            if not job.whole:
                whole[...] = layout.fill
            if values is None:
                self._do_place(assembly, job.coords, whole)
            else:
                whole[job.source] = values
            values = whole
        if not self._write_empty_chunks and is_filled(values, layout.fill):
            return None
        return pipeline.encode(values)

    def _do_place(self, assembly: Assembly, coords: Coords, whole: NDArray[Any]) -> None:
        """Places the pieces of a chunk, and drops them."""
        for source, shape, number in assembly.partial.pop(coords).pieces:
            whole[source] = _unpack(self._shelf.look(number), shape, whole.dtype)
            self._shelf.drop(number)

    def _do_put_shard(self, assembly: Assembly) -> None:
        sharding = self._layout.sharding
        if sharding is None:
            return
        first = self._layout.first_chunk(assembly.coords)
        numbers = {
            tuple([c - f for c, f in zip(coords, first, strict=True)]): number
            for coords, number in sorted(assembly.encoded.items())
            if number is not None
        }
        # the parts that come back from the file, and the shard that all are joined to
        with self._do_hold(2 * sum(map(self._shelf.nbytes, numbers.values()))):
            parts = {inner: self._shelf.look(number) for inner, number in numbers.items()}
            shard = sharding.assemble(parts) if parts else None
            parts.clear()
            self._do_drop(assembly)
            self._do_put(assembly, shard)

    @contextmanager
    def _do_hold(self, nbytes: int) -> Iterator[None]:
        """Takes bytes from the account; of those for which there is no room, one at a time.

        A thread of the crew cannot wait for room: the others may wait for it.
        """
        while not (admitted := self._account.admit(nbytes)) and self._shelf.spill():
            pass
        with nullcontext() if admitted else self._alone:
            try:
                yield
            finally:
                if admitted:
                    self._account.release(nbytes)

    def _do_put(self, assembly: Assembly, data: Buffer | None) -> None:
        """Puts an object, or deletes one of nothing but the fill value; then records it."""
        replace_object(self._layout, self._layout.key(assembly.coords), data)
        with self._lock:
            self._nchunks_done += assembly.nchunks
            if data is None:
                self._empty += 1
            else:
                self._written += 1
                self._nbytes_stored += len(data)
            if self._ledger is not None:
                self._ledger.record(assembly.number, stored=data is not None)
                self._unsaved += 1
                if self._unsaved >= self._batch_size:
                    self._save()

    def _do_merge(self, task: _Task) -> None:
        """Completes an object with what is stored of it, and puts it."""
        layout, assembly = self._layout, task.assembly
        sharded = layout.sharding is not None
        try:
            jobs = [whole_chunk(layout, coords) for coords in assembly.missing()]
            with layout.access.locks.hold(layout.store, layout.key(assembly.coords)):
                data: Buffer | None = None
                for job, old in fetch_run(layout, Run(assembly.coords if sharded else None, jobs)):
                    data = old
                    if job.coords in assembly.partial:
                        data = self._do_merge_chunk(assembly, job, old)
                    if sharded:
                        assembly.encoded[job.coords] = None if data is None else self._do_keep(data)
                if sharded:
                    self._do_put_shard(assembly)
                else:
                    self._do_put(assembly, data)
        finally:
            self._account.release(task.nbytes)

    def _do_merge_chunk(
        self, assembly: Assembly, job: ChunkJob, old: Buffer | None
    ) -> Buffer | None:
        layout = self._layout
        pipeline = layout.chunk_pipeline(job.coords)
        whole = stored_chunk(layout, job.coords, pipeline, old)
        self._do_place(assembly, job.coords, whole)
        if not self._write_empty_chunks and is_filled(whole, layout.fill):
            return None
        return pipeline.encode(whole)

    def _do_keep(self, data: Buffer) -> int:
        # as in `_do_hold`
        while not self._account.admit(len(data)) and self._shelf.spill():
            pass
        return self._shelf.keep(bytes(data))

    def _do_drop(self, assembly: Assembly) -> None:
        """Drops what the shelf has of an object."""
        for number in assembly.encoded.values():
            if number is not None:
                self._shelf.drop(number)
        assembly.encoded.clear()

    def _do_fail(self, task: _Task, error: ZlabError, recorder: Recorder | None) -> None:
        assembly = task.assembly
        coords = assembly.missing()[0] if task.job is None else task.job.coords
        failure = (
            error
            if isinstance(error, ChunkError)
            else write_failed(
                self._layout, coords, error, "What is stored under the key is as it was"
            )
        )
        if failure is not error:
            failure.__cause__ = error
        if recorder is not None:
            recorder.fail(failure)
        with self._lock:
            assembly.failed = True
            if not assembly.encoding:
                self._do_drop(assembly)
            self._failures.append(failure)


def _nbytes(box: tuple[slice, ...], layout: ArrayLayout) -> int:
    nbytes: int = prod(part.stop - part.start for part in box) * layout.dtype.itemsize
    return nbytes


def _pack(part: NDArray[Any]) -> bytes:
    """The values as bytes; strings and objects lie elsewhere in memory."""
    if part.dtype.hasobject or part.dtype.kind == "T":
        return pickle.dumps(part, protocol=5)
    return part.tobytes()


def _unpack(data: Buffer, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.hasobject or dtype.kind == "T":
        # this process packed it, and nobody else can name the file where it may have lain
        return cast("NDArray[Any]", pickle.loads(data))  # noqa: S301
    return np.frombuffer(data, np.uint8).view(dtype).reshape(shape)


def _forget_frames(error: BaseException | None) -> None:
    """Lets go of the arrays that the frames of an error hold."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__
