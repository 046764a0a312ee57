from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.samples.permutation import Permutation


@given(st.integers(0, 2000), st.integers(0, 2**64))
def test_every_number_comes_once(n: int, seed: int) -> None:
    assert sorted(Permutation(n, np.random.SeedSequence(seed))) == list(range(n))


def test_the_seed_determines_the_order() -> None:
    orders = [list(Permutation(1000, np.random.SeedSequence(seed))) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_10_to_the_12_numbers_take_no_memory() -> None:
    order = Permutation(10**12, np.random.SeedSequence(0))
    numbers = [order[place] for place in range(1000)]
    assert len(set(numbers)) == 1000
    assert all(0 <= number < 10**12 for number in numbers)


def test_all_orders_of_three_numbers_are_about_equally_frequent() -> None:
    seen = Counter(tuple(Permutation(3, np.random.SeedSequence(seed))) for seed in range(1200))
    assert len(seen) == 6
    # 200 each are expected, and 6 standard deviations are 77
    assert all(abs(n - 200) < 77 for n in seen.values())


def test_neighbours_are_apart() -> None:
    order = list(Permutation(10_000, np.random.SeedSequence(5)))
    distances = [abs(a - b) for a, b in pairwise(order)]
    # two random numbers below n are n / 3 apart on average
    assert abs(np.mean(distances) - 10_000 / 3) < 150


@pytest.mark.parametrize("place", [-1, 5])
def test_a_place_outside_is_an_error(place: int) -> None:
    with pytest.raises(IndexError, match=f"place {place} of a permutation of 5"):
        Permutation(5, np.random.SeedSequence(0))[place]
