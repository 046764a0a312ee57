"""From what a user has (a path, a URL, a mapping, a filesystem) to a store."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from zlab.errors import MissingExtraError, StoreError
from zlab.plugins import Registry
from zlab.stores.base import Store, redact
from zlab.stores.cached import Caching
from zlab.stores.cloud import Cloud, is_cloud
from zlab.stores.fsspec import FsspecStore, is_filesystem, is_local, is_mapper, knows_scheme
from zlab.stores.local import LocalStore
from zlab.stores.memory import MemoryStore
from zlab.stores.networks import open_generic, under_policy
from zlab.stores.remote import RemoteStore
from zlab.stores.zip import ZipStore

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

Mode: TypeAlias = Literal["r", "r+", "a", "w", "w-"]
"""`r` reads what exists, `r+` changes what exists, `a` makes it where it is missing, `w` replaces
it, `w-` refuses where it exists: the modes of zarr-python."""

StoreLike: TypeAlias = (
    "str | os.PathLike[str] | Store | Mapping[str, Any] "
    "| AbstractFileSystem | tuple[AbstractFileSystem, str] | Any"
)
"""What `store_from` takes; `Any` is a store of zarr-python's."""

_MODES = ("r", "r+", "a", "w", "w-")
_ACCEPTED = (
    "a path, a URL ('s3://...', 'https://...', 'memory://...', 'file://...'), a zlab store, "
    "a mapping of keys to bytes, an fsspec filesystem, mapper or (filesystem, path), "
    "a store of zarr-python"
)
# two letters at least: one letter is a drive of Windows. "zip::" and the like chain filesystems
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)")


def store_from(
    target: StoreLike, *, mode: Mode = "r", storage_options: Mapping[str, Any] | None = None
) -> tuple[Store, str]:
    """The store that `target` names, and the path inside it (`""` for most).

    Nothing is written and no metadata is read: whether there is a node, and what `"w"` and `"w-"`
    do about it, is decided by who opens the node.

    Args:
        target: A path or `file://` URL of a directory or of a zip archive (and, inside it, of a
            node: `data.zip/group/array`); any other URL of fsspec's, chains such as
            `zip::s3://...` included; `memory://` alone for a new store in memory (with a name
            it is fsspec's); a mapping of keys to bytes; an fsspec filesystem, mapper or
            (filesystem, path); a store of zarr-python, icechunk's included; a store, which is
            returned as it is.
        mode: `"r"` gives a read-only store; `"r"` and `"r+"` need the place to exist.
        storage_options: For the filesystem of a URL; `cache_dir`, `cache_nbytes` and `cache_age_s`
            keep what is read of any, see `zlab.stores.cached`.

    Raises:
        StoreNotFoundError: There is no such directory or archive.
        StoreError: It cannot be opened.
        TypeError: `target` is none of these, or takes no storage options.
        ValueError: There is no such mode.

    Example:
        >>> store_from("memory://")[0].read_only
        True
        >>> store_from({"zarr.json": b"{}"}, mode="r+")[0].get("zarr.json")
        b'{}'
    """
    if mode not in _MODES:
        msg = f"mode must be one of {', '.join(map(repr, _MODES))}, not {mode!r}"
        raise ValueError(msg)
    if isinstance(target, (str, os.PathLike)):
        return _from_text(target, storage_options, mode)
    _refuse(storage_options, target)
    if isinstance(target, Store):
        return target, ""
    if isinstance(target, tuple) and len(target) == 2 and is_filesystem(target[0]):  # noqa: PLR2004
        return _from_filesystem(target[0], target[1], mode)
    if is_filesystem(target):
        return _from_filesystem(target, "", mode)
    if is_mapper(target):
        return _from_filesystem(target.fs, target.root, mode)
    adapted = _adapted(target, mode)
    if adapted is not None:
        return adapted
    if isinstance(target, Mapping):
        return MemoryStore(target, read_only=mode == "r"), ""
    raise _unknown(target)


def opens(target: StoreLike) -> bool:
    """Whether `store_from` makes a store of `target` that nobody else can close."""
    return isinstance(target, (str, os.PathLike))


schemes: Registry[Store] = Registry(
    "store",
    "zlab.stores",
    Store,  # type: ignore[type-abstract]  # it is only checked against
    StoreError,
    knows_scheme,
)
"""URL schemes of other packages: `(url, *, read_only, create, storage_options) -> Store`."""

_ADAPTERS = {"zarr": "zlab.zarr.adapt", "icechunk": "zlab.zarr.adapt"}
"""By the package that an object's class comes from, who makes a store of it: a module of a higher
room, which has `store_of(target, *, read_only)`; loaded when there is such an object."""


def _adapted(target: object, mode: Mode) -> tuple[Store, str] | None:
    for kind in type(target).__mro__:
        module = _ADAPTERS.get(kind.__module__.partition(".")[0])
        if module is not None:
            adapted: tuple[Store, str] | None = import_module(module).store_of(
                target, read_only=mode == "r", create=mode not in ("r", "r+")
            )
            return adapted
    return None


def _from_text(
    target: str | os.PathLike[str], storage_options: Mapping[str, Any] | None, mode: Mode
) -> tuple[Store, str]:
    place = os.fspath(target)
    if not isinstance(place, str):
        raise _unknown(target)
    if not place:
        raise StoreError("the path is empty", hint="Use '.' for the current directory")
    if isinstance(target, str) and _URL.match(place):
        if place == "memory://":
            _refuse(storage_options, place)
            return MemoryStore(read_only=mode == "r"), ""
        if not place.startswith(("file://", "local://")):
            return _from_url(place, storage_options, mode), ""
        place = _path_of(place)
    _refuse(storage_options, place)
    if place.startswith("~"):
        place = os.path.expanduser(place)  # noqa: PTH111 - a path object costs as much as opening
    return _local(place, read_only=mode == "r", create=mode not in ("r", "r+"))


def _from_url(url: str, storage_options: Mapping[str, Any] | None, mode: Mode) -> Store:
    options = dict(storage_options or {})
    caching = Caching.take(options)
    store = _uncached(url, options, mode)
    return store if caching is None else caching.around(store)


def _uncached(url: str, options: dict[str, Any], mode: Mode) -> Store:
    scheme, mark, _ = url.partition("://")
    if mark and "::" not in scheme and not knows_scheme(scheme):
        found = schemes.make(
            scheme,
            url,
            read_only=mode == "r",
            create=mode not in ("r", "r+"),
            storage_options=options,
        )
        if found is not None:
            return found
    engine = options.pop("engine", None)
    if engine not in (None, "obstore", "fsspec"):
        msg = f"engine must be 'obstore' or 'fsspec', not {engine!r}"
        raise ValueError(msg)
    if engine != "fsspec" and is_cloud(url):
        remote = _remote(url, options, mode, required=engine == "obstore")
        if remote is not None:
            return remote
    return open_generic(url, options, read_only=mode == "r")


def _remote(url: str, options: dict[str, Any], mode: Mode, *, required: bool) -> Store | None:
    """A store of a cloud; `None` where the library for it is missing and may be."""
    try:
        # a compiled library of tens of megabytes, which local stores need not load
        from zlab.stores.obstore import ObstoreBackend  # noqa: PLC0415
    except ImportError as error:
        if required:
            raise MissingExtraError("obstore", "cloud", f"opening {redact(url)}") from error
        return None
    cloud = Cloud.parse(url, options)
    return RemoteStore(
        ObstoreBackend(cloud),
        read_only=mode == "r",
        retry=cloud.options.retry,
        limits=cloud.options.limits,
        hedge_s=cloud.options.hedge_s,
    )


def _from_filesystem(fs: AbstractFileSystem, path: str, mode: Mode) -> tuple[Store, str]:
    if is_local(fs):  # zlab's own replaces an object at one stroke, and is faster
        return _from_text(path or "/", None, mode)
    return under_policy(FsspecStore(fs, path, read_only=mode == "r")), ""


def _local(place: str, *, read_only: bool, create: bool) -> tuple[Store, str]:
    if ".zip" in place.lower() and not os.path.isdir(place):  # noqa: PTH112 - raises nothing
        path = Path(place)
        inside: list[str] = []
        for archive in (path, *path.parents):
            if archive.suffix.lower() == ".zip" and not os.path.isdir(archive):  # noqa: PTH112
                store = ZipStore(archive, read_only=read_only, create=create)
                return store, "/".join(reversed(inside))
            inside.append(archive.name)
    return LocalStore(place, read_only=read_only, create=create), ""


def _path_of(url: str) -> str:
    from urllib.request import url2pathname  # noqa: PLC0415 - it loads all of http.client

    parts = urlsplit(url, allow_fragments=False)
    if parts.netloc not in ("", "localhost") and os.name != "nt":
        raise StoreError(
            "the URL names a file on another machine",
            store=url,
            hint="A local path has three slashes: file:///data/store.zarr",
        )
    query = f"?{parts.query}" if parts.query else ""
    host = "" if parts.netloc in ("", "localhost") else f"//{parts.netloc}"
    return url2pathname(f"{host}{parts.path}{query}")


def _refuse(storage_options: Mapping[str, Any] | None, target: object) -> None:
    if storage_options:
        msg = f"storage_options are for URLs; {target!r} takes none"
        raise TypeError(msg)


def _unknown(target: object) -> TypeError:
    return TypeError(f"cannot make a store of {type(target).__name__!r}; zlab takes {_ACCEPTED}")
