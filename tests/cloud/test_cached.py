"""Caches and second requests, on real servers: what is asked for, and what is sent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from emulation.faultproxy import Rule

import zlab
from zlab.stores.base import Range, Suffix
from zlab.stores.cached import CachedStore
from zlab.stores.open import store_from
from zlab.stores.remote import RemoteStore
from zlab.telemetry import capture

if TYPE_CHECKING:
    from pathlib import Path

    from emulation.buckets import Bucket


def cached(bucket: Bucket, path: str = "", **options: Any) -> CachedStore:
    store, _ = store_from(bucket.url(path), storage_options=bucket.options(**options))
    assert isinstance(store, CachedStore)
    return store


def test_what_has_not_changed_is_not_sent_again(bucket: Bucket, tmp_path: Path) -> None:
    first = bytes(range(200)) * 100
    bucket.put("a b/c", first)
    store = cached(bucket, cache_dir=tmp_path)
    wanted: list[Any] = [None, Range(7, 300), Suffix(50)]
    parts = [first, first[7:307], first[-50:]]
    for _ in range(2):
        assert [store.get("a b/c", one) for one in wanted] == parts
    info = store.info()
    # the ranges are there since the whole is, but it is asked whether they are current
    assert (info.hits, info.unchanged, info.misses) == (0, 5, 1)
    again = cached(bucket, cache_dir=tmp_path)
    assert [again.get("a b/c", one) for one in wanted] == parts
    assert again.info().unchanged == 3
    second = bytes(reversed(first))[:-1]
    bucket.put("a b/c", second)
    assert store.get("a b/c", Suffix(50)) == second[-50:]
    assert store.get("a b/c") == second


def test_an_array_is_read_again_with_nothing_but_its_document(cloud: Bucket) -> None:
    values = np.arange(32 * 32, dtype="i4").reshape(32, 32)
    url = cloud.url("data.zarr")
    zlab.create_array(
        url, data=values, chunks=(4, 4), shards=(16, 16), storage_options=cloud.options()
    )
    options = cloud.options(cache_nbytes=10**6, cache_age_s=math.inf)
    array = zlab.open_array(url, storage_options=options)
    assert (array[...] == values).all()
    cloud.proxy.seen.clear()
    with capture("store.cached") as captured:
        assert (array[...] == values).all()
    assert cloud.proxy.seen == []
    assert {event.outcome for event in captured.events} == {"hit"}


def test_a_stalled_read_is_asked_for_once_more(bucket: Bucket) -> None:
    bucket.put("k", b"bytes")
    store, _ = store_from(bucket.url(), storage_options=bucket.options(hedge_s=0.05))
    assert isinstance(store, RemoteStore)
    assert store.get("k") == b"bytes"
    bucket.proxy.fail(Rule("stall", times=1))
    with capture("store.hedge") as captured:
        assert store.get("k") == b"bytes"
    assert [event.won for event in captured.events] == [True]


@pytest.mark.needs("cloud", "nginx")
def test_a_cache_through_fsspec_needs_an_age(bucket_of: Any) -> None:
    bucket = bucket_of("http")
    bucket.put("k", b"bytes")
    with pytest.raises(ValueError, match="cache_age_s"):
        cached(bucket, engine="fsspec", cache_nbytes=1000)
    store = cached(bucket, engine="fsspec", cache_nbytes=1000, cache_age_s=60)
    assert [bytes(store.get("k") or b"") for _ in range(3)] == [b"bytes"] * 3
    assert store.info().hits == 2
