"""What every store of zlab owes, run against stores of zarr-python."""

from __future__ import annotations

import itertools
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("zarr")

import zarr.storage

from zlab.stores.memory import MemoryStore
from zlab.zarr import Store, ZarrStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from zlab.stores.base import Store as ZlabStore

    MakeStore = Callable[..., ZlabStore]

_numbers = itertools.count()


def _contract() -> ModuleType:
    path = Path(__file__).parents[1] / "stores" / "test_contract.py"
    spec = spec_from_file_location("stores_contract", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# each of its tests takes one of the fixtures below
_OTHERS = {
    "test_it_is_a_store",  # most of these are not local
    "test_readers_beside_a_writer_see_the_old_or_the_new",  # names the kinds it is for
}
globals().update(
    {
        name: test
        for name, test in vars(_contract()).items()
        if name.startswith("test_") and name not in _OTHERS
    }
)


class Directory(zarr.storage.LocalStore):
    """Derived, so zlab has to ask it and may not go to the files itself."""


def _memory(_: Path) -> MakeStore:
    objects = zarr.storage.MemoryStore({})
    return lambda **options: ZarrStore(objects, **options)


def _directory(where: Path) -> MakeStore:
    return lambda **options: ZarrStore(Directory(where / "store"), **options)


def _fsspec(_: Path) -> MakeStore:
    url = f"memory://zarr-place-{next(_numbers)}/store"
    return lambda **options: ZarrStore(zarr.storage.FsspecStore.from_url(url), **options)


def _obstore(_: Path) -> MakeStore:
    place = zarr.storage.ObjectStore(pytest.importorskip("obstore.store").MemoryStore())
    return lambda **options: ZarrStore(place, **options)


def _round(_: Path) -> MakeStore:
    objects = MemoryStore()
    return lambda **options: ZarrStore(Store(objects), **options)


KINDS = {
    "memory": _memory,
    "directory": _directory,
    "fsspec": _fsspec,
    "obstore": _obstore,
    "zlab": _round,
}


@pytest.fixture(params=KINDS)
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Makes stores of one place: each call returns a new handle on it."""
    if (request.param, request.node.originalname) == ("obstore", "test_pickled"):
        pytest.skip("obstore's memory cannot be pickled")
    return KINDS[request.param](tmp_path)


@pytest.fixture
def store(make_store: MakeStore) -> ZlabStore:
    """An empty store of each kind."""
    return make_store()
