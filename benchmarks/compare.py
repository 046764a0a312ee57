"""zlab against the fastest peer of a row, and against the codec floor."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from benchmarks.rows import FLOORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchmarks.measure import Result


@dataclass(frozen=True)
class Comparison:
    """How zlab does in a row; of ratios, less is better for zlab.

    Attributes:
        zlab: Its result.
        fastest: The peer with the least seconds by the clock.
        thriftiest: The peer with the least seconds of all threads.
        floor: What nobody can be faster than, in rows that have it.
    """

    zlab: Result
    fastest: Result | None
    thriftiest: Result | None
    floor: Result | None

    @property
    def ratio(self) -> float | None:
        """Seconds by the clock of zlab to the fastest peer's."""
        return None if self.fastest is None else self.zlab.median_s / self.fastest.median_s

    @property
    def cpu_ratio(self) -> float | None:
        """Seconds of all threads of zlab to the thriftiest peer's."""
        return None if self.thriftiest is None else self.zlab.cpu_s / self.thriftiest.cpu_s

    @property
    def floor_ratio(self) -> float | None:
        """Seconds by the clock of zlab to the floor's."""
        return None if self.floor is None else self.zlab.median_s / self.floor.median_s


def compare(results: Iterable[Result]) -> Iterator[Comparison]:
    """A comparison for each row that zlab can do; the first contender of a row is zlab."""
    for _, group in groupby(results, key=attrgetter("row")):
        zlab, *others = group
        if zlab.cannot is not None:
            continue
        able = [other for other in others if other.cannot is None]
        peers = [other for other in able if other.contender not in FLOORS and not _is_zlab(other)]
        yield Comparison(
            zlab,
            fastest=min(peers, key=attrgetter("median_s"), default=None),
            thriftiest=min(peers, key=attrgetter("cpu_s"), default=None),
            floor=next((other for other in able if other.contender in FLOORS), None),
        )


def _is_zlab(result: Result) -> bool:
    """Whether it is zlab's engine, by whatever door."""
    return "zlab" in result.contender
