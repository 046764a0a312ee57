"""lz4, bzip2 and LZMA as numcodecs writes them."""

from __future__ import annotations

import bz2
import lzma
import struct
from typing import TYPE_CHECKING, Any

import numcodecs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab.config
from zlab.codecs import registry
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = b"the same words, again and again, " * 40
RAW_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 3}]
CONFIGURATIONS: list[tuple[str, dict[str, Any]]] = [
    ("lz4", {}),
    ("lz4", {"acceleration": 20}),
    ("bz2", {"level": 1}),
    ("bz2", {"level": 9}),
    ("lzma", {}),
    ("lzma", {"preset": 1}),
    ("lzma", {"format": lzma.FORMAT_ALONE}),
    ("lzma", {"format": lzma.FORMAT_RAW, "filters": RAW_FILTERS}),
    ("lzma", {"filters": [{"id": lzma.FILTER_DELTA, "dist": 4}, *RAW_FILTERS]}),
]
IDS = [f"{name}-{number}" for number, (name, _) in enumerate(CONFIGURATIONS)]


@pytest.mark.parametrize(("name", "configuration"), CONFIGURATIONS, ids=IDS)
@given(data=st.binary(min_size=1, max_size=500), known=st.booleans())
def test_any_bytes_come_back_and_numcodecs_writes_the_same(
    name: str, configuration: dict[str, Any], data: bytes, known: bool
) -> None:
    codec = registry.get(f"numcodecs.{name}").from_config(
        configuration, len(data) if known else None, 1
    )
    encoded = bytes(codec.encode(data))
    assert encoded == bytes(numcodecs.get_codec({"id": name, **configuration}).encode(data))
    assert bytes(codec.decode(encoded)) == data
    out = bytearray(len(data))
    codec.decode(memoryview(encoded), memoryview(out))
    assert out == data


@pytest.mark.parametrize(("name", "configuration"), CONFIGURATIONS, ids=IDS)
def test_sizes_are_checked_and_cut_streams_are_errors(
    bytes_codec: Callable[..., Any], name: str, configuration: dict[str, Any]
) -> None:
    def make(nbytes: int | None) -> Any:
        return bytes_codec(f"numcodecs.{name}", configuration, nbytes)

    encoded = bytes(make(None).encode(TEXT))
    for nbytes in (len(TEXT) - 1, len(TEXT) + 1):
        with pytest.raises(CodecError, match=f"expected {nbytes} decoded bytes"):
            make(nbytes).decode(encoded)
    for end in range(0, len(encoded), 7):
        with pytest.raises((CodecError, RuntimeError, ValueError, lzma.LZMAError)):
            make(len(TEXT)).decode(encoded[:end])
    assert bytes(make(0).decode(make(0).encode(b""))) == b""


@pytest.mark.parametrize("name", ["bz2", "lzma"])
def test_streams_are_joined(bytes_codec: Callable[..., Any], name: str) -> None:
    compress: Callable[[bytes], bytes] = bz2.compress if name == "bz2" else lzma.compress
    data = compress(TEXT[:100]) + compress(TEXT[100:])
    for nbytes in (None, len(TEXT)):
        assert bytes(bytes_codec(f"numcodecs.{name}", nbytes=nbytes).decode(data)) == TEXT


@pytest.mark.parametrize("name", ["bz2", "lzma"])
def test_a_bomb_is_stopped_where_the_limit_is(bytes_codec: Callable[..., Any], name: str) -> None:
    bomb = bytes_codec(f"numcodecs.{name}").encode(bytes(3_000_000))
    assert len(bomb) < 1000
    with zlab.config.settings.override(max_chunk_bytes=1000):
        codec = bytes_codec(f"numcodecs.{name}")
    with pytest.raises(CodecError, match="claims 1001 decoded bytes"):
        codec.decode(bomb)
    with pytest.raises(CodecError, match="expected 1000 decoded bytes, got more"):
        bytes_codec(f"numcodecs.{name}", nbytes=1000).decode(bomb)


def test_an_lzma_dictionary_of_gigabytes_is_refused(bytes_codec: Callable[..., Any]) -> None:
    # the LZMA_Alone header: properties, size of the dictionary, unknown size of the content
    bomb = struct.pack("<BIQ", 0x5D, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF) + bytes(20)
    with pytest.raises(lzma.LZMAError, match="Memory usage limit"):
        bytes_codec("numcodecs.lzma", {"format": lzma.FORMAT_ALONE}, nbytes=10).decode(bomb)


def test_lz4_starts_with_its_size_in_four_bytes(bytes_codec: Callable[..., Any]) -> None:
    assert bytes(bytes_codec("numcodecs.lz4").encode(bytes(100)))[:4].hex() == "64000000"
    assert bytes(bytes_codec("numcodecs.bz2").encode(TEXT))[:3] == b"BZh"


@pytest.mark.parametrize("order", ["<Q", ">Q"])
def test_the_eight_byte_prefix_of_old_exzarr_is_recognised(
    bytes_codec: Callable[..., Any], order: str
) -> None:
    codec = bytes_codec("numcodecs.lz4", nbytes=len(TEXT))
    old = struct.pack(order, len(TEXT)) + bytes(codec.encode(TEXT))[4:]
    with pytest.raises(CodecError, match=r"8 bytes.*ExZarr up to 1\.1"):
        codec.decode(old)


def test_an_lz4_block_that_claims_gigabytes_is_refused(bytes_codec: Callable[..., Any]) -> None:
    bomb = struct.pack("<I", 0x7FFFFFFF) + b"\x10x" * 8
    with pytest.raises(CodecError, match="claims 2147483647 decoded bytes"):
        bytes_codec("numcodecs.lz4").decode(bomb)
    with pytest.raises(CodecError, match="expected 10 decoded bytes, got 2147483647"):
        bytes_codec("numcodecs.lz4", nbytes=10).decode(bomb)
    with pytest.raises(CodecError, match="too few for a size"):
        bytes_codec("numcodecs.lz4").decode(b"abc")


@pytest.mark.parametrize(
    ("name", "configuration"),
    [
        ("lz4", {"acceleration": "fast"}),
        ("bz2", {"level": 0}),
        ("bz2", {"level": 10}),
        ("lzma", {"format": 9}),
        ("lzma", {"preset": 99}),
        ("lzma", {"preset": -1}),
        ("lzma", {"preset": 1, "filters": RAW_FILTERS}),
        ("lzma", {"filters": [{"id": 12345}]}),
        ("lzma", {"filters": [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 28}]}),
        ("lzma", {"filters": [{"id": lzma.FILTER_LZMA2, "dict_size": "large"}]}),
        ("lzma", {"filters": ["lzma2"]}),
        ("lzma", {"filters": {}}),
        ("lzma", {"format": lzma.FORMAT_RAW}),
        ("lzma", {"check": 15}),
    ],
)
def test_a_wrong_configuration_is_refused(
    bytes_codec: Callable[..., Any], name: str, configuration: dict[str, Any]
) -> None:
    with pytest.raises(MetadataError, match=name):
        bytes_codec(f"numcodecs.{name}", configuration)
