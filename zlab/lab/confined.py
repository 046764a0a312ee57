"""Stores as requests see them: read-only, within bounds, and only as long as somebody waits."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, final

from zlab.errors import ReadOnlyError, StoreError
from zlab.lab.paths import DocumentTooLargeError, PrivateAddressError, confine
from zlab.lab.reading import check_wanted
from zlab.stores.base import Range

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zlab.lab.gate import Pass
    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange, Entry, Listing, Store

# clients take no pass along to another host, so that the gate does not let them in
_NO_PASS = 407


class _ReadOnly:
    """What the server refuses of every store."""

    name: str
    read_only = True

    def put(self, key: str, value: Buffer) -> None:  # noqa: ARG002
        """Refused."""
        raise self._refusal(key)

    def delete(self, key: str) -> None:
        """Refused."""
        raise self._refusal(key)

    def delete_prefix(self, prefix: str) -> None:
        """Refused."""
        raise self._refusal(prefix)

    def _refusal(self, key: str) -> ReadOnlyError:
        return ReadOnlyError("the server does not write", store=self.name, key=key)

    def _check_size(self, nbytes: int | None, limit: int, key: str) -> None:
        if nbytes is not None and nbytes > limit:
            raise DocumentTooLargeError(
                f"a document of {nbytes} bytes",
                store=self.name,
                key=key,
                hint="c.ZLabApp.max_document_nbytes sets how large it may be",
            )


@final
class ConfinedStore(_ReadOnly):
    """A local store of which no object is read that lies outside its root.

    Nor one that is larger than a metadata document may be: of chunks and shards only sizes and
    ranges are asked for.

    Args:
        store: Of a directory.
        directory: That directory's real path.
        root: What nothing may lead out of.
        max_document_nbytes: Bytes of an object that is read as a whole.
    """

    local = True

    def __init__(self, store: Store, directory: Path, root: Path, max_document_nbytes: int) -> None:
        self.name = store.name
        self._store = store
        self._directory = directory
        self._root = root
        self._max_document_nbytes = max_document_nbytes

    def _check(self, key: str) -> None:
        check_wanted()
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
        if byte_range is None:
            self._check_size(self._store.nbytes(key), self._max_document_nbytes, key)
        return self._store.get(key, byte_range)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects below a prefix inside the root."""
        self._check(prefix)
        return _while_wanted(self._store.list(prefix))

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


@final
class BoundedStore(_ReadOnly):
    """A remote store, of which a request reads only so much.

    Args:
        store: Any.
        admitted: How it gets through the gate; `None` for one that does not go through it.
        max_document_nbytes: Bytes of an object that is read as a whole.
    """

    def __init__(self, store: Store, admitted: Pass | None, max_document_nbytes: int) -> None:
        self.name = store.name
        self.local = store.local
        self._store = store
        self._pass = admitted
        self._max_document_nbytes = max_document_nbytes

    def get(self, key: str, byte_range: ByteRange | None = None) -> Buffer | None:
        """The object's bytes, where they are not too many."""
        with self._asking():
            if byte_range is None:
                nbytes = self._store.nbytes(key)
                if not nbytes:
                    return None if nbytes is None else self._store.get(key)
                self._check_size(nbytes, self._max_document_nbytes, key)
                byte_range = Range(0, nbytes)  # no more, whatever it has become by now
            return self._store.get(key, byte_range)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects below a prefix."""
        with self._asking():
            yield from _while_wanted(self._store.list(prefix))

    def list_dir(self, prefix: str = "") -> Listing:
        """One level below a prefix."""
        with self._asking():
            return self._store.list_dir(prefix)

    def nbytes(self, key: str) -> int | None:
        """The object's size."""
        with self._asking():
            return self._store.nbytes(key)

    def version(self, key: str) -> object:
        """What changes when the object does."""
        return self._store.version(key)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        check_wanted()
        try:
            yield
        except StoreError as error:
            refusal = None if self._pass is None else self._pass.refusal
            if refusal is None and error.status == _NO_PASS:
                refusal = "a redirect over plain HTTP leads to another host"
            if refusal is None:
                raise
            raise PrivateAddressError(
                f"the server does not connect: {refusal}",
                store=self.name,
                hint="c.ZLabApp.allowed_private names private addresses that may be asked, "
                "c.ZLabApp.allowed_urls hosts, and c.ZLabApp.max_remote_nbytes bounds bytes",
            ) from error


def _while_wanted(entries: Iterator[Entry]) -> Iterator[Entry]:
    for entry in entries:
        check_wanted()
        yield entry
