from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab import Stage, pipeline
from zlab.errors import PipelineError
from zlab.telemetry import capture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def double(number: int) -> int:
    return 2 * number


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.001)


@given(
    st.integers(0, 40),
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from([None, 1, 3])), max_size=3),
    st.one_of(st.none(), st.integers(1, 5)),
    st.booleans(),
)
def test_every_item_comes_out_once(
    n: int, shape: list[tuple[int, int | None]], max_in_flight: int | None, ordered: bool
) -> None:
    def flat(value: Any) -> list[int]:
        return [i for part in value for i in flat(part)] if isinstance(value, list) else [value]

    stages = [Stage(lambda value: value, workers=w, batch=b, name="same") for w, b in shape]
    acknowledged: list[int] = []
    pipe = pipeline(
        range(n),
        *stages,
        max_in_flight=max_in_flight,
        ordered=ordered,
        acknowledge=acknowledged.append,
    )
    out = flat(list(pipe))
    if ordered:
        assert out == acknowledged == list(range(n))
    assert sorted(out) == sorted(acknowledged) == list(range(n))
    assert pipe.report().nitems == n


def test_chunks_of_a_stream_go_through() -> None:
    array = zlab.create_array({}, data=np.arange(60), chunks=7)
    target = zlab.create_array({}, shape=60, chunks=7, dtype="int64")
    scaled = pipeline(
        array.stream_chunks(), lambda chunk: (chunk.coords, chunk.data * 10), workers=3
    )
    assert target.write_stream(scaled).written == 9
    assert target[...].tolist() == list(range(0, 600, 10))


def test_nothing_is_asked_for_before_the_first_item() -> None:
    asked: list[int] = []

    def source() -> Iterator[int]:
        for n in range(5):
            asked.append(n)
            yield n

    pipe = pipeline(source(), double)
    iteration = iter(pipe)
    assert asked == []
    assert next(iteration) == 0
    iteration.close()


def test_a_slow_consumer_holds_the_source_back() -> None:
    asked = 0

    def source() -> Iterator[int]:
        nonlocal asked
        for n in range(1000):
            asked += 1
            yield n

    iteration = iter(pipeline(source(), double, workers=2, max_in_flight=5))
    assert next(iteration) == 0
    # the one that the consumer has is in flight until it asks for the next
    wait_until(lambda: asked == 5)
    assert next(iteration) == 2
    wait_until(lambda: asked == 6)
    iteration.close()
    assert asked <= 7


def test_a_batch_is_full_where_it_can_be() -> None:
    pipe = pipeline(range(10), Stage(list, batch=4, workers=1), workers=1)
    assert list(pipe) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    # room for fewer than a batch: what there can be is handed over
    assert list(pipeline(range(5), Stage(list, batch=4, workers=1), max_in_flight=2)) == [
        [0, 1],
        [2, 3],
        [4],
    ]


def test_a_sink_is_called_before_the_acknowledgement() -> None:
    log: list[tuple[str, int]] = []
    lock = threading.Lock()

    def store(number: int) -> None:
        with lock:
            log.append(("stored", number))

    def acknowledge(number: int) -> None:
        with lock:
            log.append(("acknowledged", 2 * number))

    report = pipeline(range(20), double, workers=3, sink=store, acknowledge=acknowledge).run()
    assert report.nitems == 20
    for number in range(0, 40, 2):
        assert log.index(("stored", number)) < log.index(("acknowledged", number))


def test_without_a_sink_an_item_is_acknowledged_when_the_next_is_asked_for() -> None:
    acknowledged: list[int] = []
    iteration = iter(pipeline(range(3), double, acknowledge=acknowledged.append))
    next(iteration)
    assert acknowledged == []
    next(iteration)
    assert acknowledged == [0]
    iteration.close()
    # it was not said that the second was dealt with
    assert acknowledged == [0]


def test_a_failing_item_is_tried_again_and_then_reported_with_its_coordinates() -> None:
    tries: Counter[int] = Counter()

    def stage(item: tuple[tuple[int, int], int]) -> int:
        tries[item[1]] += 1
        if item[1] == 3 or (item[1] == 5 and tries[5] < 3):
            raise LookupError(item[1])
        return item[1]

    acknowledged: list[Any] = []
    pipe = pipeline(
        [((n, 0), n) for n in range(8)],
        stage,
        retries=2,
        on_error="skip",
        workers=2,
        acknowledge=acknowledged.append,
    )
    with capture("pipeline.*") as captured:
        assert list(pipe) == [0, 1, 2, 4, 5, 6, 7]
    report = pipe.report()
    assert tries == Counter({3: 3, 5: 3}) + Counter([0, 1, 2, 4, 6, 7])
    (error,) = report.failed
    assert (error.item, error.attempts, error.stage) == ((3, 0), 3, "stage")
    assert isinstance(error.__cause__, LookupError)
    assert (report.nitems, report.nretried) == (7, 4)
    assert ((3, 0), 3) not in acknowledged
    names = Counter(event.name for event in captured.events)
    assert names["pipeline.retry"] == 4
    assert names["pipeline.failed"] == names["pipeline.start"] == names["pipeline.stop"] == 1
    assert captured.events[-1].outcome == "exhausted"


@pytest.mark.parametrize("workers", [1, 3])
def test_a_failure_ends_the_pipeline_by_default(workers: int) -> None:
    stored: list[int] = []
    acknowledged: list[int] = []
    pipe = pipeline(
        range(1000),
        lambda n: 1 // (n - 3) if n == 3 else n,
        workers=workers,
        sink=Stage(stored.append, workers=1),
        acknowledge=acknowledged.append,
    )
    with pytest.raises(PipelineError, match="ZeroDivisionError") as caught:
        pipe.run()
    assert (caught.value.item, caught.value.attempts) == (3, 1)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    # what the sink has is acknowledged, and nothing else
    assert acknowledged == stored
    assert len(stored) < 1000


def test_a_batch_fails_as_a_whole() -> None:
    def stage(batch: list[int]) -> list[int]:
        if 3 in batch:
            raise LookupError
        return batch

    errors: list[PipelineError] = []
    pipe = pipeline(range(6), Stage(stage, batch=2, workers=1), workers=1, on_error=errors.append)
    assert list(pipe) == [[0, 1], [4, 5]]
    assert [error.item for error in errors] == [2, 3]


def test_what_a_source_raises_comes_after_what_it_gave() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("no more")

    seen: list[int] = []
    with pytest.raises(LookupError, match="no more"):
        seen.extend(pipeline(source(), double, workers=2))
    assert seen == [2, 4]


@pytest.mark.parametrize("callback", ["acknowledge", "on_error"])
def test_what_a_callback_raises_ends_the_pipeline(callback: str) -> None:
    def refuse(_: object) -> None:
        raise KeyError("no")

    options: dict[str, Any] = {"on_error": "skip"} | {callback: refuse}
    with pytest.raises(KeyError):
        list(pipeline(range(10), lambda n: 1 // (n - 3), **options))


def test_closed_early_it_takes_what_is_in_flight_to_the_sink() -> None:
    stored: list[int] = []
    acknowledged: list[int] = []
    asked: list[int] = []

    def source() -> Iterator[int]:
        try:
            for n in range(10_000):
                asked.append(n)
                yield n
        finally:
            asked.append(-1)

    class Source:
        def __iter__(self) -> Iterator[int]:
            return source()

    with pipeline(
        Source(), double, workers=2, sink=stored.append, acknowledge=acknowledged.append
    ) as pipe:
        for _ in pipe:
            break
    assert sorted(stored) == sorted(2 * n for n in acknowledged)
    assert len(asked) < 100
    # those that were under way were stored; an iteration that was begun here is ended here
    assert asked[-1] == -1
    assert len(asked) - 2 <= len(stored) <= len(asked) - 1


def test_closed_early_without_a_sink_the_rest_is_let_go_of() -> None:
    begun = threading.Event()
    go_on = threading.Event()

    def stage(number: int) -> int:
        if number:
            begun.set()
            assert go_on.wait(60)
        return number

    iteration = iter(pipeline(range(100), stage, workers=2))
    assert next(iteration) == 0
    assert begun.wait(60)
    go_on.set()
    iteration.close()
    assert list(iteration) == []


def test_an_interrupt_of_the_consumer() -> None:
    go_on = threading.Event()
    done: list[int] = []

    def stage(number: int) -> int:
        if number:
            assert go_on.wait(60)
        done.append(number)
        return number

    with capture("pipeline.stop") as captured:
        iteration = iter(pipeline(range(100), stage, workers=1))
        assert next(iteration) == 0
        with pytest.raises(KeyboardInterrupt):
            iteration.throw(KeyboardInterrupt)
    # nobody waited for the call, which ends by itself; and nothing else begins
    go_on.set()
    wait_until(lambda: len(done) == 2)
    assert captured.events[0].outcome == "closed"


def test_an_iteration_that_is_dropped_ends() -> None:
    before = threading.active_count()
    iteration = iter(pipeline(range(100), double, workers=2))
    next(iteration)
    del iteration
    gc.collect()
    # threads of the pool stay, and wait for other work
    assert threading.active_count() <= before + 3
    assert list(pipeline(range(3), double)) == [0, 2, 4]


def test_it_can_be_iterated_again() -> None:
    pipe = pipeline([1, 2], double)
    assert list(pipe) == list(pipe) == [2, 4]


# -- asynchronous


def test_async_iteration_of_both_kinds_of_sources() -> None:
    async def numbers() -> AsyncIterator[int]:
        for n in range(5):
            await asyncio.sleep(0)
            yield n

    async def main() -> list[list[int]]:
        return [
            [n async for n in pipeline(numbers(), double, workers=2)],
            [n async for n in pipeline(range(5), double, workers=2)],
        ]

    assert asyncio.run(main()) == [[0, 2, 4, 6, 8]] * 2


def test_what_an_asynchronous_source_raises() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1
        raise LookupError

    async def main() -> list[int]:
        return [n async for n in pipeline(numbers(), double)]

    with pytest.raises(LookupError):
        asyncio.run(main())


def test_a_task_that_is_cancelled_ends_its_pipeline() -> None:
    stored: list[int] = []
    acknowledged: list[int] = []

    async def main() -> None:
        pipe = pipeline(range(10**9), double, sink=stored.append, acknowledge=acknowledged.append)

        async def consume() -> None:
            async for _ in pipe:
                pass

        task = asyncio.create_task(consume())
        await asyncio.to_thread(wait_until, lambda: stored)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert sorted(stored) == sorted(2 * n for n in acknowledged)


def test_an_asynchronous_source_needs_async_for() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError):
        list(pipeline(numbers(), double))


# -- what is asked for


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (ValueError, {"workers": 0}),
        (ValueError, {"max_in_flight": 0}),
        (ValueError, {"retries": -1}),
        (TypeError, {"workers": 1.5}),
        (TypeError, {"retries": True}),
        (ValueError, {"on_error": "ignore"}),
    ],
)
def test_bad_arguments(kind: type[Exception], bad: dict[str, Any]) -> None:
    with pytest.raises(kind, match=next(iter(bad))):
        pipeline([], double, **bad)


def test_bad_stages_and_sources() -> None:
    bad: Any = 3
    with pytest.raises(TypeError, match="a stage is a function"):
        pipeline([], bad)
    with pytest.raises(TypeError, match="can be iterated"):
        pipeline(bad, double)
    with pytest.raises(ValueError, match="batch must be at least 1"):
        Stage(double, batch=0)


def test_its_text_says_what_it_does() -> None:
    pipe = pipeline([1], double, Stage(sum, batch=3), sink=print, workers=2)
    assert repr(pipe) == (
        "<Pipeline list -> Stage(double) -> Stage(sum, batch=3) -> sink Stage(print): "
        "20 in flight, in order, 0 retries>"
    )
