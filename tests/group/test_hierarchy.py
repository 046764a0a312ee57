"""Nodes deleted, moved and consolidated."""

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
    StaleMetadataWarning,
)
from zlab.metadata.node import DOCUMENT_NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from zlab.metadata import ZarrFormat


@pytest.fixture(params=[2, 3])
def group(request: pytest.FixtureRequest) -> zlab.Group:
    zarr_format: ZarrFormat = request.param
    group = zlab.create_group({}, zarr_format=zarr_format)
    group.create_array("a/x", data=np.arange(1, 5), chunks=2, attributes={"units": "m"})
    group.create_array("a/y", data=np.arange(1, 9), chunks=2)
    group.create_array("ab", data=np.arange(1, 3))
    return group


def test_a_deleted_node_is_gone_with_all_below_and_its_neighbours_stay(group: zlab.Group) -> None:
    del group["a"]
    assert group.keys() == ["ab"]
    assert list(group.store.list("a")) == []
    assert group.array("ab")[...].tolist() == [1, 2]
    with pytest.raises(NodeNotFoundError):
        del group["a"]


def test_a_moved_node_keeps_everything(group: zlab.Group) -> None:
    group.move("a", "b/c")
    assert group.keys() == ["ab", "b"]
    assert group.array("b/c/x")[...].tolist() == [1, 2, 3, 4]
    assert group.array("b/c/x").attrs["units"] == "m"


@pytest.mark.parametrize(
    ("source", "target", "error"),
    [
        ("nothing", "b", NodeNotFoundError),
        ("a", "ab", NodeExistsError),
        ("a", "a/x", NodeExistsError),
        ("a", "a/z", NodeExistsError),
        ("a", "a", NodeExistsError),
    ],
)
def test_moves_that_cannot_be(
    group: zlab.Group, source: str, target: str, error: type[Exception]
) -> None:
    before = sorted(entry.key for entry in group.store.list())
    with pytest.raises(error):
        group.move(source, target)
    assert sorted(entry.key for entry in group.store.list()) == before


def test_consolidated_metadata_equal_a_walk(group: zlab.Group) -> None:
    walked = str(group.tree())
    group.consolidate()
    assert group.consolidated
    again = zlab.open_group(group.store)
    assert again.consolidated
    assert str(again.tree()) == walked
    assert again.array("a/x").attrs["units"] == "m"
    assert again.stale_nodes() == []
    again = zlab.open_group(group.store, mode="r+")
    again.remove_consolidated()
    assert not zlab.open_group(group.store).consolidated
    assert str(zlab.open_group(group.store).tree()) == walked
    again.remove_consolidated()


@pytest.mark.needs("zarr")
@pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning")
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_python_reads_consolidated_metadata(tmp_path: Path, zarr_format: ZarrFormat) -> None:
    zarr = pytest.importorskip("zarr")
    group = zlab.create_group(tmp_path / "a.zarr", zarr_format=zarr_format)
    group.create_array("a/x", data=np.arange(1, 5), chunks=2, attributes={"units": "m"})
    group.consolidate()
    theirs = zarr.open_consolidated(tmp_path / "a.zarr")
    assert theirs["a/x"][...].tolist() == [1, 2, 3, 4]
    assert dict(theirs["a/x"].attrs) == {"units": "m"}


def test_stale_nodes_are_named(group: zlab.Group) -> None:
    group.consolidate()
    other = zlab.open_group(group.store, mode="r+", consolidated=False)
    other.array("a/x").attrs["units"] = "km"
    other.create_array("new", shape=(1,), dtype="i1")
    del other["ab"]
    assert zlab.open_group(group.store).stale_nodes() == ["a/x", "ab", "new"]


def test_a_change_through_a_consolidated_group_says_so(group: zlab.Group) -> None:
    group.consolidate()
    with pytest.warns(StaleMetadataWarning, match="consolidate"):
        group.create_array("new", shape=(1,), dtype="i1")
    assert not group.consolidated
    assert "new" in group


def test_what_fails_leaves_consolidated_metadata_as_they_are(group: zlab.Group) -> None:
    group.consolidate()
    with pytest.raises(NodeExistsError):
        group.create_array("a/x", shape=(1,), dtype="i1")
    with pytest.raises(NodeNotFoundError):
        del group["nowhere"]
    assert group.consolidated


def test_the_other_version_below_is_refused(group: zlab.Group) -> None:
    zlab.create_array(
        group.store,
        path="other",
        shape=(1,),
        dtype="i1",
        zarr_format=5 - group.zarr_format,  # type: ignore[arg-type]  # 2 and 3
    )
    with pytest.raises(MetadataError, match="other version"):
        group.consolidate()


def test_a_read_only_group_is_not_changed(group: zlab.Group) -> None:
    reader = zlab.open_group(dict(_objects(group)))
    with pytest.raises(ReadOnlyError):
        reader.consolidate()
    with pytest.raises(ReadOnlyError):
        del reader["a"]
    with pytest.raises(ReadOnlyError):
        reader.move("a", "b")


def _objects(group: zlab.Group) -> list[tuple[str, bytes]]:
    return [(e.key, bytes(group.store.get(e.key) or b"")) for e in group.store.list()]


def test_what_a_notebook_shows_is_escaped(group: zlab.Group) -> None:
    array = group.create_array("x<script>", shape=(3,), dtype="i1", attributes={"<b>": 1})
    for shown in (array._repr_html_(), group._repr_html_()):
        assert "<script>" not in shown
        assert "&lt;script&gt;" in shown


@pytest.mark.parametrize("name", [*sorted(DOCUMENT_NAMES), "..."])
def test_names_of_zarr_itself_are_no_names_of_nodes(name: str) -> None:
    store: dict[str, bytes] = {}
    group = zlab.create_group(store)
    group.create_array("a", shape=(1,), dtype="i1")
    before = dict(store)
    with pytest.raises(MetadataError, match=f"no array or group can be named '{name}'"):
        group.create_array(name, shape=(1,), dtype="i1")
    with pytest.raises(MetadataError, match="no array or group can be named"):
        group.create_group(f"b/{name}/c")
    with pytest.raises(MetadataError, match="no array or group can be named"):
        group.create_hierarchy({f"b/{name}": group.metadata})
    with pytest.raises(MetadataError, match="no array or group can be named"):
        group.move("a", name)
    with pytest.raises(MetadataError, match="no array or group can be named"):
        zlab.copy(group.array("a"), group.store, path=name)
    assert store == before
