"""Groups: members, hierarchy, consolidated metadata, the doors that open nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import zlab
from zlab.errors import (
    MetadataError,
    NodeExistsError,
    NodeNotFoundError,
    ReadOnlyError,
    StoreNotFoundError,
)
from zlab.stores.memory import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

    from zlab.metadata import ZarrFormat
    from zlab.stores.open import StoreLike


@pytest.fixture(params=[2, 3])
def zarr_format(request: pytest.FixtureRequest) -> ZarrFormat:
    return request.param  # type: ignore[no-any-return]


def _hierarchy(store: StoreLike, zarr_format: ZarrFormat) -> zlab.Group:
    group = zlab.create_group(store, zarr_format=zarr_format, attributes={"title": "t"})
    group.create_array("air/temperature", data=np.arange(6.0).reshape(2, 3))
    group.create_array("air/pressure", shape=(2, 3), dtype="f4")
    group.create_group("empty", attributes={"a": 1})
    group.create_array("time", data=np.arange(2))
    return group


def test_members(zarr_format: ZarrFormat) -> None:
    group = _hierarchy({}, zarr_format)
    assert group.keys() == ["air", "empty", "time"]
    assert len(group) == 3
    assert list(group) == group.keys()
    assert "air/temperature" in group
    assert "air/humidity" not in group
    assert 3 not in group
    assert [name for name, _ in group.arrays()] == ["time"]
    assert [name for name, _ in group.groups()] == ["air", "empty"]
    assert group.group("air").array("pressure") == group["air/pressure"]
    assert group.array("air/temperature")[1].tolist() == [3.0, 4.0, 5.0]
    assert group["empty"].attrs["a"] == 1
    assert all(node.zarr_format == zarr_format for _, node in group.members())


def test_the_tree_as_text(zarr_format: ZarrFormat) -> None:
    group = _hierarchy({}, zarr_format)
    assert str(group.tree()).splitlines() == [
        "/",
        "├── air",
        "│   ├── pressure (2, 3) float32",
        "│   └── temperature (2, 3) float64",
        "├── empty",
        "└── time (2,) int64",
    ]
    assert str(group.tree(level=1)).count("\n") == 3


def test_a_missing_member_is_told_with_its_neighbours() -> None:
    group = _hierarchy({}, 3)
    with pytest.raises(NodeNotFoundError, match="'air', 'empty', 'time'"):
        group["water"]
    with pytest.raises(KeyError):
        group["air/water"]
    with pytest.raises(NodeNotFoundError):
        group[""]
    with pytest.raises(NodeNotFoundError, match="no members"):
        group.group("empty")["x"]


def test_members_of_a_known_kind() -> None:
    group = _hierarchy({}, 3)
    with pytest.raises(NodeNotFoundError, match="group, not an array"):
        group.array("air")
    with pytest.raises(NodeNotFoundError, match="array, not a group"):
        group.group("time")


def test_require_group() -> None:
    group = _hierarchy({}, 3)
    assert group.require_group("air") == group["air"]
    assert group.require_group("new/one").path == "new/one"
    assert "new" in group
    with pytest.raises(NodeExistsError, match="array"):
        group.require_group("time")


def test_overwriting_removes_what_was_below() -> None:
    group = _hierarchy({}, 3)
    with pytest.raises(NodeExistsError):
        group.create_group("air")
    group.create_group("air", overwrite=True)
    assert group.group("air").keys() == []


@pytest.mark.needs("zarr")
@pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning")
def test_zarr_python_sees_the_same_hierarchy(tmp_path: Path, zarr_format: ZarrFormat) -> None:
    zarr = pytest.importorskip("zarr")
    _hierarchy(tmp_path / "a.zarr", zarr_format)
    theirs = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert sorted(dict(theirs.members())) == ["air", "empty", "time"]
    assert dict(theirs.attrs) == {"title": "t"}
    np.testing.assert_array_equal(theirs["air/temperature"][...], np.arange(6.0).reshape(2, 3))


@pytest.mark.needs("zarr")
@pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning")
def test_consolidated_metadata_are_read_at_once(tmp_path: Path, zarr_format: ZarrFormat) -> None:
    zarr = pytest.importorskip("zarr")
    _hierarchy(tmp_path / "a.zarr", zarr_format)
    zarr.consolidate_metadata(tmp_path / "a.zarr")
    from zlab.stores.local import LocalStore
    from zlab.testing import CountingStore

    store = CountingStore(LocalStore(tmp_path / "a.zarr", read_only=True))
    group = zlab.open_group(store)
    assert group.consolidated
    store.reset()
    walked = zlab.open_group(tmp_path / "a.zarr", consolidated=False)
    assert not walked.consolidated
    assert str(group.tree()) == str(walked.tree())
    assert group.group("air").consolidated
    assert group["empty"].attrs == walked["empty"].attrs
    assert store.counts.gets == 0
    np.testing.assert_array_equal(
        group.array("air/temperature")[...], walked.array("air/temperature")[...]
    )


def test_consolidated_metadata_may_be_demanded() -> None:
    group = _hierarchy({}, 3)
    with pytest.raises(MetadataError, match="no consolidated"):
        zlab.open(group.store, consolidated=True)


def test_null_instead_of_consolidated_metadata_is_none() -> None:
    store = MemoryStore()
    document = b'{"zarr_format": 3, "node_type": "group", "consolidated_metadata": null}'
    store.put("zarr.json", document)
    assert not zlab.open_group(store).consolidated


def test_a_node_with_documents_of_both_versions_is_v3() -> None:
    store = MemoryStore()
    zlab.create_array(store, shape=(2,), dtype="i1", zarr_format=2)
    store.put("zarr.json", b'{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    assert isinstance(zlab.open(store), zlab.Group)
    assert isinstance(zlab.open(store, zarr_format=2), zlab.Array)


def test_modes(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with pytest.raises(StoreNotFoundError):
        zlab.open(path, mode="r+")
    group = zlab.open_group(path, mode="a")
    group.create_array("x", data=np.arange(3))
    assert zlab.open_group(path, mode="a").keys() == ["x"]
    assert zlab.open_array(path, path="x")[1] == 1
    with pytest.raises(NodeExistsError):
        zlab.open(path, mode="w-")
    assert zlab.open_group(path, mode="w").keys() == []
    zlab.create_array(path, path="y", shape=(1,), dtype="i1")
    with pytest.raises(NodeNotFoundError, match="array, not a group"):
        zlab.open_group(path, path="y")


def test_stray_files_are_no_members(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    group = _hierarchy(path, 3)
    (path / ".DS_Store").write_bytes(b"x")
    (path / "notes").mkdir()
    (path / "notes" / "readme.txt").write_text("hello")
    assert group.keys() == ["air", "empty", "time"]


def test_a_prefix_of_a_siblings_name_is_another_node() -> None:
    group = zlab.create_group({})
    group.create_array("data", data=np.arange(1, 4), chunks=1)
    group.create_array("data2", data=np.arange(1, 6), chunks=1)
    group.create_array("more/data/data", data=np.arange(1, 8), chunks=1)
    assert group.array("data").nchunks_initialized == 3
    assert group.array("data2").nchunks_initialized == 5
    assert group.array("more/data/data").nchunks_initialized == 7
    group.create_array("data", data=np.arange(2), chunks=1, overwrite=True)
    assert group.array("data2")[...].tolist() == [1, 2, 3, 4, 5]


def test_a_broken_member_is_listed_and_raises_when_it_is_opened() -> None:
    group = _hierarchy({}, 3)
    group.store.put("broken/zarr.json", b"{")
    assert group.keys() == ["air", "broken", "empty", "time"]
    with pytest.raises(MetadataError, match=r"broken/zarr\.json"):
        group["broken"]
    # the group can be looked at all the same
    assert "broken" in group
    assert "├── broken cannot be opened: not a JSON document" in str(group.tree())
    assert "broken cannot be opened" in group._repr_html_()


def test_a_group_that_was_opened_for_reading_is_not_changed() -> None:
    store = _hierarchy({}, 3).store
    group = zlab.open_group(store)
    assert group.read_only
    for write in (
        lambda: group.create_array("new", shape=(1,), dtype="i1"),
        lambda: group.create_group("new"),
        lambda: group.__delitem__("air"),
        lambda: group.move("air", "water"),
        lambda: group.attrs.update(a=1),
        group.consolidate,
        group.remove_consolidated,
        lambda: group.array("time").attrs.update(a=1),
    ):
        with pytest.raises(ReadOnlyError):
            write()
    assert zlab.open_group(store).keys() == ["air", "empty", "time"]


def test_handles_are_compared(tmp_path: Path) -> None:
    group = _hierarchy(tmp_path / "a.zarr", 3)
    assert zlab.open(tmp_path / "a.zarr") == group
    assert hash(zlab.open(tmp_path / "a.zarr")) == hash(group)
    assert group["air"] != group
    assert group != 1
    assert "zarr_format=3" in repr(group)
