"""What copying and converting share: where from, where to, and documents that come last.

A node exists as soon as its document does. So data go first and documents last, from the deepest
to the topmost: whoever is killed on the way leaves no node, and not half of one.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from zlab.array import Array
from zlab.engine.nodes import check_name, check_writable, create_parents, join, read_documents
from zlab.engine.stamps import delete_below
from zlab.errors import NodeExistsError, NodeNotFoundError, StoreError
from zlab.group import Group
from zlab.group.hierarchy import delete_node
from zlab.metadata import v2, v3
from zlab.stores.base import close
from zlab.stores.open import opens, store_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zlab.metadata import ZarrFormat
    from zlab.metadata.model import NodeDocuments
    from zlab.stores.base import Store
    from zlab.stores.open import Mode, StoreLike

NodeLike: TypeAlias = "Array | Group | StoreLike"
"""A node, or what `zlab.open` takes."""


def place_of(node: NodeLike, path: str, mode: Mode) -> tuple[Store, str]:
    """The store and the path in it that a node, or the name of one, stands for."""
    if isinstance(node, Array | Group):
        return node.store, join(node.path, path)
    store, prefix = store_from(node, mode=mode)
    return store, join(prefix, path)


@contextmanager
def opened(node: NodeLike, path: str, mode: Mode) -> Iterator[tuple[Store, str]]:
    """As `place_of`; a store that is opened for it, such as an archive, is closed at the end."""
    store, where = place_of(node, path, mode)
    try:
        yield store, where
    finally:
        if opens(node):
            close(store)


def name_of(store: Store, path: str) -> str:
    """How a report calls a node."""
    return f"{store.name}/{path}".rstrip("/")


def source_documents(store: Store, path: str) -> NodeDocuments:
    """The documents of the node at a path.

    Raises:
        NodeNotFoundError: There is none.
    """
    documents = read_documents(store, path)
    if documents is None:
        raise NodeNotFoundError(
            "there is no array or group to copy",
            store=store.name,
            key=path or None,
            hint="A node has a zarr.json (v3), .zarray or .zgroup (v2) at its path",
        )
    return documents


def is_array(documents: NodeDocuments) -> bool:
    """Whether they are an array's."""
    return v2.ARRAY in documents or documents.get(v3.DOCUMENT, {}).get("node_type") == "array"


def check_apart(source: tuple[Store, str], target: tuple[Store, str]) -> None:
    """Raises `NodeExistsError` where one node lies in the other."""
    same = source[0] == target[0]
    # directories in each other are stores of their own, whose names tell it
    here, there = (
        f"{'' if same else store.name}/{path}/".replace("//", "/")
        for store, path in (source, target)
    )
    if here.startswith(there) or there.startswith(here):
        raise NodeExistsError(
            "the source and the target lie in each other",
            store=target[0].name,
            key=target[1] or None,
            hint="Choose a target outside the source",
        )


def make_room(store: Store, path: str, zarr_format: ZarrFormat, *, overwrite: bool) -> None:
    """Sees to it that nothing lies at a path, and that there are groups above it.

    Raises:
        NodeExistsError: Something is there, and `overwrite` is false; or the path leads through
            an array.
        MetadataError: The path has a name of Zarr's own, such as `zarr.json`.
        ReadOnlyError: The store was opened for reading.
    """
    check_writable(store, path)
    check_name(store, path)
    is_node = read_documents(store, path) is not None
    if not overwrite and (is_node or next(iter(store.list(path)), None) is not None):
        raise NodeExistsError(
            "there is an array or group already"
            if is_node
            else "there are objects already, though no array or group",
            store=store.name,
            key=path or None,
            hint="Pass overwrite=True (--overwrite) to replace everything that is there"
            + ("" if is_node else "; a copy that was interrupted leaves such objects"),
        )
    if is_node:
        delete_node(store, path)
    elif overwrite:
        delete_below(store, path)
    create_parents(store, path, zarr_format)


_RANKS = {v2.ATTRIBUTES: 0, v2.CONSOLIDATED: 1}


def in_publishing_order(keys: Iterable[str]) -> list[str]:
    """Keys of documents: the deepest first, those that make a node last at each place."""

    def rank(key: str) -> tuple[int, int, str]:
        return -key.count("/"), _RANKS.get(key.rpartition("/")[2], 2), key

    return sorted(keys, key=rank)


def carry(source: Store, key: str, target: Store, target_key: str) -> None:
    """Copies one object.

    Raises:
        StoreError: It has vanished since it was listed, or a store failed.
    """
    data = source.get(key)
    if data is None:
        raise StoreError(
            "the object was deleted while it was copied",
            store=source.name,
            key=key,
            hint="Something else writes to the source; copy again when it has ended",
        )
    target.put(target_key, data)
