"""gzip and zlib: the level is zlib's, decoding is bounded, several members are one chunk."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import numcodecs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab.config
from zlab.codecs import deflate, registry
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = b"the same words, again and again, " * 400
NAMES = ["gzip", "numcodecs.zlib"]


@pytest.fixture(params=["isal", "zlib"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With ISA-L, and as where it is not installed."""
    if request.param == "isal":
        pytest.importorskip("isal")
    else:
        monkeypatch.setattr(deflate, "_decompressor", zlib.decompressobj)
    return str(request.param)


def test_it_is_loaded_without_isal() -> None:
    code = (
        "import sys, zlib; sys.modules['isal'] = None; "
        "from zlab.codecs import deflate; assert deflate._decompressor is zlib.decompressobj"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@given(data=st.binary(max_size=5000), level=st.integers(-1, 9), known=st.booleans())
@pytest.mark.parametrize("name", NAMES)
def test_any_bytes_come_back_and_numcodecs_reads_them(
    name: str, data: bytes, level: int, known: bool
) -> None:
    codec = registry.get(name).from_config({"level": level}, len(data) if known else None, 1)
    encoded = codec.encode(data)
    assert bytes(codec.decode(encoded)) == data
    out = bytearray(len(data))
    codec.decode(memoryview(encoded), memoryview(out))
    assert out == data
    theirs = numcodecs.GZip(level=level) if name == "gzip" else numcodecs.Zlib(level=level)
    assert bytes(theirs.decode(encoded)) == data
    assert bytes(codec.decode(theirs.encode(data))) == data


def test_gzip_is_gzip_and_zlib_is_zlib(bytes_codec: Callable[..., Any]) -> None:
    assert bytes_codec("gzip").encode(TEXT)[:2].hex() == "1f8b"
    assert bytes_codec("numcodecs.zlib").encode(TEXT)[:1].hex() == "78"


@pytest.mark.parametrize("level", range(10))
def test_the_recorded_level_is_the_one_that_is_used(
    bytes_codec: Callable[..., Any], level: int
) -> None:
    codec = bytes_codec("gzip", {"level": level})
    assert codec.configuration == {"level": level}
    assert codec.encode(TEXT) == zlib.compress(TEXT, level, 31)
    assert bytes_codec("numcodecs.zlib", {"level": level}).encode(TEXT) == zlib.compress(
        TEXT, level
    )


def test_a_chunk_is_encoded_to_the_same_bytes_at_any_time(
    bytes_codec: Callable[..., Any],
) -> None:
    assert bytes_codec("gzip").encode(TEXT)[4:8] == bytes(4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("level", [10, -2, "5", True])
def test_a_wrong_level_is_refused(
    bytes_codec: Callable[..., Any], name: str, level: object
) -> None:
    with pytest.raises(MetadataError, match="level must be a whole number"):
        bytes_codec(name, {"level": level})


def test_members_are_joined_and_padding_is_skipped(
    bytes_codec: Callable[..., Any], library: str
) -> None:
    members = gzip.compress(TEXT[:50]) + gzip.compress(TEXT[50:]) + gzip.compress(b"") + bytes(9)
    for nbytes in (None, len(TEXT)):
        assert bytes(bytes_codec("gzip", nbytes=nbytes).decode(members)) == TEXT


def test_what_follows_a_member_and_is_no_member_is_an_error(
    bytes_codec: Callable[..., Any], library: str
) -> None:
    with pytest.raises(Exception, match=r"header|gzip|Error") as error:
        bytes_codec("gzip", nbytes=len(TEXT)).decode(gzip.compress(TEXT) + b"garbage" * 4)
    assert not isinstance(error.value, MemoryError)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_checked(bytes_codec: Callable[..., Any], name: str, library: str) -> None:
    encoded = bytes_codec(name).encode(TEXT)
    with pytest.raises(CodecError, match=r"expected 13199 decoded bytes, got more"):
        bytes_codec(name, nbytes=len(TEXT) - 1).decode(encoded)
    with pytest.raises(CodecError, match=r"expected 13201 decoded bytes, got 13200"):
        bytes_codec(name, nbytes=len(TEXT) + 1).decode(encoded)
    with pytest.raises(CodecError, match="truncated"):
        bytes_codec(name, nbytes=len(TEXT)).decode(encoded[:-1])
    with pytest.raises(CodecError, match="truncated"):
        bytes_codec(name, nbytes=len(TEXT)).decode(b"")


@pytest.mark.parametrize("name", NAMES)
def test_a_bomb_is_stopped_where_the_limit_is(
    bytes_codec: Callable[..., Any], name: str, library: str
) -> None:
    bomb = bytes_codec(name, {"level": 9}).encode(bytes(5_000_000))
    assert len(bomb) < 6_000
    with zlab.config.settings.override(max_chunk_bytes=1000):
        codec = bytes_codec(name)
    with pytest.raises(CodecError, match="claims 1001 decoded bytes"):
        codec.decode(bomb)
    with pytest.raises(CodecError, match="expected 1000 decoded bytes, got more"):
        bytes_codec(name, nbytes=1000).decode(bomb)


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_bit_is_seen(bytes_codec: Callable[..., Any], name: str, library: str) -> None:
    codec = bytes_codec(name, nbytes=len(TEXT))
    encoded = bytearray(codec.encode(TEXT))
    encoded[-5] ^= 1
    with pytest.raises(Exception, match=r"check|crc|decompress|CRC|gzip|zlib|truncated") as error:
        codec.decode(bytes(encoded))
    assert isinstance(error.value, Exception)
