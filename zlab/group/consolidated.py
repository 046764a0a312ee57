"""Consolidated metadata: the documents of a whole hierarchy, read at once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from zlab.engine.nodes import join, read_document, read_watched
from zlab.engine.watch import Watch, changes
from zlab.metadata import GroupMetadata, v2
from zlab.metadata.version import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.metadata.model import NodeDocuments
    from zlab.stores.base import Store


class Consolidated:
    """The documents of all nodes below a group.

    Args:
        store: Where the group is.
        root: The path of the group that is consolidated.
        nodes: Documents by file name, by path relative to that group.
        watch: Of the document that holds them; from now on by default.
    """

    def __init__(
        self,
        store: Store,
        root: str,
        nodes: Mapping[str, NodeDocuments],
        watch: Watch,
    ) -> None:
        self.root = root
        self._store = store
        self._nodes = {join(root, path): documents for path, documents in nodes.items()}
        self._watch = watch
        self._read_at = self._seen = changes.latest

    def is_current(self) -> bool:
        """Whether they still say what is stored, as far as that is told without a request.

        They do not where their document was replaced, or this process has changed a member.
        """
        if not self._watch.is_current():
            return False
        if changes.latest != self._seen:
            if self._is_outdated():
                return False
            self._seen = changes.latest
        return True

    def renewed(self) -> Consolidated | None:
        """What the store has instead of these, `None` where it has no better ones."""
        again = find_consolidated(self._store, self.root)
        if again is not None and again._nodes == self._nodes and self._is_outdated():  # noqa: SLF001
            return None
        return again

    def _is_outdated(self) -> bool:
        return changes.is_changed_below(self._store, self.root, self._read_at)

    def documents(self, path: str) -> NodeDocuments | None:
        """The documents of the node at a path of the store, `None` where there is no node."""
        return self._nodes.get(path)

    def children(self, path: str) -> list[str]:
        """The names of the nodes right below a path, sorted."""
        return self._children.get(path, [])

    def below(self, path: str) -> dict[str, NodeDocuments]:
        """The documents of all nodes below a path of the store, by path relative to it."""
        prefix = f"{path}/" if path else ""
        return {
            where[len(prefix) :]: documents
            for where, documents in self._nodes.items()
            if where.startswith(prefix) and where not in (path, self.root)
        }

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, set[str]] = {}
        for path in self._nodes:
            if path != self.root:
                parent, _, name = path.rpartition("/")
                children.setdefault(parent, set()).add(name)
        return {parent: sorted(names) for parent, names in children.items()}


def consolidated_of(
    store: Store, path: str, metadata: GroupMetadata, watch: Watch
) -> Consolidated | None:
    """The consolidated metadata of a group that was just read, `None` where it has none.

    Args:
        store: Where the group is.
        path: Its path.
        metadata: Its model.
        watch: Of its documents.

    Raises:
        MetadataError: They cannot be understood.
    """
    apart = VERSIONS[metadata.zarr_format].consolidated
    if apart is None:
        nodes = metadata.consolidated
        return None if nodes is None else Consolidated(store, path, nodes, watch)
    watch = Watch.start(store, path, [apart])
    document = read_document(store, path, apart)
    if document is None:
        return None
    return Consolidated(store, path, v2.parse_consolidated(document), watch)


def find_consolidated(store: Store, path: str) -> Consolidated | None:
    """The consolidated metadata of the group at a path, `None` where there are none."""
    found = read_watched(store, path)
    if found is None:
        return None
    metadata, watch = found
    if not isinstance(metadata, GroupMetadata):
        return None
    return consolidated_of(store, path, metadata, watch)
