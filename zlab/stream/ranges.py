"""Sets of whole numbers that lie mostly together."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@final
class Ranges:
    """Whole numbers from 0 on, kept as the ranges that they make.

    Args:
        pairs: Ranges to begin with, as their first number and the one behind their last.

    Example:
        >>> done = Ranges([(0, 3)])
        >>> done.add(5, 6)
        >>> list(done), list(done.gaps(8)), done.count, 5 in done
        ([(0, 3), (5, 6)], [(3, 5), (6, 8)], 4, True)
        >>> done.add(2, 5)
        >>> list(done)
        [(0, 6)]
    """

    __slots__ = ("_starts", "_stops")

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        for start, stop in pairs:
            self.add(start, stop)

    def add(self, start: int, stop: int) -> None:
        """Adds the numbers from `start` up to the one before `stop`."""
        starts, stops = self._starts, self._stops
        if start >= stop:
            return
        if stops and stops[-1] == start:  # nearly always the next ones
            stops[-1] = stop
            return
        first, last = bisect_left(stops, start), bisect_right(starts, stop)
        if first < last:
            start, stop = min(start, starts[first]), max(stop, stops[last - 1])
        starts[first:last] = [start]
        stops[first:last] = [stop]

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._starts, number) - 1
        return place >= 0 and number < self._stops[place]

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The ranges in order, none of which touches the next."""
        return zip(self._starts, self._stops, strict=True)

    @property
    def count(self) -> int:
        """How many numbers there are; it may be beyond what `len` can tell."""
        return sum(self._stops) - sum(self._starts)

    def gaps(self, stop: int) -> Iterator[tuple[int, int]]:
        """The ranges of numbers below `stop` that are not there."""
        at = 0
        for begin, end in self:
            if begin >= stop:
                break
            if at < begin:
                yield at, begin
            at = end
        if at < stop:
            yield at, stop

    def copy(self) -> Ranges:
        """The same numbers, apart from what is added to either later."""
        return Ranges(self)
