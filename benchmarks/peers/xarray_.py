"""xarray, with the data frame of pandas that it makes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from benchmarks.peers import Library, Opened, Setting
from benchmarks.peers.zarr_ import open_store
from benchmarks.weather import Answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.weather import Query

# `make setup` need not have it, nor a type checker
xarray: Any = importlib.import_module("xarray")


class _Xarray(Library):
    statement = "import xarray"

    def open(self, place: Path, setting: Setting) -> Opened:
        array = open_group(place.parent, setting)[place.name]
        return Opened(lambda selection: array[selection].values)

    def query(self, place: Path, query: Query) -> Callable[[], Answer]:
        def answer() -> Answer:
            group = open_group(place, Setting())
            if not query.anywhere:
                group = group.sel(lat=slice(query.south, query.north))
            t = group.to_dataframe()["t"]
            left = t[t > query.above]
            return Answer(float(left.mean()), len(left))

        return answer


def open_group(place: Path, setting: Setting, chunks: Any = None) -> Any:
    """A data set of xarray's."""
    return xarray.open_zarr(open_store(place, setting), consolidated=False, chunks=chunks)


def library(_variant: str) -> Library:
    """Makes it."""
    return _Xarray()
