"""Checkpoints, and writes in real processes that are really killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import zlab
from zlab.errors import CheckpointError, EntryError
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore, Fault, FaultStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

VALUES = np.arange(1, 41, dtype="int32")


def make(store: Any = None, **options: Any) -> zlab.Array:
    store = MemoryStore() if store is None else store
    return zlab.create_array(store, shape=(40,), chunks=(2,), dtype="int32", **options)


def entries(values: NDArray[Any] = VALUES) -> Iterator[tuple[tuple[int], NDArray[Any]]]:
    for n in range(20):
        yield (n,), values[2 * n : 2 * n + 2]


@pytest.mark.parametrize("shards", [None, (8,)])
def test_a_second_run_writes_only_what_is_missing(
    tmp_path: Path, shards: tuple[int] | None
) -> None:
    store = CountingStore(MemoryStore())
    array = make(store, shards=shards)
    path = tmp_path / "checkpoint.json"
    store.reset()

    def interrupted() -> Iterator[Any]:
        for n, entry in enumerate(entries()):
            if n == 10:
                raise LookupError("the source broke")
            yield entry

    with pytest.raises(LookupError, match="broke"):
        array.write_stream(interrupted(), checkpoint=path, concurrency=1, max_bytes=32)
    before = store.reset().puts
    report = array.write_stream(entries(), checkpoint=path)
    assert report.skipped == before
    assert report.written == array.layout.objects.nchunks - before
    assert_array_equal(array[...], VALUES)
    report = array.write_stream(entries(), checkpoint=path)
    assert (report.written, report.skipped) == (0, array.layout.objects.nchunks)


def test_chunks_of_fill_are_remembered(tmp_path: Path) -> None:
    store = CountingStore(MemoryStore())
    array = make(store)
    values = np.where(VALUES > 20, VALUES, 0)
    path = tmp_path / "checkpoint.json"
    assert array.write_stream(entries(values), checkpoint=path).empty == 10
    store.reset()
    assert array.write_stream(entries(values), checkpoint=path).skipped == 20
    assert store.reset().deletes == 0


def test_what_is_gone_is_written_again(tmp_path: Path) -> None:
    array = make()
    path = tmp_path / "checkpoint.json"
    array.write_stream(entries(), checkpoint=path)
    array.store.delete("c/3")
    report = array.write_stream(entries(), checkpoint=path)
    assert (report.written, report.skipped) == (1, 19)
    assert_array_equal(array[...], VALUES)


def test_the_source_can_leave_out_what_is_complete(tmp_path: Path) -> None:
    source = make(shards=(4,))
    source[...] = VALUES
    array = make(shards=(8,))
    checkpoint = zlab.Checkpoint(tmp_path / "checkpoint.json", fingerprint="v1")
    assert checkpoint.missing(array)((0,))
    first = source.stream_chunks(region=slice(0, 16))
    array.write_stream(first, checkpoint=checkpoint)
    is_missing = checkpoint.missing(array)
    assert [n for n in range(20) if is_missing((n,))] == list(range(8, 20))
    rest = source.stream_chunks(filter=is_missing)
    report = array.write_stream(rest, checkpoint=checkpoint)
    assert (report.nentries, report.written, report.skipped) == (12, 3, 0)
    assert_array_equal(array[...], VALUES)


def test_an_object_is_recorded_only_after_its_put(tmp_path: Path) -> None:
    inside = MemoryStore()
    make(inside)
    path = tmp_path / "checkpoint.json"
    failing = zlab.open_array(FaultStore(inside, [Fault("put", "c/7", after=True)]), mode="r+")
    report = failing.write_stream(entries(), checkpoint=path, on_error="skip")
    assert len(report.failed) == 1
    # the acknowledgement was lost, so it is not known
    document = json.loads(path.read_text())
    assert document["stored"] == [[0, 7], [8, 20]]
    assert zlab.open_array(inside, mode="r+").write_stream(entries(), checkpoint=path).written == 1


def test_a_duplicate_is_one_in_a_second_run_too(tmp_path: Path) -> None:
    array = make()
    path = tmp_path / "checkpoint.json"
    array.write_stream([((0,), VALUES[:2])], checkpoint=path)
    with pytest.raises(EntryError, match="entry 21"):
        array.write_stream([*entries(), ((0,), VALUES[:2]), ((5,), VALUES[:2])], checkpoint=path)


def test_a_checkpoint_is_for_one_array_and_one_source(tmp_path: Path) -> None:
    store = MemoryStore()
    array = make(store)
    path = tmp_path / "checkpoint.json"
    array.write_stream(entries(), checkpoint=zlab.Checkpoint(path, fingerprint="v1"))
    with pytest.raises(CheckpointError, match='another source: "v1", not "v2"'):
        array.write_stream(entries(), checkpoint=zlab.Checkpoint(path, fingerprint="v2"))
    with pytest.raises(CheckpointError, match="another source"):
        array.write_stream(entries(), checkpoint=path)
    with pytest.raises(CheckpointError, match="another array"):
        make().write_stream(entries(), checkpoint=zlab.Checkpoint(path, fingerprint="v1"))
    # the same place, cut in another way
    other = zlab.create_array(store, shape=(40,), chunks=(4,), dtype="int32", overwrite=True)
    with pytest.raises(CheckpointError, match="another array"):
        zlab.Checkpoint(path, fingerprint="v1").missing(other)


def test_attributes_may_change(tmp_path: Path) -> None:
    array = make()
    array.write_stream(entries(), checkpoint=tmp_path / "c.json")
    array.attrs["units"] = "K"
    reopened = zlab.open_array(array.store, mode="r+")
    assert reopened.write_stream(entries(), checkpoint=tmp_path / "c.json").skipped == 20


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"zlab_checkpoint": 1}', "\xff", "null"])
def test_a_file_that_is_no_checkpoint_is_told_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "checkpoint.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(CheckpointError, match="no checkpoint of zlab"):
        make().write_stream(entries(), checkpoint=path)
    assert path.read_text(encoding="latin-1") == text


@pytest.mark.parametrize("ranges", [3, [3], [["a", "b"]], [[1.5, 2]], [[1, 2, 3]]])
def test_a_checkpoint_with_broken_ranges_is_told(tmp_path: Path, ranges: Any) -> None:
    array = make()
    path = tmp_path / "checkpoint.json"
    array.write_stream(entries(), checkpoint=path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"stored": ranges}))
    with pytest.raises(CheckpointError, match="no checkpoint of zlab"):
        array.write_stream(entries(), checkpoint=path)


def test_a_checkpoint_of_another_version_is_told(tmp_path: Path) -> None:
    array = make()
    path = tmp_path / "checkpoint.json"
    array.write_stream(entries(), checkpoint=path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"zlab_checkpoint": 2}))
    with pytest.raises(CheckpointError, match="another version of zlab"):
        array.write_stream(entries(), checkpoint=path)


# a process that forks one writer after another and kills each after some of its puts
KILLS = """
import json, os, random, signal, sys, threading, time
from pathlib import Path
import numpy as np, zlab
from zlab.stores.local import LocalStore
from zlab.testing import InterposedStore

folder, kind, kills, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
chance = random.Random(seed)
store, log, path = LocalStore(folder / "a.zarr"), folder / "log", folder / "checkpoint.json"
shards = None if kind == "chunks" else (8, 8)
zlab.create_array(store, shape=(39, 38), chunks=(2, 4), shards=shards, dtype="int32")
values = np.arange(39 * 38, dtype="int32").reshape(39, 38) // 7
log.touch()
BATCH, WIDTH = 4, 3

class Logged(InterposedStore):
    def around(self, call, proceed):
        answer = proceed(call)
        if call.operation == "put" and call.key.startswith("c/"):
            file = os.open(log, os.O_WRONLY | os.O_APPEND)
            os.write(file, call.key.encode() + b"\\n")
            os.close(file)
        return answer

def source(array):
    if kind == "regions":
        for row in range(0, 39, 3):
            region = slice(row, min(row + 3, 39)), slice(0, 38)
            yield region, values[region]
    else:
        for coords in array.layout.chunks.coords():
            yield coords, values[array.layout.chunks.region(coords)]

def write():
    array = zlab.open_array(Logged(store), mode="r+")
    budget = 2000 if kind == "regions" else None
    array.write_stream(source(array), checkpoint=path, batch_size=BATCH, concurrency=WIDTH,
                       write_empty_chunks=True, max_bytes=budget)

def recorded():
    pairs = json.loads(path.read_text())["stored"] if path.exists() else []
    return {n for start, stop in pairs for n in range(start, stop)}

def numbers(text):
    grid = zlab.open_array(store).layout.objects.shape
    keys = [tuple(map(int, key.split("/")[1:])) for key in text.split()]
    return [c[0] * grid[1] + c[1] for c in keys]

killed = puts = most_again = 0
for attempt in range(kills + 1):
    size, before = log.stat().st_size, recorded()
    wanted = size + chance.randrange(0, 160)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            write()
            code = 0
        finally:
            os._exit(code)
    done = 0
    while attempt < kills and not done and log.stat().st_size < wanted:
        done, status = os.waitpid(pid, os.WNOHANG)
    if not done:
        if attempt < kills:
            os.kill(pid, signal.SIGKILL)
        done, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), code
    killed += code != 0
    text = log.read_text()[size:]
    if not text.endswith("\\n"):  # killed in the middle of a line
        text = text[: text.rfind("\\n") + 1]
    these, after = numbers(text), recorded()
    puts += len(these)
    assert not before & set(these), "what was recorded is not written again"
    assert before <= after, "what was recorded stays recorded"
    assert len(these) == len(set(these)), "once a run"
    again = set(these) - after
    most_again = max(most_again, len(again))
    assert len(again) < BATCH + WIDTH, "recorded after so many puts at the latest"
    stored = zlab.open_array(store)
    for n in after:
        coords = divmod(n, stored.layout.objects.shape[1])
        region = stored.layout.objects.region(coords)
        assert (stored[region] == values[region]).all(), "what is recorded is stored"
    if code == 0 and attempt < kills:  # it was too quick: begin anew
        path.unlink()

assert code == 0
reference = LocalStore(folder / "reference.zarr")
zlab.create_array(reference, shape=(39, 38), chunks=(2, 4), shards=shards, dtype="int32").write(
    ..., values, write_empty_chunks=True)
same = all(store.get(e.key) == reference.get(e.key) for e in reference.list())
print(json.dumps({"killed": killed, "puts": puts, "again": most_again, "same": same}))
"""


def run_kills(folder: Path, kind: str, kills: int, seed: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLS, str(folder), kind, str(kills), str(seed)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
@pytest.mark.parametrize("kind", ["chunks", "shards", "regions"])
def test_a_write_that_is_killed_goes_on_where_it_was(tmp_path: Path, kind: str) -> None:
    report = run_kills(tmp_path, kind, kills=12, seed=1)
    assert report["same"]
    assert report["killed"] >= 3


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["chunks", "shards", "regions"])
def test_a_write_that_is_killed_very_often(tmp_path: Path, kind: str, seed: int) -> None:
    assert run_kills(tmp_path, kind, kills=150, seed=seed)["same"]
