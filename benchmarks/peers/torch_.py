"""PyTorch's data loader: workers of their own, each with zarr-python as it comes."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.loops import BATCH
from benchmarks.peers import Library, Opened
from benchmarks.peers.zarr_ import open_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.datasets import Dataset
    from benchmarks.peers import Setting

# `make setup` need not have it, nor a type checker
torch_data: Any = importlib.import_module("torch.utils.data")


class _Batches:
    """Batches by their numbers, opened anew in each worker."""

    def __init__(self, place: Path, setting: Setting, order: Any) -> None:
        self._place, self._setting, self._order = place, setting, order
        self._array: Any = None

    def __len__(self) -> int:
        return len(range(0, len(self._order), BATCH))

    def __getitem__(self, number: int) -> Any:
        if self._array is None:
            self._array = open_array(self._place, self._setting)
        picked = self._order[number * BATCH : (number + 1) * BATCH]
        if self._setting.shuffle == "none":
            return self._array[int(picked[0]) : int(picked[-1]) + 1]
        return self._array.oindex[np.sort(picked)]


class _Torch(Library):
    statement = "import torch.utils.data"

    def open(self, place: Path, setting: Setting) -> Opened:
        return Opened(open_array(place, setting).__getitem__)

    def batches(
        self, dataset: Dataset, place: Path, setting: Setting
    ) -> Callable[[], Iterator[Any]]:
        if setting.shuffle == "window":
            self.cannot("shuffles samples, not chunks")
        n = dataset.shape[0]
        order = np.arange(n)
        if setting.shuffle == "global":
            order = np.random.default_rng(0).permutation(n)
        workers = os.cpu_count() or 1
        # the default of Linux, fork, is not for a process with threads such as JAX's
        loader = torch_data.DataLoader(
            _Batches(place, setting, order),
            batch_size=None,
            num_workers=workers,
            multiprocessing_context="forkserver",
            persistent_workers=True,
        )
        return lambda: (batch.numpy() for batch in loader)

    def patches(
        self, dataset: Dataset, place: Path, setting: Setting
    ) -> Callable[[], Iterator[Any]]:
        del dataset, place, setting
        self.cannot("has no patches")


def library(_variant: str) -> Library:
    """Makes it."""
    return _Torch()
