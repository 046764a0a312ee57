"""Open handles see what was changed: by this process at once, by others where a look is free."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

import zlab
from zlab.engine.watch import Changes, Watch, changes
from zlab.errors import NodeNotFoundError, StaleMetadataWarning
from zlab.stores.local import LocalStore
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zlab.metadata import ZarrFormat
    from zlab.stores.base import Store


class SilentStore(CountingStore):
    """A store that tells no versions, as those behind a network."""

    def version(self, key: str) -> object:
        """Nothing."""
        return None


@pytest.fixture(params=[2, 3])
def zarr_format(request: pytest.FixtureRequest) -> ZarrFormat:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=["memory", "local", "silent"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return LocalStore(tmp_path / "a.zarr")
    memory = MemoryStore()
    return memory if request.param == "memory" else SilentStore(memory)


def test_a_resize_by_one_handle_is_seen_by_the_others(
    store: Store, zarr_format: ZarrFormat
) -> None:
    zlab.create_array(store, data=np.arange(1, 9), chunks=4, zarr_format=zarr_format)
    reader = zlab.open_array(store)
    writer = zlab.open_array(store, mode="r+")
    writer.append([9, 10])
    assert reader[...].tolist() == list(range(1, 11))
    assert reader[-1] == 10
    writer.resize(3)
    assert reader.shape == (3,)
    assert reader.oindex[[0, 2]].tolist() == [1, 3]
    assert [c.data.tolist() for c in reader.stream_chunks()] == [[1, 2, 3]]


def test_attributes_are_those_of_the_store(store: Store, zarr_format: ZarrFormat) -> None:
    group = zlab.create_group(store, zarr_format=zarr_format)
    array = group.create_array("x", shape=(2,), dtype="i1")
    for one, other in (
        (array, zlab.open_array(store, path="x", mode="r+")),
        (group, zlab.open_group(store, mode="r+")),
    ):
        attrs = one.attrs
        assert dict(attrs) == {}
        other.attrs["a"] = 1
        attrs["b"] = 2
        assert dict(attrs) == {"a": 1, "b": 2} == dict(other.attrs)
        del other.attrs["a"]
        assert dict(attrs) == {"b": 2}
        attrs.put({"c": [1]})
        assert other.attrs.asdict() == {"c": [1]}
        with pytest.raises(KeyError):
            del attrs["nothing"]
        assert other.update_attributes({"d": 4}).attrs["d"] == one.metadata.attributes["d"] == 4


def test_what_another_process_changes_is_seen_at_the_next_use(
    tmp_path: Path, zarr_format: ZarrFormat
) -> None:
    path = tmp_path / "a.zarr"
    array = zlab.create_array(path, data=np.arange(1, 5), chunks=2, zarr_format=zarr_format)
    assert array.shape == (4,)
    code = (
        "import sys, zlab\n"
        "array = zlab.open_array(sys.argv[1], mode='r+')\n"
        "array.append([5]); array.attrs['by'] = 'another'\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert array[...].tolist() == [1, 2, 3, 4, 5]
    assert array.attrs["by"] == "another"


def test_of_a_store_without_versions_refresh_sees_it() -> None:
    memory = MemoryStore()
    zlab.create_array(memory, data=np.arange(4))
    # two stores, as two processes have them
    reader = zlab.open_array(SilentStore(memory))
    twin = MemoryStore(memory.mapping, name="twin")
    zlab.open_array(twin, mode="r+").resize(2)
    assert reader.shape == (4,)
    assert reader.refresh() is reader
    assert reader.shape == (2,)


def test_of_a_store_without_versions_refresh_forgets_where_chunks_lay() -> None:
    memory = MemoryStore()
    values = np.arange(1, 17, dtype="i4")
    zlab.create_array(memory, data=values, chunks=4, shards=16, compressors=None)
    reader = zlab.open_array(SilentStore(memory))
    assert reader[4:8].tolist() == [5, 6, 7, 8]
    # its first chunk is fill now, so that the others lie elsewhere in the shard
    twin = MemoryStore(memory.mapping, name="twin")
    zlab.open_array(twin, mode="r+")[:4] = 0
    assert reader.refresh()[4:8].tolist() == [5, 6, 7, 8]


def test_what_is_unchanged_costs_no_request(store: Store, zarr_format: ZarrFormat) -> None:
    counting = CountingStore(store)
    zlab.create_array(store, path="x", data=np.arange(1, 5), zarr_format=zarr_format)
    zlab.create_array(store, path="y", data=np.arange(1, 5), zarr_format=zarr_format)
    array = zlab.open_array(counting, path="x")
    counting.reset()
    # of another node
    zlab.open_array(store, path="y", mode="r+").attrs["a"] = 1
    assert array[0] + array[1] == 3
    assert array.attrs.asdict() == {}
    assert counting.counts.gets == 2


def test_a_deleted_array_is_an_error_and_no_fill(store: Store) -> None:
    group = zlab.create_group(store)
    array = group.create_array("a/x", data=np.arange(1, 5))
    below = group.group("a")
    assert array[0] == 1
    del group["a"]
    for use in (lambda: array[0], lambda: array.shape, lambda: below.attrs["a"]):
        with pytest.raises(NodeNotFoundError, match="no longer there"):
            use()
    assert "shape=(4,)" in repr(array)
    group.create_group("a/x")
    with pytest.raises(NodeNotFoundError, match="a group now"):
        array[0]
    group.create_array("a/x", data=np.arange(3.0), overwrite=True)
    assert array[...].tolist() == [0.0, 1.0, 2.0]
    group.move("a", "b")
    with pytest.raises(NodeNotFoundError):
        array[0]


def test_a_handle_that_travelled_sees_changes_too(tmp_path: Path) -> None:
    array = zlab.create_array(tmp_path / "a.zarr", data=np.arange(4))
    group = zlab.create_group(tmp_path / "g.zarr")
    travelled = pickle.loads(pickle.dumps((array, group)))  # noqa: S301  what was pickled here
    array.resize(2)
    group.attrs["a"] = 1
    assert travelled[0].shape == (2,)
    assert travelled[1].attrs["a"] == 1


def test_threads_that_set_attributes_lose_none() -> None:
    from concurrent.futures import ThreadPoolExecutor

    store = MemoryStore()
    zlab.create_array(store, shape=(1,), dtype="i1")

    def write(k: int) -> None:
        zlab.open_array(store, mode="r+").attrs[str(k)] = k

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert zlab.open_array(store).attrs.asdict().keys() == set(map(str, range(40)))


def test_consolidated_metadata_are_read_again_when_they_were_written_again(
    store: Store, zarr_format: ZarrFormat
) -> None:
    zlab.create_group(store, zarr_format=zarr_format).create_array("x", shape=(1,), dtype="i1")
    zlab.consolidate_metadata(store)
    group = zlab.open_group(store)
    below = zlab.open_group(store)
    zlab.open_group(store, mode="r+", consolidated=False).create_array("y", shape=(2,), dtype="i1")
    # they no longer say what is there
    assert not group.consolidated
    assert group.keys() == ["x", "y"]
    zlab.consolidate_metadata(store)
    assert below.consolidated
    assert below.keys() == ["x", "y"]
    assert below.refresh().array("y").shape == (2,)


def test_a_change_of_a_member_says_that_the_consolidated_metadata_are_stale(
    zarr_format: ZarrFormat,
) -> None:
    store = MemoryStore()
    zlab.create_group(store, zarr_format=zarr_format).create_array("a/x", shape=(1,), dtype="i1")
    zlab.consolidate_metadata(store)
    changes: list[Callable[[zlab.Array], object]] = [
        lambda array: array.resize(3),
        lambda array: array.append([1]),
        lambda array: array.attrs.update(a=1),
    ]
    for change in changes:
        array = zlab.open_group(store, mode="r+", consolidated=True).array("a/x")
        with pytest.warns(StaleMetadataWarning, match="a/x"):
            change(array)
        array.attrs["again"] = 1  # once is enough
        zlab.consolidate_metadata(store)
    assert zlab.open_group(store, consolidated=True).array("a/x").shape == (4,)


def test_the_numbers_of_changes() -> None:
    noted = Changes()
    store = MemoryStore()
    assert noted.of(store, "a") == noted.latest == 0
    noted.note(store, "a")
    noted.note(store, "b", below=True)
    assert [noted.of(store, path) for path in ("", "a", "a/x", "b", "b/x/y", "bc")] == [
        0, 1, 0, 2, 2, 0,
    ]  # fmt: skip
    assert noted.of(MemoryStore(), "a") == 0
    noted.note(store, "", below=True)
    assert noted.of(store, "a/x") == 3
    assert noted.is_changed_below(store, "", 0)
    assert not noted.is_changed_below(store, "a", 0)
    # what is forgotten counts as changed
    for k in range(5000):
        noted.note(store, f"many/{k}")
    assert noted.of(MemoryStore(), "elsewhere") > 3


def test_a_change_between_version_and_document_is_seen() -> None:
    store = MemoryStore({"zarr.json": b"{}"})
    watch = Watch(store, "", {"zarr.json": store.version("zarr.json")}, changes.of(store, ""))
    changes.note(store, "")
    assert not watch.is_current()


def test_handles_of_equal_documents_share_no_attribute_that_changes() -> None:
    store = MemoryStore()
    zlab.create_array(store, shape=(1,), dtype="i1", attributes={"a": [1]})
    zlab.open_array(store).attrs["a"].append(2)
    assert zlab.open_array(store).attrs.asdict() == {"a": [1]}
