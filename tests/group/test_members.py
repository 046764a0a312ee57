"""The members of a group: as a mapping, made where missing, and read together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import zlab
from zlab.array import plan_array
from zlab.errors import MetadataError, NodeExistsError, StoreError
from zlab.metadata import ArrayMetadata, GroupMetadata
from zlab.stores.local import LocalStore
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore, Fault, FaultStore, LatencyStore

if TYPE_CHECKING:
    from pathlib import Path

    from zlab.metadata import ZarrFormat

COUNT = 200


def _many(store: MemoryStore | LocalStore, zarr_format: ZarrFormat = 3) -> list[str]:
    names = [f"a{k:03}" for k in range(COUNT)]
    node = plan_array(shape=(4,), dtype="i2", zarr_format=zarr_format)
    zlab.create_hierarchy(store, dict.fromkeys(names, node))
    return names


@pytest.fixture
def group() -> zlab.Group:
    group = zlab.create_group({})
    group.create_array("b/c/x", data=np.arange(3))
    group.create_array("a", data=np.arange(2))
    return group


def test_a_mapping(group: zlab.Group) -> None:
    assert [name for name, _ in group.items()] == ["a", "b"]
    assert list(group.values()) == [group["a"], group["b"]]
    assert group.get("b/c") == group["b/c"]
    assert group.get("nothing") is None
    assert group.get("", 7) == 7
    assert list(group.array_keys()) == ["a"]
    assert list(group.group_keys()) == ["b"]
    assert list(group.array_values()) == [group["a"]]
    assert list(group.group_values()) == [group["b"]]


def test_members_of_members(group: zlab.Group) -> None:
    assert [path for path, _ in group.members(1)] == ["a", "b", "b/c"]
    assert [path for path, _ in group.members(None)] == ["a", "b", "b/c", "b/c/x"]
    assert [group.nmembers(depth) for depth in (0, 1, None)] == [2, 3, 4]


def test_required_members(group: zlab.Group) -> None:
    assert group.require_array("a", shape=2, dtype="int64") == group["a"]
    assert group.require_array("a", shape=(2,), dtype="int32") == group["a"]
    assert group.require_array("new/y", shape=(4,), dtype="i1", chunks=2).chunks == (2,)
    assert [g.path for g in group.require_groups("b", "p/q")] == ["b", "p/q"]
    for shape, dtype, exact, what in (
        ((3,), "i8", False, "shape"),
        ((2,), "f8", False, "holds"),
        ((2,), "i4", True, "holds"),
    ):
        with pytest.raises(NodeExistsError, match=what):
            group.require_array("a", shape=shape, dtype=dtype, exact=exact)
    with pytest.raises(NodeExistsError, match="group"):
        group.require_array("b", shape=1, dtype="i1")


def test_members_inherit_the_options_of_their_group() -> None:
    cache = zlab.Cache(1 << 20)
    group = zlab.open_group({}, mode="a", cache=cache)
    assert group.create_array("x", data=np.arange(4)).layout.access.cache is cache
    assert (
        group.create_group("g").create_array("y", shape=1, dtype="i1").layout.access.cache is cache
    )
    made = group.create_hierarchy({"z": plan_array(shape=(1,), dtype="i1")})["z"]
    assert isinstance(made, zlab.Array)
    assert made.layout.access.cache is cache


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_it_costs_to_list_many(tmp_path: Path, zarr_format: ZarrFormat) -> None:
    local = LocalStore(tmp_path / "a.zarr")
    names = _many(local, zarr_format)
    counting = CountingStore(local)
    group = zlab.open_group(counting)
    documents = 1 if zarr_format == 3 else 3
    counting.reset()
    assert group.keys() == names
    # names are found by looking, not by reading
    assert (counting.counts.lists, counting.counts.gets) == (1, 0)
    assert counting.counts.lookups == COUNT * (1 if zarr_format == 3 else 2)
    counting.reset()
    found = group.member_metadata()
    assert list(found) == names
    assert {node.shape for node in found.values() if isinstance(node, ArrayMetadata)} == {(4,)}
    assert (counting.counts.lists, counting.counts.gets) == (1, COUNT * documents)
    counting.reset()
    assert [name for name, _ in group.arrays()] == names
    assert (counting.counts.lists, counting.counts.gets) == (1, COUNT * documents)
    zlab.consolidate_metadata(local)
    group = zlab.open_group(counting)
    counting.reset()
    assert group.keys() == list(group.member_metadata()) == names == list(dict(group.members()))
    assert counting.counts == type(counting.counts)()


def test_of_a_remote_store_many_are_read_at_once() -> None:
    memory = MemoryStore()
    names = _many(memory)
    counting = CountingStore(LatencyStore(memory, 0.005), local=False)
    group = zlab.open_group(counting)
    counting.reset()
    assert list(group.member_metadata()) == names
    assert counting.counts.gets == COUNT
    assert counting.counts.max_in_flight > 8
    counting.reset()
    assert group.keys() == names
    assert counting.counts.max_in_flight > 8


def test_broken_members_and_failures() -> None:
    memory = MemoryStore()
    group = zlab.create_group(memory)
    group.create_group("a")
    memory.put("b/zarr.json", b"[]")
    memory.put("stray/readme.txt", b"x")
    found = group.member_metadata()
    assert list(found) == ["a", "b"]
    assert isinstance(found["a"], GroupMetadata)
    assert isinstance(found["b"], MetadataError)
    memory.put("c/zarr.json", b'{"node_type": "array"}')
    memory.put("d/zarr.json", b"{")
    assert (list(group.group_keys()), list(group.array_keys())) == (["a"], ["c"])
    with pytest.raises(MetadataError):
        list(group.members())
    # a store that fails is no group without members
    failing = zlab.open_group(
        CountingStore(FaultStore(memory, [Fault("get", key="a/zarr.json")]), local=False)
    )
    for ask in (failing.keys, failing.member_metadata, lambda: str(failing.tree())):
        with pytest.raises(StoreError):
            ask()
