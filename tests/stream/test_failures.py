"""Chunks that cannot be read, or take too long: `on_error` and `timeout`."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import zlab
from zlab.errors import ChunkReadError, ChunkTimeoutError, StoreError
from zlab.stores.memory import MemoryStore
from zlab.stream.tally import MAX_LISTED
from zlab.testing import CountingStore, Fault, FaultStore, InterposedStore, LatencyStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zlab.stores.base import Store
    from zlab.testing import Call

pytestmark = pytest.mark.usefixtures("_quiet")


@pytest.fixture
def _quiet() -> Iterator[None]:
    """What is left out is logged, and that is looked at in one test."""
    log = logging.getLogger("zlab.stream")
    log.disabled = True
    yield
    log.disabled = False


def corrupted(
    n: int, bad: set[int], *, sharded: bool = False, far: bool = False
) -> tuple[zlab.Array, np.ndarray[Any, Any]]:
    """An array of `n` chunks of 4, some of which hold bytes that are none."""
    memory = MemoryStore()
    values = np.arange(4 * n, dtype="int32") + 1
    kwargs: dict[str, Any] = {"shards": 16} if sharded else {}
    zlab.create_array(memory, data=values, chunks=4, **kwargs)
    for coords in bad:
        if not sharded:
            memory.put(f"c/{coords}", b"not zstd")
            continue
        shard, inner = divmod(coords, 4)
        data = bytearray(memory.get(f"c/{shard}") or b"")
        index = np.frombuffer(data[-4 - 4 * 16 : -4], "<u8").reshape(4, 2)
        start, nbytes = (int(number) for number in index[inner])
        data[start : start + nbytes] = b"\0" * nbytes
        memory.put(f"c/{shard}", bytes(data))
    store: Store = LatencyStore(memory, 0) if far else memory
    return zlab.open_array(store), values


@given(st.data())
def test_what_fails_is_left_out_and_everything_else_comes_once(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 40))
    bad = data.draw(st.sets(st.integers(0, n - 1), max_size=6))
    array, values = corrupted(
        n, bad, sharded=data.draw(st.booleans()), far=data.draw(st.booleans())
    )
    stream = array.stream_chunks(
        on_error="skip",
        ordered=data.draw(st.sampled_from([None, True, False])),
        concurrency=data.draw(st.integers(1, 8)),
        max_bytes=data.draw(st.sampled_from([None, 1, 64])),
        timeout=data.draw(st.sampled_from([None, 60])),
    )
    coords = []
    for chunk in stream:
        assert_array_equal(chunk.data, values[chunk.region])
        coords.append(chunk.coords[0])
    assert sorted(coords) == sorted(set(range(n)) - bad)
    report = stream.report()
    assert (report.nchunks, report.nskipped, report.finished) == (n - len(bad), len(bad), True)
    assert sorted(error.coords or () for error in report.skipped) == sorted((c,) for c in bad)
    assert stream.state()["done"] == [list(pair) for pair in gaps_of(bad, n)]


def gaps_of(bad: set[int], n: int) -> Iterator[tuple[int, int]]:
    at = 0
    for stop in [*sorted(bad), n]:
        if at < stop:
            yield at, stop
        at = stop + 1


def test_what_is_left_out_is_counted_and_listed_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logging.getLogger("zlab.stream").disabled = False
    array, _ = corrupted(30, set(range(3, 27, 2)))
    stream = array.stream_chunks(on_error="skip")
    chunks = iter(stream)
    next(chunks)
    assert caplog.records == []
    for _ in chunks:
        pass
    (record,) = caplog.records
    text = record.getMessage()
    assert "12 left out that failed" in text
    assert "chunk (3,)" in text
    assert text.endswith("and 2 more")


def test_a_function_is_called_with_each_error_in_its_turn() -> None:
    array, _ = corrupted(6, {2, 4})
    told: list[Any] = []
    stream = array.stream_chunks(on_error=told.append)
    told.extend(stream)
    assert [each.coords for each in told] == [(n,) for n in range(6)]
    assert [isinstance(each, ChunkReadError) for each in told] == [
        False, False, True, False, True, False,
    ]  # fmt: skip


def test_a_function_may_end_the_stream() -> None:
    array, _ = corrupted(6, {2, 4})

    def give_up(error: ChunkReadError) -> None:
        msg = f"enough of {error.coords}"
        raise RuntimeError(msg)

    coords: list[Any] = []
    with pytest.raises(RuntimeError, match=r"enough of \(2,\)"):
        coords.extend(chunk.coords for chunk in array.stream_chunks(on_error=give_up))
    assert coords == [(0,), (1,)]


def test_a_store_that_fails_for_a_whole_shard_is_asked_once() -> None:
    memory = MemoryStore()
    zlab.create_array(memory, data=np.ones(64, "int32"), chunks=4, shards=16)
    counting = CountingStore(FaultStore(memory, [Fault(key="c/1")]))
    array = zlab.open_array(counting)
    counting.reset()
    stream = array.stream_chunks(on_error="skip", concurrency=1)
    assert [chunk.coords[0] for chunk in stream] == [0, 1, 2, 3, *range(8, 16)]
    assert counting.counts.keys["c/1"] == 1
    skipped = stream.report().skipped
    assert [error.coords for error in skipped] == [(n,) for n in range(4, 8)]
    assert all(isinstance(error.__cause__, StoreError) for error in skipped)


def test_slices_that_touch_a_broken_chunk_are_left_out() -> None:
    array, values = corrupted(10, {3, 7})
    stream = array.stream_slices(length=3, on_error="skip")
    starts = [(part.start, part.stop) for part in stream]
    whole = [(n, min(n + 3, 40)) for n in range(0, 40, 3)]
    broken = [(start, stop) for start, stop in whole for c in (3, 7) if start < 4 * c + 4 > c]
    touches = {
        (start, stop) for start, stop in whole for c in (3, 7) if start < 4 * c + 4 and stop > 4 * c
    }
    assert broken
    assert starts == [pair for pair in whole if pair not in touches]
    for part in array.stream_slices(length=3, on_error="skip"):
        assert_array_equal(part.data, values[part.region])
    report = stream.report()
    assert report.nskipped == len(touches)
    assert report.finished


def test_a_report_lists_no_more_errors_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_LISTED == 10_000
    monkeypatch.setattr("zlab.stream.tally.MAX_LISTED", 3)
    array, _ = corrupted(10, set(range(10)))
    stream = array.stream_chunks(on_error="skip")
    assert list(stream) == []
    report = stream.report()
    assert report.nskipped == 10
    assert [error.coords for error in report.skipped] == [(0,), (1,), (2,)]
    # and what a failed chunk was read with is not kept alive by its error
    assert all(error.__traceback__ is None for error in report.skipped)


@pytest.mark.parametrize("wrong", [None, "halt", 3])
def test_other_policies_are_refused(wrong: Any) -> None:
    array, _ = corrupted(1, set())
    with pytest.raises(ValueError, match="on_error"):
        array.stream_chunks(on_error=wrong)
    with pytest.raises(ValueError, match="on_error"):
        array.stream_slices(on_error=wrong)


# -- time


class Stuck(InterposedStore):
    """A store that does not answer for some keys before it is told to."""

    def __init__(self, store: Store, keys: set[str], *, local: bool) -> None:
        super().__init__(store, local=local)
        self.keys = keys
        self.go_on = threading.Event()
        self.asked: list[str] = []

    def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """Does the call, when it may."""
        if call.operation == "get":
            self.asked.append(call.key)
            if call.key in self.keys:
                assert self.go_on.wait(60)
        return proceed(call)


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_chunk_that_takes_too_long_is_left_out_and_never_comes(
    ordered: bool, local: bool, concurrency: int
) -> None:
    memory = MemoryStore()
    values = np.arange(1, 41, dtype="int32")
    zlab.create_array(memory, data=values, chunks=4)
    store = Stuck(memory, {"c/2", "c/3", "c/9"}, local=local)
    stream = zlab.open_array(store).stream_chunks(
        on_error="skip", timeout=0.02, ordered=ordered, concurrency=concurrency
    )
    coords = []
    for chunk in stream:
        assert_array_equal(chunk.data, values[chunk.region])
        coords.append(chunk.coords[0])
        if len(coords) == 6:
            # too late for the first two, of which nobody hears any more
            store.go_on.set()
    late = [error.coords or () for error in stream.report().skipped]
    assert all(isinstance(error, ChunkTimeoutError) for error in stream.report().skipped)
    assert sorted([*coords, *(c[0] for c in late)]) == list(range(10))
    # on a busy machine others may be late too
    assert not ordered or (2,) in late
    assert store.asked.count("c/2") == 1
    assert stream.report().finished


def test_a_chunk_that_takes_too_long_ends_the_stream_by_default() -> None:
    memory = MemoryStore()
    zlab.create_array(memory, data=np.arange(1, 41), chunks=4)
    store = Stuck(memory, {"c/2"}, local=False)
    coords: list[Any] = []
    with pytest.raises(ChunkTimeoutError) as caught:
        coords.extend(c.coords for c in zlab.open_array(store).stream_chunks(timeout=0.02))
    # on a busy machine one before it may be late too
    n = len(coords)
    assert n <= 2
    assert coords == [(k,) for k in range(n)]
    assert (caught.value.coords, caught.value.key) == ((n,), f"c/{n}")
    assert isinstance(caught.value, TimeoutError)
    assert "within 0.02 seconds" in str(caught.value)
    store.go_on.set()


def test_the_chunks_of_a_shard_that_takes_too_long_are_left_out_together() -> None:
    memory = MemoryStore()
    zlab.create_array(memory, data=np.arange(1, 65), chunks=4, shards=16)
    store = Stuck(memory, {"c/1"}, local=False)
    stream = zlab.open_array(store).stream_chunks(timeout=0.05, on_error="skip", concurrency=1)
    coords = [chunk.coords[0] for chunk in stream]
    late = [(error.coords or ())[0] for error in stream.report().skipped]
    store.go_on.set()
    assert sorted(coords + late) == list(range(16))
    assert {4, 5, 6, 7} <= set(late)
    assert all({4 * (n // 4) + k for k in range(4)} <= set(late) for n in late)


def test_slices_that_take_too_long_are_left_out() -> None:
    memory = MemoryStore()
    zlab.create_array(memory, data=np.arange(1, 41), chunks=4)
    store = Stuck(memory, {"c/2"}, local=False)
    stream = zlab.open_array(store).stream_slices(length=8, timeout=0.05, on_error="skip")
    starts = [part.start for part in stream]
    assert 8 not in starts
    assert set(starts) <= {0, 16, 24, 32}
    report = stream.report()
    assert report.nskipped == 5 - len(starts)
    assert all(isinstance(error, ChunkTimeoutError) for error in report.skipped)
    store.go_on.set()


@pytest.mark.parametrize(
    ("wrong", "kind"), [(0, ValueError), (-1, ValueError), ("5", TypeError), (True, TypeError)]
)
def test_a_time_limit_is_a_number_of_seconds(wrong: Any, kind: type[Exception]) -> None:
    array, _ = corrupted(1, set())
    with pytest.raises(kind, match="timeout"):
        array.stream_chunks(timeout=wrong)
