"""What is made of a stream: `map`, `filter`, `batch`, `window`, `reduce`, `stats`."""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.errors import ChunkReadError, DataTypeError, MemoryBudgetError
from zlab.stores.memory import MemoryStore
from zlab.stream.budget import process_held
from zlab.stream.stats import Stats, merged, stats_of
from zlab.telemetry import capture

if TYPE_CHECKING:
    from collections.abc import Callable

    from zlab.stream import Chunk

    Wait = Callable[[Callable[[], object]], None]

NBYTES = 16  # of a chunk


def numbers(n: int = 10) -> zlab.Array:
    """An array of `n` chunks of two int64."""
    return zlab.create_array(
        MemoryStore(), data=np.arange(1, 2 * n + 1), chunks=2, compressors=None
    )


def total(chunk: Chunk) -> int:
    return int(chunk.data.sum())


def is_even(chunk: Chunk) -> bool:
    return chunk.coords[0] % 2 == 0


@given(st.data())
def test_stages_do_what_their_names_say(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 12))
    array = numbers(n)
    workers = st.sampled_from([None, 1, 3])
    stream: Any = array.stream_chunks(
        ordered=data.draw(st.sampled_from([None, True])), concurrency=data.draw(st.integers(1, 4))
    )
    expected: list[Any] = [4 * k + 3 for k in range(n)]
    stream = stream.map(total, workers=data.draw(workers))
    for stage in data.draw(st.lists(st.sampled_from(["map", "filter", "batch", "window"]))):
        size = data.draw(st.integers(1, 4))
        match stage:
            case "map":
                stream = stream.map(repr, workers=data.draw(workers))
                expected = [repr(each) for each in expected]
            case "filter":
                stream = stream.filter(lambda each: len(repr(each)) % 3)
                expected = [each for each in expected if len(repr(each)) % 3]
            case "batch":
                dropped = data.draw(st.booleans())
                stream = stream.batch(size, drop_remainder=dropped)
                parts = [tuple(expected[k : k + size]) for k in range(0, len(expected), size)]
                expected = [part for part in parts if len(part) == size or not dropped]
            case _:
                stream = stream.window(size)
                last = len(expected) - size + 1
                expected = [tuple(expected[k : k + size]) for k in range(last)]
    assert list(stream) == expected
    # a description, to be read again and in another way
    assert asyncio.run(collected(stream)) == expected
    assert process_held() == 0


async def collected(stream: Any) -> list[Any]:
    return [item async for item in stream]


def test_nothing_is_read_before_the_first_result_is_asked_for(counted: Callable[..., Any]) -> None:
    made = counted((40,), chunks=4)
    stream = made.array.stream_chunks().map(total, workers=2).filter(bool).batch(3)
    assert repr(stream).endswith(".map(total).filter(bool).batch(3)")
    assert stream.max_nchunks == 10
    assert made.chunk_gets() == {}
    assert len(list(stream)) == 4
    assert set(made.chunk_gets().values()) == {1}


def test_every_chunk_is_mapped_once_by_several_threads(counted: Callable[..., Any]) -> None:
    made = counted((400,), chunks=4)
    together = threading.Barrier(3, timeout=60)
    threads = set()

    def meet(chunk: Chunk) -> tuple[int, ...]:
        threads.add(threading.current_thread().name)
        if chunk.coords[0] < 99:
            together.wait()
        return chunk.coords

    assert list(made.array.map_chunks(meet, workers=3)) == [(n,) for n in range(100)]
    assert len(threads) >= 3
    assert set(made.chunk_gets().values()) == {1}


@pytest.mark.parametrize("workers", [None, 2])
def test_an_error_of_the_function_names_the_item(workers: int | None) -> None:
    def fails(chunk: Chunk) -> int:
        if chunk.coords == (3,):
            raise ZeroDivisionError
        return chunk.coords[0]

    results: list[int] = []
    with pytest.raises(ZeroDivisionError) as caught:
        results.extend(numbers().stream_chunks().map(fails, workers=workers))
    assert results == [0, 1, 2]
    (note,) = caught.value.__notes__
    assert "fails was called with <Chunk (3,) [6:8]" in note


@pytest.mark.parametrize("workers", [None, 2])
def test_a_chunk_that_cannot_be_read_ends_a_stream_of_results_in_its_turn(
    workers: int | None,
) -> None:
    memory = MemoryStore()
    zlab.create_array(memory, data=np.arange(1, 21), chunks=2)
    memory.put("c/4", b"not zstd")
    results: list[int] = []
    with pytest.raises(ChunkReadError) as caught:
        results.extend(zlab.open_array(memory).stream_chunks().map(total, workers=workers))
    assert caught.value.coords == (4,)
    assert results == [3, 7, 11, 15]


def leave(stream: Any) -> None:
    for _ in stream:
        break


def close(stream: Any) -> None:
    results = iter(stream)
    next(results)
    results.close()


def fail(stream: Any) -> None:
    def stumble() -> None:
        with stream:
            for _ in stream:
                raise LookupError

    with pytest.raises(LookupError):
        stumble()


@pytest.mark.parametrize("stop", [leave, close, fail])
@pytest.mark.parametrize("workers", [None, 3])
def test_a_stream_of_results_that_is_left_early_lets_go(
    counted: Callable[..., Any], wait_until: Wait, stop: Callable[[Any], None], workers: int | None
) -> None:
    made = counted((4000,), chunks=4)
    with capture("stream.stop") as captured:
        stop(made.array.stream_chunks(max_bytes=160).map(total, workers=workers).batch(1))
    assert [event.outcome for event in captured.events] == ["closed"]
    wait_until(lambda: process_held() == 0)
    assert len(made.chunk_gets()) < 200
    assert set(made.chunk_gets().values()) == {1}


@pytest.mark.parametrize("stage", ["map", "batch", "window"])
def test_what_a_stage_holds_counts(wait_until: Wait, stage: str) -> None:
    array = numbers(200)
    budget = 8 * NBYTES
    stream = array.stream_chunks(max_bytes=budget)
    derived: Any = stream.map(total, workers=2)
    if stage != "map":
        derived = getattr(stream, stage)(5)
    held = [process_held() for _ in derived]
    assert max(held) <= budget
    assert max(held) > 0
    wait_until(lambda: process_held() == 0)


def test_a_stage_that_cannot_hold_what_it_must_says_so_before_any_read(
    counted: Callable[..., Any],
) -> None:
    made = counted((40,), chunks=4)
    stream = made.array.stream_chunks(max_bytes=4 * NBYTES)
    stages: list[tuple[Callable[[], Any], int]] = [
        (lambda: stream.batch(5), 5),
        (lambda: stream.window(6), 6),
        (lambda: stream.map(total, workers=2), 5),
        (lambda: stream.batch(2).window(3), 6),
    ]
    for stage, needed in stages:
        with pytest.raises(MemoryBudgetError) as caught:
            stage()
        assert (caught.value.needed, caught.value.budget) == (needed * NBYTES, 4 * NBYTES)
    assert made.chunk_gets() == {}
    assert len(list(stream.batch(2).window(2))) == 4
    made.store.reset()
    assert len(list(stream.batch(4))) == 3
    assert made.store.counts.gets == 10


def test_streams_of_results_travel_to_another_process(tmp_path: Any) -> None:
    array = zlab.create_array(str(tmp_path), data=np.arange(1, 21), chunks=2)
    stream = array.stream_chunks(ordered=True).filter(is_even).map(total, workers=2).batch(2)
    assert list(pickle.loads(pickle.dumps(stream))) == [(3, 11), (19, 27), (35,)]  # noqa: S301


def test_reduce_puts_all_items_into_one_value() -> None:
    stream = numbers().stream_chunks()
    assert stream.reduce(lambda value, chunk: value + total(chunk), 0) == 210
    assert stream.map(total).reduce(max, 0) == 39


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda s: s.map(3), TypeError),
        (lambda s: s.map(total, workers=0), ValueError),
        (lambda s: s.filter(None), TypeError),
        (lambda s: s.batch(0), ValueError),
        (lambda s: s.batch(2, drop_remainder="no"), TypeError),
        (lambda s: s.window(1.5), TypeError),
        (lambda s: s.reduce(0, max), TypeError),
        (lambda s: s.stats(skipna="no"), TypeError),
    ],
)
def test_stages_of_something_else_are_refused(call: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        call(numbers().stream_chunks())


# -- statistics


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), max_size=60),
    st.sampled_from(["float64", "float32", "int16", "uint64", "bool"]),
    st.integers(1, 7),
    st.sampled_from([None, 2]),
)
def test_statistics_are_numpys(
    values: list[float], dtype: str, chunk: int, workers: int | None
) -> None:
    data = np.asarray(values, "float32").astype("int64").astype(dtype)
    array = zlab.create_array({}, data=data, chunks=chunk)
    stats = array.stream_chunks(include_missing=True).stats(workers=workers)
    assert stats.count == data.size
    if not data.size:
        assert (stats.sum, stats.min, stats.max) == (0, None, None)
        assert np.isnan([stats.mean, stats.var, stats.std]).all()
        return
    assert (stats.min, stats.max) == (data.min(), data.max())
    exact = sum(data.tolist())
    assert stats.sum == pytest.approx(exact, rel=1e-12, abs=1e-9)
    if dtype not in ("float64", "float32"):
        assert stats.sum == exact
    assert stats.mean == pytest.approx(data.mean(dtype="float64"), rel=1e-9, abs=1e-9)
    scale = float(np.abs(data.astype("float64")).max())
    assert stats.std == pytest.approx(data.astype("float64").std(), rel=1e-6, abs=1e-7 * scale)


def test_nan_makes_statistics_nan_unless_it_is_left_out() -> None:
    data = np.array([1.0, 2.0, np.nan, 3.0, 5.0, np.nan])
    array = zlab.create_array({}, data=data, chunks=2)
    stats = array.stream_chunks().stats()
    assert np.isnan([stats.sum, stats.mean, stats.var, stats.min, stats.max]).all()
    stats = array.stream_slices(length=3).stats(skipna=True)
    assert (stats.count, stats.sum, stats.min, stats.max) == (4, 11.0, 1.0, 5.0)
    assert stats.var == pytest.approx(np.nanvar(data))


def test_sums_of_integers_are_exact() -> None:
    data = np.full(1000, np.iinfo(np.int64).min)
    array = zlab.create_array({}, data=data, chunks=100)
    assert array.stream_chunks().stats().sum == 1000 * -(2**63)
    most = np.full(1000, np.iinfo(np.uint64).max)
    array = zlab.create_array({}, data=most, chunks=100)
    assert array.stream_chunks().stats().sum == 1000 * (2**64 - 1)


def test_statistics_of_results() -> None:
    stats = numbers().stream_chunks().map(lambda chunk: chunk.data * 0.5).stats()
    assert (stats.count, stats.min, stats.max, stats.mean) == (20, 0.5, 10.0, 5.25)
    assert merged(Stats(), stats) == stats
    assert stats_of(np.float32(2.5), skipna=False).sum == 2.5


def test_there_are_no_statistics_of_text() -> None:
    array = zlab.create_array({}, data=np.array(["a", "b"]), chunks=1)
    with pytest.raises(DataTypeError, match="no statistics"):
        array.stream_chunks().stats()
