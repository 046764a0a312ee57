"""Forked and spawned processes, and Ctrl-C: real processes and real signals."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
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
