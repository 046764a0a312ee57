"""What Polars does with a scan, whoever made it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from benchmarks.weather import Answer

if TYPE_CHECKING:
    from benchmarks.weather import Query

# `make setup` need not have it, nor a type checker
polars: Any = importlib.import_module("polars")


def answer(scan: Any, query: Query) -> Answer:
    """The answer, of a `LazyFrame`."""
    lat, t = polars.col("lat"), polars.col("t")
    condition = t > query.above
    if not query.anywhere:
        condition = (lat >= query.south) & (lat <= query.north) & condition
    left = scan.filter(condition).select(t.mean().alias("mean"), polars.len().alias("n"))
    return Answer(*left.collect().row(0))
