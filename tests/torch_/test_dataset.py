"""The datasets under PyTorch's own loaders: exact samples, workers, ranks, states.

PyTorch is not in the development environment, since its wheel for Linux brings gigabytes of CUDA.
To run these tests:

    python -m venv /tmp/torch
    /tmp/torch/bin/pip install -e '.[all,dev,torch]' torchdata
    /tmp/torch/bin/python -m pytest -n2 tests/torch_
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab
from zlab.errors import ChunkReadError, DataTypeError, MemoryBudgetError, StoreError
from zlab.samples.stream import SampleStream
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore, Fault, FaultStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

torch = pytest.importorskip("torch")

# a loader that is asked for more workers than there are cores says so
pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    # torchdata 0.11 with PyTorch 2.15
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),
]

N = 101
IMAGES = np.arange(N * 3 * 2, dtype="float32").reshape(N, 3, 2)
SHUFFLES = ["none", "window", "global"]


@pytest.fixture
def group(tmp_path: Path) -> zlab.Group:
    """Images and their labels, which say their number, in a store that workers can open."""
    group = zlab.create_group(tmp_path / "data.zarr")
    group.create_array("image", data=IMAGES, chunks=(7, 3, 2))
    group.create_array("label", data=np.arange(N), chunks=10)
    return group


@pytest.fixture
def dataset(group: zlab.Group) -> Callable[..., Any]:
    """Makes a dataset of images and labels."""

    def make(**options: Any) -> Any:
        return zlab.torch.Dataset(group["image"], group["label"], **{"batch_size": 8} | options)

    return make


def loader(dataset: Any, workers: int = 0, **options: Any) -> Any:
    return torch.utils.data.DataLoader(
        dataset, batch_size=None, num_workers=workers, timeout=60 if workers else 0, **options
    )


def labels(batches: Any) -> list[list[int]]:
    """The labels of batches, whose images belong to them."""
    seen = []
    for x, y in batches:
        np.testing.assert_array_equal(x.numpy(), IMAGES[y.numpy()])
        seen.append(y.tolist())
    return seen


def flat(batches: list[list[int]]) -> list[int]:
    return [label for batch in batches for label in batch]


# -- one process


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_an_epoch_has_each_sample_once(dataset: Callable[..., Any], shuffle: str) -> None:
    batches = labels(loader(dataset(shuffle=shuffle, seed=1)))
    assert [len(batch) for batch in batches] == [8] * 12 + [5]
    assert sorted(flat(batches)) == list(range(N))
    assert (flat(batches) == list(range(N))) is (shuffle == "none")
    dropped = labels(loader(dataset(shuffle=shuffle, seed=1, drop_remainder=True)))
    assert dropped == batches[:-1]


def test_tensors_are_the_memory_that_was_read(
    dataset: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = SampleStream.items

    def record(self: SampleStream, *args: Any) -> Any:
        for batch in real(self, *args):
            read.extend(array.ctypes.data for array in batch.arrays)
            yield batch

    monkeypatch.setattr(SampleStream, "items", record)
    kept = [tensor for batch in loader(dataset()) for tensor in batch]
    assert [tensor.data_ptr() for tensor in kept] == read
    assert all(address % 64 == 0 for address in read)
    # all are kept, so none was used again
    assert len(set(read)) == 2 * 13
    assert labels(zip(kept[::2], kept[1::2], strict=True))[12] == [96, 97, 98, 99, 100]


def test_structures_come_back_with_tensors(group: zlab.Group) -> None:
    (batch, *_) = zlab.torch.Dataset(group, batch_size=4)
    assert set(batch) == {"image", "label"}
    assert batch["label"].tolist() == [0, 1, 2, 3]
    (batch, *_) = zlab.torch.Dataset([group["label"]], {"y": group["label"]}, batch_size=4)
    assert isinstance(batch, tuple)
    assert batch[0][0].tolist() == batch[1]["y"].tolist()
    (only, *_) = zlab.torch.Dataset(group["label"], batch_size=4)
    assert isinstance(only, torch.Tensor)


def test_windows() -> None:
    values = np.arange(10)
    array = zlab.create_array({}, data=values, chunks=4, dimension_names=["time"])
    dataset = zlab.torch.Dataset(array, batch_size=3, windows={"time": 4}, overlap={"time": 2})
    (first, second) = dataset
    assert torch.cat([first, second]).tolist() == [values[i : i + 4].tolist() for i in (0, 2, 4, 6)]
    assert len(dataset) == 2


@pytest.mark.parametrize("shuffle", ["window", "global"])
def test_epochs(dataset: Callable[..., Any], shuffle: str) -> None:
    seeded = dataset(shuffle=shuffle, seed=3)
    first, again = labels(seeded), labels(loader(seeded))
    assert first == again
    seeded.set_epoch(1)
    second = labels(seeded)
    assert second != first
    assert sorted(flat(second)) == list(range(N))
    seeded.set_epoch(0)
    assert labels(seeded) == first
    free = dataset(shuffle=shuffle)
    assert labels(free) != labels(free)


def test_the_window_order_decodes_each_chunk_once() -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, data=np.arange(N), chunks=10)
    store.reset()
    dataset = zlab.torch.Dataset(array, batch_size=8, shuffle="window", seed=0)
    assert not store.counts.keys
    assert sum(len(batch) for batch in dataset) == N
    assert store.counts.keys == {f"c/{number}": 1 for number in range(11)}


# -- data types

KEPT = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
KEPT += ["float16", "float32", "float64", "complex64", "complex128"]
ALIKE = ["bfloat16", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"]


@pytest.mark.parametrize("dtype", [*KEPT, *ALIKE])
def test_data_types_are_kept(dtype: str) -> None:
    import ml_dtypes

    values = (np.arange(9) % 5).astype(getattr(ml_dtypes, dtype) if dtype in ALIKE else dtype)
    array = zlab.create_array({}, data=values, chunks=4)
    (batch,) = zlab.torch.Dataset(array, batch_size=9)
    for tensor in (batch, zlab.torch.to_tensor(array), zlab.torch.MapDataset(array)[3]):
        assert tensor.dtype == getattr(torch, dtype)
    wide = torch.complex128 if "complex" in dtype else torch.float64
    expected = values.astype("complex128" if "complex" in dtype else "float64")
    np.testing.assert_array_equal(batch.to(wide).numpy(), expected)


@pytest.mark.parametrize(
    ("dtype", "hint"),
    [
        ("datetime64[s]", "int64 for times"),
        ("U3", "codes for text"),
        ("string", "codes for text"),
        ("int4", "a wider type"),
        ("float8_e3m4", "a wider type"),
        ("float4_e2m1fn", "a wider type"),
        ([("a", "i4")], "array of each field"),
    ],
    ids=str,
)
def test_what_no_tensor_has_is_refused_before_it_is_read(dtype: Any, hint: str) -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, shape=(4,), dtype=dtype, chunks=2)
    store.reset()
    ways: list[Callable[[], object]] = [
        lambda: zlab.torch.Dataset({"x": array}, batch_size=2),
        lambda: zlab.torch.MapDataset({"x": array}),
        lambda: zlab.torch.to_tensor(array),
    ]
    for make in ways:
        with pytest.raises(DataTypeError, match=r"PyTorch .* does not have") as caught:
            make()
        assert hint in str(caught.value)
    assert not store.counts.keys


def test_torch_takes_an_array_by_dlpack() -> None:
    array = zlab.create_array({}, data=np.arange(6, dtype="int32"), chunks=4)
    assert torch.from_dlpack(array).tolist() == [0, 1, 2, 3, 4, 5]


# -- worker processes


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("workers", [2, 3])
def test_workers_share_an_epoch(dataset: Callable[..., Any], workers: int, shuffle: str) -> None:
    seeded = dataset(shuffle=shuffle, seed=1)
    batches = labels(loader(seeded, workers))
    assert sorted(flat(batches)) == list(range(N))
    # all are full but the last ones
    assert sum(len(batch) == 8 for batch in batches) >= N // 8 - workers + 1
    assert sum(len(batch) < 8 for batch in batches) <= workers
    if shuffle == "none":
        assert flat(batches) == list(range(N))
    assert labels(loader(seeded, workers)) == batches
    free = loader(dataset(shuffle=shuffle), workers)
    first, second = labels(free), labels(free)
    assert sorted(flat(first)) == sorted(flat(second)) == list(range(N))
    assert (first == second) is (shuffle == "none")


def test_more_workers_than_chunks(group: zlab.Group) -> None:
    array = zlab.create_array(group.store, path="few", data=np.arange(5), chunks=4)
    for shuffle in SHUFFLES:
        dataset = zlab.torch.Dataset(array, batch_size=2, shuffle=shuffle)
        assert sorted(torch.cat(list(loader(dataset, 3))).tolist()) == [0, 1, 2, 3, 4]


def test_persistent_workers_see_the_epoch(dataset: Callable[..., Any]) -> None:
    seeded = dataset(shuffle="window", seed=5)
    batches = loader(seeded, 2, persistent_workers=True)
    epochs = []
    for epoch in (0, 1, 0):
        seeded.set_epoch(epoch)
        epochs.append(labels(batches))
    assert epochs[0] == epochs[2] != epochs[1]
    assert sorted(flat(epochs[1])) == list(range(N))


def test_spawned_workers_read_the_same_as_forked_ones(dataset: Callable[..., Any]) -> None:
    seeded = dataset(shuffle="window", seed=2)
    seeded.set_epoch(4)
    spawned = labels(loader(seeded, 2, multiprocessing_context="spawn"))
    assert spawned == labels(loader(seeded, 2, multiprocessing_context="fork"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_workers_are_forked_while_the_parents_threads_read(dataset: Callable[..., Any]) -> None:
    reading = iter(dataset(shuffle="window", seed=0))
    next(reading)
    stop = threading.Event()
    other = dataset(batch_size=3)

    def keep_reading() -> None:
        while not stop.is_set():
            assert sorted(flat(labels(other))) == list(range(N))

    thread = threading.Thread(target=keep_reading)
    thread.start()
    try:
        for seed in range(3):
            seeded = dataset(shuffle="window", seed=seed)
            batches = labels(loader(seeded, 2, multiprocessing_context="fork"))
            assert sorted(flat(batches)) == list(range(N))
    finally:
        stop.set()
        thread.join()
    assert len(labels(reading)) == 12


def test_workers_divide_what_may_be_held(dataset: Callable[..., Any]) -> None:
    # a chunk of images has 168 bytes, which a third of this has no room for
    limited = dataset(max_bytes=450)
    assert len(labels(loader(limited))) == 13
    with pytest.raises(RuntimeError, match=r"MemoryBudgetError[^$]*more than the 150"):
        labels(loader(limited, 3))


def test_an_error_in_a_worker_names_the_chunk(tmp_path: Path) -> None:
    group = zlab.create_group(tmp_path / "broken.zarr")
    array = group.create_array("a", data=np.arange(9), chunks=3, compressors=None)
    (tmp_path / "broken.zarr/a/c/1").write_bytes(b"short")
    with pytest.raises(ChunkReadError, match=r"chunk \(1,\)"):
        list(loader(zlab.torch.Dataset(array, batch_size=3), 1))


# -- ranks


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("workers", [0, 2])
def test_ranks_share_an_epoch(dataset: Callable[..., Any], workers: int, shuffle: str) -> None:
    ranks = [
        labels(
            loader(
                dataset(shuffle=shuffle, seed=1, drop_remainder=True, rank=rank, num_replicas=2),
                workers,
            )
        )
        for rank in range(2)
    ]
    assert len(ranks[0]) == len(ranks[1]) > 0
    assert all(len(batch) == 8 for batches in ranks for batch in batches)
    seen = flat(ranks[0]) + flat(ranks[1])
    assert len(set(seen)) == len(seen) >= N - 8 * 2 * max(workers, 1) - 8


def test_ranks_must_agree(dataset: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="2 ranks need drop_remainder=True"):
        dataset(rank=0, num_replicas=2)
    with pytest.raises(ValueError, match="2 ranks need seed="):
        dataset(rank=0, num_replicas=2, shuffle="global", drop_remainder=True)
    with pytest.raises(ValueError, match="given together"):
        dataset(rank=0)
    with pytest.raises(ValueError, match="no rank 2 of 2"):
        dataset(rank=2, num_replicas=2)


RANK = """
import pickle, sys, torch, zlab

torch.distributed.init_process_group(
    "gloo", init_method="file://" + sys.argv[2], rank=int(sys.argv[3]), world_size=2
)
array = zlab.open_group(sys.argv[1])["label"]
dataset = zlab.torch.Dataset(array, batch_size=8, shuffle="window", seed=1, drop_remainder=True)
alone = torch.cat(list(dataset)).tolist()
loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=2)
forked = torch.cat(list(loader)).tolist()
# as a worker that is spawned has it, where there is no process group
pickled = pickle.dumps(dataset)
torch.distributed.destroy_process_group()
print([alone, forked, torch.cat(list(pickle.loads(pickled))).tolist()])
"""


def test_the_ranks_of_a_process_group(group: zlab.Group, tmp_path: Path) -> None:
    program = tmp_path / "rank.py"
    program.write_text(RANK, encoding="utf-8")
    processes = [
        subprocess.Popen(
            [sys.executable, program, tmp_path / "data.zarr", tmp_path / "meet", str(rank)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    first, second = (json.loads(process.communicate(timeout=120)[0]) for process in processes)
    for mine, other in zip(first, second, strict=True):
        assert len(mine) == len(other) >= 32
        assert not set(mine) & set(other)
    assert first[0] == first[2]


# -- states


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("seed", [None, 7])
def test_a_state_goes_on_in_the_middle_of_an_epoch(
    dataset: Callable[..., Any], shuffle: str, seed: int | None
) -> None:
    begun = dataset(shuffle=shuffle, seed=seed)
    begun.set_epoch(2)
    states = [begun.state_dict()]
    batches = []
    for batch in begun:
        batches += labels([batch])
        states.append(json.loads(json.dumps(begun.state_dict())))
    for n, state in enumerate(states):
        later = dataset(shuffle=shuffle, seed=seed)
        later.load_state_dict(state)
        assert n == 0 or later.state_dict() == state
        rest = labels(loader(later))
        if n or seed is not None:
            assert n == 0 or rest == batches[n:]
        # and then whole epochs again
        assert sorted(flat(labels(later))) == list(range(N))


def test_states_of_something_else_are_refused(dataset: Callable[..., Any]) -> None:
    begun = dataset(shuffle="window", seed=1)
    next(iter(begun))
    state = begun.state_dict()
    with pytest.raises(ValueError, match="seed"):
        dataset(shuffle="window", seed=2).load_state_dict(state)
    with pytest.raises(ValueError, match="the state is of"):
        dataset(seed=1).load_state_dict(state)
    with pytest.raises(ValueError, match="other samples"):
        dataset(shuffle="window", seed=1, windows={0: 2}).load_state_dict(state)
    with pytest.raises(ValueError, match="no state"):
        dataset().load_state_dict({})


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("workers", [0, 2, 3])
def test_torchdatas_loader_goes_on(dataset: Callable[..., Any], workers: int, shuffle: str) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader

    def make() -> Any:
        return stateful(dataset(shuffle=shuffle, seed=3), batch_size=None, num_workers=workers)

    begun = make()
    batches, states = [], []
    for batch in begun:
        batches += labels([batch])
        states.append(begun.state_dict())
    assert sorted(flat(batches)) == list(range(N))
    for n in (0, 4, len(batches) - 2):
        later = make()
        later.load_state_dict(states[n])
        assert labels(later) == batches[n + 1 :]
        assert sorted(flat(labels(later))) == list(range(N))


# -- the rest of the interface


def test_the_length_is_the_number_of_batches(dataset: Callable[..., Any]) -> None:
    for shuffle in SHUFFLES:
        assert len(loader(dataset(shuffle=shuffle, seed=1))) == 13
        assert len(dataset(shuffle=shuffle, seed=1, drop_remainder=True)) == 12


def test_wrong_arguments_are_told_when_it_is_made(
    group: zlab.Group, dataset: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        dataset(batch_size=0)
    with pytest.raises(ValueError, match="shuffle must be one of"):
        dataset(shuffle=True)
    short = zlab.create_array({}, shape=(3,), dtype="i4")
    with pytest.raises(ValueError, match="different numbers of samples"):
        zlab.torch.Dataset(group["image"], short, batch_size=2)
    with pytest.raises(MemoryBudgetError):
        dataset(max_bytes=1)
    with pytest.raises(TypeError, match="x must be a zlab"):
        zlab.torch.Dataset(np.arange(3), batch_size=2)
    with pytest.raises(ValueError, match="epoch must be at least 0"):
        dataset().set_epoch(-1)


def test_a_pickled_dataset_reads_the_same(dataset: Callable[..., Any]) -> None:
    seeded = dataset(shuffle="window", seed=1)
    seeded.set_epoch(3)
    next(iter(seeded))
    twin = pickle.loads(pickle.dumps(seeded))  # noqa: S301
    assert labels(twin) == labels(seeded)


# -- single samples


@pytest.mark.parametrize("workers", [0, 2])
def test_the_map_dataset(group: zlab.Group, workers: int) -> None:
    dataset = zlab.torch.MapDataset((group["image"], group["label"]))
    assert len(dataset) == N
    batches = torch.utils.data.DataLoader(
        dataset, batch_size=8, shuffle=True, num_workers=workers, generator=torch.manual_seed(0)
    )
    seen = labels(batches)
    assert sorted(flat(seen)) == list(range(N)) != flat(seen)
    if not workers:
        # 15 chunks of images and 11 of labels
        assert (dataset.report().nsamples, dataset.report().ndecoded) == (N, 26)
    for number in (-1, N):
        with pytest.raises(IndexError, match="there is no sample"):
            dataset[number]


def test_single_samples_are_tensors(group: zlab.Group) -> None:
    dataset = zlab.torch.MapDataset(group, cache=1 << 10)
    sample = dataset[9]
    assert sample["label"].shape == ()
    np.testing.assert_array_equal(sample["image"].numpy(), IMAGES[9])
    together = dataset.__getitems__([9, 0, 9])
    assert [int(sample["label"]) for sample in together] == [9, 0, 9]


def test_a_failed_chunk_of_the_map_dataset_is_an_error() -> None:
    store = FaultStore(MemoryStore(), [Fault("get", "c/1", error=StoreError)])
    dataset = zlab.torch.MapDataset(zlab.create_array(store, data=np.arange(9), chunks=3))
    with pytest.raises(ChunkReadError, match=r"chunk \(1,\)"):
        dataset.__getitems__([0, 4])
