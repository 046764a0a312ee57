from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.errors import MemoryBudgetError
from zlab.samples import stream_samples
from zlab.stores.memory import MemoryStore
from zlab.stream.budget import process_held
from zlab.telemetry import capture
from zlab.testing import CountingStore, LatencyStore

if TYPE_CHECKING:
    from collections.abc import Callable


def aligned(
    n: int, chunks: tuple[int, ...], *, shards: int | None = None, far: bool = False
) -> list[zlab.Array]:
    """Arrays of one length, each in its own chunks, whose samples tell their index."""
    store = MemoryStore()
    group = zlab.create_group(LatencyStore(store, 0) if far else store)
    arrays = []
    for number, length in enumerate(chunks):
        width = 1 + number % 2
        values = np.repeat(np.arange(n, dtype="int32"), width * 2).reshape(n, width, 2)
        array = group.create_array(
            f"a{number}",
            shape=values.shape,
            dtype="int32",
            chunks=(length, 1, 2),
            shards=None if shards is None else (length * shards, width, 2),
        )
        array.write(..., values, write_empty_chunks=True)
        arrays.append(array)
    return arrays


def epoch(arrays: list[zlab.Array], batch_size: int, **kwargs: Any) -> list[int]:
    """The samples of an epoch by index; all arrays must have the same ones."""
    indices: list[int] = []
    sizes = []
    for batch in stream_samples([array.layout for array in arrays], batch_size, **kwargs):
        assert len(batch) == len(arrays)
        for part, array in zip(batch, arrays, strict=True):
            assert part.shape == (len(batch[0]), *array.shape[1:])
            assert part.ctypes.data % 64 == 0
            assert (part == part[:, :1, :1]).all()
            assert (part[:, 0, 0] == batch[0][:, 0, 0]).all()
        indices += batch[0][:, 0, 0].tolist()
        sizes.append(len(batch[0]))
    assert all(size == batch_size for size in sizes[:-1])
    return indices


@given(
    n=st.integers(0, 60),
    batch_size=st.integers(1, 25),
    chunks=st.lists(st.integers(1, 20), min_size=1, max_size=3).map(tuple),
    shards=st.one_of(st.none(), st.integers(1, 3)),
    shuffle=st.booleans(),
    drop_remainder=st.booleans(),
    far=st.booleans(),
    max_bytes=st.sampled_from([None, 20_000]),
    seed=st.integers(0, 5),
)
def test_every_sample_comes_once_an_epoch(
    n: int,
    batch_size: int,
    chunks: tuple[int, ...],
    shards: int | None,
    shuffle: bool,
    drop_remainder: bool,
    far: bool,
    max_bytes: int | None,
    seed: int,
) -> None:
    arrays = aligned(n, chunks, shards=shards, far=far)
    indices = epoch(
        arrays,
        batch_size,
        shuffle=shuffle,
        seed=seed,
        drop_remainder=drop_remainder,
        max_bytes=max_bytes,
    )
    expected = n - n % batch_size if drop_remainder else n
    assert len(indices) == len(set(indices)) == expected
    if not shuffle:
        assert indices == list(range(expected))


def test_the_seed_determines_the_order_on_any_number_of_threads() -> None:
    arrays = aligned(500, (8, 16))
    orders = []
    for threads in (1, 2, 5):
        with zlab.settings.override(threads=threads):
            orders.append(epoch(arrays, 32, shuffle=True, seed=7))
    assert orders[0] == orders[1] == orders[2]
    assert orders[0] != epoch(arrays, 32, shuffle=True, seed=8)
    assert epoch(arrays, 32, shuffle=True, seed=(7, 1)) != orders[0]


def test_without_a_seed_each_epoch_has_another_order() -> None:
    stream = stream_samples([aligned(200, (8,))[0].layout], 32, shuffle=True)
    epochs = [np.concatenate([batch[0][:, 0, 0] for batch in stream]).tolist() for _ in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(200))
    assert epochs[0] != epochs[1]


def test_the_random_state_of_the_caller_is_left_alone() -> None:
    arrays = aligned(100, (8,))
    np.random.seed(1)  # noqa: NPY002  this is the state that must not change
    before = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    epoch(arrays, 32, shuffle=True, seed=3)
    epoch(arrays, 32, shuffle=True)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]  # noqa: NPY002


def test_samples_are_shuffled_across_chunks_and_within() -> None:
    order = np.asarray(epoch(aligned(1000, (10,)), 100, shuffle=True, seed=0))
    # 1,000 samples in one window: a batch has samples of most of its 100 chunks
    chunks_in_batch = [len(set(batch // 10)) for batch in order.reshape(10, 100)]
    assert min(chunks_in_batch) > 50
    assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 0.15


def test_windows_keep_to_the_budget() -> None:
    # chunks of 10 samples of 16 bytes, and room for 50 of them: 25 in each of two windows
    arrays = aligned(1000, (10,))
    stream = stream_samples(
        [array.layout for array in arrays], 10, shuffle=True, seed=0, max_bytes=50 * 10 * 8
    )
    assert stream.blocks_in_window == 25
    held = []
    order = []
    for batch in stream:
        held.append(process_held())
        order += batch[0][:, 0, 0].tolist()
    assert max(held) <= 50 * 10 * 8
    assert len({index // 10 for index in order[:250]}) == 25
    assert sorted(order) == list(range(1000))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("chunks", [(8, 8), (8, 16), (16, 8), (10, 15), (8, 200)])
def test_each_chunk_is_read_once_an_epoch(chunks: tuple[int, int], shuffle: bool) -> None:
    arrays = aligned(200, chunks)
    with capture("chunk.read") as captured:
        epoch(arrays, 32, shuffle=shuffle, seed=1)
    read = [(event.path, event.coords) for event in captured.events]
    assert len(read) == len(set(read)) == sum(array.nchunks for array in arrays)


def test_small_arrays_in_other_chunks_do_not_widen_the_blocks() -> None:
    images = zlab.create_array("memory://", shape=(1000, 32, 32), chunks=(64, 32, 32), dtype="f4")
    labels = zlab.create_array("memory://", shape=(1000,), chunks=(1000,), dtype="i4")
    stream = stream_samples([images.layout, labels.layout], 10, shuffle=True, max_bytes=10 << 20)
    assert stream.blocks_in_window == 19  # of 256 KiB in half of what the labels leave
    assert stream._cuts.longest == 64
    assert stream._whole == (False, True)


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_dropped_batch_is_not_read(shuffle: bool) -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, data=np.arange(107, dtype="int32"), chunks=10)
    store.reset()
    batches = list(stream_samples([array.layout], 50, shuffle=shuffle, seed=2, drop_remainder=True))
    assert [len(batch[0]) for batch in batches] == [50, 50]
    read = sorted(key for key in store.counts.keys if key.startswith("c/"))
    # 100 samples lie in ten chunks, or in eleven if the short one is among them
    assert len(read) == 10 if not shuffle else len(read) in (10, 11)
    if not shuffle:
        assert read == sorted(f"c/{number}" for number in range(10))


def test_shuffled_epochs_shorter_than_the_array_read_what_they_need() -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, data=np.arange(1000, dtype="int32"), chunks=10)
    store.reset()
    batches = list(stream_samples([array.layout], 501, shuffle=True, seed=2, drop_remainder=True))
    assert len(batches) == 1
    assert sum(key.startswith("c/") for key in store.counts.keys) == 51


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_are_not_written_again(shuffle: bool) -> None:
    (array,) = aligned(300, (8,))
    stream = stream_samples([array.layout], 20, shuffle=shuffle, seed=1, max_bytes=2000)
    kept = [(batch[0], batch[0].copy()) for batch in stream]
    assert len({batch.ctypes.data for batch, _ in kept}) == 15
    assert all((batch == copy).all() for batch, copy in kept)


def test_different_numbers_of_samples_are_an_error_that_names_both() -> None:
    group = zlab.create_group("memory://")
    x = group.create_array("x", shape=(10, 2), dtype="int8")
    y = group.create_array("y", shape=9, dtype="int8")
    with pytest.raises(ValueError, match="different numbers of samples: 'x' has 10, 'y' has 9"):
        stream_samples([x.layout, y.layout], 2)


def test_an_array_without_axes_has_no_samples() -> None:
    array = zlab.create_array("memory://", shape=(), dtype="int8")
    with pytest.raises(ValueError, match="no axis along which there could be samples"):
        stream_samples([array.layout], 1)


def test_a_batch_has_at_least_one_sample() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, not 0"):
        stream_samples([aligned(3, (1,))[0].layout], 0)


@pytest.mark.parametrize(
    "seed", [0, 2**80, np.uint64(3), (1, 2), [3, 2**70], np.arange(3), np.array(7), range(2)]
)
def test_every_seed_of_numpy_gives_its_order(seed: Any) -> None:
    arrays = aligned(40, (4,))
    order = epoch(arrays, 8, shuffle=True, seed=seed)
    assert sorted(order) == list(range(40))
    assert order == epoch(arrays, 8, shuffle=True, seed=seed)


@pytest.mark.parametrize("seed", ["5", b"5", 1.0, [[1]], [-1]])
def test_what_is_no_seed_is_refused(seed: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="seed must be"):
        stream_samples([aligned(3, (1,))[0].layout], 1, seed=seed)


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_budget_that_is_too_small_is_refused_before_any_read(shuffle: bool) -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, data=np.zeros((100, 4), "int32"), chunks=(50, 4))
    store.reset()
    with pytest.raises(MemoryBudgetError, match="more than the 700 that they may hold") as caught:
        stream_samples([array.layout], 10, shuffle=shuffle, max_bytes=700)
    assert caught.value.needed == 50 * 16 + (0 if shuffle else 160)
    assert not any(key.startswith("c/") for key in store.counts.keys)
    stream = stream_samples([array.layout], 10, shuffle=shuffle, max_bytes=caught.value.needed)
    assert sum(len(batch[0]) for batch in stream) == 100


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_stream_that_is_left_early_lets_go(
    wait_until: Callable[[Callable[[], object]], None], shuffle: bool
) -> None:
    arrays = aligned(1000, (8, 100))
    stream = stream_samples(
        [array.layout for array in arrays], 10, shuffle=shuffle, max_bytes=20_000
    )
    with capture("stream.st*") as captured:
        for _ in stream:
            break
    assert [event.kind for event in captured.events] == ["batches", "batches"]
    assert captured.events[1].outcome == "closed"
    wait_until(lambda: process_held() == 0)
