"""Memory that is used again where nobody refers to it any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab
from zlab.memory import ALIGNMENT
from zlab.stores.memory import MemoryStore
from zlab.stream.buffers import Buffers

if TYPE_CHECKING:
    from collections.abc import Callable

NBYTES = 1 << 18
SHAPE = (NBYTES // 4,)
DTYPE = np.dtype("float32")


def place_of(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def test_memory_that_nobody_refers_to_is_used_again() -> None:
    buffers = Buffers(NBYTES)
    one = buffers.empty(SHAPE, DTYPE)
    place = place_of(one)
    assert place % ALIGNMENT == 0
    other = buffers.empty(SHAPE, DTYPE)
    assert place_of(other) != place
    del one
    assert place_of(buffers.empty(SHAPE, DTYPE)) == place


@pytest.mark.parametrize(
    "hold",
    [
        lambda array: array[3:5],
        lambda array: array.reshape(2, -1).T,
        lambda array: array.view("int32")[::7],
        memoryview,
        lambda array: memoryview(array)[4:9],
        lambda array: np.frombuffer(array, "uint8"),
        np.from_dlpack,
        lambda array: [array],
    ],
)
def test_memory_that_a_view_refers_to_is_left_alone(hold: Callable[[Any], Any]) -> None:
    buffers = Buffers(NBYTES)
    array = buffers.empty(SHAPE, DTYPE)
    place = place_of(array)
    held = hold(array)
    del array
    assert place_of(buffers.empty(SHAPE, DTYPE)) != place
    del held
    assert place_of(buffers.empty(SHAPE, DTYPE)) == place


def test_what_is_small_of_another_size_or_made_of_objects_is_made_anew() -> None:
    buffers = Buffers(NBYTES)
    for shape, dtype in (((3,), "float32"), ((NBYTES // 8,), "O"), ((NBYTES // 2,), "int8")):
        one = buffers.empty(shape, np.dtype(dtype))
        assert one.base is None or one.base.nbytes < NBYTES
        assert one.shape == shape


def chunks_of(n: int) -> tuple[zlab.Array, np.ndarray[Any, Any]]:
    values = np.arange(n * NBYTES // 4, dtype="float32").reshape(n, -1) + 1
    array = zlab.create_array(MemoryStore(), data=values, chunks=(1, NBYTES // 4), compressors=None)
    return array, values


def test_a_stream_lives_in_the_memory_of_few_chunks() -> None:
    array, _ = chunks_of(40)
    places = {place_of(c.data) for c in array.stream_chunks(max_bytes=4 * NBYTES, concurrency=2)}
    # four ahead, the consumer's, and one that is let go of
    assert len(places) <= 6


def test_chunks_that_are_kept_stay_as_they_are() -> None:
    array, values = chunks_of(40)
    kept = [chunk.data for n, chunk in enumerate(array.stream_chunks()) if n % 3 == 0]
    assert all((part == values[3 * n]).all() for n, part in enumerate(kept))
    assert len({place_of(part) for part in kept}) == len(kept)


@pytest.mark.needs("jax")
def test_arrays_of_jax_keep_the_memory_that_they_took_over() -> None:
    jax = pytest.importorskip("jax")
    array, values = chunks_of(24)
    kept = [jax.device_put(chunk.data) for chunk in array.stream_chunks(concurrency=1)]
    assert all((np.asarray(part) == values[n]).all() for n, part in enumerate(kept))
    kept = [jax.dlpack.from_dlpack(chunk.data) for chunk in array.stream_chunks(concurrency=1)]
    assert all((np.asarray(part) == values[n]).all() for n, part in enumerate(kept))


@pytest.mark.needs("polars")
def test_columns_of_polars_keep_the_memory_that_they_took_over() -> None:
    pl = pytest.importorskip("polars")
    array, values = chunks_of(24)
    kept = [pl.Series("x", c.data.reshape(-1)) for c in array.stream_chunks(concurrency=1)]
    assert all((part.to_numpy() == values[n]).all() for n, part in enumerate(kept))


def test_slices_use_their_memory_again() -> None:
    array, values = chunks_of(40)
    for length in (1, 3):
        places = set()
        for part in array.stream_slices(length=length, max_bytes=10 * NBYTES, concurrency=1):
            assert (part.data == values[part.region]).all()
            places.add(place_of(part.data))
        assert len(places) <= 6
