"""zarrista."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from benchmarks.peers import Library, Opened

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from benchmarks.datasets import Dataset
    from benchmarks.peers import Setting

# `make setup` need not have it, nor a type checker
zarrista: Any = importlib.import_module("zarrista")
store: Any = importlib.import_module("zarrista.store")


class _Zarrista(Library):
    statement = "import zarrista"

    def open(self, place: Path, setting: Setting) -> Opened:
        if setting.latency_s:
            self.cannot("reads from its own stores, which cannot be slowed")
        if setting.cache_nbytes:
            self.cannot("keeps no decoded chunks")
        array = zarrista.Array.open(store.FilesystemStore(place))
        indices = array.shard_cache()

        def read_chunk(coords: tuple[int, ...], _place: object) -> Any:
            # the one way on which it keeps the shards' indices
            return array.retrieve_subchunk(list(coords), shard_cache=indices).to_numpy()

        return Opened(lambda selection: array[selection].to_numpy(), read_chunk)

    def create(self, dataset: Dataset, place: Path) -> Callable[[Any, Any], object]:
        place.mkdir()
        array = zarrista.Array.from_metadata(dataset.document(), store.FilesystemStore(place))
        array.store_metadata()
        put: Callable[[Any, Any], object] = array.__setitem__
        return put

    def members(self, place: Path) -> Collection[str]:
        return list(zarrista.Group.open(store.FilesystemStore(place)).array_keys())


def library(_variant: str) -> Library:
    """Makes it."""
    return _Zarrista()
