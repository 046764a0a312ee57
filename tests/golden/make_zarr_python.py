"""Writes `zarr-python-3.x.zip` with the zarr-python 3 that is installed: v3 and v2 arrays.

Newer and older versions write other documents (`struct` or `structured`, `numcodecs.zlib` with or
without a configuration), so that both are kept.
"""

from __future__ import annotations

import warnings
from typing import Any

import numcodecs
import numpy as np
import zarr
from recording import Recording, filled, type_cases
from zarr.dtype import VariableLengthBytes, VariableLengthUTF8

VERSION = tuple(map(int, zarr.__version__.split(".")[:2]))
GRID = np.arange(30, dtype="i4").reshape(6, 5) * 1_000_003
FLOATS = np.array([0.0, 0.125, -3.5, 1234.5678, 1e-3, 2.0, 7.75, -0.5])
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}
TYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128", "fixed_length_utf32"),
    *("numpy.datetime64", "numpy.timedelta64", "struct", "string", "bytes"),
)
VARIABLE = {"string": VariableLengthUTF8(), "bytes": VariableLengthBytes()}


def codec(name: str, **configuration: Any) -> dict[str, Any]:
    return {"name": name, "configuration": configuration}


def create(recording: Recording, path: str, **options: Any) -> Any:
    defaults: dict[str, Any] = {"compressors": None, "filters": None}
    return zarr.create_array(recording.root, name=path, **defaults | options)


def types(recording: Recording) -> None:
    for name in TYPES:
        case, values = type_cases()[name], filled(type_cases()[name])
        dtype: Any = VARIABLE.get(name, values.dtype)
        array = create(
            recording, f"types/{name}", shape=values.shape, chunks=(case.chunk,), dtype=dtype,
            fill_value=case.fill,
        )  # fmt: skip
        array[: len(case.values)] = case.values
        recording.expect(f"types/{name}", values, fill=case.fill, chunks=[case.chunk])
    for name, held in (
        ("null_terminated_bytes", np.array([b"", b"ab", b"abc"], "S3")),
        ("raw_bytes", np.frombuffer(bytes(range(9)), "V3")),
    ):
        array = create(
            recording, f"types/{name}", shape=(4,), chunks=(2,), dtype=held.dtype,
            fill_value=held[1],
        )  # fmt: skip
        array[:3] = held
        shown = np.concatenate([held, held[1:2]])
        recording.expect(f"types/{name}", shown, fill=held[1], chunks=[2])


def numcodecs_chains() -> dict[str, Any]:
    """Pipelines by zarr-python's names for numcodecs' codecs."""
    return {
        f"numcodecs.{name}": {"compressors": [codec(f"numcodecs.{name}", **configuration)]}
        for name, configuration in (
            ("zlib", {"level": 1}),
            ("gzip", {"level": 1}),
            ("bz2", {"level": 1}),
            ("lzma", {"preset": 1}),
            ("lz4", {"acceleration": 1}),
            ("zstd", {"level": 1}),
            ("blosc", {"cname": "lz4", "clevel": 5, "shuffle": 1}),
            ("shuffle", {"elementsize": 4}),
            ("adler32", {}),
            ("crc32", {}),
            ("crc32c", {}),
            ("fletcher32", {}),
            ("jenkins_lookup3", {}),
        )
    }


def codecs(recording: Recording) -> None:
    blosc = codec("blosc", cname="zstd", clevel=3, shuffle="bitshuffle", typesize=4, blocksize=0)
    index = [LITTLE, CRC]
    inner = codec("sharding_indexed", chunk_shape=[1, 3], codecs=[LITTLE, CRC], index_codecs=index)
    chains: dict[str, Any] = {
        "big": {"serializer": codec("bytes", endian="big")},
        "zstd": {"compressors": [codec("zstd", level=3, checksum=True)]},
        "gzip": {"compressors": [codec("gzip", level=6)]},
        "blosc": {"compressors": [blosc]},
        "crc32c": {"compressors": [codec("gzip", level=1), CRC]},
        "transpose": {"filters": [codec("transpose", order=[1, 0])]},
        "sharding": {"shards": (4, 6), "compressors": [codec("zstd", level=1, checksum=False)]},
        "sharding-start": {
            "serializer": codec(
                "sharding_indexed", chunk_shape=[2, 3], codecs=[LITTLE], index_codecs=index,
                index_location="start",
            ),
            "chunks": (4, 6),
        },
        "sharding-nested": {
            "serializer": codec(
                "sharding_indexed", chunk_shape=[2, 3], codecs=[inner], index_codecs=index
            ),
            "chunks": (4, 6),
        },
        **numcodecs_chains(),
    }  # fmt: skip
    for name, options in chains.items():
        path = f"codecs/{name}"
        array = create(
            recording, path, shape=(6, 5), dtype="i4", attributes={"codec": name},
            dimension_names=["y", "x"], **({"chunks": (2, 3)} | options),
        )  # fmt: skip
        array[...] = GRID
        attributes = {"codec": name}
        recording.expect(path, GRID, names=["y", "x"], attributes=attributes)


def lossy(recording: Recording) -> None:
    """Codecs that change values: what they give back is zarr-python's own reading."""
    filters: dict[str, list[Any]] = {
        "numcodecs.delta": [codec("numcodecs.delta", dtype="<f8")],
        "numcodecs.quantize": [codec("numcodecs.quantize", digits=2, dtype="<f8")],
        "numcodecs.bitround": [codec("numcodecs.bitround", keepbits=5)],
        "numcodecs.fixedscaleoffset": [
            codec("numcodecs.fixedscaleoffset", offset=1, scale=4, dtype="<f8", astype="<i4")
        ],
        "numcodecs.astype": [codec("numcodecs.astype", encode_dtype="<f4", decode_dtype="<f8")],
    }
    if VERSION >= (3, 4):
        filters["cast_value"] = [
            codec(
                "cast_value", data_type="int16", rounding="towards-negative",
                out_of_range="clamp", scalar_map={"encode": [["NaN", -9]], "decode": [[-9, "NaN"]]},
            )
        ]  # fmt: skip
        filters["scale_offset"] = [codec("scale_offset", offset=1.5, scale=2.0)]
    for name, chain in filters.items():
        array = create(
            recording, f"codecs/{name}", shape=(8,), chunks=(5,), dtype="f8", filters=chain
        )
        array[...] = FLOATS
        recording.expect(f"codecs/{name}", array[...], chunks=[5])
    for name, serializer in (
        ("numcodecs.pcodec", codec("numcodecs.pcodec", level=2)),
        ("numcodecs.zfpy", codec("numcodecs.zfpy", mode=4, tolerance=0.01)),
    ):
        array = create(
            recording, f"codecs/{name}", shape=(8,), chunks=(5,), dtype="f8",
            serializer=serializer,
        )  # fmt: skip
        array[...] = FLOATS
        recording.expect(f"codecs/{name}", array[...], chunks=[5])
    flags = np.array([1, 0, 0, 1, 1, 1, 0, 1, 1, 0], bool)
    array = create(
        recording, "codecs/numcodecs.packbits", shape=(10,), chunks=(9,), dtype="?",
        filters=[codec("numcodecs.packbits")],
    )  # fmt: skip
    array[...] = flags
    recording.expect("codecs/numcodecs.packbits", flags, chunks=[9])


def grids(recording: Recording) -> None:
    for name, encoding in (
        ("default-dot", {"name": "default", "separator": "."}),
        ("v2-slash", {"name": "v2", "separator": "/"}),
        ("v2-dot", {"name": "v2", "separator": "."}),
    ):
        array = create(
            recording, f"keys/{name}", shape=(6, 5), chunks=(4, 3), dtype="i4",
            chunk_key_encoding=encoding,
        )  # fmt: skip
        array[...] = GRID
        recording.expect(f"keys/{name}", GRID, chunks=[4, 3])
    for name, shape in (("scalar", ()), ("empty", (0, 4))):
        array = create(recording, f"keys/{name}", shape=shape, chunks=shape and (2, 2), dtype="i2")
        if not shape:
            array[...] = 7
        held = np.full(shape, 7, "i2")
        recording.expect(f"keys/{name}", held)
    if VERSION >= (3, 4):
        with zarr.config.set({"array.rectilinear_chunks": True}):
            array = create(
                recording, "grids/rectilinear", shape=(6, 5), chunks=[[1, 2, 3], [4, 1]], dtype="i4"
            )
            array[...] = GRID
        recording.expect("grids/rectilinear", GRID)


def fills(recording: Recording) -> None:
    for name, dtype, fill in (
        ("nan", "f4", np.nan),
        ("infinity", "f8", np.inf),
        ("infinity-negative", "f2", -np.inf),
        ("zero-negative", "f8", -0.0),
        ("complex", "c8", complex(np.nan, -np.inf)),
        ("nat", "M8[ns]", np.datetime64("NaT", "ns")),
    ):
        for version, prefix in ((3, "fills"), (2, "v2-fills")):
            path = f"{prefix}/{name}"
            create(
                recording, path, shape=(2,), chunks=(2,), dtype=dtype, fill_value=fill,
                zarr_format=version,
            )  # fmt: skip
            held = np.full(2, fill, dtype)
            recording.expect(path, held, fill=held[0])


def consolidated(recording: Recording) -> None:
    for version, path in ((3, "consolidated"), (2, "v2-consolidated")):
        root = zarr.create_group(
            str(recording.root / path), zarr_format=version, attributes={"title": "größe"}
        )
        inner = root.create_group("inner", attributes={"depth": 1})
        array = inner.create_array(
            "a", shape=(6, 5), chunks=(4, 3), dtype="i4", compressors=None,
            dimension_names=None if version == 2 else ["y", None],
        )  # fmt: skip
        array[...] = GRID
        zarr.consolidate_metadata(str(recording.root / path), zarr_format=version)
        recording.expect(f"{path}/inner/a", GRID, chunks=[4, 3])


def v2(recording: Recording) -> None:
    dtypes = ("|b1", "|i1", ">i2", "<u4", ">i8", "<f2", ">f4", "<f8", "<c8", ">c16")
    for name in (*dtypes, "<U3", ">U3", "|S3", "|V4", "<M8[s]", ">m8[us]"):
        held = np.array([0, 1, 0, 1, 1]).astype("S4" if name == "|V4" else name).astype(name)
        path = f"v2-types/{name.strip('|').replace('<', 'little-').replace('>', 'big-')}"
        array = create(recording, path, shape=(5,), chunks=(2,), dtype=name, zarr_format=2)
        array[...] = held
        native = held.astype(held.dtype.newbyteorder("="))
        recording.expect(path, native, chunks=[2])
    fields = [("a", "<i2"), ("b", "<f8"), ("c", "S2")]
    records = np.array([(1, -2.5, b"ab"), (3, 4.5, b"")], fields)
    array = create(
        recording, "v2-types/fields", shape=(2,), chunks=(2,), dtype=records.dtype, zarr_format=2,
        fill_value=records[0],
    )  # fmt: skip
    array[...] = records
    recording.expect("v2-types/fields", records, fill=records[0])
    for name in ("string", "bytes"):
        case = type_cases()[name]
        array = create(
            recording, f"v2-types/{name}", shape=case.values.shape, chunks=(2,),
            dtype=VARIABLE[name], zarr_format=2, filters="auto",
        )  # fmt: skip
        array[...] = case.values
        recording.expect(f"v2-types/{name}", case.values, chunks=[2])
    for name, compressor in (
        ("zlib", numcodecs.Zlib(1)),
        ("zstd", numcodecs.Zstd(1)),
        ("blosc", numcodecs.Blosc("lz4", shuffle=-1)),
    ):
        for order, separator in (("C", "."), ("F", "/")):
            path = f"v2-codecs/{name}-{order}"
            array = create(
                recording, path, shape=(6, 5), chunks=(4, 3), dtype="<i4", zarr_format=2,
                order=order, compressors=compressor, filters=[numcodecs.Delta("<i4")],
                chunk_key_encoding={"name": "v2", "separator": separator}, fill_value=-5,
            )  # fmt: skip
            array[...] = GRID
            recording.expect(path, GRID, chunks=[4, 3], fill=np.int32(-5))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    kept = Recording(
        f"zarr-python-{VERSION[0]}.{VERSION[1]}",
        {"zarr": zarr.__version__, "numcodecs": numcodecs.__version__, "numpy": np.__version__},
    )
    types(kept)
    codecs(kept)
    lossy(kept)
    grids(kept)
    fills(kept)
    consolidated(kept)
    v2(kept)
    kept.keep()
