"""The `bytes` codec: byte orders, and types whose bytes are only partly used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from zlab.codecs import registry
from zlab.codecs.base import ChunkSpec
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable

LITTLE = {"endian": "little"}
BIG = {"endian": "big"}


@pytest.mark.parametrize(
    ("dtype", "value", "little", "big"),
    [
        ("uint16", 258, "0201", "0102"),
        ("int32", -2, "feffffff", "fffffffe"),
        ("float64", 1.0, "000000000000f03f", "3ff0000000000000"),
        ("complex64", 1 + 2j, "0000803f00000040", "3f80000040000000"),
        ("M8[s]", np.datetime64(258, "s"), "0201000000000000", "0000000000000102"),
        ("m8[ms]", np.timedelta64(1, "ms"), "0100000000000000", "0000000000000001"),
        ("U2", "ab", "6100000062000000", "0000006100000062"),
        ("S3", b"ab", "616200", "616200"),
        ("V4", np.void(b"\1\2\3\4"), "01020304", "01020304"),
        ("bool", True, "01", "01"),
        (ml_dtypes.bfloat16, 1.5, "c03f", "3fc0"),
        (ml_dtypes.float8_e5m2, 1.0, "3c", "3c"),
        ([("a", "u2"), ("b", "u1")], (258, 3), "020103", "010203"),
        (
            [("real", ml_dtypes.bfloat16), ("imag", ml_dtypes.bfloat16)],
            (1.5, 1.0),
            *["c03f803f", "3fc03f80"],
        ),
    ],
)
def test_golden_bytes(
    array_codec: Callable[..., Any], dtype: Any, value: Any, little: str, big: str
) -> None:
    array = np.array([value], np.dtype(dtype))
    for configuration, expected in ((LITTLE, little), (BIG, big)):
        codec = array_codec("bytes", configuration, (1,), dtype)
        assert bytes(codec.encode(array)).hex() == expected
        decoded = codec.decode(bytes.fromhex(expected))
        assert decoded.dtype == array.dtype
        assert decoded.tobytes() == array.tobytes()


def test_a_little_endian_payload_is_not_read_as_a_big_endian_one(
    array_codec: Callable[..., Any],
) -> None:
    codec = array_codec("bytes", BIG, (1,), "int32")
    assert codec.decode(bytes.fromhex("01000000"))[0] == 16777216


@pytest.mark.parametrize(
    ("name", "stored", "values"),
    [
        ("int4", "f7a8ff03", [7, -8, -1, 3]),
        ("uint4", "f7a8ff03", [7, 8, 15, 3]),
        ("int2", "fefd0c03", [-2, 1, 0, -1]),
        ("uint2", "fefd0c03", [2, 1, 0, 3]),
        ("float4_e2m1fn", "f2f1fa00", [1.0, 0.5, -1.0, 0.0]),
        ("float6_e2m3fn", "c8c128ff", [1.0, 0.125, -1.0, -7.5]),
    ],
)
def test_the_upper_bits_of_small_types_are_ignored_and_written_as_zero(
    array_codec: Callable[..., Any], name: str, stored: str, values: list[float]
) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name))
    codec = array_codec("bytes", {}, (4,), dtype)
    decoded = codec.decode(bytes.fromhex(stored))
    assert decoded.astype(float).tolist() == values
    assert bytes(codec.encode(decoded)) == decoded.tobytes()
    assert (np.frombuffer(codec.encode(decoded), np.uint8) < 64).all()
    assert not codec.in_place


def test_small_types_inside_a_struct_are_masked_too(array_codec: Callable[..., Any]) -> None:
    dtype = np.dtype([("a", ml_dtypes.uint4), ("b", "<u2")])
    codec = array_codec("bytes", LITTLE, (1,), dtype)
    assert codec.decode(bytes.fromhex("f30201"))[0].tolist() == (3, 258)


def test_bytes_that_are_too_few_or_too_many_are_an_error(array_codec: Callable[..., Any]) -> None:
    codec = array_codec("bytes", LITTLE, (4,), "int32")
    with pytest.raises(CodecError, match="expected 16 decoded bytes, got 15"):
        codec.decode(bytes(15))
    with pytest.raises(CodecError, match="expected 16 decoded bytes, got 17"):
        codec.decode(bytes(17))


def test_a_type_of_several_bytes_needs_an_order_and_one_of_a_single_byte_does_not() -> None:
    codec = registry.get("bytes")
    for dtype in ("u1", "bool", "S4", "V4", ml_dtypes.float8_e4m3):
        codec.from_config({}, ChunkSpec((1,), np.dtype(dtype), None))
    for dtype in ("u2", "f8", "c8", "M8[s]", "U1", ml_dtypes.bfloat16):
        with pytest.raises(MetadataError, match="needs the parameter 'endian'"):
            codec.from_config({}, ChunkSpec((1,), np.dtype(dtype), None))
    with pytest.raises(MetadataError, match="endian must be one of"):
        codec.from_config({"endian": "middle"}, ChunkSpec((1,), np.dtype("u2"), None))


def test_a_struct_without_an_order_is_little_endian(array_codec: Callable[..., Any]) -> None:
    codec = array_codec("bytes", {}, (1,), [("a", "u2")])
    assert codec.decode(b"\1\0")[0]["a"] == 1
    assert codec.configuration == {"endian": "little"}


@pytest.mark.parametrize("dtype", [np.dtypes.StringDType(), np.dtype(object)])
def test_elements_of_varying_size_are_refused_with_the_codec_to_use(dtype: np.dtype[Any]) -> None:
    with pytest.raises(MetadataError, match="'vlen-utf8' for strings"):
        registry.get("bytes").from_config(LITTLE, ChunkSpec((1,), dtype, None))


@given(
    data=st.data(),
    endian=st.sampled_from(["little", "big"]),
    dtype=st.one_of(
        npst.scalar_dtypes(), npst.unicode_string_dtypes(), npst.array_dtypes(allow_subarrays=False)
    ),
)
def test_any_array_comes_back(data: st.DataObject, endian: str, dtype: np.dtype[Any]) -> None:
    native = dtype.newbyteorder("=")
    shape = data.draw(npst.array_shapes(min_dims=0, min_side=0, max_side=5))
    array = data.draw(npst.arrays(native, shape))
    if array.ndim > 1 and data.draw(st.booleans()):
        array = array.T
    codec = registry.get("bytes").from_config(
        {"endian": endian}, ChunkSpec(array.shape, native, None)
    )
    encoded = codec.encode(array)
    assert len(encoded) == codec.encoded_nbytes
    decoded = codec.decode(bytes(encoded))
    assert decoded.dtype == native
    assert decoded.tobytes() == array.tobytes()
    in_other_order = native.newbyteorder("<" if endian == "little" else ">")
    assert bytes(encoded) == array.astype(in_other_order).tobytes()
