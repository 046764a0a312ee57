"""Which ranges of a shard are asked for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.engine.shards import coalesce


@given(
    places=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 80)), max_size=30),
    gap=st.integers(0, 60),
    limit=st.integers(1, 300),
)
def test_neighbours_are_asked_for_together(
    places: list[tuple[int, int]], gap: int, limit: int
) -> None:
    offsets = np.array([offset for offset, _ in sorted(places)], np.int64)
    lengths = np.array([length for _, length in sorted(places)], np.int64)
    ends = offsets + lengths
    with zlab.settings.override(coalesce_gap=gap, coalesce_limit=limit):
        groups = list(coalesce(offsets, lengths))
    assert [n for some in groups for n in range(some.start, some.stop)] == list(range(len(places)))
    for some in groups:
        alone = some.stop - some.start == 1
        assert alone or ends[some].max() - offsets[some.start] <= limit
        for n in range(some.start + 1, some.stop):
            assert offsets[n] - ends[some.start : n].max() <= gap
    for before, after in pairwise(groups):
        end = ends[: before.stop].max()
        together = max(end, ends[after.start]) - offsets[before.start]
        assert offsets[after.start] - end > gap or together > limit
