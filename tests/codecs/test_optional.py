"""Codecs whose library may be absent: zfp, pcodec, Snappy, MessagePack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.codecs import ChunkSpec, Pipeline, registry
from zlab.errors import CodecError, MetadataError
from zlab.metadata.extension import NamedConfig

if TYPE_CHECKING:
    from collections.abc import Callable

ZFP_TYPES = ["f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "M8[s]"]
PCODEC_TYPES = ["u2", "u4", "u8", "i2", "i4", "i8", "f2", "f4", "f8"]
EXPERT = {"mode": "expert", "minbits": 1, "maxbits": 13, "maxprec": 19, "minexp": -2}


def ramp(dtype: str, shape: tuple[int, ...]) -> Any:
    size = int(np.prod(shape))
    return (np.arange(size) % 100).astype("i8").astype(dtype).reshape(shape)


def make(name: str, configuration: dict[str, Any], array: Any) -> Any:
    return registry.get(name).from_config(configuration, ChunkSpec(array.shape, array.dtype, None))


@pytest.mark.parametrize("dtype", ZFP_TYPES)
@pytest.mark.parametrize("shape", [(), (5,), (4, 7), (3, 4, 5), (2, 3, 4, 5)])
def test_zfp_reversible_is_exact(dtype: str, shape: tuple[int, ...]) -> None:
    pytest.importorskip("zfpy")
    array = ramp(dtype, shape)
    codec = make("zfp", {"mode": "reversible"}, array)
    decoded = codec.decode(memoryview(codec.encode(array)))
    assert decoded.dtype == array.dtype
    assert np.array_equal(decoded, array)


@pytest.mark.parametrize(
    ("configuration", "error"),
    [
        ({"mode": "fixed_accuracy", "tolerance": 0.05}, 0.05),
        ({"mode": "fixed_precision", "precision": 40}, 1e-3),
        ({"mode": "fixed_rate", "rate": 30}, 1e-2),
        ({"mode": "expert", "minbits": 1, "maxbits": 16658, "maxprec": 64, "minexp": -5}, 0.05),
        ({"mode": "expert", "minbits": 0, "maxbits": 32768, "maxprec": 64, "minexp": -1075}, 0),
    ],
)
def test_zfp_modes(configuration: dict[str, Any], error: float) -> None:
    pytest.importorskip("zfpy")
    array = np.sin(np.arange(77.0)).reshape(7, 11)
    codec = make("zfp", configuration, array)
    encoded = codec.encode(np.asfortranarray(array))
    assert encoded == codec.encode(array)
    assert np.abs(codec.decode(encoded) - array).max() <= error


def test_zfp_reads_expert_streams_through_a_header_of_its_own_making() -> None:
    zfpy = pytest.importorskip("zfpy")
    array = np.sin(np.arange(77.0)).reshape(7, 11)
    # precision 30 in expert terms, but for a limit of bits that no block reaches
    expert = {"mode": "expert", "minbits": 1, "maxbits": 5000, "maxprec": 30, "minexp": -1074}
    codec = make("zfp", expert, array)
    stream = zfpy.compress_numpy(array, precision=30, write_header=False)
    expected = make("zfp", {"mode": "fixed_precision", "precision": 30}, array).decode(stream)
    assert np.array_equal(codec.decode(stream), expected)
    with pytest.raises(CodecError, match="cannot write it"):
        codec.encode(array)


def test_zfp_refuses_values_that_its_signed_type_lacks() -> None:
    pytest.importorskip("zfpy")
    array = np.array([1 << 31, 0], "u4")
    with pytest.raises(CodecError, match="2147483648 does not fit in int32"):
        make("zfp", {"mode": "reversible"}, array).encode(array)


@pytest.mark.parametrize(
    "configuration",
    [
        {},
        {"mode": "lossless"},
        {"mode": "fixed_rate"},
        {"mode": "fixed_rate", "rate": -1},
        {"mode": "fixed_accuracy", "tolerance": "small"},
        {"mode": "fixed_precision", "precision": 65},
        {"mode": "reversible", "rate": 3},
        {"mode": "expert", "minbits": 1},
    ],
)
def test_zfp_refuses_wrong_configurations(configuration: dict[str, Any]) -> None:
    pytest.importorskip("zfpy")
    with pytest.raises(MetadataError, match="zfp"):
        make("zfp", configuration, ramp("f4", (4,)))


@pytest.mark.parametrize("dtype", ["c8", "bool", "S3"])
def test_zfp_refuses_other_types(dtype: str) -> None:
    pytest.importorskip("zfpy")
    for name, configuration in (("zfp", {"mode": "reversible"}), ("numcodecs.zfpy", {})):
        with pytest.raises(MetadataError, match="does not hold"):
            make(name, configuration, np.zeros(4, dtype))
    with pytest.raises(MetadataError, match="at most 4 axes"):
        make("zfp", {"mode": "reversible"}, np.zeros((1,) * 5))


@pytest.mark.parametrize(
    "configuration",
    [{"mode": 4, "tolerance": 0.01}, {"mode": 2, "rate": 20}, {"mode": 3, "precision": 30}],
)
def test_zfpy_is_that_of_numcodecs(configuration: dict[str, Any]) -> None:
    pytest.importorskip("zfpy")
    zfpy = pytest.importorskip("numcodecs.zfpy", exc_type=ImportError)
    array = np.sin(np.arange(60.0)).reshape(3, 4, 5)
    codec = make("numcodecs.zfpy", configuration, array)
    theirs = zfpy.ZFPY(**configuration)
    encoded = codec.encode(array)
    assert encoded == theirs.encode(array)
    assert np.array_equal(codec.decode(encoded), theirs.decode(encoded))
    other = make("numcodecs.zfpy", configuration, np.zeros((3, 4, 6)))
    with pytest.raises(CodecError, match="the header states"):
        other.decode(encoded)


@pytest.mark.parametrize("dtype", PCODEC_TYPES)
@pytest.mark.parametrize(
    "configuration",
    [
        {},
        {"level": 3, "mode_spec": "classic", "delta_spec": "none"},
        {"delta_encoding_order": 2},
        {"delta_spec": "try_consecutive", "delta_encoding_order": 1, "equal_pages_up_to": 100},
        {"delta_spec": "try_lookback"},
    ],
)
def test_pcodec_is_that_of_numcodecs(dtype: str, configuration: dict[str, Any]) -> None:
    pytest.importorskip("pcodec")
    numcodecs = pytest.importorskip("numcodecs.pcodec", exc_type=ImportError)
    array = ramp(dtype, (20, 30))
    codec = make("numcodecs.pcodec", configuration, array)
    encoded = codec.encode(array)
    # numcodecs 0.16 does not know by which name pcodec 1 calls no delta
    if configuration.get("delta_spec") != "none":
        assert encoded == numcodecs.PCodec(**configuration).encode(array)
    assert np.array_equal(numcodecs.PCodec().decode(encoded), array.ravel())
    assert np.array_equal(codec.decode(memoryview(encoded)), array)
    for size in ((20, 29), (20, 31)):
        other = make("numcodecs.pcodec", configuration, np.zeros(size, dtype))
        with pytest.raises(CodecError, match="decoded bytes"):
            other.decode(encoded)


@pytest.mark.parametrize(
    ("configuration", "dtype"),
    [
        ({"level": 13}, "f8"),
        ({"mode_spec": "best"}, "f8"),
        ({"delta_encoding_order": 8}, "f8"),
        ({"delta_spec": "none", "delta_encoding_order": 1}, "f8"),
        ({"paging_spec": "exact"}, "f8"),
        ({}, "u1"),
        ({}, "c8"),
    ],
)
def test_pcodec_refuses_what_it_does_not_have(configuration: dict[str, Any], dtype: str) -> None:
    pytest.importorskip("pcodec")
    with pytest.raises(MetadataError, match="pcodec"):
        make("numcodecs.pcodec", configuration, np.zeros(4, dtype))


@given(data=st.binary(max_size=500), known=st.booleans())
def test_snappy(data: bytes, known: bool) -> None:
    cramjam = pytest.importorskip("cramjam")
    codec = registry.get("numcodecs.snappy").from_config({}, len(data) if known else None, 1)
    encoded = codec.encode(memoryview(data))
    assert bytes(cramjam.snappy.decompress_raw(encoded)) == data
    assert bytes(codec.decode(encoded)) == data
    out = bytearray(len(data))
    codec.decode(memoryview(encoded), memoryview(out))
    assert out == data


def test_snappy_checks_sizes(bytes_codec: Callable[..., Any]) -> None:
    pytest.importorskip("cramjam")
    bomb = b"\xff\xff\xff\xff\x0f" + bytes(20)
    with pytest.raises(CodecError, match="claims 4294967295 decoded bytes"):
        bytes_codec("numcodecs.snappy").decode(bomb)
    with pytest.raises(CodecError, match="expected 10 decoded bytes, got 4294967295"):
        bytes_codec("numcodecs.snappy", nbytes=10).decode(bomb)


def test_msgpack_is_that_of_numcodecs() -> None:
    pytest.importorskip("msgpack")
    msgpacks = pytest.importorskip("numcodecs.msgpacks", exc_type=ImportError)
    array = np.empty((2, 2), object)
    array[...] = [["a", 1], [None, 2.5]]
    for configuration in ({}, {"use_single_float": True}, {"use_bin_type": False}):
        codec = make("numcodecs.msgpack2", configuration, array)
        encoded = codec.encode(array)
        assert encoded == msgpacks.MsgPack(**configuration).encode(array)
        assert codec.decode(encoded).tolist() == array.tolist()


@pytest.mark.parametrize("name", ["zfp", "numcodecs.zfpy", "numcodecs.pcodec", "numcodecs.snappy"])
@given(data=st.data())
def test_corrupt_bytes_do_no_harm(name: str, data: st.DataObject) -> None:
    library = registry._PACKAGES[name]
    pytest.importorskip(library)
    array = np.sin(np.arange(200.0)).reshape(10, 20)
    configuration = {"zfp": {"mode": "fixed_accuracy", "tolerance": 1e-3}}.get(name, {})
    if name == "numcodecs.zfpy":
        configuration = {"mode": 4, "tolerance": 1e-3}
    configs = [NamedConfig(name, configuration)]
    if name == "numcodecs.snappy":
        configs.insert(0, NamedConfig("bytes", {"endian": "little"}))
    made = Pipeline.resolve(configs, ChunkSpec(array.shape, array.dtype, None))
    stored = bytearray(made.encode(array))
    for _ in range(data.draw(st.integers(0, 4))):
        stored[data.draw(st.integers(0, len(stored) - 1))] = data.draw(st.integers(0, 255))
    del stored[data.draw(st.integers(0, len(stored))) :]
    try:
        made.decode(bytes(stored), np.empty_like(array))
    except CodecError:
        return
