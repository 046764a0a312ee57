from __future__ import annotations

import os
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from zlab.errors import MissingExtraError, StoreError, StoreNotFoundError
from zlab.stores.fsspec import FsspecStore
from zlab.stores.local import LocalStore
from zlab.stores.memory import MemoryStore
from zlab.stores.open import store_from
from zlab.stores.zip import ZipStore
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from zlab.stores.open import Mode


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "data.zarr"
    LocalStore(path).put("a b/%41", b"x")
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "data.zip"
    with ZipStore(path) as store:
        store.put("group/array/zarr.json", b"x")
    return path


def test_paths(directory: Path) -> None:
    for target in (directory, str(directory), f"{directory}/", directory.as_uri()):
        assert store_from(target) == (LocalStore(directory), "")
    assert store_from(directory / "a b") == (LocalStore(directory / "a b"), "")
    assert store_from((directory / "a b").as_uri()) == (LocalStore(directory / "a b"), "")
    assert store_from(f"local://{directory}") == (LocalStore(directory), "")


def test_relative_and_home_paths(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory.parent)
    monkeypatch.setenv("HOME", str(directory.parent))
    monkeypatch.setenv("USERPROFILE", str(directory.parent))
    for target in ("data.zarr", "./data.zarr", Path("data.zarr"), "~/data.zarr"):
        assert store_from(target) == (LocalStore(directory), "")
    assert store_from(".")[0] == LocalStore(directory.parent)


@pytest.mark.parametrize("path", ["C:\\data\\x.zarr", "C:/data/x.zarr", "c:x.zarr"])
def test_the_drives_of_windows_are_no_schemes(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert type(store_from(path, mode="a")[0]) is LocalStore


@pytest.mark.parametrize(
    ("mode", "read_only"), [("r", True), ("r+", False), ("a", False), ("w", False), ("w-", False)]
)
def test_modes(directory: Path, archive: Path, mode: Mode, read_only: bool) -> None:
    for target in (directory, archive, {"a": b"x"}, "memory://modes/x", MemoryFileSystem()):
        assert store_from(target, mode=mode)[0].read_only == read_only
    assert [entry.key for entry in store_from(directory, mode=mode)[0].list()] == ["a b/%41"]


@pytest.mark.parametrize("name", ["missing.zarr", "missing.zip"])
@pytest.mark.parametrize(("mode", "fine"), [("r", False), ("r+", False), ("a", True), ("w", True)])
def test_what_does_not_exist(tmp_path: Path, name: str, mode: Mode, fine: bool) -> None:
    if fine:
        store, path = store_from(tmp_path / name, mode=mode)
        assert path == ""
        assert list(store.list()) == []
    else:
        with pytest.raises(StoreNotFoundError, match=name):
            store_from(tmp_path / name, mode=mode)
    assert list(tmp_path.iterdir()) == []


def test_archives(archive: Path) -> None:
    for target in (archive, str(archive), archive.as_uri()):
        store, path = store_from(target)
        assert type(store) is ZipStore
        assert path == ""
    store, path = store_from(archive / "group" / "array")
    assert (store, path) == (ZipStore(archive), "group/array")
    (archive.parent / "directory.zip").mkdir()
    assert type(store_from(archive.parent / "directory.zip")[0]) is LocalStore


def test_memory() -> None:
    one, other = store_from("memory://", mode="a")[0], store_from("memory://", mode="a")[0]
    assert type(one) is type(other) is MemoryStore
    assert one != other
    shared = store_from("memory://test-open/shared", mode="a")[0]
    shared.put("a", b"x")
    assert store_from("memory://test-open/shared")[0].get("a") == b"x"
    assert shared == store_from("memory://test-open/shared")[0]


def test_urls(archive: Path, directory: Path) -> None:
    store, path = store_from(f"zip::{archive}")
    assert type(store) is FsspecStore
    assert path == ""
    assert store.get("group/array/zarr.json") == b"x"
    cached, _ = store_from(f"simplecache::file://{directory}")
    assert cached.get("a b/%41") == b"x"


def test_mappings() -> None:
    mapping = {"a": b"x"}
    store, path = store_from(mapping, mode="r+")
    assert path == ""
    store.put("b", b"y")
    assert mapping == {"a": b"x", "b": b"y"}
    assert store_from(mapping)[0].read_only


def test_what_fsspec_users_have(directory: Path) -> None:
    memory = MemoryFileSystem()
    memory.pipe_file("/test-open/fs/a", b"x")
    for target in (
        fsspec.get_mapper("memory://test-open/fs"),
        (memory, "test-open/fs"),
        (memory, "/test-open/fs/"),
    ):
        store = store_from(target)[0]
        assert type(store) is FsspecStore
        assert store.get("a") == b"x"
    for target in (
        fsspec.get_mapper(str(directory)),
        (LocalFileSystem(), str(directory)),
        (LocalFileSystem(), directory.as_posix()),
    ):
        assert store_from(target) == (LocalStore(directory), "")


def test_stores_are_taken_as_they_are() -> None:
    store = CountingStore(MemoryStore())
    assert store_from(store)[0] is store


@pytest.mark.parametrize("target", [1, None, b"path", ["a"], ("a", "b"), object(), {"a"}])
def test_anything_else_is_refused(target: Any) -> None:
    with pytest.raises(TypeError, match="an fsspec filesystem"):
        store_from(target)


def test_paths_of_bytes_are_refused() -> None:
    class BytesPath(os.PathLike[bytes]):
        def __fspath__(self) -> bytes:
            return b"data"

    with pytest.raises(TypeError, match="BytesPath"):
        store_from(BytesPath())


def test_bad_modes_and_options(directory: Path) -> None:
    with pytest.raises(ValueError, match=r"'r', 'r\+', 'a', 'w', 'w-', not 'x'"):
        store_from(directory, mode="x")  # type: ignore[arg-type]
    targets: list[Any] = [directory, str(directory), {}, MemoryStore(), "memory://"]
    for target in targets:
        with pytest.raises(TypeError, match="storage_options"):
            store_from(target, storage_options={"anon": True})
    with pytest.raises(StoreError, match="empty"):
        store_from("")
    with pytest.raises(TypeError):
        store_from(PurePosixPath("a"), storage_options={"x": 1})


def test_urls_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="nosuchscheme"):
        store_from("nosuchscheme://user:secret@host/x")
    with pytest.raises(StoreNotFoundError):
        store_from("zip::file:///nowhere/at/all.zip")
    with pytest.raises(StoreError, match="another machine"):
        store_from("file://elsewhere/data.zarr")

    def not_installed(*_: object, **__: object) -> None:
        msg = "Install s3fs to access S3"
        raise ImportError(msg, name="s3fs")

    monkeypatch.setattr("fsspec.core.url_to_fs", not_installed)
    with pytest.raises(MissingExtraError, match=r"zlab\[cloud\]"):
        store_from("s3://bucket/x", storage_options={"engine": "fsspec"})
    # without obstore fsspec serves, and says what it lacks
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "zlab.stores.obstore", raising=False)
    with pytest.raises(MissingExtraError, match=r"zlab\[cloud\]"):
        store_from("s3://bucket/x")
    with pytest.raises(MissingExtraError, match=r"needs obstore"):
        store_from("s3://bucket/x", storage_options={"engine": "obstore"})
    with pytest.raises(ValueError, match="engine must be"):
        store_from("s3://bucket/x", storage_options={"engine": "boto"})
