"""`conditional`: what is applied stands in the header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.codecs import registry
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable

SHUFFLE = {"name": "numcodecs.shuffle", "configuration": {"elementsize": 4}}
ZSTD = {"name": "zstd", "configuration": {"level": 5}}
CRC32C = {"name": "crc32c"}


def codec_of(name: str, configuration: dict[str, Any] | None = None) -> Any:
    return registry.get(name).from_config(configuration or {}, None, 4)


@given(data=st.binary(max_size=50).map(lambda data: data * 4), known=st.booleans())
def test_bytes_go_through_where_that_makes_them_smaller(data: bytes, known: bool) -> None:
    codec = registry.get("conditional").from_config(
        {"codecs": [SHUFFLE, ZSTD]}, len(data) if known else None, 4
    )
    encoded = bytes(codec.encode(data))
    through = codec_of("zstd", {"level": 5}).encode(
        codec_of("numcodecs.shuffle", {"elementsize": 4}).encode(data)
    )
    smaller = len(through) < len(data)
    assert encoded == (b"\3" + bytes(through) if smaller else b"\0" + data)
    assert bytes(codec.decode(encoded)) == data
    out = bytearray(len(data))
    codec.decode(encoded, memoryview(out))
    assert out == data


@pytest.mark.parametrize("applied", range(8))
def test_every_combination_is_read(bytes_codec: Callable[..., Any], applied: int) -> None:
    codec = bytes_codec("conditional", {"codecs": [SHUFFLE, CRC32C, ZSTD]}, nbytes=400)
    data = bytes(range(100)) * 4
    stored: Any = data
    for position, each in enumerate(
        [
            codec_of("numcodecs.shuffle", {"elementsize": 4}),
            codec_of("crc32c"),
            codec_of("zstd", {"level": 5}),
        ]
    ):
        if applied >> position & 1:
            stored = each.encode(stored)
    assert bytes(codec.decode(bytes([applied]) + bytes(stored))) == data


def test_the_header_is_as_long_as_is_said(bytes_codec: Callable[..., Any]) -> None:
    codec = bytes_codec("conditional", {"codecs": [ZSTD], "header_bits": 24}, nbytes=400)
    assert bytes(codec.encode(bytes(400)))[:3] == b"\1\0\0"
    assert codec.configuration["header_bits"] == 24
    nine = bytes_codec("conditional", {"codecs": [CRC32C] * 9})
    assert nine.header_bits == 16
    assert bytes_codec("conditional", {"codecs": []}, nbytes=3).decode(b"abc") == b"abc"


def test_bits_without_a_codec_and_short_chunks_are_errors(
    bytes_codec: Callable[..., Any],
) -> None:
    codec = bytes_codec("conditional", {"codecs": [ZSTD], "header_bits": 16}, nbytes=4)
    with pytest.raises(CodecError, match="0x2 names more codecs than the 1"):
        codec.decode(b"\2\0abcd")
    with pytest.raises(CodecError, match="1 bytes are too few for the header"):
        codec.decode(b"\0")
    with pytest.raises(CodecError, match="expected 4 decoded bytes, got 3"):
        codec.decode(b"\0\0abc")


@pytest.mark.parametrize(
    "configuration",
    [
        {},
        {"codecs": {}},
        {"codecs": ["bytes"]},
        {"codecs": [{"name": "transpose", "configuration": {"order": [0]}}]},
        {"codecs": [ZSTD], "header_bits": 12},
        {"codecs": [CRC32C] * 9, "header_bits": 8},
        {"codecs": [{"name": "zstd", "configuration": {"level": 99}}]},
        {"codecs": ["no such codec"]},
    ],
)
def test_a_wrong_configuration_is_refused(
    bytes_codec: Callable[..., Any], configuration: dict[str, Any]
) -> None:
    with pytest.raises(MetadataError):
        bytes_codec("conditional", configuration)


def test_it_may_stand_in_itself(pipeline: Callable[..., Any], decode: Callable[..., Any]) -> None:
    inner = {"name": "conditional", "configuration": {"codecs": [ZSTD, CRC32C]}}
    outer = {"name": "conditional", "configuration": {"codecs": [SHUFFLE, inner]}}
    made = pipeline({"name": "bytes", "configuration": {"endian": "little"}}, outer)
    assert decode(made, made.encode(decode(made, made.encode(_four())))).tolist() == [1, 2, 3, 4]


def _four() -> Any:
    import numpy as np

    return np.array([1, 2, 3, 4], "i4")
