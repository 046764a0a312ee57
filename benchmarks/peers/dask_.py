"""dask, over zarr-python as it comes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from benchmarks.peers import Library, Opened
from benchmarks.peers.zarr_ import open_array as open_zarr

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.datasets import Dataset
    from benchmarks.peers import Setting

# `make setup` need not have it, nor a type checker
dask: Any = importlib.import_module("dask")
dask_array: Any = importlib.import_module("dask.array")


class _Dask(Library):
    statement = "import dask.array"

    def open(self, place: Path, setting: Setting) -> Opened:
        array = self.array(place, setting)
        return Opened(lambda selection: array[selection].compute())

    def array(self, place: Path, setting: Setting) -> Any:
        """An array of dask's."""
        workers = setting.in_flight or setting.threads
        dask.config.set(
            scheduler="threads", **({} if workers is None else {"num_workers": workers})
        )
        return dask_array.from_zarr(open_zarr(place, setting))

    def total(self, _dataset: Dataset, place: Path, setting: Setting) -> Callable[[], int]:
        array = self.array(place, setting)
        return lambda: int(array.sum(dtype="uint64").compute())


def library(_variant: str) -> Library:
    """Makes it."""
    return _Dask()
