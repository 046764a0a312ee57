"""Arrays ten times larger than the memory that a process may have go through Polars, both ways.

The child's limit is the kernel's (`RLIMIT_DATA`: all private memory that can be written, stacks
included), for the whole process with Python, Polars and zlab in it. That it bites is shown by
reading the array at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab

if TYPE_CHECKING:
    from pathlib import Path

pl = pytest.importorskip("polars")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA is Linux's")

LIMIT = 256 << 20
TOTAL = float((1 << 17) * (2560 * 2560 // 2))
CHILD = """
import resource, sys
import polars as pl, zlab
from polars.io.plugins import register_io_source

limit, source, target, way = int(sys.argv[1]), *sys.argv[2:]
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
array = zlab.open_array(source)
assert array.nbytes >= 10 * limit
frames = zlab.polars.frames(array, columns="value")


def as_query():
    return register_io_source(lambda columns, *_: iter(frames), schema=frames.schema)


if way == "whole":
    array[...]
elif way == "scan":
    zlab.polars.scan(array, columns="value").sink_parquet(target, compression="lz4")
elif way == "frames":
    as_query().sink_parquet(target, compression="lz4")
elif way == "write":
    zlab.polars.write(as_query(), target, max_bytes=16 << 20)
"""
# a stack, an arena and a scratch buffer for each thread are memory too
FEW_THREADS = dict.fromkeys(
    ("MALLOC_ARENA_MAX", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "ZLAB_THREADS"), "1"
)


def run(way: str, limit: int, source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(limit), str(source), str(target), way],
        env={**os.environ, **FEW_THREADS},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.5 GiB of numbers, each chunk of one that is its own; a few hundred kilobytes on disk."""
    path = tmp_path_factory.mktemp("large") / "large.zarr"
    chunk = 1 << 17
    array = zlab.create_array(path, shape=2560 * chunk, dtype="f8", chunks=chunk)
    array.write_stream(((k,), np.full(chunk, k + 0.5)) for k in range(array.nchunks))
    return path


def expected(frame: Any) -> None:
    """Every row is there, and in its place."""
    firsts = frame.gather_every(1 << 17).collect(engine="streaming")
    assert firsts["value"].to_list() == [k + 0.5 for k in range(2560)]
    assert frame.select(pl.col("value").sum()).collect(engine="streaming").item() == TOTAL


@pytest.mark.parametrize("way", ["scan", pytest.param("frames", marks=pytest.mark.long)])
def test_an_array_of_ten_limits_is_sunk(large: Path, tmp_path: Path, way: str) -> None:
    target = tmp_path / "large.parquet"
    whole = run("whole", LIMIT, large, target)
    assert whole.returncode != 0
    assert "MemoryError" in whole.stderr
    done = run(way, LIMIT, large, target)
    assert done.returncode == 0, done.stderr
    expected(pl.scan_parquet(target))


@pytest.mark.long
def test_a_query_of_ten_limits_is_written(large: Path, tmp_path: Path) -> None:
    target = tmp_path / "back.zarr"
    done = run("write", LIMIT, large, target)
    assert done.returncode == 0, done.stderr
    back = zlab.open_array(target, path="value")
    assert back.shape == (2560 << 17,)
    assert back[:: 1 << 17].tolist() == [k + 0.5 for k in range(2560)]
    stats = back.stream_chunks().stats()
    assert (stats.count, stats.sum) == (2560 << 17, TOTAL)
