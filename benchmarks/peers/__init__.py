"""How each library does what is measured; each module is the only one that imports its library."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.datasets import Dataset

DISTRIBUTIONS = {"zlab": "zlab", "zarr": "zarr", "tensorstore": "tensorstore"}
"""Peers by name, and the package that each measures."""


class Peer(Protocol):
    """A library, opened on one array."""

    def read(self, selection: Any = ...) -> NDArray[Any]:
        """A selection of the array as a NumPy array."""
        ...


class Library(Protocol):
    """A library that can read and write arrays."""

    module: str
    """What is imported for it."""

    def open(self, place: Path) -> Peer:
        """Opens an array as a user does who will read it."""
        ...

    def writer(self, dataset: Dataset, place: Path) -> Callable[[NDArray[Any]], object]:
        """Creates an array; what is returned writes all of it."""
        ...


def load(name: str) -> Library:
    """The library of that name."""
    module: Any = importlib.import_module(f"benchmarks.peers.{name}_")
    library: Library = module.LIBRARY
    return library


def versions() -> Mapping[str, str]:
    """The versions of the peers that are installed."""
    found = {}
    for name, distribution in DISTRIBUTIONS.items():
        try:
            found[name] = version(distribution)
        except PackageNotFoundError:
            continue
    return found
