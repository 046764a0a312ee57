"""CRC-32C, by its known answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numcodecs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.codecs import registry
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("data", "trailer"),
    [
        (b"123456789", "839206e3"),
        (b"", "00000000"),
        # RFC 3720, appendix B.4
        (bytes(32), "aa36918a"),
        (b"\xff" * 32, "43aba862"),
        (bytes(range(32)), "4e79dd46"),
        (bytes(range(31, -1, -1)), "5cdb3f11"),
    ],
)
def test_known_answers(bytes_codec: Callable[..., Any], data: bytes, trailer: str) -> None:
    codec = bytes_codec("crc32c", nbytes=len(data))
    encoded = bytes(codec.encode(data))
    assert encoded[: len(data)] == data
    assert encoded[len(data) :].hex() == trailer
    assert codec.encoded_nbytes == len(encoded)


@given(data=st.binary(max_size=300), known=st.booleans())
def test_any_bytes_come_back_and_numcodecs_writes_the_same(data: bytes, known: bool) -> None:
    codec = registry.get("crc32c").from_config({}, len(data) if known else None, 1)
    encoded = codec.encode(memoryview(bytearray(data)))
    assert bytes(codec.decode(encoded)) == data
    out = bytearray(len(data))
    codec.decode(encoded, memoryview(out))
    assert out == data
    if data:
        assert bytes(numcodecs.registry.get_codec({"id": "crc32c"}).encode(data)) == encoded


@given(data=st.binary(min_size=1, max_size=60), place=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_seen(data: bytes, place: int, bit: int) -> None:
    codec = registry.get("crc32c").from_config({}, len(data), 1)
    encoded = bytearray(codec.encode(data))
    encoded[place % len(encoded)] ^= 1 << bit
    with pytest.raises(CodecError, match="the checksum is"):
        codec.decode(bytes(encoded))


def test_sizes_are_checked(bytes_codec: Callable[..., Any]) -> None:
    with pytest.raises(CodecError, match="3 bytes are too few for a checksum"):
        bytes_codec("crc32c").decode(b"abc")
    encoded = bytes_codec("crc32c").encode(b"hello")
    with pytest.raises(CodecError, match="expected 4 decoded bytes, got 5"):
        bytes_codec("crc32c", nbytes=4).decode(encoded)


def test_it_has_no_parameters(bytes_codec: Callable[..., Any]) -> None:
    with pytest.raises(MetadataError, match="unknown parameters"):
        bytes_codec("crc32c", {"level": 1})
