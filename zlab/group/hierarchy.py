"""What is done to whole nodes: deleted, moved, consolidated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zlab.engine.nodes import (
    check_writable,
    create_parents,
    join,
    read_document,
    read_documents,
)
from zlab.errors import MetadataError, NodeExistsError, NodeNotFoundError
from zlab.metadata import v2, v3
from zlab.metadata.document import format_json
from zlab.metadata.node import DOCUMENT_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zlab.metadata import ZarrFormat
    from zlab.metadata.model import NodeDocuments
    from zlab.stores.base import Store


def walk(store: Store, path: str) -> Iterator[tuple[str, NodeDocuments]]:
    """Paths in the store and documents of all nodes below a path, that node first.

    Raises:
        MetadataError: A document is not JSON.
    """
    documents = read_documents(store, path)
    if documents is None:
        return
    yield path, documents
    if v2.ARRAY in documents or documents.get(v3.DOCUMENT, {}).get("node_type") == "array":
        return
    for prefix in store.list_dir(path).prefixes:
        yield from walk(store, prefix)


def delete_node(store: Store, path: str) -> None:
    """Removes a node with everything below it; its document first, so that no half is found.

    Raises:
        NodeNotFoundError: There is no node.
        ReadOnlyError: The store was opened for reading.
    """
    check_writable(store, path)
    documents = read_documents(store, path)
    if documents is None:
        raise NodeNotFoundError("there is no array or group", store=store.name, key=path)
    for name in documents:
        store.delete(join(path, name))
    store.delete_prefix(path)


def move_node(store: Store, source: str, target: str) -> None:
    """Moves a node with everything below it: data, then documents, then the old node goes.

    Raises:
        NodeNotFoundError: There is no node at `source`.
        NodeExistsError: There is one at `target`, or `target` lies below `source`.
        ReadOnlyError: The store was opened for reading.
    """
    check_writable(store, source)
    documents = read_documents(store, source)
    if documents is None:
        raise NodeNotFoundError("there is no array or group", store=store.name, key=source)
    if read_documents(store, target) is not None or f"{target}/".startswith(f"{source}/"):
        raise NodeExistsError(
            f"cannot move {source!r} there",
            store=store.name,
            key=target,
            hint="Delete what is there first, or choose another path",
        )
    create_parents(store, target, 3 if v3.DOCUMENT in documents else 2)
    keys = [entry.key for entry in store.list(source)]
    keys.sort(key=lambda key: (key.rpartition("/")[2] in DOCUMENT_NAMES, -key.count("/")))
    for key in keys:
        data = store.get(key)
        if data is not None:
            store.put(target + key[len(source) :], data)
    delete_node(store, source)


def consolidate(store: Store, path: str, zarr_format: ZarrFormat) -> dict[str, NodeDocuments]:
    """Writes the documents of all nodes below a group into one, and returns them by relative path.

    Raises:
        MetadataError: A node below is of the other version.
        ReadOnlyError: The store was opened for reading.

    Source: Zarr v3.1 core specification, section "Consolidated metadata"; zarr-python's
    `.zmetadata` for v2.
    """
    check_writable(store, path)
    nodes = dict(_relative(store, path, zarr_format))
    if zarr_format == 3:  # noqa: PLR2004  writing the document
        root = read_document(store, path, v3.DOCUMENT) or {}
        members = {name: docs[v3.DOCUMENT] for name, docs in nodes.items() if name}
        root["consolidated_metadata"] = {
            "kind": "inline",
            "must_understand": False,
            "metadata": members,
        }
        store.put(join(path, v3.DOCUMENT), format_json(root))
    else:
        entries = {
            join(name, file): document
            for name, docs in nodes.items()
            for file, document in docs.items()
        }
        document = {"metadata": entries, "zarr_consolidated_format": 1}
        store.put(join(path, v2.CONSOLIDATED), format_json(document))
    return {name: docs for name, docs in nodes.items() if name}


def remove_consolidated(store: Store, path: str, zarr_format: ZarrFormat) -> None:
    """Removes the consolidated metadata of a group; where there are none, nothing happens."""
    check_writable(store, path)
    if zarr_format == 3:  # noqa: PLR2004  writing the document
        root = read_document(store, path, v3.DOCUMENT) or {}
        if root.pop("consolidated_metadata", None) is not None:
            store.put(join(path, v3.DOCUMENT), format_json(root))
    else:
        store.delete(join(path, v2.CONSOLIDATED))


def stale_nodes(
    store: Store, path: str, zarr_format: ZarrFormat, known: dict[str, NodeDocuments]
) -> list[str]:
    """Paths, relative to the group, where consolidated metadata and the store differ.

    Args:
        store: Where the group is.
        path: The group's path.
        zarr_format: The group's version.
        known: The consolidated documents by relative path.
    """
    actual = {name: docs for name, docs in _relative(store, path, zarr_format) if name}
    names = actual.keys() | known.keys()
    return sorted(name for name in names if _comparable(actual, name) != _comparable(known, name))


def _comparable(nodes: dict[str, NodeDocuments], name: str) -> dict[str, Any] | None:
    documents = nodes.get(name)
    if documents is None:
        return None
    # a member that is consolidated itself says nothing more about itself
    return {
        file: {
            field: value for field, value in document.items() if field != "consolidated_metadata"
        }
        for file, document in documents.items()
    }


def _relative(
    store: Store, path: str, zarr_format: ZarrFormat
) -> Iterator[tuple[str, NodeDocuments]]:
    for where, documents in walk(store, path):
        if (v3.DOCUMENT in documents) != (zarr_format == 3):  # noqa: PLR2004  as above
            raise MetadataError(
                "a group cannot consolidate a node of the other version",
                store=store.name,
                key=where,
            )
        yield where[len(path) :].strip("/"), documents
