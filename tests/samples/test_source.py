from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.errors import ChunkReadError, SelectionError, StoreError
from zlab.samples.source import SampleSource, SourceReport
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore, Fault, FaultStore

if TYPE_CHECKING:
    from pathlib import Path

VALUES = np.arange(60 * 4 * 5, dtype="int32").reshape(60, 4, 5)


def image_and_label() -> tuple[SampleSource, CountingStore]:
    store = CountingStore(MemoryStore())
    group = zlab.create_group(store)
    image = group.create_array("image", data=VALUES, chunks=(7, 4, 3))
    label = group.create_array("label", data=np.arange(60), chunks=20)
    store.reset()
    return SampleSource([image.layout, label.layout]), store


def test_a_sample_is_what_numpy_has_there() -> None:
    source, _ = image_and_label()
    assert len(source) == 60
    assert source.sample_shapes == ((4, 5), ())
    assert source.dtypes == (np.dtype("int32"), np.dtype("int64"))
    numbers: list[Any] = [0, 59, 6, 7, np.int64(30)]
    for number in numbers:
        image, label = source.read(number)
        np.testing.assert_array_equal(image, VALUES[number])
        assert label.shape == ()
        assert label == number


@given(st.lists(st.integers(0, 59), max_size=20))
def test_many_samples_are_those_that_are_read_one_by_one(numbers: list[int]) -> None:
    source, _ = image_and_label()
    images, labels = source.read_many(numbers)
    np.testing.assert_array_equal(images, VALUES[numbers])
    assert labels.tolist() == numbers
    assert not numbers or images.ctypes.data % 64 == 0
    assert source.report().nsamples == len(numbers)


@given(st.data())
def test_windows_are_those_of_numpy(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(2, 6), min_size=2, max_size=3)))
    chunks = tuple(data.draw(st.integers(1, n)) for n in shape)
    values = np.arange(np.prod(shape)).reshape(shape)
    array = zlab.create_array({}, data=values, chunks=chunks)
    window = data.draw(st.integers(1, shape[1]))
    overlap = data.draw(st.integers(0, window - 1))
    source = SampleSource([array.layout], axis=0, windows={1: window}, overlap={1: overlap})
    starts = range(0, shape[1] - window + 1, window - overlap)
    expected = [values[i, start : start + window] for i in range(shape[0]) for start in starts]
    assert len(source) == len(expected)
    for number, sample in enumerate(expected):
        np.testing.assert_array_equal(source.read(number)[0], sample)
    np.testing.assert_array_equal(source.read_many(range(len(expected)))[0], expected)


def test_chunks_are_decoded_once_while_they_are_kept() -> None:
    source, store = image_and_label()
    order = np.random.default_rng(0).permutation(60)
    for number in order:
        source.read(number)
    # 9 x 1 x 2 chunks of images and 3 of labels
    assert source.report() == SourceReport(nsamples=60, ndecoded=21)
    assert source.report().decodes_per_sample == 21 / 60
    assert set(store.counts.keys.values()) == {1}
    source.read_many(order)
    assert source.report() == SourceReport(nsamples=120, ndecoded=21)


def test_many_samples_are_read_chunk_by_chunk() -> None:
    values = np.arange(64, dtype="int64")
    array = zlab.create_array({}, data=values, chunks=8)
    # room for one chunk: in the order of the numbers each sample would decode another
    source = SampleSource([array.layout], cache=64)
    numbers = np.arange(64).reshape(8, 8).T.ravel()
    with zlab.settings.override(threads=1):
        assert source.read_many(numbers)[0].tolist() == numbers.tolist()
    assert source.report() == SourceReport(nsamples=64, ndecoded=8)
    for number in numbers:
        source.read(number)
    assert source.report() == SourceReport(nsamples=128, ndecoded=8 + 64)


def test_shard_indices_are_not_counted() -> None:
    array = zlab.create_array({}, data=np.arange(64), chunks=4, shards=32)
    source = SampleSource([array.layout])
    assert source.read_many(range(64))[0].tolist() == list(range(64))
    assert source.report() == SourceReport(nsamples=64, ndecoded=16)


def test_threads_that_want_one_chunk_decode_it_once() -> None:
    source, store = image_and_label()
    barrier = threading.Barrier(8)

    def read(_: int) -> list[int]:
        barrier.wait()
        return [int(source.read(number)[1]) for number in range(60)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(8))) == [list(range(60))] * 8
    assert source.report() == SourceReport(nsamples=480, ndecoded=21)
    assert set(store.counts.keys.values()) == {1}


@pytest.mark.parametrize("number", [-1, 60, 10**20])
def test_a_number_without_a_sample_is_refused(number: int) -> None:
    source, store = image_and_label()
    with pytest.raises(SelectionError, match="there is no sample"):
        source.read(number)
    with pytest.raises(IndexError):
        source.read_many([0, number])
    assert not store.counts.keys
    assert source.report().nsamples == 0


def test_other_arguments_are_refused() -> None:
    source, _ = image_and_label()
    with pytest.raises(TypeError, match="asked for by its number, not by slice"):
        source.read(slice(3))  # type: ignore[arg-type]
    array = zlab.create_array({}, data=np.arange(4))
    with pytest.raises(ValueError, match="cache must be at least 0"):
        SampleSource([array.layout], cache=-1)
    with pytest.raises(ValueError, match="different numbers of samples"):
        SampleSource([array.layout, zlab.create_array({}, shape=(3,), dtype="i4").layout])


def test_a_chunk_that_cannot_be_read_is_an_error_and_may_be_read_later() -> None:
    store = FaultStore(MemoryStore(), [Fault("get", "c/1", nth=1, error=StoreError)])
    source = SampleSource([zlab.create_array(store, data=np.arange(9), chunks=3).layout])
    with pytest.raises(ChunkReadError, match=r"chunk \(1,\)"):
        source.read_many(range(9))
    assert source.read(4)[0] == 4


def test_an_absent_chunk_is_fill_and_is_not_decoded() -> None:
    array = zlab.create_array({}, shape=(6,), dtype="i4", chunks=2, fill_value=-1)
    source = SampleSource([array.layout])
    assert source.read_many([0, 5])[0].tolist() == [-1, -1]
    assert source.report() == SourceReport(nsamples=2, ndecoded=0)


def test_a_pickled_source_reads_the_same_with_a_cache_of_its_own(tmp_path: Path) -> None:
    array = zlab.create_array(tmp_path / "a.zarr", data=VALUES, chunks=(7, 4, 3))
    source = SampleSource([array.layout], windows={1: 2}, cache=1 << 20)
    source.read(0)
    twin = pickle.loads(pickle.dumps(source))  # noqa: S301
    assert len(twin) == len(source) == 2
    assert twin.report() == SourceReport(0, 0)
    np.testing.assert_array_equal(twin.read(1)[0], VALUES[:, 2:4])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_forked_child_reads_while_the_parents_threads_do(tmp_path: Path) -> None:
    array = zlab.create_array(tmp_path / "a.zarr", data=VALUES, chunks=(7, 4, 3))
    source = SampleSource([array.layout], cache=2000)
    context = multiprocessing.get_context("fork")
    stop = threading.Event()

    def keep_reading() -> None:
        while not stop.is_set():
            source.read_many(range(60))

    def child(answer: Any) -> None:
        answer(int(source.read_many(range(60))[0].sum()))

    threads = [threading.Thread(target=keep_reading) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            queue = context.SimpleQueue()
            process = context.Process(target=child, args=(queue.put,))
            process.start()
            process.join(60)
            assert process.exitcode == 0
            assert queue.get() == VALUES.sum()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
