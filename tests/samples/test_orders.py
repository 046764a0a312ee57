"""How random the orders are, with fixed seeds."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import zlab
from zlab.samples import stream_samples


def order(n: int, chunk: int, seed: int, epochs: int = 1, **kwargs: Any) -> list[list[int]]:
    layout = zlab.create_array({}, data=np.arange(n, dtype="int32"), chunks=chunk).layout
    stream = stream_samples([layout], n, seed=seed, epochs=epochs, **kwargs)
    return [batch.indices.tolist() for batch in stream]


@pytest.mark.parametrize(("shuffle", "chunk"), [("global", 3), ("window", 3), ("window", 1)])
def test_all_orders_of_three_samples_are_about_equally_frequent(shuffle: Any, chunk: int) -> None:
    layout = zlab.create_array({}, data=np.arange(3), chunks=chunk).layout
    stream = stream_samples([layout], 3, shuffle=shuffle, seed=5, epochs=None)
    seen = Counter(
        tuple(next(stream.at(stream.start.moved(epoch, (0,) * stream.lanes))._epochs.batches()))
        for epoch in range(600)
    )
    # with a lane for each of three chunks their order is the blocks'
    assert len(seen) == 6
    # 100 each are expected, and 6 standard deviations are 55
    assert all(abs(n - 100) < 55 for n in seen.values())


@pytest.mark.parametrize("shuffle", ["global", "window"])
def test_a_sample_comes_anywhere_in_its_epoch(shuffle: Any) -> None:
    layout = zlab.create_array({}, data=np.arange(64), chunks=4).layout
    stream = stream_samples([layout], 64, shuffle=shuffle, seed=1, epochs=None)
    counts = np.zeros((64, 8), int)
    for epoch in range(400):
        epochs = stream.at(stream.start.moved(epoch, (0,) * stream.lanes))._epochs
        (indices,) = epochs.batches()
        places = np.empty(64, int)
        places[indices] = np.arange(64)
        counts[np.arange(64), places // 8] += 1
    # each sample in each eighth 50 times; of 64 samples with 7 degrees of freedom each, the sum
    # has mean 448 and standard deviation 30
    chi_square = ((counts - 50) ** 2 / 50).sum()
    assert 448 - 6 * 30 < chi_square < 448 + 6 * 30


@pytest.mark.parametrize("shuffle", ["global", "window"])
def test_seeds_and_epochs_have_orders_of_their_own(shuffle: Any) -> None:
    first, second = order(200, 8, 1, epochs=2, shuffle=shuffle)
    (other,) = order(200, 8, 2, shuffle=shuffle)
    assert sorted(first) == sorted(second) == sorted(other) == list(range(200))
    assert first != second
    assert first != other
    for one in (first, second, other):
        assert abs(np.corrcoef(one, np.arange(200))[0, 1]) < 0.25


def test_randomness_tells_how_many_samples_of_a_batch_share_a_chunk() -> None:
    layout = zlab.create_array({}, data=np.arange(6400), chunks=100).layout

    def randomness(shuffle: Any) -> Any:
        return stream_samples([layout], 64, shuffle=shuffle, seed=0).randomness(100)

    assert randomness("none") == (40, 1.6, 1)
    # 64 chunks, 64 lanes, and a sample of each in a batch
    assert randomness("window") == (1, 64, 1)
    # 64 balls in 64 boxes fill 40.6 of them
    assert 1.5 < randomness("global").per_chunk < 1.65
    assert 38 < randomness("global").chunks < 43
    assert randomness("global").decodes == 1
