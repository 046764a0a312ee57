"""What is measured on: arrays of smooth values with noise, as measurements are.

All hold the same kind of values, so that rows differ by layout and codec alone. They are written
by zlab and checked by value, once, by each library that reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import zlab

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
GZIP = {"name": "gzip", "configuration": {"level": 5}}
BLOSC = {
    "name": "blosc",
    "configuration": {
        "cname": "lz4",
        "clevel": 5,
        "shuffle": "shuffle",
        "typesize": 2,
        "blocksize": 0,
    },
}


@dataclass(frozen=True)
class Dataset:
    """An array on the disk.

    Attributes:
        name: Its directory.
        shape: In elements of `uint16`.
        chunks: Of a sharded array, the inner chunk.
        shards: The shard's shape, or `None`.
        compressor: A v3 codec, or `None` for raw bytes.
    """

    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None
    compressor: Mapping[str, Any] | None = field(default_factory=lambda: ZSTD)

    @property
    def nbytes(self) -> int:
        """Decoded bytes."""
        return int(np.prod(self.shape)) * 2

    @property
    def nchunks(self) -> int:
        """Chunks in all."""
        return int(np.prod([-(-n // c) for n, c in zip(self.shape, self.chunks, strict=True)]))

    def values(self) -> NDArray[np.uint16]:
        """The array, computed."""
        z, y, x = (np.arange(n, dtype=np.float32) for n in self.shape)
        smooth = np.sin(z / 23)[:, None, None] * np.cos(y / 31)[:, None] * np.cos(x / 17)
        # zstd halves them nearly, as it does measurements
        noise = np.random.default_rng(0).integers(0, 16, self.shape, np.uint16)
        values: NDArray[np.uint16] = (20_000 + 250 * smooth).astype(np.uint16)
        values += noise
        return values

    def write(self, root: Path) -> Path:
        """The array's place below `root`, written where it is not there."""
        place = root / self.name
        if not place.exists():
            self.create(place)[...] = self.values()
        return place

    def create(self, place: Path) -> zlab.Array:
        """A new array without data."""
        return zlab.create_array(
            place,
            shape=self.shape,
            dtype="uint16",
            chunks=self.chunks,
            shards=self.shards,
            compressors=self.compressor,
        )


def datasets(side: int) -> dict[str, Dataset]:
    """All arrays, by name; each has `side**3` bytes."""
    shape = (side, side // 2, side)
    large, small = (64, 64, 128), (16, 32, 32)  # 1 MiB and 32 kB
    return {
        dataset.name: dataset
        for dataset in (
            Dataset("raw", shape, large, compressor=None),
            Dataset("zstd", shape, large),
            Dataset("blosc", shape, large, compressor=BLOSC),
            Dataset("gzip", shape, large, compressor=GZIP),
            Dataset("small", shape, small),
            Dataset("small-raw", shape, small, compressor=None),
            Dataset("sharded", shape, (32, 32, 32), shards=(128, 128, 128)),
        )
    }
