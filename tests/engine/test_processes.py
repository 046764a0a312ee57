"""Forked and spawned processes, and Ctrl-C: real processes and real signals."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

import zlab

if TYPE_CHECKING:
    from pathlib import Path


def _sum(array: zlab.Array) -> int:
    return int(array[...].sum())


def _create(path: Path) -> zlab.Array:
    return zlab.create_array(path, data=np.arange(10_000), chunks=100, shards=1000)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_handle_works_in_a_process_that_was_started_after_reads(
    tmp_path: Path, method: str
) -> None:
    array = zlab.open_array(_create(tmp_path / "a.zarr").store, cache=1 << 20)
    # threads, caches and locks of the parent are in use before the child begins
    with zlab.settings.override(threads=4):
        expected = _sum(array)
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            assert pool.map(_sum, [array] * 6) == [expected] * 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
def test_a_child_that_is_forked_in_the_middle_of_reads_reads_and_writes(tmp_path: Path) -> None:
    code = """
import os, sys, threading
import numpy as np, zlab
zlab.settings.threads = 4
array = zlab.open_array(sys.argv[1], mode="r+", cache=1 << 16)
busy = True
def read():
    while busy:
        array[...]
        array[5:7] = array[5:7]
readers = [threading.Thread(target=read) for _ in range(3)]
for reader in readers: reader.start()
codes = []
for _ in range(15):
    pid = os.fork()
    if pid == 0:
        ok = int(array[...].sum()) == sum(range(10_000))
        array[5:7] = array[5:7]
        os._exit(0 if ok else 1)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
busy = False
for reader in readers: reader.join()
print(codes)
"""
    _create(tmp_path / "a.zarr")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "a.zarr")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0] * 15


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C to the whole console")
def test_an_interrupted_read_of_a_slow_store_ends_and_asks_for_nothing_more() -> None:
    code = """
import threading, time
import numpy as np, zlab
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore, LatencyStore
store = MemoryStore()
zlab.create_array(store, data=np.arange(1, 10_001), chunks=1)
counting = CountingStore(LatencyStore(store, 0.2), local=False)
array = zlab.open_array(counting)
zlab.settings.fetch_concurrency = 4
counting.reset()
try:
    print("reading", flush=True)
    array[...]
except KeyboardInterrupt:
    begun = counting.counts.gets + counting.counts.ranges
    # those that were on their way come back; no other begins
    time.sleep(0.5)
    print(counting.counts.gets + counting.counts.ranges - begun, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    process.send_signal(signal.SIGINT)
    # all 10,000 requests would take 500 s
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert int(out) <= 4


@pytest.mark.parametrize("shards", [None, 40])
@pytest.mark.parametrize("cache", [None, 1 << 20])
def test_fifty_readers_beside_a_writer_never_see_half_a_chunk(
    tmp_path: Path, shards: int | None, cache: int | None
) -> None:
    zlab.create_array(tmp_path / "a.zarr", shape=120, dtype="i4", chunks=20, shards=shards)
    writer = zlab.open_array(tmp_path / "a.zarr", mode="r+")
    writer[...] = 1
    failures: list[object] = []

    def read() -> None:
        array = zlab.open_array(tmp_path / "a.zarr", cache=cache)
        for _ in range(4):
            chunks = array[...].reshape(6, 20)
            if (chunks != chunks[:, :1]).any() or not chunks.all():
                failures.append(chunks)

    readers = [threading.Thread(target=read) for _ in range(50)]
    for reader in readers:
        reader.start()
    number, busy = 1, True
    while busy:
        busy = any(reader.is_alive() for reader in readers)
        number += 1
        writer[...] = number
        writer[20:40] = number + 100
    for reader in readers:
        reader.join()
    assert failures == []
    np.testing.assert_array_equal(
        zlab.open_array(tmp_path / "a.zarr", cache=cache)[::20],
        [number, number + 100, *[number] * 4],
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
@pytest.mark.parametrize("shards", ["None", "4000"])
def test_a_writer_that_is_killed_anywhere_leaves_whole_chunks_and_documents(
    tmp_path: Path, shards: str
) -> None:
    code = """
import os, random, signal, sys
import numpy as np, zlab
from zlab.tools.leftovers import find_leftovers
path, shards = sys.argv[1], eval(sys.argv[2])
random.seed(shards)
zlab.settings.threads = 2
zlab.create_array(path, shape=8000, dtype="i8", chunks=1000, shards=shards, compressors=None,
                  attributes={"n": 0, "filler": "x" * 50_000})[...] = 1
nleft = 0
for _ in range(20):
    near, far = os.pipe()
    child = os.fork()
    if child == 0:
        array = zlab.open_array(path, mode="r+")
        for n in range(1, 10**9):
            # whole chunks, a part of each chunk, and the document
            array[...] = n
            os.write(far, b".")
            array[500:7500:3] = array[500:7500:3]
            os.write(far, b".")
            array.attrs["n"] = n
            os.write(far, b".")
    os.close(far)
    for _ in range(random.randrange(1, 12)):
        assert os.read(near, 1) == b"."
    for _ in range(random.randrange(2000)):
        pass
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    os.close(near)
    array = zlab.open_array(path)
    chunks = array[...].reshape(8, 1000)
    assert (chunks == chunks[:, :1]).all(), chunks
    assert chunks.min() >= 1
    assert len(array.attrs["filler"]) == 50_000
    left = list(find_leftovers(path))
    report = zlab.verify(path)
    assert report.ok, str(report)
    assert report.counts.get("leftover", 0) == len(left)
    assert set(report.counts) <= {"leftover"}, str(report)
    # the child is gone, and its files are old enough
    for leftover in left:
        os.utime(leftover.path, (0, 0))
    assert zlab.verify(path, repair=True).ok
    assert list(find_leftovers(path)) == []
    nleft += len(left)
print(nleft)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "a.zarr"), shards],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("shards", ["None", "4000"])
def test_a_chunk_that_the_disk_does_not_take_is_an_error_and_the_old_one_stays(
    tmp_path: Path, shards: str
) -> None:
    code = """
import errno, resource, signal, sys
import numpy as np, zlab
path, shards = sys.argv[1], eval(sys.argv[2])
data = np.random.default_rng(0).integers(0, 2**62, 8000)
array = zlab.create_array(path, shape=8000, dtype="i8", chunks=1000, shards=shards)
array[...] = 7
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
for part in (slice(0, 8000), slice(5, 900)):
    try:
        array[part] = data[part]
    except zlab.errors.ChunkWriteError as error:
        cause = error.__cause__
        assert isinstance(cause, zlab.errors.StoreError), cause
        assert cause.errno == errno.EFBIG, cause
        assert "unchanged" in str(cause), cause
        assert error.coords is not None and error.key.startswith("c/"), error
    else:
        raise AssertionError("it was written")
    assert (zlab.open_array(path)[...] == 7).all()
try:
    array.attrs["long"] = "x" * 5000
except zlab.errors.StoreError as error:
    assert error.key == "zarr.json", error
assert dict(zlab.open_array(path).attrs) == {}
assert zlab.verify(path).counts == {}
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.zarr"), shards],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
