"""Where a request may reach: the server's root for local paths, an allow-list for URLs.

A path is refused by its text first (absolute, `..`, drive letters, NUL, backslashes), and then by
where it really lies, symbolic links followed. `ConfinedStore` asks the second question again for
every object, since a store may hold links of its own.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from zlab.errors import ReadOnlyError, StoreNotFoundError, ZlabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange, Entry, Listing, Store

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_DRIVE = re.compile(r"[A-Za-z]:")


class OutsideRootError(ZlabError):
    """A path that leads out of the folder that the server serves."""


class HiddenPathError(ZlabError):
    """A path with a hidden part, which the server does not serve."""


class UrlNotAllowedError(ZlabError):
    """A URL that is not on the server's allow-list."""


class DocumentTooLargeError(ZlabError):
    """A document, or a reply made of it, is larger than the server handles."""


def is_url(store: str) -> bool:
    """Whether the id of a store is a URL (or a chain of them) and not a path."""
    return _SCHEME.match(store) is not None or "::" in store


def check_url(url: str, allowed: Sequence[str]) -> str:
    """Returns a URL that starts with one of the allowed prefixes.

    Raises:
        UrlNotAllowedError: It does not, or holds parts that could lead out of the prefix.
    """
    parts = re.split(r"[/\\]", url)
    plain = "%" not in url and "::" not in url and not {".", ".."} & set(parts)
    for prefix in allowed:
        inside = url == prefix.rstrip("/") or url.startswith(prefix.rstrip("/") + "/")
        if plain and inside:
            return url
    raise UrlNotAllowedError(
        "this server does not open URLs" if not allowed else "the URL is not on the allow-list",
        hint="Name its beginning in c.ZLabApp.allowed_urls, or open the store in a notebook",
    )


def locate(store: str, root: Path, *, allow_hidden: bool = False) -> Path:
    """Finds the directory that the id of a local store names.

    Args:
        store: A path relative to the root, with `/`; `""` is the root itself.
        root: The server's root, absolute.
        allow_hidden: Whether parts that start with a dot are served.

    Returns:
        The real path, links followed.

    Raises:
        OutsideRootError: It is not a plain relative path, or leads out of the root.
        HiddenPathError: A part is hidden.
        StoreNotFoundError: Nothing is there.
    """
    parts = split_path(store)
    if not allow_hidden and any(part.startswith(".") for part in parts):
        raise HiddenPathError(
            f"{store!r} is hidden",
            hint="c.ContentsManager.allow_hidden = True lets the server serve hidden files",
        )
    try:
        path = confine(root.joinpath(*parts), root)
        path.lstat()
    except OSError as error:  # also a name that the file system does not take, or a loop of links
        raise StoreNotFoundError("there is no such path", store=store) from error
    return path


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
            f"{path!r} is not a plain relative path",
            hint="Paths are relative to the folder that the server was started in, joined by '/'",
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
            hint="Start the server in a folder above, or open the store in a notebook",
        )
    return real


class ConfinedStore:
    """A local store of which no object is read that lies outside the server's root.

    Nor one that is larger than a metadata document may be: of chunks and shards only sizes and
    ranges are asked for.
    """

    local = True
    read_only = True

    def __init__(self, store: Store, directory: Path, root: Path, max_document_nbytes: int) -> None:
        self.name = store.name
        self._store = store
        self._directory = directory
        self._root = root
        self._max_document_nbytes = max_document_nbytes

    def _check(self, key: str) -> None:
        # the directory itself was resolved: only a link below it can lead out (on Windows there
        # are other things than links that do)
        path = str(self._directory)
        for part in key.split("/"):
            path = f"{path}/{part}"
            if os.name == "nt" or os.path.islink(path):  # noqa: PTH114 - a string: for each key
                confine(self._directory / key, self._root)
                return

    def get(self, key: str, byte_range: ByteRange | None = None) -> Buffer | None:
        """The object's bytes, where it lies inside the root and is not too large."""
        self._check(key)
        nbytes = self._store.nbytes(key) if byte_range is None else None
        if nbytes is not None and nbytes > self._max_document_nbytes:
            raise DocumentTooLargeError(
                f"a document of {nbytes} bytes",
                store=self.name,
                key=key,
                hint="c.ZLabApp.max_document_nbytes sets how large it may be",
            )
        return self._store.get(key, byte_range)

    def put(self, key: str, value: Buffer) -> None:  # noqa: ARG002
        """Refused."""
        raise ReadOnlyError("the server does not write", store=self.name, key=key)

    def delete(self, key: str) -> None:
        """Refused."""
        raise ReadOnlyError("the server does not write", store=self.name, key=key)

    def delete_prefix(self, prefix: str) -> None:
        """Refused."""
        raise ReadOnlyError("the server does not write", store=self.name, key=prefix)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects below a prefix inside the root."""
        self._check(prefix)
        return self._store.list(prefix)

    def list_dir(self, prefix: str = "") -> Listing:
        """One level below a prefix inside the root."""
        self._check(prefix)
        return self._store.list_dir(prefix)

    def nbytes(self, key: str) -> int | None:
        """The object's size."""
        self._check(key)
        return self._store.nbytes(key)

    def version(self, key: str) -> object:
        """What changes when the object does."""
        self._check(key)
        return self._store.version(key)
