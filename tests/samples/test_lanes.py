from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zlab.samples.lanes import filled, in_turn, is_even, nbatches_left

if TYPE_CHECKING:
    from numpy.typing import NDArray

lanes = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=6)


def one_by_one(
    positions: NDArray[np.int64], lengths: NDArray[np.int64], n: int
) -> list[tuple[int, int]]:
    """The oracle: always the first lane of those that have given least and have some left."""
    now = positions.tolist()
    taken = []
    for _ in range(n):
        left = [(at, lane) for lane, at in enumerate(now) if at < lengths[lane]]
        if not left:
            break
        at, lane = min(left)
        now[lane] += 1
        taken.append((lane, at))
    return taken


@given(lanes, st.integers(0, 40))
def test_lanes_are_taken_from_in_turn(pairs: list[tuple[int, int]], n: int) -> None:
    positions = np.asarray([min(pair) for pair in pairs], np.int64)
    lengths = np.asarray([max(pair) for pair in pairs], np.int64)
    after = filled(positions, lengths, n)
    taken = one_by_one(positions, lengths, n)
    assert list(zip(*(part.tolist() for part in in_turn(positions, after)), strict=True)) == taken
    assert (after <= lengths).all()
    # in two steps it is the same
    middle = filled(positions, lengths, n // 2)
    assert (filled(middle, lengths, n - n // 2) == after).all()


def test_lanes_far_apart_take_no_table_between_them() -> None:
    before, after = np.asarray([0, 10**12]), np.asarray([2, 10**12 + 2])
    assert [part.tolist() for part in in_turn(before, after)] == [
        [0, 0, 1, 1],
        [0, 1, 10**12, 10**12 + 1],
    ]


def test_even_lanes() -> None:
    assert is_even(np.asarray([4, 4, 4]))
    assert is_even(np.asarray([5, 4, 4]))
    assert not is_even(np.asarray([4, 5, 5]))
    assert not is_even(np.asarray([6, 5, 4]))


def test_hosts_agree_on_the_batches_that_all_can_make() -> None:
    lengths, positions = np.asarray([10, 7, 10, 3]), np.asarray([0, 0, 2, 0])
    # lanes 0 and 2 have 18 left, 1 and 3 have 10
    assert nbatches_left(lengths, positions, 8, 2, drop_remainder=True) == 2
    assert nbatches_left(lengths, positions, 8, 1, drop_remainder=True) == 3
    assert nbatches_left(lengths, positions, 8, 1, drop_remainder=False) == 4
