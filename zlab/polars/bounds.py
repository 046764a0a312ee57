"""Bounds of columns in blocks of a table: of coordinates, and of values by their statistics."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from zlab.polars.columns import column
from zlab.polars.nulls import is_null
from zlab.polars.predicates import Bounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zlab.polars.columns import ColumnType
    from zlab.stats import ChunkStats


def position_bounds(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Bounds:
    """Bounds of positions in parts of an axis.

    Args:
        starts: Where each part begins.
        stops: Where it ends.
    """
    n = len(starts)
    low, high = pl.Series("", starts), pl.Series("", stops - 1)
    return Bounds(low, high, np.ones(n, np.bool_), np.ones(n, np.bool_), np.zeros(n, np.bool_))


def flag_bounds(flags: pl.Series, edges: NDArray[np.int64]) -> Bounds:
    """Bounds of booleans in each part of an axis.

    Args:
        flags: One for each position; some may be null.
        edges: Where each part begins, and where the last one ends.
    """
    starts = edges[:-1]
    known = np.ones(len(starts), np.bool_)
    null = flags.is_null().to_numpy()
    true = flags.fill_null(value=False).to_numpy()
    any_true = np.logical_or.reduceat(true, starts)
    any_false = np.logical_or.reduceat(~(true | null), starts)
    has_nulls = np.logical_or.reduceat(null, starts)
    low, high = pl.Series("", ~any_false), pl.Series("", any_true)
    return Bounds(low, high, known, any_true | any_false, has_nulls)


def value_bounds(stats: ChunkStats, chunks: NDArray[np.int64], kind: ColumnType) -> Bounds:
    """Bounds of an array's values in some chunks.

    Args:
        stats: Of the array.
        chunks: Where the chunks lie in the C order of the array's chunk grid.
        kind: How its values become a column, which has an order.
    """
    known, rows = stats.of(chunks)
    low, high = rows.min.copy(), rows.max.copy()
    dtype = low.dtype
    has_values = rows.has_ends.copy()
    has_nulls = rows.null_count > 0
    fill = np.asarray(stats.layout.fill).astype(dtype)
    filled = np.asarray((rows.fill_count > 0) & (not _is_missing(fill)))
    if kind.null is not None:
        # which of the values that is, counts do not tell: there may be nulls, and others
        has_nulls = np.ones(len(chunks), np.bool_)
        if is_null(np.asarray(stats.layout.fill).reshape(1), kind.null)[0]:
            filled = np.zeros(len(chunks), np.bool_)
    first = filled & ~has_values
    low[first] = high[first] = fill
    low, high = _extended(low, high, filled, fill)
    has_values |= filled
    nan = rows.nan_count > 0
    if nan.any():
        low[nan & ~has_values] = np.nan
        high[nan] = np.nan
        has_values |= nan
    return _bounds(low, high, kind, has_values, has_nulls, known)


def _is_missing(value: NDArray[Any]) -> bool:
    if value.dtype.kind in "mM":
        return bool(np.isnat(value))
    return value.dtype.kind == "f" and bool(np.isnan(value))


def _extended(
    low: NDArray[Any], high: NDArray[Any], where: NDArray[np.bool_], value: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Ends between which some value lies too."""
    if not where.any():
        return low, high
    return (
        np.where(where & (low > value), value, low).astype(low.dtype, copy=False),
        np.where(where & (high < value), value, high).astype(high.dtype, copy=False),
    )


def _bounds(
    low: NDArray[Any],
    high: NDArray[Any],
    kind: ColumnType,
    has_values: NDArray[np.bool_],
    has_nulls: NDArray[np.bool_],
    known: NDArray[np.bool_] | None = None,
) -> Bounds:
    plain = replace(kind, null=None)
    known = np.ones(len(low), np.bool_) if known is None else known
    told = has_values & known
    if not told.all():
        # what lies where nothing is told may be no value of the column
        low, high = (np.where(told, end, np.zeros((), end.dtype)) for end in (low, high))
    return Bounds(column("", low, plain), column("", high, plain), known, has_values, has_nulls)
