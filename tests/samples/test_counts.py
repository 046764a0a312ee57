"""How often chunks are read, and how much is held: exact numbers."""

from __future__ import annotations

import threading
import tracemalloc
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.errors import ChunkReadError
from zlab.samples import Share, stream_samples
from zlab.stores.memory import MemoryStore
from zlab.stream.budget import process_held
from zlab.telemetry import capture
from zlab.testing import LatencyStore

if TYPE_CHECKING:
    from collections.abc import Callable

    Aligned = Callable[..., list[zlab.Array]]

SHUFFLES: list[Any] = ["none", "window", "global"]


@pytest.mark.parametrize("shuffle", ["none", "window"])
@pytest.mark.parametrize("chunks", [(8, 8), (8, 16), (16, 8), (10, 15), (8, 200)])
@pytest.mark.parametrize("far", [False, True])
def test_each_chunk_is_read_once_an_epoch(
    aligned: Aligned, chunks: tuple[int, int], shuffle: Any, far: bool
) -> None:
    arrays = aligned(200, chunks, far=far)
    stream = stream_samples([a.layout for a in arrays], 32, shuffle=shuffle, seed=1, epochs=2)
    with capture("chunk.read") as captured:
        for _ in stream:
            pass
    read = Counter((event.path, event.coords) for event in captured.events)
    held = stream._window_plan.held if shuffle == "window" else (False, False)
    assert held == (shuffle == "window" and chunks in {(16, 8), (10, 15)}, held[1])
    for array, is_held in zip(arrays, held, strict=True):
        # an array that is held as a whole is read once for all epochs
        for coords in array.layout.chunks.coords():
            assert read.pop((array.path, coords)) == (1 if is_held else 2)
    assert not read
    assert stream.randomness().decodes == 1


def test_hosts_do_not_decode_each_others_chunks(aligned: Aligned) -> None:
    (array,) = aligned(640, (10,))
    read: list[tuple[int, ...]] = []
    for host in range(4):
        stream = stream_samples(
            [array.layout], 16, shuffle="window", seed=1, drop_remainder=True, share=Share(host, 4)
        )
        with capture("chunk.read") as captured:
            for _ in stream:
                pass
        read += [event.coords for event in captured.events]
    assert sorted(read) == sorted(array.layout.chunks.coords())


def test_in_order_a_host_reads_only_the_chunks_of_its_share(aligned: Aligned) -> None:
    (array,) = aligned(640, (5,))
    stream = stream_samples([array.layout], 40, share=Share(1, 4))
    with capture("chunk.read") as captured:
        for _ in stream:
            pass
    # its 10 samples of every 40 are two of every eight chunks
    chunks = sorted(event.coords[0] for event in captured.events)
    assert chunks == [c for c in range(128) if c % 8 in (2, 3)]


@given(
    chunk=st.integers(1, 12),
    batch_size=st.integers(1, 20),
    shuffle=st.sampled_from(["window", "global"]),
    window=st.integers(1, 9),
    overlap=st.integers(0, 8),
    max_bytes=st.sampled_from([None, 20_000, 2_000]),
)
def test_what_is_decoded_more_than_once_is_what_was_planned(
    chunk: int, batch_size: int, shuffle: Any, window: int, overlap: int, max_bytes: int | None
) -> None:
    array = zlab.create_array({}, data=np.arange(90, dtype="int32"), chunks=chunk, fill_value=-1)
    stream = stream_samples(
        [array.layout],
        batch_size,
        shuffle=shuffle,
        seed=2,
        windows={0: window},
        overlap={0: min(overlap, window - 1)},
        max_bytes=max_bytes,
    )
    with capture("chunk.read") as captured:
        for _ in stream:
            pass
    decoded = Counter(event.coords for event in captured.events)
    report = stream.report()
    assert report.nchunks == sum(decoded.values()) <= stream.max_nchunks
    planned = stream.randomness(stream.nbatches).decodes
    assert planned == pytest.approx(sum(decoded.values()) / len(decoded))


def test_a_chunk_is_decoded_once_for_a_group_of_batches() -> None:
    array = zlab.create_array({}, data=np.arange(1000, dtype="int32"), chunks=100, fill_value=-1)
    whole = stream_samples([array.layout], 50, shuffle="global", seed=0)
    # all samples are 4,000 bytes: here is room for two groups of half of them, and for a chunk
    halves = stream_samples([array.layout], 50, shuffle="global", seed=0, max_bytes=4400)
    for stream, times in ((whole, 1), (halves, 2)):
        with zlab.settings.override(threads=1), capture("chunk.read") as captured:
            assert stream.group_size == 10 if times == 2 else stream.group_size >= 20
            for _ in stream:
                pass
            planned = stream.randomness(20).decodes
        assert set(Counter(event.coords for event in captured.events).values()) == {times}
        assert planned == times


def test_small_arrays_in_other_chunks_do_not_widen_the_blocks() -> None:
    images = zlab.create_array({}, shape=(1000, 32, 32), chunks=(64, 32, 32), dtype="f4")
    labels = zlab.create_array({}, shape=(1000,), chunks=(1000,), dtype="i4")
    stream = stream_samples([images.layout, labels.layout], 10, shuffle="window")
    assert stream._window_plan.held == (False, True)
    assert stream._window_plan.blocks.largest == (64,)
    assert stream.lanes == 16


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("far", [False, True])
def test_the_budget_is_kept_and_counted(aligned: Aligned, shuffle: Any, far: bool) -> None:
    (array,) = aligned(2000, (10,), far=far)
    # chunks of 80 bytes, two for each 10 samples
    stream = stream_samples([array.layout], 10, shuffle=shuffle, seed=0, max_bytes=20_000)
    held = []
    indices: list[int] = []
    for batch in stream:
        held.append(process_held())
        indices += batch.indices.tolist()
    assert 0 < max(held) <= 20_000
    assert sorted(indices) == list(range(2000))


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_two_streams_in_step_do_not_wait_for_each_other(aligned: Aligned, shuffle: Any) -> None:
    (array,) = aligned(400, (10,))
    streams = [stream_samples([array.layout], 10, shuffle=shuffle, seed=n) for n in range(3)]
    with zlab.settings.override(memory_budget=2000):
        for batches in zip(*streams, strict=True):
            assert len(batches) == 3
        assert all(stream.report().finished for stream in streams)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_memory_comes_back_only_when_nobody_refers_to_it(shuffle: Any) -> None:
    data = np.arange(64 * 2048, dtype="int64").reshape(64, 2048)
    array = zlab.create_array({}, data=data, chunks=(8, 2048))
    stream = stream_samples([array.layout], 8, shuffle=shuffle, seed=0, epochs=4)
    kept = []
    for number, batch in enumerate(stream):
        if number % 3 == 0:
            kept.append(batch)
        del batch
    for batch in kept:
        assert (batch.arrays[0] == data[batch.indices]).all()


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_10_to_the_12_samples_are_planned_at_once(shuffle: Any) -> None:
    array = zlab.create_array(
        MemoryStore(), shape=(10**12,), chunks=(1000,), dtype="int32", fill_value=3
    )
    tracemalloc.start()
    try:
        stream = stream_samples(
            [array.layout], 128, shuffle=shuffle, seed=0, epochs=None, max_bytes=1 << 20
        )
        with stream:
            batches = iter(stream)
            firsts = [next(batches) for _ in range(3)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert stream.nbatches == 10**12 // 128
    assert peak < 8 << 20
    indices = np.concatenate([batch.indices for batch in firsts])
    assert len(set(indices.tolist())) == 384
    assert all((batch.arrays[0] == 3).all() for batch in firsts)
    if shuffle != "none":
        assert indices.max() > 10**11
    state = stream.after(10**9)
    assert sum(state.positions) == 128 * 10**9
    later = stream.at(state)
    with later:
        assert len(next(iter(later)).indices) == 128


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_requests_are_in_flight_over_the_edges_of_batches_and_epochs(shuffle: Any) -> None:
    store = MemoryStore()
    zlab.create_array(store, data=np.arange(640, dtype="int32"), chunks=10)
    lock, now, most = threading.Lock(), [0], [0]

    class Gauge(LatencyStore):
        def get(self, key: str, byte_range: Any = None) -> Any:
            with lock:
                now[0] += key.startswith("c/")
                most[0] = max(most[0], now[0])
            try:
                return super().get(key, byte_range)
            finally:
                with lock:
                    now[0] -= key.startswith("c/")

    array = zlab.open_array(Gauge(store, 0.01))
    with zlab.settings.override(fetch_concurrency=16):
        stream = stream_samples([array.layout], 32, shuffle=shuffle, seed=0, epochs=2)
        begun = monotonic()
        n = sum(len(batch.indices) for batch in stream)
        took = monotonic() - begun
    assert n == 1280
    assert most[0] == 16
    # 128 requests of 10 ms one after another would take longer than 1.28 s
    assert took < 1.28


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_a_chunk_that_cannot_be_read_is_named(shuffle: Any) -> None:
    store = MemoryStore()
    zlab.create_array(store, data=np.arange(100, dtype="int32"), chunks=10)
    store.put("c/7", b"broken")
    array = zlab.open_array(store)
    with pytest.raises(ChunkReadError) as caught:
        for _ in stream_samples([array.layout], 10, shuffle=shuffle, seed=0):
            pass
    assert caught.value.coords == (7,)
    assert caught.value.key == "c/7"


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_what_is_not_stored_is_fill_or_an_error(shuffle: Any) -> None:
    array = zlab.create_array({}, shape=40, chunks=10, dtype="int32", fill_value=5)
    array[10:20] = np.arange(10, 20)
    for batch in stream_samples([array.layout], 7, shuffle=shuffle, seed=0):
        inside = (batch.indices >= 10) & (batch.indices < 20)
        assert (batch.arrays[0] == np.where(inside, batch.indices, 5)).all()
    strict = zlab.open_array(array.store, missing="raise")
    with pytest.raises(ChunkReadError, match="not stored"):
        list(stream_samples([strict.layout], 7, shuffle=shuffle, seed=0))


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("dtype", ["U5", "object", "bool", "complex64", "datetime64[s]"])
def test_samples_of_every_kind(shuffle: Any, dtype: str) -> None:
    values: Any = np.asarray([f"n{i}" for i in range(50)])
    if dtype == "object":
        values = values.astype(np.dtypes.StringDType())
    elif dtype != "U5":
        values = np.arange(50).astype(dtype)
    array = zlab.create_array({}, data=values, chunks=8)
    for batch in stream_samples([array.layout], 7, shuffle=shuffle, seed=0):
        assert (batch.arrays[0] == values[batch.indices]).all()
