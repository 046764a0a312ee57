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


@given(st.integers(1, 3000), st.integers(0, 2**64))
def test_many_places_at_once_are_the_same(n: int, seed: int) -> None:
    order = Permutation(n, np.random.SeedSequence(seed))
    places = np.arange(n)
    assert order.take(places).tolist() == list(order)
    assert order.places_of(order.take(places)).tolist() == places.tolist()


@pytest.mark.parametrize("n", [2**31, 2**32 + 5, 10**12, 2**62, 2**63 - 1])
def test_many_places_of_many_numbers(n: int) -> None:
    order = Permutation(n, np.random.SeedSequence(4))
    places = np.asarray([0, 1, n // 2, n - 1])
    taken = order.take(places)
    assert taken.tolist() == [order[place] for place in places.tolist()]
    assert (order.places_of(taken) == places).all()
    assert order.take(np.empty(0, np.int64)).tolist() == []


def test_a_place_outside_is_an_error_among_others() -> None:
    order = Permutation(5, np.random.SeedSequence(0))
    with pytest.raises(IndexError, match="place 5 of a permutation of 5"):
        order.take(np.asarray([0, 5]))
