"""Everything that fsspec reaches: the only importer of fsspec."""

from __future__ import annotations

import os
import re
import sys
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import quote, unquote

from zlab.errors import (
    MissingExtraError,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
    StoreThrottledError,
)
from zlab.stores.answers import failure, is_absent
from zlab.stores.base import (
    Entry,
    Listing,
    Suffix,
    bad_range,
    check_key,
    check_prefix,
    check_writable,
    redact,
    span,
)
from zlab.stores.clients import heard_in, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from fsspec import AbstractFileSystem
    from fsspec.mapping import FSMap

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange

_LOCAL = {"file", "local", "memory"}
_HTTP = {"http", "https"}
# what object stores say when the bucket is missing, which fsspec reports as a missing file
_NO_CONTAINER = re.compile(
    r"NoSuchBucket|specified bucket does not exist|ContainerNotFound|NoSuchContainer", re.IGNORECASE
)
_GLOB = re.compile(r"[*?\[]")
_GONE = (404, 410)
_TAGS = ("ETag", "etag", "e_tag", "generation")  # as S3, GCS and Azure tell versions in listings


class FsspecStore:
    """Objects as the files of an fsspec filesystem.

    A write is as atomic as the filesystem's own `pipe_file`: object stores replace an object as a
    whole; for a local directory there is `LocalStore`. Listings are asked for anew each time, not
    taken from the filesystem's cache.

    Args:
        where: A URL, which may be a chain such as `"simplecache::s3://bucket/store.zarr"`, or a
            filesystem.
        path: The root inside a given filesystem.
        storage_options: For the filesystem of a URL: credentials, endpoint and the like. They
            appear in no message, repr or event, but a pickle of the store carries them.
        read_only: Refuse writes.

    Raises:
        MissingExtraError: The library that this kind of URL needs is not installed.
        StoreError: There is no such kind of URL, or it cannot be opened.
        TypeError: The filesystem is an asynchronous one.

    Example:
        >>> store = FsspecStore("memory://example/store.zarr")
        >>> store.put("a/c/0", b"bytes")
        >>> store.get("a/c/0")
        b'bytes'
    """

    def __init__(
        self,
        where: str | AbstractFileSystem,
        path: str = "",
        *,
        storage_options: Mapping[str, Any] | None = None,
        read_only: bool = False,
    ) -> None:
        if isinstance(where, str):
            self.fs, self.root = _open_url(where, dict(storage_options or {}))
            self.name = redact(where).rstrip("/")
        else:
            self.fs = where
            self.root = where._strip_protocol(path)  # noqa: SLF001 - how fsspec normalises a path
            self.name = redact(where.unstrip_protocol(self.root)).rstrip("/")
        if getattr(self.fs, "asynchronous", False):
            msg = "an asynchronous filesystem cannot be used; make it with asynchronous=False"
            raise TypeError(msg)
        # some filesystems have names without a root, such as those of references
        self._below = f"{self.root.rstrip('/')}/" if self.root else ""
        self.root = self.root.rstrip("/")
        self.read_only = read_only
        self.local = _is_here(self.fs)
        self._quoted = not _HTTP.isdisjoint(_protocols(self.fs))
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"FsspecStore({self.name!r}{', read_only=True' if self.read_only else ''})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FsspecStore) and bool(self.fs == other.fs) and self.root == other.root
        )

    def __hash__(self) -> int:
        return hash((FsspecStore, self.root))

    def get(self, key: str, byte_range: ByteRange | None = None) -> Buffer | None:
        """The object's bytes, or those of a range; `None` only where there is no such file.

        Raises:
            StoreError: The filesystem failed, or the object has no such range.
            StoreNotFoundError: The bucket or container does not exist.
        """
        fs, path = self._at(check_key(key, self.name))
        try:
            if byte_range is None:
                return _bytes(fs.cat_file(path))
            if byte_range.nbytes <= 0 or isinstance(byte_range, Suffix):
                return self._get_measured(fs, path, key, byte_range)
            start, nbytes = byte_range
            data = _bytes(fs.cat_file(path, start=start, end=start + nbytes))
        except Exception as error:
            if self._is_absent(error, key):
                return None
            raise self._failure(error, "the object cannot be read", key) from error
        if len(data) > nbytes:  # a server that knows no ranges sent the whole object
            start, stop = span(byte_range, len(data), self.name, key)
            return data[start:stop]
        if len(data) < nbytes:
            raise bad_range(byte_range, self.name, key)
        return data

    def put(self, key: str, value: Buffer) -> None:
        """Replaces the object.

        Raises:
            StoreError: The filesystem failed.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, key)
        fs, path = self._at(check_key(key, self.name))
        try:
            try:
                fs.pipe_file(path, bytes(value))
            except FileNotFoundError:  # a filesystem with directories
                fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                fs.pipe_file(path, bytes(value))
        except Exception as error:
            raise self._failure(error, "the object cannot be written", key) from error

    def delete(self, key: str) -> None:
        """Removes the object; one that does not exist is no error.

        Raises:
            StoreError: The filesystem failed.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, key)
        fs, path = self._at(check_key(key, self.name))
        try:
            fs.rm_file(path)
        except Exception as error:
            if not self._is_absent(error, key):
                raise self._failure(error, "the object cannot be deleted", key) from error

    def delete_prefix(self, prefix: str) -> None:
        """Removes every object below a prefix.

        Raises:
            StoreError: The filesystem failed.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, prefix)
        fs, path = self._at(check_prefix(prefix, self.name))
        try:
            fs.invalidate_cache()
            if prefix and fs.isfile(path):
                return
            below = [path] if prefix else fs.ls(path, detail=False)
            for item in below:
                if _GLOB.search(item):  # `rm` would take it for a pattern
                    for file in fs.find(item):
                        fs.rm_file(file)
                else:
                    fs.rm(item, recursive=True)
        except Exception as error:
            if not self._is_absent(error, prefix):
                raise self._failure(error, "the objects cannot be deleted", prefix) from error

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects below a prefix, at any depth.

        Raises:
            StoreError: The filesystem failed, or cannot list.
        """
        fs, path = self._at(check_prefix(prefix, self.name))
        below = f"{prefix}/" if prefix else ""
        found = self._listed(lambda: _find(fs, path), prefix)
        return chain.from_iterable(
            self._entries(key, info)
            for key, info in found
            if info["type"] != "directory" and key.startswith(below)
        )

    def list_versions(self, prefix: str = "") -> Iterator[tuple[str, object]]:
        """Keys below a prefix, each with the tag of its version as the listing tells it.

        `None` stands for what the filesystem does not tell: times of a coarse clock are not enough.

        Raises:
            StoreError: The filesystem failed, or cannot list.
        """
        fs, path = self._at(check_prefix(prefix, self.name))
        below = f"{prefix}/" if prefix else ""
        for key, info in self._listed(lambda: _find(fs, path), prefix):
            if info["type"] != "directory" and key.startswith(below):
                tag = next((info[name] for name in _TAGS if info.get(name)), None)
                yield key, None if tag is None else (tag, info["size"])

    def list_dir(self, prefix: str = "") -> Listing:
        """One level below a prefix; empty where there is nothing.

        Raises:
            StoreError: The filesystem failed, or cannot list.
        """
        fs, path = self._at(check_prefix(prefix, self.name))
        entries: list[Entry] = []
        prefixes: list[str] = []
        below = f"{prefix}/" if prefix else ""
        for key, info in self._listed(lambda: fs.ls(path, detail=True), prefix):
            if key == below or not key.startswith(below):  # `ls` of a file is that file
                continue
            if info["type"] == "directory":
                prefixes.append(key)
            else:
                entries.extend(self._entries(key, info))
        return Listing(sorted(entries), sorted(prefixes))

    def nbytes(self, key: str) -> int | None:
        """The object's size, or `None` where it does not exist.

        Raises:
            StoreError: The filesystem failed, or does not tell sizes.
        """
        fs, path = self._at(check_key(key, self.name))
        try:
            fs.invalidate_cache()
            info = fs.info(path)
        except Exception as error:
            if self._is_absent(error, key):
                return None
            raise self._failure(error, "the object cannot be looked up", key) from error
        return None if info["type"] == "directory" else _size(info, self.name, key)

    def version(self, key: str) -> object:
        """`None`: it takes a request."""
        del key
        return None

    def renew(self) -> None:
        """Makes the filesystem anew, with new connections and credentials."""
        fs = self.fs
        options = {**fs.storage_options, "skip_instance_cache": True}
        self.fs = type(fs)(*fs.storage_args, **options)

    def _at(self, key: str) -> tuple[AbstractFileSystem, str]:
        if self._pid != os.getpid():
            # event loops and connections do not survive a fork; the recipe for new ones does
            self.fs = type(self.fs)(*self.fs.storage_args, **self.fs.storage_options)
            self._pid = os.getpid()
        name = quote(key) if self._quoted else key
        return self.fs, f"{self._below}{name}" if key else self.root

    def _get_measured(
        self, fs: AbstractFileSystem, path: str, key: str, byte_range: ByteRange
    ) -> Buffer:
        """Asks for the size first: what a suffix means differs between filesystems."""
        start, stop = span(byte_range, _size(fs.info(path), self.name, key), self.name, key)
        if start == stop:
            return b""
        data = _bytes(fs.cat_file(path, start=start, end=stop))
        if len(data) > stop - start:
            data = data[start:stop]
        if len(data) < stop - start:
            raise bad_range(byte_range, self.name, key)
        return data

    def _listed(
        self, call: Callable[[], Iterable[dict[str, Any]]], prefix: str
    ) -> Iterable[tuple[str, dict[str, Any]]]:
        try:
            self.fs.invalidate_cache()
            infos = list(call())
        except Exception as error:
            if self._is_absent(error, prefix):
                return []
            raise self._failure(error, "the objects cannot be listed", prefix) from error
        # some filesystems list with a leading slash, some without, whatever they were asked with
        root = f"{self.root.lstrip('/')}/" if self.root.strip("/") else ""
        keys: list[tuple[str, dict[str, Any]]] = []
        for info in infos:
            path = info["name"].lstrip("/")
            if path.startswith(root):
                key = path[len(root) :].rstrip("/")
                if self._quoted:
                    key = "" if "?" in key or "#" in key else unquote(key)  # links, not files
                if key:  # otherwise the marker of the root itself
                    keys.append((key, info))
        return keys

    def _entries(self, key: str, info: dict[str, Any]) -> Iterator[Entry]:
        size = info["size"]
        if size is None:  # a web page that links to files without their sizes
            size = self.nbytes(key)
        if size is not None:
            yield Entry(key, size)

    def _is_absent(self, error: Exception, key: str) -> bool:
        if isinstance(error, (IsADirectoryError, NotADirectoryError)):
            return True
        if not isinstance(error, FileNotFoundError):
            return False
        heard = heard_in(error)
        if heard is not None and not is_absent(heard.answer, coded=heard.coded):
            return False
        cause: BaseException | None = error
        while cause is not None:
            if self._is_failure(cause):
                return False
            if _NO_CONTAINER.search(str(cause)):
                raise StoreNotFoundError(
                    "the bucket or container does not exist", store=self.name, key=key
                ) from error
            cause = cause.__cause__
        return True

    def _is_failure(self, cause: BaseException) -> bool:
        """Whether what is told as a missing file is a request that failed.

        fsspec says so of every look-up over HTTP that does not succeed, be it that the server
        refuses, is overloaded, or has gone.
        """
        if isinstance(cause, FileNotFoundError):
            return False
        if self._quoted or type(cause).__module__.partition(".")[0] == "aiohttp":
            return getattr(cause, "status", None) not in _GONE
        return isinstance(cause, OSError)

    def _failure(self, error: Exception, what: str, key: str) -> StoreError:
        if isinstance(error, StoreError):
            return error
        kind = StorePermissionError if isinstance(error, PermissionError) else StoreError
        if isinstance(error, NotImplementedError):
            reason = f"{type(self.fs).__name__} does not do this"
        else:
            heard = heard_in(error)
            if heard is not None:
                failed = failure(heard.answer, what, store=self.name, key=key)
                if isinstance(failed, StoreThrottledError):
                    failed.retry_after_s = heard.retry_after_s
                return failed
            kind = kind_of(error) or kind
            # fsspec's "not found" of a request that failed says less than its cause
            is_disguised = isinstance(error, FileNotFoundError) and error.__cause__ is not None
            told = error.__cause__ if is_disguised else error
            reason = f"{type(told).__name__} {redact(str(told))}".strip()
        failed = kind(f"{what}: {reason}", store=self.name, key=key)
        if isinstance(error, OSError):
            failed.errno = error.errno
        return failed


def knows_scheme(scheme: str) -> bool:
    """Whether URLs of this scheme are fsspec's."""
    # 60 ms that a local store need not pay
    from fsspec.registry import known_implementations, registry  # noqa: PLC0415

    return scheme in known_implementations or scheme in registry


def is_filesystem(target: object) -> TypeGuard[AbstractFileSystem]:
    """Whether it is an fsspec filesystem; fsspec is not imported for it."""
    fsspec = sys.modules.get("fsspec")
    return fsspec is not None and isinstance(target, fsspec.AbstractFileSystem)


def is_local(fs: AbstractFileSystem) -> bool:
    """Whether it is fsspec's filesystem of this machine."""
    return "file" in _protocols(fs)


def is_mapper(target: object) -> TypeGuard[FSMap]:
    """Whether it is what `fsspec.get_mapper` returns; fsspec is not imported for it."""
    fsspec = sys.modules.get("fsspec")
    return fsspec is not None and isinstance(target, fsspec.FSMap)


def _open_url(url: str, options: dict[str, Any]) -> tuple[AbstractFileSystem, str]:
    from fsspec.core import url_to_fs  # noqa: PLC0415 - 60 ms that a local store need not pay

    try:
        return url_to_fs(url, **options)  # type: ignore[no-any-return]
    except ImportError as error:
        library = error.name or "another library"
        raise MissingExtraError(library, "cloud", f"opening {redact(url)}") from error
    except FileNotFoundError as error:
        raise StoreNotFoundError("there is no such place", store=redact(url)) from error
    except ValueError as error:
        raise StoreError(f"cannot be opened: {redact(str(error))}", store=redact(url)) from error
    except PermissionError as error:
        raise StorePermissionError("cannot be opened", store=redact(url)) from error
    except Exception as error:
        what = f"cannot be opened: {type(error).__name__} {redact(str(error))}"
        raise StoreError(what, store=redact(url)) from error


def _find(fs: AbstractFileSystem, path: str) -> Iterator[dict[str, Any]]:
    """Every file below a path; a directory that cannot be listed is an error.

    fsspec's own walk leaves such a directory out, so a filesystem that has no better way to find
    files is walked here.
    """
    # 60 ms that a local store need not pay
    from fsspec import AbstractFileSystem  # noqa: PLC0415
    from fsspec.asyn import AsyncFileSystem  # noqa: PLC0415

    is_asynchronous = isinstance(fs, AsyncFileSystem)
    finds = type(fs)._find if is_asynchronous else type(fs).find  # noqa: SLF001  what is overridden
    if finds not in (AsyncFileSystem._find, AbstractFileSystem.find):  # noqa: SLF001
        yield from fs.find(path, detail=True).values()
        return
    pending = [path]
    seen: set[str] = set()
    while pending:
        directory = pending.pop()
        seen.add(directory.strip("/"))
        for info in fs.ls(directory, detail=True):
            if info["type"] != "directory":
                yield info
            elif info["name"].strip("/") not in seen:
                pending.append(info["name"])


def _is_here(fs: AbstractFileSystem) -> bool:
    """Whether it is on this machine: also an archive or a cache of what is."""
    if _LOCAL.issuperset(_protocols(fs)):
        return True
    below = getattr(fs, "fs", None) or getattr(getattr(fs, "of", None), "fs", None)
    return is_filesystem(below) and _is_here(below)


def _protocols(fs: AbstractFileSystem) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _size(info: dict[str, Any], store: str, key: str) -> int:
    size = info.get("size")
    if size is None:
        raise StoreError("the filesystem does not tell the object's size", store=store, key=key)
    return int(size)


def _bytes(data: object) -> bytes:
    return data if isinstance(data, bytes) else bytes(data)  # type: ignore[call-overload]
