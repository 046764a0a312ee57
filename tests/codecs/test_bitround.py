"""`bitround`: the registry's sample data, numcodecs for floats, NaN and infinity untouched."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numcodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from zlab.codecs import registry
from zlab.codecs.base import ChunkSpec
from zlab.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_registry_s_floats(array_codec: Callable[..., Any]) -> None:
    values = [0, 0.1, 1.2, 12.3, 123.4, 1234.5, math.nan, math.inf, -math.inf]
    codec = array_codec("bitround", {"keepbits": 3}, (9,), "f4")
    encoded = codec.encode(np.array(values, "f4"))
    assert encoded.astype("<f4").tobytes().hex(" ", 4) == (
        "00000000 0000d03d 0000a03f 00004041 0000f042 0000a044 0000c07f 0000807f 000080ff"
    )


def test_the_registry_s_integers(array_codec: Callable[..., Any]) -> None:
    codec = array_codec("bitround", {"keepbits": 3}, (10,), "u1")
    values = np.array([0, 1, 10, 11, 100, 123, 200, 208, 209, 255], "u1")
    assert codec.encode(values).tolist() == [0, 1, 10, 12, 96, 128, 192, 192, 224, 224]


def test_small_numbers_are_rounded_and_not_dropped(array_codec: Callable[..., Any]) -> None:
    codec = array_codec("bitround", {"keepbits": 3}, (5,), "f4")
    encoded = codec.encode(np.array([1.2345, -9.87, 0, math.nan, math.inf], "f4"))
    assert encoded[:3].tolist() == [1.25, -10, 0]
    assert math.isnan(encoded[3])
    assert encoded[4] == math.inf


@pytest.mark.parametrize("pattern", [0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0x7FC00000])
def test_a_nan_stays_as_it_is(array_codec: Callable[..., Any], pattern: int) -> None:
    values = np.array([pattern, pattern], "u4").view("f4")
    codec = array_codec("bitround", {"keepbits": 2}, (2,), "f4")
    assert codec.encode(values).tobytes() == values.tobytes()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@given(data=st.data())
def test_floats_are_rounded_as_numcodecs_does(dtype: str, data: st.DataObject) -> None:
    keepbits = data.draw(st.integers(0, {"f2": 10, "f4": 23, "f8": 52}[dtype]))
    elements = st.floats(allow_nan=False, width=8 * np.dtype(dtype).itemsize)  # type: ignore[arg-type]
    array = data.draw(npst.arrays(dtype, st.integers(1, 9), elements=elements))
    codec = registry.get("bitround").from_config(
        {"keepbits": keepbits}, ChunkSpec(array.shape, array.dtype, None)
    )
    expected = numcodecs.BitRound(keepbits).encode(array)
    assert codec.encode(array).tobytes() == expected.tobytes()


@given(
    array=npst.arrays(npst.integer_dtypes() | npst.unsigned_integer_dtypes(), st.integers(1, 9)),
    keepbits=st.integers(1, 64),
)
def test_integers_keep_their_leading_bits(array: np.ndarray[Any, Any], keepbits: int) -> None:
    array = array.astype(array.dtype.newbyteorder("="))
    codec = registry.get("bitround").from_config(
        {"keepbits": keepbits}, ChunkSpec(array.shape, array.dtype, None)
    )
    encoded = codec.encode(array)
    word = f"u{array.dtype.itemsize}"
    width = 8 * array.dtype.itemsize
    for value, rounded in zip(array.view(word).tolist(), encoded.view(word).tolist(), strict=True):
        dropped = max(value.bit_length() - keepbits, 0)
        # to the nearest, ties to even, and never beyond the last number
        expected = round(value / 2**dropped) << dropped if value < 1 << 53 else None
        if expected is not None and expected < 1 << width:
            assert rounded == expected
        assert rounded >> dropped << dropped == rounded
        assert abs(rounded - value) <= (1 << dropped)


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (ml_dtypes.bfloat16, 1.2345, 1.25),
        ("c8", 1.2345 - 9.87j, 1.25 - 10j),
        ("c16", 1.2345 - 9.87j, 1.25 - 10j),
        ("M8[s]", 11, 12),
        ("i8", 11, 12),
    ],
)
def test_every_kind_of_number_is_rounded(
    array_codec: Callable[..., Any], dtype: Any, value: Any, expected: Any
) -> None:
    array = np.array([value]).astype(dtype)
    codec = array_codec("bitround", {"keepbits": 3}, (1,), dtype)
    encoded = codec.encode(array)
    assert encoded.dtype == array.dtype
    assert encoded[0] == np.array([expected]).astype(dtype)[0]
    assert codec.decode(encoded) is encoded


def test_the_parts_of_small_complex_numbers_are_rounded(array_codec: Callable[..., Any]) -> None:
    dtype = np.dtype([("real", ml_dtypes.bfloat16), ("imag", ml_dtypes.bfloat16)])
    array = np.array([(1.2345, -9.87)], dtype)
    codec = array_codec("bitround", {"keepbits": 3}, (1,), dtype)
    assert [float(part) for part in codec.encode(array)[0].tolist()] == [1.25, -10.0]


def test_the_fill_value_is_rounded_too(array_codec: Callable[..., Any]) -> None:
    codec = array_codec("bitround", {"keepbits": 3}, (1,), "f4", np.float32(1.2345))
    assert codec.encoded.fill_value == 1.25


@pytest.mark.parametrize("dtype", ["bool", "S3", "U3", "V4", object, ml_dtypes.int4])
def test_what_is_no_such_number_is_refused(array_codec: Callable[..., Any], dtype: Any) -> None:
    with pytest.raises(MetadataError, match="does not round"):
        array_codec("bitround", {"keepbits": 3}, (1,), dtype)


def test_decoding_sees_through_it(pipeline: Callable[..., Any]) -> None:
    made = pipeline(
        {"name": "bitround", "configuration": {"keepbits": 3}},
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "zstd", "configuration": {"level": 1}},
        dtype="f4",
    )
    out = np.empty(4, "f4")
    made.decode(made.encode(np.array([1.2345, -9.87, 0, 1], "f4")), out)
    assert out.tolist() == [1.25, -10, 0, 1]
