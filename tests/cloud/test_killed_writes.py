"""Writes onto S3 by a process that is killed, and goes on with its checkpoint."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from time import monotonic, sleep
from typing import TYPE_CHECKING

import numpy as np
import pytest

import zlab

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emulation.buckets import Bucket

WIDTH = 3
SHAPE = (64, 30)
CHUNKS = (2, 10)

WRITER = f"""
import json, sys
import numpy as np, zlab
url, options, checkpoint = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
array = zlab.open_array(url, mode="r+", storage_options=options)
values = np.arange(64 * 30, dtype="i4").reshape(64, 30)
source = ((c, values[array.layout.chunks.region(c)]) for c in array.layout.chunks.coords())
array.write_stream(source, checkpoint=checkpoint, batch_size=1, concurrency={WIDTH},
                   write_empty_chunks=True)
"""


@pytest.mark.needs("cloud", "moto")
@pytest.mark.parametrize(
    "shards",
    [None, pytest.param((8, 10), marks=pytest.mark.long)],
    ids=["chunks", "shards"],
)
def test_a_write_that_is_killed_goes_on_and_puts_again_what_was_under_way_alone(
    bucket_of: Callable[[str], Bucket], tmp_path: Path, shards: tuple[int, int] | None
) -> None:
    bucket = bucket_of("s3")
    url, options = bucket.url("a.zarr"), bucket.options()
    array = zlab.create_array(
        url, shape=SHAPE, chunks=CHUNKS, shards=shards, dtype="i4", storage_options=options
    )
    total = int(np.prod(array.layout.objects.shape))
    checkpoint = tmp_path / "checkpoint.json"
    command = [sys.executable, "-c", WRITER, url, json.dumps(options), str(checkpoint)]
    puts: Counter[str] = Counter()
    for share in (0.2, 0.5, 1.0):
        recorded = _recorded(checkpoint)
        bucket.proxy.fail()
        with subprocess.Popen(command) as writer:
            _wait_for(bucket, share * total - recorded, writer)
            if share < 1:
                writer.kill()
            code = writer.wait()
        assert code == 0 if share == 1 else code < 0
        seen = Counter(one.path.split("?")[0] for one in bucket.proxy.of("/c/", "PUT"))
        assert max(seen.values()) == 1
        puts += seen
        # each that was put is recorded, but for those of the threads and one that is being saved
        assert len(puts) - _recorded(checkpoint) <= WIDTH + 1
    assert len(puts) == total
    assert max(puts.values()) <= 3
    assert puts.total() - total <= 2 * (WIDTH + 1)
    values = np.arange(64 * 30, dtype="i4").reshape(SHAPE)
    assert (zlab.open_array(url, storage_options=options)[...] == values).all()
    reference = zlab.create_array({}, data=values, chunks=CHUNKS, shards=shards)
    for entry in reference.store.list("c"):
        assert array.store.get(entry.key) == reference.store.get(entry.key)


def _recorded(checkpoint: Path) -> int:
    if not checkpoint.exists():
        return 0
    return sum(stop - start for start, stop in json.loads(checkpoint.read_text())["stored"])


def _wait_for(bucket: Bucket, puts: float, writer: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + 120
    while len(bucket.proxy.of("/c/", "PUT")) < puts and writer.poll() is None:
        assert monotonic() < deadline
        sleep(0.001)
