"""Chunk streams: one chunk after another, read ahead in bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, ClassVar, cast, final

from zlab.config import settings
from zlab.engine.plan import Run
from zlab.engine.read import absent, load_run
from zlab.engine.selection import parse_region
from zlab.errors import ChunkReadError
from zlab.memory import aligned_empty
from zlab.stream.ahead import ReadAhead, Unit, raise_in_turn
from zlab.stream.arguments import check_kind, flag, whole_number
from zlab.stream.budget import Account
from zlab.stream.plan import StreamPlan
from zlab.stream.runs import Runs
from zlab.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.engine.plan import ChunkJob
    from zlab.engine.read import LoadedChunk
    from zlab.engine.selection import Span
    from zlab.stream.ahead import Halt
    from zlab.stream.plan import Coords, Order
    from zlab.stream.stream import Tally

_LOCAL_RUN = 1 << 20  # decoded bytes that are handed over at once, from a store that is near
_REMOTE_RUN = 16 << 20  # the same for inner chunks of a shard, fetched by one request


@final
@dataclass(frozen=True, eq=False, slots=True)
class Chunk:
    """A chunk of a stream.

    Attributes:
        coords: Its coordinates in the array's chunk grid.
        region: Where `data` lies in the array, a slice for each axis.
        data: Its values, cropped to the array and to the stream's region; yours to keep and
            change, in memory of its own that starts at a multiple of 64 bytes.
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


@final
@dataclass(frozen=True, eq=False, repr=False)
class ChunkStream(Stream[Chunk]):
    """The chunks of an array, or of a region of it, as a stream; see `Array.stream_chunks`.

    Attributes:
        region: What is read, a slice for each axis.
        order: In which order the chunks come.
        concurrency: Chunks, or runs of small chunks, that are read at once.
        include_missing: Whether chunks that are not stored come too.
        filter: Which chunks are read, by their coordinates; `None` for all.
        max_bytes: Decoded bytes that are in flight or wait for the consumer, at most.
    """

    kind: ClassVar[str] = "chunks"

    region: tuple[slice, ...]
    order: Order
    concurrency: int
    include_missing: bool
    filter: Callable[[Coords], object] | None
    max_bytes: int

    @cached_property
    def plan(self) -> StreamPlan:
        """Which chunks are visited, in order. No bytes are read for it."""
        return StreamPlan(self.layout, self.region, self.order, self.filter)

    @property
    def max_nchunks(self) -> int:
        """Chunks that an iteration visits at most."""
        return self.plan.nchunks

    def __repr__(self) -> str:
        place = f"{self.layout.store.name}/{self.layout.path}".rstrip("/")
        order = {"C": "in C order", "shards": "shard by shard", "any": "in any order"}[self.order]
        stored = "" if self.include_missing else ", those that are stored"
        return (
            f"<ChunkStream {place} [{format_region(self.region)}]: {self.plan.nchunks} chunks of "
            f"{self.layout.dtype} at most{stored}, {order}, {self.concurrency} at once, "
            f"{self.max_bytes / (1 << 20):g} MiB ahead at most>"
        )

    def items(self, halt: Halt, tally: Tally) -> Generator[Chunk]:
        """One iteration."""
        runs = self._runs(halt)
        slots = None
        if not self.layout.store.local:
            # many requests wait for the store, but no more threads decode than there are cores
            slots = threading.BoundedSemaphore(settings.threads)
        ahead = ReadAhead(
            (Unit(nbytes, partial(self._load, run, runs, slots, halt)) for nbytes, run in runs),
            Account(self.max_bytes),
            width=self.concurrency,
            depth=2 * self.concurrency,
            ordered=self.order != "any",
            halt=halt,
        )
        for rest, (chunks, error) in ahead:
            while chunks:
                nbytes = chunks[0].data.nbytes
                tally.add(1, nbytes)
                ahead.release(nbytes)
                rest -= nbytes  # noqa: PLW2901  what is left of it
                # not held by a name here: it is the consumer's alone
                yield chunks.popleft()
            # what was taken for chunks that turned out to be absent
            ahead.release(rest)
            if error is not None:
                raise_in_turn(error)

    def _runs(self, halt: Halt) -> Runs:
        plan, width = self.plan, self.concurrency
        budget = min(self.max_bytes, settings.memory_budget)
        if self.layout.store.local:
            max_chunks = max(1, min(64, plan.nchunks // (4 * width)))
            max_bytes = _LOCAL_RUN
        else:
            # each object is a request of its own, but those for one shard are put together
            max_chunks = max(1, plan.nchunks // (2 * width)) if self.layout.sharding else 1
            max_bytes = _REMOTE_RUN
        return Runs(
            self.layout,
            plan,
            halt,
            stored_only=not self.include_missing,
            max_chunks=max_chunks,
            max_bytes=min(max_bytes, budget // (2 * width)),
        )

    def _load(
        self,
        run: Run,
        runs: Runs,
        slots: threading.BoundedSemaphore | None,
        halt: Halt,
    ) -> tuple[deque[Chunk], ChunkReadError | None]:
        """The chunks of a run in order, up to the first that fails."""
        loaded: dict[Coords, LoadedChunk] = {}
        jobs, failure = run.jobs, None
        while not halt.is_set():
            missing = [job for job in jobs if job.coords not in loaded]
            if not missing:
                break
            try:
                for chunk in load_run(self.layout, Run(run.shard, missing), slots):
                    loaded[chunk.job.coords] = chunk
                    if halt.is_set():
                        break
            except ChunkReadError as error:
                # chunks of a shard come as they lie there: some before the failed one may be due
                failure = error
                due = takewhile(error.coords.__ne__, (job.coords for job in jobs))
                jobs = jobs[: len(list(due))]
        present = sum(chunk.data is not None for chunk in loaded.values())
        objects = 1 if run.shard is not None else len(loaded)
        runs.saw(present=present, absent=objects)
        chunks: deque[Chunk] = deque()
        for job in jobs:
            if job.coords not in loaded:  # halted
                break
            _, data, nbytes_stored = loaded[job.coords]
            if data is None and not self.include_missing:
                continue
            try:
                values = fill_of(self.layout, job) if data is None else data
            except ChunkReadError as error:
                failure = error
                break
            region = self.plan.region_of(job.coords)
            chunks.append(Chunk(job.coords, region, values, nbytes_stored, data is not None))
        return chunks, failure


def fill_of(layout: ArrayLayout, job: ChunkJob) -> NDArray[Any]:
    """What a chunk that is not stored holds.

    Raises:
        ChunkReadError: The array was opened so that such chunks are errors.
    """
    if layout.access.missing == "raise":
        raise absent(layout, job.coords)
    values = aligned_empty(tuple([part.stop - part.start for part in job.target]), layout.dtype)
    values[...] = layout.fill
    return values


def stream_chunks(
    layout: ArrayLayout,
    *,
    region: object = None,
    concurrency: int | None = None,
    ordered: bool | None = None,
    filter: Callable[[Coords], object] | None = None,  # noqa: A002  as in the public method
    include_missing: bool = False,
    max_bytes: int | None = None,
) -> ChunkStream:
    """Describes a stream of chunks; `Array.stream_chunks` tells what the arguments mean.

    Raises:
        SelectionError: The region is not inside the array.
        TypeError: An argument is not what its name says.
        ValueError: `concurrency` or `max_bytes` is less than 1.
    """
    if filter is not None:
        # to mypy Callable is no class, but it is one to isinstance
        kind: Any = Callable
        check_kind(filter, kind, "filter", "a function of a chunk's coordinates")
    if ordered is not None:
        ordered = flag(ordered, "ordered")
    if concurrency is None:
        concurrency = settings.threads if layout.store.local else settings.fetch_concurrency
    spans = cast("tuple[Span, ...]", parse_region(region, layout.metadata.shape).spans)
    order: Order = "any"
    if ordered or (ordered is None and layout.sharding is None):
        order = "C"
    elif ordered is None:
        order = "shards"
    return ChunkStream(
        layout,
        tuple(slice(span.start, span.start + span.count) for span in spans),
        order,
        whole_number(concurrency, "concurrency", least=1),
        flag(include_missing, "include_missing"),
        filter,
        whole_number(
            settings.memory_budget if max_bytes is None else max_bytes, "max_bytes", least=1
        ),
    )
