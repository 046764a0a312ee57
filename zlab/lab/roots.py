"""The stores that requests name, opened, and kept while they do not change."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from zlab.group import open as open_node
from zlab.lab.paths import ConfinedStore, check_url, is_url, locate
from zlab.metadata.node import DOCUMENT_NAMES
from zlab.stores.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from zlab.array import Array
    from zlab.group import Group

Signature: TypeAlias = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Access:
    """What requests may reach.

    Attributes:
        root: The folder that the server serves.
        allow_hidden: Whether hidden paths are served.
        allowed_urls: Beginnings of URLs that may be opened.
        max_document_nbytes: Bytes of a metadata document.
    """

    root: Path
    allow_hidden: bool
    allowed_urls: Sequence[str]
    max_document_nbytes: int


class Roots:
    """Root nodes of stores, the least recently used dropped.

    Opening one again costs a parse, which with consolidated metadata may take seconds. A local
    one is kept as long as time, size and number of its documents stay the same; members are read
    anew at each request, unless they came with them. A remote one is not kept.

    Args:
        access: What requests may reach.
        kept: Root nodes that are kept.
    """

    def __init__(self, access: Access, kept: int) -> None:
        self.access = access
        self._max_kept = kept
        self._kept: OrderedDict[Path, tuple[Signature, Array | Group]] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, store: str) -> Array | Group:
        """The root node of a store.

        Args:
            store: Its id: a path below the server's root, or a URL.

        Raises:
            OutsideRootError: The path leads out of the root.
            HiddenPathError: The path is hidden.
            UrlNotAllowedError: The URL is not on the allow-list.
            NodeNotFoundError: No array or group is there.
            MetadataError: Its document cannot be understood.
            StoreError: The storage failed.
        """
        access = self.access
        if is_url(store):
            return open_node(check_url(store, access.allowed_urls), mode="r")
        path = locate(store, access.root, allow_hidden=access.allow_hidden)
        signature = _sign(path)
        with self._lock:
            kept = self._kept.get(path)
            if kept is not None and kept[0] == signature:
                self._kept.move_to_end(path)
                return kept[1]
        local = LocalStore(path, read_only=True)
        node = open_node(ConfinedStore(local, path, access.root, access.max_document_nbytes))
        with self._lock:
            self._kept[path] = signature, node
            self._kept.move_to_end(path)
            while len(self._kept) > self._max_kept:
                self._kept.popitem(last=False)
        return node


def _sign(directory: Path) -> Signature:
    found = []
    for name in sorted(DOCUMENT_NAMES):
        with suppress(OSError):
            status = (directory / name).stat()
            found.append((name, status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)
