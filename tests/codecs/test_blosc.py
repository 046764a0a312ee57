"""Blosc: headers are checked before they are trusted, and its own threads are off."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numcodecs import blosc

from zlab.codecs import registry
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = np.arange(5000, dtype="<i4").tobytes()
NAMES = ["blosclz", "lz4", "lz4hc", "zlib", "zstd"]


def test_the_threads_of_blosc_are_off() -> None:
    registry.get("blosc")
    assert blosc.use_threads is False
    assert blosc._get_use_threads() is False


@given(
    data=st.binary(max_size=3000),
    cname=st.sampled_from(NAMES),
    clevel=st.integers(0, 9),
    shuffle=st.sampled_from([0, 1, 2]),
    typesize=st.sampled_from([1, 2, 4, 8, 16]),
    blocksize=st.sampled_from([0, 256, 1 << 16]),
)
def test_any_bytes_come_back_and_numcodecs_writes_the_same(
    data: bytes, cname: str, clevel: int, shuffle: int, typesize: int, blocksize: int
) -> None:
    configuration = {
        "cname": cname,
        "clevel": clevel,
        "shuffle": ("noshuffle", "shuffle", "bitshuffle")[shuffle],
        "typesize": typesize,
        "blocksize": blocksize,
    }
    codec = registry.get("blosc").from_config(configuration, len(data), typesize)
    assert codec.configuration == configuration
    encoded = codec.encode(data)
    assert bytes(codec.decode(encoded)) == data
    out = bytearray(len(data))
    codec.decode(memoryview(encoded), memoryview(out))
    assert out == data
    theirs = numcodecs.Blosc(cname, clevel, shuffle, blocksize, typesize=typesize)
    assert encoded == theirs.encode(data)


@pytest.mark.parametrize(
    ("given_shuffle", "itemsize", "name"),
    [
        (0, 4, "noshuffle"),
        (1, 4, "shuffle"),
        (2, 4, "bitshuffle"),
        (-1, 4, "shuffle"),
        (-1, 1, "bitshuffle"),
        ("bitshuffle", 4, "bitshuffle"),
    ],
)
def test_shuffles_are_read_as_names_and_as_the_numbers_of_v2(
    bytes_codec: Callable[..., Any], given_shuffle: object, itemsize: int, name: str
) -> None:
    codec = bytes_codec("blosc", {"shuffle": given_shuffle}, itemsize=itemsize)
    assert codec.configuration["shuffle"] == name
    assert codec.configuration["typesize"] == itemsize


@pytest.mark.parametrize(
    "configuration",
    [
        {"cname": "lzo"},
        {"clevel": 10},
        {"clevel": -1},
        {"shuffle": 3},
        {"shuffle": "auto"},
        {"shuffle": True},
        {"typesize": 0},
        {"typesize": "4"},
        {"blocksize": -1},
        {"threads": 2},
    ],
)
def test_a_wrong_configuration_is_refused(
    bytes_codec: Callable[..., Any], configuration: dict[str, Any]
) -> None:
    with pytest.raises(MetadataError, match="'blosc'"):
        bytes_codec("blosc", configuration)


def _with_header(data: bytes, **fields: int) -> bytes:
    names = ("version", "versionlz", "flags", "typesize", "nbytes", "blocksize", "cbytes")
    header = dict(zip(names, struct.unpack_from("<BBBBIII", data), strict=True)) | fields
    return struct.pack("<BBBBIII", *header.values()) + data[16:]


def test_a_header_that_claims_more_than_is_there_is_refused(
    bytes_codec: Callable[..., Any],
) -> None:
    codec = bytes_codec("blosc", nbytes=len(DATA), itemsize=4)
    encoded = bytes(codec.encode(DATA))
    assert bytes(codec.decode(_with_header(encoded))) == DATA
    with pytest.raises(CodecError, match="expected 20000 decoded bytes, got 4294967295"):
        codec.decode(_with_header(encoded, nbytes=0xFFFFFFFF))
    with pytest.raises(CodecError, match="expected 20000 decoded bytes, got 19999"):
        codec.decode(_with_header(encoded, nbytes=19999))
    for wrong in ({"cbytes": len(encoded) + 1}, {"blocksize": 1 << 30}, {"typesize": 0}):
        with pytest.raises(CodecError, match="the header states"):
            codec.decode(_with_header(encoded, **wrong))
    for end in (0, 5, 15):
        with pytest.raises(CodecError, match="too few for a header"):
            codec.decode(encoded[:end])
    for end in (16, 17, len(encoded) // 2, len(encoded) - 1):
        with pytest.raises(CodecError, match="the header states"):
            codec.decode(encoded[:end])
    with pytest.raises(CodecError, match=r"claims 3221225472 .* settings\.max_chunk_bytes"):
        bytes_codec("blosc").decode(_with_header(encoded, nbytes=3 << 30))


def test_block_starts_that_point_outside_are_an_error(bytes_codec: Callable[..., Any]) -> None:
    codec = bytes_codec("blosc", {"blocksize": 4096}, nbytes=len(DATA), itemsize=4)
    encoded = bytearray(codec.encode(DATA))
    encoded[16:20] = b"\xff\xff\xff\x7f"
    with pytest.raises(RuntimeError, match="blosc"):
        codec.decode(bytes(encoded))


def test_a_chunk_that_blosc_cannot_hold_is_refused(bytes_codec: Callable[..., Any]) -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 1 << 31

    with pytest.raises(CodecError, match="cannot encode 2147483648 bytes"):
        bytes_codec("blosc").encode(Huge())
