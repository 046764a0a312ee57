from __future__ import annotations

import json
import subprocess
import sys
import threading
import tracemalloc
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.config import settings
from zlab.errors import (
    ChunkReadError,
    MemoryBudgetError,
    MetadataError,
    NodeExistsError,
    NodeNotFoundError,
    ReadOnlyError,
    StoreError,
)
from zlab.stores.memory import MemoryStore
from zlab.testing import InterposedStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zlab.testing import Call
    from zlab.tools.copy import CopyReport

pytestmark = pytest.mark.needs("zarr")

Objects = dict[str, bytes]


class RecordingStore(InterposedStore):
    """A store that keeps the calls that it was asked for, and may die at one of them."""

    def __init__(self, store: Any, *, local: bool | None = None, puts: int | None = None) -> None:
        super().__init__(store, local=local)
        self.calls: list[tuple[str, str]] = []
        self.puts_left = puts
        self._lock = threading.Lock()

    def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        with self._lock:
            self.calls.append((call.operation, call.key))
            if call.operation == "put" and self.puts_left is not None:
                if not self.puts_left:
                    raise StoreError("killed")
                self.puts_left -= 1
        return proceed(call)

    def keys(self, operation: str) -> list[str]:
        return [key for name, key in self.calls if name == operation]


@pytest.fixture
def source() -> Objects:
    """Groups and arrays of v3, consolidated, one sharded, one of which half is stored."""
    objects: Objects = {}
    root = zlab.create_group(objects, attributes={"title": "é"})
    air = root.create_array(
        "air/temperature",
        shape=(20, 30),
        chunks=(5, 10),
        dtype="float32",
        fill_value=np.nan,
        dimension_names=["time", "x"],
        attributes={"units": "K"},
    )
    air[:10] = np.arange(300, dtype="f4").reshape(10, 30)
    sharded = root.create_array("n", shape=(40,), chunks=(5,), shards=(20,), dtype="int16")
    sharded[:12] = np.arange(1, 13)
    zlab.consolidate_metadata(objects)
    return objects


AIR = np.concatenate([np.arange(300, dtype="f4").reshape(10, 30), np.full((10, 30), np.nan, "f4")])
N = np.concatenate([np.arange(1, 13, dtype="i2"), np.zeros(28, "i2")])


# -- byte for byte


def test_a_group_is_copied_byte_for_byte(source: Objects) -> None:
    target: Objects = {}
    report = zlab.copy(source, target)
    assert target == source
    assert (report.arrays, report.groups) == (2, 2)
    assert report.objects == len(source)
    assert report.nbytes == sum(map(len, source.values()))
    assert report.rechunked == ()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_group_of_zarr_python_is_copied_byte_for_byte(zarr_format: Any) -> None:
    store = zarr.storage.MemoryStore()
    root = zarr.create_group(store, zarr_format=zarr_format, attributes={"a": 1})
    order: dict[str, Any] = {"order": "F"} if zarr_format == 2 else {}
    array = root.create_array("x/y", shape=(7, 5), chunks=(3, 2), dtype=">f8", **order)
    array[:] = np.arange(35).reshape(7, 5)
    with warnings.catch_warnings():
        # not in the specification of v3 when zarr-python 3.1 was made
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(store)
    before = {key: buffer.to_bytes() for key, buffer in store._store_dict.items()}
    after: Objects = {}
    zlab.copy(before, after)
    assert after == before


def test_an_array_of_a_group_is_copied_to_a_path_of_another(source: Objects) -> None:
    target: Objects = {}
    zlab.create_group(target, attributes={"mine": True})
    air = zlab.open_group(source).array("air/temperature")
    report = zlab.copy(air, target, path="copies/air")
    copied = zlab.open_group(target).array("copies/air")
    np.testing.assert_array_equal(copied[...], AIR)
    assert dict(copied.attrs) == {"units": "K"}
    assert zlab.open_group(target).attrs["mine"] is True
    assert report.source.endswith("/air/temperature")
    assert report.target.endswith("/copies/air")


def test_a_group_handle_is_a_target(source: Objects) -> None:
    target = zlab.create_group("memory://")
    zlab.copy(zlab.open_group(source).array("n"), target, path="n")
    np.testing.assert_array_equal(target.array("n")[...], N)
    assert list(target) == ["n"]


def test_what_zlab_cannot_decode_is_copied_all_the_same(source: Objects) -> None:
    document = json.loads(source["n/zarr.json"])
    document["codecs"] = [{"name": "of another library"}]
    source["n/zarr.json"] = json.dumps(document).encode()
    target: Objects = {}
    zlab.copy(source, target)
    assert target == source


def test_objects_that_belong_to_nothing_come_along(source: Objects) -> None:
    source["notes.txt"] = b"read me"
    target: Objects = {}
    zlab.copy(source, target)
    assert target == source


def test_between_directories_and_archives(source: Objects, tmp_path: Path) -> None:
    zlab.copy(source, tmp_path / "a.zarr")
    zlab.copy(tmp_path / "a.zarr", tmp_path / "b.zip")
    target: Objects = {}
    zlab.copy(tmp_path / "b.zip", target)
    assert target == source


# -- the order of writes


def test_data_come_first_and_the_root_last(source: Objects) -> None:
    target = RecordingStore(MemoryStore())
    zlab.copy(source, target)
    puts = target.keys("put")
    documents = [key for key in puts if key.endswith("zarr.json")]
    assert puts[-len(documents) :] == documents
    assert documents == ["air/temperature/zarr.json", "air/zarr.json", "n/zarr.json", "zarr.json"]


def test_attributes_of_v2_come_before_the_node(source: Objects) -> None:
    v2: Objects = {}
    array = zlab.create_array(v2, path="a", shape=3, dtype="i1", zarr_format=2, attributes={"u": 1})
    array[:] = 1
    zlab.consolidate_metadata(v2)
    target = RecordingStore(MemoryStore())
    zlab.copy(v2, target)
    assert target.keys("put") == ["a/0", "a/.zattrs", "a/.zarray", ".zmetadata", ".zgroup"]


@pytest.mark.parametrize("chunks", [..., 4], ids=["as they are", "anew"])
def test_whoever_is_killed_leaves_nothing_that_opens(source: Objects, chunks: Any) -> None:
    complete: Objects = {}
    whole = RecordingStore(MemoryStore(complete))
    zlab.copy(source, whole, chunks=chunks)
    n = len(whole.keys("put"))
    # consolidated metadata of a rewritten group are added to a root that is there already
    last = n - 1 if chunks is ... else n - 2
    for puts in range(n):
        objects: Objects = {}
        with pytest.raises(Exception, match="killed"):
            zlab.copy(source, RecordingStore(MemoryStore(objects), puts=puts), chunks=chunks)
        if puts <= last:
            with pytest.raises(NodeNotFoundError):
                zlab.open(objects)
            assert "zarr.json" not in objects
        if puts:
            with pytest.raises(NodeExistsError, match="overwrite=True"):
                zlab.copy(source, objects, chunks=chunks)
        zlab.copy(source, objects, chunks=chunks, overwrite=True)
        assert objects == complete


KILLED = """
import os, sys, zlab
source, target, steps = sys.argv[1:]
def progress(done, total):
    if done == int(steps):
        os._exit(9)
zlab.copy(source, target, chunks={"time": 4}, progress=progress)
"""


def test_a_process_that_is_killed_leaves_nothing_that_opens(
    source: Objects, tmp_path: Path
) -> None:
    zlab.copy(source, tmp_path / "a.zarr")
    # the one shard, and then the one box: after both come the documents
    for steps in (1, 2):
        target = tmp_path / f"{steps}.zarr"
        command = [sys.executable, "-c", KILLED, str(tmp_path / "a.zarr"), str(target), str(steps)]
        assert subprocess.run(command, check=False).returncode == 9
        with pytest.raises(NodeNotFoundError):
            zlab.open(target)
        with pytest.raises(NodeExistsError, match="interrupted"):
            zlab.copy(source, target, chunks={"time": 4})
        zlab.copy(source, target, chunks={"time": 4}, overwrite=True)
        report = zlab.verify(target, repair=True)
        assert report.ok
        copied = zlab.open_group(target).array("air/temperature")
        np.testing.assert_array_equal(copied[...], AIR)


# -- anew


def test_chunks_by_name_change_the_arrays_that_have_them(source: Objects) -> None:
    target: Objects = {}
    report = zlab.copy(source, target, chunks={"time": 7, "elsewhere": 2})
    root = zlab.open_group(target)
    assert root.array("air/temperature").chunks == (7, 10)
    assert (root.array("n").chunks, root.array("n").shards) == ((5,), (20,))
    np.testing.assert_array_equal(root.array("air/temperature")[...], AIR)
    np.testing.assert_array_equal(root.array("n")[...], N)
    [air] = report.rechunked
    # 6 chunks of 10 rows were stored; in chunks of 7 rows they are 6 as well
    assert (air.path, air.objects_read, air.objects_written) == ("air/temperature", 6, 6)
    assert air.reads_per_chunk == 1
    assert report.arrays == 2


def test_everything_but_the_chunks_stays(source: Objects) -> None:
    target: Objects = {}
    zlab.copy(source, target, chunks=8, shards=None, compressors="gzip")
    air = zlab.open_group(target).array("air/temperature")
    assert (air.chunks, air.shards) == ((8, 8), None)
    assert [codec.name for codec in air.metadata.codecs] == ["bytes", "gzip"]
    assert air.dimension_names == ("time", "x")
    assert np.isnan(air.fill_value)
    assert dict(air.attrs) == {"units": "K"}
    assert dict(zlab.open_group(target).attrs) == {"title": "é"}


def test_consolidated_metadata_are_written_anew(source: Objects) -> None:
    target: Objects = {}
    zlab.copy(source, target, chunks={"time": 4})
    root = zlab.open_group(target)
    assert root.consolidated
    assert root.stale_nodes() == []
    assert root.array("air/temperature").chunks == (4, 10)


def test_consolidated_metadata_of_v2_are_written_anew() -> None:
    store: Objects = {}
    zlab.create_array(store, path="a", data=np.arange(9), chunks=2, zarr_format=2)
    zlab.consolidate_metadata(store)
    target: Objects = {}
    zlab.copy(store, target, chunks=3)
    assert sorted(target) == [".zgroup", ".zmetadata", "a/.zarray", "a/0", "a/1", "a/2"]
    root = zlab.open_group(target, consolidated=True)
    assert root.array("a").chunks == (3,)
    np.testing.assert_array_equal(root.array("a")[...], np.arange(9))


def test_groups_that_are_consolidated_in_each_other(source: Objects) -> None:
    zlab.consolidate_metadata(source, path="air")
    zlab.consolidate_metadata(source)
    target: Objects = {}
    zlab.copy(source, target, chunks={"time": 4})
    for path in ("", "air"):
        group = zlab.open_group(target, path=path, consolidated=True)
        assert group.stale_nodes() == []
    root = zlab.open_group(target, consolidated=True)
    assert root.group("air").array("temperature").chunks == (4, 10)


def test_what_is_not_stored_is_not_stored_in_the_copy(source: Objects) -> None:
    target: Objects = {}
    zlab.copy(zlab.open_group(source).array("air/temperature"), target, chunks=(2, 3))
    stored = zlab.open_array(target).stored_sizes()
    # rows from the tenth on were never written
    assert (stored[:5] >= 0).all()
    assert (stored[5:] == -1).all()


def test_shards_come_and_go() -> None:
    data = np.arange(64 * 48, dtype="u2").reshape(64, 48)
    plain: Objects = {}
    zlab.create_array(plain, data=data, chunks=(8, 8))
    sharded: Objects = {}
    report = zlab.copy(plain, sharded, shards=(32, 16), chunks=(4, 16))
    array = zlab.open_array(sharded)
    assert (array.shards, array.chunks) == ((32, 16), (4, 16))
    assert report.rechunked[0].objects_written == 6
    np.testing.assert_array_equal(zarr.open_array(sharded_store(sharded), mode="r")[:], data)
    back: Objects = {}
    zlab.copy(sharded, back, shards=None, chunks=(8, 8))
    assert back == plain


def sharded_store(objects: Objects) -> Any:
    """The objects, as zarr-python wants them."""
    buffers: dict[str, Any] = {
        key: zarr.core.buffer.cpu.Buffer.from_bytes(data) for key, data in objects.items()
    }
    return zarr.storage.MemoryStore(buffers)


def test_new_compressors_of_a_sharded_array_leave_its_shards(source: Objects) -> None:
    target: Objects = {}
    zlab.copy(source, target, compressors=None)
    n = zlab.open_group(target).array("n")
    assert (n.shards, n.chunks) == ((20,), (5,))
    [sharding] = n.metadata.codecs
    assert [codec["name"] for codec in sharding.configuration["codecs"]] == ["bytes"]
    np.testing.assert_array_equal(n[...], N)


def test_the_same_chunks_are_no_change(source: Objects) -> None:
    target: Objects = {}
    air = zlab.open_group(source).array("air/temperature")
    report = zlab.copy(air, target, chunks=(5, 10), compressors="zstd")
    assert report.rechunked == ()
    assert target == {
        key.removeprefix("air/temperature/"): data
        for key, data in source.items()
        if key.startswith("air/temperature/")
    }


def test_auto_chunks() -> None:
    store: Objects = {}
    zlab.create_array(store, data=np.zeros((1000, 1000)), chunks=(1, 1000))
    target: Objects = {}
    zlab.copy(store, target, chunks="auto")
    assert zlab.open_array(target).chunks == (250, 500)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">f8", ">i2", "<u4", "|b1", "<M8[s]", "<U3", "|S5", "<c16"])
def test_v2_of_zarr_python_is_rechunked(dtype: str, order: Any) -> None:
    data = np.arange(77).reshape(11, 7).astype(dtype)
    store = zarr.storage.MemoryStore()
    array = zarr.create_array(
        store, shape=data.shape, chunks=(3, 2), dtype=data.dtype, zarr_format=2, order=order
    )
    array[:] = data
    before = {key: buffer.to_bytes() for key, buffer in store._store_dict.items()}
    target: Objects = {}
    zlab.copy(before, target, chunks=(4, 5))
    np.testing.assert_array_equal(zlab.open_array(target)[...], data)
    copied = zarr.open_array(sharded_store(target), mode="r")
    np.testing.assert_array_equal(copied[:], data)
    assert (copied.chunks, copied.order) == ((4, 5), order)
    assert json.loads(target[".zarray"])["dtype"] == np.dtype(dtype).str


def test_chunks_that_differ_become_equal() -> None:
    store: Objects = {}
    data = np.arange(60).reshape(6, 10)
    array = zlab.create_array(store, data=data, chunks=(2, 10))
    document = array.metadata_document()
    document["chunk_grid"] = {
        "name": "rectilinear",
        "configuration": {"kind": "inline", "chunk_shapes": [[1, 3, 2], [4, 6]]},
    }
    irregular: Objects = {"zarr.json": json.dumps(document).encode()}
    zlab.open_array(irregular, mode="r+")[...] = data
    target: Objects = {}
    with pytest.raises(MetadataError, match="differ in shape"):
        zlab.copy(irregular, target, shards=(6, 10))
    with pytest.raises(MetadataError, match="differ in shape"):
        zlab.copy(irregular, target, chunks={"x": 3})
    assert target == {}
    report = zlab.copy(irregular, target, chunks=(5, 5))
    np.testing.assert_array_equal(zlab.open_array(target)[...], data)
    assert report.rechunked[0].objects_read == 6
    # other compressors alone leave the grid as it is
    again: Objects = {}
    zlab.copy(irregular, again, compressors=None)
    np.testing.assert_array_equal(zlab.open_array(again)[...], data)
    assert zlab.open_array(again).metadata.chunk_grid.name == "rectilinear"


def test_texts_are_rechunked() -> None:
    words = np.array(["", "é", "a longer one", "b"] * 5, np.dtypes.StringDType())
    store: Objects = {}
    zlab.create_array(store, data=words, chunks=3)
    target: Objects = {}
    zlab.copy(store, target, chunks=7)
    assert zlab.open_array(target)[...].tolist() == words.tolist()


def test_arrays_without_axes_and_without_elements() -> None:
    store: Objects = {}
    root = zlab.create_group(store)
    root.create_array("scalar", data=np.float64(2.5))
    root.create_array("empty", shape=(0, 3), chunks=(2, 2), dtype="i4")
    target: Objects = {}
    report = zlab.copy(store, target, chunks={}, compressors="gzip")
    copied = zlab.open_group(target)
    assert copied.array("scalar")[()] == 2.5
    assert copied.array("empty").shape == (0, 3)
    assert [array.objects_written for array in report.rechunked] == [0, 1]


lengths = st.integers(1, 12)


def copied_within(budget: int, source: Objects, target: Objects, **change: Any) -> CopyReport:
    """Copies with so much memory, or with what the error says is enough."""
    try:
        return zlab.copy(source, target, memory=budget, **change)
    except MemoryBudgetError as error:
        failure = error
    assert (failure.budget, target) == (budget, {})
    assert failure.needed > budget
    return copied_within(failure.needed, source, target, **change)


@given(st.data())
def test_values_stay_whatever_the_chunks(data: st.DataObject) -> None:
    ndim = data.draw(st.integers(1, 3))
    shape = data.draw(st.tuples(*[st.integers(1, 20)] * ndim))

    def grid() -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        chunks = data.draw(st.tuples(*[lengths] * ndim))
        times = data.draw(st.none() | st.tuples(*[st.integers(1, 3)] * ndim))
        return chunks, times and tuple(c * n for c, n in zip(chunks, times, strict=True))

    chunks, shards = grid()
    store: Objects = {}
    array = zlab.create_array(
        store, shape=shape, chunks=chunks, shards=shards, dtype="i4", fill_value=-1
    )
    stop = tuple(data.draw(st.integers(0, n)) for n in shape)
    part = tuple(slice(0, n) for n in stop)
    array[part] = np.arange(np.prod(stop)).reshape(stop)
    new_chunks, new_shards = grid()
    budget, target = data.draw(st.sampled_from([1, 1 << 18, 1 << 30])), Objects()
    report = copied_within(budget, store, target, chunks=new_chunks, shards=new_shards)
    copied = zlab.open_array(target)
    assert (copied.chunks, copied.shards) == (new_chunks, new_shards)
    np.testing.assert_array_equal(copied[...], array[...])
    for rechunked in report.rechunked:
        assert rechunked.objects_written == len(target) - 1
    # a second copy back gives the same objects: all that is stored holds something
    back: Objects = {}
    zlab.copy(target, back, chunks=chunks, shards=shards)
    np.testing.assert_array_equal(zlab.open_array(back)[...], array[...])


# -- memory


def peak_of(call: Callable[[], object]) -> int:
    """Bytes that a call holds at most, above what was held before."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("budget", [6 << 20, 12 << 20, 48 << 20])
@pytest.mark.parametrize("shards", [None, (1024, 512)], ids=["plain", "sharded"])
def test_no_more_is_held_than_allowed(
    tmp_path: Path, budget: int, shards: tuple[int, int] | None
) -> None:
    data = np.random.default_rng(0).integers(0, 256, (2048, 4096), "u1").astype("u2")
    zlab.create_array(tmp_path / "a.zarr", data=data, chunks=(64, 4096), compressors=None)
    reports: list[CopyReport] = []

    def copy() -> None:
        reports.append(
            zlab.copy(
                tmp_path / "a.zarr",
                tmp_path / "b.zarr",
                chunks=(1024, 64),
                shards=shards,
                memory=budget,
            )
        )

    # what Python itself needs for keys, reports and threads
    assert peak_of(copy) <= budget + (1 << 20)
    np.testing.assert_array_equal(zlab.open_array(tmp_path / "b.zarr")[...], data)
    [rechunked] = reports[0].rechunked
    # the array has 32 chunks, each read as often as the report says
    assert rechunked.objects_read <= 32 * rechunked.reads_per_chunk


def test_no_more_is_held_than_allowed_of_objects_that_are_not_decoded(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 256, (32 << 20,), "u1")
    zlab.create_array(tmp_path / "a.zarr", data=data, chunks=2 << 20, compressors=None)
    with settings.override(threads=8):
        peak = peak_of(lambda: zlab.copy(tmp_path / "a.zarr", tmp_path / "b.zarr", memory="5MB"))
    assert peak <= 6 << 20
    np.testing.assert_array_equal(zlab.open_array(tmp_path / "b.zarr")[...], data)


def test_the_largest_of_chunks_that_differ_has_to_fit() -> None:
    store: Objects = {}
    array = zlab.create_array(store, shape=1000, chunks=500, dtype="u1")
    grid = {"kind": "inline", "chunk_shapes": [[1, 999]]}
    document = array.metadata_document()
    document["chunk_grid"] = {"name": "rectilinear", "configuration": grid}
    store["zarr.json"] = json.dumps(document).encode()
    with pytest.raises(MemoryBudgetError):
        zlab.copy(store, {}, chunks=10, memory=4000)
    zlab.copy(store, {}, chunks=10, memory=8000)


def test_more_memory_means_fewer_reads(tmp_path: Path) -> None:
    data = np.arange(1 << 20, dtype="u4").reshape(1024, 1024)
    zlab.create_array(tmp_path / "a.zarr", data=data, chunks=(16, 1024), compressors=None)
    reads = []
    for budget in ("1500kB", "4MB", "64MB"):
        store = RecordingStore(zlab.open_array(tmp_path / "a.zarr").store)
        report = zlab.copy(store, {}, chunks=(1024, 16), memory=budget)
        [rechunked] = report.rechunked
        chunks = [key for key in store.keys("get") if key.startswith("c/")]
        assert len(chunks) == rechunked.objects_read
        assert max(map(chunks.count, set(chunks))) <= rechunked.reads_per_chunk
        reads.append(rechunked.objects_read)
    assert reads[0] > reads[1] > reads[2] == 64


def test_an_object_that_does_not_fit_is_an_error_before_anything_is_written(
    source: Objects,
) -> None:
    source["air/temperature/c/0/0"] = bytes(2000)
    target: Objects = {}
    with pytest.raises(MemoryBudgetError) as caught:
        zlab.copy(source, target, memory=1999)
    assert (caught.value.needed, caught.value.budget) == (2000, 1999)
    assert "air/temperature/c/0/0" in str(caught.value)
    with pytest.raises(MemoryBudgetError, match=r"a chunk of 'air/temperature'"):
        zlab.copy(source, target, chunks=(20, 30), memory=2500)
    assert target == {}


# -- stores that are far away


@pytest.mark.parametrize("threads", [1, 3])
def test_stores_that_are_not_local(source: Objects, threads: int) -> None:
    far = RecordingStore(MemoryStore(source), local=False)
    target = RecordingStore(MemoryStore(), local=False)
    with settings.override(threads=threads):
        zlab.copy(far, target, chunks={"time": 3})
    root = zlab.open_group(target.store)
    np.testing.assert_array_equal(root.array("air/temperature")[...], AIR)
    np.testing.assert_array_equal(root.array("n")[...], N)


# -- what is told


def test_progress_counts_objects_and_boxes(source: Objects) -> None:
    told: list[tuple[int, int]] = []
    zlab.copy(source, {}, progress=lambda done, total: told.append((done, total)))
    n = sum(not key.endswith("zarr.json") for key in source)
    assert told == [(done, n) for done in range(1, n + 1)]
    told.clear()
    report = zlab.copy(
        source, {}, chunks={"time": 4}, progress=lambda done, total: told.append((done, total))
    )
    [air] = report.rechunked
    n = air.boxes + 1  # and the one shard of the other array
    assert told == [(done, n) for done in range(1, n + 1)]


def test_a_report_reads_well(source: Objects) -> None:
    report = zlab.copy(source, {}, chunks={"time": 4})
    lines = str(report).splitlines()
    assert lines[0] == f"copied {report.source} to {report.target}: 2 arrays, 2 groups"
    assert lines[1].startswith("  as they are: 5 objects, ")
    assert lines[2].startswith("  anew: air/temperature: 9 objects, ")
    assert lines[2].endswith("each source chunk read once")


# -- what is refused


def test_nothing_is_there_to_copy() -> None:
    with pytest.raises(NodeNotFoundError, match="no array or group to copy"):
        zlab.copy({"stray": b""}, {})


def test_what_is_there_is_not_replaced_unless_asked_for(source: Objects) -> None:
    target: Objects = {"c/0": b"of a copy that was killed"}
    with pytest.raises(NodeExistsError, match="objects already"):
        zlab.copy(source, target)
    target = {}
    zlab.create_array(target, shape=3, dtype="i1")[:] = 1
    before = dict(target)
    with pytest.raises(NodeExistsError, match="an array or group already"):
        zlab.copy(source, target)
    assert target == before
    zlab.copy(source, target, overwrite=True)
    assert target == source


def test_a_target_below_an_array_is_refused(source: Objects) -> None:
    target: Objects = {}
    zlab.create_array(target, shape=3, dtype="i1")
    with pytest.raises(NodeExistsError, match="below an array"):
        zlab.copy(source, target, path="x")


def test_a_node_is_not_copied_into_itself(source: Objects, tmp_path: Path) -> None:
    for here, there in [("", "copy"), ("air", ""), ("air", "air")]:
        node = zlab.open_group(source, path=here)
        with pytest.raises(NodeExistsError, match="lie in each other"):
            zlab.copy(node, source, path=there, overwrite=True)
    zlab.copy(source, tmp_path / "a.zarr")
    with pytest.raises(NodeExistsError, match="lie in each other"):
        zlab.copy(tmp_path / "a.zarr", tmp_path / "a.zarr" / "b.zarr")
    with pytest.raises(NodeExistsError, match="lie in each other"):
        zlab.copy(tmp_path / "a.zarr" / "air", tmp_path / "a.zarr", overwrite=True)
    # a name that begins alike is another place
    zlab.copy(tmp_path / "a.zarr", tmp_path / "a.zarr2")


def test_a_read_only_target_is_refused(source: Objects) -> None:
    with pytest.raises(ReadOnlyError):
        zlab.copy(source, MemoryStore(read_only=True))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"chunks": (1, 2, 3)}, "3 lengths for 2 dimensions"),
        ({"chunks": 0}, "at least 1"),
        ({"chunks": (5, 10), "shards": (7, 10)}, "not multiples"),
        ({"compressors": "no such codec"}, "unknown codec"),
        ({"compressors": "bytes"}, "exactly one codec"),
    ],
)
def test_a_change_that_does_not_fit_is_refused_before_anything_is_written(
    source: Objects, change: dict[str, Any], match: str
) -> None:
    target: Objects = {}
    with pytest.raises(MetadataError, match=match):
        zlab.copy(zlab.open_group(source).array("air/temperature"), target, **change)
    assert target == {}


def test_an_array_that_does_not_fit_is_named(source: Objects) -> None:
    with pytest.raises(MetadataError, match="3 lengths for 2 dimensions") as caught:
        zlab.copy(source, {}, chunks=(1, 2, 3))
    assert caught.value.key == "air/temperature"


def test_v2_gets_no_shards() -> None:
    store: Objects = {}
    zlab.create_array(store, data=np.arange(9), chunks=3, zarr_format=2)
    with pytest.raises(MetadataError, match="v2 has no shards"):
        zlab.copy(store, {}, shards=9)


def test_a_corrupt_chunk_ends_a_copy_that_decodes(source: Objects) -> None:
    source["air/temperature/c/1/2"] = source["air/temperature/c/1/2"][:-1]
    target: Objects = {}
    with pytest.raises(ChunkReadError) as caught:
        zlab.copy(source, target, chunks={"time": 4})
    assert caught.value.coords == (1, 2)
    assert not any(key.endswith("zarr.json") for key in target)
