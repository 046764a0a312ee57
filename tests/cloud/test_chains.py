"""Chains of fsspec's, and what a user has made, over a bucket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import pytest
from emulation.faultproxy import Rule

import zlab
from zlab.stores.networks import FsspecBackend
from zlab.stores.open import store_from
from zlab.stores.remote import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emulation.buckets import Bucket

pytestmark = pytest.mark.needs("cloud", "moto")
VALUES = np.arange(12, dtype="i4")
RETRY = {"attempts": 4, "base_s": 0.01, "cap_s": 0.05}


def access_of(bucket: Bucket) -> dict[str, Any]:
    return {
        "endpoint_url": bucket.proxy.url,
        "key": "test",
        "secret": "test",
        # each bucket has a proxy's port of its own session; nothing of it is kept
        "skip_instance_cache": True,
    }


@pytest.fixture
def bucket(bucket_of: Callable[[str], Bucket]) -> Bucket:
    """One with an array in it, and with an archive that holds it."""
    bucket = bucket_of("s3")
    zlab.create_array(bucket.url("a.zarr"), data=VALUES, chunks=4, storage_options=bucket.options())
    return bucket


def test_an_archive_in_a_bucket(bucket: Bucket, tmp_path: Path) -> None:
    with zlab.create_group(tmp_path / "a.zip") as group:
        group.create_array("a", data=VALUES, chunks=4)
    bucket.put("a.zip", (tmp_path / "a.zip").read_bytes())
    again = zlab.open_array(
        f"zip::{bucket.url('a.zip')}", path="a", storage_options={"s3": access_of(bucket)}
    )
    assert (again[...] == VALUES).all()


def test_what_is_kept_on_disk(bucket: Bucket, tmp_path: Path) -> None:
    options = {"s3": access_of(bucket), "simplecache": {"cache_storage": str(tmp_path)}}
    url = f"simplecache::{bucket.url('a.zarr')}"
    assert (zlab.open_array(url, storage_options=options)[...] == VALUES).all()
    bucket.proxy.fail(Rule("status", "/c/", status=500))
    again = zlab.open_array(url, storage_options={**options, "retry": "off"})
    assert (again[...] == VALUES).all()  # without a request for a chunk
    bucket.proxy.fail()


def test_references_into_other_files(bucket: Bucket, tmp_path: Path) -> None:
    document = zlab.create_array({}, data=VALUES, chunks=4, compressors=None)
    raw = VALUES.tobytes()
    bucket.put("raw.bin", b"head" + raw)
    key = f"s3://{bucket.name}/raw.bin"
    text = bytes(document.store.get("zarr.json") or b"").decode()
    references: dict[str, Any] = {"zarr.json": text}
    references |= {f"c/{n}": [key, 4 + 16 * n, 16] for n in range(3)}
    file = tmp_path / "references.json"
    file.write_text(json.dumps({"version": 1, "refs": references}))
    options = {"fo": str(file), "remote_protocol": "s3", "remote_options": access_of(bucket)}
    array = zlab.open_array("reference://", storage_options={**options, "retry": RETRY})
    assert (array[...] == VALUES).all()
    bucket.proxy.fail(Rule("status", "raw.bin", times=2, status=500))
    assert (array[4:8] == VALUES[4:8]).all()
    bucket.proxy.fail()


def test_what_a_user_has_made_is_taken_as_it_is(bucket: Bucket) -> None:
    filesystem = fsspec.filesystem("s3", **access_of(bucket))
    retries = filesystem.retries
    root = f"{bucket.name}/a.zarr"
    for target in (
        (filesystem, root),
        filesystem.get_mapper(root),
    ):
        store, _ = store_from(target)
        assert isinstance(store, RemoteStore)
        assert isinstance(store.backend, FsspecBackend)
        assert store.backend.store.fs is filesystem
        assert (zlab.open_array(target)[...] == VALUES).all()
    assert filesystem.retries == retries  # it is the user's
