"""xarray-sql, in DataFusion, and as what brings Zarr into DuckDB."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NoReturn

from benchmarks.peers import Library, Setting
from benchmarks.peers.xarray_ import open_group
from benchmarks.weather import Answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.weather import Query

# `make setup` need not have it, nor a type checker
xarray_sql: Any = importlib.import_module("xarray_sql")


class _XarraySql(Library):
    statement = "import xarray_sql"

    def open(self, place: Path, setting: Setting) -> NoReturn:  # noqa: ARG002
        self.cannot("scans groups only")

    def query(self, place: Path, query: Query) -> Callable[[], Answer]:
        def answer() -> Answer:
            context = xarray_sql.XarrayContext()
            group = open_group(place, Setting())
            context.from_dataset("weather", group, chunks=_chunks(group))
            (row,) = context.sql(_sql(query)).to_pylist()
            return Answer(*row.values())

        return answer


class _Duckdb(_XarraySql):
    statement = "import duckdb, xarray_sql"

    def query(self, place: Path, query: Query) -> Callable[[], Answer]:
        duckdb: Any = importlib.import_module("duckdb")

        def answer() -> Answer:
            with duckdb.connect() as connection:
                group = open_group(place, Setting())
                xarray_sql.register(connection, "weather", group, chunks=_chunks(group))
                return Answer(*connection.sql(_sql(query)).fetchall()[0])

        return answer


def _sql(query: Query) -> str:
    return f"select avg(t), count(*) from weather where {query.condition}"  # noqa: S608


def _chunks(group: Any) -> dict[str, int]:
    """As they are stored."""
    t = group["t"]
    return dict(zip(t.dims, t.encoding["chunks"], strict=True))


def library(variant: str) -> Library:
    """The engine of that name."""
    return _Duckdb() if variant == "duckdb" else _XarraySql()
