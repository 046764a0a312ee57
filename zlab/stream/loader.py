"""Loads the runs of one iteration into chunks."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, final

from zlab.config import settings
from zlab.engine.plan import Run
from zlab.engine.read import absent, load_run, read_failed
from zlab.engine.shards import read_index
from zlab.errors import ChunkReadError, ChunkTimeoutError, StoreError, ZlabError
from zlab.stream.ahead import Unit
from zlab.stream.buffers import Buffers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.engine.plan import ChunkJob
    from zlab.engine.read import LoadedChunk
    from zlab.stream.ahead import Halt
    from zlab.stream.plan import Coords, StreamPlan
    from zlab.stream.runs import PlannedRun, Runs


@final
@dataclass(frozen=True, eq=False, slots=True)
class Chunk:
    """A chunk of a stream.

    Attributes:
        coords: Its coordinates in the array's chunk grid; of a stream of shards, in the grid of
            shards.
        region: Where `data` lies in the array, a slice for each axis.
        data: Its values, cropped to the array and to the stream's region; yours to keep and
            change, in memory that starts at a multiple of 64 bytes and that nobody else has as
            long as you, or a view of yours, refer to it.
        nbytes_stored: Its encoded size, 0 where it is not stored.
        present: Whether it is stored; if not, `data` is all fill.
    """

    coords: tuple[int, ...]
    region: tuple[slice, ...]
    data: NDArray[Any]
    nbytes_stored: int
    present: bool

    def __repr__(self) -> str:
        stored = f"{self.nbytes_stored} bytes stored" if self.present else "not stored"
        return f"<Chunk {self.coords} [{format_region(self.region)}] {self.data.dtype}, {stored}>"


def format_region(region: tuple[slice, ...]) -> str:
    """A region as it is typed between brackets."""
    return ", ".join(
        f"{part.start}:{part.stop}" + (f":{part.step}" if part.step not in (None, 1) else "")
        for part in region
    )


Outcome: TypeAlias = Chunk | ChunkReadError


class LoadedRun(NamedTuple):
    """A run that was loaded.

    Attributes:
        start: As in the planned run.
        stop: As in the planned run.
        outcomes: What is handed on, in order: chunks, and errors in the place of chunks.
    """

    start: int
    stop: int
    outcomes: deque[Outcome]


class _GivenUpError(Exception):
    """Ends a load whose result nobody waits for any more."""


class _Gates:
    """How many runs of a stream wait for the store at once, and how many threads decode.

    A run that came back from the store makes way for the next request before it is decoded. So
    requests wait for the store, and not for the cores.
    """

    def __init__(self, fetches: int) -> None:
        self.fetches = threading.BoundedSemaphore(fetches)
        self.decodes = threading.BoundedSemaphore(settings.threads)


class _Turn:
    """One run's way through the gates; `with` it while a chunk is decoded."""

    def __init__(self, gates: _Gates | None) -> None:
        self._gates = gates
        self._lock = threading.Lock()
        self._given_up = False
        self._since: float | None = None
        self._fetches = False

    def fetch(self) -> None:
        """The run goes to the store."""
        if self._gates is not None:
            self._gates.fetches.acquire()
            self._fetches = True
        self._since = monotonic()

    def since(self) -> float | None:
        """When it went to the store."""
        return self._since

    def fetched(self) -> None:
        """The run came back from the store, or nobody waits for it there any more."""
        with self._lock:
            held, self._fetches = self._fetches, False
        if held and self._gates is not None:
            self._gates.fetches.release()

    def give_up(self) -> None:
        """Nobody waits for the run any more; called once it went to the store."""
        self._given_up = True
        self.fetched()

    def __enter__(self) -> None:
        self.fetched()
        if self._given_up:
            raise _GivenUpError
        if self._gates is not None:
            self._gates.decodes.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._gates is not None:
            self._gates.decodes.release()


class Loader:
    """Makes chunks of planned runs; what one iteration of a stream has for it.

    Args:
        layout: Of the array.
        plan: What is visited.
        runs: Told what turned out to be there.
        halt: Ends the iteration when it is set.
        fetches: Requests that wait for the store at once, where it is not local.
        include_missing: Make chunks of fill where none is stored.
        keeps_going: Load what lies behind a chunk that failed.
        timeout: Seconds that a run may take.
    """

    def __init__(
        self,
        layout: ArrayLayout,
        plan: StreamPlan,
        runs: Runs,
        halt: Halt,
        *,
        fetches: int,
        include_missing: bool,
        keeps_going: bool,
        timeout: float | None,
    ) -> None:
        self._layout = layout
        self._plan = plan
        self._runs = runs
        self._halt = halt
        self._include_missing = include_missing
        self._keeps_going = keeps_going
        self._timeout = timeout
        self._gates = None if layout.store.local else _Gates(fetches)
        self._empty = Buffers(plan.largest * layout.dtype.itemsize).empty
        # shards whose index is being read: others that need it wait, and find it kept
        self._indexing: dict[Coords, threading.Lock] = {}

    def units(self) -> Iterator[Unit[LoadedRun]]:
        """What is loaded, one run after another."""
        watched = self._gates is not None or self._timeout is not None
        for planned in self._runs:
            turn = _Turn(self._gates) if watched else None
            yield Unit(
                planned.nbytes,
                partial(self._load, planned, turn),
                partial(self._give_up, planned, turn),
                None if turn is None else turn.since,
            )

    def _give_up(self, planned: PlannedRun, turn: _Turn | None) -> LoadedRun:
        if turn is not None:
            turn.give_up()
        jobs = planned.run.jobs if self._keeps_going else planned.run.jobs[:1]
        outcomes: deque[Outcome] = deque(self._too_late(job.coords) for job in jobs)
        return LoadedRun(planned.start, planned.stop, outcomes)

    def _too_late(self, coords: Coords) -> ChunkTimeoutError:
        layout = self._layout
        return ChunkTimeoutError(
            f"the chunk did not come within {self._timeout:g} seconds",
            coords=coords,
            store=layout.store.name,
            key=layout.key(self._plan.object_of(coords)),
            hint="Whether it exists is not known; nothing was filled in. Allow more with timeout=, "
            "or go on without it with on_error='skip'",
        )

    def _load(self, planned: PlannedRun, turn: _Turn | None) -> LoadedRun:
        if turn is None:
            return LoadedRun(planned.start, planned.stop, self._outcomes(planned.run, None))
        turn.fetch()
        try:
            return LoadedRun(planned.start, planned.stop, self._outcomes(planned.run, turn))
        finally:
            turn.fetched()

    def _outcomes(self, run: Run, turn: AbstractContextManager[object] | None) -> deque[Outcome]:
        """The chunks of a run in order, each as a chunk or as its error."""
        loaded: dict[Coords, LoadedChunk] = {}
        failed: dict[Coords, ChunkReadError] = {}
        jobs = run.jobs
        while not self._halt.is_set():
            left = [job for job in jobs if job.coords not in loaded and job.coords not in failed]
            if not left:
                break
            try:
                self._read_index(run.shard)
                for chunk in load_run(self._layout, Run(run.shard, left), turn, self._empty):
                    loaded[chunk.job.coords] = chunk
                    if self._halt.is_set():
                        break
            except ZlabError as error:
                failed |= self._failures(
                    error, run, [job for job in left if job.coords not in loaded]
                )
                if not self._keeps_going:
                    # chunks of a shard come as they lie there: some before the failed one are due
                    jobs = jobs[: next(n for n, job in enumerate(jobs) if job.coords in failed)]
        present = sum(chunk.data is not None for chunk in loaded.values())
        self._runs.saw(present=present, absent=1 if run.shard is not None else len(loaded))
        outcomes: deque[Outcome] = deque()
        for job in run.jobs:
            if job.coords in loaded:
                outcome = self._outcome(loaded[job.coords])
            else:
                outcome = failed.get(job.coords)
                if outcome is None:  # halted
                    break
            if outcome is None:
                continue
            outcomes.append(outcome)
            if not self._keeps_going and isinstance(outcome, ChunkReadError):
                break
        return outcomes

    def _read_index(self, shard: Coords | None) -> None:
        """Has a shard's index read by one thread, once."""
        if shard is None:
            return
        with self._indexing.setdefault(shard, threading.Lock()):
            read_index(self._layout, shard)
        self._indexing.pop(shard, None)

    def _failures(
        self, error: ZlabError, run: Run, left: list[ChunkJob]
    ) -> dict[Coords, ChunkReadError]:
        """The errors of the chunks that failed, one at least."""
        coords = [job.coords for job in left]
        cause = error.__cause__ if isinstance(error, ChunkReadError) else error
        whole = run.shard is not None and (
            not isinstance(error, ChunkReadError) or isinstance(cause, StoreError)
        )
        if isinstance(error, ChunkReadError) and not whole:
            return {error.coords if error.coords in coords else coords[0]: error}
        # the shard itself cannot be read, and each of its chunks would meet the same
        failures = {}
        for each in coords:
            failures[each] = read_failed(self._layout, each, cause or error)
            failures[each].__cause__ = cause or error
        return failures

    def _outcome(self, loaded: LoadedChunk) -> Outcome | None:
        job, data, nbytes_stored = loaded
        region = self._plan.region_of(job.coords)
        if data is not None:
            return Chunk(job.coords, region, data, nbytes_stored, present=True)
        if not self._include_missing:
            return None
        try:
            return Chunk(job.coords, region, self.fill_of(job), 0, present=False)
        except ChunkReadError as error:
            return error

    def fill_of(self, job: ChunkJob) -> NDArray[Any]:
        """What a chunk that is not stored holds.

        Raises:
            ChunkReadError: The array was opened so that such chunks are errors.
        """
        return filled(self._layout, job, self._empty)


def filled(layout: ArrayLayout, job: ChunkJob, empty: Any) -> NDArray[Any]:
    """What a chunk that is not stored holds.

    Raises:
        ChunkReadError: The array was opened so that such chunks are errors.
    """
    if layout.access.missing == "raise":
        raise absent(layout, job.coords)
    shape = tuple([part.stop - part.start for part in job.target])
    values: NDArray[Any] = empty(shape, layout.dtype)
    values[...] = layout.fill
    return values
