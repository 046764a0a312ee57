"""Whether a node is still what an open handle knows of it.

A handle keeps what it read from the node's documents. What this process writes through any handle
is noted here by store and path; what others write is seen by the version of the document, where
the store tells one without a request (`Store.version`). Of a store that does not, a handle learns
of others' changes when it is told to refresh.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zlab.stores.base import Store

_MAX_NOTED = 4096
"""Nodes that are noted one by one. Of more, every handle reads its document once again."""


class Changes:
    """What this process has changed, numbered.

    Attributes:
        latest: The number of the last change of any node; as long as it stays, nothing changed.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self._noted: dict[tuple[str, str], int] = {}
        self._forgotten = 0
        self.latest = 0

    def note(self, store: Store, path: str, *, below: bool = False) -> None:
        """Notes that the documents of a node were written or deleted; call it afterwards.

        Args:
            store: Where it is.
            path: Its path.
            below: Whether all that lies below it may have changed too.
        """
        number = next(self._numbers)
        if len(self._noted) >= _MAX_NOTED:
            self._noted.clear()
            self._forgotten = number
        self._noted[store.name, f"{path}/" if below else path] = number
        self.latest = number

    def of(self, store: Store, path: str) -> int:
        """The number of the last change that may concern a node."""
        noted, name = self._noted, store.name
        latest = max(self._forgotten, noted.get((name, path), 0), noted.get((name, "/"), 0))
        end = len(path)
        while end > 0:
            latest = max(latest, noted.get((name, f"{path[:end]}/"), 0))
            end = path.rfind("/", 0, end)
        return latest

    def is_changed_below(self, store: Store, path: str, since: int) -> bool:
        """Whether a node below a path was changed after the change of that number."""
        prefix = f"{path}/" if path else ""
        return any(
            number > since and name == store.name and where.startswith(prefix) and where != path
            for (name, where), number in list(self._noted.items())
        )


changes = Changes()


class Watch:
    """Says whether a node's documents are still those that were read.

    Args:
        store: Where the node is.
        path: Its path.
        versions: What `Store.version` said of each document, by file name, before it was read.
        number: What `changes.of` said before that; by default, what it says now.

    Example:
        >>> from zlab.stores.memory import MemoryStore
        >>> store = MemoryStore({"zarr.json": b"{}"})
        >>> watch = Watch.start(store, "", ["zarr.json"])
        >>> watch.is_current()
        True
        >>> store.put("zarr.json", b"{ }")
        >>> watch.is_current()
        False
    """

    __slots__ = ("_keys", "_late", "_latest", "_number", "_path", "_store", "_versions")

    def __init__(
        self,
        store: Store,
        path: str,
        versions: Mapping[str, object],
        number: int | None = None,
    ) -> None:
        self._store = store
        self._path = path
        self._number = changes.of(store, path) if number is None else number
        self._latest = -1
        self._late: tuple[str, ...] = ()
        self._see(versions)

    def _see(self, versions: Mapping[str, object]) -> None:
        prefix = f"{self._path}/" if self._path else ""
        self._versions = dict(versions)
        self._keys = [(prefix + name, version) for name, version in versions.items()]

    @classmethod
    def start(cls, store: Store, path: str, names: Iterable[str]) -> Watch:
        """Watches documents from now on, for a handle that has written or was given them."""
        watch = cls.late(store, path, names)
        watch._look()  # noqa: SLF001  of this class
        return watch

    @classmethod
    def late(cls, store: Store, path: str, names: Iterable[str]) -> Watch:
        """As `start`, but looks at what others do from the first use on: many cost nothing."""
        watch = cls(store, path, {})
        watch._late = tuple(names)
        return watch

    def _look(self) -> None:
        names, self._late = self._late, ()
        prefix = f"{self._path}/" if self._path else ""
        self._see({name: self._store.version(prefix + name) for name in names})

    def is_current(self) -> bool:
        """Whether nobody has changed the documents, as far as that is told without a request.

        It costs a comparison, and of a local store a look at the file's time.
        """
        latest = changes.latest
        if latest != self._latest:
            if changes.of(self._store, self._path) != self._number:
                return False
            self._latest = latest
        if self._late:
            self._look()
        version = self._store.version
        for key, seen in self._keys:  # noqa: SIM110  this runs once a read, and costs less
            if version(key) != seen:
                return False
        return True

    def __reduce__(self) -> tuple[object, ...]:
        if self._late:
            self._look()
        # the numbers are this process's
        return Watch, (self._store, self._path, self._versions)
