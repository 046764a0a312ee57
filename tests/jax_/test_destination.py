"""Batches over eight devices of one process, without copies, and over devices that copy."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

jax = pytest.importorskip("jax")

from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding  # noqa: E402

from zlab.jax import Loader  # noqa: E402

N, SHAPE = 64, (8, 16)
IMAGES = np.arange(N * 8 * 16, dtype="float32").reshape(N, *SHAPE)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore(MemoryStore())


@pytest.fixture
def group(store: CountingStore) -> zlab.Group:
    group = zlab.create_group(store)
    group.create_array("images", data=IMAGES, chunks=(8, 8, 4))
    group.create_array("labels", data=np.arange(N, dtype="int32"), chunks=8)
    store.reset()
    return group


def cut(shape: tuple[int, ...], *axes: str | tuple[str, ...] | None) -> NamedSharding:
    """Over eight devices in this shape, which has the axes "a", and "b" and "c" if there are."""
    assert len(jax.devices()) == 8
    spec: Any = PartitionSpec
    mesh = Mesh(np.asarray(jax.devices()).reshape(shape), tuple("abc"[: len(shape)]))
    return NamedSharding(mesh, spec(*axes))


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[NDArray[Any]]:
    """The arrays that are given to JAX."""
    arrays: list[NDArray[Any]] = []
    device_put: Callable[..., Any] = jax.device_put

    def record(array: NDArray[Any], *args: Any) -> Any:
        arrays.append(array)
        return device_put(array, *args)

    monkeypatch.setattr("jax.device_put", record)
    return arrays


@pytest.mark.parametrize(
    "sharding",
    [
        lambda: cut((8,), "a"),
        lambda: cut((4, 2), "a"),
        lambda: cut((4, 2), ("a", "b")),
        lambda: cut((4, 2), "a", "b"),
        lambda: cut((2, 4), "a", None, "b"),
        lambda: cut((2, 2, 2), "a", "b", "c"),
        lambda: cut((2, 4), None, "a"),
        lambda: cut((8,)),
        lambda: SingleDeviceSharding(jax.devices()[5]),
    ],
    ids=["8", "4x2 rows", "4x2 all rows", "4x2", "2x4", "2x2x2", "columns", "replicated", "one"],
)
@pytest.mark.parametrize("shuffle", ["none", "window", "global"])
def test_each_device_has_what_the_sharding_says(
    group: zlab.Group, store: CountingStore, sharding: Callable[[], Any], shuffle: Any
) -> None:
    wanted = sharding()
    loader = Loader(group.array("images"), batch_size=16, shuffle=shuffle, seed=1, sharding=wanted)
    rows = []
    for batch in loader:
        assert batch.sharding == wanted
        whole = np.asarray(batch)
        for shard in batch.addressable_shards:
            assert (np.asarray(shard.data) == whole[shard.index]).all()
        rows += (whole[:, 0, 0] / 128).astype(int).tolist()
        assert (whole == IMAGES[rows[-16:]]).all()
    assert sorted(rows) == list(range(N))
    if shuffle != "global":
        # whatever the devices hold, each chunk is read once
        read = {key: n for key, n in store.counts.keys.items() if "/c/" in key}
        assert (len(read), set(read.values())) == (32, {1})


def test_a_device_of_its_own_or_a_sharding_for_each(group: zlab.Group) -> None:
    last = jax.devices()[-1]
    (batch,) = Loader(group, batch_size=N, sharding=last)
    assert {device for part in batch.values() for device in part.devices()} == {last}
    images, labels = cut((4, 2), "a", "b"), cut((4, 2), "a")
    (batch,) = Loader(group, batch_size=N, sharding={"images": images, "labels": labels})
    assert (batch["images"].sharding, batch["labels"].sharding) == (images, labels)
    ((x, y),) = Loader(
        group.array("images"), group.array("labels"), batch_size=N, sharding=(images, labels)
    )
    assert (x.sharding, y.sharding) == (images, labels)


@pytest.mark.parametrize("shuffle", ["none", "window", "global"])
@pytest.mark.parametrize(
    "rows",
    [
        lambda: None,
        lambda: jax.devices()[3],
        lambda: cut((8,), "a"),
        lambda: cut((4, 2), "a"),
        lambda: cut((8,)),
    ],
    ids=["default", "one", "8", "4x2", "replicated"],
)
def test_cpu_devices_take_rows_without_a_copy(
    group: zlab.Group, handed_over: list[NDArray[Any]], rows: Callable[[], Any], shuffle: Any
) -> None:
    loader = Loader(group.array("images"), batch_size=16, shuffle=shuffle, seed=0, sharding=rows())
    batches = list(loader)
    assert len(handed_over) == len(batches) == 4
    for array, batch in zip(handed_over, batches, strict=True):
        for shard in batch.addressable_shards:
            start = shard.index[0].start or 0
            address = array.ctypes.data + start * array.strides[0]
            assert shard.data.unsafe_buffer_pointer() == address


def test_a_cast_or_a_transform_costs_no_further_copy(
    group: zlab.Group, handed_over: list[NDArray[Any]]
) -> None:
    for options in ({"dtype": "float16"}, {"transform": lambda x: x}):
        handed_over.clear()
        (batch,) = Loader(group.array("images"), batch_size=N, **options)
        assert batch.unsafe_buffer_pointer() == handed_over[0].ctypes.data


# -- what does not fit


@pytest.mark.parametrize(
    ("sharding", "options", "says"),
    [
        (lambda: cut((8,), "a"), {"batch_size": 12}, r"array 'labels': a batch of it is \(12,\)"),
        (lambda: cut((4, 2), "a", "b"), {"batch_size": 8}, r"array 'labels': a batch .* is \(8,\)"),
        (lambda: [cut((8,), "a")], {"batch_size": 8}, "sharding must be one value for all"),
    ],
)
def test_what_cannot_be_divided_is_an_error_before_a_read(
    group: zlab.Group,
    store: CountingStore,
    sharding: Callable[[], Any],
    options: dict[str, Any],
    says: str,
) -> None:
    with pytest.raises(ValueError, match=says):
        Loader(group.array("labels"), sharding=sharding(), **options)
    assert not any("/c/" in key for key in store.counts.keys)


def test_a_remainder_that_cannot_be_divided_may_be_dropped(group: zlab.Group) -> None:
    rows = cut((8,), "a")
    labels = group.create_array("odd", data=np.arange(60, dtype="int32"))
    with pytest.raises(ValueError, match=r"has 12 samples.* Pass drop_remainder=True"):
        Loader(labels, batch_size=16, sharding=rows)
    batches = list(Loader(labels, batch_size=16, sharding=rows, drop_remainder=True))
    assert [len(batch) for batch in batches] == [16] * 3
    # one that can be divided is a batch
    assert [len(batch) for batch in Loader(labels, batch_size=52, sharding=cut((2, 4), "a"))] == [
        52,
        8,
    ]


def test_only_shardings_and_devices_are_taken(group: zlab.Group) -> None:
    for wrong in ("cpu", 0, {"images": jax.devices()[0], "labels": None}):
        with pytest.raises((TypeError, ValueError), match="sharding must be"):
            Loader(group, batch_size=8, sharding=wrong)


# -- transforms


def test_what_a_transform_makes_is_cut_too(group: zlab.Group) -> None:
    rows = cut((8,), "a")
    loader = Loader(
        group,
        batch_size=16,
        sharding=rows,
        transform=lambda batch: (batch["images"].mean(2), [batch["labels"]]),
    )
    for x, (y,) in loader:
        assert (x.sharding, x.shape) == (rows, (16, 8))
        assert (y.sharding, y.shape) == (rows, (16,))
    scalar = Loader(group, batch_size=16, sharding=rows, transform=lambda b: b["images"].mean())
    with pytest.raises(TypeError, match="must return NumPy arrays, and batch is float32"):
        list(scalar)
    odd = Loader(group, batch_size=16, sharding=rows, transform=lambda batch: batch["labels"][:3])
    with pytest.raises(ValueError, match=r"does not divide batch: a batch of it is \(3,\)"):
        list(odd)
    per_part = {"images": rows, "labels": rows}
    other = Loader(group, batch_size=16, sharding=per_part, transform=lambda b: tuple(b.values()))
    with pytest.raises(ValueError, match="sharding must be one value for all, or a pytree like"):
        list(other)


def test_a_jitted_transform_has_the_sharded_batch(group: zlab.Group) -> None:
    rows = cut((8,), "a")
    transform = jax.jit(lambda batch: {"x": batch["images"] / 255, "y": batch["labels"]})
    for batch in Loader(group, batch_size=16, sharding=rows, transform=transform):
        assert batch["x"].sharding.is_equivalent_to(rows, 3)


# -- devices that copy


class Transfers:
    """A device that copies later, as accelerators do: each copy waits to be let go."""

    def __init__(self) -> None:
        self.begun: list[threading.Event] = []
        self.copies: list[NDArray[Any]] = []
        self._threads: list[threading.Thread] = []

    def put(self, array: NDArray[Any], *_: Any) -> int:
        let_go, number = threading.Event(), len(self.begun)
        self.copies.append(np.empty(0))

        def copy(array: NDArray[Any]) -> None:
            let_go.wait(10)
            time.sleep(0.001)
            self.copies[number] = array.copy()

        thread = threading.Thread(target=copy, args=(array,))
        self.begun.append(let_go)
        self._threads.append(thread)
        thread.start()
        return number

    def finished(self) -> list[NDArray[Any]]:
        for event in self.begun:
            event.set()
        for thread in self._threads:
            thread.join()
        return self.copies


@pytest.fixture
def transfers(monkeypatch: pytest.MonkeyPatch) -> Transfers:
    transfers = Transfers()
    monkeypatch.setattr("zlab.jax.destination.to_device", transfers.put)
    # a CPU takes over memory as it is: nothing is transferred, and nothing begun ahead
    monkeypatch.setattr("zlab.jax.destination.Destination.is_host", lambda *_: False)
    return transfers


@pytest.mark.parametrize("shuffle", ["none", "window", "global"])
def test_memory_is_not_written_again_before_it_was_copied(
    transfers: Transfers, shuffle: Any
) -> None:
    data = np.arange(96 * 20_000, dtype="float32").reshape(96, 20_000)
    array = zlab.create_array({}, data=data, chunks=(4, 20_000), compressors=None)
    for number in Loader(array, batch_size=4, shuffle=shuffle, seed=0, epochs=2):
        # each copy is made four batches later
        if number >= 4:
            transfers.begun[number - 4].set()
    copies = transfers.finished()
    assert len(copies) == 48
    for epoch in copies[:24], copies[24:]:
        rows = np.concatenate(epoch)
        numbers = (rows[:, 0] / 20_000).astype(int)
        assert sorted(numbers.tolist()) == list(range(96))
        assert (rows == data[numbers]).all()


@pytest.mark.parametrize("prefetch", [1, 2, 4])
def test_transfers_are_begun_ahead_of_the_step(
    transfers: Transfers, wait_until: Callable[[Callable[[], object]], None], prefetch: int
) -> None:
    array = zlab.create_array({}, data=np.arange(100, dtype="int32"), chunks=10)
    for number in Loader(array, batch_size=5, prefetch=prefetch):
        # none of them has ended yet, and the loop does not wait for that
        wanted = min(number + 1 + prefetch, 20)
        wait_until(lambda wanted=wanted: len(transfers.begun) == wanted)  # type: ignore[misc]
    transfers.finished()
