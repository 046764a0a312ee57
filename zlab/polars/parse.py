"""Predicates of Polars parsed into a small tree of what is understood.

What asks about one coordinate alone need not be understood: Polars computes it from the
coordinate's values, and it is a column of flags along their axis.

Polars tells the structure of an expression as JSON, whose form is not promised. So only the names
of the operators are taken from it; operands are taken as expressions, and an operand that is not
where the JSON has it makes the whole expression unknown.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from zlab.polars.predicates import (
    YES,
    And,
    Choice,
    Compare,
    Constant,
    IsIn,
    IsNan,
    IsNull,
    Not,
    Term,
    Unknown,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from zlab.polars.predicates import Predicate

_MOST_MEMBERS = 64  # of a list, each of which is looked for in each part


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
        return Compare("Eq", Term(pl.col(name), name, pl.Boolean()), YES)

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
                return Compare("Eq", self.term(expr), YES)
            case {"Literal": _} if self.dtype(expr) == pl.Boolean:
                return Constant(pl.select(expr).item())
            case {"BinaryExpr": {"op": str(op), "left": left, "right": right}}:
                return self._binary(op, *_operands(expr, left, right))
            case {"Function": {"function": {"Boolean": function}, "input": list(inputs)}}:
                return self._function(function, *_operands(expr, *inputs))
            case {"Ternary": {"predicate": condition, "truthy": chosen, "falsy": rest}}:
                return Choice(*map(self.predicate, _operands(expr, condition, chosen, rest)))
        return Unknown()

    def _binary(self, op: str, left: pl.Expr, right: pl.Expr) -> Predicate:
        match op:
            case "And" | "LogicalAnd":
                return And(self.predicate(left), self.predicate(right))
            case "Or" | "LogicalOr":
                return Not(And(Not(self.predicate(left)), Not(self.predicate(right))))
            case "Eq" | "Lt" | "LtEq":
                return self._compare(op, left, right)
            case "NotEq":
                return Not(self._compare("Eq", left, right))
            case "Gt":
                return self._compare("Lt", right, left)
            case "GtEq":
                return self._compare("LtEq", right, left)
        return Unknown()

    def _function(self, function: Any, first: pl.Expr, *others: pl.Expr) -> Predicate:
        match function:
            case "Not":
                return Not(self.predicate(first))
            case "IsNull":
                return IsNull(self.term(first))
            case "IsNotNull":
                return Not(IsNull(self.term(first)))
            case "IsNan":
                return IsNan(self.term(first))
            case "IsNotNan":
                return Not(IsNan(self.term(first)))
            case {"IsBetween": {"closed": str(closed)}}:
                least = "LtEq" if closed in ("Both", "Left") else "Lt"
                most = "LtEq" if closed in ("Both", "Right") else "Lt"
                low, high = others
                return And(self._compare(least, low, first), self._compare(most, first, high))
            case {"IsIn": {"nulls_equal": False}}:
                return self._is_in(first, *others)
        return Unknown()

    def _compare(self, op: str, left: pl.Expr, right: pl.Expr) -> Predicate:
        one, other = self.term(left), self.term(right)
        return Compare(op, one, other) if one.dtype == other.dtype else Unknown()

    def _is_in(self, expr: pl.Expr, among: pl.Expr) -> Predicate:
        term = self.term(expr)
        members = self._literal(among)
        if isinstance(members.dtype, (pl.List, pl.Array)):
            members = members.explode()
        if members.dtype != term.dtype:
            return Unknown()
        members = members.drop_nulls().unique().sort()
        if len(members) > _MOST_MEMBERS:
            return IsIn(term, ((members.head(1), members.tail(1)),))
        each = [members.slice(place, 1) for place in range(len(members))]
        return IsIn(term, tuple((one, one) for one in each))

    def _literal(self, expr: pl.Expr) -> pl.Series:
        if "Literal" not in _tree(expr):
            msg = "it is no literal"
            raise ValueError(msg)
        return pl.select(expr).to_series()

    def term(self, expr: pl.Expr) -> Term:
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
                return Term(expr, name, dtype)
            case {"Literal": _}:
                return Term(expr, None, dtype)
            case {"Cast": {"expr": inner}}:
                (operand,) = _operands(expr, inner)
                term = self.term(operand)
                return Term(expr, term.column, dtype, _cast_limit(term, dtype))
            case {"BinaryExpr": {"op": str(op), "left": left, "right": right}}:
                operand, by = _operands(expr, left, right)
                term = self.term(operand)
                if not _keeps_order(op, term.dtype, self._literal(by)):
                    raise _unordered(expr)
                return Term(expr, term.column, dtype, term.limit)
            case {"Function": {"function": {"TemporalExpr": "Year" | "Date"}, "input": [inner]}}:
                (operand,) = _operands(expr, inner)
                term = self.term(operand)
                if getattr(term.dtype, "time_zone", None) is not None:
                    raise _unordered(expr)
                return Term(expr, term.column, dtype, term.limit)
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


def _cast_limit(term: Term, target: pl.DataType) -> int | None:
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
