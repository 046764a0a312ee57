"""Writes `tensorstore.zip`: v3 and v2 arrays of tensorstore's `zarr3` and `zarr` drivers."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import tensorstore as ts
from recording import SMALL, Recording, filled, json_fill, type_cases

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}
GRID = np.arange(30, dtype="i4").reshape(6, 5) * 1_000_003
TYPES = (
    *("bool", "int2", "int4", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64", "bfloat16", "float16", "float32", "float64"),
    *("float4_e2m1fn", "float8_e3m4", "float8_e4m3b11fnuz", "float8_e4m3fnuz"),
    *("float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "complex64", "complex128"),
)
V2_TYPES = ("|b1", "|i1", ">i2", "<u4", ">i8", "<f2", ">f4", "<f8", "<c8", ">c16")


def codec(name: str, **configuration: Any) -> dict[str, Any]:
    return {"name": name, "configuration": configuration}


def create(recording: Recording, path: str, driver: str, **metadata: Any) -> Any:
    kvstore = {"driver": "file", "path": str(recording.path(path))}
    spec = {"driver": driver, "kvstore": kvstore, "metadata": metadata}
    return ts.open(spec, create=True).result()


def types(recording: Recording) -> None:
    for name in TYPES:
        case = type_cases()[name]
        values = filled(case)
        array = create(
            recording, f"types/{name}", "zarr3", shape=[len(values)], data_type=name,
            chunk_grid=codec("regular", chunk_shape=[case.chunk]), fill_value=json_fill(case),
        )  # fmt: skip
        # not only the values: 0.1.86 fills up a chunk of float8_e8m0fnu with another value
        array[: len(values) - case.chunk] = values[: -case.chunk]
        recording.expect(f"types/{name}", values, fill=case.fill, chunks=[case.chunk])


def codecs(recording: Recording) -> None:
    inner = codec(
        "sharding_indexed", chunk_shape=[1, 3], codecs=[LITTLE, CRC], index_codecs=[LITTLE, CRC]
    )
    blosc = codec("blosc", cname="zstd", clevel=1, shuffle="shuffle", typesize=4, blocksize=0)
    chains: dict[str, list[Any]] = {
        "big": [codec("bytes", endian="big")],
        "zstd": [LITTLE, codec("zstd", level=1)],
        "gzip": [LITTLE, codec("gzip", level=9)],
        "blosc": [LITTLE, blosc],
        "crc32c": [LITTLE, CRC],
        "transpose": [codec("transpose", order=[1, 0]), LITTLE],
        "transpose-twice": [
            codec("transpose", order=[1, 0]), codec("transpose", order=[1, 0]), LITTLE,
        ],
        "sharding": [
            codec(
                "sharding_indexed", chunk_shape=[2, 3], codecs=[LITTLE, codec("gzip", level=1)],
                index_codecs=[LITTLE, CRC], index_location="end",
            )
        ],
        "sharding-start": [
            codec(
                "sharding_indexed", chunk_shape=[2, 3], codecs=[LITTLE],
                index_codecs=[codec("bytes", endian="big")], index_location="start",
            )
        ],
        "sharding-nested": [
            codec("sharding_indexed", chunk_shape=[2, 3], codecs=[inner], index_codecs=[LITTLE])
        ],
    }  # fmt: skip
    for name, chain in chains.items():
        array = create(
            recording, f"codecs/{name}", "zarr3", shape=[6, 5], data_type="int32", codecs=chain,
            chunk_grid=codec("regular", chunk_shape=[4, 3]), dimension_names=["y", None],
        )  # fmt: skip
        array[...] = GRID
        recording.expect(f"codecs/{name}", GRID, chunks=[4, 3], names=["y", None])
    missing = np.where(np.arange(30).reshape(6, 5) < 10, GRID, -1)
    array = create(
        recording, "codecs/sharding-missing", "zarr3", shape=[6, 5], data_type="int32",
        chunk_grid=codec("regular", chunk_shape=[6, 5]), fill_value=-1, codecs=[
            codec("sharding_indexed", chunk_shape=[2, 5], codecs=[LITTLE], index_codecs=[LITTLE])
        ],
    )  # fmt: skip
    array[:2] = GRID[:2]
    recording.expect("codecs/sharding-missing", missing.astype("i4"), fill=np.int32(-1))


def grids(recording: Recording) -> None:
    for name, encoding in (
        ("default-dot", codec("default", separator=".")),
        ("v2-slash", codec("v2", separator="/")),
        ("v2-dot", {"name": "v2"}),
    ):
        array = create(
            recording, f"keys/{name}", "zarr3", shape=[6, 5], data_type="int32",
            chunk_grid=codec("regular", chunk_shape=[4, 3]), chunk_key_encoding=encoding,
        )  # fmt: skip
        array[...] = GRID
        recording.expect(f"keys/{name}", GRID, chunks=[4, 3])
    regular = codec("regular", chunk_shape=[])
    array = create(
        recording, "keys/scalar", "zarr3", shape=[], data_type="uint8", chunk_grid=regular
    )
    array[...] = 7
    recording.expect("keys/scalar", np.array(7, "u1"), chunks=[])


def fills(recording: Recording) -> None:
    bits = np.array([0x7FC00001, 0xFFC00000], "u4").view("f4")
    cases: dict[str, tuple[str, Any, Any]] = {
        "nan": ("float32", "NaN", np.float32("nan")),
        "nan-payload": ("float32", "0x7fc00001", bits[0]),
        "nan-negative": ("float32", "0xffc00000", bits[1]),
        "infinity": ("float64", "Infinity", np.float64("inf")),
        "infinity-negative": ("float16", "-Infinity", np.float16("-inf")),
        "zero-negative": ("float64", -0.0, np.float64(-0.0)),
        "complex": ("complex64", ["NaN", "-Infinity"], np.complex64(complex(np.nan, -np.inf))),
        "greatest": ("uint64", 2**64 - 1, np.uint64(2**64 - 1)),
        "bfloat16-nan": ("bfloat16", "0x7fc1", np.array([0x7FC1], "u2").view("V2")),
    }
    for name, (data_type, written, fill) in cases.items():
        array = create(
            recording, f"fills/{name}", "zarr3", shape=[2], data_type=data_type, fill_value=written,
            chunk_grid=codec("regular", chunk_shape=[2]),
        )  # fmt: skip
        dtype = array.dtype.numpy_dtype
        scalar = np.frombuffer(np.asarray(fill).tobytes(), dtype)[0]
        recording.expect(f"fills/{name}", np.full(2, scalar, dtype), fill=scalar)


def v2(recording: Recording) -> None:
    for name in V2_TYPES:
        values = np.array([0, 1, 0, 1, 1], name)
        path = f"v2-types/{name[1:]}"
        array = create(
            recording, path, "zarr", shape=[5], dtype=name, chunks=[2], compressor=None,
            fill_value=None,
        )  # fmt: skip
        array[...] = values
        recording.expect(path, values.astype(values.dtype.newbyteorder("=")), chunks=[2])
    for name in ("bfloat16", "int4", *(n for n in SMALL if n.startswith("float8") and n in TYPES)):
        case = type_cases()[name]
        path = f"v2-types/{name}"
        array = create(
            recording, path, "zarr", shape=[len(case.values)], dtype=name, chunks=[case.chunk],
            compressor=None,
        )  # fmt: skip
        array[...] = case.values
        recording.expect(path, case.values, chunks=[case.chunk])
    compressors: dict[str, Any] = {
        "zlib": {"id": "zlib", "level": 1},
        "gzip": {"id": "gzip", "level": 1},
        "bz2": {"id": "bz2", "level": 1},
        "zstd": {"id": "zstd", "level": 1},
        "blosc": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": -1},
    }
    for name, compressor in compressors.items():
        for order, separator in (("C", "."), ("F", "/")):
            path = f"v2-codecs/{name}-{order}"
            array = create(
                recording, path, "zarr", shape=[6, 5], dtype="<i4", chunks=[4, 3], order=order,
                compressor=compressor, dimension_separator=separator, fill_value=-5,
            )  # fmt: skip
            array[...] = GRID
            recording.expect(path, GRID, chunks=[4, 3], fill=np.int32(-5))
    records = np.array([(1, -2.5), (3, 4.5)], [("a", ">i2"), ("b", ">f8")])
    for name in ("a", "b"):
        kvstore = {"driver": "file", "path": str(recording.path("v2-codecs/fields"))}
        metadata = {
            "shape": [2], "chunks": [2], "dtype": [["a", ">i2"], ["b", ">f8"]], "compressor": None,
            "fill_value": None, "order": "C", "zarr_format": 2, "filters": None,
        }  # fmt: skip
        spec = {"driver": "zarr", "kvstore": kvstore, "metadata": metadata, "field": name}
        ts.open(spec, create=True, open=True).result()[...] = records[name]
    native = np.dtype([("a", "i2"), ("b", "f8")])
    recording.expect("v2-codecs/fields", records.astype(native), chunks=[2])


if __name__ == "__main__":
    kept = Recording("tensorstore", {"tensorstore": version("tensorstore")})
    types(kept)
    codecs(kept)
    grids(kept)
    fills(kept)
    v2(kept)
    kept.keep()
