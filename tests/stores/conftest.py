from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from fsspec.implementations.local import LocalFileSystem

from zlab.stores.base import close
from zlab.stores.fsspec import FsspecStore
from zlab.stores.local import LocalStore
from zlab.stores.memory import MemoryStore
from zlab.stores.zip import ZipStore
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from zlab.stores.base import Store

    MakeStore = Callable[..., Store]

# fsspec's memory filesystem is one for the process
_numbers = itertools.count()


def _local(where: Path) -> MakeStore:
    return lambda **options: LocalStore(where / "store", **options)


def _memory(_: Path) -> MakeStore:
    mapping: dict[str, bytes] = {}
    return lambda **options: MemoryStore(mapping, **options)


def _zip(where: Path) -> MakeStore:
    made: list[ZipStore] = []

    def make(**options: bool) -> Store:
        for store in made:  # what was written is there for others once it is closed
            store.close()
        made.append(ZipStore(where / "store.zip", **options))
        return made[-1]

    return make


def _fsspec_memory(_: Path) -> MakeStore:
    url = f"memory://place-{next(_numbers)}/a store"
    return lambda **options: FsspecStore(url, **options)


def _fsspec_directory(where: Path) -> MakeStore:
    path = str(where / "directory")
    return lambda **options: FsspecStore(LocalFileSystem(), path, **options)


def _interposed(where: Path) -> MakeStore:
    make = _memory(where)
    return lambda **options: CountingStore(make(**options))


KINDS = {
    "local": _local,
    "memory": _memory,
    "zip": _zip,
    "fsspec-memory": _fsspec_memory,
    "fsspec-directory": _fsspec_directory,
    "interposed": _interposed,
}


@pytest.fixture(params=KINDS)
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeStore]:
    """Makes stores of one place: each call returns a new handle on it."""
    made: list[Store] = []
    make = KINDS[request.param](tmp_path)

    def remembered(**options: bool) -> Store:
        made.append(make(**options))
        return made[-1]

    yield remembered
    for store in made:
        close(store)


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    """An empty store of each kind."""
    return make_store()
