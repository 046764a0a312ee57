"""The stores that requests name, opened, and kept while they do not change."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from zlab.group import open as open_node
from zlab.lab.addresses import Addresses
from zlab.lab.confined import BoundedStore, ConfinedStore
from zlab.lab.gate import Gate
from zlab.lab.paths import allowed_hosts, check_url, is_url, local_path, locate
from zlab.metadata.node import DOCUMENT_NAMES
from zlab.stores.cloud import is_cloud
from zlab.stores.local import LocalStore
from zlab.stores.open import store_from

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from zlab.array import Array
    from zlab.group import Group
    from zlab.lab.reading import Errand

# somebody waits, and can try again
_RETRY = {"attempts": 3, "deadline_s": 20.0}

Signature: TypeAlias = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Access:
    """What requests may reach.

    Attributes:
        root: The folder that the server serves.
        allow_hidden: Whether hidden paths are served.
        allowed_urls: Beginnings of URLs that may be opened.
        max_document_nbytes: Bytes of a metadata document.
        extra_roots: Further folders that are served.
        addresses: Which addresses remote stores may be asked at.
        max_remote_nbytes: Bytes that one request may receive from remote stores.
    """

    root: Path
    allow_hidden: bool
    allowed_urls: Sequence[str]
    max_document_nbytes: int
    extra_roots: Sequence[Path] = ()
    addresses: Addresses = field(default_factory=Addresses)
    max_remote_nbytes: int = 1 << 28


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
        self._gate: Gate | None = None

    def reach(self, store: str) -> str:
        """The id under which a store can be opened; of a remote one nothing is asked.

        Args:
            store: A path as the server or a kernel has it, or a URL.

        Raises:
            ZlabError: It cannot, as `open` would say.
        """
        access = self.access
        path = local_path(store)
        if is_url(path):
            return check_url(path, access.allowed_urls)
        # a kernel's paths are absolute, those of the server's own stores relative
        real, home = self._locate(path)
        if home != access.root:
            return path
        return real.relative_to(home.resolve()).as_posix() if path.startswith("/") else path

    def open(self, store: str, errand: Errand | None = None) -> Array | Group:
        """The root node of a store.

        Args:
            store: Its id: a path below the server's root, an absolute one below an extra root, or
                a URL.
            errand: For what; connections to a remote store end with it.

        Raises:
            OutsideRootError: The path leads out of the root.
            HiddenPathError: The path is hidden.
            UrlNotAllowedError: The URL is not on the allow-list.
            KernelOnlyError: The URL names the memory of a process.
            PrivateAddressError: The URL leads to an address that the server does not ask.
            NodeNotFoundError: No array or group is there.
            MetadataError: Its document cannot be understood.
            StoreError: The storage failed.
        """
        access = self.access
        store = local_path(store)
        if is_url(store):
            return self._open_url(check_url(store, access.allowed_urls), errand)
        path, home = self._locate(store)
        signature = _sign(path)
        with self._lock:
            kept = self._kept.get(path)
            if kept is not None and kept[0] == signature:
                self._kept.move_to_end(path)
                return kept[1]
        local = LocalStore(path, read_only=True)
        node = open_node(ConfinedStore(local, path, home, access.max_document_nbytes))
        with self._lock:
            self._kept[path] = signature, node
            self._kept.move_to_end(path)
            while len(self._kept) > self._max_kept:
                self._kept.popitem(last=False)
        return node

    def close(self) -> None:
        """Ends all connections."""
        with self._lock:
            if self._gate is not None:
                self._gate.close()
                self._gate = None

    def _locate(self, path: str) -> tuple[Path, Path]:
        access = self.access
        return locate(path, access.root, access.extra_roots, allow_hidden=access.allow_hidden)

    def _open_url(self, url: str, errand: Errand | None) -> Array | Group:
        access = self.access
        if not is_cloud(url):  # only the owner's list can name one: fsspec's clients have no gate
            store, _ = store_from(url)
            return open_node(BoundedStore(store, None, access.max_document_nbytes))
        with self._lock:
            if self._gate is None:
                self._gate = Gate(access.addresses)
            gate = self._gate
        admitted = gate.admit(access.max_remote_nbytes, allowed_hosts(url, access.allowed_urls))
        if errand is not None:
            errand.at_end(admitted.close)
        # fsspec's clients follow no proxy for all that they do
        options = {"engine": "obstore", "proxy": admitted.url, "retry": _RETRY, **_endpoint(url)}
        store, _ = store_from(url, storage_options=options)
        return open_node(BoundedStore(store, admitted, access.max_document_nbytes))


def _endpoint(url: str) -> dict[str, str]:
    """The endpoint that the server's environment names for S3, which may be without TLS."""
    if not url.lower().startswith(("s3://", "s3a://")):
        return {}
    found = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return {"endpoint": found} if found else {}


def _sign(directory: Path) -> Signature:
    found = []
    for name in sorted(DOCUMENT_NAMES):
        with suppress(OSError):
            status = (directory / name).stat()
            found.append((name, status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)
