"""Zarr v2: what numcodecs wrote is read, and what zlab writes numcodecs reads."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any, Literal

import numcodecs
import numpy as np
import pytest
from numcodecs.registry import codec_registry

import zlab
from zlab.codecs import registry
from zlab.codecs.pickle import PickleCodec
from zlab.errors import (
    ChunkReadError,
    DataTypeError,
    MetadataError,
    UnknownCodecError,
    UnknownDataTypeError,
)

Objects = dict[str, bytes]
Order = Literal["C", "F"]
CHUNKS = (3, 2)
SHAPE = (5, 4)


@dataclass(frozen=True)
class Row:
    """An array as numcodecs is asked for it."""

    dtype: Any
    filters: tuple[dict[str, Any], ...] = ()
    compressor: dict[str, Any] | None = None
    fill: Any = 0
    optional: str | None = None
    lossy: bool = False
    orders: str = "CF"

    def values(self) -> Any:
        """Of the whole array."""
        return values_of(self.dtype, self.filters)


def objects(*values: Any) -> Any:
    """An array of `SHAPE` that repeats the values."""
    array = np.empty(SHAPE, object)
    for index, value in zip(np.ndindex(SHAPE), itertools.cycle(values), strict=False):
        array[index] = value
    return array


def values_of(dtype: Any, filters: tuple[dict[str, Any], ...] = ()) -> Any:
    names = [each["id"] for each in filters]
    if dtype != "|O":
        numbers = np.arange(20).reshape(SHAPE)
        if np.dtype(dtype).names:
            array = np.zeros(SHAPE, dtype)
            for name in array.dtype.names:
                array[name] = numbers.reshape(SHAPE + (1,) * (array[name].ndim - 2))
            return array
        if np.dtype(dtype).kind == "U":
            return np.array(["", "low", "high"])[numbers % 3].astype(dtype)
        return (numbers % 2 if dtype == "|b1" else numbers).astype(dtype)
    if "vlen-array" in names:
        return objects(np.arange(3, dtype="<i4"), np.array([], "<i4"), np.array([-1], "<i4"))
    if "vlen-bytes" in names:
        return objects(b"", b"\0\1", b"text")
    if "vlen-utf8" in names or "categorize" in names:
        return objects("", "low", "high")
    if "pickle" in names:
        return objects(None, {1, 2}, "text", 5)
    return objects(None, True, 1, 2.5, "é", [1, ["a"]], {"k": [None]}, "low")


BLOSC = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}
LABELS = {"id": "categorize", "labels": ["low", "high"], "astype": "|u1"}
ROWS: dict[str, Row] = {
    # compressors
    **{
        f"blosc {cname} {shuffle}": Row("<i4", compressor={**BLOSC, **more})
        for cname in ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
        for shuffle in (-1, 0, 1, 2)
        for more in [{"cname": cname, "shuffle": shuffle}]
    },
    "bz2": Row("<i4", compressor={"id": "bz2", "level": 9}),
    "gzip": Row(">f8", compressor={"id": "gzip", "level": 1}),
    "lz4": Row("<u2", compressor={"id": "lz4", "acceleration": 2}),
    "lzma": Row(
        "<i4",
        compressor={"id": "lzma", "format": 1, "check": -1, "preset": None, "filters": None},
    ),
    "zlib": Row("<i4", compressor={"id": "zlib", "level": 6}),
    "zstd": Row("<i4", compressor={"id": "zstd", "level": 3}),
    "zstd checked": Row("<i4", compressor={"id": "zstd", "level": 0, "checksum": True}),
    # filters on elements
    "astype": Row("<i4", ({"id": "astype", "encode_dtype": "<i2", "decode_dtype": "<i4"},)),
    "bitround": Row("<f4", ({"id": "bitround", "keepbits": 8},), lossy=True),
    "delta": Row("<i4", ({"id": "delta", "dtype": "<i4", "astype": "<i4"},), BLOSC),
    "delta narrowed": Row("<i4", ({"id": "delta", "dtype": "<i4", "astype": "|i1"},)),
    "fixedscaleoffset": Row(
        "<f8",
        (
            {
                "id": "fixedscaleoffset",
                "scale": 10,
                "offset": 1,
                "dtype": "<f8",
                "astype": "<i2",
            },
        ),
        lossy=True,
    ),
    "packbits": Row("|b1", ({"id": "packbits"},), {"id": "zlib", "level": 1}, fill=False),
    "quantize": Row(
        "<f8", ({"id": "quantize", "digits": 2, "dtype": "<f8", "astype": "<f4"},), lossy=True
    ),
    "two filters": Row(
        "<f8",
        (
            {
                "id": "fixedscaleoffset",
                "scale": 1,
                "offset": 0,
                "dtype": "<f8",
                "astype": "<i4",
            },
            {"id": "delta", "dtype": "<i4", "astype": "<i4"},
            {"id": "shuffle", "elementsize": 4},
        ),
        {"id": "zlib", "level": 1},
    ),
    # filters on bytes
    "adler32": Row("<i4", ({"id": "adler32"},), BLOSC),
    "base64": Row("<i4", ({"id": "base64"},)),
    "crc32": Row("<i4", ({"id": "crc32"},)),
    "crc32 at the end": Row("<i4", ({"id": "crc32", "location": "end"},)),
    "crc32c": Row("<i4", ({"id": "crc32c"},)),
    "fletcher32": Row("<i4", ({"id": "fletcher32"},)),
    "jenkins_lookup3": Row("<i4", ({"id": "jenkins_lookup3", "initval": 7, "prefix": None},)),
    "shuffle": Row("<i4", ({"id": "shuffle", "elementsize": 4},), {"id": "zlib", "level": 1}),
    # objects
    "categorize": Row("|O", ({**LABELS, "dtype": "|O"},), fill=""),
    "categorize, wide": Row("|O", ({**LABELS, "dtype": "|O", "astype": "<i2"},), BLOSC, fill=""),
    "categorize of fixed length": Row("<U4", ({**LABELS, "dtype": "<U4"},), fill=""),
    "json2": Row("|O", ({"id": "json2"},), BLOSC, fill=None),
    "json2, not ascii": Row("|O", ({"id": "json2", "ensure_ascii": False},), fill=""),
    "json2 of numbers": Row("<i4", ({"id": "json2"},)),
    "msgpack2": Row("|O", ({"id": "msgpack2"},), BLOSC, fill=None, optional="msgpack"),
    "msgpack2 of numbers": Row("<f8", ({"id": "msgpack2"},), optional="msgpack"),
    "pickle": Row("|O", ({"id": "pickle", "protocol": 4},), BLOSC, fill=None),
    "vlen-array": Row("|O", ({"id": "vlen-array", "dtype": "<i4"},), BLOSC, fill=None),
    "vlen-bytes": Row("|O", ({"id": "vlen-bytes"},), BLOSC, fill=""),
    "vlen-utf8": Row("|O", ({"id": "vlen-utf8"},), {"id": "gzip", "level": 1}, fill=""),
    # numbers
    "pcodec": Row("<f4", (), {"id": "pcodec"}, optional="pcodec"),
    "zfpy": Row(
        "<f8",
        (),
        {"id": "zfpy", "mode": 4, "tolerance": 0.01, "rate": -1, "precision": -1},
        optional="zfpy",
        lossy=True,
        orders="C",  # numcodecs refuses the other
    ),
    # dtypes that are not numbers
    "struct": Row([("a", "<i4"), ("b", ">f8"), ("c", "|S3")][::2], compressor=BLOSC),
    "struct of structs": Row([("a", "<i4"), ("b", [("c", "<f8"), ("d", "|u1")])]),
    "struct of arrays": Row([("a", "<i4", (2, 3)), ("b", "<f8")], compressor=BLOSC),
    "big-endian struct of arrays": Row([("a", ">i4", (2,)), ("b", ">f8")], compressor=BLOSC),
}


def listed(dtype: Any) -> Any:
    """A structured dtype as JSON has it."""
    if isinstance(dtype, list):
        return [
            [name, listed(kind), *(list(length) for length in shape)]
            for name, kind, *shape in dtype
        ]
    return dtype


def document_of(row: Row, order: Order) -> dict[str, Any]:
    return {
        "zarr_format": 2,
        "shape": list(SHAPE),
        "chunks": list(CHUNKS),
        "dtype": listed(row.dtype),
        "compressor": row.compressor,
        "fill_value": row.fill,
        "order": order,
        "filters": list(row.filters) or None,
    }


def chain_of(document: dict[str, Any]) -> list[Any]:
    configs = list(document["filters"] or [])
    if document["compressor"] is not None:
        configs.append(document["compressor"])
    return [numcodecs.get_codec(dict(each)) for each in configs]


def dtype_of(document: dict[str, Any]) -> np.dtype[Any]:
    def tuples(value: Any) -> Any:
        if isinstance(value, str):
            return value
        return [(name, tuples(kind), *map(tuple, shape)) for name, kind, *shape in value]

    dtype: np.dtype[Any] = np.dtype(tuples(document["dtype"]))
    return dtype


def coordinates() -> list[tuple[int, int]]:
    return [(i, j) for i in range(2) for j in range(2)]


def write_by_numcodecs(document: dict[str, Any], values: Any) -> Objects:
    """As zarr-python 2 stores it: whole chunks in the array's order, one codec after the other."""
    store = {".zarray": json.dumps(document).encode()}
    dtype = dtype_of(document)
    fill = b"" if {"id": "vlen-bytes"} in (document["filters"] or []) else document["fill_value"]
    for i, j in coordinates():
        chunk = np.empty(CHUNKS, dtype, order=document["order"])
        chunk[...] = np.zeros((), dtype) if dtype.names else fill
        part = values[3 * i : 3 * i + 3, 2 * j : 2 * j + 2]
        for index in np.ndindex(part.shape):
            chunk[index] = part[index]
        data: Any = chunk
        for codec in chain_of(document):
            data = codec.encode(data)
        store[f"{i}.{j}"] = data.tobytes("A") if isinstance(data, np.ndarray) else bytes(data)
    return store


def read_by_numcodecs(store: Objects) -> Any:
    document = json.loads(store[".zarray"])
    dtype = dtype_of(document)
    whole = np.empty(SHAPE, dtype)
    separator = document.get("dimension_separator", ".")
    for i, j in coordinates():
        data: Any = store[f"{i}{separator}{j}"]
        for codec in reversed(chain_of(document)):
            data = codec.decode(data)
        array = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
        if array.dtype != dtype:
            array = array.reshape(-1, order="A").view(dtype)
        if array.shape != CHUNKS:
            array = array.reshape(-1, order="A").reshape(CHUNKS, order=document["order"])
        part = whole[3 * i : 3 * i + 3, 2 * j : 2 * j + 2]
        for index in np.ndindex(part.shape):
            part[index] = array[index]
    return whole


def plain(values: Any) -> Any:
    """The same in lists of Python's own values."""
    match values:
        case np.ndarray() | np.generic():
            return plain(values.reshape(-1).tolist()) if values.ndim else plain(values.item())
        case list() | tuple():
            return [plain(value) for value in values]
        case _:
            return values


@pytest.fixture
def _pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for those who trust the store."""
    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True)
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    registry.register(PickleCodec)


@pytest.fixture(params=ROWS)
def row(request: pytest.FixtureRequest, _pickles: None) -> Row:
    """Each of them."""
    found = ROWS[request.param]
    if found.optional is not None:
        pytest.importorskip(found.optional)
    return found


@pytest.fixture(params=["C", "F"])
def order(request: pytest.FixtureRequest, row: Row) -> Order:
    """Each order that numcodecs has for the row."""
    if request.param not in row.orders:
        pytest.skip("numcodecs does not write it")
    return request.param  # type: ignore[no-any-return]  # one of the two


def test_every_codec_of_numcodecs_has_a_row() -> None:
    wanted = set(codec_registry)
    have = {
        each["id"]
        for row in ROWS.values()
        for each in (*row.filters, row.compressor)
        if each is not None
    }
    assert wanted <= have
    assert {f"numcodecs.{name}" for name in have - {"pickle"}} <= set(registry.names())


def test_zlab_reads_what_numcodecs_wrote(row: Row, order: Order) -> None:
    values = row.values()
    store = write_by_numcodecs(document_of(row, order), values)
    expected = read_by_numcodecs(store)
    if not row.lossy:
        assert plain(expected) == plain(values)
    array = zlab.open_array(store)
    assert plain(array[...]) == plain(expected)
    assert plain(array[1:4, ::2]) == plain(expected[1:4, ::2])


def test_numcodecs_reads_what_zlab_wrote(row: Row, order: Order) -> None:
    values = row.values()
    store: Objects = {".zarray": json.dumps(document_of(row, order)).encode()}
    array = zlab.open_array(store, mode="r+")
    array[...] = values
    assert plain(read_by_numcodecs(store)) == plain(array[...])
    if not row.lossy:
        assert plain(array[...]) == plain(values)
    # a part of a chunk, on top of what is there
    array[1, 1] = values[4, 3:4].reshape(())
    values[1, 1] = values[4, 3]
    if not row.lossy:
        assert plain(array[...]) == plain(values)
        assert plain(read_by_numcodecs(store)) == plain(values)


def test_a_document_that_zlab_writes_again_says_the_same(row: Row, order: Order) -> None:
    store = write_by_numcodecs(document_of(row, order), row.values())
    before = zlab.open_array(store)[...]
    zlab.open_array(store, mode="r+").resize((6, 4))
    assert plain(zlab.open_array(store)[:5]) == plain(before)
    document = json.loads(store[".zarray"])
    for codec in chain_of(document):
        assert codec is not None
    assert document["shape"] == [6, 4]
    assert document["dtype"] == listed(row.dtype)


# -- objects


def test_an_array_of_objects_is_created_by_name() -> None:
    store: Objects = {}
    values = objects(None, {"a": 1}, [2])
    array = zlab.create_array(
        store,
        shape=SHAPE,
        chunks=CHUNKS,
        dtype="object",
        serializer={"id": "json2"},
        zarr_format=2,
    )
    assert array.fill_value is None
    assert plain(array[...]) == [None] * 20
    array[...] = values
    assert plain(read_by_numcodecs(store)) == plain(values)
    assert json.loads(store[".zarray"])["dtype"] == "|O"


def test_texts_in_categories_are_created_for_numcodecs() -> None:
    store: Objects = {}
    values = objects("", "low", "high")
    array = zlab.create_array(
        store,
        shape=SHAPE,
        chunks=CHUNKS,
        dtype="string",
        filters={"name": "categorize", "configuration": {"labels": ["low", "high"]}},
        serializer="bytes",
        zarr_format=2,
    )
    array[...] = values
    assert plain(read_by_numcodecs(store)) == plain(values)


@pytest.mark.parametrize(
    "options", [{}, {"zarr_format": 2}, {"serializer": {"id": "json2"}, "zarr_format": 3}]
)
def test_objects_need_v2_and_a_serializer(options: dict[str, Any]) -> None:
    store: Objects = {}
    with pytest.raises((MetadataError, DataTypeError), match=r"object|dtype"):
        zlab.create_array(store, shape=(4,), dtype="object", **options)
    assert store == {}


def test_objects_without_a_filter_are_refused() -> None:
    document = document_of(Row("|O", fill=None), "C")
    with pytest.raises(UnknownDataTypeError, match=r"how objects are stored: vlen-utf8, .*json2"):
        zlab.open_array({".zarray": json.dumps(document).encode()})


@pytest.mark.parametrize("fill", [0, "x", 1.5, True, None])
def test_fill_values_of_objects_are_those_of_json(fill: Any) -> None:
    row = Row("|O", ({"id": "json2"},), fill=fill)
    store = {".zarray": json.dumps(document_of(row, "C")).encode()}
    array = zlab.open_array(store, mode="r+")
    assert plain(array[...]) == [fill] * 20
    assert [type(value) for value in plain(array[...])] == [type(fill)] * 20
    # what only equals the fill value is stored
    other = {0: False, True: 1}.get(fill, "other")
    array[...] = objects(other)
    assert plain(array[...]) == [other] * 20
    assert [type(value) for value in plain(array[...])] == [type(other)] * 20
    array.resize((5, 5))
    assert json.loads(store[".zarray"])["fill_value"] == fill


@pytest.mark.parametrize("fill", [[], [1], {"a": 1}])
def test_fill_values_that_are_no_scalars_are_refused(fill: Any) -> None:
    row = Row("|O", ({"id": "json2"},), fill=fill)
    with pytest.raises(MetadataError, match="fill_value"):
        zlab.open_array({".zarray": json.dumps(document_of(row, "C")).encode()})


def test_pickles_are_refused_by_those_who_have_not_asked_for_them() -> None:
    store = write_by_numcodecs(document_of(ROWS["pickle"], "C"), ROWS["pickle"].values())
    with pytest.raises(UnknownCodecError, match=r"runs code.*PickleCodec"):
        zlab.open_array(store)


def test_arrays_in_chunks_that_end_early_are_errors() -> None:
    row = ROWS["vlen-array"]
    document = {**document_of(row, "C"), "compressor": None}
    store = write_by_numcodecs(document, row.values())
    store["0.0"] = store["0.0"][:-2]
    with pytest.raises(ChunkReadError, match="vlen-array") as caught:
        zlab.open_array(store)[...]
    assert caught.value.key == "0.0"


# -- documents


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dtype": [["a", "<i4", [1 << 40]]]}, "cannot be an array"),
        ({"dtype": [["a", "<i4", [-1]]]}, "whole numbers"),
        ({"dtype": [["a", "<i4", "2"]]}, "whole numbers"),
        ({"dtype": [["a", "|O"]], "filters": [{"id": "json2"}]}, "objects are stored"),
        ({"dtype": [["a", "<i4"], ["b", ">i4"]]}, "differ in byte order"),
        ({"dtype": [["a", "<i4"], ["a", "<i4"]]}, "must differ"),
        ({"dtype": [[1, "<i4"]]}, "each with a name"),
        ({"dtype": []}, "field"),
        ({"dtype": "|O4"}, "dtype"),
        ({"dtype": "<i3"}, "unknown dtype"),
        ({"dtype": "<U99999999"}, "length_bytes|unknown dtype"),
        ({"filters": {}}, "filters must be a list"),
        ({"filters": [1]}, "object with an id"),
        ({"filters": [{"id": ""}]}, "object with an id"),
        ({"compressor": "zstd"}, "object with an id"),
        ({"compressor": {"id": "zstd", "level": "high"}}, "level"),
        ({"compressor": {"id": "blosc", "shuffle": 9}}, "shuffle"),
        ({"compressor": {"id": "klingon"}}, "unknown codec 'numcodecs.klingon'"),
        ({"filters": [{"id": "vlen-array", "dtype": "|O"}], "dtype": "|O"}, "dtype"),
        ({"filters": [{"id": "delta", "dtype": ">i4"}], "dtype": "<i4"}, "big-endian"),
        ({"order": "A"}, "order"),
        ({"dimension_separator": "-"}, "dimension_separator"),
        ({"chunks": [0, 2]}, "chunk"),
        ({"shape": [5, None]}, "shape"),
        ({"zarr_format": 2.5}, "zarr_format"),
    ],
)
def test_a_document_that_says_it_wrongly(changes: dict[str, Any], words: str) -> None:
    document = {**document_of(Row("<i4"), "C"), **changes}
    with pytest.raises(MetadataError, match=words) as caught:
        zlab.open_array({".zarray": json.dumps(document).encode()})
    assert caught.value.key == ".zarray"
    assert caught.value.store is not None


@pytest.mark.parametrize("name", ["shape", "chunks", "dtype", "compressor", "filters", "order"])
def test_a_field_that_is_missing_is_named(name: str) -> None:
    document = document_of(Row("<i4"), "C")
    del document[name]
    with pytest.raises(MetadataError, match=f"without {name}"):
        zlab.open_array({".zarray": json.dumps(document).encode()})
