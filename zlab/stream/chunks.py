"""Chunk streams: one chunk after another, read ahead in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias, cast, final, get_args

from zlab.config import settings
from zlab.engine.layout import ArrayLayout
from zlab.engine.selection import parse_region
from zlab.stream.ahead import ReadAhead
from zlab.stream.arguments import check_callable, flag, seconds, whole_number
from zlab.stream.budget import Account
from zlab.stream.failures import fail, parse_on_error, tell
from zlab.stream.loader import Chunk, Loader, format_region
from zlab.stream.plan import ORDERS, StreamPlan
from zlab.stream.ranges import Ranges
from zlab.stream.runs import Runs
from zlab.stream.state import format_state, parse_state
from zlab.stream.stream import Stream
from zlab.stream.tally import Tally

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Generator, Mapping

    from zlab.engine.selection import Span
    from zlab.errors import ChunkReadError
    from zlab.stream.ahead import Halt
    from zlab.stream.failures import OnError
    from zlab.stream.plan import Coords, Order
    from zlab.stream.stream import Progress

__all__ = ["By", "Chunk", "ChunkStream", "stream_chunks", "without_shards"]

By: TypeAlias = Literal["chunk", "shard"]

_LOCAL_RUN = 1 << 20  # decoded bytes that are handed over at once, from a store that is near
_REMOTE_RUN = 16 << 20  # the same for inner chunks of a shard, fetched by one request


@final
@dataclass(frozen=True, eq=False, repr=False)
class ChunkStream(Stream[Chunk]):
    """The chunks of an array, or of a region of it, as a stream; see `Array.stream_chunks`.

    Attributes:
        region: What is read, a slice for each axis.
        by: Whether its items are chunks, or whole shards.
        order: In which order they come.
        concurrency: Chunks, or runs of small chunks, that are read at once.
        include_missing: Whether chunks that are not stored come too.
        wanted: Which chunks are read, by their coordinates; `None` for all.
        max_bytes: Decoded bytes that are in flight or wait for the consumer, at most.
        timeout: Seconds that a chunk may take, `None` for as long as it takes.
        on_error: What becomes of a chunk that cannot be read.
        done: Numbers of the chunks that came in an earlier stream.
    """

    kind: ClassVar[str] = "chunks"

    region: tuple[slice, ...]
    by: By
    order: Order
    concurrency: int
    include_missing: bool
    wanted: Callable[[Coords], object] | None
    max_bytes: int
    timeout: float | None
    on_error: OnError
    done: Ranges = field(default_factory=Ranges)

    @cached_property
    def cut(self) -> ArrayLayout:
        """The layout whose chunks are the stream's items."""
        return without_shards(self.layout) if self.by == "shard" else self.layout

    @cached_property
    def plan(self) -> StreamPlan:
        """Which chunks are visited, in order. No bytes are read for it."""
        return StreamPlan(self.cut, self.region, self.order, self.wanted)

    @property
    def max_nchunks(self) -> int:
        """Chunks that an iteration visits at most."""
        return self.plan.nchunks

    @cached_property
    def item_nbytes(self) -> int:
        """Decoded bytes of the largest chunk."""
        return self.plan.largest * self.layout.dtype.itemsize

    def within(self, max_bytes: int) -> Self:
        """The same stream with so many bytes to hold."""
        return replace(self, max_bytes=max_bytes)

    def state(self) -> dict[str, Any]:
        """Where the iteration that was begun last has got to, for `Array.stream_chunks(state=)`.

        A chunk that was handed on is done; one that was skipped is not, and comes again. The state
        is small, goes into JSON, and fits only the array, region and order that it was taken of.
        Before any iteration it is the state that the stream began from.

        Example:
            >>> import zlab
            >>> array = zlab.create_array({}, data=[1, 2, 3], chunks=1)
            >>> stream = array.stream_chunks()
            >>> for chunk in stream:
            ...     break
            >>> [chunk.coords for chunk in array.stream_chunks(state=stream.state())]
            [(1,), (2,)]
        """
        done = self.done
        if self._latest:
            tally = self._latest[0]
            done = tally.done.copy()
            if tally.open is not None:
                start, coords = tally.open
                done.add(start, self.plan.number(coords) + 1)
        return format_state(self.layout, self.plan, self.by, done)

    def _new_tally(self) -> Tally:
        return Tally(self.done)

    def __repr__(self) -> str:
        place = f"{self.layout.store.name}/{self.layout.path}".rstrip("/")
        what = "shards" if self.by == "shard" else "chunks"
        parts = [
            f"{self.plan.nchunks} {what} of {self.layout.dtype} at most"
            + ("" if self.include_missing else ", those that are stored")
        ]
        if self.done.count:
            parts.append(f"{self.done.count} of them done")
        parts += [
            ORDERS[self.order],
            f"{self.concurrency} at once",
            f"{self.max_bytes / (1 << 20):g} MiB ahead at most",
        ]
        if self.item_nbytes > self.max_bytes:
            parts.append(f"but {what} of {self.item_nbytes / (1 << 20):g} MiB one at a time")
        if self.timeout is not None:
            parts.append(f"{self.timeout:g} s for each")
        return f"<ChunkStream {place} [{format_region(self.region)}]: {', '.join(parts)}>"

    def items(self, halt: Halt, tally: Tally) -> Generator[Chunk]:
        """One iteration."""
        yield from self.chunks(halt, tally, partial(fail, self.on_error, tally))
        tell(tally, f"{self.layout.store.name}/{self.layout.path}")

    def chunks(
        self, halt: Halt, tally: Tally, failed: Callable[[ChunkReadError], object]
    ) -> Generator[Chunk]:
        """One iteration, in which `failed` is called in the turn of a chunk that failed."""
        plan, width = self.plan, self.concurrency
        runs = self._runs(halt)
        loader = Loader(
            self.cut,
            plan,
            runs,
            halt,
            fetches=width,
            include_missing=self.include_missing,
            keeps_going=self.on_error != "raise",
            timeout=self.timeout,
        )
        if not self.layout.store.local:
            # those that decode what came do not keep others from asking for more
            width += settings.threads
        account = Account(self.max_bytes)
        tally.accounts.append(account)
        ahead = ReadAhead(
            loader.units(),
            account,
            width=width,
            depth=2 * width,
            ordered=self.order != "any",
            halt=halt,
            timeout=self.timeout,
        )
        behind = 0
        for rest, (start, stop, outcomes) in ahead:
            handed_on: deque[Any] = outcomes
            while outcomes:
                first = outcomes[0]
                if isinstance(first, Chunk):
                    nbytes, coords = first.data.nbytes, first.coords
                    # not held by a name here: it is the consumer's alone
                    del first
                    ahead.release(nbytes)
                    rest -= nbytes  # noqa: PLW2901  what is left of it
                    tally.open = start, coords
                    tally.add(1, nbytes)
                    yield handed_on.popleft()
                else:
                    number = plan.number(first.coords or ())
                    tally.done.add(start, number)
                    start, tally.open = number + 1, None  # noqa: PLW2901  settled up to here
                    failed(first)
                    outcomes.popleft()
                    del first
            # what was taken for chunks that turned out to be absent
            ahead.release(rest)
            tally.done.add(start, stop)
            tally.open = None
            tally.visited = tally.done.count + tally.nskipped
            behind = max(behind, stop)
        if not halt.is_set():
            # what lies behind the last run is not wanted, or not stored
            tally.done.add(behind, plan.nchunks)
            tally.visited = plan.nchunks

    def _runs(self, halt: Halt) -> Runs:
        plan, width = self.plan, self.concurrency
        budget = min(self.max_bytes, settings.memory_budget)
        sharded = self.cut.sharding is not None
        if self.layout.store.local:
            max_chunks = max(1, min(64, plan.nchunks // (4 * width)))
            max_bytes = _LOCAL_RUN
        else:
            # each object is a request of its own, but those for one shard are put together
            max_chunks = max(1, plan.nchunks // (2 * width)) if sharded else 1
            max_bytes = _REMOTE_RUN
        if self.timeout is not None and not sharded:
            max_chunks = 1  # so that each has its own time
        return Runs(
            self.cut,
            plan,
            halt,
            skip=self.done,
            stored_only=not self.include_missing,
            max_chunks=max_chunks,
            max_bytes=min(max_bytes, budget // (2 * width)),
        )


def without_shards(layout: ArrayLayout) -> ArrayLayout:
    """The same array with each of its stored objects as one chunk."""
    whole = ArrayLayout(layout.node_store, layout.path, layout.metadata, layout.access)
    whole.chunks, whole.sharding = whole.objects, None
    return whole


def stream_chunks(
    layout: ArrayLayout,
    *,
    region: object = None,
    by: By = "chunk",
    concurrency: int | None = None,
    ordered: bool | None = None,
    timeout: float | None = None,
    on_error: OnError = "raise",
    filter: Callable[[Coords], object] | None = None,  # noqa: A002  as in the public method
    include_missing: bool = False,
    max_bytes: int | None = None,
    progress: Progress = None,
    state: Mapping[str, Any] | None = None,
) -> ChunkStream:
    """Describes a stream of chunks; `Array.stream_chunks` tells what the arguments mean.

    Raises:
        SelectionError: The region is not inside the array.
        TypeError: An argument is not what its name says.
        ValueError: A number is too small, or the state is another stream's.
    """
    if filter is not None:
        check_callable(filter, "filter", "a function of a chunk's coordinates")
    if ordered is not None:
        ordered = flag(ordered, "ordered")
    if by not in get_args(By):
        msg = f"by must be 'chunk' or 'shard', not {by!r:.40}"
        raise ValueError(msg)
    if by == "shard" and layout.sharding is not None and layout.access.missing == "raise":
        msg = "by='shard' fills in what is missing inside a shard, and missing='raise' forbids it"
        raise ValueError(msg)
    check_progress(progress)
    if concurrency is None:
        concurrency = settings.threads if layout.store.local else settings.fetch_concurrency
    spans = cast("tuple[Span, ...]", parse_region(region, layout.metadata.shape).spans)
    order: Order = "any"
    if ordered or (ordered is None and (layout.sharding is None or by == "shard")):
        order = "C"
    elif ordered is None:
        order = "shards"
    stream = ChunkStream(
        layout,
        tuple(slice(span.start, span.start + span.count) for span in spans),
        by,
        order,
        whole_number(concurrency, "concurrency", least=1),
        flag(include_missing, "include_missing"),
        filter,
        whole_number(
            settings.memory_budget if max_bytes is None else max_bytes, "max_bytes", least=1
        ),
        None if timeout is None else seconds(timeout, "timeout"),
        parse_on_error(on_error),
        progress=progress,
    )
    if state is None:
        return stream
    return replace(stream, done=parse_state(state, layout, stream.plan, by))


def check_progress(progress: object) -> None:
    """Raises `TypeError` where it is neither a function, `True` nor `None`."""
    if progress is not None and progress is not True:
        check_callable(progress, "progress", "True, or a function of a StreamProgress")
