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
        "bytes",
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
    document=st.sampled_from([V3, V3_RECTILINEAR, V2]),
    data=st.data(),
    chunk=st.binary(max_size=200),
)
def test_a_changed_document(document: dict[str, Any], data: st.DataObject, chunk: bytes) -> None:
    path = data.draw(st.sampled_from(_paths(document)))
    changed = _replaced(document, path, data.draw(_json))
    _open_and_read(changed, "zarr.json" if document["zarr_format"] == 3 else ".zarray", chunk)


@given(document=st.sampled_from([V3, V2]), data=st.data())
def test_a_truncated_document(document: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(document).encode()
    store = MemoryStore()
    store.put(
        "zarr.json" if document["zarr_format"] == 3 else ".zarray",
        text[: data.draw(st.integers(0, len(text) - 1))],
    )
    with pytest.raises(ZlabError):
        zlab.open(store)


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
