"""What is done to whole nodes: created together, deleted, moved, consolidated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from zlab.array.create import checked
from zlab.engine.nodes import (
    change_document,
    check_name,
    check_writable,
    create_parents,
    join,
    put_documents,
    read_documents,
)
from zlab.engine.stamps import delete_below
from zlab.engine.watch import changes
from zlab.errors import MetadataError, NodeExistsError, NodeNotFoundError
from zlab.group.members import each, read_members
from zlab.metadata import ArrayMetadata, GroupMetadata, NodeMetadata, v2, v3
from zlab.metadata.document import format_json, parse_json
from zlab.metadata.node import DOCUMENT_NAMES, format_node, parse_node
from zlab.metadata.version import VERSIONS, format_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zlab.metadata import ZarrFormat
    from zlab.metadata.model import NodeDocuments
    from zlab.stores.base import Store

NodeLike: TypeAlias = NodeMetadata | Mapping[str, Any] | Any
"""A node's metadata: a model, the document of v3, those of v2 by file name, or an object of
zarr-python's."""


def create_nodes(
    store: Store, root: str, nodes: Mapping[str, NodeLike], *, overwrite: bool
) -> dict[str, NodeMetadata]:
    """Writes many nodes and the groups between them; `zlab.create_hierarchy` says how.

    Args:
        store: Where to.
        root: The group that they lie below.
        nodes: What to create, by path below it.
        overwrite: Remove what is there.

    Returns:
        The models of what was made, by path below the root, from the top down.
    """
    check_writable(store, root)
    planned = _plan_nodes(store, root, nodes)
    if not planned:
        return {}
    made = _check_room(store, root, planned, overwrite=overwrite)
    documents = {
        path: {name: format_json(document) for name, document in format_node(node).items()}
        for path, node in made.items()
    }
    # nothing was written so far
    create_parents(store, root, next(iter(planned.values())).zarr_format)
    if overwrite:
        for path in _topmost(planned):
            delete_below(store, join(root, path))
            changes.note(store, join(root, path), below=True)

    def write(path: str) -> None:
        put_documents(store, join(root, path), documents[path])
        changes.note(store, join(root, path))

    for depth in sorted(set(map(_depth, made))):
        each(store, [path for path in made if _depth(path) == depth], write)
    return made


def _plan_nodes(store: Store, root: str, nodes: Mapping[str, NodeLike]) -> dict[str, NodeMetadata]:
    planned: dict[str, NodeMetadata] = {}
    for name, value in nodes.items():
        path = join(name)
        if path in planned:
            raise MetadataError("two entries for one node", store=store.name, key=path)
        where = join(root, path)
        check_name(store, where)
        node = _model(value, store.name, where)
        planned[path] = checked(store, where, node) if isinstance(node, ArrayMetadata) else node
    for path in planned:
        for parent in _parents(path):
            if isinstance(planned.get(parent), ArrayMetadata):
                raise MetadataError(
                    f"an array cannot have the member {path!r}", store=store.name, key=parent
                )
    if len({node.zarr_format for node in planned.values()}) > 1:
        raise MetadataError(
            "a hierarchy of both versions", store=store.name, hint="Use one zarr_format for all"
        )
    return planned


def _check_room(
    store: Store, root: str, planned: Mapping[str, NodeMetadata], *, overwrite: bool
) -> dict[str, NodeMetadata]:
    """What has to be written, from the top down: what is planned, and groups that are missing."""
    zarr_format = next(iter(planned.values())).zarr_format
    between = {parent for path in planned for parent in _parents(path)} - planned.keys()
    paths = sorted([*planned, *between], key=lambda path: (_depth(path), path))
    made: dict[str, NodeMetadata] = {}
    there = read_members(store, [join(root, path) for path in paths])
    for path, found in zip(paths, there, strict=True):
        where = join(root, path) or None
        if path in planned:
            if found is not None and not overwrite:
                raise NodeExistsError(
                    "there is an array or group already",
                    store=store.name,
                    key=where,
                    hint="Pass overwrite=True to replace it with everything below it",
                )
            made[path] = planned[path]
        elif isinstance(found, MetadataError):
            raise found
        elif isinstance(found, ArrayMetadata) and not any(p in planned for p in _parents(path)):
            raise NodeExistsError(
                "cannot create members of an array",
                store=store.name,
                key=where,
                hint="Arrays have no members; choose a path in a group",
            )
        elif found is None or any(parent in planned for parent in _parents(path)):
            # what lies below a node that is replaced goes with it
            made[path] = GroupMetadata(zarr_format)
    return made


def _model(value: NodeLike, store: str, path: str) -> NodeMetadata:
    if isinstance(value, ArrayMetadata):
        return value
    if isinstance(value, GroupMetadata):
        # what it said of its members is not what is made here
        return replace(value, consolidated=None)
    if not isinstance(value, Mapping) and hasattr(value, "to_dict"):
        value = value.to_dict()
    if not isinstance(value, Mapping):
        raise MetadataError(
            f"metadata of a node are no {type(value).__name__}",
            store=store,
            key=path or None,
            hint="Give a model (`array.metadata`), a document as a dictionary, or v2 documents by "
            "file name",
        )
    documents: Mapping[str, Any] = value
    if "zarr_format" in value:
        documents = {v3.DOCUMENT: value} if value["zarr_format"] == 3 else _v2_documents(value)  # noqa: PLR2004  it names the document
    elif not {v3.DOCUMENT, v2.ARRAY, v2.GROUP} & documents.keys():
        raise MetadataError(
            "a document without zarr_format", store=store, key=path or None, hint="It is 2 or 3"
        )
    # as they will be stored: objects of zarr-python hold tuples where JSON has lists
    stored = {
        name: parse_json(format_json(dict(document)), key=join(path, name), store=store)
        for name, document in documents.items()
    }
    return _model(parse_node(stored, store=store, path=path), store, path)


def _v2_documents(value: Mapping[str, Any]) -> dict[str, Any]:
    """As zarr-python puts them into one dictionary."""
    document = {name: item for name, item in value.items() if name != "attributes"}
    name = v2.ARRAY if "shape" in document else v2.GROUP
    return {name: document, v2.ATTRIBUTES: dict(value.get("attributes") or {})}


def _depth(path: str) -> int:
    return path.count("/") + 1 if path else 0


def _parents(path: str) -> list[str]:
    parts = path.split("/") if path else []
    return ["/".join(parts[:depth]) for depth in range(len(parts))]


def _topmost(planned: Mapping[str, NodeMetadata]) -> list[str]:
    return [path for path in planned if not any(above in planned for above in _parents(path))]


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
    delete_below(store, path)
    changes.note(store, path, below=True)


def move_node(store: Store, source: str, target: str) -> None:
    """Moves a node with everything below it: data, then documents, then the old node goes.

    Raises:
        NodeNotFoundError: There is no node at `source`.
        NodeExistsError: There is one at `target`, or `target` lies below `source`.
        MetadataError: `target` is a name of Zarr's own, such as `zarr.json`.
        ReadOnlyError: The store was opened for reading.
    """
    check_writable(store, source)
    check_name(store, target)
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
    create_parents(store, target, format_of(documents))
    keys = [entry.key for entry in store.list(source)]
    keys.sort(key=lambda key: (key.rpartition("/")[2] in DOCUMENT_NAMES, -key.count("/")))
    for key in keys:
        data = store.get(key)
        if data is not None:
            store.put(target + key[len(source) :], data)
    changes.note(store, target, below=True)
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
    apart = VERSIONS[zarr_format].consolidated
    if apart is None:
        members = {name: docs[v3.DOCUMENT] for name, docs in nodes.items() if name}
        consolidated = {"kind": "inline", "must_understand": False, "metadata": members}
        change_document(
            store,
            join(path, v3.DOCUMENT),
            lambda root: {**root, "consolidated_metadata": consolidated},
        )
    else:
        entries = {
            join(name, file): document
            for name, docs in nodes.items()
            for file, document in docs.items()
        }
        document = {"metadata": entries, "zarr_consolidated_format": 1}
        store.put(join(path, apart), format_json(document))
    changes.note(store, path)
    return {name: docs for name, docs in nodes.items() if name}


def remove_consolidated(store: Store, path: str, zarr_format: ZarrFormat) -> None:
    """Removes the consolidated metadata of a group; where there are none, nothing happens."""
    check_writable(store, path)
    apart = VERSIONS[zarr_format].consolidated
    if apart is None:
        change_document(
            store,
            join(path, v3.DOCUMENT),
            lambda root: {name: v for name, v in root.items() if name != "consolidated_metadata"},
        )
    else:
        store.delete(join(path, apart))
    changes.note(store, path)


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
        if format_of(documents) != zarr_format:
            raise MetadataError(
                "a group cannot consolidate a node of the other version",
                store=store.name,
                key=where,
            )
        yield where[len(path) :].strip("/"), documents
