"""Text, bytes and arrays of different sizes, as numcodecs writes them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.codecs import registry
from zlab.codecs.base import ChunkSpec
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable

STRINGS = np.dtypes.StringDType()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@pytest.mark.parametrize("dtype", [STRINGS, np.dtype(object)])
@given(values=st.lists(TEXT, max_size=8))
def test_text(dtype: np.dtype[Any], values: list[str]) -> None:
    array = np.array(values, dtype)
    codec = registry.get("vlen-utf8").from_config({}, ChunkSpec(array.shape, dtype, ""))
    encoded = bytes(codec.encode(array))
    assert encoded == bytes(numcodecs.VLenUTF8().encode(np.array(values, object)))
    decoded = codec.decode(memoryview(encoded))
    assert decoded.dtype == dtype
    assert decoded.tolist() == values


@given(values=st.lists(st.binary(max_size=8), max_size=8))
def test_bytes(values: list[bytes]) -> None:
    array = np.empty(len(values), object)
    array[:] = values
    codec = registry.get("vlen-bytes").from_config({}, ChunkSpec(array.shape, array.dtype, b""))
    encoded = bytes(codec.encode(array))
    assert encoded == bytes(numcodecs.VLenBytes().encode(array))
    assert codec.decode(encoded).tolist() == values


@given(values=st.lists(st.lists(st.integers(-100, 100), max_size=5), max_size=5))
def test_arrays(values: list[list[int]]) -> None:
    array = np.empty(len(values), object)
    for position, value in enumerate(values):
        array[position] = np.array(value, "i2")
    codec = registry.get("numcodecs.vlen-array").from_config(
        {"dtype": "<i2"}, ChunkSpec(array.shape, array.dtype, None)
    )
    encoded = bytes(codec.encode(array))
    assert encoded == bytes(numcodecs.VLenArray("<i2").encode(array))
    assert [value.tolist() for value in codec.decode(encoded)] == values
    assert codec.configuration == {"dtype": "<i2"}


def test_arrays_that_may_not_be_written(array_codec: Callable[..., Any]) -> None:
    array = np.empty(3, object)
    for position in range(3):
        array[position] = np.arange(position, dtype="i4")
        array[position].flags.writeable = False
    array.flags.writeable = False
    codec = array_codec("numcodecs.vlen-array", {"dtype": "<i4"}, (3,), object)
    decoded = codec.decode(codec.encode(array))
    assert [value.tolist() for value in decoded] == [[], [0], [0, 1]]
    assert not any(value.flags.writeable for value in array)


def test_fixed_width_text_goes_through_it_as_v2_allows(array_codec: Callable[..., Any]) -> None:
    codec = array_codec("vlen-utf8", {}, (2,), "U3")
    array = np.array(["ab", "çde"])
    decoded = codec.decode(codec.encode(array))
    assert decoded.dtype == array.dtype
    assert decoded.tolist() == ["ab", "çde"]


def test_chunks_of_several_axes_and_any_strides(array_codec: Callable[..., Any]) -> None:
    array = np.array([["a", "b", "c"], ["d", "e", "f"]], STRINGS).T
    codec = array_codec("vlen-utf8", {}, (3, 2), STRINGS)
    decoded = codec.decode(codec.encode(array))
    assert decoded.tolist() == array.tolist()


@pytest.mark.parametrize("name", ["vlen-utf8", "vlen-bytes"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected 2 elements"),
        (b"\2\0\0", "expected 2 elements"),
        (struct.pack("<I", 3), "expected 2 elements, the chunk has 3"),
        (struct.pack("<I", 0xFFFFFFFF), "expected 2 elements, the chunk has 4294967295"),
        (struct.pack("<I", 2), "truncated"),
        (struct.pack("<II", 2, 1), "truncated"),
        (struct.pack("<II", 2, 0xFFFFFFFF) + b"abc", "truncated"),
    ],
)
def test_a_wrong_count_or_length_is_an_error(
    array_codec: Callable[..., Any], name: str, data: bytes, message: str
) -> None:
    codec = array_codec(name, {}, (2,), object)
    with pytest.raises((CodecError, ValueError), match=message):
        codec.decode(data)


def test_text_that_is_no_utf8_is_an_error(
    pipeline: Callable[..., Any], decode: Callable[..., Any]
) -> None:
    made = pipeline("vlen-utf8", shape=(1,), dtype=STRINGS, fill_value="")
    with pytest.raises(CodecError, match="'vlen-utf8' cannot decode the chunk"):
        decode(made, struct.pack("<II", 1, 1) + b"\xff")


@pytest.mark.parametrize(
    ("name", "configuration", "dtype"),
    [
        ("vlen-utf8", {}, "i4"),
        ("vlen-utf8", {"encoding": "latin1"}, STRINGS),
        ("vlen-bytes", {}, STRINGS),
        ("vlen-bytes", {}, "f8"),
        ("numcodecs.vlen-array", {"dtype": "<i2"}, "f8"),
        ("numcodecs.vlen-array", {"dtype": "wide"}, object),
        ("numcodecs.vlen-array", {"dtype": "|O"}, object),
        ("numcodecs.vlen-array", {}, object),
    ],
)
def test_what_cannot_be_is_refused(
    array_codec: Callable[..., Any], name: str, configuration: dict[str, Any], dtype: Any
) -> None:
    with pytest.raises(MetadataError, match="vlen"):
        array_codec(name, configuration, (1,), dtype)
