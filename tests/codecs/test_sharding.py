"""Shards: the index by the specification, corrupt ones, nested ones, and those of others."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.codecs import ChunkSpec, registry
from zlab.codecs.sharding import MISSING
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
ZSTD = {"name": "zstd", "configuration": {"level": 1}}


def make(
    shape: tuple[int, ...] = (4, 6),
    inner_shape: tuple[int, ...] = (2, 3),
    dtype: Any = "u1",
    fill_value: Any = 0,
    **configuration: Any,
) -> Any:
    complete = {"chunk_shape": list(inner_shape), "codecs": [LITTLE], **configuration}
    chunk = ChunkSpec(shape, np.dtype(dtype), fill_value)
    return registry.get("sharding_indexed").from_config(complete, chunk)


def index_bytes(*entries: tuple[int, int]) -> bytes:
    flat = [number for entry in entries for number in entry]
    raw = struct.pack(f"<{len(flat)}Q", *flat)
    return raw + struct.pack("<I", google_crc32c.value(raw))


EMPTY = (MISSING, MISSING)


def test_a_shard_byte_by_byte() -> None:
    codec = make()
    array = np.zeros((4, 6), "u1")
    array[:2, 3:] = [[1, 2, 3], [4, 5, 6]]
    array[2:, :3] = 7
    shard = bytes(codec.encode(array))
    chunks = bytes([1, 2, 3, 4, 5, 6]) + bytes([7] * 6)
    assert shard == chunks + index_bytes(EMPTY, (0, 6), (6, 6), EMPTY)
    assert codec.index_nbytes == 4 * 16 + 4
    assert codec.grid_shape == (2, 2)
    assert codec.chunk_shape == (2, 3)
    assert np.array_equal(codec.decode(shard), array)


def test_the_index_may_stand_at_the_start() -> None:
    codec = make(index_location="start")
    array = np.zeros((4, 6), "u1")
    array[:2, 3:] = 1
    shard = bytes(codec.encode(array))
    assert shard == index_bytes(EMPTY, (68, 6), EMPTY, EMPTY) + bytes([1] * 6)
    assert np.array_equal(codec.decode(shard), array)
    index = codec.decode_index(shard[:68])
    assert index.shape == (2, 2, 2)
    assert index.dtype == "u8"
    assert index[0, 1].tolist() == [68, 6]
    assert index[1, 1].tolist() == [MISSING, MISSING]


def test_empty_chunks_are_written_where_that_is_asked_for() -> None:
    codec = make()
    assert len(codec.encode(np.zeros((4, 6), "u1"))) == 68
    codec.write_empty_chunks = True
    assert len(codec.encode(np.zeros((4, 6), "u1"))) == 68 + 24


@pytest.mark.parametrize(("fill", "expected"), [(np.float32("nan"), 1), (0.0, 2), (None, 2)])
def test_only_what_is_the_fill_value_bit_for_bit_is_left_out(fill: Any, expected: int) -> None:
    codec = make((4,), (2,), "f4", fill)
    array = np.array([np.nan, np.nan, -0.0, -0.0], "f4")
    index = codec.decode_index(codec.encode(array)[-codec.index_nbytes :])
    assert int((index[:, 0] != MISSING).sum()) == expected


def test_missing_chunks_are_filled_also_in_a_strided_output() -> None:
    codec = make(fill_value=9)
    out = np.zeros((8, 12), "u1")
    codec.decode_into(index_bytes(EMPTY, EMPTY, EMPTY, EMPTY), out[::2, ::2])
    assert (out[::2, ::2] == 9).all()
    assert (out[1::2] == 0).all()
    no_fill = make(fill_value=None)
    assert (no_fill.decode(index_bytes(EMPTY, EMPTY, EMPTY, EMPTY)) == 0).all()


def test_chunks_are_joined_in_the_order_that_they_come_in() -> None:
    codec = make()
    shard = bytes(codec.assemble({(1, 1): b"second", (0, 0): memoryview(b"firsts")}))
    assert shard == b"secondfirsts" + index_bytes((6, 6), EMPTY, EMPTY, (0, 6))
    assert bytes(codec.assemble({})) == index_bytes(EMPTY, EMPTY, EMPTY, EMPTY)


@pytest.mark.parametrize("coords", [(2, 0), (0, -1), (0,), (0, 0, 0)])
def test_coordinates_outside_the_shard_are_refused(coords: tuple[int, ...]) -> None:
    with pytest.raises(CodecError, match="lies outside the shard"):
        make().assemble({coords: b"x"})


@pytest.mark.parametrize(
    "configuration",
    [
        {"chunk_shape": [3, 3]},
        {"chunk_shape": [2]},
        {"chunk_shape": [2, 3, 1]},
        {"chunk_shape": [0, 3]},
        {"chunk_shape": [8, 6]},
        {"chunk_shape": [2.0, 3]},
        {"chunk_shape": 2},
        {"codecs": []},
        {"codecs": [ZSTD]},
        {"codecs": ["no such codec"]},
        {"index_codecs": [LITTLE, ZSTD]},
        {"index_codecs": ["crc32c"]},
        {"index_codecs": []},
        {"index_location": "middle"},
        {"subchunks": 1},
    ],
)
def test_a_wrong_configuration_is_refused(configuration: dict[str, Any]) -> None:
    with pytest.raises(MetadataError):
        make(**configuration)


@pytest.mark.parametrize(
    "index_codecs",
    [
        [LITTLE],
        [LITTLE, "crc32c"],
        [{"name": "bytes", "configuration": {"endian": "big"}}],
        [{"name": "transpose", "configuration": {"order": [2, 1, 0]}}, LITTLE, "crc32c"],
        [LITTLE, "numcodecs.adler32", "crc32c"],
        [LITTLE, {"name": "numcodecs.shuffle", "configuration": {"elementsize": 8}}],
    ],
)
@pytest.mark.parametrize("location", ["start", "end"])
def test_any_index_codecs_of_a_fixed_size(index_codecs: list[Any], location: str) -> None:
    codec = make(index_codecs=index_codecs, index_location=location, dtype="i2")
    array = np.arange(24, dtype="i2").reshape(4, 6)
    array[:2, :3] = 0
    shard = codec.encode(array)
    assert np.array_equal(codec.decode(shard), array)
    assert len(shard) == 18 * 2 + codec.index_nbytes


def test_nested_shards() -> None:
    inner = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [1, 2],
            "codecs": [LITTLE, ZSTD],
            "index_location": "start",
        },
    }
    codec = make((8, 8), (4, 4), "i4", codecs=[inner])
    assert codec.inner.sharding.chunk_shape == (1, 2)
    array = np.zeros((8, 8), "i4")
    array[3:6, 1:7] = np.arange(18).reshape(3, 6)
    assert np.array_equal(codec.decode(codec.encode(array)), array)
    assert len(codec.encode(np.zeros((8, 8), "i4"))) == 4 * 16 + 4


def test_a_shard_without_axes() -> None:
    codec = make((), (), "i4")
    assert codec.decode(codec.encode(np.array(5, "i4")))[()] == 5
    assert codec.decode(codec.encode(np.array(0, "i4")))[()] == 0


def test_text_in_shards() -> None:
    dtype = np.dtypes.StringDType()
    codec = make((4,), (2,), dtype, "", codecs=["vlen-utf8", ZSTD])
    array = np.array(["a", "bc", "", ""], dtype)
    shard = codec.encode(array)
    assert codec.decode(shard).tolist() == array.tolist()
    assert codec.decode_index(shard[-codec.index_nbytes :])[1, 0] == MISSING


def good_shard() -> bytes:
    return bytes(make(codecs=[LITTLE, ZSTD]).encode(np.arange(24, dtype="u1").reshape(4, 6)))


def test_a_flipped_bit_of_the_index_is_seen() -> None:
    codec = make(codecs=[LITTLE, ZSTD])
    shard = good_shard()
    for at in range(len(shard) - codec.index_nbytes, len(shard)):
        wrong = bytearray(shard)
        wrong[at] ^= 4
        with pytest.raises(CodecError, match="crc32c"):
            codec.decode(bytes(wrong))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ((0, 23), "inner chunk .* ends at byte 23 of a shard of 22"),
        ((0, 7), "expected 6 decoded bytes, got 7"),
        ((1 << 63, 6), "inner chunk .* ends at byte"),
        ((MISSING - 1, 2), "inner chunk .* ends at byte"),
        ((MISSING, 0), "inner chunk .* ends at byte"),
        ((0, MISSING), "inner chunk .* ends at byte"),
        ((0, 5), "expected 6 decoded bytes, got 5"),
        ((0, 0), "expected 6 decoded bytes, got 0"),
    ],
)
def test_a_chunk_outside_the_shard_is_an_error(entry: tuple[int, int], message: str) -> None:
    codec = make((2, 3), (2, 3), index_codecs=[LITTLE])
    with pytest.raises(CodecError, match=message):
        codec.decode(bytes(6) + struct.pack("<2Q", *entry))


@given(data=st.binary(max_size=200), location=st.sampled_from(["start", "end"]))
@pytest.mark.parametrize("index_codecs", [[LITTLE], [LITTLE, "crc32c"]])
def test_random_bytes_never_do_harm(data: bytes, location: str, index_codecs: list[Any]) -> None:
    codec = make(codecs=[LITTLE, ZSTD], index_location=location, index_codecs=index_codecs)
    try:
        decoded = codec.decode(data)
    except CodecError:
        return
    assert decoded.shape == (4, 6)


@given(at=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.booleans())
def test_a_changed_or_cut_shard_never_does_harm(at: int, value: int, cut: bool) -> None:
    codec = make(codecs=[LITTLE, ZSTD], index_codecs=[LITTLE])
    shard = bytearray(
        codec.assemble({(0, 0): codec.inner.encode(np.ones((2, 3), "u1")), (1, 1): b"junk"})
    )
    at %= len(shard)
    if cut:
        del shard[at:]
    else:
        shard[at] = value
    try:
        codec.decode(bytes(shard))
    except CodecError:
        return


@pytest.mark.parametrize("location", ["start", "end"])
def test_a_shard_of_old_exzarr_is_recognised(location: str) -> None:
    codec = make(index_location=location)
    coords = [(0, 0), (0, 1), (1, 0), (1, 1)]
    index = struct.pack("<I", 4)
    index += b"".join(struct.pack("<Iii", 2, *each) for each in coords)
    index += b"".join(struct.pack("<QQ", 6 * number, 6) for number in range(4))
    index += struct.pack("<I", google_crc32c.value(index))
    size = struct.pack("<Q", len(index))
    shard = size + index + bytes(24) if location == "start" else bytes(24) + index + size
    with pytest.raises(CodecError, match=r"ExZarr 1\.1 or earlier, and rewrite it with 1\.2"):
        codec.decode(shard)


def test_sizes_of_the_index_are_checked() -> None:
    codec = make()
    with pytest.raises(CodecError, match="67 bytes are too few for an index of 68"):
        codec.decode(bytes(67))
    with pytest.raises(CodecError, match="67 bytes are no index of 68"):
        codec.decode_index(bytes(67))


@given(data=st.data())
def test_any_shard_comes_back(data: st.DataObject) -> None:
    ndim = data.draw(st.integers(0, 3))
    chunk_shape = tuple(data.draw(st.integers(1, 3)) for _ in range(ndim))
    counts = tuple(data.draw(st.integers(1, 3)) for _ in range(ndim))
    shape = tuple(c * n for c, n in zip(chunk_shape, counts, strict=True))
    dtype = np.dtype(data.draw(st.sampled_from(["u1", "<i4", "f8", "c8"])))
    codec = make(
        shape,
        chunk_shape,
        dtype,
        np.zeros((), dtype)[()],
        codecs=data.draw(st.sampled_from([[LITTLE], [LITTLE, ZSTD], [LITTLE, "crc32c"]])),
        index_location=data.draw(st.sampled_from(["start", "end"])),
    )
    codec.write_empty_chunks = data.draw(st.booleans())
    seed = data.draw(st.integers(0, 99))
    array = np.random.default_rng(seed).integers(0, 2, shape).astype(dtype)
    shard = codec.encode(array)
    assert np.array_equal(codec.decode(shard), array)
    out = np.empty(shape, dtype, order="F")
    codec.decode_into(memoryview(shard), out)
    assert np.array_equal(out, array)


def test_the_codec_says_what_a_document_records(pipeline: Callable[..., Any]) -> None:
    codec = make(codecs=[LITTLE, ZSTD])
    assert codec.configuration == {
        "chunk_shape": [2, 3],
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "zstd", "configuration": {"level": 1, "checksum": False}},
        ],
        "index_codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "crc32c"},
        ],
        "index_location": "end",
    }
