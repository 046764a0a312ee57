"""Shards: what is asked of the store, shards inside shards, torn ones, what a write costs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import zlab
from zlab.codecs.pipeline import Pipeline
from zlab.engine.inventory import stored_sizes
from zlab.errors import (
    ChunkError,
    ChunkReadError,
    ChunkWriteError,
    CodecError,
    MetadataError,
    StoreError,
)
from zlab.stores.base import Suffix
from zlab.stores.local import LocalStore
from zlab.stores.memory import MemoryStore
from zlab.telemetry import CacheHit, CacheMiss, RangeRead, ShardIndexRead
from zlab.testing import CountingStore, Fault, FaultStore, InterposedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from zlab.array import Array
    from zlab.stores.base import Store
    from zlab.testing.stores import Call

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}
ZSTD = {"name": "zstd", "configuration": {"level": 1}}


def sharding(
    chunk_shape: list[int], codecs: list[Any], location: str, index_codecs: list[Any] | None = None
) -> dict[str, Any]:
    configuration = {
        "chunk_shape": chunk_shape,
        "codecs": codecs,
        "index_codecs": [LITTLE, CRC] if index_codecs is None else index_codecs,
        "index_location": location,
    }
    return {"name": "sharding_indexed", "configuration": configuration}


def nested(
    store: Store,
    data: NDArray[Any],
    levels: list[list[int]],
    codecs: list[Any] | None = None,
    locations: Sequence[str] = ("end", "end", "end"),
    index_codecs: list[Any] | None = None,
) -> Array:
    """An array of shards in shards: the shapes from the outermost shard to the chunk."""
    inside = [LITTLE] if codecs is None else codecs
    for shape, location in reversed(list(zip(levels[1:], locations, strict=False))):
        inside = [sharding(shape, inside, location, index_codecs)]
    zlab.create_array(store, shape=data.shape, chunks=tuple(levels[0]), dtype=data.dtype)
    document = json.loads(bytes(store.get("zarr.json") or b""))
    store.put("zarr.json", json.dumps(document | {"codecs": inside}).encode())
    array = zlab.open_array(store, mode="r+")
    array[...] = data
    return array


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("inner_location", ["start", "end"])
def test_a_chunk_of_a_shard_in_a_shard_is_three_ranges(location: str, inner_location: str) -> None:
    store = MemoryStore()
    data = np.arange(64 * 64, dtype="<u2").reshape(64, 64)
    nested(store, data, [[32, 32], [16, 16], [4, 4]], None, [location, inner_location])
    counting = CountingStore(store)
    array = zlab.open_array(counting)
    assert (array.chunks, array.shards, array.nchunks) == ((4, 4), (32, 32), 256)
    counting.reset()
    with zlab.telemetry.capture("shard.*") as captured:
        np.testing.assert_array_equal(array[36:40, 4:8], data[36:40, 4:8])
    outer, inner, chunk = 4 * 16 + 4, 16 * 16 + 4, 32
    counts = counting.reset()
    assert (counts.ranges, counts.gets, counts.nbytes_read) == (3, 0, outer + inner + chunk)
    assert [(type(event), event.nbytes) for event in captured.events] == [
        (ShardIndexRead, outer),
        (RangeRead, inner),
        (RangeRead, chunk),
    ]
    # both indices are kept
    np.testing.assert_array_equal(array[40:44, 4:8], data[40:44, 4:8])
    counts = counting.reset()
    assert (counts.ranges, counts.nbytes_read) == (1, chunk)
    # the shard beside it has another index
    array[36:40, 20:24]
    assert counting.counts.nbytes_read == inner + chunk


def test_the_indices_of_inner_shards_are_asked_for_together() -> None:
    store = MemoryStore()
    data = np.arange(64 * 64, dtype="<u2").reshape(64, 64)
    nested(store, data, [[64, 64], [16, 16], [4, 4]])
    counting = CountingStore(store)
    array = zlab.open_array(counting)
    counting.reset()
    np.testing.assert_array_equal(array[...], data)
    # the index, the indices of all inner shards with what lies between them, all chunks; the
    # workers of a team may each ask before an index is kept
    with zlab.settings.override(threads=1):
        array = zlab.open_array(counting)
        counting.reset()
        np.testing.assert_array_equal(array[...], data)
    assert counting.counts.ranges == 3


def test_three_levels_are_read_written_and_listed() -> None:
    store = MemoryStore()
    data = np.zeros((50, 30), "<i4")
    data[3:47, 2:11] = np.arange(44 * 9).reshape(44, 9)
    levels = [[48, 24], [24, 12], [12, 6], [3, 2]]
    array = nested(store, data, levels, [LITTLE, ZSTD])
    assert array.chunks == (3, 2)
    np.testing.assert_array_equal(array[...], data)
    np.testing.assert_array_equal(array[45:20:-3, [1, 7, 2]], data[45:20:-3, [1, 7, 2]])
    array[20:23, 5:9] = -1
    data[20:23, 5:9] = -1
    array[0:48, 0:2] = 0
    data[0:48, 0:2] = 0
    np.testing.assert_array_equal(array[...], data)
    there = stored_sizes(array.layout) >= 0
    for coords in np.ndindex(*there.shape):
        part = data[tuple(slice(c * n, (c + 1) * n) for c, n in zip(coords, (3, 2), strict=True))]
        assert there[coords] == bool(part.any())
    streamed = {chunk.coords: chunk.data.tolist() for chunk in array.stream_chunks()}
    assert len(streamed) == there.sum()
    for coords, values in streamed.items():
        box = tuple(slice(c * n, (c + 1) * n) for c, n in zip(coords, (3, 2), strict=True))
        assert values == data[box].tolist()
    report = zlab.verify(store)
    assert report.ok


@given(
    per=st.lists(st.integers(1, 3), min_size=6, max_size=6),
    shape=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    locations=st.tuples(*[st.sampled_from(["start", "end"])] * 2),
    codecs=st.sampled_from([[LITTLE], [LITTLE, ZSTD], [LITTLE, CRC]]),
    seed=st.integers(0, 99),
)
@settings(max_examples=30)
def test_nested_shards_are_those_of_zarr_python(
    per: list[int],
    shape: tuple[int, int],
    locations: tuple[str, str],
    codecs: list[Any],
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    chunk = per[:2]
    middle = [chunk[0] * per[2], chunk[1] * per[3]]
    shard = [middle[0] * per[4], middle[1] * per[5]]
    path = tmp_path_factory.mktemp("nested")
    rng = np.random.default_rng(seed)
    data = rng.integers(-2, 3, shape).astype("<i2") * rng.integers(0, 2, shape, dtype="<i2")
    store = LocalStore(path)
    nested(store, data, [shard, middle, chunk], codecs, locations)
    theirs = zarr.open_array(str(path), mode="r+")
    np.testing.assert_array_equal(theirs[...], data)
    box = tuple(slice(*sorted(rng.integers(0, n + 1, 2).tolist())) for n in shape)
    theirs[box] = data[box] = 5
    np.testing.assert_array_equal(zlab.open_array(path)[...], data)
    np.testing.assert_array_equal(zlab.open_array(path)[box], data[box])
    assert zlab.verify(path).ok


def test_an_inner_shard_that_is_damaged_is_named() -> None:
    store = MemoryStore()
    data = np.ones((16, 16), "<u2")
    nested(store, data, [[16, 16], [8, 8], [4, 4]])
    whole = bytes(store.get("c/0/0") or b"")
    size = 4 * 16 + 4
    # the indices stand at the ends: the one of the first inner shard behind its four chunks
    wrong = bytearray(whole)
    wrong[4 * 32 + 3] ^= 1
    store.put("c/0/0", bytes(wrong))
    with pytest.raises(ChunkReadError, match="crc32c") as caught:
        zlab.open_array(store)[0, 0]
    assert (caught.value.key, caught.value.coords) == ("c/0/0", (0, 0))
    assert zlab.open_array(store)[15, 15] == 1
    with pytest.raises(ChunkWriteError, match="crc32c"):
        zlab.open_array(store, mode="r+")[0, 0] = 3
    assert bytes(store.get("c/0/0") or b"") == bytes(wrong)
    store.put("c/0/0", whole[: len(whole) - size - 1] + whole[len(whole) - size :])
    with pytest.raises(ChunkReadError):
        zlab.open_array(store)[...]


def test_an_inner_index_that_points_outside_its_shard_is_refused() -> None:
    store = MemoryStore()
    data = np.arange(1, 9, dtype="u1")
    nested(store, data, [[8], [4], [2]], None, ["end", "end"], [LITTLE])
    shard = bytearray(store.get("c/0") or b"")
    for entry in (b"\x23" + bytes(7), b"\xff" * 7 + b"\x7f"):
        wrong = shard.copy()
        wrong[4:12] = entry  # the offset of the first chunk of the first inner shard
        store.put("c/0", bytes(wrong))
        with pytest.raises(ChunkReadError, match="points outside"):
            zlab.open_array(store)[0]
        assert zlab.open_array(store)[7] == 8


def test_a_shard_of_shards_that_is_replaced_while_it_is_read_is_read_again() -> None:
    store = MemoryStore()
    data = np.arange(1, 65, dtype="<u2")
    array = nested(store, data, [[64], [16], [4]])
    reader = zlab.open_array(store)
    reader[0]
    array[...] = data + 100
    assert reader[0] == 101
    store.delete("c/0")
    assert reader[0] == 0
    assert stored_sizes(reader.layout).max() == -1


def test_an_index_without_a_fixed_size_is_refused() -> None:
    with pytest.raises(MetadataError, match="must have a fixed size"):
        nested(MemoryStore(), np.zeros(8, "u1"), [[8], [4]], None, ["end"], [LITTLE, ZSTD])


@pytest.mark.parametrize("location", ["start", "end"])
def test_the_gap_and_the_size_of_a_request_are_settings(location: str) -> None:
    store = MemoryStore()
    data = np.arange(64, dtype="<u2")
    nested(store, data, [[64], [4]], None, [location])
    counting = CountingStore(store)
    array = zlab.open_array(counting)
    array[0]

    def requests(selection: Any) -> tuple[int, int]:
        counting.reset()
        np.testing.assert_array_equal(array[selection], data[selection])
        counts = counting.reset()
        return counts.ranges, counts.nbytes_read

    # chunks of 8 bytes; each second one leaves gaps of 8
    apart = ([0, 8, 16, 24],)
    assert requests(apart) == (1, 56)
    with zlab.settings.override(coalesce_gap=8):
        assert requests(apart) == (1, 56)
    with zlab.settings.override(coalesce_gap=7):
        assert requests(apart) == (4, 32)
    with zlab.settings.override(coalesce_gap=0):
        assert requests(apart) == (4, 32)
        assert requests(slice(8, 40)) == (1, 64)
    with zlab.settings.override(coalesce_limit=24):
        assert requests(slice(8, 40)) == (3, 64)
    with zlab.settings.override(coalesce_limit=1):
        assert requests(slice(8, 40)) == (8, 64)


class _Encodes:
    """Counts how often each pipeline's chunks are encoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        encode = Pipeline.encode

        def counted(pipeline: Pipeline, array: NDArray[Any]) -> Any:
            # an index is encoded too, by a pipeline of its own
            self.count += pipeline.chunk.dtype != np.uint64
            return encode(pipeline, array)

        monkeypatch.setattr(Pipeline, "encode", counted)


def test_writing_row_by_row_costs_one_encode_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = CountingStore(MemoryStore())
    array = zlab.create_array(counting, shape=(16, 32), chunks=(1, 8), shards=(16, 16), dtype="i4")
    encodes = _Encodes(monkeypatch)
    data = np.arange(1, 513, dtype="i4").reshape(16, 32)
    counting.reset()
    for number, row in enumerate(data):
        array[number] = row
    counts = counting.reset()
    assert encodes.count == array.nchunks == 64
    # each row replaces two shards as a whole, and reads what they held
    assert (counts.puts, counts.gets, counts.ranges) == (32, 32, 0)
    np.testing.assert_array_equal(array[...], data)


def test_a_shard_that_is_covered_is_encoded_once_and_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting = CountingStore(MemoryStore())
    array = zlab.create_array(counting, shape=(20, 32), chunks=(4, 8), shards=(16, 16), dtype="i4")
    encodes = _Encodes(monkeypatch)
    counting.reset()
    array[...] = 7
    counts = counting.reset()
    assert (counts.puts, counts.gets, counts.ranges) == (4, 0, 0)
    assert encodes.count == 20  # those of the edge that lie in the array
    array[3:5, 1] = 8
    counts = counting.reset()
    assert (counts.puts, counts.gets) == (1, 1)
    assert encodes.count == 22
    array[0:16, 0:16] = 0
    counts = counting.reset()
    assert (counts.puts, counts.deletes, counts.gets) == (0, 1, 0)
    assert encodes.count == 22
    assert array[...].sum() == 7 * (20 * 32 - 256)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda shard: shard[:10],
        lambda shard: shard[:-1],
        lambda shard: shard[1:],
        lambda shard: bytes([*shard[:-5], shard[-5] ^ 1, *shard[-4:]]),
    ],
)
def test_a_torn_shard_is_named_and_never_replaced(spoil: Any) -> None:
    store = MemoryStore()
    array = zlab.create_array(store, data=np.arange(1, 65), chunks=8, shards=32)
    torn = spoil(bytes(store.get("c/1") or b""))
    store.put("c/1", torn)
    with pytest.raises(ChunkReadError) as caught:
        zlab.open_array(store)[40:44]
    assert (caught.value.key, caught.value.coords) == ("c/1", (5,))
    with pytest.raises(ChunkError) as failed:
        array[40:44] = 0
    assert (failed.value.key, failed.value.coords) == ("c/1", (5,))
    assert store.get("c/1") == torn
    assert array[:32].tolist() == list(range(1, 33))


def test_a_put_that_fails_leaves_the_old_shard() -> None:
    inside = MemoryStore()
    zlab.create_array(inside, data=np.arange(1, 65), chunks=8, shards=32)
    store = FaultStore(inside, [Fault("put", "c/0")])
    before = inside.get("c/0")
    array = zlab.open_array(store, mode="r+")
    with (
        zlab.telemetry.capture("chunk.*") as captured,
        pytest.raises(ChunkWriteError) as caught,
    ):
        array[3:9] = 0
    assert isinstance(caught.value.__cause__, StoreError)
    assert [event.name for event in captured.events] == ["chunk.failed"]
    assert inside.get("c/0") == before
    assert array[3] == 4


def test_look_ups_of_an_index_are_told() -> None:
    store = MemoryStore()
    zlab.create_array(store, data=np.arange(1, 65), chunks=8, shards=32)
    array = zlab.open_array(store, path="")
    with zlab.telemetry.capture("cache.*") as captured:
        array[0], array[8], array[40]
    told = [(type(event), event.what, event.coords) for event in captured.events]
    assert told == [
        (CacheMiss, "index", (0,)),
        (CacheHit, "index", (0,)),
        (CacheMiss, "index", (1,)),
    ]


def test_ranges_tell_what_lay_between() -> None:
    store = MemoryStore()
    zlab.create_array(
        store, data=np.arange(1, 65, dtype="u1"), chunks=8, shards=64, compressors=None
    )
    with zlab.telemetry.capture(RangeRead) as captured:
        zlab.open_array(store)[[0, 16]]
    (event,) = captured.events
    assert (event.key, event.shard, event.start) == ("c/0", (0,), 0)
    assert (event.nbytes, event.nbytes_used, event.nchunks) == (24, 16, 2)
    assert event.duration_s >= 0


def test_a_chunk_of_a_shard_that_cannot_be_encoded_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    array = zlab.create_array({}, shape=(64,), chunks=8, shards=32, dtype="i4")
    encode = Pipeline.encode

    def failing(pipeline: Pipeline, chunk: NDArray[Any]) -> Any:
        if chunk.shape == (8,) and chunk[0] == 24:
            raise CodecError("no such luck")
        return encode(pipeline, chunk)

    monkeypatch.setattr(Pipeline, "encode", failing)
    with pytest.raises(ChunkWriteError, match="no such luck") as caught:
        array[...] = np.arange(64)
    assert (caught.value.key, caught.value.coords) == ("c/0", (3,))


def test_the_chunks_of_a_shard_share_the_seconds_of_its_put() -> None:
    array = zlab.create_array({}, shape=(64,), chunks=8, shards=32, dtype="i4")
    with zlab.telemetry.capture("chunk.store") as captured:
        array[:32] = np.arange(32)
    seconds = [event.duration_s for event in captured.events]
    assert [event.coords for event in captured.events] == [(0,), (1,), (2,), (3,)]
    assert len(set(seconds)) == 1


class Busy(InterposedStore):
    """A store whose shard a writer replaces after each look at its index."""

    def __init__(self, store: Store, replace: Callable[[], None]) -> None:
        super().__init__(store)
        self.replace = replace

    def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        answer = proceed(call)
        if isinstance(call.byte_range, Suffix):
            self.replace()
        return answer


@pytest.mark.parametrize("shapes", [[[64], [4]], [[64], [16], [4]]])
@pytest.mark.parametrize("selection", [5, slice(2, 40)])
def test_a_shard_that_is_replaced_again_and_again_is_read_as_a_whole(
    shapes: list[list[int]], selection: Any
) -> None:
    store = MemoryStore()
    writer = nested(store, np.ones(64, "<u2"), shapes)
    number = iter(range(2, 100))

    def replace() -> None:
        writer[...] = next(number)

    read = zlab.open_array(Busy(store, replace))[selection]
    assert len(np.unique(read)) == 1
    assert np.min(read) > 1
