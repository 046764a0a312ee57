"""zarr-python's stores as zlab's: taken as they are, from anywhere, with errors that say what."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")

from zarr.core.buffer import cpu  # noqa: E402
from zarr.core.sync import sync  # noqa: E402
from zarr.storage import FsspecStore as ZarrFsspec  # noqa: E402
from zarr.storage import LocalStore as ZarrLocal  # noqa: E402
from zarr.storage import MemoryStore as ZarrMemory  # noqa: E402
from zarr.storage import StorePath, WrapperStore  # noqa: E402
from zarr.storage import ZipStore as ZarrZip  # noqa: E402

import zlab  # noqa: E402
from zlab.errors import (  # noqa: E402
    ReadOnlyError,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
)
from zlab.stores.base import Range  # noqa: E402
from zlab.stores.fsspec import FsspecStore  # noqa: E402
from zlab.stores.local import LocalStore  # noqa: E402
from zlab.stores.memory import MemoryStore  # noqa: E402
from zlab.stores.networks import FsspecBackend  # noqa: E402
from zlab.stores.open import store_from  # noqa: E402
from zlab.stores.remote import RemoteStore  # noqa: E402
from zlab.zarr import Store, ZarrStore  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path


class Derived(ZarrLocal):
    """It may do more than its base."""


class Awaited(WrapperStore[Any]):
    """A store that has coroutines alone."""

    _supports_sync_io = False


class Broken(Awaited):
    """A store that fails."""

    error: Exception = RuntimeError("out of order")

    async def get(self, *_: object, **__: object) -> Any:
        raise self.error

    async def exists(self, key: str) -> bool:
        raise self.error


def opened(store: Any, **options: Any) -> Any:
    return zlab.open(store, **options)


def test_zlab_uses_its_own_where_it_has_one(tmp_path: Path) -> None:
    store, path = store_from(ZarrLocal(tmp_path), mode="r+")
    assert (store, path) == (LocalStore(tmp_path), "")
    mine = MemoryStore()
    assert store_from(Store(mine), mode="r+") == (mine, "")
    store, _ = store_from(ZarrFsspec.from_url("memory://adapt/a"), mode="r+")
    assert isinstance(store, FsspecStore)
    assert store.name == "memory:///adapt/a"
    store, _ = store_from(ZarrFsspec.from_url(f"file://{tmp_path}"), mode="r+")
    assert store == LocalStore(tmp_path)


def test_others_are_asked_themselves(tmp_path: Path) -> None:
    for other in (ZarrMemory(), Derived(tmp_path), Awaited(ZarrMemory())):
        store, path = store_from(other, mode="r+")
        assert isinstance(store, ZarrStore)
        assert (store.store, path) == (other, "")
        assert store.local == (type(other) is not Awaited)


def test_a_place_inside_a_store() -> None:
    objects = ZarrMemory()
    zarr.create_array(objects, name="a/b", data=np.arange(4))
    assert opened(StorePath(objects, "a/b"))[:].tolist() == [0, 1, 2, 3]
    assert list(opened(StorePath(objects, "a"))) == ["b"]


def test_modes() -> None:
    objects = ZarrMemory()
    zlab.create_group(objects).create_array("a", data=np.arange(3))
    assert zarr.open_array(objects, path="a", mode="r")[:].tolist() == [0, 1, 2]
    with pytest.raises(ReadOnlyError):
        opened(objects)["a"][0] = 7
    opened(objects, mode="r+")["a"][0] = 7
    assert zarr.open_array(objects, path="a", mode="r")[0] == 7
    with pytest.raises(ReadOnlyError):
        opened(objects.with_read_only(read_only=True), mode="r+")["a"][0] = 8


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError):
        opened(ZarrLocal(tmp_path / "nothing"))
    zlab.create_group(ZarrLocal(tmp_path / "new"))
    assert (tmp_path / "new" / "zarr.json").exists()


def test_what_is_no_store_is_refused() -> None:
    with pytest.raises(TypeError, match="a store of zarr-python is needed, not 'dict'"):
        ZarrStore({})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a store of zlab's is needed, not 'dict'"):
        Store({})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cannot make a store of 'Config'"):
        store_from(zarr.config)
    with pytest.raises(TypeError, match="storage_options are for URLs"):
        store_from(ZarrMemory(), storage_options={"anon": True})


def test_zip_archives_of_zarr_python(tmp_path: Path) -> None:
    with ZarrZip(tmp_path / "a.zip", mode="w") as archive:
        zarr.create_array(archive, name="a", data=np.arange(6), chunks=(2,))
    with ZarrZip(tmp_path / "a.zip", mode="r") as archive:
        array = opened(archive)["a"]
        assert array[1:4].tolist() == [1, 2, 3]
        assert array.nchunks_initialized == 3
        with pytest.raises(ReadOnlyError):
            array[0] = 1


def test_two_memories_with_the_same_objects_are_two() -> None:
    one, other = ZarrMemory({}), ZarrMemory({})
    assert one == other  # zarr-python compares all the bytes
    assert ZarrStore(one) != ZarrStore(other)
    assert ZarrStore(one) == ZarrStore(one.with_read_only(read_only=True))
    assert ZarrStore(one) != object()


def test_versions_of_what_is_in_memory() -> None:
    store = ZarrStore(ZarrMemory())
    assert store.version("a") is None
    store.put("a", b"x")
    first = store.version("a")
    assert first == store.version("a")
    assert first != object()
    assert len({first, store.version("a")}) == 1
    store.put("a", b"x")
    assert store.version("a") != first
    assert ZarrStore(Awaited(ZarrMemory())).version("a") is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("out of order"), StoreError),
        (PermissionError(13, "not for you"), StorePermissionError),
        (FileNotFoundError(2, "no bucket"), StoreNotFoundError),
        (TimeoutError("too slow"), StoreError),
        (KeyError("s3://user:secret@bucket?sig=abc"), StoreError),
    ],
)
def test_failures_are_typed_and_say_where(
    error: Exception, kind: type[StoreError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Broken, "error", error)
    store = ZarrStore(Broken(ZarrMemory()))
    for call in (lambda: store.get("a/c/0"), lambda: store.nbytes("a/c/0")):
        with pytest.raises(StoreError) as caught:
            call()
        assert type(caught.value) is kind
        assert repr(caught.value.__cause__) == repr(error)
        assert (caught.value.key, caught.value.store) == ("a/c/0", store.name)
        assert caught.value.errno == getattr(error, "errno", None)
        assert "secret" not in str(caught.value)
        assert "sig=" not in str(caught.value)


def test_a_failed_read_is_never_fill() -> None:
    objects = ZarrMemory()
    zarr.create_array(objects, data=np.arange(4), chunks=(2,))

    class Flaky(Awaited):
        async def get(self, key: str, *rest: Any, **more: Any) -> Any:
            if key == "c/1":
                raise OSError("connection reset")
            return await self._store.get(key, *rest, **more)

    array = zlab.open_array(Flaky(objects))
    assert array[:2].tolist() == [0, 1]
    with pytest.raises(zlab.errors.ChunkReadError, match="connection reset"):
        array[:]


def test_from_a_running_event_loop() -> None:
    objects = Awaited(ZarrMemory())

    async def work() -> Any:
        zlab.create_group(objects).create_array("a", data=np.arange(4), chunks=(2,))
        return opened(objects)["a"][1:]

    assert asyncio.run(work()).tolist() == [1, 2, 3]


def test_from_the_loop_that_would_have_to_answer() -> None:
    store = ZarrStore(Awaited(ZarrMemory()))

    async def work() -> None:
        store.get("a")

    with pytest.raises(StoreError, match="from the event loop that would have to answer"):
        sync(work())


def test_a_loop_of_ones_own_and_its_end() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    blocked = threading.Event()

    class Endless(Awaited):
        async def get(self, *_: object, **__: object) -> Any:
            blocked.set()
            await asyncio.Event().wait()

    store = ZarrStore(Endless(ZarrMemory()), loop=loop)
    failures: list[BaseException] = []

    def read() -> None:
        try:
            store.get("a")
        except StoreError as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert blocked.wait(30)
    for task in asyncio.all_tasks(loop):
        loop.call_soon_threadsafe(task.set_name, "left")
    loop.call_soon_threadsafe(loop.stop)
    reader.join(30)
    thread.join(30)
    assert "the event loop of the store has ended" in str(failures[0])
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    with pytest.raises(StoreError, match="the event loop of the store has ended"):
        store.get("a")


def test_pickled_with_its_store(tmp_path: Path) -> None:
    store = ZarrStore(Derived(tmp_path), read_only=True)
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301
    assert copy == store
    assert copy.read_only
    assert hash(copy) == hash(store)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_reads_or_is_told_why_not(tmp_path: Path) -> None:
    data = np.arange(64)
    zarr.create_array(ZarrLocal(tmp_path), data=data, chunks=(2,))
    here = zlab.open_array(Derived(tmp_path))
    elsewhere = zlab.open_array(Awaited(ZarrLocal(tmp_path)))
    assert here[:].sum() == elsewhere[:].sum() == data.sum()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            fresh = zlab.open_array(Awaited(ZarrLocal(tmp_path)))
            right = here[:].sum() == fresh[:].sum() == data.sum()
            try:
                elsewhere[:]
            except zlab.errors.ChunkReadError as error:
                code = 0 if right and "before this process was forked" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_ranges_of_stores_that_mean_them_otherwise() -> None:
    class Careless(Awaited):
        async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
            # a server that knows no ranges sends the whole object
            return await self._store.get(key, prototype)

    store = ZarrStore(Careless(ZarrMemory()))
    store.put("a", b"0123456789")
    assert store.get("a", Range(0, 3)) == b"012"


def test_an_asynchronous_filesystem_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.asyn import AsyncFileSystem

    class Counted(AsyncFileSystem):  # type: ignore[misc]  # fsspec has no types
        protocol = "counted"
        cachable = False

        def __init__(self, bucket: str, **options: Any) -> None:
            super().__init__(**options)
            self.bucket = bucket

    fs = Counted("b", asynchronous=True)
    store, _ = store_from(ZarrFsspec(fs, path="place"), mode="r")
    assert isinstance(store, RemoteStore)
    assert isinstance(store.backend, FsspecBackend)
    made = store.backend.store.fs
    assert (made.bucket, made.asynchronous) == ("b", False)

    def refuse(self: Any, *_: object, **__: Any) -> None:
        raise ValueError("no second one")

    monkeypatch.setattr(Counted, "__init__", refuse)
    store, _ = store_from(ZarrFsspec(fs, path="place"), mode="r")
    assert isinstance(store, ZarrStore)


def test_sessions_of_icechunk() -> None:
    icechunk = pytest.importorskip("icechunk")
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repository.writable_session("main")
    group = zlab.create_group(session.store)
    array = group.create_array("a/b", data=np.arange(10), chunks=(3,))
    array[3] = 30
    session.commit("numbers")
    read = opened(repository.readonly_session("main"))
    assert read["a/b"][2:5].tolist() == [2, 30, 4]
    assert read["a/b"].nchunks_initialized == 4
    assert str(read.tree()) == "/\n└── a\n    └── b (10,) int64"
    assert "c" not in read
    with pytest.raises(ReadOnlyError):
        read["a/b"][0] = 1


def test_closing_hands_on_to_the_store_below() -> None:
    closed: list[str] = []

    class Closing(MemoryStore):
        def close(self) -> None:
            closed.append(self.name)

    mine = Closing(name="mine")
    with Store(mine):
        pass
    assert closed == ["mine"]
    Store(MemoryStore()).close()


def test_what_zarr_python_writes_is_not_remembered_otherwise() -> None:
    mine = MemoryStore()
    store = Store(mine)
    cache = zlab.Cache(1 << 20)
    zarr.create_array(store, data=np.arange(4), chunks=(2,))
    array = zlab.open_array(mine, cache=cache)
    assert array[:].tolist() == [0, 1, 2, 3]
    sync(store.set("c/1", cpu.Buffer.from_bytes(mine.mapping["c/0"])))
    assert array[:].tolist() == [0, 1, 0, 1]
    sync(store.delete_dir("c"))
    assert array[:].tolist() == [0, 0, 0, 0]


def test_a_handle_on_a_store_of_zarr_can_be_pickled() -> None:
    store = zarr.storage.MemoryStore()
    zarr.create_array(store, name="a", data=np.arange(3))
    group = zlab.open_group(store, mode="r")
    array = group.array("a")
    copy = pickle.loads(pickle.dumps(array))  # noqa: S301  our own
    assert copy[:].tolist() == [0, 1, 2]
    assert array[:].tolist() == [0, 1, 2]
