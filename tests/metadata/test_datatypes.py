"""Data types and fill values."""

from __future__ import annotations

import json
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from zlab.errors import DataTypeError, MetadataError, UnknownDataTypeError
from zlab.metadata import data_type_of, parse_data_type
from zlab.metadata.fill import default_fill, format_fill, parse_fill, scalar_of

NAMES = [
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (2, 4, 8, 16, 32, 64)),
    *("float16", "float32", "float64", "bfloat16"),
    *("float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn", "float8_e3m4", "float8_e4m3"),
    *("float8_e4m3b11fnuz", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
    "float8_e8m0fnu",
    *("complex64", "complex128", "complex_bfloat16", "complex_float16", "complex_float32"),
    *("complex_float64", "complex_float8_e5m2", "complex_float4_e2m1fn"),
    *("r8", "r24", "string", "bytes"),
]


@pytest.mark.parametrize("name", NAMES)
def test_every_named_type_has_a_dtype_and_a_fill_value_that_returns(name: str) -> None:
    data_type = parse_data_type(name)
    assert data_type.format() == name
    fill = default_fill(data_type)
    document = json.loads(json.dumps(format_fill(data_type, fill)))
    again = parse_fill(data_type, document)
    assert format_fill(data_type, again) == document


def test_the_default_of_an_exponent_only_float_is_its_zero_pattern() -> None:
    data_type = parse_data_type("float8_e8m0fnu")
    assert np.asarray(default_fill(data_type)).view(np.uint8) == 0


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (">f8", "float64"),
        ("<i2", "int16"),
        (bool, "bool"),
        (int, "int64"),
        ("<U5", {"name": "fixed_length_utf32", "configuration": {"length_bytes": 20}}),
        ("S7", {"name": "null_terminated_bytes", "configuration": {"length_bytes": 7}}),
        ("V3", "r24"),
        (
            "M8[10us]",
            {"name": "numpy.datetime64", "configuration": {"unit": "us", "scale_factor": 10}},
        ),
        ("bfloat16", "bfloat16"),
        ("string", "string"),
        (str, "string"),
        (np.dtypes.StringDType(), "string"),
    ],
)
def test_numpy_dtypes_have_registered_names(dtype: object, name: object) -> None:
    data_type = data_type_of(dtype)
    assert data_type.format() == name
    assert parse_data_type(data_type.format()) == data_type


def test_a_struct_keeps_its_fields() -> None:
    dtype = np.dtype([("x", ">i4"), ("name", "S3")])
    data_type = data_type_of(dtype)
    assert data_type.dtype == np.dtype([("x", "i4"), ("name", "S3")])
    assert parse_data_type(data_type.format()) == data_type


def test_the_legacy_struct_with_pairs_is_read() -> None:
    document = {
        "name": "structured",
        "configuration": {"fields": [["x", "int32"], ["y", "float64"]]},
    }
    assert parse_data_type(document).dtype == np.dtype([("x", "i4"), ("y", "f8")])


@pytest.mark.parametrize(
    "dtype", [ml_dtypes.float8_e4m3fn, "O", np.dtype(("i4", (2,))), "nonsense", 3]
)
def test_what_no_type_holds_is_refused(dtype: object) -> None:
    with pytest.raises(DataTypeError):
        data_type_of(dtype)


@pytest.mark.parametrize(
    "name", ["float128", "r7", "r0", "r99999999999999", "complex_int8", "complex_nope", "int3"]
)
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(MetadataError):
        parse_data_type(name)


def test_an_unknown_name_has_its_own_error() -> None:
    with pytest.raises(UnknownDataTypeError, match="float128"):
        parse_data_type("float128")


@pytest.mark.parametrize(
    "document",
    [
        {"name": "fixed_length_utf32", "configuration": {"length_bytes": 7}},
        {"name": "fixed_length_utf32", "configuration": {"length_bytes": 2**60}},
        {"name": "fixed_length_utf32"},
        {"name": "numpy.datetime64", "configuration": {"unit": "fortnight", "scale_factor": 1}},
        {"name": "numpy.datetime64", "configuration": {"unit": "s", "scale_factor": 0}},
        {"name": "struct", "configuration": {"fields": []}},
        {"name": "struct", "configuration": {"fields": [{"name": "x"}]}},
        {"name": "struct", "configuration": {"fields": [["x", "int8"], ["x", "int8"]]}},
        {"name": "struct", "configuration": {"fields": [["x", "string"]]}},
        {"name": "int8", "configuration": {"bits": 8}},
        {"name": ""},
        {},
        None,
        3,
    ],
)
def test_bad_configurations_are_refused(document: object) -> None:
    with pytest.raises(MetadataError):
        parse_data_type(document)


@given(
    st.one_of(
        npst.integer_dtypes(),
        npst.unsigned_integer_dtypes(),
        npst.floating_dtypes(sizes=[16, 32, 64]),
    ).flatmap(lambda dtype: npst.arrays(dtype, (1,)))
)
def test_fill_values_return_bit_for_bit(value: np.ndarray[Any, Any]) -> None:
    native = value.astype(value.dtype.newbyteorder("="))
    data_type = data_type_of(native.dtype)
    document = json.loads(json.dumps(format_fill(data_type, native[0]), allow_nan=False))
    again = np.asarray(parse_fill(data_type, document))
    assert again.tobytes() == native.tobytes()


def test_the_payload_of_a_nan_is_kept() -> None:
    data_type = parse_data_type("float32")
    value = parse_fill(data_type, "0x7fc00001")
    assert np.asarray(value).view(np.uint32) == 0x7FC00001
    assert format_fill(data_type, value) == "0x7fc00001"
    assert format_fill(data_type, np.float32("nan")) == "NaN"


def test_negative_zero_is_kept() -> None:
    data_type = parse_data_type("float64")
    assert np.signbit(parse_fill(data_type, json.loads("-0.0")))


@pytest.mark.parametrize("value", [2**53 + 1, 2**64 - 1])
def test_large_integers_are_exact(value: int) -> None:
    data_type = parse_data_type("uint64")
    assert int(parse_fill(data_type, value)) == value
    assert format_fill(data_type, scalar_of(data_type, value)) == value


def test_complex_and_datetime_fill_values() -> None:
    data_type = parse_data_type("complex64")
    assert parse_fill(data_type, [1.5, "-Infinity"]) == np.complex64(complex(1.5, -np.inf))
    time = data_type_of("M8[s]")
    assert np.isnat(parse_fill(time, "NaT"))
    assert np.isnat(parse_fill(time, -(2**63)))
    assert parse_fill(time, 60) == np.datetime64("1970-01-01T00:01", "s")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uint8", 300),
        ("uint8", -1),
        ("int32", 0.5),
        ("int8", True),
        ("bool", 1),
        ("float32", "nan"),
        ("float32", None),
        ("float32", "0x7fc0"),
        ("complex64", 1),
        ("complex64", [1]),
        ("r16", [1, 2, 3]),
        ("r16", [256, 0]),
        ("bytes", "not base64!"),
        ("string", 3),
    ],
)
def test_fill_values_that_a_type_has_not(name: str, value: object) -> None:
    with pytest.raises(MetadataError, match="fill_value"):
        parse_fill(parse_data_type(name), value)


@pytest.mark.parametrize(("name", "value"), [("uint8", 300), ("int32", 0.5), ("bytes", "text")])
def test_fill_values_that_a_user_cannot_mean(name: str, value: object) -> None:
    with pytest.raises(MetadataError, match="fill_value"):
        scalar_of(parse_data_type(name), value)


def test_a_float_may_be_rounded_to_a_narrower_one() -> None:
    assert scalar_of(parse_data_type("float32"), 0.1) == np.float32(0.1)
    assert np.isnan(scalar_of(parse_data_type("float16"), float("nan")))
    assert np.isnat(scalar_of(data_type_of("M8[s]"), np.datetime64("NaT", "s")))
