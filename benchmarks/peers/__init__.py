"""How each library does what is measured; each module is the only one that imports its library."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

import numpy as np

from benchmarks import loops

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from benchmarks.datasets import Dataset
    from benchmarks.weather import Answer, Query

    Entries: TypeAlias = Iterable[tuple[tuple[slice, ...], Any]]

Shuffle: TypeAlias = Literal["none", "window", "global"]


@dataclass(frozen=True)
class Source:
    """Where a peer comes from.

    Attributes:
        distributions: The packages that must be installed, of which the first is measured.
        module: Of this package.
        variant: Which of the module's libraries.
    """

    distributions: tuple[str, ...]
    module: str
    variant: str = ""


SOURCES = {
    "zlab": Source(("zlab",), "zlab_"),
    "zarr-python": Source(("zarr",), "zarr_", "batched"),
    "zarr-python, fused": Source(("zarr",), "zarr_", "fused"),
    "zarr-python on zlab": Source(("zarr",), "zarr_", "zlab"),
    "zarrs": Source(("zarrs", "zarr"), "zarr_", "zarrs"),
    "zarrista": Source(("zarrista",), "zarrista_"),
    "tensorstore": Source(("tensorstore",), "tensorstore_"),
    "dask": Source(("dask", "zarr"), "dask_"),
    "xbatcher": Source(("xbatcher", "zarr"), "xbatcher_"),
    "grain": Source(("grain", "zarr"), "grain_"),
    "annbatch": Source(("annbatch", "zarrs", "zarr"), "annbatch_"),
    "PyTorch": Source(("torch", "zarr"), "torch_"),
    "xarray": Source(("xarray", "pandas", "zarr"), "xarray_"),
    "rainbear": Source(("rainbear", "polars"), "rainbear_"),
    "xarray-sql": Source(("xarray-sql", "datafusion", "zarr"), "xarray_sql_", "datafusion"),
    "duckdb": Source(("duckdb", "xarray-sql", "zarr"), "xarray_sql_", "duckdb"),
    "codec floor": Source(("numcodecs",), "floor_"),
}
"""Peers by name."""


class CannotDoError(Exception):
    """A library has no way to do a row's work; the message says why."""


@dataclass(frozen=True)
class Setting:
    """What a row asks for beside the array.

    Attributes:
        threads: That read or write; what the library chooses by itself where it is `None`.
        latency_s: Seconds that each request to the store takes longer.
        in_flight: Requests to the store at once; what the library chooses where it is `None`.
        cache_nbytes: Of decoded chunks that are kept.
        max_nbytes: Of decoded chunks that may be held.
        shuffle: The order of samples: "none", "window" or "global".
        step_s: Seconds that a training step takes.
        query: A name of `benchmarks.weather.QUERIES`.
    """

    threads: int | None = None
    latency_s: float = 0.0
    in_flight: int | None = None
    cache_nbytes: int = 0
    max_nbytes: int | None = None
    shuffle: Shuffle = "none"
    step_s: float = 0.0
    query: str = ""


class Opened:
    """An array, opened by a library.

    Args:
        read: From a selection to values, in the form that the library hands out.
        read_chunk: From a chunk's coordinates and its place in the array to its values, where
            the library has a way of its own for that.
        read_samples: From indices along the first axis to values, where it is another call.
    """

    def __init__(
        self,
        read: Callable[[Any], Any],
        read_chunk: Callable[[tuple[int, ...], tuple[slice, ...]], Any] | None = None,
        read_samples: Callable[[Any], Any] | None = None,
    ) -> None:
        self.read = read
        self.read_chunk = read_chunk or (lambda _coords, place: read(place))
        self.read_samples = read_samples or read


class Library(ABC):
    """A library, and what it can do. What it cannot do raises `CannotDoError`."""

    statement: str
    """Imports what opens arrays."""

    @abstractmethod
    def open(self, place: Path, setting: Setting) -> Opened:
        """Opens an array as a user does who will read it."""

    def create(self, dataset: Dataset, place: Path) -> Callable[[Any, Any], object]:  # noqa: ARG002  for those who can
        """Creates an array; what is returned writes values to a selection."""
        self.cannot("writes no arrays")

    def members(self, place: Path) -> Collection[str]:  # noqa: ARG002  for those who can
        """The names of the arrays of a group."""
        self.cannot("has no groups")

    def total(self, dataset: Dataset, place: Path, setting: Setting) -> Callable[[], int]:
        """What is returned sums the array's values, chunk by chunk.

        For a library without streams it is the loop that its users write.
        """
        array = self.open(place, setting)
        places = list(dataset.places())
        return lambda: sum(
            int(np.asarray(array.read_chunk(*chunk)).sum(dtype=np.uint64)) for chunk in places
        )

    def total_by_slices(self, dataset: Dataset, place: Path, setting: Setting) -> Callable[[], int]:
        """The same, one position of the first axis after the other."""
        array, rows = self.open(place, setting), dataset.shape[0]
        return lambda: sum(
            int(np.asarray(array.read(slice(row, row + 1))).sum(dtype=np.uint64))
            for row in range(rows)
        )

    def total_async(self, dataset: Dataset, place: Path, setting: Setting) -> Callable[[], int]:  # noqa: ARG002  for those who can
        """The same by `async for`."""
        self.cannot("has no asynchronous streams")

    def total_of_pipeline(
        self,
        dataset: Dataset,  # noqa: ARG002  for those who can
        place: Path,  # noqa: ARG002
        setting: Setting,  # noqa: ARG002
    ) -> Callable[[], int]:
        """The same in the stages of a pipeline."""
        self.cannot("has no pipelines")

    def create_for_chunks(self, dataset: Dataset, place: Path) -> Callable[[Entries], object]:
        """Creates an array; what is returned writes it chunk by chunk.

        For a library without write streams it is the loop that its users write.
        """
        put = self.create(dataset, place)

        def write(entries: Entries) -> None:
            for region, values in entries:
                put(region, values)

        return write

    def batches(
        self, dataset: Dataset, place: Path, setting: Setting
    ) -> Callable[[], Iterator[Any]]:
        """What is returned begins an epoch of batches of samples.

        For a library without loaders it is the loop that its users write.
        """
        array, n = self.open(place, setting), dataset.shape[0]
        if setting.shuffle == "none":
            return lambda: loops.in_order(array.read, n)
        random = np.random.default_rng(0)
        if setting.shuffle == "window":
            return lambda: loops.in_windows(array.read, n, dataset.chunks[0], random)
        return lambda: loops.at_random(array.read_samples, n, random)

    def patches(
        self, dataset: Dataset, place: Path, setting: Setting
    ) -> Callable[[], Iterator[Any]]:
        """The same, of windows that overlap."""
        array = self.open(place, setting)
        return lambda: loops.PATCHES.loop(array.read, dataset.shape)

    def query(self, place: Path, query: Query) -> Callable[[], Answer]:  # noqa: ARG002  for those who can
        """What is returned answers a query about a group, as one opens it anew."""
        self.cannot("has no tables")

    def cannot(self, reason: str) -> NoReturn:
        """Refuses."""
        raise CannotDoError(reason)


def load(name: str) -> Library:
    """The library of that name."""
    source = SOURCES[name]
    module: Any = importlib.import_module(f"benchmarks.peers.{source.module}")
    library: Library = module.library(source.variant)
    return library


def available() -> frozenset[str]:
    """The peers whose packages are installed."""
    installed = versions().keys()
    return frozenset(
        name for name, source in SOURCES.items() if installed >= set(source.distributions)
    )


def versions() -> Mapping[str, str]:
    """The packages that are measured and installed, and their versions."""
    found = {}
    for name in dict.fromkeys(name for source in SOURCES.values() for name in source.distributions):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
