"""zarr-python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zarr

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.datasets import Dataset


class _Opened:
    def __init__(self, array: Any) -> None:
        self.array = array

    def read(self, selection: Any = ...) -> NDArray[Any]:
        values: NDArray[Any] = self.array[selection]
        return values


class _Zarr:
    module = "zarr"

    def open(self, place: Path) -> _Opened:
        return _Opened(zarr.open_array(place, mode="r"))

    def writer(self, dataset: Dataset, place: Path) -> Callable[[NDArray[Any]], object]:
        array = zarr.create_array(
            place,
            shape=dataset.shape,
            dtype="uint16",
            chunks=dataset.chunks,
            shards=dataset.shards,
            compressors=None if dataset.compressor is None else [dict(dataset.compressor)],
        )
        return lambda values: array.__setitem__(..., values)


LIBRARY = _Zarr()
