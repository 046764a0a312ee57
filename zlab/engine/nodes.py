"""Nodes in a store: their documents, read, written and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zlab.engine.exchange import exchanged
from zlab.engine.locks import threads
from zlab.engine.stamps import delete_below
from zlab.engine.watch import Watch, changes
from zlab.errors import MetadataError, NodeExistsError, NodeNotFoundError, ReadOnlyError
from zlab.metadata import ArrayMetadata, GroupMetadata, v2, v3
from zlab.metadata.document import format_json, parse_json
from zlab.metadata.node import DOCUMENT_NAMES, find_documents, format_node, parse_node
from zlab.metadata.version import VERSIONS
from zlab.stores.base import check_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zlab.engine.exchange import Exchange
    from zlab.memory import Buffer
    from zlab.metadata import NodeMetadata, ZarrFormat
    from zlab.metadata.model import NodeDocuments
    from zlab.stores.base import Store


def join(*parts: str) -> str:
    """A path from its parts, some of which may be empty."""
    return "/".join(part.strip("/") for part in parts if part.strip("/"))


def read_document(store: Store, path: str, name: str) -> dict[str, Any] | None:
    """One parsed document of a node, `None` where it does not exist.

    Raises:
        MetadataError: It is not a JSON object.
        StoreError: The store failed.
    """
    key = join(path, name)
    data = store.get(key)
    return None if data is None else parse_json(data, key=key, store=store.name)


def read_documents(
    store: Store, path: str, zarr_format: ZarrFormat | None = None
) -> dict[str, dict[str, Any]] | None:
    """The documents of the node at a path by file name, `None` where there is no node."""
    return find_documents(lambda name: read_document(store, path, name), zarr_format)


def stored_document(store: Store, path: str, zarr_format: ZarrFormat) -> dict[str, Any]:
    """What a node's metadata look like where they are stored.

    Returns:
        The document, or, of a version that has several, those by file name.

    Raises:
        NodeNotFoundError: The node is no longer there.
        MetadataError: They are no JSON objects.
        StoreError: The store failed.
    """
    documents = read_documents(store, path, zarr_format)
    if documents is None:
        raise _gone(store, path)
    return documents.get(v3.DOCUMENT, documents)


def _gone(store: Store, path: str) -> NodeNotFoundError:
    return NodeNotFoundError(
        "the array or group is no longer there", store=store.name, key=path or None
    )


def read_watched(
    store: Store, path: str, zarr_format: ZarrFormat | None = None
) -> tuple[NodeMetadata, Watch] | None:
    """As `read_node`, with a watch that tells when that is no longer what is stored.

    Raises:
        MetadataError: The documents cannot be understood.
        StoreError: The store failed.
    """
    number = changes.of(store, path)
    versions: dict[str, object] = {}

    def get(name: str) -> Buffer | None:
        key = join(path, name)
        # before it is read: what is replaced meanwhile is seen as changed, never as current
        versions[name] = store.version(key)
        return store.get(key)

    documents: dict[str, Buffer] | None = find_documents(get, zarr_format)
    if documents is None:
        return None
    watched = {
        name: version
        for name, version in versions.items()
        if name in documents or name == v2.ATTRIBUTES
    }
    return _parsed(documents, store.name, path), Watch(store, path, watched, number)


_MAX_PARSED = 128
_MAX_PARSED_NBYTES = 1 << 13
_parsed_arrays: dict[tuple[tuple[str, bytes], ...], ArrayMetadata] = {}


def _parsed(documents: Mapping[str, Buffer], store: str, path: str) -> NodeMetadata:
    """The model of a node; of an array whose documents were parsed before, the same one."""
    stored = tuple((name, bytes(data)) for name, data in documents.items())
    known = _parsed_arrays.get(stored)
    if known is not None:
        return known
    parsed = {name: parse_json(data, key=join(path, name), store=store) for name, data in stored}
    metadata = parse_node(parsed, store=store, path=path)
    nbytes = sum(len(data) for _, data in stored)
    if isinstance(metadata, ArrayMetadata) and nbytes <= _MAX_PARSED_NBYTES:
        if len(_parsed_arrays) >= _MAX_PARSED:
            _parsed_arrays.clear()
        _parsed_arrays[stored] = metadata
    return metadata


def document_names(node: NodeMetadata) -> tuple[str, ...]:
    """The files that say what a node is."""
    version = VERSIONS[node.zarr_format]
    document = version.array if isinstance(node, ArrayMetadata) else version.group
    return (document,) if version.attributes is None else (document, version.attributes)


def read_node(
    store: Store, path: str, zarr_format: ZarrFormat | None = None
) -> NodeMetadata | None:
    """The model of the node at a path, `None` where there is no node.

    Raises:
        MetadataError: The documents cannot be understood.
        StoreError: The store failed.
    """
    documents = read_documents(store, path, zarr_format)
    return None if documents is None else parse_node(documents, store=store.name, path=path)


def check_name(store: Store, path: str) -> None:
    """Raises where no node may have a path.

    Raises:
        MetadataError: A part is the name of a document, or periods alone.
        StoreError: It leads out of the store.

    Source: Zarr v3.1 core specification, section "Node names".
    """
    # names that begin with "__" are reserved, but there are stores that have them
    for name in check_prefix(path, store.name).split("/"):
        if name in DOCUMENT_NAMES or (name and not name.strip(".")):
            raise MetadataError(
                f"no array or group can be named {name!r}",
                store=store.name,
                key=path,
                hint="It is a name of Zarr's own; choose another",
            )


def create_node(store: Store, path: str, node: NodeMetadata, *, overwrite: bool) -> None:
    """Writes the documents of a new node.

    Args:
        store: Where to.
        path: The node's path.
        node: What it is.
        overwrite: Remove what is there, with everything below it.

    Raises:
        MetadataError: A part of the path is a name of Zarr's own, such as `zarr.json`.
        NodeExistsError: Something is there, and `overwrite` is false; or the path leads through
            an array.
        ReadOnlyError: The store was opened for reading.
    """
    check_writable(store, path)
    check_name(store, path)
    documents = {name: format_json(document) for name, document in format_node(node).items()}
    create_parents(store, path, node.zarr_format)
    if overwrite:
        delete_below(store, path)
    elif read_documents(store, path) is not None:
        raise NodeExistsError(
            "there is an array or group already",
            store=store.name,
            key=path,
            hint="Pass overwrite=True to replace it with everything below it",
        )
    put_documents(store, path, documents)
    changes.note(store, path, below=overwrite)


def put_documents(store: Store, path: str, documents: Mapping[str, bytes]) -> None:
    """Stores the formatted documents of one node."""
    # a node exists as soon as its own document does, so attributes go first
    for name in sorted(documents, key=lambda name: name != v2.ATTRIBUTES):
        store.put(join(path, name), documents[name])


def create_parents(store: Store, path: str, zarr_format: ZarrFormat) -> None:
    """Makes the groups above a node that are not there yet, from the root down."""
    parts = path.split("/") if path else []
    for depth in range(len(parts)):
        parent = "/".join(parts[:depth])
        node = read_node(store, parent)
        if isinstance(node, ArrayMetadata):
            raise NodeExistsError(
                f"cannot create {path!r} below an array",
                store=store.name,
                key=parent,
                hint="Arrays have no members; choose a path in a group",
            )
        if node is None:
            for name, document in format_node(GroupMetadata(zarr_format)).items():
                store.put(join(parent, name), format_json(document))


def change_attributes(
    store: Store,
    path: str,
    zarr_format: ZarrFormat,
    change: Callable[[dict[str, Any]], Mapping[str, Any]],
) -> None:
    """Replaces a node's attributes and leaves the rest of its documents as it is.

    Args:
        store: Where it is.
        path: Its path.
        zarr_format: Its version.
        change: From the stored attributes to the new ones. No thread of this process changes
            them meanwhile; where somebody else does, and the store can tell, it is called again.

    Raises:
        NodeNotFoundError: The node is no longer there.
        MetadataError: A value that JSON does not have.
        ReadOnlyError: The store was opened for reading.
    """

    def changed(documents: NodeDocuments) -> tuple[str, dict[str, Any]]:
        if v3.DOCUMENT in documents:
            document = documents[v3.DOCUMENT]
            attributes = v3.parse_attributes(change(dict(document.get("attributes") or {})))
            return v3.DOCUMENT, {**document, "attributes": dict(attributes)}
        attributes = v3.parse_attributes(change(dict(documents.get(v2.ATTRIBUTES) or {})))
        return v2.ATTRIBUTES, dict(attributes)

    _change_documents(store, path, zarr_format, changed)


def write_shape(store: Store, path: str, zarr_format: ZarrFormat, shape: tuple[int, ...]) -> None:
    """Replaces an array's shape and leaves the rest of its document as it is.

    Raises:
        NodeNotFoundError: The array is no longer there.
        ReadOnlyError: The store was opened for reading.
    """

    def changed(documents: NodeDocuments) -> tuple[str, dict[str, Any]]:
        name = v3.DOCUMENT if v3.DOCUMENT in documents else v2.ARRAY
        return name, {**documents[name], "shape": list(shape)}

    _change_documents(store, path, zarr_format, changed)


def _change_documents(
    store: Store,
    path: str,
    zarr_format: ZarrFormat,
    changed: Callable[[NodeDocuments], tuple[str, dict[str, Any]]],
) -> None:
    check_writable(store, path)

    def attempt(exchange: Exchange) -> None:
        def get(name: str) -> dict[str, Any] | None:
            key = join(path, name)
            data = exchange.get(key)
            return None if data is None else parse_json(data, key=key, store=store.name)

        documents = find_documents(get, zarr_format)
        if documents is None:
            raise _gone(store, path)
        name, document = changed(documents)
        exchange.put(join(path, name), format_json(document))

    with threads.hold(store, path):
        exchanged(store, attempt)
    changes.note(store, path)


def change_document(
    store: Store, key: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Replaces one document, `{}` where there is none, by what a function makes of it.

    Raises:
        MetadataError: It is not a JSON object.
        StoreError: The store failed.
    """

    def attempt(exchange: Exchange) -> None:
        data = exchange.get(key)
        stored = {} if data is None else parse_json(data, key=key, store=store.name)
        changed = change(stored)
        if changed != stored:
            exchange.put(key, format_json(changed))

    exchanged(store, attempt)


def check_writable(store: Store, path: str, *, read_only: bool = False) -> None:
    """Raises `ReadOnlyError` where the store, or the handle on it, was opened for reading."""
    if store.read_only or read_only:
        raise ReadOnlyError(
            "opened for reading only",
            store=store.name,
            key=path or None,
            hint="Open it with mode='r+' to write",
        )
