"""Which parts of a table can hold rows that a predicate keeps, told from bounds of their columns.

A predicate is parsed into a small tree of what is understood; whatever is not, is `Unknown`. What
asks about one coordinate alone need not be understood: Polars computes it from the coordinate's
values, and it is a column of flags along their axis. The tree is asked in three-valued logic: of
each part of the table, whether the predicate may be true for some row, and whether it may be false.
A row for which it is null is neither. What is unknown may be both, so it keeps the part.

Values are compared by Polars itself, in its order, in which NaN is the greatest value and equal to
itself. Bounds of `f(column)` are those of the column put into `f`, if `f` keeps the order.

Polars tells the structure of an expression as JSON, whose form is not promised. So only the names
of the operators are taken from it; operands are taken as expressions, and an operand that is not
where the JSON has it makes the whole expression unknown.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

_MOST_MEMBERS = 64  # of a list, each of which is looked for in each part


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


class _Parts(NamedTuple):
    """Some parts of a table: how many there are, and what is known of columns."""

    n: int
    bounds: Mapping[str, Bounds]

    def all(self) -> Mask:
        return np.ones(self.n, np.bool_)


class Predicate(ABC):
    """A predicate, as far as it is understood."""

    @abstractmethod
    def truth(self, parts: _Parts) -> Truth:
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
            return self.truth(_Parts(n, bounds)).true
        except PolarsError:
            # an error of the predicate is raised by the rows that it meets, if it meets them
            return np.ones(n, np.bool_)


@final
@dataclass(frozen=True, slots=True)
class Unknown(Predicate):
    """What is not understood."""

    def truth(self, parts: _Parts) -> Truth:
        """It may be both."""
        return Truth(parts.all(), parts.all())


@final
@dataclass(frozen=True, slots=True)
class _Constant(Predicate):
    """`True`, `False` or null."""

    value: bool | None

    def truth(self, parts: _Parts) -> Truth:
        return Truth(parts.all() & (self.value is True), parts.all() & (self.value is False))


@final
@dataclass(frozen=True, slots=True)
class _And(Predicate):
    left: Predicate
    right: Predicate

    @property
    def columns(self) -> frozenset[str]:
        return self.left.columns | self.right.columns

    def truth(self, parts: _Parts) -> Truth:
        one, other = self.left.truth(parts), self.right.truth(parts)
        return Truth(one.true & other.true, one.false | other.false)


@final
@dataclass(frozen=True, slots=True)
class _Not(Predicate):
    operand: Predicate

    @property
    def columns(self) -> frozenset[str]:
        return self.operand.columns

    def truth(self, parts: _Parts) -> Truth:
        true, false = self.operand.truth(parts)
        return Truth(false, true)


@final
@dataclass(frozen=True, slots=True)
class _Choice(Predicate):
    """`when(condition).then(chosen).otherwise(rest)`: Polars makes one of what is constant."""

    condition: Predicate
    chosen: Predicate
    rest: Predicate

    @property
    def columns(self) -> frozenset[str]:
        return self.condition.columns | self.chosen.columns | self.rest.columns

    def truth(self, parts: _Parts) -> Truth:
        when = self.condition.truth(parts).true
        chosen, rest = self.chosen.truth(parts), self.rest.truth(parts)
        # a condition that is null takes the other way too
        return Truth((when & chosen.true) | rest.true, (when & chosen.false) | rest.false)


@final
@dataclass(frozen=True, slots=True)
class _Term:
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
        return frozenset() if self.column is None else frozenset({self.column})

    def bounds(self, parts: _Parts) -> Bounds:
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


_YES = _Term(pl.lit(value=True), None, pl.Boolean())


@final
@dataclass(frozen=True, slots=True)
class _Compare(Predicate):
    """`left < right` (`Lt`), `left <= right` (`LtEq`) or `left == right` (`Eq`)."""

    op: str
    left: _Term
    right: _Term

    @property
    def columns(self) -> frozenset[str]:
        return self.left.columns | self.right.columns

    def truth(self, parts: _Parts) -> Truth:
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
class _IsIn(Predicate):
    """`term.is_in(...)`, of values that lie in some ranges: the least and the greatest of each."""

    term: _Term
    ranges: tuple[tuple[pl.Series, pl.Series], ...]

    @property
    def columns(self) -> frozenset[str]:
        return self.term.columns

    def truth(self, parts: _Parts) -> Truth:
        bounds = self.term.bounds(parts)
        found = ~parts.all()
        for least, most in self.ranges:
            above = bounds.high >= least.new_from_index(0, parts.n)
            below = bounds.low <= most.new_from_index(0, parts.n)
            found |= _mask(above & below)
        return Truth(~bounds.known | (bounds.has_values & found), parts.all())


@final
@dataclass(frozen=True, slots=True)
class _IsNull(Predicate):
    term: _Term

    @property
    def columns(self) -> frozenset[str]:
        return self.term.columns

    def truth(self, parts: _Parts) -> Truth:
        bounds = self.term.bounds(parts)
        return Truth(~bounds.known | bounds.has_nulls, ~bounds.known | bounds.has_values)


@final
@dataclass(frozen=True, slots=True)
class _IsNan(Predicate):
    term: _Term

    @property
    def columns(self) -> frozenset[str]:
        return self.term.columns

    def truth(self, parts: _Parts) -> Truth:
        low, high, known, has_values, _ = self.term.bounds(parts)
        true, false = _mask(high.is_nan()), ~_mask(low.is_nan())
        return Truth(~known | (has_values & true), ~known | (has_values & false))


def _mask(values: pl.Series) -> Mask:
    return values.fill_null(value=False).to_numpy()


# -- from Polars' expressions


class Parsed(NamedTuple):
    """A predicate as far as it is understood.

    Attributes:
        tree: The predicate.
        flags: Expressions on one coordinate, by the name that they have as columns of the tree,
            each with the name of the coordinate.
    """

    tree: Predicate
    flags: Mapping[str, tuple[str, pl.Expr]]


def parse_predicate(
    predicate: pl.Expr, schema: pl.Schema, coordinates: Collection[str] = ()
) -> Parsed:
    """A predicate as far as it is understood.

    Args:
        predicate: As Polars hands it to a source, its operands of one type each; its value for a
            row depends on that row alone.
        schema: Of the table.
        coordinates: Names of the columns whose values along an axis are at hand.

    Example:
        >>> import polars as pl
        >>> schema = pl.Schema({"t": pl.Float64, "time": pl.Date})
        >>> parse_predicate(pl.col("t") > 3.0, schema).tree.columns
        frozenset({'t'})
        >>> parse_predicate(pl.col("t").sin() > 3.0, schema).tree
        Unknown()
        >>> may = pl.col("time").dt.month() == 5
        >>> list(parse_predicate(may, schema, ["time"]).flags.values())[0][0]
        'time'
    """
    parser = _Parser(schema, coordinates)
    tree = parser.predicate(predicate)
    return Parsed(tree, parser.flags)


class _Parser:
    """Parses expressions on a table of some schema."""

    def __init__(self, schema: pl.Schema, coordinates: Collection[str]) -> None:
        self._empty = pl.LazyFrame(schema=schema)
        self._coordinates = coordinates
        self.flags: dict[str, tuple[str, pl.Expr]] = {}

    def dtype(self, expr: pl.Expr) -> pl.DataType:
        return self._empty.select(expr.alias("")).collect_schema()[""]

    def _flag(self, expr: pl.Expr, coordinate: str) -> Predicate:
        name = f"{coordinate}\0{len(self.flags)}"
        self.flags[name] = coordinate, expr
        return _Compare("Eq", _Term(pl.col(name), name, pl.Boolean()), _YES)

    def predicate(self, expr: pl.Expr) -> Predicate:
        try:
            names = set(expr.meta.root_names())
            if len(names) == 1 and names <= set(self._coordinates):
                return self._flag(expr, *names)
            return self._predicate(expr, _tree(expr))
        except (PolarsError, ValueError, TypeError, IndexError):
            # no bounds can be had of an operand, or other versions of Polars have another form
            return Unknown()

    def _predicate(self, expr: pl.Expr, tree: Any) -> Predicate:
        match tree:
            case {"Column": str()} if self.dtype(expr) == pl.Boolean:
                return _Compare("Eq", self.term(expr), _YES)
            case {"Literal": _} if self.dtype(expr) == pl.Boolean:
                return _Constant(pl.select(expr).item())
            case {"BinaryExpr": {"op": str(op), "left": left, "right": right}}:
                return self._binary(op, *_operands(expr, left, right))
            case {"Function": {"function": {"Boolean": function}, "input": list(inputs)}}:
                return self._function(function, *_operands(expr, *inputs))
            case {"Ternary": {"predicate": condition, "truthy": chosen, "falsy": rest}}:
                return _Choice(*map(self.predicate, _operands(expr, condition, chosen, rest)))
        return Unknown()

    def _binary(self, op: str, left: pl.Expr, right: pl.Expr) -> Predicate:
        match op:
            case "And" | "LogicalAnd":
                return _And(self.predicate(left), self.predicate(right))
            case "Or" | "LogicalOr":
                return _Not(_And(_Not(self.predicate(left)), _Not(self.predicate(right))))
            case "Eq" | "Lt" | "LtEq":
                return self._compare(op, left, right)
            case "NotEq":
                return _Not(self._compare("Eq", left, right))
            case "Gt":
                return self._compare("Lt", right, left)
            case "GtEq":
                return self._compare("LtEq", right, left)
        return Unknown()

    def _function(self, function: Any, first: pl.Expr, *others: pl.Expr) -> Predicate:
        match function:
            case "Not":
                return _Not(self.predicate(first))
            case "IsNull":
                return _IsNull(self.term(first))
            case "IsNotNull":
                return _Not(_IsNull(self.term(first)))
            case "IsNan":
                return _IsNan(self.term(first))
            case "IsNotNan":
                return _Not(_IsNan(self.term(first)))
            case {"IsBetween": {"closed": str(closed)}}:
                least = "LtEq" if closed in ("Both", "Left") else "Lt"
                most = "LtEq" if closed in ("Both", "Right") else "Lt"
                low, high = others
                return _And(self._compare(least, low, first), self._compare(most, first, high))
            case {"IsIn": {"nulls_equal": False}}:
                return self._is_in(first, *others)
        return Unknown()

    def _compare(self, op: str, left: pl.Expr, right: pl.Expr) -> Predicate:
        one, other = self.term(left), self.term(right)
        return _Compare(op, one, other) if one.dtype == other.dtype else Unknown()

    def _is_in(self, expr: pl.Expr, among: pl.Expr) -> Predicate:
        term = self.term(expr)
        members = self._literal(among)
        if isinstance(members.dtype, (pl.List, pl.Array)):
            members = members.explode()
        if members.dtype != term.dtype:
            return Unknown()
        members = members.drop_nulls().unique().sort()
        if len(members) > _MOST_MEMBERS:
            return _IsIn(term, ((members.head(1), members.tail(1)),))
        each = [members.slice(place, 1) for place in range(len(members))]
        return _IsIn(term, tuple((one, one) for one in each))

    def _literal(self, expr: pl.Expr) -> pl.Series:
        if "Literal" not in _tree(expr):
            msg = "it is no literal"
            raise ValueError(msg)
        return pl.select(expr).to_series()

    def term(self, expr: pl.Expr) -> _Term:
        """A literal, or what keeps the order of a column.

        Raises:
            ValueError: It is neither, or not known to be.
        """
        dtype = self.dtype(expr)
        if not (dtype.is_numeric() or dtype.is_temporal() or dtype in (pl.Boolean, pl.String)):
            # categories are compared by their place or by their name
            raise _unordered(expr)
        match _tree(expr):
            case {"Column": str(name)}:
                return _Term(expr, name, dtype)
            case {"Literal": _}:
                return _Term(expr, None, dtype)
            case {"Cast": {"expr": inner}}:
                (operand,) = _operands(expr, inner)
                term = self.term(operand)
                return _Term(expr, term.column, dtype, _cast_limit(term, dtype))
            case {"BinaryExpr": {"op": str(op), "left": left, "right": right}}:
                operand, by = _operands(expr, left, right)
                term = self.term(operand)
                if not _keeps_order(op, term.dtype, self._literal(by)):
                    raise _unordered(expr)
                return _Term(expr, term.column, dtype, term.limit)
            case {"Function": {"function": {"TemporalExpr": "Year" | "Date"}, "input": [inner]}}:
                (operand,) = _operands(expr, inner)
                term = self.term(operand)
                if getattr(term.dtype, "time_zone", None) is not None:
                    raise _unordered(expr)
                return _Term(expr, term.column, dtype, term.limit)
        raise _unordered(expr)


def _unordered(expr: pl.Expr) -> ValueError:
    return ValueError(f"{expr} is not known to keep the order of a column")


def _tree(expr: pl.Expr) -> Any:
    return json.loads(expr.meta.serialize(format="json"))


def _operands(expr: pl.Expr, *trees: Any) -> list[pl.Expr]:
    """The operands of an expression that the trees stand for.

    Raises:
        ValueError: They are others, or two look the same and are not: JSON has no infinities.
    """
    found = expr.meta.pop()
    if len(found) != len(trees):
        raise _unordered(expr)
    looks = [_tree(each) for each in found]
    operands = []
    for tree in trees:
        same = [each for each, look in zip(found, looks, strict=True) if look == tree]
        if len({str(each) for each in same}) != 1:
            raise _unordered(expr)
        operands.append(same[0])
    return operands


def _keeps_order(op: str, dtype: pl.DataType, by: pl.Series) -> bool:
    """Whether an operation with a literal keeps the order of floating-point numbers.

    Rounding does. Whole numbers wrap around at their limits, and infinities differ by NaN.
    """
    if not dtype.is_float() or by.dtype != dtype or not np.isfinite(by[0]):
        return False
    return op in ("Plus", "Minus") or (op in ("Multiply", "TrueDivide", "Divide") and by[0] > 0)


_PER_DAY = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_PER_SECOND = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def _cast_limit(term: _Term, target: pl.DataType) -> int | None:
    """How large a value of a term's column may be for a cast to keep the order.

    Raises:
        ValueError: The cast is not known to keep it.
    """
    source = term.dtype
    if source == target or _widens(source, target):
        return term.limit
    if term.limit is not None or not (source.is_temporal() and target.is_temporal()):
        raise _unordered(term.expr)
    match source, target:
        case pl.Datetime(), pl.Date() if source.time_zone is None:
            return None
        case pl.Date(), pl.Datetime() if target.time_zone is None:
            factor = _PER_DAY[target.time_unit]
        case (pl.Datetime(), pl.Datetime()) if source.time_zone == target.time_zone:
            factor = _PER_SECOND[target.time_unit] // _PER_SECOND[source.time_unit]
        case pl.Duration(), pl.Duration():
            factor = _PER_SECOND[target.time_unit] // _PER_SECOND[source.time_unit]
        case _:
            raise _unordered(term.expr)
    if factor <= 1:
        return None  # what is dropped in a coarser unit keeps the order
    if "Column" not in _tree(term.expr):
        raise _unordered(term.expr)
    return (2**63 - 1) // factor


def _widens(source: pl.DataType, target: pl.DataType) -> bool:
    """Whether numbers keep their order, and none becomes null or an error."""
    if source == pl.Boolean:
        return target.is_integer() or target.is_float()
    if source.is_float():
        return target.is_float()
    if not source.is_integer():
        return False
    if target.is_float():
        return True
    if not target.is_integer():
        return False
    least, most = pl.select(source.min(), source.max().alias("max")).row(0)  # type: ignore[attr-defined]
    low, high = pl.select(target.min(), target.max().alias("max")).row(0)  # type: ignore[attr-defined]
    return bool(low <= least and most <= high)
