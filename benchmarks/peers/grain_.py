"""grain, with a source that reads a sample by zarr-python, as it comes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from benchmarks.loops import BATCH, WINDOW_NCHUNKS
from benchmarks.peers import Library, Opened
from benchmarks.peers.zarr_ import open_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.datasets import Dataset
    from benchmarks.peers import Setting

# `make setup` need not have it, nor a type checker
grain: Any = importlib.import_module("grain")


class _Source:
    """Samples by their number."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __len__(self) -> int:
        return int(self._array.shape[0])

    def __getitem__(self, number: int) -> Any:
        return self._array[number]


class _Grain(Library):
    statement = "import grain"

    def open(self, place: Path, setting: Setting) -> Opened:
        return Opened(open_array(place, setting).__getitem__)

    def batches(
        self, dataset: Dataset, place: Path, setting: Setting
    ) -> Callable[[], Iterator[Any]]:
        samples = grain.MapDataset.source(_Source(open_array(place, setting)))
        if setting.shuffle == "global":
            samples = samples.shuffle(seed=0)
        elif setting.shuffle == "window":
            window = min(WINDOW_NCHUNKS * dataset.chunks[0], dataset.shape[0])
            samples = grain.experimental.WindowShuffleMapDataset(
                samples, window_size=window, seed=0
            )
        options = None
        if setting.in_flight is not None:
            options = grain.ReadOptions(num_threads=setting.in_flight)
        batches = samples.batch(BATCH)
        return lambda: iter(batches.to_iter_dataset(options))

    def patches(
        self, dataset: Dataset, place: Path, setting: Setting
    ) -> Callable[[], Iterator[Any]]:
        del dataset, place, setting
        self.cannot("has no patches")


def library(_variant: str) -> Library:
    """Makes it."""
    return _Grain()
