"""Chunks that zarr-python and tensorstore wrote are decoded, and ours are read by them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from zlab.codecs import ChunkSpec, Pipeline
from zlab.metadata.extension import NamedConfig

zarr = pytest.importorskip("zarr")

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.needs("zarr"),
    pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning"),
    pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning"),
]

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}
BLOSC = {
    "name": "blosc",
    "configuration": {
        "cname": "zstd",
        "clevel": 3,
        "shuffle": "bitshuffle",
        "typesize": 4,
        "blocksize": 0,
    },
}


def codec(name: str, **configuration: Any) -> dict[str, Any]:
    return {"name": name, "configuration": configuration}


def sharding(*codecs: Any, **more: Any) -> dict[str, Any]:
    index = {"index_codecs": [LITTLE, {"name": "crc32c"}], "index_location": "end", **more}
    return codec("sharding_indexed", chunk_shape=[2, 3], codecs=list(codecs), **index)


SHARED: dict[str, list[Any]] = {
    "raw": [LITTLE],
    "big-endian": [BIG],
    "zstd": [LITTLE, codec("zstd", level=3, checksum=True)],
    "gzip": [LITTLE, codec("gzip", level=6)],
    "blosc": [LITTLE, BLOSC],
    "crc32c": [LITTLE, {"name": "crc32c"}],
    "transpose": [codec("transpose", order=[1, 0]), BIG, codec("gzip", level=1)],
    "sharded": [sharding(LITTLE, codec("zstd", level=1, checksum=False))],
    "sharded, index first": [sharding(BIG, {"name": "crc32c"}, index_location="start")],
    "sharded, transposed": [sharding(codec("transpose", order=[1, 0]), LITTLE)],
}
OF_ZARR_PYTHON: dict[str, list[Any]] = {
    "lz4": [LITTLE, codec("numcodecs.lz4", acceleration=2)],
    "numcodecs.zstd": [LITTLE, codec("numcodecs.zstd", level=2)],
    "numcodecs.gzip": [LITTLE, codec("numcodecs.gzip", level=2)],
    "numcodecs.blosc": [
        LITTLE,
        codec("numcodecs.blosc", cname="lz4", clevel=5, shuffle=2, blocksize=0),
    ],
    "zlib": [LITTLE, codec("numcodecs.zlib", level=9)],
    "bz2": [LITTLE, codec("numcodecs.bz2", level=1)],
    "lzma": [LITTLE, codec("numcodecs.lzma", preset=1)],
    "shuffle": [LITTLE, codec("numcodecs.shuffle", elementsize=4), codec("gzip", level=1)],
    "shuffle of an element": [LITTLE, codec("numcodecs.shuffle")],
    "crc32": [LITTLE, codec("numcodecs.crc32")],
    "numcodecs.crc32c": [LITTLE, codec("numcodecs.crc32c")],
    "adler32": [LITTLE, codec("numcodecs.adler32")],
    "fletcher32": [LITTLE, codec("numcodecs.fletcher32")],
    "jenkins_lookup3": [LITTLE, codec("numcodecs.jenkins_lookup3", initval=3)],
    "delta": [codec("numcodecs.delta", dtype="<i4"), LITTLE],
    "delta to narrower": [codec("numcodecs.delta", dtype="<i4", astype="<i2"), LITTLE],
    "astype": [codec("numcodecs.astype", encode_dtype="<i8", decode_dtype="<i4"), LITTLE],
    "fixedscaleoffset": [
        codec("numcodecs.fixedscaleoffset", offset=2, scale=4, dtype="<i4", astype="<i8"),
        LITTLE,
    ],
}
# chunks of these need not be the same bytes in each library: a time stamp, another zlib
NOT_BYTE_FOR_BYTE = {
    "gzip",
    "numcodecs.gzip",
    "transpose",
    "shuffle",
    "zlib",
    # zarr-python hands blosc bytes, we elements
    "numcodecs.blosc",
    # chunks may lie in a shard in any order
    "sharded",
    "sharded, index first",
    "sharded, transposed",
}


def resolve(codecs: list[Any], array: Any, shape: tuple[int, ...] = (4, 6)) -> Pipeline:
    chunk = ChunkSpec(shape, array.dtype, np.zeros((), array.dtype)[()])
    return Pipeline.resolve([NamedConfig.parse(each, "codec") for each in codecs], chunk)


def values(dtype: Any = "i4") -> Any:
    array = np.zeros((4, 6), dtype)
    array[1:, 2:5] = np.arange(12).reshape(3, 4)[:, :3] * 100 + 1
    return array


def write_document(path: Path, codecs: list[Any], data_type: str, fill_value: Any = 0) -> None:
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [4, 6],
        "data_type": data_type,
        "chunk_grid": codec("regular", chunk_shape=[4, 6]),
        "chunk_key_encoding": codec("default", separator="/"),
        "fill_value": fill_value,
        "codecs": codecs,
    }
    (path / "c" / "0").mkdir(parents=True)
    (path / "zarr.json").write_text(json.dumps(document))


@pytest.mark.parametrize("name", [*SHARED, *OF_ZARR_PYTHON])
def test_zarr_python_reads_ours_and_we_read_its(tmp_path: Path, name: str) -> None:
    codecs = {**SHARED, **OF_ZARR_PYTHON}[name]
    array = values()
    made = resolve(codecs, array)
    ours = bytes(made.encode(array))

    write_document(tmp_path / "ours", codecs, "int32")
    (tmp_path / "ours" / "c" / "0" / "0").write_bytes(ours)
    assert np.array_equal(zarr.open_array(tmp_path / "ours", mode="r")[:], array)

    write_document(tmp_path / "theirs", codecs, "int32")
    zarr.open_array(tmp_path / "theirs", mode="r+")[:] = array
    theirs = (tmp_path / "theirs" / "c" / "0" / "0").read_bytes()
    out = np.empty((4, 6), "i4")
    made.decode(theirs, out)
    assert np.array_equal(out, array)
    if name not in NOT_BYTE_FOR_BYTE:
        assert ours == theirs


@pytest.mark.parametrize("name", ["quantize", "bitround", "packbits"])
def test_filters_of_other_types(tmp_path: Path, name: str) -> None:
    filters: dict[str, tuple[dict[str, Any], Any, str]] = {
        "quantize": (codec("numcodecs.quantize", digits=2, dtype="<f8"), "f8", "float64"),
        "bitround": (codec("numcodecs.bitround", keepbits=4), "f4", "float32"),
        "packbits": (codec("numcodecs.packbits"), "?", "bool"),
    }
    each, dtype, data_type = filters[name]
    array = (values("f8") / 7).astype(dtype)
    codecs = [each, {"name": "bytes"} if name == "packbits" else LITTLE]
    made = resolve(codecs, array)
    fill = False if name == "packbits" else 0.0
    write_document(tmp_path, codecs, data_type, fill)
    zarr.open_array(tmp_path, mode="r+")[:] = array
    theirs = (tmp_path / "c" / "0" / "0").read_bytes()
    assert bytes(made.encode(array)) == theirs
    out = np.empty((4, 6), dtype)
    made.decode(theirs, out)
    assert np.array_equal(out, zarr.open_array(tmp_path, mode="r")[:])


@pytest.mark.parametrize("data_type", ["string", "variable_length_bytes"])
def test_text_and_bytes(tmp_path: Path, data_type: str) -> None:
    name = "vlen-utf8" if data_type == "string" else "vlen-bytes"
    dtype: Any = np.dtypes.StringDType() if data_type == "string" else object
    array = np.empty((4, 6), dtype)
    array[...] = "" if data_type == "string" else b""
    array[1, 2:4] = ["é", "two words"] if data_type == "string" else [b"\0\1", b"xyz"]
    codecs = [codec(name), codec("zstd", level=1, checksum=False)]
    made = Pipeline.resolve(
        [NamedConfig.parse(each, "codec") for each in codecs],
        ChunkSpec((4, 6), array.dtype, None),
    )
    write_document(tmp_path, codecs, data_type, "")
    zarr.open_array(tmp_path, mode="r+")[:] = array
    theirs = (tmp_path / "c" / "0" / "0").read_bytes()
    assert bytes(made.encode(array)) == theirs
    out = np.empty((4, 6), array.dtype)
    made.decode(theirs, out)
    assert out.tolist() == array.tolist()


TENSORSTORE_READS = [
    "raw",
    "big-endian",
    "gzip",
    "zstd",
    "blosc",
    "crc32c",
    "transpose",
    "sharded",
    "sharded, index first",
    "sharded, transposed",
]


@pytest.mark.needs("tensorstore")
@pytest.mark.parametrize("name", TENSORSTORE_READS)
def test_tensorstore_reads_ours_and_we_read_its(tmp_path: Path, name: str) -> None:
    ts = pytest.importorskip("tensorstore")
    codecs = SHARED[name]
    if name == "zstd":
        codecs = [LITTLE, codec("zstd", level=3)]
    array = values()
    made = resolve(codecs, array)
    for place in ("ours", "theirs"):
        write_document(tmp_path / place, codecs, "int32")
    key = "c/0/0"
    (tmp_path / "ours" / key).write_bytes(bytes(made.encode(array)))

    def opened(place: str) -> Any:
        spec = {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": f"{tmp_path / place}/"},
        }
        return ts.open(spec, read=True, write=True).result()

    assert np.array_equal(opened("ours").read().result(), array)
    opened("theirs").write(array).result()
    out = np.empty((4, 6), "i4")
    made.decode((tmp_path / "theirs" / key).read_bytes(), out)
    assert np.array_equal(out, array)


V2: dict[str, tuple[list[dict[str, Any]], dict[str, Any] | None, list[Any]]] = {
    "zlib": ([], {"id": "zlib", "level": 5}, [LITTLE, codec("numcodecs.zlib", level=5)]),
    "gzip": ([], {"id": "gzip", "level": 5}, [LITTLE, codec("gzip", level=5)]),
    "lz4": ([], {"id": "lz4", "acceleration": 1}, [LITTLE, codec("numcodecs.lz4")]),
    "bz2": ([], {"id": "bz2", "level": 2}, [LITTLE, codec("numcodecs.bz2", level=2)]),
    "delta": (
        [{"id": "delta", "dtype": "<i4", "astype": "<i2"}],
        {"id": "zlib", "level": 1},
        [
            codec("numcodecs.delta", dtype="<i4", astype="<i2"),
            LITTLE,
            codec("numcodecs.zlib", level=1),
        ],
    ),
    "shuffle": (
        [{"id": "shuffle", "elementsize": 4}],
        None,
        [LITTLE, codec("numcodecs.shuffle", elementsize=4)],
    ),
    "base64": ([{"id": "base64"}], None, [LITTLE, codec("numcodecs.base64")]),
    "astype": (
        [{"id": "astype", "encode_dtype": ">i2", "decode_dtype": "<i4"}],
        None,
        [codec("numcodecs.astype", encode_dtype=">i2", decode_dtype="<i4"), BIG],
    ),
}


@pytest.mark.parametrize("name", V2)
@pytest.mark.parametrize("order", ["C", "F"])
def test_chunks_of_v2(tmp_path: Path, name: str, order: Any) -> None:
    filters, compressor, codecs = V2[name]
    array = values()
    document = {
        "zarr_format": 2,
        "shape": [4, 6],
        "chunks": [4, 6],
        "dtype": "<i4",
        "fill_value": 0,
        "order": order,
        "filters": filters or None,
        "compressor": compressor,
        "dimension_separator": ".",
    }
    (tmp_path / ".zarray").write_text(json.dumps(document))
    theirs = zarr.open_array(tmp_path, mode="r+")
    theirs[:] = array
    stored = (tmp_path / "0.0").read_bytes()
    if order == "F":
        codecs = [codec("transpose", order=[1, 0]), *codecs]
    made = resolve(codecs, array)
    out = np.empty((4, 6), "i4", order)
    made.decode(stored, out)
    assert np.array_equal(out, array)
    ours = bytes(made.encode(array))
    if name not in NOT_BYTE_FOR_BYTE and name != "delta":
        assert ours == stored
    (tmp_path / "0.0").write_bytes(ours)
    assert np.array_equal(theirs[:], array)


@settings(max_examples=25)
@given(
    data=st.data(),
    name=st.sampled_from(["raw", "big-endian", "zstd", "blosc", "transpose", "sharded"]),
    dtype=st.sampled_from(["i1", "u2", "i4", "u8", "f4", "f8", "c8"]),
)
def test_any_values_in_any_type(
    data: st.DataObject, name: str, dtype: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    array = data.draw(npst.arrays(dtype, (4, 6)))
    codecs = SHARED[name]
    path = tmp_path_factory.mktemp("any")
    fill = [0.0, 0.0] if dtype[0] == "c" else 0
    write_document(path, codecs, np.dtype(dtype).name, fill)
    made = resolve(codecs, array)
    (path / "c" / "0" / "0").write_bytes(bytes(made.encode(array)))
    assert zarr.open_array(path, mode="r")[:].tobytes() == array.tobytes()
