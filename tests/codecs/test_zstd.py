"""Zstandard: sizes are read from the frame headers, and checked before memory is taken."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numcodecs import zstd

import zlab.config
from zlab.codecs import registry
from zlab.codecs.zstd import frame_sizes
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = b"the same words, again and again, " * 40
MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE = struct.pack("<II", 0x184D2A50, 3) + b"abc"


def unsized(data: bytes) -> bytes:
    """A frame of raw blocks that does not state its content size, as streams write it."""
    blocks = [data[at : at + 1000] for at in range(0, len(data), 1000)] or [b""]
    out = MAGIC + bytes([0x00, 0x58])
    for position, block in enumerate(blocks):
        header = len(block) << 3 | (position == len(blocks) - 1)
        out += header.to_bytes(3, "little") + block
    return out


@given(
    data=st.binary(max_size=2000),
    level=st.integers(-7, 19),
    checksum=st.booleans(),
    known=st.booleans(),
)
def test_any_bytes_come_back_and_numcodecs_reads_them(
    data: bytes, level: int, checksum: bool, known: bool
) -> None:
    codec = registry.get("zstd").from_config(
        {"level": level, "checksum": checksum}, len(data) if known else None, 1
    )
    encoded = codec.encode(data)
    assert encoded == numcodecs.Zstd(level=level, checksum=checksum).encode(data)
    assert bytes(codec.decode(encoded)) == data
    assert bytes(codec.decode(memoryview(encoded))) == data
    out = bytearray(len(data))
    assert bytes(codec.decode(encoded, memoryview(out))) == data
    assert out == data
    if data:
        assert bytes(numcodecs.Zstd().decode(encoded)) == data


def test_level_and_checksum_are_what_the_document_says(bytes_codec: Callable[..., Any]) -> None:
    codec = bytes_codec("zstd", {"level": 9, "checksum": True})
    assert codec.configuration == {"level": 9, "checksum": True}
    frame = codec.encode(TEXT)
    assert frame[4] & 0b100
    assert frame == zstd.compress(TEXT, 9, True)
    assert not bytes_codec("zstd", {"level": 9}).encode(TEXT)[4] & 0b100


@pytest.mark.parametrize(
    "configuration",
    [{"level": 23}, {"level": -131073}, {"level": "3"}, {"level": 3, "checksum": 1}, {"speed": 3}],
)
def test_a_wrong_configuration_is_refused(
    bytes_codec: Callable[..., Any], configuration: dict[str, Any]
) -> None:
    with pytest.raises(MetadataError, match="'zstd'"):
        bytes_codec("zstd", configuration)


@pytest.mark.parametrize("length", [0, 1, 255, 256, 65535, 65536, 65791, 65792, 200_000])
def test_every_width_of_the_size_field_is_read(length: int) -> None:
    data = np.random.default_rng(length).bytes(length)
    assert frame_sizes(zstd.compress(data)) == (length, True)


FRAMES = {
    "two frames": zstd.compress(TEXT[:700]) + zstd.compress(TEXT[700:]),
    "skippable first": SKIPPABLE + zstd.compress(TEXT),
    "skippable last": zstd.compress(TEXT) + SKIPPABLE,
    "no size": unsized(TEXT),
    "with and without": zstd.compress(TEXT[:7]) + unsized(TEXT[7:]),
    "checksums": zstd.compress(TEXT[:700], 1, True) + zstd.compress(TEXT[700:], 1, True),
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("nbytes", [None, len(TEXT)])
def test_unusual_frames_are_read(
    bytes_codec: Callable[..., Any], name: str, nbytes: int | None
) -> None:
    codec = bytes_codec("zstd", nbytes=nbytes)
    assert bytes(codec.decode(FRAMES[name])) == TEXT
    out = bytearray(len(TEXT))
    if nbytes is not None:
        codec.decode(FRAMES[name], memoryview(out))
        assert out == TEXT


@pytest.mark.parametrize("name", [*FRAMES, "one frame"])
@pytest.mark.parametrize("off", [-1, 1])
def test_a_content_of_another_size_is_an_error(
    bytes_codec: Callable[..., Any], name: str, off: int
) -> None:
    data = FRAMES.get(name, zstd.compress(TEXT))
    codec = bytes_codec("zstd", nbytes=len(TEXT) + off)
    for out in (None, memoryview(bytearray(len(TEXT) + off))):
        with pytest.raises((CodecError, RuntimeError, ValueError)):
            codec.decode(data, out)


def test_numcodecs_leaves_the_rest_of_out_as_it_was_and_we_do_not(
    bytes_codec: Callable[..., Any],
) -> None:
    frame = zstd.compress(TEXT[:100])
    out = bytearray(b"x" * 200)
    zstd.decompress(frame, out)
    assert out == TEXT[:100] + b"x" * 100
    with pytest.raises(CodecError, match="expected 200 decoded bytes, got 100"):
        bytes_codec("zstd", nbytes=200).decode(frame, memoryview(out))


def test_a_frame_that_claims_ten_gigabytes_is_refused_before_memory_is_taken(
    bytes_codec: Callable[..., Any],
) -> None:
    bomb = MAGIC + bytes([0xE0]) + struct.pack("<Q", 10 << 30) + bytes([1, 0, 0])
    with pytest.raises(CodecError, match="expected 100 decoded bytes, got 10737418240"):
        bytes_codec("zstd", nbytes=100).decode(bomb)
    with pytest.raises(CodecError, match=r"claims 10737418240 .* settings\.max_chunk_bytes"):
        bytes_codec("zstd").decode(bomb)


def test_a_frame_without_a_size_is_refused_by_what_its_blocks_could_hold(
    bytes_codec: Callable[..., Any],
) -> None:
    repeated = (b"\0\0\0\0" + b"x")[:0]
    for _ in range(100):
        # a block of one byte, 128 KiB times
        repeated += (0b010 | (128 << 10) << 3).to_bytes(3, "little") + b"x"
    repeated += (0b001).to_bytes(3, "little")
    bomb = MAGIC + bytes([0x00, 0x58]) + repeated
    assert frame_sizes(bomb) == (100 * (128 << 10), False)
    with zlab.config.settings.override(max_chunk_bytes=1 << 20):
        codec = bytes_codec("zstd")
    with pytest.raises(CodecError, match="claims 13107200 decoded bytes"):
        codec.decode(bomb)


@pytest.mark.parametrize("nbytes", [None, len(TEXT)])
def test_a_frame_cut_anywhere_is_an_error(
    bytes_codec: Callable[..., Any], nbytes: int | None
) -> None:
    frame = zstd.compress(TEXT, 3, True)
    codec = bytes_codec("zstd", nbytes=nbytes)
    for end in range(1, len(frame)):
        with pytest.raises((CodecError, RuntimeError)):
            codec.decode(frame[:end])


@pytest.mark.parametrize(
    "data", [b"not zstd at all", MAGIC + bytes([0, 0x58, 0b111, 0, 0]), b"\x1f\x8b", MAGIC]
)
def test_what_is_no_frame_is_an_error(bytes_codec: Callable[..., Any], data: bytes) -> None:
    with pytest.raises(CodecError, match="'zstd'"):
        bytes_codec("zstd").decode(data)


@given(data=st.lists(st.binary(min_size=300, max_size=300), min_size=1, max_size=9))
def test_many_chunks_are_decoded_at_one_go(data: list[bytes]) -> None:
    codec: Any = registry.get("zstd").from_config({"level": 1}, 300, 1)
    decoded = codec.decode_many([memoryview(codec.encode(one)) for one in data])
    assert [bytes(one) for one in decoded] == data


ODD = {
    **{name: frame for name, frame in FRAMES.items() if name != "no size"},
    "truncated": zstd.compress(TEXT)[:-1],
    "bytes behind it": zstd.compress(TEXT) + b"x",
    "another size": zstd.compress(TEXT[:-1]),
    "a wrong checksum": zstd.compress(TEXT, 1, True)[:-1] + b"?",
    "nothing": b"",
    "no frame": bytes(100),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_chunk_among_many_has_them_decoded_one_by_one(
    bytes_codec: Callable[..., Any], name: str
) -> None:
    codec = bytes_codec("zstd", nbytes=len(TEXT))
    usual = codec.encode(TEXT)
    assert codec.decode_many([usual, ODD[name]]) is None
    assert [bytes(one) for one in codec.decode_many([usual, usual])] == [TEXT, TEXT]


def test_a_chunk_of_one_value_is_a_block_that_repeats(bytes_codec: Callable[..., Any]) -> None:
    codec = bytes_codec("zstd", nbytes=4096)
    decoded = codec.decode_many([codec.encode(bytes(4096)), codec.encode(b"a" * 4096)])
    assert [bytes(one) for one in decoded] == [bytes(4096), b"a" * 4096]


@pytest.mark.parametrize("nbytes", [None, 0, 1 << 20])
def test_chunks_that_are_not_small_are_not_decoded_at_one_go(
    bytes_codec: Callable[..., Any], nbytes: int | None
) -> None:
    codec = bytes_codec("zstd", nbytes=nbytes)
    data = bytes(nbytes or 0)
    assert codec.decode_many([codec.encode(data)] * 2) is None
    assert codec.decode_many([]) is None
