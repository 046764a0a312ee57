"""annbatch, over zarr-python with the pipeline of zarrs, as its documentation asks for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from benchmarks.loops import BATCH, WINDOW_NCHUNKS
from benchmarks.peers import Library, Opened
from benchmarks.peers.zarr_ import library as zarr_library
from benchmarks.peers.zarr_ import open_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.datasets import Dataset
    from benchmarks.peers import Setting

# `make setup` need not have it, nor a type checker
annbatch: Any = importlib.import_module("annbatch")


class _Annbatch(Library):
    statement = "import annbatch"

    def open(self, place: Path, setting: Setting) -> Opened:
        # zarrs cannot be slowed; from stores far away annbatch reads by zarr-python's own pipeline
        zarr_library("batched" if setting.latency_s else "zarrs")
        return Opened(open_array(place, setting).__getitem__)

    def batches(
        self, dataset: Dataset, place: Path, setting: Setting
    ) -> Callable[[], Iterator[Any]]:
        if setting.shuffle == "global":
            self.cannot("shuffles windows of chunks")
        self.open(place, setting)
        array = open_array(place, setting)

        def run() -> Iterator[Any]:
            loader = annbatch.Loader(
                batch_size=BATCH,
                chunk_size=dataset.chunks[0],
                preload_nchunks=WINDOW_NCHUNKS,
                shuffle=setting.shuffle == "window",
            )
            loader.add_datasets([array])
            return (batch["X"] for batch in loader)

        return run

    def patches(
        self, dataset: Dataset, place: Path, setting: Setting
    ) -> Callable[[], Iterator[Any]]:
        del dataset, place, setting
        self.cannot("has no patches")


def library(_variant: str) -> Library:
    """Makes it."""
    return _Annbatch()
