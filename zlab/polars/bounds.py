"""Bounds of columns in blocks of a table: of coordinates, and of values by their statistics."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
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


def position_bounds(edges: NDArray[np.int64]) -> Bounds:
    """Bounds of positions along an axis that is cut at some edges.

    Args:
        edges: Where each part begins, and where the last one ends.
    """
    n = len(edges) - 1
    low, high = pl.Series("", edges[:-1]), pl.Series("", edges[1:] - 1)
    return Bounds(low, high, np.ones(n, np.bool_), np.ones(n, np.bool_), np.zeros(n, np.bool_))


def coordinate_bounds(
    values: NDArray[Any], edges: NDArray[np.int64], kind: ColumnType
) -> Bounds | None:
    """Bounds of coordinates in each part of an axis; `None` where they have no order.

    Args:
        values: The coordinates, in whichever order.
        edges: Where each part begins, and where the last one ends.
        kind: How they become a column.
    """
    if kind.categories is not None or values.dtype.kind not in "biufmMUT":
        return None
    if kind.null is not None:
        return None
    n = len(edges) - 1
    if values.dtype.kind in "UT":
        parts = [values[a:b].tolist() for a, b in pairwise(edges)]
        ends = np.array([[min(part), max(part)] for part in parts], np.dtypes.StringDType())
        return _bounds(ends[:, 0], ends[:, 1], kind, np.ones(n, np.bool_), np.zeros(n, np.bool_))
    starts = edges[:-1]
    if values.dtype.kind in "mM":
        null = np.isnat(values)
        nnull = np.add.reduceat(null, starts, dtype=np.int64)
        low, high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
        return _bounds(low, high, kind, nnull < np.diff(edges), nnull > 0)
    # NaN is the greatest value: it is the least one where there is no other
    low, high = np.fmin.reduceat(values, starts), np.maximum.reduceat(values, starts)
    return _bounds(low, high, kind, np.ones(n, np.bool_), np.zeros(n, np.bool_))


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
