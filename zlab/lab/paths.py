"""Where a request may reach: the server's roots for local paths, an allow-list for URLs.

A path is refused by its text first (`..`, drive letters, NUL, backslashes, absolute ones but of
the roots), and then by where it really lies, symbolic links followed. `zlab.lab.confined` asks
the second question again for every object, since a store may hold links of its own. Where the
host of a URL may lie is asked by `zlab.lab.gate`, for every connection.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from zlab.errors import StoreNotFoundError, ZlabError
from zlab.lab.addresses import normal_host
from zlab.stores.cloud import is_cloud

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY = "*"
"""The entry of the allow-list that stands for every URL of a cloud or web server."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_DRIVE = re.compile(r"[A-Za-z]:")
_LOCAL = re.compile(r"(?:file|local):(?://(?:localhost)?(?=/)|(?=/[^/]))", re.IGNORECASE)
_IPV6 = re.compile(r"(?<=://)\[[0-9A-Fa-f:.]+\]")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_USER = re.compile(r"://[^/@]*:[^/@]*@|^https?://[^/@]*@", re.IGNORECASE)


class OutsideRootError(ZlabError):
    """A path that leads out of the folders that the server serves."""


class HiddenPathError(ZlabError):
    """A path with a hidden part, which the server does not serve."""


class UrlNotAllowedError(ZlabError):
    """A URL that is not on the server's allow-list."""


class PrivateAddressError(ZlabError):
    """A connection that the server does not make, as to an address that is not public."""


class KernelOnlyError(ZlabError):
    """A store that lives in a kernel, where no server reaches."""


class DocumentTooLargeError(ZlabError):
    """A document, or a reply made of it, is larger than the server handles."""


def is_url(store: str) -> bool:
    """Whether the id of a store is a URL (or a chain of them) and not a path."""
    return _SCHEME.match(store) is not None or "::" in store


def local_path(store: str) -> str:
    """The path of a `file:` URL; any other id as it is.

    Example:
        >>> local_path("file:///data/a%20b.zarr")
        '/data/a b.zarr'
    """
    found = _LOCAL.match(store)
    return unquote(store[found.end() :]) if found and "::" not in store else store


def check_url(url: str, allowed: Sequence[str]) -> str:
    """Returns a URL that starts with one of the allowed prefixes.

    Args:
        url: What a request names.
        allowed: Beginnings of URLs; `"*"` stands for whatever clouds and web servers hold.

    Raises:
        KernelOnlyError: It names the memory of a process.
        UrlNotAllowedError: It does not start so, holds secrets, or parts that could lead out.
    """
    if _USER.search(url) or "?" in url:
        raise UrlNotAllowedError(
            "the URL holds a user name, a password or a query, which may be a signature",
            hint="Name the store alone; the server takes credentials from its own environment",
        )
    parts = re.split(r"[/\\]", url)
    is_chain = "::" in _IPV6.sub("", url)
    plain = not is_chain and not {".", ".."} & set(parts) and not _UNPRINTABLE.search(url)
    if plain and ANY in allowed and is_cloud(url) and "\\" not in url:
        return url
    for prefix in allowed:
        inside = url == prefix.rstrip("/") or url.startswith(prefix.rstrip("/") + "/")
        if plain and inside and "%" not in url:
            return url
    if url.lower().startswith("memory:"):
        raise KernelOnlyError(
            "this store is in the memory of a kernel, where the server does not reach",
            hint="Look at it in the notebook, with zlab.widgets",
        )
    raise UrlNotAllowedError(
        "this server does not open URLs" if not allowed else "the URL is not on the allow-list",
        hint="Name its beginning in c.ZLabApp.allowed_urls, or open the store in a notebook",
    )


def allowed_hosts(url: str, allowed: Sequence[str]) -> frozenset[str] | None:
    """The hosts that a web server's redirects may lead to; `None` for any.

    A cloud's URL names a bucket and no host, so its own are not known here.
    """
    if ANY in allowed or not url.lower().startswith(("http://", "https://")):
        return None
    hosts = (urlsplit(one).hostname for one in allowed if one.startswith(("http://", "https://")))
    return frozenset(normal_host(host) for host in hosts if host)


def locate(
    store: str, root: Path, extra_roots: Sequence[Path] = (), *, allow_hidden: bool = False
) -> tuple[Path, Path]:
    """Finds the directory that the id of a local store names.

    Args:
        store: A path relative to the root, with `/`, `""` for the root itself; or an absolute one
            below the root or an extra root.
        root: The server's root, absolute.
        extra_roots: Further folders that the server serves, absolute.
        allow_hidden: Whether parts that start with a dot are served, below a root.

    Returns:
        The real path, links followed, and the root that it lies in.

    Raises:
        OutsideRootError: It is not a plain path, or leads out of its root.
        HiddenPathError: A part is hidden.
        StoreNotFoundError: Nothing is there.
    """
    home, inside = _root_of(store, root, extra_roots)
    parts = split_path(inside)
    if not allow_hidden and any(part.startswith(".") for part in parts):
        raise HiddenPathError(
            f"{store!r} is hidden",
            hint="c.ContentsManager.allow_hidden = True lets the server serve hidden files",
        )
    try:
        path = confine(home.joinpath(*parts), home)
        path.lstat()
    except OSError as error:  # also a name that the file system does not take, or a loop of links
        raise StoreNotFoundError("there is no such path", store=store) from error
    return path, home


def _root_of(store: str, root: Path, extra_roots: Sequence[Path]) -> tuple[Path, str]:
    """The root that a path is below by its text, and the path relative to it."""
    for home in (root, *extra_roots):
        name = home.as_posix().rstrip("/")
        if name and store == name:
            return home, ""
        if store.startswith(f"{name}/") and home.is_absolute():
            return home, store[len(name) + 1 :]
    return root, store


def split_path(path: str) -> list[str]:
    """Splits a relative path of a request, of a store or of a node in it, into its parts.

    Raises:
        OutsideRootError: It is absolute, or has a part that could lead elsewhere.
    """
    parts = path.split("/") if path else []
    if (
        any(part in ("", ".", "..") for part in parts)
        or "\\" in path
        or "\0" in path
        or _DRIVE.match(path)
    ):
        raise OutsideRootError(
            f"{path!r} is not a plain path below a folder that the server serves",
            hint="Paths are relative to the folder that the server was started in, joined by '/'; "
            "c.ZLabApp.extra_roots names further folders",
        )
    return parts


def confine(path: Path, root: Path) -> Path:
    """Returns the real path, links followed.

    Raises:
        OutsideRootError: It is not below the root's real path.
    """
    # realpath, not Path.resolve: that raises RuntimeError on a loop of links
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(root)):
        raise OutsideRootError(
            f"{path.name!r} leads out of the server's root",
            hint="Start the server in a folder above, name the folder in c.ZLabApp.extra_roots, "
            "or open the store in a notebook",
        )
    return real
