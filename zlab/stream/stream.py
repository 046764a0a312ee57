"""What all streams share: a description that reads when it is iterated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field, fields
from time import perf_counter
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, Self, TypeVar, cast
from weakref import WeakKeyDictionary

from zlab.stream.ahead import Halt
from zlab.telemetry.events import StreamStart, StreamStop
from zlab.telemetry.hub import hub

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Generator
    from types import TracebackType

    from zlab.engine.layout import ArrayLayout

T = TypeVar("T")

_END = object()


class Tally:
    """What one iteration has handed on so far, for its stop event."""

    __slots__ = ("nbytes", "nchunks")

    def __init__(self) -> None:
        self.nchunks = 0
        self.nbytes = 0

    def add(self, nchunks: int, nbytes: int) -> None:
        """So many chunks were visited, and so many bytes handed on."""
        self.nchunks += nchunks
        self.nbytes += nbytes


@dataclass(frozen=True, eq=False)
class Stream(ABC, Generic[T]):
    """A description of a stream: nothing is read before an iteration is asked for its first item.

    It can be iterated any number of times, also at once, with `for` and `async for`. An iteration
    ends, and lets go of what was read ahead, when it is exhausted, closed or dropped; a `with`
    block closes those that were begun inside it.

    Attributes:
        layout: Of the array.
    """

    kind: ClassVar[str]
    layout: ArrayLayout
    _iterations: WeakKeyDictionary[Generator[T], Halt] = field(
        init=False, repr=False, default_factory=WeakKeyDictionary
    )

    @property
    @abstractmethod
    def max_nchunks(self) -> int:
        """Chunks that an iteration visits at most."""

    @abstractmethod
    def items(self, halt: Halt, tally: Tally) -> Generator[T]:
        """One iteration, which ends soon after `halt` is set."""

    def __iter__(self) -> Generator[T]:
        return self._begin(Halt())

    def _begin(self, halt: Halt) -> Generator[T]:
        iteration = self._observed(halt)
        self._iterations[iteration] = halt
        return iteration

    def _observed(self, halt: Halt) -> Generator[T]:
        number, start, tally = hub.new_stream(), perf_counter(), Tally()
        store, path = self.layout.store.name, self.layout.path
        if hub.active:
            hub.emit(StreamStart(number, self.kind, store, path, self.max_nchunks))
        outcome: Literal["exhausted", "closed", "failed"] = "closed"
        try:
            yield from self.items(halt, tally)
            outcome = "closed" if halt.is_set() else "exhausted"
        except Exception:
            outcome = "failed"
            raise
        finally:
            halt.set()
            if hub.active:
                seconds = perf_counter() - start
                nchunks, nbytes = tally.nchunks, tally.nbytes
                hub.emit(
                    StreamStop(number, self.kind, store, path, nchunks, nbytes, seconds, outcome)
                )

    def __reduce__(self) -> tuple[object, ...]:
        # the description travels, its iterations do not
        values = (getattr(self, given.name) for given in fields(self) if given.init)
        return type(self), tuple(values)

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
