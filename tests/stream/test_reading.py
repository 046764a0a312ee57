"""How chunk streams go to the store: by shard, with fetches that overlap decoding, and told of."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import zlab
from zlab.engine.read import decode_part
from zlab.errors import MemoryBudgetError
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore, InterposedStore, LatencyStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zlab.telemetry.events import StreamProgress
    from zlab.testing import Call


def sharded(shape: tuple[int, ...] = (10, 12)) -> tuple[zlab.Array, CountingStore]:
    """An array of shards of 2 x 3 chunks of 2 x 2, behind a store that counts and is far away."""
    counting = CountingStore(MemoryStore())
    values = np.arange(1, np.prod(shape) + 1, dtype="int32").reshape(shape)
    array = zlab.create_array(counting, data=values, chunks=(2, 2), shards=(4, 6))
    counting.reset()
    return zlab.Array(LatencyStore(counting, 0), array.path, array.metadata), counting


@pytest.mark.parametrize("ordered", [None, True, False])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_each_shards_index_is_read_once(ordered: bool | None, concurrency: int) -> None:
    array, counting = sharded()
    indices: list[str] = []

    class Watch(InterposedStore):
        def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
            if call.operation == "get" and type(call.byte_range).__name__ == "Suffix":
                indices.append(call.key)
            return proceed(call)

    watched = zlab.Array(Watch(array.store), array.path, array.metadata)
    stream = watched.stream_chunks(ordered=ordered, concurrency=concurrency)
    assert len(list(stream)) == 30
    assert sorted(indices) == sorted(f"c/{i}/{j}" for i in range(3) for j in range(2))
    if ordered is None and concurrency == 1:
        # the chunks of a shard lie side by side: one more request brings all of them
        assert counting.counts.gets + counting.counts.ranges <= 4 * 6


def test_whole_shards_come_one_by_one() -> None:
    array, counting = sharded()
    stream = array.stream_chunks(by="shard")
    assert stream.plan.nchunks == 6
    assert "6 shards of int32" in repr(stream)
    shards = list(stream)
    assert [shard.coords for shard in shards] == [(i, j) for i in range(3) for j in range(2)]
    assert shards[-1].region == (slice(8, 10), slice(6, 12))
    out = np.zeros(array.shape, array.dtype)
    for shard in shards:
        assert shard.nbytes_stored == counting.nbytes(f"c/{shard.coords[0]}/{shard.coords[1]}")
        out[shard.region] = shard.data
    assert_array_equal(out, array[...])
    assert counting.counts.keys["c/0/0"] >= 1


def test_a_shard_is_asked_for_once_and_as_a_whole() -> None:
    array, counting = sharded()
    for _ in array.stream_chunks(by="shard", region=(slice(1, 5), slice(0, 3))):
        pass
    assert (counting.counts.gets, counting.counts.ranges) == (2, 0)


def test_shards_of_an_array_without_shards_are_its_chunks() -> None:
    array = zlab.create_array({}, data=np.arange(1, 10), chunks=2)
    assert [c.coords for c in array.stream_chunks(by="shard")] == [(n,) for n in range(5)]


def test_shards_with_holes_are_refused_where_holes_are_errors() -> None:
    store = MemoryStore()
    zlab.create_array(store, data=np.arange(1, 17), chunks=2, shards=8)
    array = zlab.open_array(store, missing="raise")
    assert len(list(array.stream_chunks())) == 8
    with pytest.raises(ValueError, match="missing='raise'"):
        array.stream_chunks(by="shard")


def test_by_is_chunk_or_shard() -> None:
    array, _ = sharded()
    with pytest.raises(ValueError, match="by must be"):
        array.stream_chunks(by="row")  # type: ignore[arg-type]


# -- fetch and decode side by side


def test_runs_that_wait_for_the_cores_keep_no_request_from_the_store(
    monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    memory = MemoryStore()
    zlab.create_array(memory, data=np.arange(1, 101), chunks=2)
    counting = CountingStore(memory)
    array = zlab.open_array(LatencyStore(counting, 0))
    counting.reset()
    go_on, decoding = threading.Event(), []

    def decode(*args: Any) -> None:
        decoding.append(args)
        assert go_on.wait(60)
        decode_part(*args)

    monkeypatch.setattr("zlab.engine.read.decode_part", decode)
    with zlab.settings.override(threads=2):
        chunks = iter(array.stream_chunks(concurrency=3))
        first = threading.Thread(target=lambda: seen.append(next(chunks)))
        seen: list[Any] = []
        first.start()
        # two decode, and none of them stands in the way of the three that may be asked for
        wait_until(lambda: counting.counts.gets == 5)
        assert len(decoding) == 2
        go_on.set()
        first.join(60)
        assert len(seen) + len(list(chunks)) == 50
    assert counting.counts.max_in_flight <= 3
    assert set(counting.counts.keys.values()) == {1}


@pytest.mark.parametrize("concurrency", [1, 2, 7])
def test_no_more_requests_are_under_way_than_asked_for(concurrency: int) -> None:
    memory = MemoryStore()
    zlab.create_array(memory, data=np.arange(1, 201), chunks=2)
    counting = CountingStore(LatencyStore(memory, 0.0005))
    array = zlab.open_array(counting)
    counting.reset()
    assert len(list(array.stream_chunks(concurrency=concurrency))) == 100
    assert counting.counts.max_in_flight <= concurrency


# -- what is told


def test_progress_goes_up_to_the_total() -> None:
    array = zlab.create_array({}, shape=(40,), chunks=2, dtype="int8")
    for n in (0, 3, 4, 9):
        array[2 * n] = 1
    told: list[StreamProgress] = []
    stream = array.stream_chunks(progress=told.append)
    seen = []
    for chunk in stream:
        seen.append(chunk.coords[0])
        assert len(told) == len(seen)
    assert seen == [0, 3, 4, 9]
    done = [event.nchunks for event in told]
    assert done == sorted(done)
    assert done[-1] == told[-1].max_nchunks == 20
    assert [event.nbytes for event in told] == [2, 4, 6, 8, 8]
    assert all(event.nbytes_held <= 40 for event in told)
    assert told[-1].nbytes_held == 0
    assert {(event.kind, event.path) for event in told} == {("chunks", array.path)}


@pytest.mark.parametrize(
    "make",
    [
        lambda array, tell: array.stream_slices(length=3, progress=tell),
        lambda array, tell: array.stream_chunks(progress=tell, ordered=False, concurrency=4),
        lambda array, tell: array.stream_chunks(progress=tell, include_missing=True),
    ],
)
def test_progress_of_every_stream_is_monotone(make: Any) -> None:
    array = zlab.create_array({}, data=np.arange(100), chunks=3)
    told: list[StreamProgress] = []
    for _ in make(array, told.append):
        pass
    done = [event.nchunks for event in told]
    assert done == sorted(done)
    assert done[-1] == told[-1].max_nchunks == 34


def test_what_progress_raises_ends_the_stream() -> None:
    array = zlab.create_array({}, data=np.arange(1, 100), chunks=3)

    def stop(event: StreamProgress) -> None:
        raise LookupError(event.nchunks)

    with pytest.raises(LookupError, match="1"):
        list(array.stream_chunks(progress=stop))
    with pytest.raises(TypeError, match="progress"):
        array.stream_chunks(progress=False)  # type: ignore[arg-type]


def test_a_chunk_beyond_the_budget_is_reported() -> None:
    array = zlab.create_array({}, data=np.arange(1, 10), chunks=3)
    stream = array.stream_chunks(max_bytes=20)
    assert "one at a time" in repr(stream)
    assert len(list(stream)) == 3
    assert stream.report().oversized == 3
    stream = array.stream_chunks(max_bytes=24)
    list(stream)
    assert stream.report().oversized == 0


def test_slices_are_decoded_again_only_where_that_was_asked_for() -> None:
    counting = CountingStore(MemoryStore())
    values = np.arange(1, 1201, dtype="int32").reshape(30, 40)
    array = zlab.create_array(counting, data=values, chunks=(10, 20))
    counting.reset()
    with pytest.raises(MemoryBudgetError) as caught:
        array.stream_slices(length=4, max_bytes=1000)
    assert caught.value.needed == 10 * 40 * 4 + 4 * 40 * 4
    assert "redecode=True" in str(caught.value)
    assert counting.counts.gets == 0
    stream = array.stream_slices(length=4, max_bytes=1000, redecode=True)
    assert stream.redecodes
    assert "anew" in repr(stream)
    assert_array_equal(np.concatenate([part.data for part in stream]), values)
    # positions 8 to 11 and 16 to 19 lie in two slices of chunks each: 4 slices share 2 edges
    decoded = sum(n for key, n in counting.counts.keys.items() if key.startswith("c/"))
    report = stream.report()
    assert (report.nchunks, report.redecoded) == (6, decoded - 6)
    assert report.redecoded > 0
    # enough to hold a slab: then nothing is decoded twice
    counting.reset()
    stream = array.stream_slices(length=4, max_bytes=10_000, redecode=True)
    assert not stream.redecodes
    assert len(list(stream)) == 8
    assert stream.report().redecoded == 0
    assert set(counting.counts.keys.values()) == {1}
    with pytest.raises(MemoryBudgetError) as caught:
        array.stream_slices(length=4, max_bytes=100, redecode=True)
    assert caught.value.needed == 4 * 40 * 4


# -- the old name


def test_the_old_name_warns_once_and_does_the_same() -> None:
    array = zlab.create_array({}, data=np.arange(1, 10), chunks=3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stream = array.chunk_stream(parallel=3, ordered=True)
    (warning,) = caught
    assert warning.category is DeprecationWarning
    assert warning.filename == __file__
    assert stream.concurrency == 3
    assert [chunk.coords for chunk in stream] == [(0,), (1,), (2,)]
    with (
        pytest.warns(DeprecationWarning, match="stream_chunks"),
        pytest.raises(TypeError, match="parallel"),
    ):
        array.chunk_stream(parallel=3, concurrency=2)


# -- a real interrupt

INTERRUPTED = """
import os, signal, sys
import zlab
from zlab.stream.budget import process_held

array = zlab.open_array(sys.argv[1])
stream = array.map_chunks(lambda chunk: chunk.coords[0], workers=3, concurrency=4, max_bytes=4000)
seen = []
try:
    for n in stream:
        seen.append(n)
        if n == 20:
            os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
while process_held():
    pass
print(len(seen) == len(set(seen)), 21 <= len(seen) < 1000)
assert sorted(stream) == list(range(1000))
print("read again")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_an_interrupt_ends_a_stream_of_results(tmp_path: Path) -> None:
    path = str(tmp_path / "array.zarr")
    zlab.create_array(path, data=np.arange(1, 20_001, dtype="int32"), chunks=20)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", INTERRUPTED, path],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.splitlines() == ["interrupted", "True True", "read again"], done.stderr
