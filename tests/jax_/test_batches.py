from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab
from zlab.errors import ChunkReadError, DataTypeError
from zlab.stores.memory import MemoryStore
from zlab.telemetry import capture
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from collections.abc import Callable

jax = pytest.importorskip("jax")


@pytest.fixture
def pair() -> tuple[zlab.Array, zlab.Array, CountingStore]:
    """Samples of 4 x 4 and their labels: 100, which say their index."""
    store = CountingStore(MemoryStore())
    group = zlab.create_group(store)
    values = np.repeat(np.arange(100, dtype="float32"), 16).reshape(100, 4, 4)
    x = group.create_array("x", data=values, chunks=(8, 4, 4))
    y = group.create_array("y", data=np.arange(100, dtype="int32"), chunks=100)
    store.reset()
    return x, y, store


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The addresses of the buffers that are given to JAX."""
    addresses: list[int] = []
    device_put: Callable[[Any], Any] = jax.device_put

    def record(array: np.ndarray[Any, Any]) -> Any:
        addresses.append(array.ctypes.data)
        return device_put(array)

    monkeypatch.setattr("jax.device_put", record)
    return addresses


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8", "bool", "float16", "complex64"])
@pytest.mark.parametrize("batch_size", [8, 12])
def test_the_cpu_takes_batches_without_a_copy(
    handed_over: list[int], dtype: str, batch_size: int, shuffle: bool
) -> None:
    data = np.arange(48 * 32).reshape(48, 32).astype(dtype)
    array = zlab.create_array("memory://", data=data, chunks=(8, 32))
    batches = list(zlab.jax.batches(array, batch_size, shuffle=shuffle, seed=0))
    assert [batch.unsafe_buffer_pointer() for batch in batches] == handed_over
    assert all(address % 64 == 0 for address in handed_over)
    assert len(set(handed_over)) == len(batches)
    rows = np.concatenate([np.asarray(batch) for batch in batches])
    if not shuffle:
        assert (rows == data).all()
    else:
        assert sorted(map(bytes, rows)) == sorted(map(bytes, data))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("prefetch", [0, 1, 2, 5])
def test_several_arrays_stay_aligned(
    pair: tuple[zlab.Array, zlab.Array, CountingStore], shuffle: bool, prefetch: int
) -> None:
    x, y, _ = pair
    batches = zlab.jax.batches((x, y), 32, shuffle=shuffle, seed=3, prefetch=prefetch)
    assert len(batches) == 4
    seen: list[int] = []
    for images, labels in batches:
        assert images.shape == (len(labels), 4, 4)
        assert (np.asarray(images) == np.asarray(labels)[:, None, None]).all()
        seen += labels.tolist()
    assert sorted(seen) == list(range(100))
    assert (seen == list(range(100))) is not shuffle


def test_one_array_gives_arrays_and_a_tuple_of_one_gives_tuples(
    pair: tuple[zlab.Array, zlab.Array, CountingStore],
) -> None:
    y = pair[1]
    (first, *_) = zlab.jax.batches(y, 60)
    assert isinstance(first, jax.Array)
    ((only,), *_) = zlab.jax.batches((y,), 60)
    assert (only == first).all()
    ((only,), *_) = zlab.jax.batches([y], 60)
    assert (only == first).all()


def test_each_iteration_is_an_epoch_in_an_order_of_its_own(
    pair: tuple[zlab.Array, zlab.Array, CountingStore],
) -> None:
    y = pair[1]

    def two_epochs(seed: int | None) -> list[list[int]]:
        batches = zlab.jax.batches(y, 30, shuffle=True, seed=seed)
        return [np.concatenate([np.asarray(b) for b in batches]).tolist() for _ in range(2)]

    first, second = two_epochs(1)
    assert first != second
    assert two_epochs(1) == [first, second]
    assert two_epochs(None) != two_epochs(None)


@pytest.mark.parametrize(
    ("given", "shuffle"), [(False, "none"), (True, "window"), ("global", "global")]
)
def test_true_is_shuffled_in_windows(
    pair: tuple[zlab.Array, zlab.Array, CountingStore], given: Any, shuffle: Any
) -> None:
    batches = zlab.jax.batches(pair[1], 30, shuffle=given, seed=5)
    loader = zlab.jax.Loader(pair[1], batch_size=30, shuffle=shuffle, seed=5)
    assert isinstance(batches, zlab.jax.Loader)
    assert [b.tolist() for b in batches] == [b.tolist() for b in loader]


def test_the_remainder_is_dropped_and_not_read() -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, data=np.arange(107, dtype="int32"), chunks=10)
    store.reset()
    batches = zlab.jax.batches(array, 50, drop_remainder=True)
    assert len(batches) == 2
    assert [batch.shape for batch in batches] == [(50,), (50,)]
    assert sorted(key for key in store.counts.keys if key.startswith("c/")) == [
        f"c/{number}" for number in range(10)
    ]


def test_each_chunk_is_read_once_an_epoch(
    pair: tuple[zlab.Array, zlab.Array, CountingStore],
) -> None:
    x, y, store = pair
    for _ in zlab.jax.batches((x, y), 30, shuffle=True, seed=0):
        pass
    read = {key: n for key, n in store.counts.keys.items() if "/c/" in key}
    assert len(read) == 13 + 1
    assert set(read.values()) == {1}


# -- data types


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64", "complex128"])
def test_64_bits_are_refused_while_x64_is_off(dtype: str) -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, path="wide", data=np.zeros(10, dtype))
    store.reset()
    narrow = {"int64": "int32", "uint64": "uint32", "float64": "float32"}.get(dtype, "complex64")
    with pytest.raises(DataTypeError, match=f"array 'wide' is {dtype}") as caught:
        zlab.jax.batches(array, 2)
    assert "jax_enable_x64" in str(caught.value)
    assert f"dtype='{narrow}'" in str(caught.value)
    assert not any("/c/" in key for key in store.counts.keys)


def test_64_bits_are_64_bits_while_x64_is_on() -> None:
    array = zlab.create_array("memory://", data=np.array([2**40 + 1, 2**53 + 1]))
    with jax.enable_x64(True):
        (batch,) = zlab.jax.batches(array, 2)
    assert batch.dtype == "int64"
    assert batch.tolist() == [2**40 + 1, 2**53 + 1]


def test_x64_switched_off_between_is_an_error_and_no_cast() -> None:
    array = zlab.create_array("memory://", data=np.array([2**40 + 1]))
    with jax.enable_x64(True):
        batches = zlab.jax.batches(array, 1)
    with pytest.raises(DataTypeError, match="a batch is int64"):
        list(batches)


def test_a_cast_is_made_when_it_is_asked_for_by_name(handed_over: list[int]) -> None:
    x = zlab.create_array("memory://", data=np.arange(64, dtype="int64").reshape(16, 4))
    y = zlab.create_array("memory://", data=np.arange(16, dtype="uint8"))
    (batch,) = zlab.jax.batches(x, 16, dtype="float32")
    assert batch.dtype == "float32"
    assert batch.unsafe_buffer_pointer() == handed_over[0]
    assert (np.asarray(batch) == np.arange(64).reshape(16, 4)).all()
    ((a, b),) = zlab.jax.batches((x, y), 16, dtype=("int32", None))
    assert [str(a.dtype), str(b.dtype)] == ["int32", "uint8"]
    ((a, b),) = zlab.jax.batches((x, y), 16, dtype="float16")
    assert [str(a.dtype), str(b.dtype)] == ["float16", "float16"]


def test_a_cast_to_64_bits_is_refused_too() -> None:
    array = zlab.create_array("memory://", data=np.arange(4, dtype="int8"))
    with pytest.raises(DataTypeError, match="dtype= for x is float64"):
        zlab.jax.batches(array, 2, dtype="float64")


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3", "float8_e5m2", "int4"])
def test_the_small_numbers_of_machine_learning_pass(name: str) -> None:
    array = zlab.create_array("memory://", shape=6, chunks=4, dtype=name)
    array[...] = np.arange(6).astype(array.dtype)
    (batch,) = zlab.jax.batches(array, 6)
    assert batch.dtype == name
    assert batch.astype("float32").tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "dtype", ["string", "bytes", "U5", "S3", "M8[s]", "m8[ms]", "V4", [("a", "i4"), ("b", "f4")]]
)
@pytest.mark.parametrize("cast", [None, "float32"])
def test_what_is_no_number_is_refused(dtype: Any, cast: str | None) -> None:
    array = zlab.create_array("memory://", path="text", shape=4, dtype=dtype)
    with pytest.raises(DataTypeError, match="and JAX has numbers only"):
        zlab.jax.batches(array, 2, dtype=cast)


# -- arguments


def test_lengths_that_differ_are_an_error_that_names_both(
    pair: tuple[zlab.Array, zlab.Array, CountingStore],
) -> None:
    x, _, store = pair
    z = zlab.open_group(store, mode="a").create_array("z", shape=99, dtype="int32")
    with pytest.raises(ValueError, match="'x' has 100, 'z' has 99"):
        zlab.jax.batches((x, z), 10)


def test_arguments_are_checked(pair: tuple[zlab.Array, zlab.Array, CountingStore]) -> None:
    x, y, _ = pair
    with pytest.raises(ValueError, match="batch_size must be at least 1, not 0"):
        zlab.jax.batches(x, 0)
    with pytest.raises(ValueError, match="prefetch must be at least 0, not -1"):
        zlab.jax.batches(x, 1, prefetch=-1)
    with pytest.raises(ValueError, match="dtype must be one value for all"):
        zlab.jax.batches((x, y), 1, dtype=["float32"])
    with pytest.raises(ValueError, match="x has no arrays"):
        zlab.jax.batches((), 1)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        (np.arange(3), "x must be a zlab.Array, not ndarray"),
        ({"a": 1}, r"x\['a'\] must be a zlab.Array, not int"),
        ("x", "x must be a zlab.Array, not str"),
        ((np.arange(3),), r"x\[0\] must be a zlab.Array, not ndarray"),
    ],
)
def test_only_arrays_in_stores_are_taken(arrays: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        zlab.jax.batches(arrays, 3)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"batch_size": "3"}, TypeError, "batch_size must be a whole number, not '3'"),
        ({"prefetch": 1.5}, TypeError, "prefetch must be a whole number, not 1.5"),
        ({"shuffle": 5}, ValueError, "shuffle must be one of 'none', 'window', 'global', not 5"),
        ({"drop_remainder": "no"}, TypeError, "drop_remainder must be True or False, not 'no'"),
        ({"seed": "x"}, TypeError, "seed must be a whole number, not 'x'"),
        ({"seed": -1, "shuffle": True}, ValueError, "seed must be at least 0, not -1"),
        ({"seed": (1, 0.5)}, TypeError, "every part of seed must be a whole number, not 0.5"),
    ],
)
def test_the_argument_that_is_wrong_is_named(
    pair: tuple[zlab.Array, zlab.Array, CountingStore],
    arguments: dict[str, Any],
    error: type[Exception],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        zlab.jax.batches(pair[0], **({"batch_size": 4} | arguments))


# -- a life in a training loop


def test_leaving_early_ends_the_stream(
    pair: tuple[zlab.Array, zlab.Array, CountingStore],
) -> None:
    with capture("stream.st*") as captured:
        for _ in zlab.jax.batches(pair[:2], 10, shuffle=True):
            break
    start, stop = captured.events
    assert (start.kind, start.nchunks) == ("batches", 14)
    assert (stop.kind, stop.outcome) == ("batches", "closed")


def test_a_corrupt_chunk_is_an_error() -> None:
    store = MemoryStore()
    array = zlab.create_array(store, data=np.zeros(40, "int32") + 1, chunks=4)
    store.put("c/3", b"not zstd")
    for shuffle in (False, True):
        with pytest.raises(ChunkReadError) as caught:
            list(zlab.jax.batches(array, 4, shuffle=shuffle))
        assert caught.value.coords == (3,)


def test_a_model_learns_from_a_store(pair: tuple[zlab.Array, zlab.Array, CountingStore]) -> None:
    x, y, _ = pair

    def step(w: Any, images: Any, labels: Any) -> Any:
        def loss(w: Any) -> Any:
            return ((images.mean((1, 2)) / 100 * w - labels / 100) ** 2).mean()

        return w - jax.grad(loss)(w)

    step = jax.jit(step)
    w = 0.0
    for epoch in range(20):
        for images, labels in zlab.jax.batches((x, y), 25, shuffle=True, seed=(0, epoch)):
            w = step(w, images, labels)
    assert abs(float(w) - 1) < 1e-3


def test_without_jax_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['jax'] = None\n"
        "import zlab\n"
        "try:\n    zlab.jax\n"
        "except ImportError as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "MissingExtraError zlab.jax needs jax, which is not installed. "
        "Install it with: pip install 'zlab[jax]'\n"
    )
