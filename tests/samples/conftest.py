"""What every test of samples leaves behind: nothing. And arrays whose samples say their index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab
from zlab.stores.memory import MemoryStore
from zlab.stream.budget import process_held
from zlab.testing import LatencyStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zlab.samples import SampleBatch, SampleStream


@pytest.fixture(autouse=True)
def _gives_everything_back(wait_until: Callable[[Callable[[], object]], None]) -> Iterator[None]:
    yield
    # what is being loaded when a stream is closed is given back when it is there
    wait_until(lambda: process_held() == 0)


def _aligned(
    n: int, chunks: Sequence[int], *, shards: int | None = None, far: bool = False
) -> list[zlab.Array]:
    """Arrays of one length, each in its own chunks, whose samples tell their index."""
    store = MemoryStore()
    group = zlab.create_group(LatencyStore(store, 0) if far else store)
    arrays = []
    for number, length in enumerate(chunks):
        width = 1 + number % 2
        values = np.repeat(np.arange(n, dtype="int32"), width * 2).reshape(n, width, 2)
        array = group.create_array(
            f"a{number}",
            shape=values.shape,
            dtype="int32",
            chunks=(length, 1, 2),
            shards=None if shards is None else (length * shards, width, 2),
        )
        array.write(..., values, write_empty_chunks=True)
        arrays.append(array)
    return arrays


def _oracle(values: np.ndarray[Any, Any], stream: SampleStream) -> np.ndarray[Any, Any]:
    """All samples that an array in memory has, cut by NumPy: the oracle."""
    placement = stream.placements[0]
    parts = []
    for coords in np.ndindex(*stream.grid.shape):
        index: list[Any] = [slice(first, first + n) for first, n in placement.crop]
        for c, a, axis in zip(coords, placement.sampled, stream.grid.axes, strict=True):
            if axis.window is None:
                index[a] = c
            else:
                start = c * axis.step + placement.crop[a][0]
                index[a] = slice(start, start + placement.crop[a][1])
        parts.append(values[tuple(index)])
    if not parts:
        return np.empty((0, *placement.sample_shape), values.dtype)
    return np.stack(parts)


def _check(batch: SampleBatch) -> None:
    """All arrays of `aligned` have the samples that the batch says, in aligned memory."""
    for part in batch.arrays:
        assert part.shape[0] == len(batch.indices)
        assert part.ctypes.data % 64 == 0
        assert part.flags.c_contiguous
        assert (part == batch.indices[:, None, None]).all()


@pytest.fixture(scope="session")
def aligned() -> Callable[..., list[zlab.Array]]:
    """Makes arrays of one length, each in its own chunks, whose samples tell their index."""
    return _aligned


@pytest.fixture(scope="session")
def oracle() -> Callable[[np.ndarray[Any, Any], SampleStream], np.ndarray[Any, Any]]:
    """All samples that an array in memory has."""
    return _oracle


@pytest.fixture(scope="session")
def check() -> Callable[[SampleBatch], None]:
    """Asserts that the arrays of a batch have the samples that it says."""
    return _check
