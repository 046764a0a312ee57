"""The table of the guide is what `zlab.jax` does, for every registered data type."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.codecs.bytes import SMALL_BITS
from zlab.errors import DataTypeError
from zlab.metadata import parse_data_type
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "jax.md"
FLOATS = (
    *("float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn", "float8_e3m4", "float8_e4m3"),
    *("float8_e4m3b11fnuz", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
    *("bfloat16", "float16", "float32", "float64"),
)
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (2, 4, 8, 16, 32, 64))
REGISTERED = {
    *("bool", "complex64", "complex128", *INTEGERS, *FLOATS, *(f"complex_{f}" for f in FLOATS)),
    *("r", "string", "bytes", "fixed_length_utf32", "struct", "structured"),
    *("numpy.datetime64", "numpy.timedelta64"),
}
FIELDS = [{"name": "a", "data_type": "int16"}, {"name": "b", "data_type": "float32"}]
DOCUMENTS: dict[str, Any] = {
    "r": "r24",
    "fixed_length_utf32": {
        "name": "fixed_length_utf32",
        "configuration": {"length_bytes": 12},
    },
    "struct": {"name": "struct", "configuration": {"fields": FIELDS}},
    "structured": {
        "name": "structured",
        "configuration": {"fields": [["a", "int16"], ["b", "float32"]]},
    },
    **{
        f"numpy.{name}64": {
            "name": f"numpy.{name}64",
            "configuration": {"unit": "D", "scale_factor": 1},
        }
        for name in ("datetime", "timedelta")
    },
}


class Case(NamedTuple):
    """A cell of the table: a data type, whether x64 is on, and what the guide says."""

    name: str
    x64: bool
    says: str


def table() -> list[Case]:
    cases = []
    section = PAGE.read_text("utf-8").split("\n## Types\n")[1].split("\n## ")[0]
    for row in re.findall(r"(?m)^\| (`.*) \|$", section):
        names, on, off = row.split(" | ")
        for name in re.findall(r"`([^`]+)`", names):
            for x64, cell in ((True, on), (False, off)):
                says = f"`{name}`" if cell == "the same" else cell
                cases.append(Case(name, x64, says.replace("`", "")))
    return cases


CASES = table()


def test_the_table_has_every_registered_type_once() -> None:
    assert len(REGISTERED) == 51
    names = [case.name for case in CASES if case.x64]
    assert sorted(names) == sorted(REGISTERED)


def values_of(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Every bit pattern of the small types; of others zeros, NaNs with payloads, bounds."""
    bits = SMALL_BITS.get(dtype.name, 8 * dtype.itemsize)
    if dtype.kind == "b":
        return np.array([False, True, True])
    if bits <= 8:
        patterns = np.arange(1 << bits, dtype="u1")
        if dtype.name in ("int2", "int4"):
            shift = 8 - bits
            return ((patterns.view("i1") << shift) >> shift).astype(dtype)
        return patterns.view(dtype)
    numbers = np.random.default_rng(bits).integers(0, 256, (40, dtype.itemsize), np.uint8)
    numbers[0], numbers[1], numbers[2] = 0, 255, 127
    return numbers.reshape(-1).view(dtype)


def stored(name: str) -> tuple[zlab.Array, CountingStore, NDArray[Any] | None]:
    """An array of a type in a store that counts, and its values where they are numbers."""
    document = DOCUMENTS.get(name, name)
    store = CountingStore(MemoryStore())
    dtype = parse_data_type(document).dtype
    values = None
    if dtype.kind in "biufc" or dtype.isbuiltin == 2:
        values = values_of(dtype)
    elif dtype.names == ("real", "imag"):
        parts = values_of(dtype["real"])
        values = np.empty(len(parts), dtype)
        values["real"], values["imag"] = parts, parts[::-1]
    elif dtype.kind in "Mm":
        values = np.array([0, -1, 20_000, 7], "i8").view(dtype)
    shape = 5 if values is None else len(values)
    array = zlab.create_array(store, path="a", shape=shape, chunks=7, dtype=document)
    if values is not None:
        array[...] = values
    store.reset()
    return array, store, values


def chunks_read(store: CountingStore) -> int:
    return sum(n for key, n in store.counts.keys.items() if "/c/" in key)


def same_bits(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.dtype.name in ("int2", "int4"):  # the bits above those that they hold say nothing
        return bool((one.astype("i1") == other.astype("i1")).all())
    return one.tobytes() == other.tobytes()


@pytest.mark.parametrize("case", [case for case in CASES if "error" not in case.says])
def test_what_jax_has_passes_bit_for_bit_both_ways(case: Case) -> None:
    array, _, values = stored(case.name)
    assert values is not None
    with jax.enable_x64(case.x64):
        assert zlab.jax.dtype_of(array) == zlab.jax.dtype_of(DOCUMENTS.get(case.name, case.name))
        tensor = zlab.jax.to_array(array)
        assert tensor.dtype == case.says == zlab.jax.dtype_of(array).name
        assert same_bits(np.asarray(tensor), values)
        assert zlab.jax.data_type_of(tensor) == zlab.jax.data_type_of(tensor.dtype)
        again = zlab.jax.from_array(tensor, {}, chunks=5)
        assert again.metadata.data_type.name == zlab.jax.data_type_of(tensor).name
        assert again.dtype == array.dtype
        assert same_bits(again[...], values)
        (chunk, *_) = zlab.jax.chunks(again, include_missing=True)
        assert same_bits(np.asarray(chunk.data), values[:5])


@pytest.mark.parametrize("case", [case for case in CASES if "error" in case.says])
def test_what_jax_lacks_is_one_error_before_any_read(case: Case) -> None:
    array, store, values = stored(case.name)
    way = re.search(r'dtype="(\w+)"', case.says)
    cast = zlab.create_array({}, shape=0, dtype="int8")
    with jax.enable_x64(case.x64):
        for ask in (
            lambda: zlab.jax.dtype_of(array),
            lambda: zlab.jax.dtype_of(DOCUMENTS.get(case.name, case.name)),
            lambda: zlab.jax.to_array(array),
            lambda: zlab.jax.to_array(array, sharding=cast_sharding()),
            lambda: zlab.jax.chunks(array),
            lambda: zlab.jax.batches(array, 2),
        ):
            with pytest.raises(DataTypeError) as caught:
                ask()
            hint = caught.value.hint or ""
            if way is None:
                assert case.says.removeprefix("error; ") in hint
            elif case.name.startswith("numpy."):
                assert "dtype='int64'" in hint
            else:
                assert f"dtype={way[1]!r}" in hint
        assert chunks_read(store) == 0
        if way is None:
            with pytest.raises(DataTypeError):
                zlab.jax.to_array(array, dtype="float32")
            assert chunks_read(store) == 0
            return
        assert values is not None
        with np.errstate(all="ignore"):
            tensor = zlab.jax.to_array(array, dtype=way[1])
            if values.dtype.names:
                expected = values["real"].astype("c8") + 0
                expected.real, expected.imag = values["real"], values["imag"]
            else:
                expected = values.astype(way[1])
    assert tensor.dtype == way[1]
    assert same_bits(np.asarray(tensor), expected)
    assert cast.nchunks_initialized == 0


def cast_sharding() -> Any:
    return jax.sharding.SingleDeviceSharding(jax.devices()[0])


@pytest.mark.parametrize("name", ["float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn"])
def test_the_way_out_of_small_floats_loses_nothing(name: str) -> None:
    values = values_of(np.dtype(getattr(ml_dtypes, name)))
    wide = values.astype(ml_dtypes.bfloat16)
    assert same_bits(wide.astype(values.dtype), values)


def test_a_cast_is_numpys() -> None:
    array = zlab.create_array({}, data=np.array([1.7, -2.2, 300.0]), chunks=2)
    assert zlab.jax.to_array(array, dtype="int8").tolist() == [1, -2, 44]
    assert zlab.jax.to_array(array, dtype=jnp.bfloat16).dtype == jnp.bfloat16
    with pytest.raises(DataTypeError, match="dtype= for the array is float64"):
        zlab.jax.to_array(zlab.create_array({}, data=np.zeros(2, "i1")), dtype="float64")
    days = zlab.create_array({}, data=np.array(["1970-01-03"], "M8[D]"))
    assert zlab.jax.to_array(days, dtype="int16").tolist() == [2]
    with pytest.raises(DataTypeError, match="numbers only"):
        zlab.jax.to_array(days, dtype="float32")


@pytest.mark.parametrize(("time", "says"), [("NaT", "NaT"), ("2200-01-01", "7258118400")])
def test_times_are_not_wrapped(time: str, says: str) -> None:
    seconds = zlab.create_array({}, data=np.array(["1970-01-03", time], "M8[s]"), chunks=1)
    with pytest.raises(DataTypeError, match=f"int32 cannot hold {says} of datetime64"):
        zlab.jax.to_array(seconds, dtype="int32")
    with pytest.raises(DataTypeError, match=f"int32 cannot hold {says} of datetime64"):
        list(zlab.jax.batches(seconds, 2, dtype="int32"))


def test_no_imaginary_part_is_lost() -> None:
    array = zlab.create_array({}, data=np.arange(3) * 1j)
    with pytest.raises(DataTypeError, match="complex128, and dtype='float32' has no imaginary"):
        zlab.jax.to_array(array, dtype="float32")
    with pytest.raises(DataTypeError, match="complex128, and dtype='bool' has no imaginary"):
        zlab.jax.batches(array, 2, dtype="bool")


@pytest.mark.parametrize(
    ("dtype", "says"),
    [
        (jnp.float8_e4m3fn, "no Zarr data type holds float8_e4m3fn. Cast it to bfloat16"),
        (jax.dtypes.float0, "no Zarr data type holds"),
        ("nonsense", "is not a data type"),
    ],
)
def test_what_no_data_type_stores_is_an_error(dtype: Any, says: str) -> None:
    with pytest.raises(DataTypeError, match=says):
        zlab.jax.data_type_of(dtype)


def test_keys_of_random_numbers_are_no_numbers() -> None:
    key = jax.random.key(0)
    store: dict[str, bytes] = {}
    with pytest.raises(DataTypeError, match=r"jax\.random\.key_data\(keys\)"):
        zlab.jax.from_array(key, store)
    assert store == {}
    assert zlab.jax.from_array(jax.random.key_data(key), store).dtype == "uint32"


@given(st.data())
def test_every_dtype_of_jax_comes_back_from_its_data_type(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted({case.says for case in CASES if case.x64})))
    if "error" in name:
        return
    with jax.enable_x64(True):
        stored_as = zlab.jax.data_type_of(np.dtype(name))
        assert zlab.jax.dtype_of(stored_as) == name
