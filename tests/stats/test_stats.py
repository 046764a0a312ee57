from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.errors import DataTypeError, MetadataError, ReadOnlyError, StoreError
from zlab.stores.fsspec import FsspecStore
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore


def chunk_gets(store: CountingStore) -> list[str]:
    return sorted(key for key in store.counts.keys if key.startswith("c/"))


@pytest.fixture
def store() -> CountingStore:
    return CountingStore(MemoryStore())


def test_each_chunk_is_read_once_and_told(store: CountingStore) -> None:
    values = np.array([3.0, np.nan, -1.0, np.inf, 9.0, 9.0, np.nan, np.nan])
    array = zlab.create_array(store, data=values, chunks=2, fill_value=9.0)
    store.reset()
    stats = zlab.stats.build(array)
    # a chunk of fill is not stored
    assert store.counts.keys["c/0"] == store.counts.keys["c/1"] == 1
    assert chunk_gets(store) == ["c/0", "c/1", "c/3"]
    assert stats.coords.tolist() == [[0], [1], [3]]
    assert np.ma.filled(stats.min, 99).tolist() == [3.0, -1.0, 99]
    assert np.ma.filled(stats.max, 99).tolist() == [3.0, np.inf, 99]
    assert stats.nan_count.tolist() == [1, 0, 2]
    assert stats.null_count.tolist() == [0, 0, 0]
    assert stats.fill_count.tolist() == [0, 0, 0]
    assert stats.size.tolist() == [2, 2, 2]
    found = zlab.stats.read(array)
    assert found is not None
    assert found.rows.chunks.tolist() == [0, 1, 3]
    assert repr(found) == "<ChunkStats of 3 chunks of float64, 0 of them changed since>"


def test_only_what_changed_is_read_again(store: CountingStore) -> None:
    array = zlab.create_array(store, data=np.arange(1, 11), chunks=2)
    zlab.stats.build(array)
    array[3] = 100
    array.append(np.array([11, 12, 13]))
    found = zlab.stats.read(array)
    assert found is not None
    assert found.rows.chunks.tolist() == [0, 2, 3, 4]
    store.reset()
    stats = zlab.stats.build(array)
    assert chunk_gets(store) == ["c/1", "c/5", "c/6"]
    assert stats.max.tolist() == [2, 100, 6, 8, 10, 12, 13]


def test_a_chunk_that_shows_more_than_it_did_is_read_again(store: CountingStore) -> None:
    array = zlab.create_array(store, data=np.array([1, 2, 3, 7]), chunks=4)
    array.resize((2,))
    zlab.stats.build(array)
    array.resize((4,))
    found = zlab.stats.read(array)
    assert found is not None
    assert len(found.rows.chunks) == 0
    assert zlab.stats.build(array).max.tolist() == [max(array[:])]


def test_shards_are_tied_as_a_whole(store: CountingStore) -> None:
    array = zlab.create_array(store, shape=(16,), chunks=2, shards=8, dtype="i4")
    array[0:4] = [1, 2, 3, 4]
    array[10:12] = [5, 6]
    stats = zlab.stats.build(array)
    assert stats.coords[:, 0].tolist() == list(range(8))
    assert stats.fill_count.tolist() == [0, 0, 2, 2, 2, 0, 2, 2]
    array[15] = 9
    found = zlab.stats.read(array)
    assert found is not None
    assert found.coords[:, 0].tolist() == [0, 1, 2, 3]
    assert found.nchanged == 4
    store.reset()
    zlab.stats.build(array)
    assert chunk_gets(store) == ["c/1"]


def test_a_chunk_rewritten_by_zarr_python_has_none(tmp_path: Any) -> None:
    zarr = pytest.importorskip("zarr")
    array = zlab.create_array(tmp_path / "a", data=np.arange(1.0, 7.0), chunks=2)
    zlab.stats.build(array)
    other = zarr.open_array(tmp_path / "a", mode="r+")
    # as many bytes as before
    other[2:4] = np.array([4.0, 3.0])
    found = zlab.stats.read(array)
    assert found is not None
    assert found.rows.chunks.tolist() == [0, 2]
    assert found.nchanged == 1


def test_other_readers_take_no_notice(tmp_path: Any) -> None:
    zarr = pytest.importorskip("zarr")
    group = zlab.create_group(tmp_path / "g")
    formats: list[tuple[str, Literal[2, 3]]] = [("a", 3), ("b", 2)]
    for name, zarr_format in formats:
        root = tmp_path / ("g" if zarr_format == 3 else "old") / name
        kept = zlab.create_array(root, data=np.arange(1, 7), chunks=2, zarr_format=zarr_format)
        zlab.stats.build(kept)
        assert (root / zlab.stats.KEY).exists()
        assert kept.nchunks_initialized == 3
        assert zarr.open_array(root, mode="r")[:].tolist() == [1, 2, 3, 4, 5, 6]
        assert zarr.open_array(root, mode="r").nchunks_initialized == 3
        report = zlab.verify(root)
        assert report.ok
        assert report.problems == ()
    assert sorted(group.array_keys()) == ["a"]
    members = dict(zarr.open_group(tmp_path / "g", mode="r", zarr_format=3).members())
    assert sorted(members) == ["a"]
    zlab.copy(tmp_path / "g", tmp_path / "h")
    copied = zlab.open_array(tmp_path / "h" / "a")
    found = zlab.stats.read(copied)
    # the copies are other objects
    assert found is not None
    assert len(found.rows.chunks) == 0


def test_a_write_while_it_reads_leaves_no_statistics() -> None:
    inner = MemoryStore()

    class Busy(CountingStore):
        def around(self, call: Any, proceed: Any) -> Any:
            answer = super().around(call, proceed)
            if call.operation == "get" and call.key == "c/1" and len(self.counts.keys) < 50:
                inner.put("c/1", bytes(answer)[::-1])
            return answer

    array = zlab.create_array(
        Busy(inner), data=np.arange(1, 9, dtype="u1"), chunks=2, compressors=None
    )
    assert zlab.stats.build(array).rows.chunks.tolist() == [0, 2, 3]


def test_dropped_statistics_are_gone(store: CountingStore) -> None:
    array = zlab.create_array(store, data=np.arange(4), chunks=2)
    assert zlab.stats.read(array) is None
    zlab.stats.build(array)
    zlab.stats.drop(array)
    assert zlab.stats.read(array) is None
    assert zlab.stats.KEY not in [entry.key for entry in store.list()]
    zlab.stats.drop(array)


def test_those_of_another_array_are_not_believed() -> None:
    store = MemoryStore()
    array = zlab.create_array(store, data=np.arange(4), chunks=2)
    zlab.stats.build(array)
    data = store.get(zlab.stats.KEY)
    other = zlab.create_array(store, data=np.arange(4.0), chunks=2, overwrite=True)
    assert zlab.stats.read(other) is None
    assert data is not None
    store.put(zlab.stats.KEY, data)
    assert zlab.stats.read(other) is None
    store.put(zlab.stats.KEY, bytes(data)[:40])
    with pytest.raises(MetadataError, match="cannot be understood") as caught:
        zlab.stats.read(other)
    assert "zlab.stats.drop" in str(caught.value)


def test_damaged_statistics_are_told_apart_from_none_and_built_anew() -> None:
    store = MemoryStore()
    array = zlab.create_array(store, data=np.arange(4), chunks=2)
    zlab.stats.build(array)
    good = bytes(store.mapping[zlab.stats.KEY])
    with np.load(io.BytesIO(good)) as file:
        columns = dict(file)
    shorter = io.BytesIO()
    np.savez(shorter, **columns | {"max": columns["max"][:1]})
    flipped = [
        good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :] for at in range(0, len(good), 97)
    ]
    for bad in (b"", b"PK", good[:-1], shorter.getvalue(), *flipped):
        store.put(zlab.stats.KEY, bad)
        try:
            found = zlab.stats.read(array)
        except MetadataError as error:
            assert "cannot be understood" in str(error)  # noqa: PT017  some flips change nothing
        else:
            assert found is None or found.max.tolist() == [1, 3]
        assert zlab.stats.build(array).max.tolist() == [1, 3]


@pytest.mark.parametrize("dtype", ["complex64", [("a", "i4")], "S3"])
def test_values_without_an_order_are_refused_before_any_read(
    dtype: Any, store: CountingStore
) -> None:
    array = zlab.create_array(store, shape=(4,), chunks=2, dtype=np.dtype(dtype))
    store.reset()
    with pytest.raises(DataTypeError, match="statistics"):
        zlab.stats.build(array)
    assert chunk_gets(store) == []


def test_read_only_arrays_are_refused() -> None:
    store: dict[str, bytes] = {}
    zlab.create_array(store, data=np.arange(4))
    with pytest.raises(ReadOnlyError):
        zlab.stats.build(zlab.open_array(store, mode="r"))


class Remote:
    """A filesystem of fsspec whose listing tells ETags, or does not."""

    @staticmethod
    def store(*, tags: bool) -> FsspecStore:
        from fsspec.implementations.memory import MemoryFileSystem

        class Tagged(MemoryFileSystem):  # type: ignore[misc]
            store: dict[str, Any] = {}  # noqa: RUF012  as fsspec has it
            pseudo_dirs = [""]  # noqa: RUF012
            cachable = False

            def _tag(self, info: Any) -> Any:
                if tags and info["type"] == "file":
                    info["ETag"] = str(hash(self.cat_file(info["name"])))
                return info

            def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
                found = super().ls(path, detail=detail, **kwargs)
                return [self._tag(one) for one in found] if detail else found

            def find(self, path: str, detail: bool = False, **kwargs: Any) -> Any:
                found = super().find(path, detail=True, **kwargs)
                return {name: self._tag(one) for name, one in found.items()}

        return FsspecStore(Tagged(), "bucket")


def test_etags_of_a_listing_are_enough() -> None:
    array = zlab.create_array(Remote.store(tags=True), data=np.arange(1, 7), chunks=2)
    zlab.stats.build(array)
    array[2] = 9
    found = zlab.stats.read(array)
    assert found is not None
    assert found.rows.chunks.tolist() == [0, 2]


def test_stores_that_tell_no_versions_have_no_statistics() -> None:
    array = zlab.create_array(Remote.store(tags=False), data=np.arange(1, 7), chunks=2)
    with pytest.raises(StoreError, match="version"):
        zlab.stats.build(array)


@given(st.data())
def test_statistics_are_those_of_numpy(data: Any) -> None:
    dtype = data.draw(st.sampled_from(["f4", "f8", "i2", "u8", "bool", "M8[s]", "f2", "m8[ns]"]))
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=2)))
    chunks = tuple(data.draw(st.integers(1, 4)) for _ in shape)
    shards = tuple(2 * n for n in chunks) if data.draw(st.booleans()) else None
    numbers = np.array(
        data.draw(st.lists(st.integers(0, 3), min_size=int(np.prod(shape)), max_size=36))
    )[: int(np.prod(shape))].reshape(shape)
    values = numbers.astype(dtype)
    if dtype[0] in "fMm":
        values[numbers == 3] = "NaT" if dtype[0] in "Mm" else np.nan
    fill = data.draw(st.sampled_from([np.zeros((), dtype)[()], np.array(1).astype(dtype)[()]]))
    array = zlab.create_array({}, data=values, chunks=chunks, shards=shards, fill_value=fill)
    stats = zlab.stats.build(array)
    grid = array.layout.chunks
    every = np.arange(grid.nchunks)
    known, rows = stats.of(every)
    assert known.all()
    for place, coords in enumerate(grid.coords()):
        part = values[grid.region(coords)].ravel()
        null = np.isnat(part) if dtype[0] in "Mm" else np.isnan(part)
        rest = part[~null & (part != fill)]
        assert rows.size[place] == part.size
        assert rows.fill_count[place] == (part == fill).sum()
        assert rows.nan_count[place] + rows.null_count[place] == null.sum()
        assert rows.has_ends[place] == bool(rest.size)
        if rest.size:
            assert rows.min[place] == rest.min()
            assert rows.max[place] == rest.max()


def test_text_and_small_floats() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    text = zlab.create_array(
        {}, data=np.array(["b", "a", "x" * 100, "c"], np.dtypes.StringDType()), chunks=2
    )
    # what is too long to be kept has none
    assert zlab.stats.build(text).coords.tolist() == [[0]]
    found = zlab.stats.read(text)
    assert found is not None
    assert (found.min.tolist(), found.max.tolist()) == (["a"], ["b"])
    small = zlab.create_array({}, data=np.array([1, -2, 0, 4], ml_dtypes.bfloat16), chunks=2)
    assert zlab.stats.build(small).min.tolist() == [-2.0, 4.0]


def test_memory_is_that_of_a_few_chunks() -> None:
    array = zlab.create_array({}, shape=(64, 1000), chunks=(1, 1000), dtype="f8")
    array[:] = 1.0
    stats = zlab.stats.build(array, max_bytes=20_000)
    assert stats.max.tolist() == [1.0] * 64
