from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from zlab.stream.ranges import Ranges

pairs = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6)), max_size=20)


@given(pairs)
def test_ranges_are_the_set_of_their_numbers(added: list[tuple[int, int]]) -> None:
    ranges, numbers = Ranges(), set[int]()
    for start, n in added:
        ranges.add(start, start + n)
        numbers |= set(range(start, start + n))
    assert ranges.count == len(numbers)
    assert bool(ranges) == bool(numbers)
    assert [n for n in range(50) if n in ranges] == sorted(numbers)
    kept = list(ranges)
    assert kept == sorted(kept)
    # none touches the next, so that there are as few as can be
    assert all(stop < start for (_, stop), (start, _) in pairwise(kept))
    missing = [n for start, stop in ranges.gaps(45) for n in range(start, stop)]
    assert missing == [n for n in range(45) if n not in numbers]


def test_a_copy_goes_its_own_way() -> None:
    one = Ranges([(0, 3)])
    other = one.copy()
    other.add(3, 5)
    assert (list(one), list(other)) == ([(0, 3)], [(0, 5)])


def test_numbers_beyond_64_bits() -> None:
    ranges = Ranges([(0, 10**30)])
    assert ranges.count == 10**30
    assert 10**29 in ranges
    assert list(ranges.gaps(10**30 + 2)) == [(10**30, 10**30 + 2)]
