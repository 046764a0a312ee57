"""Several arrays together: `zlab.stream_zip`."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import zlab
from zlab.errors import ChunkReadError
from zlab.stores.memory import MemoryStore
from zlab.stream.budget import process_held
from zlab.telemetry import capture

if TYPE_CHECKING:
    from collections.abc import Callable

    Wait = Callable[[Callable[[], object]], None]


@given(st.data())
def test_chunks_of_several_arrays_come_together(data: st.DataObject) -> None:
    shape = (data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9)))
    chunks = (data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4)))
    arrays = []
    for n in range(data.draw(st.integers(1, 3))):
        shards = (2 * chunks[0], 3 * chunks[1]) if data.draw(st.booleans()) else None
        array = zlab.create_array(
            {}, shape=shape, chunks=chunks, shards=shards, dtype=f"int{8 << n}", fill_value=n
        )
        for i, j in np.ndindex(*array.chunk_grid_shape):
            if data.draw(st.booleans()):
                rows = slice(i * chunks[0], (i + 1) * chunks[0])
                array[rows, j * chunks[1] : (j + 1) * chunks[1]] = 10 * n + 5
        arrays.append(array)
    options: dict[str, Any] = {
        "include_missing": data.draw(st.booleans()),
        "ordered": data.draw(st.sampled_from([None, True, False])),
    }
    together = zlab.stream_zip(*(array.stream_chunks(**options) for array in arrays))
    stored = [array.stored_sizes() >= 0 for array in arrays]
    wanted = {
        coords
        for coords in np.ndindex(*arrays[0].chunk_grid_shape)
        if options["include_missing"] or any(there[coords] for there in stored)
    }
    seen = []
    for item in together:
        assert len({chunk.coords for chunk in item}) == 1
        for chunk, array, there in zip(item, arrays, stored, strict=True):
            assert_array_equal(chunk.data, array[chunk.region])
            assert chunk.present == there[chunk.coords]
        seen.append(item[0].coords)
    assert len(seen) == len(set(seen))
    assert set(seen) == wanted
    if options["ordered"]:
        assert seen == sorted(seen)


def pair(n: int = 10) -> tuple[zlab.Array, zlab.Array, MemoryStore]:
    store = MemoryStore()
    group = zlab.create_group(store)
    a = group.create_array("a", data=np.arange(1, 2 * n + 1), chunks=2)
    b = group.create_array("b", data=-np.arange(1, 2 * n + 1), chunks=2)
    return a, b, store


def test_slices_of_several_arrays_come_together() -> None:
    a, _, _ = pair()
    b = zlab.create_array({}, data=np.arange(60).reshape(20, 3), chunks=(7, 2))
    slices = zlab.stream_zip(a.stream_slices(length=3), b.stream_slices(length=3))
    parts = list(slices)
    assert [(x.start, y.start) for x, y in parts] == [(n, n) for n in range(0, 20, 3)]
    assert_array_equal(np.concatenate([y.data for _, y in parts]), b[...])


def test_a_place_where_one_cannot_be_read_is_left_out_whole() -> None:
    a, b, store = pair()
    store.put("b/c/3", b"not zstd")
    store.put("a/c/5", b"not zstd")
    store.put("b/c/5", b"not zstd")
    told: list[Any] = []
    streams = [array.stream_chunks(on_error=told.append) for array in (a, b)]
    # one function for all: the streams must have been asked for alike
    together = zlab.stream_zip(*streams)
    assert [x.coords[0] for x, _ in together] == [0, 1, 2, 4, 6, 7, 8, 9]
    assert [error.coords for error in told] == [(3,), (5,)]
    assert together.report().nskipped == 2
    coords: list[Any] = []
    with pytest.raises(ChunkReadError) as caught:
        coords.extend(x.coords for x, _ in zlab.stream_zip(a.stream_chunks(), b.stream_chunks()))
    assert coords == [(0,), (1,), (2,)]
    assert (caught.value.key, caught.value.coords) == ("b/c/3", (3,))


def test_what_is_zipped_is_bounded_watched_and_left(wait_until: Wait) -> None:
    a, b, _ = pair(200)
    streams = [array.stream_chunks(max_bytes=64) for array in (a, b)]
    together = zlab.stream_zip(*streams)
    assert together.max_nchunks == 400
    held = []
    for x, y in zlab.stream_zip(*streams):
        held.append(process_held())
        assert (x.data == -y.data).all()
    assert max(held) <= 128
    assert together.map(lambda item: item[0].coords[0], workers=1).reduce(max, 0) == 199
    with capture("stream.st*") as captured:
        for _ in together:
            break
    assert [event.kind for event in captured.events] == ["together", "together"]
    wait_until(lambda: process_held() == 0)


def test_zipped_streams_travel_to_another_process(tmp_path: Any) -> None:
    a = zlab.create_array(str(tmp_path / "a"), data=np.arange(6), chunks=2)
    b = zlab.create_array(str(tmp_path / "b"), data=np.arange(6), chunks=2)
    stream = zlab.stream_zip(a.stream_chunks(), b.stream_chunks())
    again = pickle.loads(pickle.dumps(stream))  # noqa: S301
    assert [x.coords for x, _ in again] == [(0,), (1,), (2,)]


def test_streams_that_do_not_fit_are_refused() -> None:
    a, b, _ = pair()
    begun = b.stream_chunks()
    for _ in begun:
        break
    other = zlab.create_array({}, data=np.arange(20), chunks=3)
    with pytest.raises(ValueError, match="the same chunks"):
        zlab.stream_zip(a.stream_chunks(), other.stream_chunks())
    with pytest.raises(ValueError, match="the same region"):
        zlab.stream_zip(a.stream_chunks(), b.stream_chunks(region=slice(0, 4)))
    with pytest.raises(ValueError, match="the same on_error"):
        zlab.stream_zip(a.stream_chunks(), b.stream_chunks(on_error="skip"))
    with pytest.raises(ValueError, match="the same include_missing"):
        zlab.stream_zip(a.stream_chunks(), b.stream_chunks(include_missing=True))
    with pytest.raises(ValueError, match="the same length"):
        zlab.stream_zip(a.stream_slices(length=2), b.stream_slices(length=3))
    with pytest.raises(ValueError, match="go on from a state"):
        zlab.stream_zip(a.stream_chunks(), b.stream_chunks(state=begun.state()))
    with pytest.raises(TypeError, match=r"streams\[1\]"):
        zlab.stream_zip(a.stream_chunks(), b.stream_slices())
    with pytest.raises(TypeError, match=r"streams\[0\]"):
        zlab.stream_zip(a)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no streams"):
        zlab.stream_zip()
