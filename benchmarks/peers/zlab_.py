"""zlab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zlab

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.datasets import Dataset


class _Opened:
    def __init__(self, array: zlab.Array) -> None:
        self.array = array

    def read(self, selection: Any = ...) -> NDArray[Any]:
        values: NDArray[Any] = self.array[selection]
        return values


class _Zlab:
    module = "zlab"

    def open(self, place: Path) -> _Opened:
        return _Opened(zlab.open_array(place))

    def writer(self, dataset: Dataset, place: Path) -> Callable[[NDArray[Any]], object]:
        array = dataset.create(place)
        return lambda values: array.write(..., values)


LIBRARY = _Zlab()
