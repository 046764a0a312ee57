"""The options of a handle: absent chunks as errors, aligned writes, locks."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

import zlab
from zlab.errors import AlignmentError, ChunkReadError, ChunkWriteError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("shards", [None, 8])
def test_an_absent_chunk_may_be_an_error(shards: int | None) -> None:
    array = zlab.create_array({}, shape=(16,), dtype="i4", chunks=4, shards=shards)
    array[:8] = 1
    strict = zlab.open_array(array.store, missing="raise")
    assert strict[:8].tolist() == [1] * 8
    with pytest.raises(ChunkReadError, match="not stored") as caught:
        strict[...]
    assert caught.value.coords in [(2,), (3,)]
    with pytest.raises(ValueError, match="fill"):
        zlab.open_array(array.store, missing="zero")  # type: ignore[arg-type]  # what is tested


def test_members_inherit_the_options_of_their_group() -> None:
    group = zlab.create_group({})
    group.create_array("a/b", shape=(4,), dtype="i4")
    with pytest.raises(ChunkReadError, match="not stored"):
        zlab.open_group(group.store, missing="raise").group("a").array("b")[...]


@pytest.mark.parametrize(
    ("selection", "nearest"),
    [
        ((slice(1, 8), slice(0, 10)), r"\[0:8, 0:10\]"),
        ((slice(0, 4), slice(0, 7)), r"\[0:4, 0:10\]"),
        ((slice(None, None, 2), slice(None)), r"\[0:10, 0:10\]"),
        ((3, slice(None)), r"\[0:4, 0:10\]"),
    ],
)
def test_unaligned_writes_may_be_refused(selection: tuple[slice | int, ...], nearest: str) -> None:
    store = zlab.create_array({}, shape=(10, 10), dtype="i4", chunks=(4, 5)).store
    array = zlab.open_array(store, mode="r+", aligned=True)
    with pytest.raises(AlignmentError, match=nearest):
        array[selection] = 1
    with pytest.raises(AlignmentError):
        array.vindex[[1], [2]] = 1
    assert array.nchunks_initialized == 0
    array[8:, 5:] = 1
    array[...] = 2
    assert (array[...] == 2).all()


def test_a_write_is_aligned_to_shards_where_there_are_shards() -> None:
    store = zlab.create_array({}, shape=(16,), dtype="i4", chunks=2, shards=8).store
    array = zlab.open_array(store, mode="r+", aligned=True)
    with pytest.raises(AlignmentError, match=r"whole shards.*\[0:8\]"):
        array[2:4] = 1


@pytest.mark.parametrize("shards", [None, 64])
def test_partial_writes_of_threads_into_one_chunk_lose_nothing(shards: int | None) -> None:
    array = zlab.create_array({}, shape=(64,), dtype="i4", chunks=32, shards=shards)
    barrier = threading.Barrier(8)

    def work(k: int) -> None:
        barrier.wait()
        for i in range(k, 64, 8):
            array[i] = i + 1

    workers = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert array[...].tolist() == list(range(1, 65))


def test_partial_writes_of_processes_lose_nothing_with_file_locks(tmp_path: Path) -> None:
    pytest.importorskip("filelock")
    path = tmp_path / "a.zarr"
    zlab.create_array(path, shape=(60,), dtype="i4", chunks=60)
    code = """
import sys, zlab
path, locks, k = sys.argv[1], zlab.FileLocks(sys.argv[2]), int(sys.argv[3])
array = zlab.open_array(path, mode="r+", locks=locks)
for i in range(k, 60, 3):
    array[i] = i + 1
"""
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(tmp_path / "locks"), str(k)])
        for k in range(3)
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    assert zlab.open_array(path)[...].tolist() == list(range(1, 61))


def test_a_lock_that_another_writer_holds_is_an_error(tmp_path: Path) -> None:
    filelock = pytest.importorskip("filelock")
    path = tmp_path / "a.zarr"
    zlab.create_array(path, data=np.arange(1, 5), chunks=4)
    locks = zlab.FileLocks(tmp_path / "locks", timeout_s=0)
    array = zlab.open_array(path, mode="r+", locks=locks)
    array[0] = 9
    [file] = (tmp_path / "locks").iterdir()
    with filelock.FileLock(file), pytest.raises(ChunkWriteError, match="nothing was written"):
        array[0] = 8
    assert array[0] == 9
    with pytest.raises(ValueError, match="negative"):
        zlab.FileLocks(tmp_path, timeout_s=-1)


def test_a_folder_of_locks_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    pytest.importorskip("filelock")
    (tmp_path / "file").write_text("in the way")
    array = zlab.create_array(tmp_path / "a.zarr", shape=4, dtype="i4", chunks=4)
    locked = zlab.open_array(
        tmp_path / "a.zarr", mode="r+", locks=zlab.FileLocks(tmp_path / "file" / "locks")
    )
    with pytest.raises(ChunkWriteError, match="lock of a partial write cannot be made"):
        locked[1] = 1
    assert array[...].tolist() == [0, 0, 0, 0]
