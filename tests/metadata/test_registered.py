"""Every registered name, and every alias seen in the wild: an array of it is written and read.

A name that zlab knows and that has no row here fails, and so does a registered name without one.

Source: zarr-extensions at 2026-07-14.
"""

from __future__ import annotations

import json
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import zlab
from zlab.codecs import registry
from zlab.errors import (
    DataTypeError,
    MetadataError,
    UnknownCodecError,
    UnknownDataTypeError,
    UnknownExtensionError,
)
from zlab.grid.grid import grids
from zlab.grid.keys import key_encodings
from zlab.metadata import data_type_of, parse_data_type
from zlab.metadata.datatypes import is_known

Objects = dict[str, bytes]
SHAPE = (5, 3)
LITTLE: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "little"}}
BIG: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "big"}}
OPTIONAL = {
    "numcodecs.msgpack2": "msgpack",
    "numcodecs.pcodec": "pcodec",
    "numcodecs.snappy": "cramjam",
    "numcodecs.zfpy": "zfpy",
    "zfp": "zfpy",
    "zarrs.zfp": "zfpy",
}

REGISTERED_CODECS = {
    *("bitround", "cast_value", "reshape", "scale_offset", "transpose"),
    *("bytes", "n5_default", "packbits", "sharding_indexed", "vlen-bytes", "vlen-utf8", "zfp"),
    *("blosc", "conditional", "crc32c", "gzip", "zstd"),
}
SMALL_FLOATS = (
    "float4_e2m1fn",
    "float6_e2m3fn",
    "float6_e3m2fn",
    "float8_e3m4",
    "float8_e4m3",
    "float8_e4m3b11fnuz",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
)
REGISTERED_DATA_TYPES = {
    "bool",
    *(f"int{bits}" for bits in (2, 4, 8, 16, 32, 64)),
    *(f"uint{bits}" for bits in (2, 4, 8, 16, 32, 64)),
    *("float16", "float32", "float64", "bfloat16"),
    *SMALL_FLOATS,
    *("complex64", "complex128"),
    *(f"complex_{part}" for part in ("bfloat16", "float16", "float32", "float64")),
    *(f"complex_{part}" for part in SMALL_FLOATS),
    *("r*", "string", "bytes", "fixed_length_utf32"),
    *("numpy.datetime64", "numpy.timedelta64", "struct", "structured"),
}


def named(name: str, **configuration: Any) -> dict[str, Any]:
    return {"name": name, "configuration": configuration}


ZSTD = named("zstd", level=1, checksum=True)
BLOSC = {"cname": "lz4", "clevel": 5, "blocksize": 0}


# -- codecs: the chain of a document, and the data type of what it holds

CODECS: dict[str, tuple[list[Any], str]] = {
    "bitround": ([named("bitround", keepbits=10), LITTLE], "float32"),
    "cast_value": ([named("cast_value", data_type="int8"), "bytes"], "int32"),
    "reshape": ([named("reshape", shape=[[0, 1]]), LITTLE], "int32"),
    "scale_offset": ([named("scale_offset", offset=5, scale=2), LITTLE], "int32"),
    "transpose": ([named("transpose", order=[1, 0]), LITTLE], "int32"),
    "bytes": ([BIG], "float64"),
    "n5_default": (
        [
            named(
                "n5_default", codecs=[named("transpose", order=[1, 0]), BIG, named("gzip", level=1)]
            )
        ],
        "int32",
    ),
    "packbits": ([named("packbits", padding_encoding="last_byte")], "bool"),
    "sharding_indexed": (
        [
            named(
                "sharding_indexed",
                chunk_shape=[2, 1],
                codecs=[LITTLE, ZSTD],
                index_codecs=[LITTLE, "crc32c"],
                index_location="start",
            )
        ],
        "int32",
    ),
    "vlen-bytes": (["vlen-bytes"], "bytes"),
    "vlen-utf8": (["vlen-utf8", ZSTD], "string"),
    "zfp": ([named("zfp", mode="reversible")], "float32"),
    "blosc": ([LITTLE, named("blosc", shuffle="bitshuffle", typesize=4, **BLOSC)], "int32"),
    "conditional": ([LITTLE, named("conditional", codecs=["numcodecs.shuffle", ZSTD])], "int32"),
    "crc32c": ([LITTLE, "crc32c"], "int32"),
    "gzip": ([LITTLE, named("gzip", level=9)], "int32"),
    "zstd": ([LITTLE, ZSTD], "int32"),
    # of numcodecs
    "numcodecs.adler32": ([LITTLE, "numcodecs.adler32"], "int32"),
    "numcodecs.astype": (
        [named("numcodecs.astype", encode_dtype="<i8", decode_dtype="<i4"), LITTLE],
        "int32",
    ),
    "numcodecs.base64": ([LITTLE, "numcodecs.base64"], "int32"),
    "numcodecs.bz2": ([LITTLE, named("numcodecs.bz2", level=1)], "int32"),
    "numcodecs.crc32": ([LITTLE, "numcodecs.crc32"], "int32"),
    "numcodecs.crc32c": ([LITTLE, "numcodecs.crc32c"], "int32"),
    "numcodecs.delta": ([named("numcodecs.delta", dtype="<i4"), LITTLE], "int32"),
    "numcodecs.fixedscaleoffset": (
        [
            named("numcodecs.fixedscaleoffset", scale=2, offset=1, dtype="<f8", astype="<i2"),
            LITTLE,
        ],
        "float64",
    ),
    "numcodecs.fletcher32": ([LITTLE, "numcodecs.fletcher32"], "int32"),
    "numcodecs.jenkins_lookup3": ([LITTLE, named("numcodecs.jenkins_lookup3", initval=1)], "int32"),
    "numcodecs.json2": (["numcodecs.json2"], "string"),
    "numcodecs.lz4": ([LITTLE, named("numcodecs.lz4", acceleration=2)], "int32"),
    "numcodecs.lzma": ([LITTLE, named("numcodecs.lzma", preset=0)], "int32"),
    "numcodecs.msgpack2": (["numcodecs.msgpack2"], "string"),
    "numcodecs.packbits": (["numcodecs.packbits", "bytes"], "bool"),
    "numcodecs.pcodec": (["numcodecs.pcodec"], "float64"),
    "numcodecs.quantize": ([named("numcodecs.quantize", digits=2, dtype="<f8"), LITTLE], "float64"),
    "numcodecs.shuffle": ([LITTLE, named("numcodecs.shuffle", elementsize=4)], "int32"),
    "numcodecs.snappy": ([LITTLE, "numcodecs.snappy"], "int32"),
    "numcodecs.zfpy": ([named("numcodecs.zfpy", mode=4, tolerance=0)], "float64"),
    "numcodecs.zlib": ([LITTLE, named("numcodecs.zlib", level=1)], "int32"),
    # of zlab
    "categorize": (
        [named("categorize", labels=["0", "1", "2"], astype="|u1"), "bytes"],
        "string",
    ),
}
# elements of these are objects, which only v2 has: tests/metadata/test_v2.py
ONLY_IN_V2 = {"numcodecs.vlen-array"}

ALIASES: dict[str, str] = {
    "endian": "bytes",
    "numcodecs.bitround": "bitround",
    "numcodecs.blosc": "blosc",
    "numcodecs.categorize": "categorize",
    "numcodecs.gzip": "gzip",
    "numcodecs.vlen-bytes": "vlen-bytes",
    "numcodecs.vlen-utf8": "vlen-utf8",
    "numcodecs.zstd": "zstd",
    "bz2": "numcodecs.bz2",
    "bzip2": "numcodecs.bz2",
    "lz4": "numcodecs.lz4",
    "numcodecs.bzip2": "numcodecs.bz2",
    "zarrs.zfp": "zfp",
}


def document_of(codecs: list[Any], data_type: Any, **changes: Any) -> dict[str, Any]:
    fill: Any = {"string": "", "bytes": "", "bool": False}.get(str(data_type), 0)
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(SHAPE),
        "data_type": data_type,
        "chunk_grid": named("regular", chunk_shape=[4, 2]),
        "chunk_key_encoding": "default",
        "fill_value": fill,
        "codecs": codecs,
        **changes,
    }


def stored(document: dict[str, Any]) -> Objects:
    return {"zarr.json": json.dumps(document).encode()}


def values_of(dtype: np.dtype[Any]) -> Any:
    numbers = np.arange(15).reshape(SHAPE) % 3
    if dtype.kind == "T":
        return numbers.astype(str).astype(dtype)
    if dtype.hasobject and not dtype.names:
        return np.array([bytes(int(n)) for n in numbers.flat], object).reshape(SHAPE)
    return numbers.astype(dtype)


def check(store: Objects) -> Objects:
    """Writes, opens again and reads; the array's stored bytes."""
    array = zlab.open_array(store, mode="r+")
    values = values_of(array.dtype)
    array[...] = values
    again = zlab.open_array(store)
    assert again[...].tolist() == values.tolist()
    assert again[1:4, 2].tolist() == values[1:4, 2].tolist()
    return {key: bytes(data) for key, data in store.items() if key != "zarr.json"}


def needs(name: str) -> None:
    if name in OPTIONAL:
        pytest.importorskip(OPTIONAL[name])


def test_every_codec_has_a_row() -> None:
    assert len(REGISTERED_CODECS) == 17
    assert set(CODECS) >= REGISTERED_CODECS
    ours = set(registry._PLACES) | set(registry._ALIASES)
    assert ours == set(CODECS) | set(ALIASES) | ONLY_IN_V2


@pytest.mark.parametrize("name", CODECS)
def test_a_codec(name: str) -> None:
    needs(name)
    codecs, data_type = CODECS[name]
    check(stored(document_of(codecs, data_type)))


def renamed(codecs: list[Any], old: str, new: str) -> list[Any]:
    return [
        new if each == old else {**each, "name": new} if each["name"] == old else each
        for each in ({"name": each} if isinstance(each, str) else each for each in codecs)
    ]


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_of_a_codec(alias: str) -> None:
    name = ALIASES[alias]
    needs(name)
    codecs, data_type = CODECS[name]
    chunks = check(stored(document_of(codecs, data_type)))
    assert check(stored(document_of(renamed(codecs, name, alias), data_type))) == chunks


@pytest.mark.parametrize("fields", [None, {}, {"configuration": {}}, {"must_understand": True}])
@pytest.mark.parametrize(
    "name",
    [
        *("crc32c", "zstd", "gzip", "numcodecs.adler32", "numcodecs.lz4", "numcodecs.bz2"),
        *("numcodecs.zlib", "numcodecs.lzma", "numcodecs.crc32", "numcodecs.shuffle"),
    ],
)
def test_a_codec_without_a_configuration(name: str, fields: dict[str, Any] | None) -> None:
    codec = name if fields is None else {"name": name, **fields}
    check(stored(document_of([LITTLE, codec], "int16")))


# -- data types


MEMORY: dict[str, Any] = {
    "bool": "?",
    "int2": ml_dtypes.int2,
    "int4": ml_dtypes.int4,
    "uint2": ml_dtypes.uint2,
    "uint4": ml_dtypes.uint4,
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{name: getattr(ml_dtypes, name) for name in ("bfloat16", *SMALL_FLOATS)},
    "complex64": "complex64",
    "complex128": "complex128",
    "complex_float32": "complex64",
    "complex_float64": "complex128",
    "complex_float16": [("real", "f2"), ("imag", "f2")],
    **{
        f"complex_{name}": [(part, getattr(ml_dtypes, name)) for part in ("real", "imag")]
        for name in ("bfloat16", *SMALL_FLOATS)
    },
    "string": np.dtypes.StringDType(),
    "bytes": object,
}
DATA_TYPES: dict[str, tuple[Any, Any]] = {
    **{name: (name, dtype) for name, dtype in MEMORY.items()},
    "r*": ("r24", "V3"),
    "fixed_length_utf32": (named("fixed_length_utf32", length_bytes=12), "U3"),
    "numpy.datetime64": (named("numpy.datetime64", unit="s", scale_factor=10), "M8[10s]"),
    "numpy.timedelta64": (named("numpy.timedelta64", unit="ns", scale_factor=1), "m8[ns]"),
    "struct": (
        named(
            "struct",
            fields=[
                {"name": "a", "data_type": "int16"},
                {"name": "b", "data_type": named("fixed_length_utf32", length_bytes=8)},
                {"name": "c", "data_type": "float8_e5m2"},
            ],
        ),
        [("a", "i2"), ("b", "U2"), ("c", ml_dtypes.float8_e5m2)],
    ),
    "structured": (
        named("structured", fields=[["a", "int16"], ["b", "float64"]]),
        [("a", "i2"), ("b", "f8")],
    ),
    # unregistered, as zarr-python writes them
    "null_terminated_bytes": (named("null_terminated_bytes", length_bytes=3), "S3"),
    "raw_bytes": (named("raw_bytes", length_bytes=3), "V3"),
    # names of before the registry
    "binary": ("binary", object),
    "variable_length_bytes": ("variable_length_bytes", object),
}


def bits_of(dtype: np.dtype[Any]) -> Any:
    """Elements of all bits, but for those that a type of less than a byte has not."""
    if dtype.kind == "T":
        return np.array(["", "é", "two words"] * 5, dtype).reshape(SHAPE)
    if dtype.hasobject and not dtype.names:
        return np.array([b"", b"\0", b"xyz"] * 5, object).reshape(SHAPE)
    if dtype.kind == "U":
        return np.array(["", "é", "abc"] * 5).astype(dtype).reshape(SHAPE)
    if dtype.kind == "b":
        return np.arange(15).reshape(SHAPE) % 2 == 1
    if dtype.names:
        array = np.zeros(SHAPE, dtype)
        for name in dtype.names:
            array[name] = bits_of(dtype[name])
        return array
    count = 15 * dtype.itemsize
    data = np.random.default_rng(7).integers(0, 256, count, dtype=np.uint8)
    small = {"int2": 3, "uint2": 3, "float4_e2m1fn": 15, "int4": 15, "uint4": 15}
    data &= small.get(dtype.name, 63 if dtype.name.startswith("float6") else 255)
    return data.view(dtype).reshape(SHAPE)


def bits(values: Any) -> Any:
    return values.tolist() if values.dtype.kind in "TO" else values.tobytes()


def test_every_data_type_has_a_row() -> None:
    assert len(REGISTERED_DATA_TYPES) == 51
    assert set(DATA_TYPES) >= REGISTERED_DATA_TYPES


@pytest.mark.parametrize("name", DATA_TYPES)
def test_a_data_type_in_memory(name: str) -> None:
    document, dtype = DATA_TYPES[name]
    assert parse_data_type(document).dtype == np.dtype(dtype)
    assert is_known(name.replace("*", "24"))


@pytest.mark.parametrize("layout", ["little", "big", "sharded"])
@pytest.mark.parametrize("name", DATA_TYPES)
def test_a_data_type(name: str, layout: str) -> None:
    document, dtype = DATA_TYPES[name]
    values = bits_of(np.dtype(dtype))
    options: dict[str, Any] = {"shards": (4, 4)} if layout == "sharded" else {}
    if layout == "big" and values.dtype.kind not in "TO":
        options["serializer"] = BIG
    store: Objects = {}
    array = zlab.create_array(
        store, shape=SHAPE, chunks=(2, 2), dtype=parse_data_type(document), **options
    )
    array[...] = values
    again = zlab.open_array(store)
    assert bits(again[...]) == bits(values)
    assert again.dtype == np.dtype(dtype)
    written = json.loads(store["zarr.json"])["data_type"]
    assert parse_data_type(written).dtype == np.dtype(dtype)
    # aliases are read, and never written
    assert (written if isinstance(written, str) else written["name"]) not in (
        "structured",
        "binary",
        "variable_length_bytes",
    )


@pytest.mark.parametrize("name", DATA_TYPES)
def test_the_fill_value_of_a_data_type(name: str) -> None:
    document, dtype = DATA_TYPES[name]
    value = bits_of(np.dtype(dtype))[3, 2]
    store: Objects = {}
    zlab.create_array(store, shape=(2,), dtype=parse_data_type(document), fill_value=value)
    filled = zlab.open_array(store)[...]
    assert bits(filled) == bits(np.array([value, value], filled.dtype))


def test_missing_byte_orders_of_a_struct_are_little() -> None:
    data_type = named("structured", fields=[["a", "int16"], ["b", "int32"]])
    document = document_of(["bytes"], data_type, fill_value="AAAAAAAA")
    store = stored(document)
    zlab.open_array(store, mode="r+")[0, 0] = (1, 2)
    assert store["c/0/0"][:6].hex() == "010002000000"


# -- grids, key encodings, storage transformers, and what need not be understood


GRIDS: dict[str, Any] = {
    "regular": named("regular", chunk_shape=[2, 3]),
    "rectilinear": named("rectilinear", kind="inline", chunk_shapes=[[2, [1, 3]], 2]),
}
KEY_ENCODINGS: dict[str, tuple[Any, str]] = {
    "default": (named("default", separator="/"), "c/1/0"),
    "default .": (named("default", separator="."), "c.1.0"),
    "default bare": ("default", "c/1/0"),
    "v2": (named("v2", separator="/"), "1/0"),
    "v2 .": (named("v2", separator="."), "1.0"),
    "v2 bare": ({"name": "v2"}, "1.0"),
}


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid(name: str) -> None:
    with pytest.raises(ValueError, match="taken"):
        grids.register(name, lambda *_: None)  # type: ignore[arg-type]
    check(stored(document_of([LITTLE], "int32", chunk_grid=GRIDS[name])))


@pytest.mark.parametrize("name", KEY_ENCODINGS)
def test_a_key_encoding(name: str) -> None:
    encoding, key = KEY_ENCODINGS[name]
    with pytest.raises(ValueError, match="taken"):
        key_encodings.register(name.split(maxsplit=1)[0], lambda *_: None)  # type: ignore[arg-type]
    assert key in check(stored(document_of([LITTLE], "int32", chunk_key_encoding=encoding)))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"codecs": [LITTLE, "wavelet"]}, UnknownCodecError),
        ({"codecs": [LITTLE, {"name": "wavelet", "must_understand": False}]}, UnknownCodecError),
        ({"data_type": "int7"}, UnknownDataTypeError),
        ({"chunk_grid": "hexagonal"}, UnknownExtensionError),
        ({"chunk_key_encoding": "morton"}, UnknownExtensionError),
        ({"storage_transformers": ["cipher"]}, UnknownExtensionError),
        ({"calendar": {"must_understand": True}}, UnknownExtensionError),
        ({"calendar": {"name": "gregorian"}}, UnknownExtensionError),
        ({"calendar": "gregorian"}, UnknownExtensionError),
    ],
)
def test_an_unknown_name_is_refused(changes: dict[str, Any], error: type[Exception]) -> None:
    store = stored(document_of([LITTLE], "int32") | changes)
    with pytest.raises(error) as caught:
        zlab.open_array(store)
    assert isinstance(caught.value, MetadataError | DataTypeError)
    assert caught.value.store is not None


def test_what_need_not_be_understood_is_kept() -> None:
    transformers = [{"name": "cipher", "must_understand": False}]
    calendar = {"must_understand": False, "name": "gregorian"}
    changes = {"storage_transformers": transformers, "calendar": calendar}
    store = stored(document_of([LITTLE], "int32", **changes))
    check(store)
    zlab.open_array(store, mode="r+").resize((6, 3))
    document = json.loads(store["zarr.json"])
    assert (document["storage_transformers"], document["calendar"]) == (transformers, calendar)


@pytest.mark.parametrize("name", ["float32", "complex_float8_e5m2", "r16", "string", "bytes"])
def test_a_data_type_is_asked_for_by_its_name(name: str) -> None:
    if name != "r16":
        assert data_type_of(name).name == name
    assert parse_data_type({"name": name}) == parse_data_type(name)
    assert parse_data_type({"name": name, "configuration": {}}) == parse_data_type(name)
