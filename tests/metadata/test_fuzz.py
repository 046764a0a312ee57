"""Hostile documents: a typed error or an array, in constant memory, and never a hang."""

from __future__ import annotations

import copy
import json
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import zlab
from zlab.errors import ZlabError
from zlab.stores.memory import MemoryStore

V3: dict[str, Any] = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [8, 6],
    "data_type": {"name": "numpy.datetime64", "configuration": {"unit": "s", "scale_factor": 1}},
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 4]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "codecs": [
        {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": [2, 2],
                "codecs": [
                    {"name": "transpose", "configuration": {"order": [1, 0]}},
                    {"name": "bytes", "configuration": {"endian": "little"}},
                    {"name": "zstd", "configuration": {"level": 3, "checksum": False}},
                ],
                "index_codecs": [
                    {"name": "bytes", "configuration": {"endian": "little"}},
                    {"name": "crc32c"},
                ],
                "index_location": "end",
            },
        }
    ],
    "fill_value": 0,
    "attributes": {"a": 1},
    "dimension_names": ["y", "x"],
}
V3_RECTILINEAR: dict[str, Any] = {
    **V3,
    "data_type": "float32",
    "fill_value": "NaN",
    "chunk_grid": {
        "name": "rectilinear",
        "configuration": {"kind": "inline", "chunk_shapes": [[[2, 4]], 3]},
    },
    "codecs": [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {
            "name": "blosc",
            "configuration": {
                "cname": "lz4",
                "clevel": 1,
                "shuffle": "shuffle",
                "typesize": 4,
                "blocksize": 0,
            },
        },
    ],
}
V2: dict[str, Any] = {
    "zarr_format": 2,
    "shape": [8, 6],
    "chunks": [4, 4],
    "dtype": [["a", "<i4"], ["b", "|S3"]],
    "compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0},
    "fill_value": "AAAAAAAAAA==",
    "order": "F",
    "filters": [{"id": "shuffle", "elementsize": 7}],
    "dimension_separator": "/",
}
V2_OBJECTS: dict[str, Any] = {
    **V2,
    "dtype": "|O",
    "fill_value": None,
    "filters": [{"id": "vlen-array", "dtype": "<i4"}],
    "compressor": {"id": "lzma", "format": 1, "check": -1, "preset": 1, "filters": None},
}
V2_FILTERS: dict[str, Any] = {
    **V2,
    "dtype": [["a", "<f8", [2]]],
    "fill_value": 0,
    "filters": [
        {"id": "fixedscaleoffset", "scale": 2, "offset": 1, "dtype": "<f8", "astype": "<i4"},
        {"id": "delta", "dtype": "<i4", "astype": "<i2"},
        {"id": "categorize", "labels": ["a"], "dtype": "|O", "astype": "|u1"},
        {"id": "jenkins_lookup3", "initval": 0, "prefix": None},
    ],
}


def _v3(data_type: Any, fill: Any, *codecs: Any) -> dict[str, Any]:
    return {**V3, "data_type": data_type, "fill_value": fill, "codecs": list(codecs)}


def _codec(name: str, **configuration: Any) -> dict[str, Any]:
    return {"name": name, "configuration": configuration}


DOCUMENTS = [
    V3,
    V3_RECTILINEAR,
    V2,
    V2_OBJECTS,
    V2_FILTERS,
    _v3(
        _codec("struct", fields=[{"name": "a", "data_type": "int16"}]),
        {"a": 1},
        "bytes",
        _codec("conditional", codecs=["numcodecs.shuffle", "gzip"], header_bits=8),
        "crc32c",
    ),
    _v3(
        "int32",
        1,
        _codec("scale_offset", offset=1, scale=2),
        _codec(
            "cast_value",
            data_type="uint8",
            rounding="towards-zero",
            out_of_range="clamp",
            scalar_map={"encode": [[1, 2]]},
        ),
        _codec("reshape", shape=[[0, 1]]),
        "bytes",
        _codec("numcodecs.lz4", acceleration=1),
    ),
    _v3(
        "int16",
        0,
        _codec(
            "n5_default",
            codecs=[
                _codec("transpose", order=[1, 0]),
                _codec("bytes", endian="big"),
                _codec("numcodecs.lzma", filters=[{"id": 33, "dict_size": 1 << 20}]),
            ],
        ),
    ),
    _v3("bool", False, _codec("packbits", padding_encoding="last_byte", first_bit=0, last_bit=0)),
    _v3("float32", 0.0, _codec("bitround", keepbits=3), _codec("zfp", mode="fixed_rate", rate=8)),
    _v3("string", "", _codec("categorize", labels=["a", "b"], astype="|u1"), "bytes"),
    _v3("bytes", [1], "vlen-bytes", _codec("zstd", level=1, checksum=True)),
    _v3(_codec("fixed_length_utf32", length_bytes=8), "ab", _codec("bytes", endian="big")),
    _v3("float64", 0.0, _codec("numcodecs.pcodec", level=8, mode_spec="auto")),
]

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        [
            "r99999999999999",
            "../x",
            "\0",
            "numcodecs.pickle",
            "sharding_indexed",
            "|O",
            "<U999999999",
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=8,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        found += _paths(item, (*path, key))
    return found


def _replaced(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    document = copy.deepcopy(document)
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


@pytest.fixture(autouse=True)
def _bounded_memory() -> Any:
    """What follows the numbers of a document without a check fails here, not on the machine."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 30), hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@given(
    document=st.sampled_from(DOCUMENTS),
    data=st.data(),
    chunk=st.binary(max_size=200),
)
def test_a_changed_document(document: dict[str, Any], data: st.DataObject, chunk: bytes) -> None:
    path = data.draw(st.sampled_from(_paths(document)))
    changed = _replaced(document, path, data.draw(_json))
    _open_and_read(changed, "zarr.json" if document["zarr_format"] == 3 else ".zarray", chunk)


@given(document=st.sampled_from(DOCUMENTS), data=st.data())
def test_a_truncated_document(document: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(document).encode()
    store = MemoryStore()
    store.put(
        "zarr.json" if document["zarr_format"] == 3 else ".zarray",
        text[: data.draw(st.integers(0, len(text) - 1))],
    )
    with pytest.raises(ZlabError):
        zlab.open(store)


@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_the_documents_that_are_changed_are_good(document: dict[str, Any]) -> None:
    if document is V2_FILTERS:
        return  # no chain: each of its filters is there to be changed
    name = "zarr.json" if document["zarr_format"] == 3 else ".zarray"
    assert zlab.open_array({name: json.dumps(document).encode()}).shape == (8, 6)


@given(document=_json, name=st.sampled_from(["zarr.json", ".zarray", ".zgroup"]))
@example(document={"zarr_format": 3, "node_type": "group", "attributes": {}}, name="zarr.json")
def test_any_json(document: Any, name: str) -> None:
    _open_and_read(document, name, b"")


def _open_and_read(document: Any, name: str, chunk: bytes) -> None:
    store = MemoryStore()
    store.put(name, json.dumps(document).encode())
    for key in ("c/0/0", "0/0", "0.0", "c"):
        store.put(key, chunk)
    try:
        array = zlab.open(store)
        if isinstance(array, zlab.Array):
            assert array.nchunks >= 0
            assert repr(array)
            array[tuple(slice(0, 2) for _ in array.shape)]
    except ZlabError:
        # whatever is wrong with it was told
        return
