"""What is measured on: arrays of smooth values with noise, as measurements are.

All hold the same kind of values, so that rows differ by layout and codec alone. They are written
by zlab, and what each library first reads of them is compared with the values.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

import zlab
from benchmarks.weather import ZSTD, Weather

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

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


class OnDisk(Protocol):
    """What a row is measured on."""

    @property
    def name(self) -> str:
        """Its directory."""
        ...

    def write(self, root: Path) -> Path:
        """Its place below `root`, written where it is not there."""
        ...


@dataclass(frozen=True)
class Dataset:
    """An array on the disk.

    Attributes:
        name: Its directory.
        shape: In elements of `uint16`.
        chunks: Of a sharded array, the inner chunk.
        shards: The shard's shape, or `None`.
        compressor: A v3 codec, or `None` for raw bytes.
        dimension_names: What xarray calls the axes. It opens groups, so the array is in one: its
            name has a slash.
    """

    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None
    compressor: Mapping[str, Any] | None = field(default_factory=lambda: ZSTD)
    dimension_names: tuple[str, ...] | None = None

    @property
    def nbytes(self) -> int:
        """Decoded bytes."""
        return prod(self.shape) * 2

    @property
    def chunk_nbytes(self) -> int:
        """Decoded bytes of a chunk."""
        return prod(self.chunks) * 2

    @property
    def nchunks(self) -> int:
        """Chunks in all."""
        return prod(-(-n // c) for n, c in zip(self.shape, self.chunks, strict=True))

    def places(self) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """Coordinates and place of each chunk, in C order."""
        grid = (range(-(-n // c)) for n, c in zip(self.shape, self.chunks, strict=True))
        for coords in product(*grid):
            parts = zip(coords, self.chunks, self.shape, strict=True)
            yield coords, tuple(slice(i * c, min((i + 1) * c, n)) for i, c, n in parts)

    def values(self) -> NDArray[np.uint16]:
        """The array, computed."""
        axes = (np.arange(n, dtype=np.float32) for n in self.shape)
        values = np.full(self.shape, 20_000, np.uint16)
        smooth: NDArray[np.float32] = np.array(250, np.float32)
        for axis, period in zip(np.ix_(*axes), (23, 31, 17), strict=False):
            smooth = smooth * np.sin(axis / period)
        values += smooth.astype(np.int16).view(np.uint16)  # modulo 2**16, a subtraction too
        # zstd halves them nearly, as it does measurements
        values += np.random.default_rng(0).integers(0, 16, self.shape, np.uint16)
        return values

    def expected(self, place: Path) -> NDArray[np.uint16]:
        """The values again, from a file next to the array, which takes no memory to compute."""
        root = place.parents[self.name.count("/")]
        path = root / f"values-{'x'.join(map(str, self.shape))}.npy"
        if not path.exists():
            partial = path.with_name(f"{os.getpid()}-{path.name}")
            np.save(partial, self.values())
            partial.rename(path)
        values: NDArray[np.uint16] = np.load(path, mmap_mode="r")
        return values

    def write(self, root: Path) -> Path:
        """The array's place below `root`, written where it is not there."""
        place = root / self.name
        if not place.exists():
            root.mkdir(parents=True, exist_ok=True)
            if self.dimension_names is not None:
                zlab.create_group(place.parent)
            self.create(place)[...] = self.expected(place)
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
            dimension_names=self.dimension_names,
        )

    def document(self) -> dict[str, Any]:
        """Its metadata, for libraries that take the document of a new array."""
        codecs: list[dict[str, Any]] = [
            {"name": "bytes", "configuration": {"endian": "little"}},
            *([] if self.compressor is None else [dict(self.compressor)]),
        ]
        if self.shards is not None:
            configuration = {
                "chunk_shape": list(self.chunks),
                "codecs": codecs,
                "index_codecs": [codecs[0], {"name": "crc32c"}],
                "index_location": "end",
            }
            codecs = [{"name": "sharding_indexed", "configuration": configuration}]
        grid = {"chunk_shape": list(self.shards or self.chunks)}
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.shape),
            "data_type": "uint16",
            "chunk_grid": {"name": "regular", "configuration": grid},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "codecs": codecs,
            "fill_value": 0,
            "attributes": {},
        }


@dataclass(frozen=True)
class Members:
    """A group of arrays without data.

    Attributes:
        name: Its directory.
        count: Of the arrays.
    """

    name: str
    count: int

    def write(self, root: Path) -> Path:
        """The group's place below `root`, written where it is not there."""
        place = root / self.name
        if not place.exists():
            group = zlab.create_group(place)
            for number in range(self.count):
                group.create_array(f"{number:05}", shape=(8,), chunks=(8,), dtype="uint16")
        return place


def datasets(side: int) -> dict[str, OnDisk]:
    """All, by name; most arrays have `4 * side**3` bytes."""
    shape = (side, side, 2 * side)
    large, small = (64, 64, 128), (16, 32, 32)  # 1 MiB and 32 kB
    line = 128 * side
    samples = (8 * side, 32 * side)
    made: tuple[OnDisk, ...] = (
        Dataset("raw", shape, large, compressor=None),
        Dataset("zstd", shape, large),
        Dataset("blosc", shape, large, compressor=BLOSC),
        Dataset("gzip", shape, large, compressor=GZIP),
        Dataset("small", shape, small),
        Dataset("sharded", shape, (32, 32, 32), shards=(128, 128, 128)),
        # four times as large: 65,536 inner chunks of 4 kB, and what no budget holds
        Dataset("tiny", (side, 2 * side, 4 * side), (8, 16, 16), shards=(128, 256, 512)),
        Dataset("long", (side, 2 * side, 4 * side), large),
        # all chunks lie along the last axis
        Dataset("line", (64, 64, 32 * side), large),
        # one shard, of which each row is an inner chunk
        Dataset("rows", (64, line), (1, line), shards=(64, line)),
        Dataset("plane", (400, 400), (100, 100)),
        # half as large: 16 kB a sample, of which 16 are a chunk
        Dataset("samples/x", samples, (16, 32 * side), dimension_names=("sample", "feature")),
        Dataset(
            "sharded-samples/x",
            samples,
            (16, 32 * side),
            shards=(128, 32 * side),
            dimension_names=("sample", "feature"),
        ),
        # the grid of Earthmover's loop: 12 patches for each step in time, so 60 batches at most
        Dataset(
            "patches/x",
            (2 + 20 * side // 256, 64, 128),
            (1, 32, 64),
            dimension_names=("time", "latitude", "longitude"),
        ),
        Weather("weather", side),
        Members("group", 10_000 * side // 256),
    )
    return {dataset.name: dataset for dataset in made}
