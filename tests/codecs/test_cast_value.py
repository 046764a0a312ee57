"""`cast_value`: every rounding exactly, every range, and the examples of the registry."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zlab.codecs import registry
from zlab.codecs.base import ChunkSpec
from zlab.codecs.numbers import FloatKind, IntegerKind, number_kind
from zlab.errors import CodecError, MetadataError, UnknownDataTypeError

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDINGS = [
    "nearest-even",
    "towards-zero",
    "towards-positive",
    "towards-negative",
    "nearest-away",
]
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (2, 4, 8, 16, 32, 64)]
SMALL_FLOATS = [
    "float4_e2m1fn",
    "float6_e2m3fn",
    "float6_e3m2fn",
    "float8_e3m4",
    "float8_e4m3",
    "float8_e4m3b11fnuz",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "bfloat16",
]
FLOATS = [*SMALL_FLOATS, "float16", "float32", "float64"]


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name, None) or name)


def make(source: str, target: str, **configuration: Any) -> Any:
    chunk = ChunkSpec((1,), dtype_of(source), None)
    return registry.get("cast_value").from_config({"data_type": target, **configuration}, chunk)


def cast(source: str, target: str, value: Any, **configuration: Any) -> Any:
    array = np.array([value]).astype(dtype_of(source))
    return make(source, target, **configuration).encode(array)[0]


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        ("nearest-even", [2, 4, -2, -4, 3, 0]),
        ("towards-zero", [2, 3, -2, -3, 2, 0]),
        ("towards-positive", [3, 4, -2, -3, 3, 1]),
        ("towards-negative", [2, 3, -3, -4, 2, 0]),
        ("nearest-away", [3, 4, -3, -4, 3, 0]),
    ],
)
def test_floats_to_integers(rounding: str, expected: list[int]) -> None:
    values = np.array([2.5, 3.5, -2.5, -3.5, 2.6, 0.49999999999999994])
    assert make("float64", "int8", rounding=rounding).encode(values).tolist() == expected


@pytest.mark.parametrize(
    ("out_of_range", "expected"), [("clamp", 127), ("wrap", -128), (None, None)]
)
def test_the_registry_s_example_of_range(out_of_range: str | None, expected: int | None) -> None:
    configuration = {} if out_of_range is None else {"out_of_range": out_of_range}
    if expected is None:
        with pytest.raises(CodecError, match=r"128.0 is not in the range of int8"):
            cast("float64", "int8", 128.0, **configuration)
    else:
        assert cast("float64", "int8", 128.0, **configuration) == expected


@pytest.mark.parametrize(("value", "wrapped"), [(32768, -32768), (32769, -32767), (-32769, 32767)])
@pytest.mark.parametrize("source", ["int32", "int64", "float32", "float64"])
def test_the_registry_s_examples_of_wrapping(source: str, value: int, wrapped: int) -> None:
    assert cast(source, "int16", value, out_of_range="wrap") == wrapped


def test_the_registry_s_example_of_numpy_s_cast() -> None:
    codec = make(
        "float64",
        "uint8",
        rounding="towards-zero",
        out_of_range="wrap",
        scalar_map={"encode": [["NaN", 0], ["+Infinity", 0], ["-Infinity", 0]]},
    )
    values = np.array([math.nan, math.inf, -math.inf, 1.9, -1.9, 256.0, 511.5])
    assert codec.encode(values).tolist() == [0, 0, 0, 1, 255, 0, 255]


def test_a_map_goes_before_everything_and_its_first_entry_holds() -> None:
    codec = make(
        "float64",
        "uint8",
        scalar_map={"encode": [["NaN", 0], [1e9, 7], [1e9, 8]], "decode": [[0, "NaN"]]},
    )
    encoded = codec.encode(np.array([math.nan, 1e9, 3.0]))
    assert encoded.tolist() == [0, 7, 3]
    assert math.isnan(codec.decode(encoded)[0])
    assert codec.decode(encoded)[1:].tolist() == [7.0, 3.0]


@given(
    source=st.sampled_from(INTEGERS),
    target=st.sampled_from(INTEGERS),
    data=st.data(),
    out_of_range=st.sampled_from([None, "clamp", "wrap"]),
)
def test_integers_to_integers(
    source: str, target: str, data: st.DataObject, out_of_range: str | None
) -> None:
    have, want = number_kind(dtype_of(source)), number_kind(dtype_of(target))
    assert isinstance(have, IntegerKind)
    assert isinstance(want, IntegerKind)
    value = data.draw(st.integers(have.low, have.high))
    configuration = {} if out_of_range is None else {"out_of_range": out_of_range}
    if want.low <= value <= want.high:
        expected = value
    elif out_of_range is None:
        with pytest.raises(CodecError, match=f"{value} is not in the range of {target}"):
            cast(source, target, value)
        return
    elif out_of_range == "clamp":
        expected = min(max(value, want.low), want.high)
    else:
        expected = (value - want.low) % (want.high - want.low + 1) + want.low
    assert int(cast(source, target, value, **configuration)) == expected


def exact_rounding(value: Fraction, kind: FloatKind, rounding: str) -> Fraction:
    """The value at the type's steps, in exact arithmetic."""
    if not value:
        return value
    exponent = math.floor(math.log2(abs(value))) if abs(value) < 1 << 1000 else 0
    while Fraction(2) ** exponent > abs(value):
        exponent -= 1
    while Fraction(2) ** (exponent + 1) <= abs(value):
        exponent += 1
    exponent = exponent - kind.digits + 1
    if not kind.is_positive:
        exponent = max(exponent, kind.least_exponent)
    step = Fraction(2) ** exponent
    steps = value / step
    match rounding:
        case "nearest-even":
            whole = round(steps)
        case "towards-zero":
            whole = math.trunc(steps)
        case "towards-positive":
            whole = math.ceil(steps)
        case "towards-negative":
            whole = math.floor(steps)
        case _:
            whole = math.floor(abs(steps) + Fraction(1, 2)) * (1 if steps > 0 else -1)
    return whole * step


def check_to_float(value: Any, source: str, target: str, rounding: str, *, clamp: bool) -> None:
    kind = number_kind(dtype_of(target))
    assert isinstance(kind, FloatKind)
    scalar = np.array([value]).astype(dtype_of(source))[0]
    exact = Fraction(int(scalar)) if source in INTEGERS else Fraction(float(scalar))
    rounded = exact_rounding(exact, kind, rounding)
    least = Fraction(kind.least) if kind.is_positive else Fraction(-kind.high)
    configuration: dict[str, Any] = {"rounding": rounding}
    if clamp:
        configuration["out_of_range"] = "clamp"
    if least <= rounded <= Fraction(kind.high):
        expected: float | None = float(rounded)
    elif not clamp:
        expected = None
    elif kind.has_infinity:
        expected = math.inf if rounded > 0 else -math.inf
    else:
        expected = float(least) if rounded < least else kind.high
    if expected is None:
        with pytest.raises(CodecError, match="is not in the range"):
            make(source, target, **configuration).encode(np.array([scalar]))
        return
    result = make(source, target, **configuration).encode(np.array([scalar]))
    assert result.dtype == dtype_of(target)
    assert float(result[0]) == expected


@given(
    value=st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(-70000, 70000)
    | st.floats(-8, 8, width=16),
    source=st.sampled_from(["float32", "float64"]),
    target=st.sampled_from(FLOATS),
    rounding=st.sampled_from(ROUNDINGS),
    clamp=st.booleans(),
)
def test_floats_to_floats_are_exactly_rounded(
    value: float, source: str, target: str, rounding: str, clamp: bool
) -> None:
    with np.errstate(over="ignore"):
        assume(math.isfinite(np.array(value).astype(source)))
    check_to_float(value, source, target, rounding, clamp=clamp)


@pytest.mark.parametrize("target", FLOATS)
def test_the_greatest_float_is_out_of_range_or_itself(target: str) -> None:
    check_to_float(np.finfo("f8").max, "float64", target, "nearest-even", clamp=False)


@given(
    data=st.data(),
    source=st.sampled_from(INTEGERS),
    target=st.sampled_from(FLOATS),
    rounding=st.sampled_from(ROUNDINGS),
    clamp=st.booleans(),
)
def test_integers_to_floats_are_exactly_rounded(
    data: st.DataObject, source: str, target: str, rounding: str, clamp: bool
) -> None:
    kind = number_kind(dtype_of(source))
    assert isinstance(kind, IntegerKind)
    value = data.draw(st.integers(kind.low, kind.high))
    check_to_float(value, source, target, rounding, clamp=clamp)


@given(
    value=st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1e5, 1e5, width=32),
    target=st.sampled_from(INTEGERS),
    rounding=st.sampled_from(ROUNDINGS),
    out_of_range=st.sampled_from([None, "clamp", "wrap"]),
)
def test_floats_to_integers_are_exact(
    value: float, target: str, rounding: str, out_of_range: str | None
) -> None:
    kind = number_kind(dtype_of(target))
    assert isinstance(kind, IntegerKind)
    exact = Fraction(value)
    whole = {
        "nearest-even": round(exact),
        "towards-zero": math.trunc(exact),
        "towards-positive": math.ceil(exact),
        "towards-negative": math.floor(exact),
        "nearest-away": math.floor(abs(exact) + Fraction(1, 2)) * (1 if exact > 0 else -1),
    }[rounding]
    configuration = {"rounding": rounding}
    if out_of_range is not None:
        configuration["out_of_range"] = out_of_range
    if not kind.low <= whole <= kind.high:
        if out_of_range is None:
            with pytest.raises(CodecError, match="is not in the range"):
                cast("float64", target, value, **configuration)
            return
        if out_of_range == "clamp":
            whole = min(max(whole, kind.low), kind.high)
        else:
            whole = (whole - kind.low) % (kind.high - kind.low + 1) + kind.low
    assert int(cast("float64", target, value, **configuration)) == whole


@pytest.mark.parametrize("target", FLOATS)
def test_every_value_of_a_small_float_survives_the_way_there_and_back(target: str) -> None:
    dtype = dtype_of(target)
    if dtype.itemsize == 1:
        bits = {"float4_e2m1fn": 4, "float6_e2m3fn": 6, "float6_e3m2fn": 6}.get(target, 8)
        values = np.arange(1 << bits, dtype="u1").view(dtype)
    else:
        values = np.array([0.0, -0.0, 1, -1.5, math.inf, math.nan]).astype(dtype)
    codec = make(target, "float64")
    back = codec.decode(codec.encode(values))
    expected = np.where(np.isnan(values.astype(float)), 0, values.view(f"u{dtype.itemsize}"))
    got = np.where(np.isnan(back.astype(float)), 0, back.view(f"u{dtype.itemsize}"))
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("target", FLOATS)
def test_nan_and_infinity_go_only_where_they_are(target: str) -> None:
    kind = number_kind(dtype_of(target))
    assert isinstance(kind, FloatKind)
    for value, there in ((math.nan, kind.has_nan), (math.inf, kind.has_infinity)):
        if there:
            assert str(float(cast("float32", target, value))) == str(value)
        else:
            with pytest.raises(CodecError, match="no NaN or no infinity"):
                cast("float32", target, value, out_of_range="clamp")
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(CodecError, match="NaN and infinity are no integers"):
            cast("float32", "int16", value, out_of_range="clamp")


def test_a_signed_zero_is_kept() -> None:
    assert math.copysign(1, cast("float64", "float32", -0.0)) == -1
    assert math.copysign(1, float(cast("float64", "bfloat16", -0.0))) == -1
    assert cast("float64", "int8", -0.0) == 0


def test_the_fill_value_is_cast_and_must_come_back() -> None:
    codec = registry.get("cast_value")
    chunk = ChunkSpec((1,), np.dtype("f8"), np.float64(5))
    assert codec.from_config({"data_type": "int8"}, chunk).encoded.fill_value == 5
    for fill in (5.5, 300.0, math.nan):
        with pytest.raises(MetadataError, match="fill value"):
            codec.from_config({"data_type": "int8"}, ChunkSpec((1,), np.dtype("f8"), fill))
    nan = ChunkSpec((1,), np.dtype("f8"), math.nan)
    mapped = {"encode": [["NaN", 0]], "decode": [[0, "NaN"]]}
    made = codec.from_config({"data_type": "uint8", "scalar_map": mapped}, nan)
    assert made.encoded.fill_value == 0
    with pytest.raises(MetadataError, match="comes back as"):
        codec.from_config({"data_type": "uint8", "scalar_map": {"encode": [["NaN", 0]]}}, nan)


@pytest.mark.parametrize(
    ("configuration", "dtype"),
    [
        ({}, "f8"),
        ({"data_type": "complex64"}, "f8"),
        ({"data_type": "string"}, "f8"),
        ({"data_type": "bool"}, "f8"),
        ({"data_type": "int8"}, "c8"),
        ({"data_type": "int8"}, "S3"),
        ({"data_type": "int8"}, "bool"),
        ({"data_type": "int8", "rounding": "up"}, "f8"),
        ({"data_type": "int8", "out_of_range": "saturate"}, "f8"),
        ({"data_type": "float32", "out_of_range": "wrap"}, "f8"),
        ({"data_type": "int8", "scalar_map": []}, "f8"),
        ({"data_type": "int8", "scalar_map": {"both": []}}, "f8"),
        ({"data_type": "int8", "scalar_map": {"encode": [1, 2]}}, "f8"),
        ({"data_type": "int8", "scalar_map": {"encode": {"1": 2}}}, "f8"),
        ({"data_type": "int8", "scalar_map": {"encode": [[1.5, 300]]}}, "f8"),
        ({"data_type": "int8", "scalar_map": {"decode": [["NaN", 1.0]]}}, "f8"),
        ({"data_type": "int8", "speed": 1}, "f8"),
    ],
)
def test_a_wrong_configuration_is_refused(
    array_codec: Callable[..., Any], configuration: dict[str, Any], dtype: str
) -> None:
    with pytest.raises(MetadataError):
        array_codec("cast_value", configuration, (1,), dtype)


def test_an_unknown_type_is_named(array_codec: Callable[..., Any]) -> None:
    with pytest.raises(UnknownDataTypeError, match="float3"):
        array_codec("cast_value", {"data_type": "float3"}, (1,), "f8")


def test_the_registry_s_chain_of_scale_offset_and_cast_value(
    pipeline: Callable[..., Any], decode: Callable[..., Any]
) -> None:
    made = pipeline(
        {"name": "scale_offset", "configuration": {"offset": -10, "scale": 0.1}},
        {
            "name": "cast_value",
            "configuration": {
                "data_type": "uint8",
                "rounding": "nearest-even",
                "scalar_map": {"encode": [["NaN", 0]], "decode": [[0, "NaN"]]},
            },
        },
        "bytes",
        shape=(3,),
        dtype="f8",
        fill_value=math.nan,
    )
    encoded = made.encode(np.array([0.0, 2540.0, math.nan]))
    assert list(encoded) == [1, 255, 0]
    decoded = decode(made, encoded)
    assert decoded[:2].tolist() == [0.0, 2540.0]
    assert math.isnan(decoded[2])
