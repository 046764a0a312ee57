"""Many nodes created at once: all is checked before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.array import plan_array
from zlab.errors import (
    MetadataError,
    NodeExistsError,
    ReadOnlyError,
    StoreError,
    UnknownCodecError,
)
from zlab.metadata import ArrayMetadata, GroupMetadata, NamedConfig
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore, Fault, FaultStore

if TYPE_CHECKING:
    from zlab.metadata import ZarrFormat

ARRAY = plan_array(shape=(4, 2), dtype="int16", chunks=(2, 2), fill_value=-1)


def test_groups_between_are_made() -> None:
    nodes = {"/a/b/x": ARRAY, "c": GroupMetadata(3, {"title": "t"})}
    made = zlab.create_hierarchy({}, nodes)
    assert list(made) == ["", "a", "c", "a/b", "a/b/x"]
    root = made[""]
    assert isinstance(root, zlab.Group)
    assert str(root.tree()).splitlines() == [
        "/",
        "├── a",
        "│   └── b",
        "│       └── x (4, 2) int16",
        "└── c",
    ]
    assert root["c"].attrs["title"] == "t"
    array = made["a/b/x"]
    assert isinstance(array, zlab.Array)
    array[0] = 5
    assert root.array("a/b/x")[:2].tolist() == [[5, 5], [-1, -1]]
    # what the codecs do is recorded, defaults included
    assert array.metadata_document()["codecs"][1]["configuration"] == {
        "level": 0,
        "checksum": False,
    }


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_metadata_of_every_kind(zarr_format: ZarrFormat) -> None:
    like = zlab.create_group({}, zarr_format=zarr_format)
    array = like.create_array("x", data=np.arange(4), attributes={"a": 1})
    nodes = {"model": array.metadata, "document": array.metadata_document(), "group": like.metadata}
    store = MemoryStore()
    zlab.create_hierarchy(store, nodes, path="below/here")
    group = zlab.open_group(store, path="below/here")
    assert group.zarr_format == zarr_format
    for name in ("model", "document"):
        assert group[name].metadata_document() == array.metadata_document()
    assert group.keys() == ["document", "group", "model"]


@pytest.mark.needs("zarr")
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_metadata_of_zarr_python(zarr_format: ZarrFormat) -> None:
    zarr = pytest.importorskip("zarr")
    theirs = zarr.create_array(
        {}, shape=(3,), dtype=">f4", fill_value=np.nan, zarr_format=zarr_format, attributes={"a": 1}
    )
    made = zlab.create_hierarchy({}, {"x": theirs.metadata})["x"]
    assert isinstance(made, zlab.Array)
    assert (made.shape, made.dtype, made.attrs["a"]) == ((3,), np.dtype("f4"), 1)
    assert np.isnan(made[...]).all()


def test_a_group_creates_below_itself() -> None:
    group = zlab.create_group({}).create_group("g")
    made = group.create_hierarchy({"a/x": ARRAY})
    assert list(made) == ["a", "a/x"]
    assert group.array("a/x").shape == (4, 2)


BAD: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"a": ARRAY, "/a/": ARRAY}, MetadataError),
    ({"a": ARRAY, "a/b": ARRAY}, MetadataError),
    ({"a": ARRAY, "a/b/c/d": GroupMetadata(3)}, MetadataError),
    ({"a": ARRAY, "b": GroupMetadata(2)}, MetadataError),
    ({"a": ARRAY, "b": 7}, MetadataError),
    ({"a": ARRAY, "b": {}}, MetadataError),
    ({"a": ARRAY, "b": {"zarr_format": 3}}, MetadataError),
    ({"a": ARRAY, "b": {"zarr_format": 3, "node_type": "array"}}, MetadataError),
    ({"a": ARRAY, "../b": ARRAY}, StoreError),
    ({"a": ARRAY, "b": GroupMetadata(3, {"x": float("nan")})}, MetadataError),
    ({"a": ARRAY, "there": ARRAY}, NodeExistsError),
    ({"a": ARRAY, "there/below": ARRAY}, NodeExistsError),
    ({"a": ARRAY, "broken/below": ARRAY}, MetadataError),
]


@pytest.mark.parametrize(("nodes", "error"), BAD)
def test_a_bad_entry_leaves_everything_as_it_is(
    nodes: dict[str, Any], error: type[Exception]
) -> None:
    store = MemoryStore()
    zlab.create_array(store, path="there", shape=(1,), dtype="i1")
    store.put("broken/zarr.json", b"{")
    before = dict(store.mapping)
    with pytest.raises(error):
        zlab.create_hierarchy(store, nodes)
    assert dict(store.mapping) == before


def test_an_unknown_codec_is_found_before_anything_is_written() -> None:
    from dataclasses import replace

    store = MemoryStore()
    bad = replace(ARRAY, codecs=(*ARRAY.codecs, NamedConfig("nothing")))
    with pytest.raises(UnknownCodecError):
        zlab.create_hierarchy(store, {"a": ARRAY, "b": bad})
    assert not store.mapping


def test_overwriting_replaces_what_is_named_and_keeps_groups_above() -> None:
    store = MemoryStore()
    old = zlab.create_group(store)
    old.create_group("a", attributes={"kept": True})
    old.create_array("a/x", data=np.arange(1, 5))
    old.create_array("a/y", data=np.arange(1, 5))
    old.create_array("b/z/deep", data=np.arange(1, 5))
    zlab.create_hierarchy(store, {"a/x": ARRAY, "b": ARRAY}, overwrite=True)
    group = zlab.open_group(store)
    assert group.group("a").attrs["kept"] is True
    assert group.array("a/x")[...].tolist() == [[-1, -1]] * 4
    assert group.array("a/y")[0] == 1
    assert group.array("b").shape == (4, 2)
    assert [entry.key for entry in store.list("b")] == ["b/zarr.json"]
    # a node between two that are replaced goes with the upper one
    zlab.create_hierarchy(store, {"": GroupMetadata(3), "a/x/y": ARRAY}, overwrite=True)
    assert str(zlab.open_group(store).tree()).count("\n") == 3


def test_parents_come_first_and_are_asked_for_once() -> None:
    store = CountingStore(MemoryStore(), local=False)
    zlab.create_hierarchy(store, {f"g{k}/x": ARRAY for k in range(5)})
    assert store.counts.puts == 11
    failing = FaultStore(MemoryStore(), [Fault("put", key="b/x/zarr.json")])
    with pytest.raises(StoreError):
        zlab.create_hierarchy(failing, {"b/x": ARRAY})
    assert zlab.open_group(failing).keys() == ["b"]


def test_a_read_only_store_is_not_written() -> None:
    with pytest.raises(ReadOnlyError):
        zlab.create_hierarchy(MemoryStore(read_only=True), {"a": ARRAY})


def test_nothing_makes_nothing() -> None:
    store = MemoryStore()
    assert zlab.create_hierarchy(store, {}) == {}
    assert not store.mapping


_NAMES = st.sampled_from(["a", "b", "c"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)


@given(nodes=st.dictionaries(_PATHS, st.booleans(), max_size=8))
def test_the_hierarchy_is_that_of_creating_one_by_one(nodes: dict[str, bool]) -> None:
    given_nodes = {
        path: ARRAY if is_array else GroupMetadata(3) for path, is_array in nodes.items()
    }
    one_by_one = zlab.create_group({})
    together = MemoryStore()
    zlab.create_group(together)
    arrays = [path for path, is_array in nodes.items() if is_array]
    if any(path.startswith(f"{array}/") for path in nodes for array in arrays):
        with pytest.raises(MetadataError):
            zlab.create_hierarchy(together, given_nodes)
        assert list(together.mapping) == ["zarr.json"]
        return
    for path, node in given_nodes.items():
        if isinstance(node, ArrayMetadata):
            one_by_one.create_array(path, shape=(4, 2), dtype="int16", chunks=(2, 2), fill_value=-1)
        else:
            one_by_one.require_group(path)
    zlab.create_hierarchy(together, given_nodes)
    store = one_by_one.store
    assert isinstance(store, MemoryStore)
    assert dict(together.mapping) == dict(store.mapping)
