"""The types of Zarr as those of Polars, and the values that become null."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

import zlab
from zlab.errors import DataTypeError, MetadataError
from zlab.metadata.datatypes import parse_data_type
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

pl = pytest.importorskip("polars")
from zlab.polars.columns import column, column_type, target_dtype  # noqa: E402  it needs polars

SMALL_FLOATS = (
    *("float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn", "float8_e3m4", "float8_e4m3"),
    *("float8_e4m3b11fnuz", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
)


def pair(part: Any) -> Any:
    return pl.Struct({"real": part, "imag": part})


def named(name: str, **configuration: Any) -> dict[str, Any]:
    return {"name": name, "configuration": configuration}


# the document of each registered name, and the type of its column
TYPES: dict[str, tuple[Any, Any]] = {
    "bool": ("bool", pl.Boolean()),
    **{f"int{bits}": (f"int{bits}", getattr(pl, f"Int{bits}")()) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (f"uint{bits}", getattr(pl, f"UInt{bits}")()) for bits in (8, 16, 32, 64)},
    **{f"int{bits}": (f"int{bits}", pl.Int8()) for bits in (2, 4)},
    **{f"uint{bits}": (f"uint{bits}", pl.UInt8()) for bits in (2, 4)},
    "float16": ("float16", pl.Float16()),
    "float32": ("float32", pl.Float32()),
    "float64": ("float64", pl.Float64()),
    **{name: (name, pl.Float32()) for name in ("bfloat16", *SMALL_FLOATS)},
    "complex64": ("complex64", pair(pl.Float32())),
    "complex128": ("complex128", pair(pl.Float64())),
    "complex_float16": ("complex_float16", pair(pl.Float16())),
    "complex_float32": ("complex_float32", pair(pl.Float32())),
    "complex_float64": ("complex_float64", pair(pl.Float64())),
    **{
        f"complex_{name}": (f"complex_{name}", pair(pl.Float32()))
        for name in ("bfloat16", *SMALL_FLOATS)
    },
    "r*": ("r24", pl.Binary()),
    "string": ("string", pl.String()),
    "bytes": ("bytes", pl.Binary()),
    "fixed_length_utf32": (named("fixed_length_utf32", length_bytes=12), pl.String()),
    "numpy.datetime64": (
        named("numpy.datetime64", unit="s", scale_factor=10),
        pl.Datetime("ms"),
    ),
    "numpy.timedelta64": (
        named("numpy.timedelta64", unit="ns", scale_factor=1),
        pl.Duration("ns"),
    ),
    "struct": (
        named(
            "struct",
            fields=[
                {"name": "a", "data_type": "int16"},
                {"name": "b", "data_type": named("fixed_length_utf32", length_bytes=8)},
                {
                    "name": "c",
                    "data_type": named(
                        "struct",
                        fields=[
                            {"name": "d", "data_type": "float8_e5m2"},
                            {"name": "e", "data_type": "complex64"},
                        ],
                    ),
                },
            ],
        ),
        pl.Struct(
            {
                "a": pl.Int16(),
                "b": pl.String(),
                "c": pl.Struct({"d": pl.Float32(), "e": pair(pl.Float32())}),
            }
        ),
    ),
    "structured": (
        named("structured", fields=[["a", "int16"], ["b", "float64"]]),
        pl.Struct({"a": pl.Int16(), "b": pl.Float64()}),
    ),
}


def values_of(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Elements of all bits, but for those that a type has not, and times that exist."""
    if dtype.kind == "T":
        return np.array(["", "é", "two words", "\U0001f600"], dtype)
    if dtype.kind == "O":
        return np.array([b"", b"\0", b"xyz", b"\xff\0"], object)
    if dtype.kind == "U":
        return np.array(["", "é", "ab", "\U0001f600"]).astype(dtype)
    if dtype.kind == "b":
        return np.array([True, False, False, True])
    if dtype.kind in "mM":
        return np.array([0, 1, -5, 10**9], "i8").view(dtype)
    if dtype.names:
        array = np.zeros(4, dtype)
        for name in dtype.names:
            array[name] = values_of(dtype[name])
        return array
    data = np.random.default_rng(7).integers(0, 256, 4 * dtype.itemsize, dtype=np.uint8)
    small = {"int2": 3, "uint2": 3, "float4_e2m1fn": 15, "int4": 15, "uint4": 15}
    data &= small.get(dtype.name, 63 if dtype.name.startswith("float6") else 255)
    return data.view(dtype)


def python_value(value: Any) -> Any:
    """What a scalar is, told without Polars."""
    if isinstance(value, np.void) and value.dtype.names:
        return {name: python_value(value[name]) for name in value.dtype.names}
    if isinstance(value, np.complexfloating):
        return {"real": float(value.real), "imag": float(value.imag)}
    if isinstance(value, np.void):
        return value.tobytes()
    if isinstance(value, np.datetime64):
        return value.astype("M8[ms]").item()
    if isinstance(value, np.timedelta64):
        # Python's have no nanoseconds: Polars drops them too, of the list alone
        return timedelta(microseconds=int(value.astype("i8") / 1000))
    if isinstance(value, (str, np.str_)):
        return str(value)
    if isinstance(value, bytes):
        return value
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, np.integer) or "int" in np.asarray(value).dtype.name:
        return int(value)
    return float(value)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return type(one) is type(other) and bool(one == other)


def test_there_is_a_row_for_each_registered_type() -> None:
    assert len(TYPES) == 51


@pytest.mark.parametrize("name", TYPES)
def test_a_registered_type(name: str) -> None:
    document, expected = TYPES[name]
    data_type = parse_data_type(document)
    values = values_of(data_type.dtype)
    array = zlab.create_array({}, path="a", shape=4, chunks=3, dtype=data_type)
    array.write(..., values, write_empty_chunks=True)
    frames = zlab.polars.frames(array, columns=["a"])
    assert dict(frames.schema) == {"a": expected}
    frame = pl.concat(list(frames))
    assert frame.schema == frames.schema
    got = frame["a"].to_list()
    wanted = [python_value(value) for value in values]
    assert all(map(same, wanted, got)), (wanted, got)


@pytest.mark.parametrize("name", ["bfloat16", *SMALL_FLOATS, "int2", "int4", "uint2", "uint4"])
def test_each_value_of_a_small_type_is_held_exactly(name: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name))
    raw = np.arange(1 << 16 if dtype.itemsize == 2 else 256)
    bits = {"int2": 4, "uint2": 4, "int4": 16, "uint4": 16, "float4_e2m1fn": 16}
    raw = raw[: bits.get(name, 64 if name.startswith("float6") else None)]
    values = raw.astype(f"u{dtype.itemsize}").view(dtype)
    wide = column("x", values).to_numpy()
    with np.errstate(invalid="ignore"):
        back = wide.astype(dtype)
    nans = np.isnan(wide)
    assert nans.tolist() == [bool(value != value) for value in values.tolist()]  # noqa: PLR0124
    # bit for bit, signed zeros too
    width = f"u{dtype.itemsize}"
    assert (back.view(width) == values.view(width))[~nans].all()


@pytest.mark.parametrize(
    "dtype", ["M8[ps]", "M8[fs]", "M8[as]", "m8[ps]", "m8[M]", "m8[Y]", "M8", "m8"]
)
def test_times_that_polars_cannot_count_are_refused(dtype: str) -> None:
    with pytest.raises(DataTypeError, match=r"x is .*, for which there is no Polars column"):
        target_dtype(np.dtype(dtype), "x")


@pytest.mark.parametrize("day", [2**31, -(2**31) - 1, 2**40])
def test_a_day_beyond_those_of_polars_is_an_error_and_no_null(day: int) -> None:
    with pytest.raises(DataTypeError, match="column 'x' holds times that"):
        column("x", np.array([0, day], "i8").view("M8[D]"))


def test_the_days_at_the_ends_are_held() -> None:
    days = np.array([2**31 - 1, -(2**31) + 1, np.iinfo("i8").min], "i8").view("M8[D]")
    assert column("x", days).to_physical().to_list() == [2**31 - 1, -(2**31) + 1, None]


def test_python_objects_of_v2_are_refused_before_any_read() -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(
        store, path="a", shape=2, dtype="object", serializer={"id": "json2"}, zarr_format=2
    )
    store.reset()
    with pytest.raises(DataTypeError, match="Its elements are Python objects"):
        zlab.polars.frames(array)
    assert not [key for key in store.counts.keys if key.endswith("/0")]


def test_text_in_memory_may_be_python_objects() -> None:
    array = zlab.create_array({}, path="a", data=np.arange(2), dimension_names=["x"])
    labels = np.array(["Bern", "Oslo"], object)
    (frame,) = zlab.polars.frames(array, coords={"x": labels})
    assert frame.schema["x"] == pl.String
    assert frame.rows() == [("Bern", 0), ("Oslo", 1)]
    with pytest.raises(DataTypeError, match=r"coordinate 'x' is object.*neither all text nor"):
        zlab.polars.frames(array, coords={"x": np.array(["Bern", 5], object)})


def test_arrays_in_fields_are_refused() -> None:
    document = {
        "zarr_format": 2,
        "shape": [2],
        "chunks": [2],
        "dtype": [["b", "<f4", [3]]],
        "compressor": None,
        "fill_value": None,
        "order": "C",
        "filters": None,
    }
    array = zlab.open_array({"a/.zarray": json.dumps(document).encode()}, path="a")
    with pytest.raises(DataTypeError, match=r"array 'a', 'b', is .*Its elements are arrays"):
        zlab.polars.frames(array)


# -- categories


def codes(values: list[int], dtype: str = "int8", **attributes: Any) -> zlab.Array:
    array = zlab.create_array({}, path="kind", shape=len(values), dtype=dtype)
    array.write(..., np.array(values, dtype), write_empty_chunks=True)
    array.update_attributes(attributes)
    return array


def test_codes_with_categories_are_an_enum() -> None:
    array = codes([1, -1, 0, 1], categories=["low", "high end"], ordered=True)
    frames = zlab.polars.frames(array, columns="kind")
    assert frames.schema == {"kind": pl.Enum(["low", "high end"])}
    (frame,) = frames
    assert frame.schema == frames.schema
    assert frame["kind"].to_list() == ["high end", None, "low", "high end"]


def test_codes_without_an_order_are_categorical() -> None:
    (frame,) = zlab.polars.frames(
        codes([1, 0], "int32", categories=["b", "a"], ordered=False), columns="kind"
    )
    assert frame["kind"].dtype == pl.Categorical
    assert frame["kind"].to_list() == ["a", "b"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"categories": ["a", "b"]},
        {"categories": ["a", 1], "ordered": True},
        {"categories": ["a", "a"], "ordered": True},
        {"categories": "ab", "ordered": True},
        {"ordered": False},
    ],
)
def test_what_is_no_list_of_categories_leaves_numbers(attributes: dict[str, Any]) -> None:
    (frame,) = zlab.polars.frames(codes([1, 0], **attributes), columns="kind")
    assert frame["kind"].dtype == pl.Int8


@pytest.mark.parametrize("code", [2, -2])
def test_a_code_without_a_category_is_an_error(code: int) -> None:
    array = codes([0, code], categories=["a", "b"], ordered=True)
    with pytest.raises(DataTypeError, match="'kind' holds codes beyond its 2 categories"):
        list(zlab.polars.frames(array))


def test_times_of_a_zone_are_told_in_it() -> None:
    array = zlab.create_array(
        {}, path="t", data=np.array(["2020-01-01T00:00", "NaT"], "M8[us]"), chunks=2
    )
    array.attrs["time_zone"] = "Europe/Zurich"
    frames = zlab.polars.frames(array, columns="t")
    assert frames.schema == {"t": pl.Datetime("us", "Europe/Zurich")}
    (frame,) = frames
    assert frame.schema == frames.schema
    assert frame["t"].to_list() == [datetime(2020, 1, 1, tzinfo=UTC), None]
    array.attrs["time_zone"] = "+01:00"
    frames = zlab.polars.frames(array, columns="t")
    assert next(iter(frames)).schema == frames.schema
    array.attrs["time_zone"] = "Mars/Olympus"
    with pytest.raises(MetadataError, match="'Mars/Olympus', no time zone"):
        zlab.polars.frames(array)


# -- nulls


def filled(values: list[Any], dtype: Any, fill: Any, **attributes: Any) -> zlab.Array:
    array = zlab.create_array(
        {}, path="v", shape=len(values), dtype=dtype, fill_value=fill, attributes=attributes
    )
    array.write(..., np.array(values, array.dtype), write_empty_chunks=True)
    return array


@pytest.mark.parametrize(
    ("dtype", "values", "fill"),
    [
        ("i4", [-1, 0, 3], -1),
        ("f4", [math.nan, 0.0, 3.0], math.nan),
        ("f8", [-9e99, math.inf, 3.0], -9e99),
        ("bfloat16", [math.nan, 0.0, 3.0], math.nan),
        ("int4", [-1, 0, 3], -1),
        ("bool", [True, False, False], True),
        ("string", ["", "a", "b"], ""),
        ("U2", ["-", "a", "b"], "-"),
        ("S2", [b"-", b"a", b"b"], b"-"),
        ("bytes", [b"-", b"a", b"b"], b"-"),
        ("V2", [b"\0\1", b"\0\2", b"\0\3"], np.void(b"\0\1")),
    ],
)
def test_the_fill_value_is_null_where_that_is_asked_for(
    dtype: Any, values: list[Any], fill: Any
) -> None:
    array = filled(values, dtype, fill)
    (plain,) = zlab.polars.frames(array, columns="v")
    assert plain["v"].null_count() == 0
    frames = zlab.polars.frames(array, columns="v", fill_to_null=True)
    (frame,) = frames
    assert frame.schema == plain.schema == frames.schema
    assert frame["v"].to_list() == [None, *plain["v"].to_list()[1:]]


def test_a_struct_of_fill_is_null_as_a_whole() -> None:
    dtype = [("a", "i2"), ("b", "f4")]
    array = filled([(0, 0.0), (0, 1.0)], dtype, (0, 0.0))
    (frame,) = zlab.polars.frames(array, columns="v", fill_to_null=True)
    assert frame["v"].to_list() == [None, {"a": 0, "b": 1.0}]


def test_nothing_of_fill_is_not_copied() -> None:
    array = filled([1, 2], "i8", 0)
    kind = column_type(array, "v", fill_to_null=True)
    values = np.array([1, 2])
    made = column("v", values, kind)
    assert made.to_numpy(allow_copy=False).ctypes.data == values.ctypes.data


def test_absent_chunks_are_null_with_the_fill_value() -> None:
    group = zlab.create_group({})
    group.create_array("a", shape=4, chunks=2, dtype="i2", fill_value=-7)[:2] = [1, -7]
    group.create_array("b", shape=4, chunks=2, dtype="i2")[2:] = [3, 4]
    frame = pl.concat(list(zlab.polars.frames(group, fill_to_null="a")))
    assert frame["a"].to_list() == [1, None, None, None]
    assert frame["b"].to_list() == [0, 0, 3, 4]


def test_coordinates_are_never_null() -> None:
    group = zlab.create_group({})
    group.create_array("x", data=np.arange(2), dimension_names=["x"])
    values = group.create_array("v", shape=2, dtype="i2", dimension_names=["x"])
    values.write(..., [0, 1], write_empty_chunks=True)
    (frame,) = zlab.polars.frames(group, fill_to_null=True)
    assert frame.rows() == [(0, None), (1, 1)]


@pytest.mark.parametrize(
    ("dtype", "values", "attribute"),
    [
        ("i4", [-1, 0], -1),
        ("i4", [-1, 0], -1.0),
        ("f8", [math.nan, 0.0], "AAAAAAAA+H8="),
        ("f8", [math.nan, 0.0], "NaN"),
        ("f4", [1.5, 0.0], 1.5),
        ("string", ["-", ""], "-"),
        ("bytes", [b"x", b""], "eA=="),
    ],
)
def test_the_attribute_of_xarray_comes_before_the_fill_value(
    dtype: Any, values: list[Any], attribute: Any
) -> None:
    array = filled(values, dtype, None, _FillValue=attribute)
    (frame,) = zlab.polars.frames(array, columns="v", fill_to_null=True)
    assert frame["v"].to_list() == [None, values[1]]


@pytest.mark.parametrize(
    ("dtype", "attribute"),
    [("i2", 70_000), ("i2", 1.5), ("i2", True), ("f8", "x"), ("f8", "AA=="), ("string", 5)],
)
def test_an_attribute_that_is_no_value_is_an_error_before_any_read(
    dtype: Any, attribute: Any
) -> None:
    array = zlab.create_array({}, path="v", shape=2, dtype=dtype)
    array.attrs["_FillValue"] = attribute
    assert zlab.polars.frames(array).schema
    with pytest.raises(MetadataError, match="the attribute '_FillValue' is"):
        zlab.polars.frames(array, fill_to_null=True)


@pytest.mark.needs("xarray", "zarr")
def test_what_xarray_masks_is_null() -> None:
    xr = pytest.importorskip("xarray")
    zarr = pytest.importorskip("zarr")
    store = zarr.storage.MemoryStore()
    values = np.array([1.0, math.nan, 0.0])
    data = xr.Dataset({"t": ("x", values, {})})
    data.to_zarr(store, zarr_format=3, consolidated=False)
    array = zlab.open_array(store, path="t")
    assert array.attrs["_FillValue"] == "AAAAAAAA+H8="
    frame = pl.concat(list(zlab.polars.frames(array, columns="t", fill_to_null=True)))
    assert frame["t"].to_list() == [1.0, None, 0.0]


def test_only_arrays_that_are_there_can_be_named() -> None:
    array = filled([1], "i2", 0)
    with pytest.raises(ValueError, match="fill_to_null names 'w'; the arrays are v"):
        zlab.polars.frames(array, fill_to_null=["w"])
    with pytest.raises(TypeError, match="fill_to_null must be a sequence of names, not int"):
        zlab.polars.frames(array, fill_to_null=1)  # type: ignore[arg-type]
