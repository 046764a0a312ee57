"""What others take an array by: NumPy's array interface and DLPack."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import zlab
from zlab.errors import ChunkReadError, DataTypeError, StoreError
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore, Fault, FaultStore

EXCHANGED = [
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
OTHERS: list[Any] = [
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e5m2,
    ml_dtypes.int4,
    "datetime64[s]",
    "timedelta64[s]",
    "U3",
    "S3",
    np.dtypes.StringDType(),
    [("a", "i4")],
]


def stored(data: Any) -> tuple[zlab.Array, CountingStore]:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, data=data, chunks=2)
    store.reset()
    return array, store


@pytest.mark.parametrize("dtype", EXCHANGED)
def test_from_dlpack_reads_the_array(dtype: str) -> None:
    values = np.arange(5).astype(dtype)
    array, store = stored(values)
    for copy in (None, True):
        taken = np.from_dlpack(array, copy=copy)
        assert taken.dtype == values.dtype
        np.testing.assert_array_equal(taken, values)
    assert store.counts.keys == {"c/0": 2, "c/1": 2, "c/2": 2}


def test_dlpack_hands_over_the_buffer_that_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    array, _ = stored(np.arange(5))
    read: list[Any] = []
    real = zlab.Array.__array__

    def keep(self: zlab.Array, *args: Any, **options: Any) -> Any:
        read.append(real(self, *args, **options))
        return read[-1]

    monkeypatch.setattr(zlab.Array, "__array__", keep)
    taken = np.from_dlpack(array)
    assert len(read) == 1
    assert taken.ctypes.data == read[0].ctypes.data
    assert taken.ctypes.data % 64 == 0


@pytest.mark.needs("jax")
def test_jax_takes_an_array_by_dlpack() -> None:
    import jax

    array, _ = stored(np.arange(5, dtype="float32"))
    assert array.__dlpack_device__() == (1, 0)
    assert jax.numpy.from_dlpack(array).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("dtype", OTHERS, ids=str)
def test_what_dlpack_has_no_type_for_is_refused_before_it_is_read(dtype: Any) -> None:
    array, store = stored(np.zeros(3, dtype))
    with pytest.raises(DataTypeError, match="does not hand over by DLPack"):
        np.from_dlpack(array)
    assert not store.counts.keys


def test_dlpack_is_always_a_copy_on_the_cpu() -> None:
    array, store = stored(np.arange(5))
    with pytest.raises(BufferError, match="without a copy"):
        np.from_dlpack(array, copy=False)
    with pytest.raises(BufferError, match=r"not to \(2, 0\)"):
        array.__dlpack__(dl_device=(2, 0))
    assert not store.counts.keys


def test_a_chunk_that_cannot_be_read_fails_the_exchange() -> None:
    faulty = FaultStore(MemoryStore(), [Fault("get", "c/1", error=StoreError("gone"))])
    array = zlab.create_array(faulty, data=np.arange(5), chunks=2)
    for take in (np.asarray, np.from_dlpack):
        with pytest.raises(ChunkReadError, match=r"chunk \(1,\)"):
            take(array)


@pytest.mark.parametrize("dtype", [None, "f4", "c16", "i2"])
@pytest.mark.parametrize("copy", [None, True])
def test_numpy_takes_an_array(dtype: str | None, copy: bool | None) -> None:
    values = np.arange(6, dtype="i4").reshape(2, 3)
    array, store = stored(values)
    taken = np.asarray(array, dtype=dtype, copy=copy)
    assert taken.dtype == (dtype or "i4")
    np.testing.assert_array_equal(taken, values)
    # memory of its own, which may be written
    taken[0] = 9
    np.testing.assert_array_equal(np.array(array), values)
    assert set(store.counts.keys.values()) == {2}


def test_numpy_functions_take_an_array() -> None:
    array, _ = stored(np.arange(5))
    assert np.sum(array) == 10
    np.testing.assert_array_equal(np.add(array, 1), np.arange(1, 6))
