"""tensorstore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorstore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.datasets import Dataset


class _Opened:
    def __init__(self, array: Any) -> None:
        self.array = array

    def read(self, selection: Any = ...) -> NDArray[Any]:
        values: NDArray[Any] = self.array[selection].read().result()
        return values


def _spec(place: Path) -> dict[str, Any]:
    return {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{place}/"}}


class _Tensorstore:
    module = "tensorstore"

    def open(self, place: Path) -> _Opened:
        return _Opened(tensorstore.open(_spec(place), open=True, read=True).result())

    def writer(self, dataset: Dataset, place: Path) -> Callable[[NDArray[Any]], object]:
        codecs: list[dict[str, Any]] = [
            {"name": "bytes", "configuration": {"endian": "little"}},
            *([] if dataset.compressor is None else [dict(dataset.compressor)]),
        ]
        if dataset.shards is not None:
            inner = {"chunk_shape": list(dataset.chunks), "codecs": codecs}
            codecs = [{"name": "sharding_indexed", "configuration": inner}]
        grid = {"chunk_shape": list(dataset.shards or dataset.chunks)}
        metadata = {
            "shape": list(dataset.shape),
            "data_type": "uint16",
            "chunk_grid": {"name": "regular", "configuration": grid},
            "codecs": codecs,
            "fill_value": 0,
        }
        array = tensorstore.open({**_spec(place), "metadata": metadata}, create=True).result()
        return lambda values: array.write(values).result()


LIBRARY = _Tensorstore()
