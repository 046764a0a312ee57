"""What all streams share: a description that reads when it is iterated, and what is made of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field, fields, replace
from functools import partial, reduce
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypeVar, cast, final
from weakref import WeakKeyDictionary

from zlab.errors import MemoryBudgetError
from zlab.stream import stages
from zlab.stream.ahead import Halt
from zlab.stream.arguments import check_callable, flag, whole_number
from zlab.stream.budget import Account
from zlab.stream.stats import Stats, merged, stats_of
from zlab.stream.tally import Tally
from zlab.telemetry.events import StreamProgress, StreamStart, StreamStop
from zlab.telemetry.hub import hub

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator
    from types import TracebackType
    from typing import TypeAlias

    from zlab.engine.layout import ArrayLayout
    from zlab.stream.tally import StreamReport

    Progress: TypeAlias = "Callable[[StreamProgress], object] | Literal[True] | None"

T = TypeVar("T")
U = TypeVar("U")

_END = object()
_TELL_S = 0.2  # seconds between two events that tell of progress


@dataclass(frozen=True, eq=False)
class Stream(ABC, Generic[T]):
    """A description of a stream: nothing is read before an iteration is asked for its first item.

    It can be iterated any number of times, also at once, with `for` and `async for`. An iteration
    ends, and lets go of what was read ahead, when it is exhausted, closed or dropped; a `with`
    block closes those that were begun inside it.

    Attributes:
        layout: Of the array.
        progress: Told after each item how far an iteration has come; `True` for a bar.
    """

    kind: ClassVar[str]
    layout: ArrayLayout
    progress: Progress = field(default=None, kw_only=True)
    _iterations: WeakKeyDictionary[Generator[T], Halt] = field(
        init=False, repr=False, default_factory=WeakKeyDictionary
    )
    # of the iteration that was begun last
    _latest: list[Tally] = field(init=False, repr=False, default_factory=list)

    # -- what each kind of stream says

    @property
    @abstractmethod
    def max_nchunks(self) -> int:
        """Chunks that an iteration visits at most."""

    @abstractmethod
    def items(self, halt: Halt, tally: Tally) -> Generator[T]:
        """One iteration, which ends soon after `halt` is set."""

    @property
    def item_nbytes(self) -> int:
        """Decoded bytes of the largest item."""
        return 0

    @property
    def least_nbytes(self) -> int:
        """Decoded bytes that must be held at once."""
        return self.item_nbytes

    def within(self, max_bytes: int) -> Self:  # noqa: ARG002  for those that have a budget
        """The same stream with so many bytes to hold."""
        return self

    def _new_tally(self) -> Tally:
        return Tally()

    # -- iteration

    def __iter__(self) -> Generator[T]:
        return self._begin(Halt())

    def _begin(self, halt: Halt) -> Generator[T]:
        iteration = self._observed(halt)
        self._iterations[iteration] = halt
        return iteration

    def _observed(self, halt: Halt) -> Generator[T]:
        tally = self._new_tally()
        self._latest[:] = [tally]
        number, start = hub.new_stream(), perf_counter()
        store, path = self.layout.store.name, self.layout.path
        if hub.active:
            hub.emit(StreamStart(number, self.kind, store, path, self.max_nchunks))
        outcome: Literal["exhausted", "closed", "failed"] = "closed"
        with self._watching(tally, number, start):
            try:
                yield from self.items(halt, tally)
                outcome = "closed" if halt.is_set() else "exhausted"
                tally.finished = outcome == "exhausted"
                if tally.finished and tally.watch is not None:
                    tally.watch()
            except Exception:
                outcome = "failed"
                raise
            finally:
                halt.set()
                if hub.active:
                    seconds = perf_counter() - start
                    nchunks, nbytes = tally.nchunks, tally.nbytes
                    hub.emit(
                        StreamStop(
                            number, self.kind, store, path, nchunks, nbytes, seconds, outcome
                        )
                    )

    def _watching(self, tally: Tally, number: int, start: float) -> Any:
        """Has the iteration tell how far it is, where somebody wants to know."""
        told: Callable[[StreamProgress], object] | None = None
        bar: Any = nullcontext()
        if self.progress is True:
            from zlab.telemetry import ProgressBar  # noqa: PLC0415  tqdm is wanted now

            told = bar = ProgressBar()
        elif self.progress is not None:
            told = self.progress
        if told is None and not hub.wants(StreamProgress):
            return bar
        due = start + _TELL_S

        def watch() -> None:
            nonlocal due
            now = perf_counter()
            is_due = now >= due and hub.wants(StreamProgress)
            if told is None and not is_due:
                return
            event = StreamProgress(
                number,
                self.kind,
                self.layout.store.name,
                self.layout.path,
                tally.visited,
                self.max_nchunks,
                tally.nbytes,
                tally.nbytes_held,
                now - start,
            )
            if told is not None:
                told(event)
            if is_due:
                due = now + _TELL_S
                hub.emit(event)

        tally.watch = watch
        return bar

    def report(self) -> StreamReport:
        """What the iteration that was begun last has done so far, and what it left out.

        Example:
            >>> import zlab
            >>> array = zlab.create_array({}, data=[1, 2, 3], chunks=1)
            >>> stream = array.stream_chunks()
            >>> for chunk in stream:
            ...     pass
            >>> stream.report().nchunks, stream.report().nskipped
            (3, 0)
        """
        return (self._latest[0] if self._latest else self._new_tally()).report()

    def __reduce__(self) -> tuple[object, ...]:
        # the description travels, its iterations do not
        values = {given.name: getattr(self, given.name) for given in fields(self) if given.init}
        return partial(type(self), **values), ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for iteration, halt in list(self._iterations.items()):
            halt.set()
            # one that another thread is inside of ends by itself
            with suppress(ValueError):
                iteration.close()

    async def __aiter__(self) -> AsyncGenerator[T]:
        import asyncio  # noqa: PLC0415  it costs 30 ms, and whoever is here has it

        halt = Halt()
        iteration = self._begin(halt)
        step: asyncio.Future[object] | None = None
        try:
            while True:
                # the loop stays free, and a cancelled task leaves the thread's step alone
                step = asyncio.ensure_future(asyncio.to_thread(next, iteration, _END))
                item = await asyncio.shield(step)
                if item is _END:
                    return
                yield cast("T", item)
                del item
        finally:
            halt.set()
            if step is not None:
                await asyncio.wait([step])
                if not step.cancelled():
                    # an error that comes too late is nobody's, and asyncio need not report it
                    step.exception()
            # a step that the loop gave up ends by itself
            with suppress(ValueError):
                iteration.close()

    # -- what is made of it

    def map(self, fn: Callable[[T], U], *, workers: int | None = None) -> Derived[U]:
        """The stream of a function's results, in the order of the items.

        Args:
            fn: Takes an item, such as a chunk. What it raises ends the stream, with a note that
                names the item.
            workers: Threads that call it; they are worth it for functions that let go of Python's
                lock, as NumPy's do. By default the consumer's thread does, when it asks for the
                next result.

        Raises:
            TypeError: An argument is not what its name says.
            ValueError: `workers` is less than 1.
            MemoryBudgetError: The items that wait for a worker, or for the consumer, are more than
                the stream may hold.

        Example:
            >>> import numpy as np, zlab
            >>> array = zlab.create_array({}, data=np.arange(6), chunks=2)
            >>> list(array.stream_chunks().map(lambda chunk: int(chunk.data.sum()), workers=2))
            [1, 5, 9]
        """
        check_callable(fn, "fn", "a function of an item")
        n = 0 if workers is None else whole_number(workers, "workers", least=1)
        stage = partial(stages.mapped, fn=fn, workers=n)
        return self._then(stage, f"map({_name_of(fn)})", kept=2 * n)

    def filter(self, fn: Callable[[T], object]) -> Derived[T]:
        """The items for which a function returns something true; all of them are read.

        To leave chunks out by their coordinates, without reading them, pass `filter=` to
        `Array.stream_chunks`.

        Raises:
            TypeError: It is no function.

        Example:
            >>> import numpy as np, zlab
            >>> array = zlab.create_array({}, data=np.arange(6), chunks=2)
            >>> late = array.stream_chunks().filter(lambda chunk: chunk.data.max() > 2)
            >>> [chunk.coords for chunk in late]
            [(1,), (2,)]
        """
        check_callable(fn, "fn", "a function of an item")
        return self._then(partial(stages.filtered, fn=fn), f"filter({_name_of(fn)})")

    def batch(self, n: int, *, drop_remainder: bool = False) -> Derived[tuple[T, ...]]:
        """The items as tuples of `n`; the last one may have fewer.

        Args:
            n: Items of a tuple.
            drop_remainder: Leave out a last tuple with fewer.

        Raises:
            TypeError: An argument is not what its name says.
            ValueError: `n` is less than 1.
            MemoryBudgetError: `n` items are more than the stream may hold.

        Example:
            >>> import numpy as np, zlab
            >>> array = zlab.create_array({}, data=np.arange(6), chunks=2)
            >>> [len(chunks) for chunks in array.stream_chunks().batch(2)]
            [2, 1]
        """
        n = whole_number(n, "n", least=1)
        dropped = flag(drop_remainder, "drop_remainder")
        stage = partial(stages.batched, n=n, drop_remainder=dropped)
        return self._then(stage, f"batch({n})", kept=n - 1, per_item=n)

    def window(self, n: int) -> Derived[tuple[T, ...]]:
        """Each item together with those before it, as tuples of `n`.

        Raises:
            TypeError: `n` is not a whole number.
            ValueError: `n` is less than 1.
            MemoryBudgetError: `n` items are more than the stream may hold.

        Example:
            >>> import numpy as np, zlab
            >>> array = zlab.create_array({}, data=np.arange(6), chunks=2)
            >>> [int(b.data[0] - a.data[-1]) for a, b in array.stream_chunks().window(2)]
            [1, 1]
        """
        n = whole_number(n, "n", least=1)
        stage = partial(stages.windowed, n=n)
        return self._then(stage, f"window({n})", kept=n - 1, per_item=n)

    def reduce(self, fn: Callable[[U, T], U], initial: U) -> U:
        """What is left when all items were put into one value, one after another.

        Args:
            fn: Takes the value so far and an item, and returns the next value.
            initial: The value before the first item.

        Example:
            >>> import numpy as np, zlab
            >>> array = zlab.create_array({}, data=np.arange(6), chunks=2)
            >>> int(array.stream_chunks().reduce(lambda most, c: max(most, c.data.max()), 0))
            5
        """
        check_callable(fn, "fn", "a function of the value so far and an item")
        with closing(iter(self)) as items:
            return reduce(fn, items, initial)

    def stats(self, *, skipna: bool = False, workers: int | None = None) -> Stats:
        """Count, sum, mean, variance, least and greatest of all values, in one pass.

        Only what the stream visits counts: pass `include_missing=True` for chunks that are not
        stored.

        Args:
            skipna: Leave NaN out; else one makes the results NaN.
            workers: As for `map`.

        Raises:
            DataTypeError: The values are no real numbers.

        Example:
            >>> import numpy as np, zlab
            >>> array = zlab.create_array({}, data=np.arange(6), chunks=2)
            >>> stats = array.stream_chunks(include_missing=True).stats()
            >>> stats.count, stats.mean, stats.min, stats.max
            (6, 2.5, 0, 5)
        """
        parts = self.map(partial(stats_of, skipna=flag(skipna, "skipna")), workers=workers)
        return parts.reduce(merged, Stats())

    def _then(
        self, stage: Callable[..., Iterator[U]], label: str, *, kept: int = 0, per_item: int = 1
    ) -> Derived[U]:
        return Derived(self.layout, self, stage, label, kept, per_item).checked()


def _name_of(fn: object) -> str:
    return str(getattr(fn, "__qualname__", None) or repr(fn))


def budget_of(stream: Stream[Any]) -> int | None:
    """Bytes that a stream may hold, `None` where it has no budget of its own."""
    return getattr(stream, "max_bytes", None)


@final
@dataclass(frozen=True, eq=False, repr=False)
class Derived(Stream[T]):
    """What became of a stream by `map`, `filter`, `batch` or `window`.

    Attributes:
        source: The stream that it is made of.
        stage: Makes an iterator of its items of one of the source's.
        label: What the stage does, in words.
        kept: Items of the source that the stage holds at most. They count: the source has so much
            less to hold.
        per_item: Items of the source in one of its own.
    """

    kind: ClassVar[str] = "derived"

    source: Stream[Any]
    stage: Callable[..., Iterator[T]]
    label: str
    kept: int
    per_item: int

    def checked(self) -> Self:
        """The stream itself, if there is room for what its stage holds.

        Raises:
            MemoryBudgetError: There is not.
        """
        needed, budget = self.least_nbytes, self.max_bytes
        if self.kept and budget is not None and needed > budget:
            raise MemoryBudgetError(
                f"{self.label} holds up to {self.kept} items while one more is read, which takes "
                f"{needed} bytes, more than the {budget} that the stream may hold",
                needed=needed,
                budget=budget,
                hint=f"Pass max_bytes={needed} to the stream that it is made of",
            )
        return self

    @property
    def max_bytes(self) -> int | None:
        """Decoded bytes that are in flight or wait, what the stage holds included."""
        return budget_of(self.source)

    @property
    def _kept_nbytes(self) -> int:
        return self.kept * self.source.item_nbytes

    @property
    def item_nbytes(self) -> int:
        """Decoded bytes that the largest item is made of."""
        return self.per_item * self.source.item_nbytes

    @property
    def least_nbytes(self) -> int:
        """Decoded bytes that must be held at once, by this stage and those before it."""
        return self._kept_nbytes + self.source.least_nbytes

    @property
    def max_nchunks(self) -> int:
        """Chunks that an iteration visits at most."""
        return self.source.max_nchunks

    def within(self, max_bytes: int) -> Self:
        """The same stream with so many bytes to hold."""
        return replace(self, source=self.source.within(max_bytes))

    def __repr__(self) -> str:
        return f"{self.source!r}.{self.label}"

    def _new_tally(self) -> Tally:
        return self.source._new_tally()  # noqa: SLF001  it is a stream too

    def items(self, halt: Halt, tally: Tally) -> Generator[T]:
        """One iteration."""
        source, kept = self.source, self._kept_nbytes
        if kept and self.max_bytes is not None:
            source = source.within(self.max_bytes - kept)
        items = source.items(halt, tally)
        with Account(kept).holding(kept):
            try:
                yield from self.stage(items, halt)
            except BaseException:
                # a worker of the stage may be waiting inside the source: it ends by itself
                halt.set()
                raise
            finally:
                with suppress(ValueError):
                    items.close()
