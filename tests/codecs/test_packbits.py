"""`packbits`, bit by bit against the words of the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.codecs import registry
from zlab.codecs.base import ChunkSpec
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable

BITS = {
    "bool": 1,
    "int2": 2,
    "uint2": 2,
    "int4": 4,
    "uint4": 4,
    "float4_e2m1fn": 4,
    "float6_e2m3fn": 6,
    "float6_e3m2fn": 6,
    "int8": 8,
    "uint8": 8,
    "int16": 16,
    "uint16": 16,
    "int32": 32,
    "uint32": 32,
    "int64": 64,
    "uint64": 64,
    "bfloat16": 16,
    "float32": 32,
    "float64": 64,
}
SIGNED = {"int2", "int4", "int8", "int16", "int32", "int64"}


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name, None) or name)


def pack(values: list[int], first: int, width: int) -> bytes:
    """The bit sequence as one large number, its lowest bit first."""
    number = 0
    for position, value in enumerate(values):
        number |= (value >> first & ((1 << width) - 1)) << (position * width)
    return number.to_bytes(-(-len(values) * width // 8), "little")


@pytest.mark.parametrize("name", BITS)
@given(data=st.data())
def test_elements_are_packed_and_unpacked(name: str, data: st.DataObject) -> None:
    dtype, total = dtype_of(name), BITS[name]
    words = np.dtype(f"u{dtype.itemsize}")
    values = data.draw(st.lists(st.integers(0, (1 << total) - 1), max_size=12), "values")
    first = data.draw(st.integers(0, total - 1), "first")
    last = data.draw(st.integers(first, total - 1), "last")
    padding = data.draw(st.sampled_from(["none", "first_byte", "last_byte"]))
    whole = first == 0 and last == total - 1
    named = {} if whole and data.draw(st.booleans()) else {"first_bit": first, "last_bit": last}
    array = np.array(values, words).view(dtype)
    codec = registry.get("packbits").from_config(
        {"padding_encoding": padding, **named}, ChunkSpec(array.shape, dtype, None)
    )
    width = last - first + 1
    expected = pack(values, first, width)
    count = bytes([-len(values) * width % 8])
    expected = {
        "none": expected,
        "first_byte": count + expected,
        "last_byte": expected + count,
    }[padding]
    encoded = bytes(codec.encode(array))
    assert encoded == expected
    assert codec.encoded_nbytes == len(encoded)
    decoded = codec.decode(memoryview(encoded))
    assert decoded.dtype == dtype
    for value, got in zip(values, decoded.view(words).tolist(), strict=True):
        kept = (value >> first & ((1 << width) - 1)) << first
        if name in SIGNED and value >> last & 1:
            kept |= ((1 << total) - 1) >> (last + 1) << (last + 1)
        assert got == kept


def test_golden_bytes(array_codec: Callable[..., Any]) -> None:
    codec = array_codec("packbits", {}, (9,), "bool")
    assert bytes(codec.encode(np.array([1, 0, 1, 1, 0, 0, 0, 1, 1], bool))).hex() == "8d01"
    codec = array_codec("packbits", {}, (3,), ml_dtypes.int4)
    assert bytes(codec.encode(np.array([1, -1, -8], ml_dtypes.int4))).hex() == "f108"


@pytest.mark.parametrize("name", ["float4_e2m1fn", "float6_e2m3fn", "bfloat16", "float32"])
def test_the_parts_of_complex_numbers_are_packed_one_by_one(name: str) -> None:
    part = dtype_of(name)
    pair = np.dtype("c8") if name == "float32" else np.dtype([("real", part), ("imag", part)])
    values = np.array([1.0, -1.5, 0.5, 2.0]).astype(part)
    array = values.view(pair)
    codec = registry.get("packbits").from_config({}, ChunkSpec((2,), pair, None))
    plain = registry.get("packbits").from_config({}, ChunkSpec((4,), part, None))
    assert bytes(codec.encode(array)) == bytes(plain.encode(values))
    assert codec.decode(codec.encode(array)).tobytes() == array.tobytes()


def test_sizes_and_padding_are_checked(array_codec: Callable[..., Any]) -> None:
    codec = array_codec("packbits", {"padding_encoding": "first_byte"}, (9,), "bool")
    with pytest.raises(CodecError, match="expected 3 decoded bytes, got 2"):
        codec.decode(b"\7\0")
    with pytest.raises(CodecError, match="states 3 bits of padding, expected 7"):
        codec.decode(b"\3\0\0")
    codec = array_codec("packbits", {"padding_encoding": "last_byte"}, (9,), "bool")
    with pytest.raises(CodecError, match="states 3 bits of padding, expected 7"):
        codec.decode(b"\0\0\3")


@pytest.mark.parametrize(
    ("configuration", "dtype"),
    [
        ({"padding_encoding": "start_byte"}, "bool"),
        ({"first_bit": -1}, "int8"),
        ({"first_bit": "0"}, "int8"),
        ({"first_bit": 5, "last_bit": 4}, "int8"),
        ({"last_bit": 8}, "int8"),
        ({"last_bit": 1}, "bool"),
        ({}, "S3"),
        ({}, "V4"),
        ({}, object),
        ({}, [("a", "u1")]),
        ({"bits": 4}, "int8"),
    ],
)
def test_what_cannot_be_is_refused(
    array_codec: Callable[..., Any], configuration: dict[str, Any], dtype: Any
) -> None:
    with pytest.raises(MetadataError, match="packbits"):
        array_codec("packbits", configuration, (1,), dtype)


def test_null_bits_are_all_bits(array_codec: Callable[..., Any]) -> None:
    codec = array_codec("packbits", {"first_bit": None, "last_bit": None}, (1,), "int8")
    assert codec.configuration == {"padding_encoding": "none"}
