"""What every store does, on every kind of server."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

import zlab
from zlab.errors import (
    NodeNotFoundError,
    StoreConflictError,
    StoreNotFoundError,
    StoreRangeError,
)
from zlab.stores.base import Entry, Listing, Range, Suffix

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulation.buckets import Bucket

    from zlab.stores.remote import RemoteStore

ODD = ["a b", "a+b", "a%20b", "é/ü", "100%", "a=b&c", "a'b", "(x)", "~", "c/0/0", "#1", "a,b;c"]


def test_objects_are_written_read_measured_and_deleted(cloud: Bucket) -> None:
    store = cloud.store("root/data.zarr")
    store.put("a/b", b"hello")
    assert store.get("a/b") == b"hello"
    assert store.nbytes("a/b") == 5
    store.put("a/b", b"other")
    assert store.get("a/b") == b"other"
    store.delete("a/b")
    assert store.get("a/b") is None
    assert store.nbytes("a/b") is None
    store.delete("a/b")
    store.put("empty", b"")
    assert (store.get("empty"), store.nbytes("empty")) == (b"", 0)


def test_ranges_and_suffixes(bucket: Bucket) -> None:
    bucket.put("k", bytes(range(100)))
    store = bucket.store()
    assert store.get("k", Range(10, 5)) == bytes(range(10, 15))
    assert store.get("k", Range(99, 1)) == bytes([99])
    assert store.get("k", Suffix(3)) == bytes([97, 98, 99])
    assert store.get("k", Suffix(1000)) == bytes(range(100))
    assert store.get("k", Range(5, 0)) == b""
    for outside in (Range(99, 2), Range(100, 1), Range(5000, 1)):
        with pytest.raises(StoreRangeError):
            store.get("k", outside)
    assert store.get("absent", Range(0, 1)) is None
    assert store.get("absent", Suffix(1)) is None


@pytest.mark.parametrize("key", ODD)
def test_odd_keys(cloud: Bucket, key: str) -> None:
    store = cloud.store("odd root +%")
    store.put(key, key.encode())
    assert store.get(key) == key.encode()
    assert [*store.list()] == [Entry(key, len(key.encode()))]
    store.delete(key)
    assert [*store.list()] == []


@pytest.mark.needs("cloud", "nginx")
def test_odd_keys_of_a_web_server(bucket_of: Callable[[str], Bucket]) -> None:
    bucket = bucket_of("http")
    for key in ODD:
        bucket.put(key, key.encode())
    store = bucket.store()
    assert {key: bytes(store.get(key) or b"") for key in ODD} == {k: k.encode() for k in ODD}


def _put_all(store: RemoteStore, keys: list[str]) -> None:
    for key in keys:
        store.put(key, b"x")


def test_listings_go_beyond_a_page_and_end_at_the_prefix(cloud: Bucket) -> None:
    store = cloud.store("root", idle_s=60.0, total_s=60.0)  # many are deleted by one request
    keys = sorted(f"a/c/{n}" for n in range(1003))
    threads = [
        threading.Thread(target=_put_all, args=(store, part)) for part in (keys[:500], keys[500:])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.put("ab/0", b"y")
    cloud.store("root2").put("a/z", b"z")
    assert sorted(entry.key for entry in store.list("a")) == keys
    assert store.list_dir("a") == Listing([], ["a/c"])
    assert store.list_dir() == Listing([], ["a", "ab"])
    assert len(store.list_dir("a/c").entries) == 1003
    store.delete_prefix("a")
    assert [*store.list()] == [Entry("ab/0", 1)]
    assert [e.key for e in cloud.store("root2").list()] == ["a/z"]


def test_versions_are_created_and_replaced_only_where_they_are_what_was_read(cloud: Bucket) -> None:
    store = cloud.store()
    assert store.get_tagged("k") is None
    store.put_if("k", b"one", None)
    with pytest.raises(StoreConflictError):
        store.put_if("k", b"two", None)
    data, tag = store.get_tagged("k") or (b"", "")
    assert data == b"one"
    store.put_if("k", b"three", tag)
    with pytest.raises(StoreConflictError):
        store.put_if("k", b"four", tag)
    assert store.get("k") == b"three"


def test_a_missing_bucket_is_an_error_and_never_fill(cloud: Bucket) -> None:
    array = zlab.create_array(cloud.store("a.zarr"), shape=(4,), chunks=2, dtype="i4", fill_value=7)
    assert array[...].tolist() == [7, 7, 7, 7]
    url = cloud.url("a.zarr", bucket="no-such-bucket")
    with pytest.raises(StoreNotFoundError):
        zlab.open(url, storage_options=cloud.options())
    with pytest.raises(NodeNotFoundError):
        zlab.open(cloud.url("nothing"), storage_options=cloud.options())
    store, _ = zlab.stores.open.store_from(
        cloud.url(bucket="no-such-bucket"), mode="a", storage_options=cloud.options()
    )
    gone = zlab.Array(store, "", array.metadata)
    with pytest.raises(zlab.errors.ChunkReadError) as caught:
        gone[...]
    assert isinstance(caught.value.__cause__, StoreNotFoundError)
    for ask in (lambda: store.nbytes("k"), lambda: [*store.list()], store.list_dir):
        with pytest.raises(StoreNotFoundError):
            ask()
    with pytest.raises(StoreNotFoundError):
        store.put("k", b"")


@pytest.mark.parametrize(
    ("zarr_format", "shards"), [(2, None), (3, None), (3, (8, 8))], ids=["v2", "v3", "shards"]
)
def test_arrays_are_written_and_read(
    cloud: Bucket, zarr_format: int, shards: tuple[int, ...] | None
) -> None:
    url = cloud.url("data.zarr")
    values = np.arange(20 * 12, dtype="f4").reshape(20, 12)
    array = zlab.create_array(
        url,
        data=values,
        chunks=(4, 4),
        shards=shards,
        zarr_format=zarr_format,  # type: ignore[arg-type]
        storage_options=cloud.options(),
    )
    array[3:5, 2:9] = -1
    values[3:5, 2:9] = -1
    again = zlab.open_array(url, storage_options=cloud.options())
    assert (again[...] == values).all()
    assert (again[5, 3:7] == values[5, 3:7]).all()
    total = sum(float(chunk.data.sum()) for chunk in again.stream_chunks())
    assert total == values.sum(dtype="f8")
