"""Consolidated metadata: the documents of a whole hierarchy, read at once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from zlab.engine.nodes import join

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.metadata.model import NodeDocuments


class Consolidated:
    """The documents of all nodes below a group.

    Args:
        root: The path of the group that is consolidated.
        nodes: Documents by file name, by path relative to that group.
    """

    def __init__(self, root: str, nodes: Mapping[str, NodeDocuments]) -> None:
        self.root = root
        self._nodes = {join(root, path): documents for path, documents in nodes.items()}

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
