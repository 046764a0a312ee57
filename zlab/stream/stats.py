"""Statistics of arrays that are read piece by piece."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from zlab.errors import DataTypeError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Stats:
    """Statistics of many numbers.

    Attributes:
        count: How many there are.
        sum: Their sum: exact for integers, else of 64 bits.
        mean: Their mean, NaN of none.
        min: The least, `None` of none.
        max: The greatest, `None` of none.
        m2: The sum of the squared differences from the mean.
    """

    count: int = 0
    sum: int | float = 0
    mean: float = nan
    min: Any = None
    max: Any = None
    m2: float = 0.0

    @property
    def var(self) -> float:
        """The variance, of the population."""
        return self.m2 / self.count if self.count else nan

    @property
    def std(self) -> float:
        """The standard deviation, of the population."""
        return sqrt(self.var)


def values_of(item: Any) -> NDArray[Any]:
    """The values of a stream's item: a chunk's or slice's data, or what is itself an array."""
    is_piece = not isinstance(item, (np.ndarray, np.generic)) and hasattr(item, "data")
    return np.asarray(item.data if is_piece else item)


def stats_of(item: Any, *, skipna: bool) -> Stats:
    """The statistics of one item.

    Raises:
        DataTypeError: Its values are no real numbers.
    """
    values = values_of(item)
    if values.dtype.kind not in "biuf" and values.dtype.isbuiltin != 2:  # noqa: PLR2004  ml_dtypes'
        raise DataTypeError(
            f"there are no statistics of {values.dtype}",
            hint="Turn the values into real numbers first, with map()",
        )
    if values.dtype.isbuiltin == 2 or values.dtype == np.float16:  # noqa: PLR2004
        values = values.astype(np.float32)
    if skipna and values.dtype.kind == "f":
        values = values[~np.isnan(values)]
    if not values.size:
        return Stats()
    # what infinities make of a variance is NaN, and no news
    with np.errstate(invalid="ignore", over="ignore"):
        mean = values.mean(dtype=np.float64)
        off = values - mean
        is_float = values.dtype.kind == "f"
        return Stats(
            values.size,
            float(values.sum(dtype=np.float64)) if is_float else _integer_sum(values),
            float(mean),
            values.min().item(),
            values.max().item(),
            float(np.vdot(off, off)),
        )


def _integer_sum(values: NDArray[Any]) -> int:
    """The sum in Python's integers: two halves of each number never leave 64 bits."""
    if values.dtype.itemsize < 8:  # noqa: PLR2004
        return int(values.sum(dtype=np.int64))
    high, low = values >> 32, values & 0xFFFFFFFF
    return (int(high.sum()) << 32) + int(low.sum())


def merged(one: Stats, other: Stats) -> Stats:
    """The statistics of two sets of numbers together.

    Source: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing
    Sample Variances", 1979.
    """
    if not one.count or not other.count:
        return one if one.count else other
    count = one.count + other.count
    apart = other.mean - one.mean
    return Stats(
        count,
        one.sum + other.sum,
        one.mean + apart * other.count / count,
        # NaN is passed on, and nothing compares as true with it
        one.min if one.min != one.min or one.min <= other.min else other.min,
        one.max if one.max != one.max or one.max >= other.max else other.max,
        one.m2 + other.m2 + apart * apart * one.count * other.count / count,
    )
