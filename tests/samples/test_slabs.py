"""Slabs: what is read at once of samples in order."""

from __future__ import annotations

from itertools import islice, repeat

import pytest

import zlab
from zlab.samples import stream_samples
from zlab.samples.slabs import SlabPlan, growing


def _rows_of_slabs(limits: list[int], batch_size: int) -> list[int]:
    # a row is 32 KiB, and four of them are a chunk
    array = zlab.create_array({}, shape=(100, 1 << 15), chunks=(4, 1 << 15), dtype="uint8")
    stream = stream_samples([array.layout], batch_size)
    plan = SlabPlan(stream.placements[0])
    (epoch,) = stream._epochs_from_here()
    several = [*limits[:-1], *repeat(limits[-1], 100)]
    return [slab.stop - slab.start for slab in plan.slabs(epoch, iter(several))]


@pytest.mark.parametrize(
    ("first", "most", "limits"),
    [
        (1 << 20, 4 << 20, [1 << 20, 2 << 20, 4 << 20, 4 << 20]),
        (3 << 20, 4 << 20, [3 << 20, 4 << 20, 4 << 20, 4 << 20]),
        (1, 1 << 19, [1 << 18, 1 << 19, 1 << 19, 1 << 19]),
        (1 << 20, 1000, [1000, 1000, 1000, 1000]),
    ],
)
def test_limits_double_up_to_the_most(first: int, most: int, limits: list[int]) -> None:
    assert list(islice(growing(first, most), 4)) == limits


def test_the_first_batch_waits_for_its_own_chunks_alone() -> None:
    assert _rows_of_slabs([1 << 18, 1 << 19, 1 << 20], 8) == [8, 8, 16, 16, 16, 16, 16, 4]


def test_slabs_are_chunks_where_these_are_larger() -> None:
    assert _rows_of_slabs([1], 2) == [4] * 25
