"""A failed read is an error with a place, never fill; a failed write keeps the old chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab
from zlab.errors import (
    ChunkReadError,
    ChunkSizeError,
    ChunkWriteError,
    CodecError,
    MemoryBudgetError,
    MetadataError,
    NodeNotFoundError,
    StoreError,
    UnknownExtensionError,
    ZlabError,
)
from zlab.stores.memory import MemoryStore
from zlab.telemetry import ChunkFailed
from zlab.testing import CountingStore, Fault, FaultStore

if TYPE_CHECKING:
    from pathlib import Path


def _array(**kwargs: Any) -> tuple[MemoryStore, zlab.Array]:
    store = MemoryStore()
    array = zlab.create_array(store, data=np.arange(64, dtype="i4"), chunks=8, **kwargs)
    return store, array


@pytest.mark.parametrize("shards", [None, 32])
@pytest.mark.parametrize("local", [True, False])
def test_a_store_that_fails_is_not_filled_in(shards: int | None, local: bool) -> None:
    store, _ = _array(shards=shards)
    broken = FaultStore(store, [Fault(key="c/1")], local=local)
    array = zlab.open_array(broken)
    with pytest.raises(ChunkReadError, match="not known; nothing was filled in") as caught:
        array[...]
    assert caught.value.store == store.name
    assert caught.value.key == "c/1"
    # workers share a shard's chunks: any of them may be the first to meet the fault
    assert caught.value.coords in ([(1,)] if shards is None else [(4,), (5,), (6,), (7,)])
    assert isinstance(caught.value.__cause__, StoreError)


@pytest.mark.parametrize("shards", [None, 32])
@pytest.mark.parametrize("codec", ["zstd", "gzip", "blosc", "numcodecs.lz4", "numcodecs.zlib"])
def test_a_corrupt_chunk_names_itself(codec: str, shards: int | None) -> None:
    store, array = _array(shards=shards, compressors=[codec, "crc32c"])
    key = "c/2" if shards is None else "c/1"
    data = bytearray(store.get(key) or b"")
    data[5] ^= 0xFF
    store.put(key, bytes(data))
    with pytest.raises(ChunkReadError, match="corrupt") as caught:
        array[...]
    assert caught.value.key == key
    assert caught.value.coords == ((2,) if shards is None else (4,))
    assert isinstance(caught.value.__cause__, CodecError)
    # the others are still there
    assert array[:8].tolist() == list(range(8))


@pytest.mark.parametrize("keep", [0, 1, 10, -1])
def test_a_torn_shard_is_an_error(keep: int) -> None:
    store, array = _array(shards=32)
    store.put("c/0", (store.get("c/0") or b"")[:keep])
    with pytest.raises(ChunkReadError) as caught:
        array[:32]
    assert caught.value.key == "c/0"
    assert array[32:].tolist() == list(range(32, 64))


def test_a_partial_write_into_a_corrupt_chunk_changes_nothing() -> None:
    for shards in (None, 32):
        store, array = _array(shards=shards, compressors=["zstd", "crc32c"])
        before = b"broken" + bytes(store.get("c/0") or b"")[6:]
        store.put("c/0", before)
        with pytest.raises(ChunkReadError):
            array[3] = 1
        assert store.get("c/0") == before


def test_a_partial_write_into_an_undecodable_shard_keeps_its_siblings() -> None:
    store, array = _array(shards=32)
    before = bytes(store.get("c/0") or b"")[:-1] + b"\xff"
    store.put("c/0", before)
    with pytest.raises(ZlabError):
        array[8:16] = 0
    assert store.get("c/0") == before


def test_a_write_that_fails_names_the_chunk_and_keeps_the_old_one() -> None:
    store, _ = _array()
    broken = FaultStore(store, [Fault("put", key="c/3")])
    array = zlab.open_array(broken, mode="r+")
    with pytest.raises(ChunkWriteError, match="cannot write a chunk") as caught:
        array[24:32] = 1
    assert caught.value.coords == (3,)
    assert caught.value.key == "c/3"
    assert isinstance(caught.value.__cause__, StoreError)
    assert zlab.open_array(store)[24:32].tolist() == list(range(24, 32))


def test_failures_are_told_to_telemetry() -> None:
    store, _ = _array()
    array = zlab.open_array(FaultStore(store, [Fault(key="c/1")]))
    with zlab.telemetry.capture(ChunkFailed) as captured, pytest.raises(ChunkReadError):
        array[8:16]
    [event] = captured.events
    assert (event.coords, event.operation) == ((1,), "read")
    assert "ChunkReadError" in event.error


def test_what_is_read_is_counted_exactly() -> None:
    _, array = _array(compressors=None)
    array[8:16] = 0
    with zlab.telemetry.capture("chunk.read") as captured:
        array[4:20]
    events = {event.coords: event for event in captured.events}
    assert sorted(events) == [(0,), (1,), (2,)]
    assert events[0,].nbytes_stored == 32
    assert events[1,].nbytes_stored is None
    # what was asked for of the chunk
    assert [events[c,].nbytes for c in range(3)] == [16, 32, 16]


def test_reads_of_a_shard_are_coalesced_and_its_index_is_read_once() -> None:
    store, _ = _array(shards=32)
    counting = CountingStore(store)
    array = zlab.open_array(counting)
    counting.reset()
    array[:32]
    assert counting.counts.ranges == 2
    array[:16]
    assert counting.counts.ranges == 3
    assert counting.counts.gets == 0


def test_a_rewritten_shard_is_not_read_by_its_old_index(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zlab.create_array(path, data=np.arange(64, dtype="i4"), chunks=8, shards=32)
    reader = zlab.open_array(path)
    assert reader[:32].tolist() == list(range(32))
    # as another process would: without this process's cache hearing of it
    other = tmp_path / "b.zarr"
    zlab.create_array(other, data=np.arange(64, dtype="i4")[::-1] % 3, chunks=8, shards=32)
    (other / "c" / "0").replace(path / "c" / "0")
    assert reader[:32].tolist() == (np.arange(64)[::-1] % 3)[:32].tolist()


@pytest.mark.parametrize("content", ["nothing", "file", "folder"])
def test_what_is_not_a_store(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x"
    if content == "file":
        path.write_bytes(b"not a store")
    elif content == "folder":
        path.mkdir()
        (path / "notes.txt").write_text("no zarr here")
    with pytest.raises(ZlabError) as caught:
        zlab.open(path)
    assert str(path) in str(caught.value)
    if content == "folder":
        assert isinstance(caught.value, NodeNotFoundError)
        assert "zarr.json" in str(caught.value)


@pytest.mark.parametrize("name", ["zarr.json", ".zarray"])
@pytest.mark.parametrize(
    "document", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b'{"zarr_format": 3}', b"[" * 10**5]
)
def test_metadata_that_are_no_metadata(name: str, document: bytes) -> None:
    store = MemoryStore()
    store.put(name, document)
    with pytest.raises(MetadataError) as caught:
        zlab.open(store)
    assert caught.value.store == store.name
    assert caught.value.key == name


def _document(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [4],
        "data_type": "int8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}},
        "chunk_key_encoding": {"name": "default"},
        "codecs": [{"name": "bytes"}],
        "fill_value": 0,
    }
    document.update(changes)
    return {name: value for name, value in document.items() if value is not ...}


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"shape": ...}, MetadataError, "without shape"),
        ({"shape": [-1]}, MetadataError, "shape"),
        ({"shape": [1.5]}, MetadataError, "shape"),
        ({"shape": [True]}, MetadataError, "shape"),
        ({"shape": [2**70]}, MetadataError, "beyond"),
        ({"shape": [1] * 100}, MetadataError, "64"),
        ({"node_type": "tensor"}, MetadataError, "tensor"),
        ({"data_type": "int3"}, MetadataError, "int3"),
        ({"codecs": []}, MetadataError, "codec"),
        ({"codecs": [{"name": "gzip"}]}, MetadataError, "array"),
        ({"codecs": ["bytes", "bytes"]}, MetadataError, "array"),
        ({"codecs": ["zstd", "bytes"]}, MetadataError, "zstd"),
        ({"fill_value": 1000}, MetadataError, "fill_value"),
        ({"fill_value": None}, MetadataError, "fill_value"),
        ({"dimension_names": ["a", "b"]}, MetadataError, "2 entries for 1"),
        ({"dimension_names": [1]}, MetadataError, "dimension_names"),
        ({"attributes": [1]}, MetadataError, "attributes"),
        ({"storage_transformers": [{"name": "x"}]}, UnknownExtensionError, "transformer"),
        ({"vendor": {"a": 1}}, UnknownExtensionError, "vendor"),
        ({"vendor": 1}, UnknownExtensionError, "vendor"),
        ({"chunk_grid": {"name": "hex"}}, UnknownExtensionError, "hex"),
    ],
)
def test_documents_that_cannot_be_understood(
    changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    store = MemoryStore()
    store.put("zarr.json", zlab_json(_document(**changes)))
    with pytest.raises(error, match=words) as caught:
        zlab.open(store)
    assert isinstance(caught.value, MetadataError)
    assert caught.value.store == store.name


def zlab_json(document: dict[str, Any]) -> bytes:
    import json

    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"codecs": ["bytes"]},
        {"codecs": [{"name": "endian", "configuration": {"endian": "little"}}]},
        {"vendor": {"must_understand": False}},
        {"storage_transformers": []},
        {"dimension_names": [""]},
        {"chunk_key_encoding": "default"},
        {"attributes": {"x": 1}},
    ],
)
def test_documents_that_are_read_in_every_form(changes: dict[str, Any]) -> None:
    store = MemoryStore()
    store.put("zarr.json", zlab_json(_document(**changes)))
    assert zlab.open_array(store)[...].tolist() == [0, 0, 0, 0]


def test_a_chunk_that_claims_to_be_huge_takes_no_memory() -> None:
    store = MemoryStore()
    store.put(
        "zarr.json",
        zlab_json(
            _document(
                shape=[2**40],
                chunk_grid={"name": "regular", "configuration": {"chunk_shape": [2**40]}},
                codecs=["bytes", "zstd"],
            )
        ),
    )
    store.put("c/0", b"\x28\xb5\x2f\xfd" + b"\x00" * 20)
    array = zlab.open_array(store)
    with pytest.raises(ChunkReadError, match="max_chunk_bytes"):
        array[:10]


def test_a_filter_for_another_byte_order_is_refused() -> None:
    store = MemoryStore()
    document = {
        "zarr_format": 2,
        "shape": [4],
        "chunks": [4],
        "dtype": "<f8",
        "compressor": None,
        "fill_value": 0,
        "order": "C",
        "filters": [{"id": "quantize", "digits": 1, "dtype": ">f8"}],
    }
    store.put(".zarray", zlab_json(document))
    with pytest.raises(MetadataError, match="big-endian"):
        zlab.open(store)


@pytest.mark.parametrize("length", [10**14, 2**62])
def test_a_selection_beyond_all_memory_is_told_with_the_way_out(length: int) -> None:
    array = zlab.create_array({}, shape=length, chunks=1 << 20, dtype="f8")
    with pytest.raises(MemoryBudgetError, match="stream_chunks") as caught:
        array[...]
    assert caught.value.needed == 8 * length
    assert array[5] == 0


def test_a_stored_chunk_of_another_size_is_told_as_that() -> None:
    store = MemoryStore()
    array = zlab.create_array(store, data=np.arange(16, dtype="i4"), chunks=8, compressors=None)
    store.put("c/1", bytes(29))
    with pytest.raises(ChunkSizeError, match="expected 32 decoded bytes, got 29") as caught:
        array[8:]
    assert isinstance(caught.value, ValueError)
    assert caught.value.coords == (1,)


@pytest.mark.parametrize("index", [np.s_[0:2], [0, 1]])
def test_surplus_axes_of_a_value_are_left_out_as_in_numpy(index: Any) -> None:
    array = zlab.create_array({}, shape=(3, 2), chunks=2, dtype="i4")
    array[index] = np.ones((1, 1, 2, 2))
    assert array[...].tolist() == [[1, 1], [1, 1], [0, 0]]
    with pytest.raises(ValueError, match=r"shape \(2, 2, 2\) does not fit"):
        array[index] = np.ones((2, 2, 2))


def test_the_way_out_of_a_codec_is_told_with_the_chunk() -> None:
    array = zlab.create_array(
        {}, data=np.ones((2, 2), "uint8"), shards=(2, 2), chunks=(1, 2), compressors=None
    )
    # as ExZarr wrote it up to version 1.1: its own index, and that index's size
    array.store.put("c/0/0", bytes(4) + bytes(32 * 2 - 8) + (8 + 2 * 28).to_bytes(8, "little"))
    with pytest.raises(
        ChunkReadError, match=r"Read the array with ExZarr 1\.1 or earlier"
    ) as caught:
        array[...]
    assert caught.value.key == "c/0/0"
