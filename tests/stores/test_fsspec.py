from __future__ import annotations

import functools
import http.server
import multiprocessing
import os
import pickle
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem

import zlab
from zlab.errors import (
    ChunkReadError,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
    StoreTimeoutError,
    StoreTransientError,
)
from zlab.stores.base import Entry, Listing, Range, Suffix
from zlab.stores.fsspec import FsspecStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class FailingFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Raises what it was made with, whatever it is asked."""

    protocol = "failing"
    cachable = False

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def _fail(self, *_: object, **__: object) -> Any:
        raise self.error

    cat_file = pipe_file = rm_file = rm = ls = find = info = makedirs = _fail


def calls_of(store: FsspecStore) -> dict[str, Callable[[], object]]:
    return {
        "get": lambda: store.get("a/c/0"),
        "range": lambda: store.get("a/c/0", Range(0, 4)),
        "suffix": lambda: store.get("a/c/0", Suffix(4)),
        "nbytes": lambda: store.nbytes("a/c/0"),
        "list": lambda: list(store.list("a")),
        "list_dir": lambda: store.list_dir("a"),
        "put": lambda: store.put("a/c/0", b"x"),
        "delete_prefix": lambda: store.delete_prefix("a"),
    }


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PermissionError(13, "Access Denied"), StorePermissionError),
        (OSError(5, "boom"), StoreError),
        (TimeoutError("too slow"), StoreTimeoutError),
        (ConnectionResetError(104, "gone"), StoreTransientError),
        (ValueError("what"), StoreError),
        (RuntimeError("Loop is not running"), StoreError),
        (NotImplementedError(), StoreError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
@pytest.mark.parametrize(
    "call", ["get", "range", "suffix", "nbytes", "list", "list_dir", "put", "delete_prefix"]
)
def test_a_failure_is_typed_and_never_absence(
    error: Exception, kind: type[StoreError], call: str
) -> None:
    store = FsspecStore(FailingFileSystem(error), "bucket/x")
    with pytest.raises(StoreError) as caught:
        calls_of(store)[call]()
    assert type(caught.value) is kind
    assert caught.value.__cause__ is error
    assert caught.value.store == "failing://bucket/x"
    assert caught.value.key in ("a", "a/c/0")
    if isinstance(error, OSError):
        assert caught.value.errno == error.errno


def test_a_missing_file_is_absent() -> None:
    store = FsspecStore(FailingFileSystem(FileNotFoundError(2, "no such key")), "bucket/x")
    answers = {name: call() for name, call in calls_of(store).items() if name != "put"}
    assert answers == {
        "get": None,
        "range": None,
        "suffix": None,
        "nbytes": None,
        "list": [],
        "list_dir": Listing([], []),
        "delete_prefix": None,
    }
    with pytest.raises(StoreError):  # for a put it is a failure
        store.put("a/c/0", b"x")


@pytest.mark.parametrize(
    "text",
    [
        "An error occurred (NoSuchBucket) when calling the GetObject operation",
        "The specified bucket does not exist",
        "ErrorCode:ContainerNotFound",
    ],
)
@pytest.mark.parametrize("call", ["get", "range", "suffix", "nbytes", "list", "list_dir"])
def test_a_missing_bucket_is_not_an_absent_object(text: str, call: str) -> None:
    error = FileNotFoundError("bucket/x/a/c/0")
    error.__cause__ = RuntimeError(text)
    store = FsspecStore(FailingFileSystem(error), "bucket/x")
    with pytest.raises(StoreNotFoundError, match="bucket or container does not exist"):
        calls_of(store)[call]()


def test_no_secret_is_shown() -> None:
    signed = "https://user:hunter2@host/x?X-Amz-Signature=abcdef"
    store = FsspecStore(FailingFileSystem(OSError(f"cannot reach {signed} now")), "bucket/x")
    with pytest.raises(StoreError) as caught:
        store.get("a")
    assert "cannot reach https://host/x now" in str(caught.value)
    url = "memory://user:hunter2@place/x?token=abcdef"
    other = FsspecStore(url, storage_options={})
    shown = f"{other!r} {other.name} {caught.value} {caught.value!r}"
    assert "hunter2" not in shown
    assert "abcdef" not in shown
    assert other.name == "memory://place/x"


def test_asynchronous_filesystems_are_refused() -> None:
    from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

    filesystem = AsyncFileSystemWrapper(MemoryFileSystem(), asynchronous=True)
    with pytest.raises(TypeError, match="asynchronous=False"):
        FsspecStore(filesystem, "x")


def test_equality_is_of_the_place() -> None:
    one = FsspecStore("memory://test-fsspec/eq")
    assert one == FsspecStore(MemoryFileSystem(), "test-fsspec/eq/")
    assert hash(one) == hash(FsspecStore(MemoryFileSystem(), "test-fsspec/eq/"))
    assert one != FsspecStore("memory://test-fsspec/other")


def test_names() -> None:
    assert FsspecStore("memory://test-fsspec/a/").name == "memory://test-fsspec/a"
    assert FsspecStore(MemoryFileSystem(), "test-fsspec/a").name == "memory:///test-fsspec/a"


def test_a_server_that_sends_all_of_it() -> None:
    class NoRanges(MemoryFileSystem):  # type: ignore[misc]
        cachable = False

        def cat_file(self, path: str, **_: object) -> bytes:
            return bytes(super().cat_file(path))

    store = FsspecStore(NoRanges(), "test-fsspec/no-ranges")
    store.put("a", b"0123456789")
    assert store.get("a", Range(2, 3)) == b"234"
    assert store.get("a", Suffix(3)) == b"789"


def test_a_body_that_is_cut_is_an_error() -> None:
    class Cut(MemoryFileSystem):  # type: ignore[misc]
        cachable = False

        def cat_file(self, path: str, **options: object) -> bytes:
            return bytes(super().cat_file(path, **options))[:2]

    store = FsspecStore(Cut(), "test-fsspec/cut")
    store.put("a", b"0123456789")
    for byte_range in (Range(2, 3), Suffix(3)):
        with pytest.raises(StoreError, match="no bytes at"):
            store.get("a", byte_range)


def test_markers_of_directories_are_no_objects() -> None:
    class Marked(MemoryFileSystem):  # type: ignore[misc]
        cachable = False

        def ls(self, path: str, detail: bool = True, **_: object) -> Any:
            marker = {"name": f"{path}/", "size": 0, "type": "file"}
            return [marker, *super().ls(path, detail=detail)]

    store = FsspecStore(Marked(), "test-fsspec/marked")
    store.put("a/c", b"x")
    assert store.list_dir("a") == Listing([Entry("a/c", 1)], [])
    assert store.list_dir() == Listing([], ["a"])


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a directory; knows no ranges."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self._answers():
            super().do_GET()

    def do_HEAD(self) -> None:
        if self._answers():
            super().do_HEAD()

    def _answers(self) -> bool:
        """Sends the error that the name asks for."""
        path = unquote(self.path)
        failure = next((name for name in FAILURES if f"/{name}" in path), None)
        if failure is None:
            return True
        if FAILURES[failure] is None:
            self.close_connection = True
        else:
            self.send_error(FAILURES[failure] or 0)
        return False


FAILURES = {"forbidden": 403, "unknown": 401, "busy": 429, "broken": 500, "away": 503, "cut": None}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("aiohttp")
    handler = functools.partial(Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("key", ["a b", "100%", "a%20b", "a+b", "é", "a?b", "a#b", "a&b=c"])
def test_odd_keys_over_http(server: str, tmp_path: Path, key: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / key).write_bytes(b"0123456789")
    store = FsspecStore(f"{server}/s", read_only=True)
    assert not store.local
    assert store.get(key) == b"0123456789"
    assert store.get(key, Range(2, 3)) == b"234"
    assert store.get(key, Suffix(3)) == b"789"
    assert store.nbytes(key) == 10
    assert list(store.list()) == [Entry(key, 10)]
    assert store.list_dir() == Listing([Entry(key, 10)], [])


def test_http_failures(server: str, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    store = FsspecStore(f"{server}/s")
    for absent in (None, Range(0, 4), Suffix(4)):
        assert store.get("nothing", absent) is None
    assert store.nbytes("nothing") is None
    assert list(store.list("nothing")) == []
    with pytest.raises(StoreError):
        store.put("a", b"x")
    with pytest.raises(StoreError):
        FsspecStore("http://127.0.0.1:1/s").get("a")


@pytest.mark.parametrize("failure", FAILURES)
def test_a_server_that_fails_has_no_absent_objects(server: str, failure: str) -> None:
    store = FsspecStore(server)
    said = str(FAILURES[failure] or "ServerDisconnectedError")
    for call in (
        lambda: store.get(failure),
        lambda: store.get(failure, Range(0, 4)),
        lambda: store.get(failure, Suffix(4)),
        lambda: store.nbytes(failure),
        lambda: list(store.list(failure)),
        lambda: store.list_dir(failure),
    ):
        with pytest.raises(StoreError, match=said) as caught:
            call()
        assert caught.value.key == failure


@pytest.mark.parametrize("shards", [None, (4, 4)])
def test_a_server_that_fails_is_never_read_as_fill(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: tuple[int, int] | None
) -> None:
    data = np.arange(1, 65, dtype="i4").reshape(8, 8)
    zlab.create_array(tmp_path / "a.zarr", data=data, chunks=(2, 2), shards=shards)
    array = zlab.open_array(f"{server}/a.zarr")
    np.testing.assert_array_equal(array[...], data)
    monkeypatch.setitem(FAILURES, "a.zarr/c/", 503)
    with pytest.raises(ChunkReadError, match=r"503.*Whether the chunk exists is not known"):
        array[0, 0]


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one() -> None:
    class Closed(MemoryFileSystem):  # type: ignore[misc]
        cachable = False
        find = AbstractFileSystem.find  # most filesystems have no better one

        def ls(self, path: str, detail: bool = True, **_: object) -> Any:
            if path.endswith("/closed"):
                raise PermissionError(13, "Permission denied")
            return super().ls(path, detail=detail)

    store = FsspecStore(Closed(), "test-fsspec/closed-folder")
    store.put("a/open/0", b"x")
    store.put("a/closed/0", b"x")
    assert list(store.list("a/open")) == [Entry("a/open/0", 1)]
    with pytest.raises(StorePermissionError, match="cannot be listed"):
        list(store.list("a"))


def test_a_pickle_carries_the_recipe_and_not_the_connection(server: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    store = FsspecStore(server)
    assert store.get("a") == b"x"
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301
    assert copy == store
    assert copy.get("a") == b"x"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_forked_child_makes_its_own_connection(server: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    store = FsspecStore(server)
    assert store.get("a") == b"x"
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=lambda: queue.put(store.get("a")))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert queue.get() == b"x"
