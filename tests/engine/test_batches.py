"""Small chunks that are decoded many at a time: what is read is what is read one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zlab
from zlab.errors import ChunkReadError
from zlab.telemetry.events import ChunkRead

SHAPE, CHUNKS = (60, 50), (4, 4)
VALUES = np.arange(3000, dtype="int32").reshape(SHAPE)


def make(*, shards: tuple[int, int] | None) -> Any:
    array = zlab.create_array({}, shape=SHAPE, chunks=CHUNKS, shards=shards, dtype="int32")
    array[...] = VALUES
    assert array.layout.batch_length == 64
    return array


@pytest.mark.parametrize("shards", [None, (32, 52)])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "selection",
    [
        np.s_[...],
        np.s_[3:-3, 5:7],
        np.s_[::7, ::3],
        np.s_[::-1, -1],
        ([1, 59, 3], slice(None)),
    ],
)
def test_every_selection(shards: Any, threads: int, selection: Any) -> None:
    array = make(shards=shards)
    with zlab.settings.override(threads=threads):
        np.testing.assert_array_equal(array[selection], VALUES[selection])


@pytest.mark.parametrize("shards", [None, (32, 52)])
def test_absent_chunks_among_them_are_filled(shards: Any) -> None:
    array = zlab.create_array(
        {}, shape=SHAPE, chunks=CHUNKS, shards=shards, dtype="int32", fill_value=-1
    )
    array[8:12] = 5
    array[:, 20:21] = 7
    expected = np.full(SHAPE, -1)
    expected[8:12] = 5
    expected[:, 20:21] = 7
    np.testing.assert_array_equal(array[...], expected)


def test_a_corrupt_chunk_among_them_is_named() -> None:
    array = make(shards=None)
    key = array.layout.key((3, 6))
    array.store.put(key, bytes(array.store.get(key))[:-2])
    with pytest.raises(ChunkReadError, match="zstd") as caught:
        _ = array[...]
    assert caught.value.coords == (3, 6)
    assert caught.value.key == "c/3/6"


def test_every_chunk_is_recorded() -> None:
    array = make(shards=None)
    with zlab.telemetry.capture() as captured:
        _ = array[...]
    chunks = [event for event in captured.events if isinstance(event, ChunkRead)]
    assert len(chunks) == len({chunk.coords for chunk in chunks}) == 15 * 13
    assert sum(chunk.nbytes for chunk in chunks) == VALUES.nbytes
