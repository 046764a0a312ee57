"""xbatcher, over xarray and zarr-python as they come."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from benchmarks.loops import BATCH, PATCHES
from benchmarks.peers import Library
from benchmarks.peers.xarray_ import open_group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.datasets import Dataset
    from benchmarks.peers import Setting

# `make setup` need not have it, nor a type checker
xbatcher: Any = importlib.import_module("xbatcher")


class _Xbatcher(Library):
    statement = "import xbatcher"

    def open(self, place: Path, setting: Setting) -> NoReturn:  # noqa: ARG002
        self.cannot("makes batches only")

    def batches(
        self, dataset: Dataset, place: Path, setting: Setting
    ) -> Callable[[], Iterator[Any]]:
        if setting.shuffle != "none":
            self.cannot("does not shuffle")
        array = open_group(place.parent, setting)[place.name]
        sizes = dict(zip(array.dims, (BATCH, *dataset.shape[1:]), strict=True))
        return lambda: (batch.values for batch in xbatcher.BatchGenerator(array, sizes))

    def patches(
        self, _dataset: Dataset, place: Path, setting: Setting
    ) -> Callable[[], Iterator[Any]]:
        array = open_group(place.parent, setting)[place.name]
        patches = xbatcher.BatchGenerator(
            array,
            dict(zip(array.dims, PATCHES.sizes, strict=True)),
            dict(zip(array.dims, PATCHES.overlaps, strict=True)),
        )
        n = PATCHES.batch_size

        def run() -> Iterator[Any]:
            # a patch at a time, as the data loader that Earthmover put around it asks for them
            for first in range(0, len(patches), n):
                numbers = range(first, min(first + n, len(patches)))
                yield np.stack([patches[number].values for number in numbers])

        return run


def library(_variant: str) -> Library:
    """Makes it."""
    return _Xbatcher()
