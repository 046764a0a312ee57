"""How long things took: a histogram of fixed relative precision, as HdrHistogram's.

Each octave of seconds has 16 buckets, so a quantile is within 3.2 % of the exact one. Histograms
are added bucket by bucket, hence those of arrays add up to those of their store without loss.
NumPy counts thousands of durations at once for a hundredth of what a call of a library each costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

_PER_OCTAVE = 16
_LOWEST = -30  # the first octave ends at 2**-30 s, about a nanosecond
_HIGHEST = 14  # the last one at 2**14 s, over four hours
_OCTAVES = _HIGHEST - _LOWEST + 1
_SIZE = _OCTAVES * _PER_OCTAVE
_TINY = 1e-300  # added, since the exponent of 0.0 is 0, and lost in any measured time


@dataclass(frozen=True, slots=True)
class Quantiles:
    """How long something took.

    Attributes:
        count: How often it happened.
        sum_s: Seconds of all.
        p50_s: The median; this and the next two are within 3.2 %.
        p90_s: Nine of ten took no longer.
        p99_s: Nor did 99 of 100.
        max_s: The longest.
    """

    count: int
    sum_s: float
    p50_s: float
    p90_s: float
    p99_s: float
    max_s: float


class Histogram:
    """Counts of durations.

    Example:
        >>> histogram = Histogram()
        >>> histogram.add([0.001, 0.002, 0.004, 0.1])
        >>> histogram.count, round(histogram.quantile(0.5), 4), histogram.max_s
        (4, 0.002, 0.1)
    """

    __slots__ = ("_counts", "count", "max_s", "sum_s")

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(_SIZE, np.int64)
        self.count = 0
        self.sum_s = 0.0
        self.max_s = 0.0

    def add(self, seconds: ArrayLike) -> None:
        """Counts durations."""
        values = np.asarray(seconds, np.float64)
        if not values.size:
            return
        mantissas, exponents = np.frexp(values + _TINY)
        # a mantissa lies in [0.5, 1)
        steps = (mantissas * (2 * _PER_OCTAVE)).astype(np.int64) - _PER_OCTAVE
        buckets = (exponents.astype(np.int64) - _LOWEST) * _PER_OCTAVE + steps
        self._counts += np.bincount(buckets.clip(0, _SIZE - 1), minlength=_SIZE)
        self.count += values.size
        self.sum_s += float(values.sum())
        self.max_s = max(self.max_s, float(values.max()))

    def merge(self, other: Histogram) -> None:
        """Adds the counts of another one."""
        self._counts += other._counts
        self.count += other.count
        self.sum_s += other.sum_s
        self.max_s = max(self.max_s, other.max_s)

    def quantile(self, q: float) -> float:
        """The duration that a share `q` of all do not exceed; 0 where there are none."""
        if not self.count:
            return 0.0
        bucket = int(np.searchsorted(self._counts.cumsum(), max(q * self.count, 1)))
        return min((_edge(bucket) + _edge(bucket + 1)) / 2, self.max_s)

    def quantiles(self) -> Quantiles:
        """The usual ones."""
        p50, p90, p99 = (self.quantile(q) for q in (0.5, 0.9, 0.99))
        return Quantiles(self.count, self.sum_s, p50, p90, p99, self.max_s)

    def octaves(self) -> Iterator[tuple[float, int]]:
        """The ends of the octaves, and how many durations are shorter than each."""
        seen = self._counts.reshape(_OCTAVES, _PER_OCTAVE).sum(axis=1).cumsum()
        # the last one is open-ended
        for octave, count in enumerate(seen[:-1].tolist()):
            yield 2.0 ** (octave + _LOWEST), count


def _edge(bucket: int) -> float:
    octave, step = divmod(bucket, _PER_OCTAVE)
    return float((1 + step / _PER_OCTAVE) * 2.0 ** (octave + _LOWEST - 1))
