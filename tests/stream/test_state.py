"""Reads that go on where an earlier stream stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.stores.memory import MemoryStore
from zlab.testing import LatencyStore

if TYPE_CHECKING:
    from pathlib import Path


@given(st.data())
def test_streams_that_go_on_have_every_chunk_once(data: st.DataObject) -> None:
    ndim = data.draw(st.integers(1, 2))
    shape = tuple(data.draw(st.integers(1, 12)) for _ in range(ndim))
    chunks = tuple(data.draw(st.integers(1, 3)) for _ in range(ndim))
    sharded = data.draw(st.booleans())
    memory = MemoryStore()
    array = zlab.create_array(
        memory,
        shape=shape,
        chunks=chunks,
        dtype="int16",
        shards=tuple(2 * n for n in chunks) if sharded else None,
    )
    for coords in np.ndindex(*array.chunk_grid_shape):
        if data.draw(st.booleans()):
            array[tuple(slice(c * n, c * n + n) for c, n in zip(coords, chunks, strict=True))] = 1
    if data.draw(st.booleans()):
        array = zlab.open_array(LatencyStore(memory, 0))
    options: dict[str, Any] = {
        "ordered": data.draw(st.sampled_from([None, True, False])),
        "include_missing": data.draw(st.booleans()),
        "concurrency": data.draw(st.integers(1, 4)),
        "by": data.draw(st.sampled_from(["chunk", "shard"])),
    }
    expected = [chunk.coords for chunk in array.stream_chunks(**options)]
    seen: list[tuple[int, ...]] = []
    state: Any = None
    finished = False
    while not finished:
        stream = array.stream_chunks(**options, state=state)
        wanted = data.draw(st.integers(0, 5))
        finished = True
        for n, chunk in enumerate(stream):
            seen.append(chunk.coords)
            if n == wanted:
                finished = False
                break
        state = json.loads(json.dumps(stream.state()))
    assert sorted(seen) == sorted(expected)
    if options["ordered"] is not False:
        assert seen == expected
        assert len(state["done"]) <= 1
    assert list(array.stream_chunks(**options, state=state)) == []


def test_a_state_is_small_however_many_chunks_are_done() -> None:
    array = zlab.create_array({}, shape=10**12, chunks=1, dtype="int8")
    array[10**11] = 1
    array[10**11 + 1] = 1
    stream = array.stream_chunks()
    for _ in stream:
        break
    state = stream.state()
    assert len(json.dumps(state)) < 200
    rest = array.stream_chunks(state=state)
    assert [chunk.coords for chunk in rest] == [(10**11 + 1,)]
    assert "done" in repr(rest)


def test_chunks_that_failed_come_again() -> None:
    memory = MemoryStore()
    array = zlab.create_array(memory, data=np.arange(1, 21), chunks=2)
    good = memory.get("c/4")
    assert good is not None
    memory.put("c/4", b"not zstd")
    stream = array.stream_chunks(on_error=lambda _: None)
    assert len(list(stream)) == 9
    assert stream.state()["done"] == [[0, 4], [5, 10]]
    memory.put("c/4", good)
    assert [c.coords for c in array.stream_chunks(state=stream.state())] == [(4,)]


def test_before_an_iteration_the_state_is_the_one_it_begins_from() -> None:
    array = zlab.create_array({}, data=np.arange(1, 21), chunks=2)
    first = array.stream_chunks()
    assert first.state()["done"] == []
    next(iter(first))
    second = array.stream_chunks(state=first.state())
    assert second.state() == first.state()
    # an iteration that was begun and has not come to a chunk is as far
    iterator = iter(second)
    assert second.state() == first.state()
    next(iterator)
    assert second.state()["done"] == [[0, 2]]
    iterator.close()


def test_progress_begins_where_the_earlier_stream_stopped() -> None:
    array = zlab.create_array({}, data=np.arange(1, 21), chunks=2)
    stream = array.stream_chunks()
    for chunk in stream:
        if chunk.coords == (3,):
            break
    told: list[tuple[int, int]] = []
    for _ in array.stream_chunks(
        state=stream.state(), progress=lambda e: told.append((e.nchunks, e.max_nchunks))
    ):
        pass
    assert told == [(n, 10) for n in (5, 6, 7, 8, 9, 10, 10)]


def test_a_state_of_something_else_is_refused() -> None:
    array = zlab.create_array({}, data=np.arange(1, 21), chunks=2)
    state = array.stream_chunks().state()
    other = zlab.create_array({}, data=np.arange(1, 21), chunks=2)
    with pytest.raises(ValueError, match="another array"):
        other.stream_chunks(state=state)
    with pytest.raises(ValueError, match="another region"):
        array.stream_chunks(state=state, region=slice(0, 4))
    with pytest.raises(ValueError, match="another order"):
        array.stream_chunks(state=state, ordered=False)
    with pytest.raises(ValueError, match="other pieces"):
        array.stream_chunks(state=state, by="shard")
    with pytest.raises(ValueError, match="version 7"):
        array.stream_chunks(state={**state, "v": 7})
    for done in (None, 3, [[0]], [["a", "b"]], [[3, 2]], [[0, 11]], [[-1, 2]]):
        with pytest.raises(ValueError, match="state is broken"):
            array.stream_chunks(state={**state, "done": done})
    with pytest.raises(TypeError, match="state must be"):
        array.stream_chunks(state="c/4")  # type: ignore[arg-type]


def test_an_array_that_was_created_anew_is_another_one() -> None:
    store = MemoryStore()
    state = zlab.create_array(store, data=np.arange(1, 21), chunks=2).stream_chunks().state()
    zlab.open_array(store).stream_chunks(state=state)
    again = zlab.create_array(store, data=np.arange(1, 21), chunks=4, overwrite=True)
    with pytest.raises(ValueError, match="created anew"):
        again.stream_chunks(state=state)
    # what says nothing of the chunks may change
    same = zlab.create_array(store, data=np.arange(1, 21), chunks=2, overwrite=True)
    same.attrs["title"] = "counted"
    assert len(list(zlab.open_array(store).stream_chunks(state=state))) == 10


GO_ON = """
import json, sys
import zlab
array = zlab.open_array(sys.argv[1])
stream = array.stream_chunks(state=json.loads(sys.argv[2]) if len(sys.argv) > 2 else None)
for chunk in stream:
    print(chunk.coords[0])
    if chunk.coords == (7,):
        break
print(json.dumps(stream.state()))
"""


def test_another_process_goes_on(tmp_path: Path) -> None:
    path = str(tmp_path / "array.zarr")
    zlab.create_array(path, data=np.arange(1, 21), chunks=2)

    def run(*args: str) -> list[str]:
        command = [sys.executable, "-c", GO_ON, path, *args]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=120
        ).stdout.splitlines()

    *first, state = run()
    *second, _ = run(state)
    assert [int(n) for n in first + second] == list(range(10))
    assert len(second) == 2
