from __future__ import annotations

from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.stream.assembly import Coverage, chunks_of, number_of, whole_chunk

edges = st.integers(0, 6)


@given(st.lists(st.tuples(edges, edges, edges, edges), max_size=12))
def test_boxes_cover_what_a_mask_says(corners: list[tuple[int, int, int, int]]) -> None:
    coverage, mask = Coverage(), np.zeros((7, 7), bool)
    for a, b, c, d in corners:
        box = ((min(a, b), max(a, b) + 1), (min(c, d), max(c, d) + 1))
        part = mask[slice(*box[0]), slice(*box[1])]
        assert coverage.add(box) is not bool(part.any())
        if not part.any():
            part[...] = True
        assert coverage.size == mask.sum()
    assert sum(prod(b - a for a, b in box) for box in coverage.boxes) == mask.sum()


def test_a_chunk_that_comes_slice_by_slice_is_one_box() -> None:
    coverage = Coverage()
    for row in np.random.default_rng(0).permutation(50):
        coverage.add(((row, row + 1), (0, 9)))
    assert coverage.boxes == [((0, 50), (0, 9))]


def test_the_chunks_of_a_shard_are_those_in_the_array() -> None:
    array = zlab.create_array({}, shape=(7, 5), chunks=(2, 2), shards=(4, 4), dtype="i1")
    assert chunks_of(array.layout, (0, 0)) == (range(2), range(2))
    assert chunks_of(array.layout, (1, 1)) == (range(2, 4), range(2, 3))
    job = whole_chunk(array.layout, (3, 2))
    assert (job.target, job.whole, job.covers) == ((slice(0, 1), slice(0, 1)), False, True)
    assert [number_of(c, (2, 3)) for c in np.ndindex(2, 3)] == list(range(6))
