"""`to_array` is NumPy's selection on the device, and reads what is selected once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import zlab
from zlab.errors import ChunkReadError, DataTypeError, SelectionError
from zlab.stores.memory import MemoryStore
from zlab.telemetry import capture
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from collections.abc import Callable

jax = pytest.importorskip("jax")

SCRIPT = Path(__file__).with_name("eight_devices.py")


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The addresses of the buffers that are given to JAX."""
    addresses: list[int] = []
    device_put: Callable[..., Any] = jax.device_put

    def record(array: np.ndarray[Any, Any], *where: Any) -> Any:
        addresses.append(array.ctypes.data)
        return device_put(array, *where)

    monkeypatch.setattr("jax.device_put", record)
    return addresses


VALUES = np.arange(30 * 20, dtype="f4").reshape(30, 20)


def small_array(**options: Any) -> zlab.Array:
    return zlab.create_array({}, data=VALUES, chunks=(7, 6), **options)


# -- without a copy


@pytest.mark.parametrize(
    "selection", [..., (slice(3, 29), slice(None, None, -2)), (slice(None), 5), {"y": slice(1, 30)}]
)
@pytest.mark.parametrize("options", [{}, {"shards": (14, 12)}])
def test_the_cpu_takes_over_what_was_read(
    handed_over: list[int], selection: Any, options: dict[str, Any]
) -> None:
    array = small_array(dimension_names=["y", "x"], **options)
    for device in (None, jax.devices()[0]):
        tensor = zlab.jax.to_array(array, selection, device=device)
        assert tensor.unsafe_buffer_pointer() == handed_over.pop()
        assert tensor.unsafe_buffer_pointer() % 64 == 0
        np.testing.assert_array_equal(tensor, array[selection])
        assert handed_over == []


def test_a_cast_is_the_only_copy(handed_over: list[int]) -> None:
    tensor = zlab.jax.to_array(small_array(), dtype="float16")
    assert [tensor.unsafe_buffer_pointer()] == handed_over
    np.testing.assert_array_equal(tensor, VALUES.astype("f2"))


def test_a_cast_holds_a_few_chunks_besides_the_result() -> None:
    values = np.arange(1 << 20, dtype="f8").reshape(1 << 8, 1 << 12)
    array = zlab.create_array({}, data=values, chunks=(8, 1 << 12))
    # compiled, imported and kept once
    zlab.jax.to_array(array, slice(0, 8), dtype="float32")
    with zlab.settings.override(memory_budget=1 << 20):
        tracemalloc.start()
        tensor = zlab.jax.to_array(array, dtype="float32")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    np.testing.assert_array_equal(tensor, values.astype("f4"))
    assert tensor.nbytes == 4 << 20
    assert peak < 7 << 20


@pytest.mark.parametrize("options", [{}, {"cache": 1 << 20}])
@pytest.mark.parametrize(
    "selection",
    [(3, slice(2, 19)), (slice(None, None, -1), slice(0, 9, 2)), ([4, 1],), slice(5, 5)],
)
def test_a_cast_is_of_what_is_selected(selection: Any, options: dict[str, Any]) -> None:
    store = MemoryStore()
    zlab.create_array(store, shape=(30, 20), chunks=(7, 6), dtype="f4", fill_value=9)
    array = zlab.open_array(store, mode="r+", **options)
    array[:20] = VALUES[:20]
    expected = array[selection].astype("i2")
    np.testing.assert_array_equal(zlab.jax.to_array(array, selection, dtype="int16"), expected)


def test_the_recipes_without_zlab_copy_nothing_either() -> None:
    values = small_array()[...]
    for tensor in (jax.device_put(values), jax.numpy.from_dlpack(values)):
        assert tensor.unsafe_buffer_pointer() == values.ctypes.data
    np.testing.assert_array_equal(jax.numpy.from_dlpack(small_array()), VALUES)
    np.testing.assert_array_equal(np.asarray(small_array()), VALUES)


# -- what is selected


@given(data=st.data())
def test_it_is_what_numpy_selects(data: st.DataObject) -> None:
    shape = data.draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6))
    values = np.arange(np.prod(shape, dtype=int), dtype="i4").reshape(shape)
    array = zlab.create_array({}, data=values, chunks=2 if shape else ())
    selection: Any = data.draw(npst.basic_indices(shape))
    if values.ndim and values.size and data.draw(st.booleans()):
        count = data.draw(st.integers(1, 4))
        selection = tuple(
            np.array(data.draw(st.lists(st.integers(-n, n - 1), min_size=count, max_size=count)))
            for n in shape
        )
    tensor = zlab.jax.to_array(array, selection)
    assert isinstance(tensor, jax.Array)
    assert tensor.shape == values[selection].shape
    np.testing.assert_array_equal(tensor, values[selection])


def test_index_arrays_may_be_tensors() -> None:
    rows = jax.numpy.array([9, 0, 9])
    array = small_array(dimension_names=["y", "x"])
    np.testing.assert_array_equal(zlab.jax.to_array(array, rows), VALUES[[9, 0, 9]])
    np.testing.assert_array_equal(zlab.jax.to_array(array, {"x": rows}), VALUES[:, [9, 0, 9]])
    np.testing.assert_array_equal(
        zlab.jax.to_array(array, (rows, rows + 1)), VALUES[rows, rows + 1]
    )
    np.testing.assert_array_equal(zlab.jax.to_array(array, rows[0]), VALUES[9])
    mask = jax.numpy.asarray(VALUES > 500)
    np.testing.assert_array_equal(zlab.jax.to_array(array, mask), VALUES[VALUES > 500])


def test_scalars_empty_arrays_and_fill() -> None:
    point = zlab.jax.to_array(small_array(), (3, 4))
    assert (point.shape, float(point)) == ((), 64)
    single = zlab.create_array({}, data=np.float32(7))
    assert float(zlab.jax.to_array(single)) == 7
    empty = zlab.create_array({}, shape=(0, 3), dtype="int8")
    assert zlab.jax.to_array(empty).shape == (0, 3)
    assert zlab.jax.to_array(small_array(), slice(5, 5)).shape == (0, 20)
    store = CountingStore(MemoryStore())
    absent = zlab.create_array(store, shape=(5, 5), chunks=2, dtype="bfloat16", fill_value=1.5)
    assert (zlab.jax.to_array(absent) == 1.5).all()


def test_each_chunk_is_read_once_and_none_beside() -> None:
    store = CountingStore(MemoryStore())
    zlab.create_array(store, data=VALUES, chunks=(10, 10))
    array = zlab.open_array(store)
    store.reset()
    with capture("chunk.read") as captured:
        zlab.jax.to_array(array, (slice(0, 20), slice(0, 20, 3)))
    assert sorted(event.coords for event in captured.events) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {key: n for key, n in store.counts.keys.items() if key.startswith("c/")} == {
        f"c/{y}/{x}": 1 for y in (0, 1) for x in (0, 1)
    }


# -- errors


def test_what_is_wrong_is_told_before_anything_is_read() -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, data=VALUES, chunks=(10, 10), dimension_names=["y", "x"])
    store.reset()
    device = jax.devices()[0]
    sharding = jax.sharding.SingleDeviceSharding(device)
    wrong: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (SelectionError, "out of bounds", {"selection": 30}),
        (SelectionError, "no dimension is named 'z'", {"selection": {"z": 0}}),
        (TypeError, "give one of them", {"device": device, "sharding": sharding}),
        (TypeError, "device must be a jax.Device", {"device": "cpu"}),
        (TypeError, "device must be a jax.Device", {"device": sharding}),
        (TypeError, r"sharding must be a jax\.sharding\.Sharding", {"sharding": "rows"}),
        (DataTypeError, "dtype= for the array is float64", {"dtype": "float64"}),
    ]
    for error, says, arguments in wrong:
        with pytest.raises(error, match=says):
            zlab.jax.to_array(array, **arguments)
    with pytest.raises(TypeError, match=r"array must be a zlab\.Array, not ndarray"):
        zlab.jax.to_array(VALUES)  # type: ignore[arg-type]
    assert not any(key.startswith("c/") for key in store.counts.keys)


def test_a_chunk_that_cannot_be_read_is_an_error() -> None:
    store = MemoryStore()
    array = zlab.create_array(store, data=VALUES, chunks=(10, 20))
    store.put("c/1/0", b"not zstd")
    with pytest.raises(ChunkReadError) as caught:
        zlab.jax.to_array(array)
    assert caught.value.coords == (1, 0)
    assert zlab.jax.to_array(array, slice(0, 10)).shape == (10, 20)


# -- on eight devices


@pytest.fixture(scope="module")
def eight() -> dict[str, Any]:
    """What `eight_devices.py` has done."""
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout)
    return results


ROWS = {f"c/{y}/0": 1 for y in range(4)}
EXPECTED: dict[str, Any] = {
    "each_part_is_read_alone": [[[y, x] for y in range(4) for x in range(2)], [1], 384 * 4],
    "what_several_devices_hold_is_read_once": [ROWS, 4, ROWS],
    # half a chunk for each of four devices, which pairs of them have in common
    "a_part_of_the_array_is_divided": {"c/2/0": 2, "c/3/0": 2},
    "only_what_the_devices_at_hand_hold_is_read": {"c/2/0": 1, "c/3/0": 1},
    "a_chunk_that_parts_share_is_decoded_for_each": [
        {"c/0/0": 2, "c/1/0": 2},
        {"c/0/0": 1, "c/1/0": 1},
    ],
    "inner_chunks_are_divided": 16,
    "every_kind_of_selection_is_divided": 7,
    "memory_is_taken_over_on_every_device": True,
    "what_cannot_be_divided_is_told_before_it_is_read": [
        [
            f"an array of shape {shape} cannot be divided as the sharding says"
            for shape in ("(10, 24)", "()", "(3, 24)")
        ],
        {},
    ],
    "donated_parts_do_not_write_what_others_see": True,
    "a_sharded_tensor_is_written_part_by_part": [[[4, 12]], 8],
    "sharded_batches_are_written_where_they_belong": [
        16,
        16,
        "data of shape (8, 24), where the array has (4, 24)",
    ],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_on_eight_devices(eight: dict[str, Any], name: str) -> None:
    assert eight[name] == EXPECTED[name]


def test_all_that_is_done_on_eight_devices_is_compared(eight: dict[str, Any]) -> None:
    assert eight.keys() == EXPECTED.keys()
