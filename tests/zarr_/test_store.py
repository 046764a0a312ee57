"""zlab's stores as zarr-python's: zarr-python's own tests of a store, and what they leave out."""

from __future__ import annotations

import itertools
import pickle
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("zarr")

from zarr.core.buffer import cpu
from zarr.core.sync import sync
from zarr.testing.store import StoreTests

from zlab.stores.fsspec import FsspecStore
from zlab.stores.local import LocalStore
from zlab.stores.memory import MemoryStore
from zlab.stores.zip import ZipStore
from zlab.testing import CountingStore
from zlab.zarr import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zarr.core.buffer import Buffer

_numbers = itertools.count()


class _StoreTests(StoreTests[Store, cpu.Buffer]):
    """What zarr-python asks of every store."""

    store_cls = Store
    buffer_cls = cpu.Buffer

    async def set(self, store: Store, key: str, value: Buffer) -> None:
        store.store.put(key, value.to_bytes())

    async def get(self, store: Store, key: str) -> Buffer:
        data = store.store.get(key)
        assert data is not None
        return cpu.Buffer.from_bytes(data)

    @pytest.fixture
    def store(self, open_kwargs: dict[str, Any]) -> Store:
        return sync(Store.open(**open_kwargs))

    @pytest.fixture
    def store_not_open(self, store_kwargs: dict[str, Any]) -> Store:
        return Store(**store_kwargs)

    def test_store_repr(self, store: Store) -> None:
        assert repr(store) == f"zlab.zarr.Store({store.store!r})"
        assert str(store) == store.store.name

    def test_store_supports_writes(self, store: Store) -> None:
        assert store.supports_writes

    def test_store_supports_listing(self, store: Store) -> None:
        assert store.supports_listing


class TestMemory(_StoreTests):
    @pytest.fixture
    def store_kwargs(self) -> dict[str, Any]:
        return {"store": MemoryStore()}

    async def test_serializable_store(self, store: Store) -> None:
        store.store.put("a", b"x")
        copy = pickle.loads(pickle.dumps(store))  # noqa: S301
        assert copy.store.get("a") == b"x"
        assert copy != store  # the objects of a process are nobody else's


class TestLocal(_StoreTests):
    @pytest.fixture
    def store_kwargs(self, tmp_path: Path) -> dict[str, Any]:
        (tmp_path / "store").mkdir()
        return {"store": LocalStore(tmp_path / "store")}


class TestZip(_StoreTests):
    @pytest.fixture
    def store_kwargs(self, tmp_path: Path) -> Iterator[dict[str, Any]]:
        with ZipStore(tmp_path / "store.zip") as store:
            yield {"store": store}

    async def test_serializable_store(self, store: Store) -> None:
        store.store.put("a", b"x")
        store.close()  # others see what was written once the archive is closed
        copy = pickle.loads(pickle.dumps(store))  # noqa: S301
        assert copy == store
        assert copy.store.get("a") == b"x"


class TestFsspec(_StoreTests):
    @pytest.fixture
    def store_kwargs(self) -> dict[str, Any]:
        return {"store": FsspecStore(f"memory://zarr-{next(_numbers)}/store")}


class TestRemote(_StoreTests):
    """A store whose calls are made by threads."""

    @pytest.fixture
    def store_kwargs(self) -> dict[str, Any]:
        return {"store": CountingStore(MemoryStore(), local=False)}

    async def test_serializable_store(self, store: Store) -> None:
        pytest.skip("a store for tests, which is not pickled")
