"""Pipelines: what goes through which stages, and how it is iterated."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, cast, final
from weakref import WeakKeyDictionary

from zlab.config import settings
from zlab.pipelines.run import PipelineReport, Run
from zlab.pipelines.stage import Stage, check_count

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterator
    from types import TracebackType

    from zlab.errors import PipelineError

__all__ = ["Pipeline", "PipelineReport", "pipeline"]

OnError: TypeAlias = "Literal['raise', 'skip'] | Callable[[PipelineError], object]"

_END = object()


@final
@dataclass(frozen=True, eq=False, repr=False)
class Pipeline:
    """Items from a source through stages to a sink; made by `zlab.pipeline`.

    It is a description: the source is asked, and threads and processes are started, when it is
    iterated or `run`, and only for what there is room for. With `for` and `async for` it yields
    what the last stage returned.

    Attributes:
        source: Where the items come from.
        stages: What is done with each, the sink last where there is one.
        has_sink: Whether the last stage is the sink.
        workers: Threads or processes of the stages that do not say how many.
        max_in_flight: Items between the source and their acknowledgement at once.
        retries: How often an item is tried again in a stage where it failed.
        ordered: Whether items leave each stage in the order in which they entered it.
        on_error: What becomes of an item that was given up.
        acknowledge: Called with each item of the source that is done.
    """

    source: Iterable[Any] | AsyncIterable[Any]
    stages: tuple[Stage, ...]
    has_sink: bool
    workers: int
    max_in_flight: int
    retries: int
    ordered: bool
    on_error: OnError
    acknowledge: Callable[[Any], object] | None
    _runs: WeakKeyDictionary[Generator[Any], Run] = field(
        init=False, default_factory=WeakKeyDictionary
    )
    # of the iteration that was begun last
    _latest: list[Run] = field(init=False, default_factory=list)

    def run(self) -> PipelineReport:
        """Takes all items of the source through the pipeline.

        Returns:
            What was done, and what was given up.

        Raises:
            PipelineError: An item was given up, and `on_error` is `"raise"`.
        """
        for _ in self:
            pass
        return self.report()

    def report(self) -> PipelineReport:
        """What the iteration that was begun last has done so far."""
        return self._latest[0].report() if self._latest else PipelineReport(0, (), 0, 0, 0.0)

    def __iter__(self) -> Generator[Any]:
        return self._begin(iter(cast("Iterable[Any]", self.source)))[0]

    def _begin(self, source: Iterator[Any]) -> tuple[Generator[Any], Run]:
        run = Run(self, source)
        self._latest[:] = [run]
        iteration = run.items()
        self._runs[iteration] = run
        return iteration, run

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for iteration in list(self._runs):
            # one that another thread is inside of ends by itself
            with suppress(ValueError):
                iteration.close()

    async def __aiter__(self) -> AsyncGenerator[Any]:
        import asyncio  # noqa: PLC0415  it costs 30 ms, and whoever is here has it

        source = self.source
        if not isinstance(source, Iterable):
            source = _FromLoop(source, asyncio.get_running_loop())
        iteration, run = self._begin(iter(source))
        step: asyncio.Future[object] | None = None
        try:
            while True:
                # the loop stays free, and a cancelled task leaves the thread's step alone
                step = asyncio.ensure_future(asyncio.to_thread(next, iteration, _END))
                item = await asyncio.shield(step)
                if item is _END:
                    return
                yield item
                del item
        finally:
            run.leave()
            if step is not None:
                await asyncio.wait([step])
                if not step.cancelled():
                    # an error that comes too late is nobody's, and asyncio need not report it
                    step.exception()
            with suppress(ValueError):
                await asyncio.to_thread(iteration.close)

    def __repr__(self) -> str:
        names = [type(self.source).__name__, *map(repr, self.stages)]
        if self.has_sink:
            names[-1] = f"sink {names[-1]}"
        order = "in order" if self.ordered else "in any order"
        return (
            f"<Pipeline {' -> '.join(names)}: {self.max_in_flight} in flight, {order}, "
            f"{self.retries} retries>"
        )


class _FromLoop:
    """An asynchronous source, asked from another thread than its loop's."""

    def __init__(self, source: AsyncIterable[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._iterator = aiter(source)
        self._loop = loop

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        import asyncio  # noqa: PLC0415  as above

        item = asyncio.run_coroutine_threadsafe(self._step(), self._loop).result()
        if item is _END:
            raise StopIteration
        return item

    async def _step(self) -> Any:
        return await anext(self._iterator, _END)


def pipeline(
    source: Iterable[Any] | AsyncIterable[Any],
    *stages: Stage | Callable[[Any], Any],
    workers: int | None = None,
    max_in_flight: int | None = None,
    retries: int = 0,
    sink: Stage | Callable[[Any], Any] | None = None,
    ordered: bool = True,
    on_error: OnError = "raise",
    acknowledge: Callable[[Any], object] | None = None,
) -> Pipeline:
    """Describes a pipeline: items from a source through stages to a sink, in bounded memory.

    The source is asked for the next item only when fewer than `max_in_flight` are under way. Each
    stage has threads or processes of its own. An item that fails is tried again; one that a worker
    process dies of too, and the process is replaced.

    Args:
        source: Any iterable, such as a stream of chunks. Another thread iterates it. One that is
            asynchronous can only be iterated with `async for`.
        *stages: Functions of an item, or `zlab.Stage`s, which say how they are called.
        workers: Threads or processes of each stage that does not say how many: the machine's cores
            by default.
        max_in_flight: Items between the source and their acknowledgement at once; by default twice
            as many as the workers can have in hand.
        retries: How often an item is tried again in a stage where it failed.
        sink: The last stage, such as one that stores what came out.
        ordered: Whether items leave each stage in the order in which they entered it. Those that
            wait for their turn are in flight.
        on_error: What becomes of an item that was given up: `"raise"` ends the pipeline, `"skip"`
            goes on and lists it in the report, and so does a function, which is called with the
            error in the consumer's thread.
        acknowledge: Called in the consumer's thread with each item of the source that is done:
            when the sink has returned, or without one when the consumer asks for the next result.

    Returns:
        A pipeline: `run` it, or iterate it with `for` or `async for`. Closed early, it takes what
        is in flight to the sink; without a sink it is let go of.

    Raises:
        TypeError: A stage is no function, or a number is none.
        ValueError: A number is less than 1, or `retries` less than 0.
        PipelineError: Raised by the iteration, with the coordinates of the item that was given up.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(6), chunks=2)
        >>> total = zlab.pipeline(array.stream_chunks(), lambda c: int(c.data.sum()), workers=2)
        >>> list(total)
        [1, 5, 9]
    """
    if not isinstance(source, Iterable) and not hasattr(source, "__aiter__"):
        msg = f"a source can be iterated, and {type(source).__name__} cannot"
        raise TypeError(msg)
    if not callable(on_error) and on_error not in ("raise", "skip"):
        msg = f"on_error must be 'raise', 'skip' or a function of the error, not {on_error!r:.80}"
        raise ValueError(msg)
    check_count(workers, "workers")
    check_count(max_in_flight, "max_in_flight")
    check_count(retries, "retries", least=0)
    given = [*stages] if sink is None else [*stages, sink]
    known = tuple(stage if isinstance(stage, Stage) else Stage(stage) for stage in given)
    width = settings.threads if workers is None else workers
    in_hand = sum((stage.workers or width) * (stage.batch or 1) for stage in known)
    return Pipeline(
        source,
        known,
        sink is not None,
        width,
        max_in_flight or max(2 * in_hand, 1),
        retries,
        ordered,
        on_error,
        acknowledge,
    )
