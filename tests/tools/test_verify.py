from __future__ import annotations

import json
import os
import tracemalloc
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.codecs.sharding import MISSING
from zlab.errors import NodeNotFoundError, ReadOnlyError, StoreError
from zlab.stores.base import Entry
from zlab.stores.memory import MemoryStore
from zlab.stores.transformers import transformers
from zlab.testing import InterposedStore
from zlab.tools import problems
from zlab.tools.chunk_check import find_places

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zlab.testing import Call
    from zlab.tools.verify import Kind, VerifyReport

pytestmark = pytest.mark.needs("zarr")

Objects = dict[str, bytes]


def found(report: VerifyReport) -> list[tuple[Kind, str, tuple[int, ...] | None]]:
    return [(problem.kind, problem.key, problem.coords) for problem in report.problems]


def sharded(location: str = "end", *, checksum: bool = True, **inner: Any) -> Objects:
    """An array of one shard: 4 x 4 inner chunks of 9 bytes, of which 14 are stored."""
    store: Objects = {}
    index_codecs: list[Any] = [{"name": "bytes", "configuration": {"endian": "little"}}]
    if checksum:
        index_codecs.append({"name": "crc32c"})
    sharding = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [3, 3],
            "codecs": [{"name": "bytes"}, *inner.get("codecs", [])],
            "index_codecs": index_codecs,
            "index_location": location,
        },
    }
    array = zlab.create_array(
        store, shape=(12, 12), chunks=(12, 12), dtype="u1", serializer=sharding, compressors=None
    )
    array[...] = DATA
    return store


DATA = np.arange(1, 145, dtype="u1").reshape(12, 12)
DATA[6:9, :6] = 0
INDEX = 16 * 16 + 4


@pytest.fixture
def store() -> Objects:
    """Groups and arrays of both kinds, consolidated, in which nothing is wrong."""
    objects: Objects = {}
    root = zlab.create_group(objects)
    plain = root.create_array("g/plain", shape=(7, 6), chunks=(3, 2), dtype="i4")
    plain[:5] = np.arange(1, 31).reshape(5, 6)
    shards = root.create_array("shards", shape=(40,), chunks=(5,), shards=(20,), dtype="i2")
    shards[3:12] = 1
    zlab.consolidate_metadata(objects)
    return objects


# -- a store in which nothing is wrong


@pytest.mark.parametrize("deep", [True, False])
def test_nothing_is_wrong(store: Objects, deep: bool) -> None:
    report = zlab.verify(store, deep=deep)
    assert report.ok
    assert report.problems == ()
    assert (report.arrays, report.groups) == (2, 2)
    assert report.objects == len(store)
    assert report.nbytes == sum(map(len, store.values()))
    # 2 of 3 rows of 3 chunks; inner chunks 0, 1 and 2 of 8
    assert (report.chunks, report.missing) == (6 + 3, 3 + 5)


@pytest.mark.parametrize("deep", [True, False])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_of_zarr_python(tmp_path: Path, zarr_format: Any, deep: bool) -> None:
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=zarr_format)
    for name in ("x", "y/z"):
        array = root.create_array(name, shape=(9, 5), chunks=(4, 2), dtype=">f8")
        array[:8] = 1
    report = zlab.verify(tmp_path / "a.zarr", deep=deep)
    assert found(report) == []
    assert (report.arrays, report.groups, report.chunks, report.missing) == (2, 2, 12, 6)


def test_one_node_of_a_store(store: Objects) -> None:
    store["shards/c/0"] = b"corrupt"
    report = zlab.verify(store, "g")
    assert (report.ok, report.arrays, report.groups) == (True, 1, 1)
    assert zlab.verify(zlab.open_group(store).array("g/plain")).chunks == 6
    assert report.node.endswith("/g")


def test_scalars_and_empty_arrays_and_texts() -> None:
    objects: Objects = {}
    root = zlab.create_group(objects)
    root.create_array("scalar", data=np.float32(1))
    root.create_array("empty", shape=(0, 3), dtype="i1")
    root.create_array("text", data=np.array(["a", "é"], np.dtypes.StringDType()))
    root.create_array("nothing", shape=10**12, chunks=1, dtype="i1")
    for deep in (True, False):
        report = zlab.verify(objects, deep=deep)
        assert found(report) == []
        assert (report.arrays, report.chunks, report.missing) == (4, 2, 10**12)


def test_far_stores_are_checked_by_many_threads(store: Objects) -> None:
    class FarStore(InterposedStore):
        def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
            return proceed(call)

    report = zlab.verify(FarStore(MemoryStore(store), local=False))
    assert (report.ok, report.chunks) == (True, 9)


# -- documents


def test_a_broken_document_hides_nothing_else(store: Objects) -> None:
    store["g/zarr.json"] = store["g/zarr.json"][:-4]
    store["g/plain/c/0/0"] = b"corrupt"
    report = zlab.verify(store)
    assert found(report) == [
        ("metadata", "g/zarr.json", None),
        ("chunk", "g/plain/c/0/0", (0, 0)),
        ("stale", "", None),
    ]
    assert not report.ok
    assert "not a JSON document" in report.problems[0].what


def test_a_codec_that_is_not_there_is_a_problem_of_its_array(store: Objects) -> None:
    document = json.loads(store["g/plain/zarr.json"])
    document["codecs"] = [{"name": "of another library"}]
    store["g/plain/zarr.json"] = json.dumps(document).encode()
    report = zlab.verify(store)
    assert [problem.kind for problem in report.problems] == ["metadata", "stale"]
    assert "of another library" in report.problems[0].what


def test_a_broken_root_is_reported(store: Objects) -> None:
    store["zarr.json"] = b"{"
    report = zlab.verify(store)
    assert found(report) == [("metadata", "zarr.json", None)]
    assert (report.arrays, report.chunks) == (2, 9)


def test_nothing_to_check() -> None:
    with pytest.raises(NodeNotFoundError, match="to check"):
        zlab.verify({"stray": b""})


# -- keys that belong to nothing


def test_strays_are_named_and_harmless(store: Objects) -> None:
    store["notes.txt"] = b"read me"
    store["g/plain/notes.txt"] = b"read me"
    store["g/plain/0.1"] = b"a key of v2"
    store["g/plain/c/00/1"] = b"not how numbers are written"
    store["backup/c/0/0"] = b"1"
    store["backup/c/0/1"] = b"2"
    report = zlab.verify(store)
    assert report.ok
    assert found(report) == [
        ("stray", "backup/", None),
        ("stray", "g/plain/0.1", None),
        ("stray", "g/plain/c/00/1", None),
        ("stray", "g/plain/notes.txt", None),
        ("stray", "notes.txt", None),
    ]
    assert "2 objects" in report.problems[0].what


def test_chunks_outside_the_grid_are_named(store: Objects) -> None:
    store["g/plain/c/3/0"] = store["g/plain/c/0/0"]
    store["shards/c/2"] = store["shards/c/0"]
    report = zlab.verify(store)
    assert found(report) == [
        ("outside", "g/plain/c/3/0", (3, 0)),
        ("outside", "shards/c/2", (2,)),
    ]
    assert not report.ok
    assert (report.chunks, report.missing) == (9, 8)


def test_chunks_behind_a_transformer_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store holds the chunks under other names; the transformer knows them."""

    class UpperCase(InterposedStore):
        def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
            if call.operation in ("get", "put", "nbytes"):
                return proceed(replace(call, key=call.key.upper()))
            listed = [Entry(key.lower(), nbytes) for key, nbytes in self.store.list(call.key)]
            return [entry for entry in listed if "zarr.json" not in entry.key]

    monkeypatch.setattr(
        transformers, "make", lambda name, configuration, store, path: UpperCase(store)
    )
    store: Objects = {}
    array = zlab.create_array(store, data=np.arange(4), chunks=2)
    document = array.metadata_document() | {"storage_transformers": [{"name": "upper"}]}
    store = {"zarr.json": json.dumps(document).encode()}
    zlab.open_array(store, mode="r+")[...] = [1, 2, 3, 4]
    assert sorted(store) == ["C/0", "C/1", "zarr.json"]
    report = zlab.verify(store)
    assert (report.ok, report.chunks, report.missing) == (True, 2, 0)
    target: Objects = {}
    zlab.copy(store, target, chunks=4)
    assert sorted(target) == ["C/0", "zarr.json"]
    assert zlab.open_array(target)[...].tolist() == [1, 2, 3, 4]
    zlab.convert(store, target, zarr_format=2, strict=False, overwrite=True)
    assert sorted(target) == [".zarray", "0", "1"]
    assert zlab.open_array(target)[...].tolist() == [1, 2, 3, 4]


# -- chunks

COMPRESSORS: dict[str, Any] = {
    "none": None,
    "zstd": "zstd",
    "zstd with a checksum": {"name": "zstd", "configuration": {"level": 1, "checksum": True}},
    "blosc": {"id": "blosc"},
    "gzip": {"id": "gzip", "level": 1},
    "lz4": {"id": "lz4"},
    "crc32c": ["zstd", "crc32c"],
    "bz2": {"id": "bz2"},
}


@pytest.mark.parametrize("compressors", COMPRESSORS.values(), ids=COMPRESSORS)
def test_a_chunk_cut_anywhere_is_found(compressors: Any) -> None:
    store: Objects = {}
    data = np.random.default_rng(0).integers(0, 9, 64, "i2")
    zlab.create_array(store, data=data, chunks=64, compressors=compressors)
    whole = store["c/0"]
    for n in range(len(whole)):
        store["c/0"] = whole[:n]
        assert found(zlab.verify(store)) == [("chunk", "c/0", (0,))], n
    store["c/0"] = whole + b"\1"
    assert found(zlab.verify(store)) == [("chunk", "c/0", (0,))]


@pytest.mark.parametrize("name", ["none", "zstd", "blosc", "lz4", "crc32c"])
def test_a_chunk_of_another_shape_is_found_without_decoding_the_others(name: str) -> None:
    store: Objects = {}
    compressors = COMPRESSORS[name]
    zlab.create_array(store, data=np.arange(1000), chunks=100, compressors=compressors)
    other: Objects = {}
    zlab.create_array(other, data=np.arange(99), chunks=99, compressors=compressors)
    store["c/3"] = other["c/0"]
    read: list[tuple[str, object]] = []

    class WatchedStore(InterposedStore):
        def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
            if call.operation == "get" and call.key.startswith("c/"):
                read.append((call.key, call.byte_range))
            return proceed(call)

    report = zlab.verify(WatchedStore(MemoryStore(store)), deep=False)
    assert found(report) == [("chunk", "c/3", (3,))]
    assert [key for key, byte_range in read if byte_range is None] == ["c/3"]


def test_an_unusual_chunk_is_no_problem() -> None:
    """Two frames of Zstandard, the first of which states another size than the chunk's."""
    store: Objects = {}
    zlab.create_array(store, data=np.arange(8, dtype="u1"), chunks=8)
    halves: Objects = {}
    zlab.create_array(halves, data=np.arange(8, dtype="u1"), chunks=4)
    store["c/0"] = halves["c/0"] + halves["c/1"]
    np.testing.assert_array_equal(zlab.open_array(store)[...], np.arange(8))
    for deep in (True, False):
        assert found(zlab.verify(store, deep=deep)) == []


def test_a_store_that_fails_is_no_corrupt_chunk(store: Objects) -> None:
    class FailingStore(InterposedStore):
        def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
            if call.operation == "get" and call.key in ("g/plain/c/0/1", "shards/c/0"):
                raise StoreError("the disk is broken")
            return proceed(call)

    report = zlab.verify(FailingStore(MemoryStore(store)))
    assert found(report) == [
        ("unreadable", "g/plain/c/0/1", (0, 1)),
        ("unreadable", "shards/c/0", (0,)),
    ]
    assert not report.ok


def test_what_lies_behind_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    store = tmp_path / "s.zarr"
    group = zlab.create_group(store)
    for name in ("chunk", "folder", "node", "whole"):
        group.create_array(name, data=np.arange(1, 9), chunks=2)
    for place in ("chunk/c/1", "folder/c", "node"):
        (store / place).rename(tmp_path / place.replace("/", "-"))
        (store / place).symlink_to(tmp_path / "unmounted")
    report = zlab.verify(store)
    assert found(report) == [
        ("unreadable", "chunk/c/1", None),
        ("unreadable", "folder/c", None),
        ("unreadable", "node", None),
    ]
    assert not report.ok
    assert "leads to nothing" in str(report)
    assert report.arrays == 3
    assert report.chunks >= 4


def test_a_folder_that_cannot_be_listed_hides_nothing_beside_it(store: Objects) -> None:
    class FailingStore(InterposedStore):
        def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
            if call.operation in ("list", "list_dir") and call.key == "g":
                raise StoreError("the disk is broken", key=call.key)
            return proceed(call)

    whole = zlab.verify(MemoryStore(store))
    report = zlab.verify(FailingStore(MemoryStore(store)))
    assert found(report) == [("unreadable", "g", None), ("stale", "", None)]
    assert not report.ok
    assert 0 < report.arrays < whole.arrays


# -- shards


def test_places_in_a_shard() -> None:
    index = np.array([[20, 10], [0, 10], [MISSING, MISSING], [5, 10], [30, 11]], np.uint64)
    places = find_places(index, 0, 40)
    assert [place.inner for place in places.inside] == [(1,), (3,), (0,)]
    assert places.beyond == [(4,)]
    assert places.shared == [(3,)]
    # numbers whose sum does not fit into 64 bits, and one half of what says missing
    index = np.array([[MISSING - 1, 10], [MISSING, 0], [0, MISSING]], np.uint64)
    assert find_places(index, 0, 40).beyond == [(0,), (1,), (2,)]


@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.parametrize("deep", [False, True])
def test_a_shard_cut_anywhere_loses_the_chunks_behind(deep: bool, repair: bool) -> None:
    """The index stands in front: what is whole is known, and can be saved."""
    whole = sharded("start")["c/0/0"]
    assert len(whole) == INDEX + 14 * 9
    for n in range(len(whole)):
        store = sharded("start")
        store["c/0/0"] = whole[:n]
        before = dict(store)
        report = zlab.verify(store, deep=deep, repair=repair)
        [problem] = report.problems
        assert (problem.kind, problem.key) == ("torn", "c/0/0")
        if n < INDEX:
            assert (problem.lost, problem.repaired) == ((), False)
            assert (report.chunks, report.missing) == (0, 0)
            assert store == before
            continue
        intact = (n - INDEX) // 9
        assert len(problem.lost) == 14 - intact
        assert (report.chunks, report.missing) == (intact, 2)
        if not repair or not intact:
            # nothing is whole, or nobody asked: the bytes stay where they are
            assert (store == before, problem.repaired, report.ok) == (True, False, False)
            continue
        assert (problem.repaired, report.ok) == (True, True)
        array = zlab.open_array(store, mode="r+")
        expected = DATA.copy()
        for row, column in problem.lost:
            expected[row * 3 : row * 3 + 3, column * 3 : column * 3 + 3] = 0
        np.testing.assert_array_equal(array[...], expected)
        assert found(zlab.verify(store)) == []
        # which a torn shard does not allow
        array[:3, :3] = 7


@pytest.mark.parametrize("checksum", [True, False])
def test_a_shard_cut_anywhere_loses_its_index(checksum: bool) -> None:
    """The index stands at the end: nobody knows what is where, and nothing is changed."""
    whole = sharded("end", checksum=checksum)["c/0/0"]
    for n in range(len(whole)):
        store = sharded("end", checksum=checksum)
        store["c/0/0"] = whole[:n]
        before = dict(store)
        report = zlab.verify(store, repair=True)
        assert ("torn", "c/0/0") in [(problem.kind, problem.key) for problem in report.problems], n
        assert not report.ok
        assert store == before


def test_an_index_of_rubbish(store: Objects) -> None:
    shard = bytearray(store["shards/c/0"])
    shard[-10] ^= 1
    store["shards/c/0"] = bytes(shard)
    report = zlab.verify(store)
    assert found(report) == [("torn", "shards/c/0", None)]
    assert "none of its 4 chunks can be found" in report.problems[0].what
    assert (report.chunks, report.missing) == (6, 3 + 4)


def test_an_inner_chunk_of_rubbish_is_named_by_its_coordinates() -> None:
    store = sharded("start", codecs=[{"name": "crc32c"}])
    shard = bytearray(store["c/0/0"])
    shard[-1] ^= 1
    store["c/0/0"] = bytes(shard)
    report = zlab.verify(store, repair=True)
    assert found(report) == [("chunk", "c/0/0", (3, 3))]
    # its bytes are there, whatever they are worth
    assert store["c/0/0"] == bytes(shard)
    # sizes and index are right
    assert zlab.verify(store, deep=False).ok


def test_a_repaired_shard_keeps_chunks_that_cannot_be_decoded() -> None:
    store = sharded("start", codecs=[{"name": "crc32c"}])
    shard = bytearray(store["c/0/0"][:-5])
    shard[INDEX] ^= 1
    store["c/0/0"] = bytes(shard)
    report = zlab.verify(store, repair=True)
    assert found(report) == [("chunk", "c/0/0", (0, 0)), ("torn", "c/0/0", None)]
    assert report.problems[1].lost == ((3, 3),)
    assert (report.problems[1].repaired, report.ok) == (True, False)
    assert found(zlab.verify(store)) == [("chunk", "c/0/0", (0, 0))]


def test_inner_chunks_that_share_bytes_are_named() -> None:
    store = sharded("start", checksum=False)
    shard = bytearray(store["c/0/0"])
    shard[16:24] = (256 + 8).to_bytes(8, "little")
    store["c/0/0"] = bytes(shard)
    report = zlab.verify(store)
    assert found(report) == [("overlap", "c/0/0", (0, 1))]


def test_an_inner_chunk_of_a_wrong_size_is_found_without_decoding() -> None:
    store = sharded("start", checksum=False)
    shard = bytearray(store["c/0/0"])
    shard[8] = 8
    store["c/0/0"] = bytes(shard)
    for deep in (True, False):
        assert found(zlab.verify(store, deep=deep)) == [("chunk", "c/0/0", (0, 0))]


def test_inner_chunks_outside_the_array_are_not_counted() -> None:
    store: Objects = {}
    zlab.create_array(store, data=np.arange(1, 14), chunks=2, shards=8)
    report = zlab.verify(store)
    assert (report.ok, report.chunks, report.missing) == (True, 7, 0)
    store["c/1"] = store["c/1"][:-1]
    report = zlab.verify(store)
    assert (report.chunks, report.missing) == (4, 0)
    assert "none of its 3 chunks" in report.problems[0].what


def test_a_large_shard_is_read_in_pieces(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 256, (48 << 20,), "u1")
    zlab.create_array(
        tmp_path / "a.zarr", data=data, chunks=1 << 20, shards=48 << 20, compressors=None
    )
    del data
    budget = 36 << 20
    tracemalloc.start()
    try:
        report = zlab.verify(tmp_path / "a.zarr", memory=budget)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (report.ok, report.chunks) == (True, 48)
    assert peak <= budget
    report = zlab.verify(tmp_path / "a.zarr", memory=1 << 20)
    assert found(report) == [("unreadable", "c/0", (0,))]
    assert "needs 36.8 MB at once, and 1.05 MB are allowed" in report.problems[0].what


def test_an_index_of_a_thousand_million_inner_chunks_takes_no_time() -> None:
    store: Objects = {}
    zlab.create_array(store, shape=10**9, chunks=1, shards=10**9, dtype="i1")
    store["c/0"] = bytes(1000)
    report = zlab.verify(store)
    assert "none of its 1,000,000,000 chunks can be found" in report.problems[0].what


# -- whatever bytes


@given(st.data())
def test_what_is_ok_can_be_read(data: st.DataObject) -> None:
    """No bytes make the check fail, and it does not call readable what is not."""
    store: Objects = {}
    root = zlab.create_group(store)
    root.create_array("a", data=np.arange(24).reshape(4, 6), chunks=(2, 3))
    root.create_array("b", data=np.arange(16, dtype="u1"), chunks=2, shards=8, compressors="crc32c")
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(st.sampled_from(sorted(store)))
        value = bytearray(store[key])
        at = data.draw(st.integers(0, max(len(value) - 1, 0)))
        change = data.draw(st.sampled_from(["flip", "cut", "insert"]))
        if change == "flip" and value:
            value[at] ^= data.draw(st.integers(1, 255))
        elif change == "cut":
            del value[at:]
        else:
            value[at:at] = data.draw(st.binary(min_size=1, max_size=9))
        store[key] = bytes(value)
    try:
        report = zlab.verify(store, memory="64MB")
    except NodeNotFoundError:
        # the root calls itself something else
        return
    if report.ok:
        for _, array in zlab.open_group(store).arrays():
            array[...]


# -- consolidated metadata


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_stale_entries_are_named_and_written_anew(zarr_format: Any) -> None:
    store: Objects = {}
    root = zlab.create_group(store, zarr_format=zarr_format)
    for name in ("a", "b", "c"):
        root.create_array(name, shape=4, dtype="i1")
    zlab.consolidate_metadata(store)
    assert found(zlab.verify(store)) == []
    live = zlab.open_group(store, mode="r+", consolidated=False)
    live.array("a").attrs["new"] = 1
    del live["b"]
    live.create_array("d", shape=4, dtype="i1")
    report = zlab.verify(store)
    key = "" if zarr_format == 3 else ".zmetadata"
    assert found(report) == [("stale", key, None)]
    assert report.problems[0].what.endswith(": a, b, d")
    assert not report.ok
    report = zlab.verify(store, repair=True)
    assert report.ok
    assert report.problems[0].repaired
    assert zlab.open_group(store).stale_nodes() == []
    assert found(zlab.verify(store)) == []


# -- leftovers


def aged(path: Path, *, seconds: float = 3600) -> Path:
    past = path.stat().st_mtime - seconds
    os.utime(path, (past, past))
    return path


def test_leftovers_of_killed_writers_are_named_and_removed(tmp_path: Path) -> None:
    zlab.create_array(tmp_path / "a.zarr", path="x", data=np.arange(9), chunks=3)
    folder = tmp_path / "a.zarr" / "x" / "c"
    # no process has such a number
    dead = folder / ".zlab-99999999-3.partial"
    dead.write_bytes(b"half")
    aged(dead)
    foreign = folder / "1.0123456789abcdef.partial"
    foreign.write_bytes(b"half")
    aged(foreign)
    young = folder / ".zlab-99999999-4.partial"
    young.write_bytes(b"")
    busy = folder / f".zlab-{os.getpid()}-5.partial"
    busy.write_bytes(b"")
    aged(busy)
    report = zlab.verify(tmp_path / "a.zarr")
    assert report.ok
    assert [problem.key for problem in report.problems] == sorted(
        map(str, (dead, foreign, young, busy))
    )
    report = zlab.verify(tmp_path / "a.zarr", repair=True)
    assert {problem.key for problem in report.problems if problem.repaired} == {
        str(dead),
        str(foreign),
    }
    assert [path.exists() for path in (dead, foreign, young, busy)] == [False, False, True, True]
    assert zlab.open_group(tmp_path / "a.zarr").array("x")[...].tolist() == list(range(9))


# -- reports


def test_a_repair_needs_a_store_that_can_be_written(store: Objects) -> None:
    with pytest.raises(ReadOnlyError):
        zlab.verify(MemoryStore(store, read_only=True), repair=True)
    assert zlab.verify(MemoryStore(store, read_only=True)).ok


def test_problems_beyond_a_thousand_of_a_kind_are_counted(
    store: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problems, "KEPT", 3)
    monkeypatch.setattr(zlab.tools.verify, "KEPT", 3)
    for n in range(10):
        store[f"g/plain/stray{n}"] = b""
        store[f"g/plain/c/9/{n}"] = b""
    report = zlab.verify(store)
    assert report.counts == {"outside": 10, "stray": 10}
    assert report.harmful == 10
    assert len(report.problems) == 6
    lines = str(report).splitlines()
    assert lines[-3:] == ["  outside: 7 more", "  stray: 7 more", "  NOT everything can be read"]


def test_a_report_reads_well() -> None:
    store = sharded("start")
    store["c/0/0"] = store["c/0/0"][: INDEX + 4 * 9]
    report = zlab.verify(store)
    nbytes = sum(map(len, store.values()))
    first = "(1, 0), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 0), (3, 1), ..."
    torn = "truncated or corrupt: 10 of 14 inner chunks do not lie in its 296 bytes"
    assert str(report).splitlines() == [
        f"{report.node}: 1 array, 0 groups, 2 objects, {nbytes / 1000:.2f} kB",
        "  4 chunks decoded, 2 not stored",
        f"  torn: c/0/0: {torn}; lost: 10 chunks: {first}",
        "  NOT everything can be read",
    ]


def test_progress_counts_objects(store: Objects) -> None:
    told: list[tuple[int, int]] = []
    zlab.verify(store, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, 8))
    assert all(done <= total <= 7 for done, total in told)
    assert all(before[1] <= after[1] for before, after in pairwise(told))
