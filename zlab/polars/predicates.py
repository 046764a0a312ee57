"""Which parts of a table can hold rows that a predicate keeps, told from bounds of their columns.

A predicate is a small tree of what `zlab.polars.parse` understood; whatever it did not, is
`Unknown`. The tree is asked in three-valued logic: of each part of the table, whether the predicate
may be true for some row, and whether it may be false. A row for which it is null is neither. What
is unknown may be both, so it keeps the part.

Values are compared by Polars itself, in its order, in which NaN is the greatest value and equal to
itself. Bounds of `f(column)` are those of the column put into `f`, if `f` keeps the order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, final

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]


class Bounds(NamedTuple):
    """What is known of a column in some parts of a table.

    Attributes:
        low: The least value that is not null, or one below it, in the column's type.
        high: The greatest value that is not null, or one above it; NaN if there may be one.
        known: In which parts these, and what follows, are true. In others nothing is known.
        has_values: Whether there may be values that are not null; where not, bounds mean nothing.
        has_nulls: Whether there may be nulls.
    """

    low: pl.Series
    high: pl.Series
    known: Mask
    has_values: Mask
    has_nulls: Mask


def taken(bounds: Bounds, parts: NDArray[np.int64]) -> Bounds:
    """What is known of some of the parts, by their numbers."""
    low, high, *masks = bounds
    return Bounds(low.gather(parts), high.gather(parts), *(mask[parts] for mask in masks))


def concatenated(bounds: list[Bounds]) -> Bounds:
    """What is known of the parts of several, one behind another."""
    low, high, *masks = zip(*bounds, strict=True)
    return Bounds(pl.concat(low), pl.concat(high), *map(np.concatenate, masks))


class Truth(NamedTuple):
    """Whether a predicate may be true, and whether it may be false, for a row of each part."""

    true: Mask
    false: Mask


class Parts(NamedTuple):
    """Some parts of a table: how many there are, and what is known of columns."""

    n: int
    bounds: Mapping[str, Bounds]

    def all(self) -> Mask:
        """A mask of all of them."""
        return np.ones(self.n, np.bool_)


class Predicate(ABC):
    """A predicate, as far as it is understood."""

    @abstractmethod
    def truth(self, parts: Parts) -> Truth:
        """What it may be in each part."""

    @property
    def columns(self) -> frozenset[str]:
        """The columns whose bounds tell something."""
        return frozenset()

    def may_match(self, n: int, bounds: Mapping[str, Bounds]) -> Mask:
        """Which of some parts may hold rows for which the predicate is true.

        Args:
            n: How many parts there are.
            bounds: By column name; columns that are not there are not known.
        """
        try:
            return self.truth(Parts(n, bounds)).true
        except PolarsError:
            # an error of the predicate is raised by the rows that it meets, if it meets them
            return np.ones(n, np.bool_)


@final
@dataclass(frozen=True, slots=True)
class Unknown(Predicate):
    """What is not understood."""

    def truth(self, parts: Parts) -> Truth:
        """It may be both."""
        return Truth(parts.all(), parts.all())


@final
@dataclass(frozen=True, slots=True)
class Constant(Predicate):
    """`True`, `False` or null."""

    value: bool | None

    def truth(self, parts: Parts) -> Truth:
        """What it may be in each part."""
        return Truth(parts.all() & (self.value is True), parts.all() & (self.value is False))


@final
@dataclass(frozen=True, slots=True)
class And(Predicate):
    """`left & right`."""

    left: Predicate
    right: Predicate

    @property
    def columns(self) -> frozenset[str]:
        """Those of its operands."""
        return self.left.columns | self.right.columns

    def truth(self, parts: Parts) -> Truth:
        """What it may be in each part."""
        one, other = self.left.truth(parts), self.right.truth(parts)
        return Truth(one.true & other.true, one.false | other.false)


@final
@dataclass(frozen=True, slots=True)
class Not(Predicate):
    """`~operand`."""

    operand: Predicate

    @property
    def columns(self) -> frozenset[str]:
        """Those of its operands."""
        return self.operand.columns

    def truth(self, parts: Parts) -> Truth:
        """What it may be in each part."""
        true, false = self.operand.truth(parts)
        return Truth(false, true)


@final
@dataclass(frozen=True, slots=True)
class Choice(Predicate):
    """`when(condition).then(chosen).otherwise(rest)`: Polars makes one of what is constant."""

    condition: Predicate
    chosen: Predicate
    rest: Predicate

    @property
    def columns(self) -> frozenset[str]:
        """Those of its operands."""
        return self.condition.columns | self.chosen.columns | self.rest.columns

    def truth(self, parts: Parts) -> Truth:
        """What it may be in each part."""
        when = self.condition.truth(parts).true
        chosen, rest = self.chosen.truth(parts), self.rest.truth(parts)
        # a condition that is null takes the other way too
        return Truth((when & chosen.true) | rest.true, (when & chosen.false) | rest.false)


@final
@dataclass(frozen=True, slots=True)
class Term:
    """A literal, or a function of one column that keeps the order and makes no nulls.

    Attributes:
        expr: The expression.
        column: The column's name, `None` for a literal.
        dtype: The type of its values.
        limit: How large a value of the column may be, counted as an integer, without which the
            function would leave 64 bits; `None` where it cannot.
    """

    expr: pl.Expr
    column: str | None
    dtype: pl.DataType
    limit: int | None = None

    @property
    def columns(self) -> frozenset[str]:
        """The column, or none."""
        return frozenset() if self.column is None else frozenset({self.column})

    def bounds(self, parts: Parts) -> Bounds:
        """Bounds of its values in each part."""
        if self.column is None:
            value = pl.select(self.expr).to_series()
            values = value.new_from_index(0, parts.n)
            is_null = parts.all() & (value[0] is None)
            return Bounds(values, values, parts.all(), ~is_null, is_null)
        bounds = parts.bounds.get(self.column)
        if bounds is None:
            nothing = pl.Series([None], dtype=self.dtype).new_from_index(0, parts.n)
            return Bounds(nothing, nothing, ~parts.all(), parts.all(), parts.all())
        known = bounds.known
        if self.limit is not None:
            for end in (bounds.low, bounds.high):
                inside = end.to_physical().is_between(-self.limit, self.limit)
                known = known & _mask(inside.fill_null(value=True))
        low, high = self._of(bounds.low), self._of(bounds.high)
        for end, before in ((low, bounds.low), (high, bounds.high)):
            # years of times that are too far away are null
            known = known & ~_mask(end.is_null() & before.is_not_null())
        return bounds._replace(low=low, high=high, known=known)

    def _of(self, values: pl.Series) -> pl.Series:
        return pl.DataFrame([values.alias(self.column or "")]).select(self.expr).to_series()


YES = Term(pl.lit(value=True), None, pl.Boolean())
"""The literal `True`, which columns of booleans are compared with."""


@final
@dataclass(frozen=True, slots=True)
class Compare(Predicate):
    """`left < right` (`Lt`), `left <= right` (`LtEq`) or `left == right` (`Eq`)."""

    op: str
    left: Term
    right: Term

    @property
    def columns(self) -> frozenset[str]:
        """Those of its operands."""
        return self.left.columns | self.right.columns

    def truth(self, parts: Parts) -> Truth:
        """What it may be in each part."""
        one, other = self.left.bounds(parts), self.right.bounds(parts)
        if self.op == "Lt":
            true, false = one.low < other.high, one.high >= other.low
        elif self.op == "LtEq":
            true, false = one.low <= other.high, one.high > other.low
        else:
            true = (one.low <= other.high) & (one.high >= other.low)
            false = ~((one.low == one.high) & (other.low == other.high) & (one.low == other.low))
        either = ~(one.known & other.known)
        both = one.has_values & other.has_values
        return Truth(either | (both & _mask(true)), either | (both & _mask(false)))


@final
@dataclass(frozen=True, slots=True)
class IsIn(Predicate):
    """`term.is_in(...)`, of values that lie in some ranges: the least and the greatest of each."""

    term: Term
    ranges: tuple[tuple[pl.Series, pl.Series], ...]

    @property
    def columns(self) -> frozenset[str]:
        """Those of its operands."""
        return self.term.columns

    def truth(self, parts: Parts) -> Truth:
        """What it may be in each part."""
        bounds = self.term.bounds(parts)
        found = ~parts.all()
        for least, most in self.ranges:
            above = bounds.high >= least.new_from_index(0, parts.n)
            below = bounds.low <= most.new_from_index(0, parts.n)
            found |= _mask(above & below)
        return Truth(~bounds.known | (bounds.has_values & found), parts.all())


@final
@dataclass(frozen=True, slots=True)
class IsNull(Predicate):
    """`term.is_null()`."""

    term: Term

    @property
    def columns(self) -> frozenset[str]:
        """Those of its operands."""
        return self.term.columns

    def truth(self, parts: Parts) -> Truth:
        """What it may be in each part."""
        bounds = self.term.bounds(parts)
        return Truth(~bounds.known | bounds.has_nulls, ~bounds.known | bounds.has_values)


@final
@dataclass(frozen=True, slots=True)
class IsNan(Predicate):
    """`term.is_nan()`."""

    term: Term

    @property
    def columns(self) -> frozenset[str]:
        """Those of its operands."""
        return self.term.columns

    def truth(self, parts: Parts) -> Truth:
        """What it may be in each part."""
        low, high, known, has_values, _ = self.term.bounds(parts)
        true, false = _mask(high.is_nan()), ~_mask(low.is_nan())
        return Truth(~known | (has_values & true), ~known | (has_values & false))


def _mask(values: pl.Series) -> Mask:
    return values.fill_null(value=False).to_numpy()
