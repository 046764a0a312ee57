"""Closing through a handle: what zlab has opened, and never what it was given."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

import zlab
from zlab.array import plan_array
from zlab.errors import NodeNotFoundError, StoreError
from zlab.stores.zip import ZipStore

if TYPE_CHECKING:
    from pathlib import Path


def test_an_archive_is_complete_at_the_end_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zlab.create_group(path) as group:
        array = group.create_array("x", data=np.arange(1, 5))
        assert not path.exists()
    assert zlab.open_group(path).array("x")[...].tolist() == [1, 2, 3, 4]
    with pytest.raises(StoreError, match="closed"):
        array[0]
    group.close()
    with zlab.open_group(path, mode="r+") as group:
        group.array("x")[0] = 7
        group.array("x").close()  # it opened nothing
        group.attrs["a"] = 1
    with zlab.open_array(path, path="x", mode="r+") as array:
        assert array[0] == 7
        array.append([5])
    with zlab.create_array(tmp_path / "b.zip", data=np.arange(3)):
        pass
    assert zlab.open_array(tmp_path / "b.zip").shape == (3,)
    zlab.create_hierarchy(tmp_path / "c.zip", {"x": plan_array(shape=(1,), dtype="i1")})[""].close()
    assert zlab.open_group(tmp_path / "c.zip").keys() == ["x"]
    with zlab.consolidate_metadata(path) as group:
        assert group.attrs["a"] == 1
    assert zlab.open_group(path, consolidated=True).array("x").shape == (5,)


def test_an_error_in_the_block_loses_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with zlab.create_group(tmp_path / "a.zip") as group:
            group.create_array("x", data=np.arange(3))
            group.array("y")

    with pytest.raises(NodeNotFoundError):
        write()
    assert zlab.open_group(tmp_path / "a.zip").array("x")[2] == 2


def test_a_store_that_was_given_stays_open(tmp_path: Path) -> None:
    with ZipStore(tmp_path / "a.zip") as store:
        with zlab.create_group(store) as group:
            group.create_array("x", data=np.arange(3))
        assert group.array("x")[1] == 1
    assert zlab.open_group(tmp_path / "a.zip").keys() == ["x"]


def test_stores_without_close_have_nothing_to_close(tmp_path: Path) -> None:
    with zlab.create_group(tmp_path / "a.zarr") as group:
        array = group.create_array("x", data=np.arange(3))
    assert array[1] == 1


def test_a_forgotten_archive_is_told_and_complete(tmp_path: Path) -> None:
    groups = [zlab.create_group(tmp_path / "a.zip")]
    groups[0].create_array("x", data=np.arange(3))
    with pytest.warns(ResourceWarning, match="with"):
        groups.clear()
    assert zlab.open_group(tmp_path / "a.zip").keys() == ["x"]


def test_tools_close_what_they_open(tmp_path: Path) -> None:
    with zlab.create_group(tmp_path / "a.zip") as group:
        group.create_array("x", data=np.arange(3))
    zlab.copy(tmp_path / "a.zip", tmp_path / "b.zip")
    zlab.convert(tmp_path / "b.zip", tmp_path / "c.zip", zarr_format=2)
    assert zlab.verify(tmp_path / "c.zip", repair=True).ok
    assert zlab.open_group(tmp_path / "c.zip").array("x")[...].tolist() == [0, 1, 2]


def test_what_is_gone_is_still_shown_in_a_notebook(tmp_path: Path) -> None:
    group = zlab.create_group(tmp_path / "a.zarr")
    array = group.create_array("x", data=np.arange(3))
    del group["x"]
    assert "no longer there" in array._repr_html_()
    assert "shape=(3,)" in repr(array)
    shutil.rmtree(tmp_path / "a.zarr")
    for handle in (array, group):
        assert "has vanished" in handle._repr_html_()
        assert "a.zarr" in repr(handle)
