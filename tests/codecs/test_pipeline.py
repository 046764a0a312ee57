"""Chains of codecs: their order, their sizes, and where decoded bytes land."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab.config
from zlab.codecs import ChunkSpec, Pipeline, registry
from zlab.errors import CodecError, MetadataError, UnknownCodecError
from zlab.metadata.extension import NamedConfig

if TYPE_CHECKING:
    from collections.abc import Callable

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
TRANSPOSE = {"name": "transpose", "configuration": {"order": [1, 0]}}
DELTA = {"name": "numcodecs.delta", "configuration": {"dtype": "<i4"}}

CHAINS: dict[str, list[Any]] = {
    "raw": [LITTLE],
    "raw big-endian": [BIG],
    "zstd": [LITTLE, ZSTD],
    "big-endian zstd": [BIG, ZSTD],
    "transposed": [TRANSPOSE, LITTLE],
    "transposed zstd": [TRANSPOSE, LITTLE, ZSTD],
    "transposed twice": [TRANSPOSE, TRANSPOSE, LITTLE, ZSTD],
    "checksum": [LITTLE, "crc32c"],
    "zstd checksum": [LITTLE, ZSTD, "crc32c"],
    "gzip of zstd": [LITTLE, ZSTD, {"name": "gzip", "configuration": {"level": 1}}],
    "shuffled": [LITTLE, {"name": "numcodecs.shuffle"}, ZSTD],
    "blosc": [LITTLE, {"name": "blosc", "configuration": {"cname": "lz4"}}],
    "lz4": [LITTLE, "numcodecs.lz4"],
    "zlib": [LITTLE, "numcodecs.zlib"],
    "bz2": [LITTLE, "numcodecs.bz2"],
    "lzma": [LITTLE, "numcodecs.lzma"],
    "base64": [LITTLE, "numcodecs.base64"],
    "delta": [DELTA, LITTLE, ZSTD],
    "transposed delta": [TRANSPOSE, DELTA, LITTLE, ZSTD],
    "delta transposed": [DELTA, TRANSPOSE, LITTLE, ZSTD],
    "reshaped": [{"name": "reshape", "configuration": {"shape": [-1]}}, LITTLE, ZSTD],
    "transposed and reshaped": [
        TRANSPOSE,
        {"name": "reshape", "configuration": {"shape": [[0, 1]]}},
        LITTLE,
        ZSTD,
    ],
    "conditional": [LITTLE, {"name": "conditional", "configuration": {"codecs": [ZSTD]}}],
    "packed bits": ["packbits"],
    "N5": [{"name": "n5_default", "configuration": {"codecs": [TRANSPOSE, BIG, ZSTD]}}],
    "sharded": [
        {
            "name": "sharding_indexed",
            "configuration": {"chunk_shape": [3, 2], "codecs": [LITTLE, ZSTD]},
        }
    ],
    "sharded, then checked": [
        TRANSPOSE,
        {
            "name": "sharding_indexed",
            "configuration": {"chunk_shape": [2, 3], "codecs": [TRANSPOSE, BIG, ZSTD]},
        },
        "crc32c",
    ],
}


def outputs(shape: tuple[int, ...], dtype: np.dtype[Any]) -> dict[str, Any]:
    """Arrays of every layout that the engine may decode into."""
    wide = np.empty(tuple(2 * length for length in shape), dtype)
    bigger = np.empty(tuple(length + 2 for length in shape), dtype)
    return {
        "C": np.empty(shape, dtype),
        "F": np.empty(shape, dtype, order="F"),
        "stepped": wide[tuple(slice(None, None, 2) for _ in shape)],
        "backwards": np.empty(shape, dtype)[tuple(slice(None, None, -1) for _ in shape)],
        "a part": bigger[tuple(slice(1, -1) for _ in shape)],
        "a row": np.empty((3, *shape), dtype)[1],
    }


# below and above the size from which decoders write into the output
@pytest.mark.parametrize("shape", [(6, 4), (120, 100)])
@pytest.mark.parametrize("name", CHAINS)
def test_every_output_gets_the_same_values(
    pipeline: Callable[..., Any], name: str, shape: tuple[int, int]
) -> None:
    made = pipeline(*CHAINS[name], shape=shape)
    array = np.arange(shape[0] * shape[1], dtype="i4").reshape(shape) * 1000
    encoded = bytes(made.encode(array))
    for out in outputs(shape, array.dtype).values():
        for data in (encoded, bytearray(encoded), memoryview(encoded)):
            out[...] = -1
            made.decode(data, out)
            assert np.array_equal(out, array)
        assert bytes(made.encode(out)) == encoded


@pytest.mark.parametrize("name", CHAINS)
def test_sizes_are_known_where_they_are_fixed(pipeline: Callable[..., Any], name: str) -> None:
    made = pipeline(*CHAINS[name], shape=(6, 4))
    encoded = made.encode(np.zeros((6, 4), "i4"))
    assert made.is_fixed_size == (made.encoded_nbytes is not None)
    fixed = {
        "raw": 96,
        "raw big-endian": 96,
        "transposed": 96,
        "checksum": 100,
        "base64": 128,
        "packed bits": 96,
    }
    assert made.encoded_nbytes == fixed.get(name)
    assert len(encoded) == fixed.get(name, len(encoded))


@pytest.mark.parametrize("name", CHAINS)
def test_the_recorded_codecs_make_the_same_pipeline(
    pipeline: Callable[..., Any], name: str
) -> None:
    made = pipeline(*CHAINS[name], shape=(6, 4))
    again = Pipeline.resolve(
        [NamedConfig.parse(config.format(), "codec") for config in made.configs], made.chunk
    )
    assert again.configs == made.configs
    array = np.arange(24, dtype="i4").reshape(6, 4)
    assert bytes(again.encode(array)) == bytes(made.encode(array))


@pytest.mark.parametrize("name", CHAINS)
def test_bytes_that_are_cut_are_an_error(
    pipeline: Callable[..., Any], decode: Callable[..., Any], name: str
) -> None:
    made = pipeline(*CHAINS[name], shape=(6, 4))
    encoded = bytes(made.encode(np.arange(24, dtype="i4").reshape(6, 4)))
    for end in range(len(encoded)):
        with pytest.raises(CodecError):
            decode(made, encoded[:end])


@pytest.mark.parametrize(
    ("codecs", "copies"),
    [
        ([LITTLE, ZSTD], {"C": True, "a row": True, "F": False, "a part": False}),
        ([TRANSPOSE, LITTLE, ZSTD], {"F": True, "C": False}),
        ([BIG, ZSTD], {"C": False}),
    ],
)
def test_the_last_decoder_writes_into_the_output_where_it_can(
    pipeline: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    codecs: list[Any],
    copies: dict[str, bool],
) -> None:
    shape = (64, 256)
    made = pipeline(*codecs, shape=shape)
    encoded = made.encode(np.arange(64 * 256, dtype="i4").reshape(shape))
    targets: list[Any] = []
    zstd = registry.get("zstd")
    original = zstd.decode

    def watched(self: Any, data: Any, out: Any = None) -> Any:
        targets.append(out)
        return original(self, data, out)

    monkeypatch.setattr(zstd, "decode", watched)
    for layout, straight in copies.items():
        out = outputs(shape, np.dtype("i4"))[layout]
        made.decode(encoded, out)
        target = targets.pop()
        assert (target is not None) == straight
        if straight:
            assert np.shares_memory(np.frombuffer(target, "u1"), out)


@pytest.mark.parametrize(
    "dtype", ["M8[ns]", "m8[s]", "V3", "S5", "U2", "?", "c16", "f2", ml_dtypes.bfloat16]
)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (2, 3)])
def test_every_dtype_and_shape_is_decoded_in_place(
    pipeline: Callable[..., Any], dtype: Any, shape: tuple[int, ...]
) -> None:
    made = pipeline(LITTLE, ZSTD, shape=shape, dtype=dtype)
    generator = np.random.default_rng(1)
    array = np.frombuffer(generator.bytes(made.chunk.nbytes), made.chunk.dtype).reshape(shape)
    if array.dtype.kind in "U?":
        array = np.zeros(shape, array.dtype)
    out = np.empty(shape, made.chunk.dtype)
    made.decode(made.encode(array), out)
    assert out.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("codecs", "message"),
    [
        ([], r"exactly one codec must turn the array into bytes, and there are 0 \(none\)"),
        (["zstd"], r"there are 0 \(none\)"),
        ([TRANSPOSE], r"there are 0 \(none\)"),
        ([LITTLE, LITTLE], r"there are 2 \('bytes', 'bytes'\)"),
        ([LITTLE, "vlen-utf8"], r"there are 2"),
        ([LITTLE, TRANSPOSE], r"'transpose' \(array-array\) cannot follow 'bytes'"),
        (["zstd", LITTLE], r"'bytes' \(array-bytes\) cannot follow 'zstd' \(bytes-bytes\)"),
        ([LITTLE, "zstd", TRANSPOSE], r"'transpose' .* cannot follow 'zstd'"),
    ],
)
def test_codecs_in_a_wrong_order_are_named(
    pipeline: Callable[..., Any], codecs: list[Any], message: str
) -> None:
    with pytest.raises(MetadataError, match=message):
        pipeline(*codecs, shape=(2, 2))


def test_faults_of_a_configuration_are_seen_when_it_is_resolved(
    pipeline: Callable[..., Any],
) -> None:
    with pytest.raises(MetadataError, match="level must be"):
        pipeline(LITTLE, {"name": "zstd", "configuration": {"level": 99}})
    with pytest.raises(UnknownCodecError, match="'wavelet'"):
        pipeline(LITTLE, "wavelet")


def test_codecs_nested_without_end_are_refused(pipeline: Callable[..., Any]) -> None:
    codecs: list[Any] = [LITTLE]
    for _ in range(2000):
        configuration = {"chunk_shape": [1], "codecs": codecs}
        codecs = [{"name": "sharding_indexed", "configuration": configuration}]
    with pytest.raises(MetadataError, match="nested too deeply"):
        pipeline(*codecs, shape=(1,))


def test_a_chunk_of_another_shape_or_dtype_is_not_encoded(pipeline: Callable[..., Any]) -> None:
    made = pipeline(LITTLE)
    for wrong in (np.zeros(5, "i4"), np.zeros((4, 1), "i4"), np.zeros(4, "i8")):
        with pytest.raises(CodecError, match=r"a chunk is \(4,\) of int32"):
            made.encode(wrong)


def test_what_a_codec_raises_is_named_with_it_and_chained(
    pipeline: Callable[..., Any],
    decode: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = pipeline(LITTLE, ZSTD)

    def fail(*_: object) -> None:
        raise OSError("out of luck")

    monkeypatch.setattr(registry.get("zstd"), "encode", fail)
    with pytest.raises(CodecError, match="codec 'zstd' cannot encode the chunk: out of luck") as e:
        made.encode(np.zeros(4, "i4"))
    assert isinstance(e.value.__cause__, OSError)
    monkeypatch.setattr(registry.get("zstd"), "decode", fail)
    with pytest.raises(CodecError, match="codec 'zstd' cannot decode the chunk: out of luck") as e:
        decode(made, b"")
    assert isinstance(e.value.__cause__, OSError)


def test_a_chunk_above_the_limit_is_refused_until_the_limit_is_raised(
    pipeline: Callable[..., Any], decode: Callable[..., Any]
) -> None:
    with zlab.config.settings.override(max_chunk_bytes=15):
        made = pipeline(LITTLE, ZSTD)
        encoded = made.encode(np.arange(4, dtype="i4"))
        with pytest.raises(CodecError, match=r"a chunk has 16 bytes, more than the 15"):
            decode(made, encoded)
    assert decode(made, encoded).tolist() == [0, 1, 2, 3]


def test_what_a_filter_makes_of_a_chunk_is_under_the_limit_too(
    pipeline: Callable[..., Any], decode: Callable[..., Any]
) -> None:
    widened = {"name": "numcodecs.astype", "configuration": {"encode_dtype": "<i8"}}
    with zlab.config.settings.override(max_chunk_bytes=16):
        assert decode(pipeline(LITTLE), bytes(16)).tolist() == [0, 0, 0, 0]
        with pytest.raises(CodecError, match=r"a chunk has 32 bytes, more than the 16"):
            decode(pipeline(widened, LITTLE), bytes(32))


def test_the_limit_is_one_of_inner_chunks_where_there_are_shards(
    pipeline: Callable[..., Any], decode: Callable[..., Any]
) -> None:
    sharding = CHAINS["sharded"][0]
    # enough for an inner chunk of 24 bytes and an index of 64, not for a shard of 96
    with zlab.config.settings.override(max_chunk_bytes=64):
        made = pipeline(sharding, shape=(6, 4))
        assert decode(made, made.encode(np.ones((6, 4), "i4"))).sum() == 24
        whole = pipeline(sharding, "crc32c", shape=(6, 4))
        with pytest.raises(CodecError, match="a chunk has 96 bytes"):
            decode(whole, whole.encode(np.ones((6, 4), "i4")))


def test_sharding_is_seen_only_where_it_stands_alone(pipeline: Callable[..., Any]) -> None:
    sharding = CHAINS["sharded"][0]
    assert pipeline(sharding, shape=(6, 4)).sharding.chunk_shape == (3, 2)
    assert pipeline(sharding, "crc32c", shape=(6, 4)).sharding is None
    assert pipeline(TRANSPOSE, sharding, shape=(4, 6)).sharding is None
    assert pipeline(LITTLE).sharding is None


def test_a_spec_counts_its_bytes() -> None:
    assert ChunkSpec((2, 3), np.dtype("f8"), None).nbytes == 48
    assert ChunkSpec((), np.dtype("f8"), None).size == 1
    assert not ChunkSpec((1,), np.dtype(object), None).has_fixed_size
    assert not ChunkSpec((1,), np.dtypes.StringDType(), None).has_fixed_size


def test_a_pipeline_can_be_sent_to_another_process(
    pipeline: Callable[..., Any], decode: Callable[..., Any]
) -> None:
    made = pickle.loads(pickle.dumps(pipeline(LITTLE, ZSTD, "crc32c")))  # noqa: S301  our own
    assert decode(made, made.encode(np.arange(4, dtype="i4"))).tolist() == [0, 1, 2, 3]


@given(data=st.data())
def test_random_chains_come_back(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 4), max_size=3).map(tuple))
    dtype = np.dtype(data.draw(st.sampled_from(["u1", "i2", "f4", "f8", "c8", "M8[s]"])))
    codecs: list[NamedConfig] = []
    for _ in range(data.draw(st.integers(0, 2))):
        order = data.draw(st.permutations(range(len(shape))))
        codecs.append(NamedConfig("transpose", {"order": order}))
    codecs.append(NamedConfig("bytes", {"endian": data.draw(st.sampled_from(["little", "big"]))}))
    names = [
        "zstd",
        "gzip",
        "blosc",
        "crc32c",
        "conditional",
        "numcodecs.lz4",
        "numcodecs.zlib",
        "numcodecs.bz2",
        "numcodecs.shuffle",
        "numcodecs.adler32",
        "numcodecs.base64",
    ]
    for name in data.draw(st.lists(st.sampled_from(names), max_size=3)):
        inside = {"codecs": [ZSTD]} if name == "conditional" else {}
        fixed = {"elementsize": 1} if name == "numcodecs.shuffle" else inside
        codecs.append(NamedConfig(name, fixed))
    made = Pipeline.resolve(codecs, ChunkSpec(shape, dtype, None))
    seed = data.draw(st.integers(0, 99))
    raw = np.random.default_rng(seed).bytes(made.chunk.nbytes)
    array = np.frombuffer(raw, dtype).reshape(shape)
    encoded = made.encode(array)
    if made.encoded_nbytes is not None:
        assert len(encoded) == made.encoded_nbytes
    for out in (np.empty(shape, dtype), np.empty(shape, dtype, "F")):
        made.decode(encoded, out)
        assert out.tobytes() == raw


def test_a_batch_is_what_the_chunks_are_one_by_one(pipeline: Callable[..., Any]) -> None:
    made = pipeline(
        {"name": "transpose", "configuration": {"order": [1, 0]}},
        {"name": "bytes", "configuration": {"endian": "big"}},
        {"name": "zstd", "configuration": {"level": 1}},
        shape=(3, 40),
        dtype="int32",
    )
    assert made.batch_length == 64
    chunks = [np.arange(n, n + 120, dtype="int32").reshape(3, 40) for n in range(5)]
    encoded = [made.encode(chunk) for chunk in chunks]
    decoded = made.decode_batch(encoded)
    assert decoded is not None
    for one, chunk in zip(decoded, chunks, strict=True):
        np.testing.assert_array_equal(one, chunk)
    assert made.decode_batch([*encoded, b"no frame"]) is None


@pytest.mark.parametrize(
    "codecs",
    [["bytes"], ["bytes", "gzip"], ["bytes", "zstd", "crc32c"]],
)
def test_codecs_that_know_no_batches_decode_one_by_one(
    pipeline: Callable[..., Any], codecs: list[str]
) -> None:
    made = pipeline(*codecs, shape=(40,), dtype="uint8")
    assert made.decode_batch([made.encode(np.zeros(40, "uint8"))]) is None
