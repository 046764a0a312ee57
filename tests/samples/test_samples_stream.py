from __future__ import annotations

import asyncio
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.samples import stream_samples
from zlab.stores.memory import MemoryStore
from zlab.stream.budget import process_held
from zlab.stream.buffers import Buffers
from zlab.telemetry import capture
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from zlab.samples import SampleBatch, SampleStream, Shuffle
    from zlab.telemetry.events import StreamProgress

    Aligned = Callable[..., list[zlab.Array]]
    Check = Callable[[SampleBatch], None]

SHUFFLES: list[Shuffle] = ["none", "window", "global"]


def order(stream: SampleStream, check: Check | None = None) -> list[int]:
    """The samples of an iteration."""
    indices: list[int] = []
    for batch in stream:
        if check is not None:
            check(batch)
        indices += batch.indices.tolist()
    return indices


@given(
    n=st.integers(0, 60),
    batch_size=st.integers(1, 25),
    chunks=st.lists(st.integers(1, 20), min_size=1, max_size=3),
    shards=st.one_of(st.none(), st.integers(1, 3)),
    shuffle=st.sampled_from(SHUFFLES),
    drop_remainder=st.booleans(),
    far=st.booleans(),
    max_bytes=st.sampled_from([None, 20_000]),
    seed=st.integers(0, 5),
    epochs=st.integers(1, 2),
)
def test_every_sample_comes_once_an_epoch(
    aligned: Aligned,
    check: Check,
    n: int,
    batch_size: int,
    chunks: list[int],
    shards: int | None,
    shuffle: Any,
    drop_remainder: bool,
    far: bool,
    max_bytes: int | None,
    seed: int,
    epochs: int,
) -> None:
    arrays = aligned(n, chunks, shards=shards, far=far)
    stream = stream_samples(
        [array.layout for array in arrays],
        batch_size,
        shuffle=shuffle,
        seed=seed,
        drop_remainder=drop_remainder,
        max_bytes=max_bytes,
        epochs=epochs,
    )
    expected = n - n % batch_size if drop_remainder else n
    assert stream.nsamples == expected
    batches = list(stream)
    assert len(batches) == epochs * stream.nbatches
    for epoch in range(epochs):
        own = batches[epoch * stream.nbatches : (epoch + 1) * stream.nbatches]
        sizes = [len(batch.indices) for batch in own]
        assert all(size == batch_size for size in sizes[:-1])
        indices = [index for batch in own for index in batch.indices.tolist()]
        assert len(indices) == len(set(indices)) == expected
        if shuffle == "none":
            assert indices == list(range(expected))
    for batch in batches:
        check(batch)


def test_the_seed_determines_the_order_on_any_number_of_threads(aligned: Aligned) -> None:
    layouts = [array.layout for array in aligned(500, (8, 16))]
    for shuffle in SHUFFLES[1:]:
        orders = []
        for threads in (1, 2, 5):
            with zlab.settings.override(threads=threads):
                orders.append(order(stream_samples(layouts, 32, shuffle=shuffle, seed=7)))
        assert orders[0] == orders[1] == orders[2]
        assert orders[0] != order(stream_samples(layouts, 32, shuffle=shuffle, seed=8))
        assert orders[0] != order(stream_samples(layouts, 32, shuffle=shuffle, seed=(7, 1)))


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_batches_are_not_written_again(aligned: Aligned, shuffle: Any) -> None:
    (array,) = aligned(300, (8,))
    stream = stream_samples([array.layout], 20, shuffle=shuffle, seed=1, max_bytes=20_000)
    kept = [(batch.arrays[0], batch.arrays[0].copy()) for batch in stream]
    assert len({batch.ctypes.data for batch, _ in kept}) == 15
    assert all((batch == copy).all() for batch, copy in kept)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_a_stream_that_is_left_early_lets_go(
    aligned: Aligned, wait_until: Callable[[Callable[[], object]], None], shuffle: Any
) -> None:
    arrays = aligned(1000, (8, 100))
    stream = stream_samples(
        [array.layout for array in arrays], 10, shuffle=shuffle, max_bytes=50_000
    )
    with capture("stream.st*") as captured:
        for _ in stream:
            break
    assert [event.kind for event in captured.events] == ["batches", "batches"]
    assert captured.events[1].outcome == "closed"
    wait_until(lambda: process_held() == 0)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_another_process_reads_the_same(aligned: Aligned, shuffle: Any) -> None:
    (array,) = aligned(50, (8,))
    stream = stream_samples([array.layout], 8, shuffle=shuffle, epochs=2)
    other = pickle.loads(pickle.dumps(stream))  # noqa: S301  our own
    assert order(other) == order(stream)


def test_the_random_state_of_the_caller_is_left_alone(aligned: Aligned) -> None:
    (array,) = aligned(100, (8,))
    np.random.seed(1)  # noqa: NPY002  this is the state that must not change
    before = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    for shuffle in SHUFFLES:
        order(stream_samples([array.layout], 32, shuffle=shuffle, seed=3))
        order(stream_samples([array.layout], 32, shuffle=shuffle))
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]  # noqa: NPY002


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_the_dropped_batch_is_not_read(shuffle: Any) -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, data=np.arange(1000, dtype="int32"), chunks=10)
    store.reset()
    batches = list(
        stream_samples([array.layout], 501, shuffle=shuffle, seed=2, drop_remainder=True)
    )
    assert [len(batch.indices) for batch in batches] == [501]
    read = {key for key in store.counts.keys if key.startswith("c/")}
    assert read == {f"c/{index // 10}" for index in batches[0].indices.tolist()}
    assert sum(key.startswith("c/") for key in store.counts.keys) == len(read)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_it_is_a_stream_like_others(aligned: Aligned, shuffle: Shuffle) -> None:
    (array,) = aligned(200, (8,))
    stream = stream_samples([array.layout], 16, shuffle=shuffle, seed=0)

    async def read() -> list[int]:
        return [index async for batch in stream for index in batch.indices.tolist()]

    assert asyncio.run(read()) == order(stream)
    told: list[StreamProgress] = []
    for _ in replace(stream, progress=told.append):
        pass
    assert told[-1].nchunks == told[-1].max_nchunks == 25
    assert told[-1].nbytes == 200 * 2 * 4
    firsts = stream.map(lambda batch: int(batch.indices[0])).batch(2)
    assert sum(map(len, firsts)) == 13


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_an_interrupt_ends_it_and_the_next_iteration_begins_anew(
    aligned: Aligned, shuffle: Shuffle
) -> None:
    (array,) = aligned(200, (8,))
    stream = stream_samples([array.layout], 16, shuffle=shuffle, seed=0)

    def interrupted() -> None:
        for number, _ in enumerate(stream):
            if number == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(order(stream)) == list(range(200))


@pytest.mark.parametrize("hosts", [2, 4, 8])
@pytest.mark.parametrize("n", [9, 17, 23])
def test_a_host_without_a_part_of_the_last_batch_goes_on_with_its_next_epoch(
    hosts: int, n: int
) -> None:
    array = zlab.create_array(MemoryStore(), data=np.arange(3 * n).reshape(n, 3), chunks=(1, 3))
    seen: list[int] = []
    for index in range(hosts):
        stream = stream_samples(
            [array.layout], 2 * hosts, axis=(0, 1), share=(index, hosts), epochs=3, max_bytes=200
        )
        for batch in stream:
            assert batch.arrays[0].tolist() == batch.indices.tolist()
            seen += batch.indices.tolist()
    assert sorted(seen) == sorted(3 * list(range(3 * n)))


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("windows", [None, {0: 2}])
def test_samples_without_elements_come_as_others_do(
    shuffle: Shuffle, windows: dict[int, int] | None
) -> None:
    array = zlab.create_array(MemoryStore(), shape=(6, 0), dtype="float32", chunks=(2, 1))
    stream = stream_samples([array.layout], 4, shuffle=shuffle, windows=windows, seed=0)
    batches = list(stream)
    assert sum(len(batch.indices) for batch in batches) == stream.nsamples
    for batch in batches:
        assert batch.arrays[0].shape == (len(batch.indices), *stream.sample_shapes[0])


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_the_next_epochs_have_the_memory_of_the_first(
    shuffle: Shuffle, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.arange(64, dtype="i4").repeat(65536).reshape(64, 65536)
    array = zlab.create_array("memory://", data=values, chunks=(4, 65536))
    stream = stream_samples([array.layout], 8, shuffle=shuffle, seed=0)
    made: list[int] = []
    unused = Buffers._unused

    def count(buffers: Buffers) -> NDArray[np.uint8]:
        before = len(buffers._pool)
        raw = unused(buffers)
        made.extend([len(raw)] * (len(buffers._pool) - before))
        return raw

    monkeypatch.setattr(Buffers, "_unused", count)
    (held, *_) = stream
    first = len(made)
    assert first
    for _ in range(5):
        order(stream)
    # how many batches are ahead of the loop differs a little from epoch to epoch
    assert len(made) <= 2 * first
    assert (held.arrays[0][:, 0] == held.indices).all()
    assert len(pickle.dumps(stream)) < 20_000
