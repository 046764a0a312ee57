"""Two processes that change the same objects of a bucket."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

import zlab
from zlab.errors import StoreConflictError

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulation.buckets import Bucket

TIMES = 12

# both wait for a line, so that they begin together
WRITER = f"""
import json, sys, zlab
url, options, mine = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
group = zlab.open_group(url, mode="r+", storage_options=options)
arrays = [group["chunks"], group["shards"]]
print("ready", flush=True)
sys.stdin.readline()
for n in range({TIMES}):
    group.attrs[f"{{mine}}-{{n}}"] = n
    for array in arrays:
        array[2 * n + mine] = 2 * n + mine + 1
"""


@pytest.mark.parametrize("zarr_format", [3, pytest.param(2, marks=pytest.mark.long)])
def test_two_processes_lose_nothing_of_each_other(cloud: Bucket, zarr_format: int) -> None:
    url, options = cloud.url("a.zarr"), cloud.options()
    group = zlab.create_group(url, zarr_format=zarr_format, storage_options=options)  # type: ignore[arg-type]
    group.create_array("chunks", shape=(2 * TIMES,), chunks=2 * TIMES, dtype="i4")
    shards = (2 * TIMES,) if zarr_format == 3 else None
    group.create_array("shards", shape=(2 * TIMES,), chunks=6, shards=shards, dtype="i4")
    command = [sys.executable, "-c", WRITER, url, json.dumps(options)]
    writers = [
        subprocess.Popen([*command, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for n in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline().strip() == b"ready"
    for writer in writers:
        writer.communicate(b"go\n", timeout=120)
        assert writer.returncode == 0
    again = zlab.open_group(url, storage_options=options)
    assert dict(again.attrs) == {f"{mine}-{n}": n for mine in range(2) for n in range(TIMES)}
    for name in ("chunks", "shards"):
        array = again[name]
        assert isinstance(array, zlab.Array)
        assert (array[...] == np.arange(2 * TIMES) + 1).all()


@pytest.mark.needs("cloud", "moto")
def test_large_objects_are_replaced_conditionally_too(
    bucket_of: Callable[[str], Bucket],
) -> None:
    bucket = bucket_of("s3")
    store = bucket.store()
    large = bytes(12_000_000)  # obstore would send it in parts otherwise
    store.put_if("k", large, None)
    with pytest.raises(StoreConflictError):
        store.put_if("k", large[:-1], None)
    assert store.nbytes("k") == len(large)


@pytest.mark.needs("cloud", "moto")
def test_conditional_writes_can_be_done_without(bucket_of: Callable[[str], Bucket]) -> None:
    bucket = bucket_of("s3")
    store = bucket.store("a.zarr", conditional=False)
    assert not store.conditional
    array = zlab.create_array(store, data=[0, 5], chunks=2, fill_value=0)
    array[1] = 0
    assert store.get("c/0") is None
