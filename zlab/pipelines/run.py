"""One iteration of a pipeline: lanes of workers between a feeder and the consumer.

All state is under one lock. A thread asks the source, the workers of a lane take what is in its
inbox, and the consumer takes what comes out of the last one; all wait for the same condition. What
concerns the user's callbacks happens in the consumer's thread.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, final

from zlab.engine.workers import submit
from zlab.errors import PipelineError, ZlabError
from zlab.pipelines.processes import ProcessCaller, WorkerDiedError, pack
from zlab.telemetry.events import (
    ItemFailed,
    ItemRetry,
    PipelineStart,
    PipelineStop,
    StageProgress,
    WorkerReplaced,
)
from zlab.telemetry.hub import hub

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from zlab.pipelines.pipeline import Pipeline
    from zlab.pipelines.stage import Stage
    from zlab.telemetry.events import Outcome

_WAKE_S = 0.5  # a wait without a limit cannot be interrupted on Windows
_TELL_S = 0.2  # seconds between two events that tell of progress


@final
@dataclass(frozen=True, slots=True)
class PipelineReport:
    """What a pipeline did.

    Attributes:
        nitems: Items of the source that are done, and acknowledged.
        failed: The items that were given up, as errors that name them.
        nretried: How often something was tried again.
        nreplaced: Worker processes that died and were replaced.
        duration_s: Seconds since it was begun.
    """

    nitems: int
    failed: tuple[PipelineError, ...]
    nretried: int
    nreplaced: int
    duration_s: float


class _Item(NamedTuple):
    """An item of the source.

    Attributes:
        name: Its coordinates where it has some, else its place in the source.
        value: The item, where it is to be acknowledged.
    """

    name: tuple[int, ...] | int
    value: Any


class _Job(NamedTuple):
    """What one or (from a batch on) several items have become."""

    items: tuple[_Item, ...]
    value: Any


@dataclass(slots=True, eq=False)
class _Lane:
    """A stage at work.

    Attributes:
        stage: What is done.
        width: Its workers.
        inbox: What waits for a worker.
        working: Jobs that are being worked on.
        taken: Jobs that were taken so far, which numbers them.
        handed: Jobs that were handed on so far, where they are to be in order.
        early: Jobs that are done before their turn; `None` for one that was given up.
    """

    stage: Stage
    width: int
    inbox: deque[_Job] = field(default_factory=deque)
    working: int = 0
    taken: int = 0
    handed: int = 0
    early: dict[int, _Job | None] = field(default_factory=dict)
    nitems: int = 0
    nfailed: int = 0
    nretried: int = 0
    busy_s: float = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        return not (self.inbox or self.working or self.early)

    @property
    def has_full(self) -> bool:
        """Whether as much waits as a worker takes at once."""
        return len(self.inbox) >= (self.stage.batch or 1)


class Run:
    """One iteration of a pipeline."""

    def __init__(self, plan: Pipeline, source: Iterator[Any]) -> None:
        self._plan = plan
        self._source = source
        self._changed = threading.Condition()
        self._lanes = [_Lane(stage, stage.workers or plan.workers) for stage in plan.stages]
        self._out: deque[_Job] = deque()
        self._failures: deque[PipelineError] = deque()
        self._in_flight = 0
        self._pulled = 0
        self._pulling = False
        self._exhausted = False
        self._source_error: BaseException | None = None
        self._stopped = False
        self._left = False
        self._threads = 0
        self._callers: set[ProcessCaller] = set()
        self._failed: list[PipelineError] = []
        self._nitems = 0
        self._nreplaced = 0
        self._number = 0
        self._begun = self._due = perf_counter()
        self._ended: float | None = None

    # -- the consumer's thread

    def items(self) -> Generator[Any]:
        """What comes out of the pipeline."""
        self._start()
        outcome: Outcome = "closed"
        problem: str | None = None
        try:
            while (job := self._next()) is not None:
                try:
                    if self._plan.has_sink:
                        self._acknowledge(job)
                    yield job.value
                    if not self._plan.has_sink:
                        self._acknowledge(job)
                finally:
                    self._settle(len(job.items))
                del job
            if self._left:
                self._drain()
            else:
                outcome = "exhausted"
        except GeneratorExit:
            self._drain()
            raise
        except Exception as error:
            outcome, problem = "failed", f"{type(error).__name__}: {error}"
            self._stop(kill=True)
            self._wait_for_threads()
            self._acknowledge_rest()
            raise
        except BaseException:
            # Ctrl-C: nobody waits for calls that may take long
            self._stop(kill=True)
            self._acknowledge_rest()
            raise
        else:
            self._stop(kill=False)
            self._wait_for_threads()
        finally:
            self._ended = perf_counter()
            self._tell_end(outcome, problem)

    def leave(self) -> None:
        """The consumer goes: its wait ends. Any thread may say so."""
        with self._changed:
            self._left = True
            self._changed.notify_all()

    def report(self) -> PipelineReport:
        """What was done so far."""
        with self._changed:
            return PipelineReport(
                self._nitems,
                tuple(self._failed),
                sum(lane.nretried for lane in self._lanes),
                self._nreplaced,
                (self._ended or perf_counter()) - self._begun,
            )

    def _start(self) -> None:
        plan = self._plan
        self._number, self._begun = hub.new_stream(), perf_counter()
        if hub.wants(PipelineStart):
            names = tuple(lane.stage.name for lane in self._lanes)
            width = sum(lane.width for lane in self._lanes)
            hub.emit(PipelineStart(self._number, names, width, plan.max_in_flight))
        # a function that cannot be sent is told before anything is begun
        packed = [pack(lane.stage.fn) if lane.stage.processes else None for lane in self._lanes]
        self._threads = 1 + sum(lane.width for lane in self._lanes)
        submit(self._feed)
        for place, lane in enumerate(self._lanes):
            for _ in range(lane.width):
                submit(partial(self._work, place, packed[place]))

    def _next(self) -> _Job | None:
        while True:
            with self._changed:
                while not (self._failures or self._out or self._is_done or self._left):
                    self._changed.wait(_WAKE_S)
                failures = list(self._failures)
                self._failures.clear()
                job = None if failures or self._left or not self._out else self._out.popleft()
                is_done = self._is_done or self._left
            self._tell_progress()
            for failure in failures:
                self._give_up(failure)
            if job is not None:
                return job
            if is_done and not failures:
                if self._source_error is not None and not self._left:
                    raise self._source_error
                return None

    @property
    def _is_done(self) -> bool:
        # closed early, the item that the source is being asked for does not count
        return self._exhausted and self._in_flight == self._pulling and not self._out

    def _give_up(self, failure: PipelineError) -> None:
        on_error = self._plan.on_error
        if on_error == "raise":
            raise failure
        _forget_frames(failure)
        self._failed.append(failure)
        if callable(on_error):
            on_error(failure)

    def _acknowledge(self, job: _Job) -> None:
        self._nitems += len(job.items)
        if self._plan.acknowledge is not None:
            for item in job.items:
                self._plan.acknowledge(item.value)

    def _settle(self, nitems: int) -> None:
        """So many items are no longer in flight."""
        with self._changed:
            self._in_flight -= nitems
            self._changed.notify_all()

    def _drain(self) -> None:
        """Takes what is in flight to the sink; nothing further is asked of the source."""
        with self._changed:
            self._exhausted = True
            self._left = False
            self._changed.notify_all()
        if self._plan.has_sink:
            while (job := self._next()) is not None:
                self._acknowledge(job)
                self._settle(len(job.items))
        # without a sink nobody takes what is being made
        self._stop(kill=not self._plan.has_sink)
        self._wait_for_threads()

    def _stop(self, *, kill: bool) -> None:
        """Nothing further is begun; calls in processes go on, or are ended too."""
        with self._changed:
            self._stopped = True
            for lane in self._lanes:
                lane.inbox.clear()
            self._changed.notify_all()
            callers = list(self._callers) if kill else []
        for caller in callers:
            caller.kill()

    def _acknowledge_rest(self) -> None:
        """Acknowledges what the sink has done already."""
        if self._plan.has_sink:
            while self._out:
                self._acknowledge(self._out.popleft())

    def _wait_for_threads(self) -> None:
        with self._changed:
            # the feeder may wait for its source, which nobody can end
            while self._threads - self._pulling:
                self._changed.wait(_WAKE_S)

    # -- the feeder's thread

    def _feed(self) -> None:
        try:
            while self._has_room():
                try:
                    value = next(self._source)
                except StopIteration:
                    self._fed(None)
                    return
                except BaseException as error:  # noqa: BLE001  raised again by the consumer
                    self._source_error = error
                    self._fed(None)
                    return
                name = _name_of(value, self._pulled)
                self._pulled += 1
                kept = value if self._plan.acknowledge is not None else None
                self._fed(_Job((_Item(name, kept),), value))
                del value, kept
        finally:
            # an iteration that was begun for this one is ended with it
            if self._source is not self._plan.source and hasattr(self._source, "close"):
                self._source.close()
            self._thread_ends()

    def _has_room(self) -> bool:
        """Waits until the source may be asked; returns whether it is to be."""
        with self._changed:
            while self._in_flight >= self._plan.max_in_flight and not self._is_over:
                self._changed.wait()
            if self._is_over:
                return False
            self._pulling = True
            self._in_flight += 1
            return True

    @property
    def _is_over(self) -> bool:
        return self._stopped or self._exhausted

    def _fed(self, job: _Job | None) -> None:
        with self._changed:
            self._pulling = False
            if job is None or self._is_over:
                self._exhausted = True
                self._in_flight -= 1
            else:
                self._push(0, job)
            self._changed.notify_all()

    # -- the workers' threads

    def _work(self, place: int, packed: bytes | None) -> None:
        """Takes jobs of a lane until there are no more."""
        lane = self._lanes[place]
        call: Callable[[Any], Any] = lane.stage.fn
        caller = None
        if packed is not None:
            call = caller = ProcessCaller(packed)
            with self._changed:
                self._callers.add(caller)
        try:
            while (taken := self._take(place)) is not None:
                self._do(lane, call, *taken)
                del taken
        finally:
            if caller is not None:
                caller.close()
                with self._changed:
                    self._callers.discard(caller)
            self._thread_ends()

    def _take(self, place: int) -> tuple[int, int, _Job] | None:
        lane = self._lanes[place]
        with self._changed:
            while not self._stopped:
                if lane.has_full or (lane.inbox and self._is_last_of_batch(place)):
                    job = self._taken(lane)
                    lane.working += 1
                    lane.taken += 1
                    return place, lane.taken - 1, job
                if self._is_done:
                    return None
                self._changed.wait()
            return None

    def _is_last_of_batch(self, place: int) -> bool:
        """Whether nothing more can come before what is there is taken."""
        if (self._pulling and not self._exhausted) or not all(
            lane.is_empty for lane in self._lanes[:place]
        ):
            return False
        if self._exhausted:
            return True
        # all that may be in flight waits, for batches that are not full
        return (
            self._in_flight >= self._plan.max_in_flight
            and not self._out
            and not any(lane.working or lane.has_full for lane in self._lanes)
        )

    @staticmethod
    def _taken(lane: _Lane) -> _Job:
        if lane.stage.batch is None:
            return lane.inbox.popleft()
        jobs = [lane.inbox.popleft() for _ in range(min(lane.stage.batch, len(lane.inbox)))]
        items = tuple(item for job in jobs for item in job.items)
        return _Job(items, [job.value for job in jobs])

    def _do(
        self, lane: _Lane, call: Callable[[Any], Any], place: int, number: int, job: _Job
    ) -> None:
        attempts = 0
        while True:
            attempts += 1
            begun = perf_counter()
            try:
                value = call(job.value)
            except BaseException as error:  # noqa: BLE001  a worker must not end by it
                failure = error
            else:
                with self._changed:
                    lane.busy_s += perf_counter() - begun
                    lane.nitems += len(job.items)
                    self._hand_on(place, number, _Job(job.items, value))
                return
            if self._stopped:
                with self._changed:
                    self._hand_on(place, number, None)
                return
            if isinstance(failure, WorkerDiedError):
                self._replaced(lane, failure)
            if attempts > self._plan.retries:
                break
            self._retries(lane, job, attempts, failure)
            del failure
        with self._changed:
            lane.busy_s += perf_counter() - begun
            lane.nfailed += len(job.items)
            self._in_flight -= len(job.items)
            self._failures.extend(_failures(lane, job, attempts, failure))
            self._hand_on(place, number, None)
        self._tell_failed(lane, job, attempts, failure)

    def _replaced(self, lane: _Lane, error: WorkerDiedError) -> None:
        with self._changed:
            self._nreplaced += 1
        if hub.wants(WorkerReplaced):
            hub.emit(WorkerReplaced(self._number, lane.stage.name, error.exitcode))

    def _retries(self, lane: _Lane, job: _Job, attempt: int, error: BaseException) -> None:
        with self._changed:
            lane.nretried += 1
        if hub.wants(ItemRetry):
            said = f"{type(error).__name__}: {error}"
            for item in job.items:
                hub.emit(ItemRetry(self._number, lane.stage.name, item.name, attempt, said))

    def _hand_on(self, place: int, number: int, job: _Job | None) -> None:
        """A job is done, or (`None`) given up."""
        lane = self._lanes[place]
        lane.working -= 1
        if not self._plan.ordered:
            if job is not None:
                self._push(place + 1, job)
        else:
            lane.early[number] = job
            while lane.handed in lane.early:
                due = lane.early.pop(lane.handed)
                lane.handed += 1
                if due is not None:
                    self._push(place + 1, due)
        self._changed.notify_all()

    def _push(self, place: int, job: _Job) -> None:
        (self._lanes[place].inbox if place < len(self._lanes) else self._out).append(job)

    def _thread_ends(self) -> None:
        with self._changed:
            self._threads -= 1
            self._changed.notify_all()

    # -- telemetry

    def _tell_progress(self) -> None:
        now = perf_counter()
        if now >= self._due and hub.wants(StageProgress):
            self._due = now + _TELL_S
            self._tell_stages()

    def _tell_stages(self) -> None:
        for lane in self._lanes:
            with self._changed:
                event = StageProgress(
                    self._number,
                    lane.stage.name,
                    lane.nitems,
                    lane.nfailed,
                    lane.nretried,
                    len(lane.inbox) + lane.working,
                    lane.busy_s,
                    perf_counter() - self._begun,
                )
            hub.emit(event)

    def _tell_failed(self, lane: _Lane, job: _Job, attempts: int, error: BaseException) -> None:
        if hub.wants(ItemFailed):
            said = f"{type(error).__name__}: {error}"
            for item in job.items:
                hub.emit(ItemFailed(self._number, lane.stage.name, item.name, attempts, said))

    def _tell_end(self, outcome: Outcome, problem: str | None) -> None:
        if hub.wants(StageProgress):
            self._tell_stages()
        if hub.wants(PipelineStop):
            nfailed = sum(lane.nfailed for lane in self._lanes)
            seconds = perf_counter() - self._begun
            hub.emit(PipelineStop(self._number, self._nitems, nfailed, seconds, outcome, problem))


def _name_of(value: Any, number: int) -> tuple[int, ...] | int:
    """The coordinates of an item where it has some, else its place in the source."""
    coords = getattr(value, "coords", None)
    if coords is None and isinstance(value, tuple) and value:
        coords = value[0]
    if isinstance(coords, tuple) and coords and all(isinstance(c, int) for c in coords):
        return coords
    return number


def _failures(
    lane: _Lane, job: _Job, attempts: int, error: BaseException
) -> Iterator[PipelineError]:
    what = error.what if isinstance(error, ZlabError) else f"{type(error).__name__}: {error}"
    for item in job.items:
        failure = PipelineError(
            what,
            stage=lane.stage.name,
            item=item.name,
            attempts=attempts,
            hint="With on_error='skip' the pipeline goes on without it",
        )
        failure.__cause__ = error
        yield failure


def _forget_frames(error: BaseException | None) -> None:
    """Lets go of what the frames of an error hold."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__
