"""Groups and arrays as the wire has them (`docs/wire.md`: Node, Details)."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from zlab.array import Array
from zlab.engine.nodes import join, read_documents
from zlab.errors import NodeNotFoundError, ZlabError
from zlab.lab.codec_summary import describe_codecs
from zlab.lab.reply import exact, format_error
from zlab.metadata import ArrayMetadata
from zlab.metadata.fill import format_fill
from zlab.metadata.node import parse_node

if TYPE_CHECKING:
    from zlab.group import Group
    from zlab.metadata import NodeMetadata

_log = logging.getLogger("zlab.lab")

Row = dict[str, Any]


def describe(node: Array | Group, name: str) -> dict[str, Any]:
    """A node's details.

    Args:
        node: An array or group.
        name: What it is called.
    """
    return {
        "path": node.path,
        "name": name,
        "kind": "array" if isinstance(node, Array) else "group",
        "zarr_format": node.zarr_format,
        "attributes": exact(node.metadata.attributes),
        "metadata": exact(node.metadata_document()),
        "array": _describe_array(node) if isinstance(node, Array) else None,
    }


def _describe_array(array: Array) -> dict[str, Any]:
    return {
        "shape": list(array.shape),
        "dtype": array.metadata.data_type.name,
        "chunks": list(array.chunks),
        "shards": None if array.shards is None else list(array.shards),
        "order": array.order,
        "dimension_names": None if array.dimension_names is None else list(array.dimension_names),
        "fill_value": _fill_text(array.metadata),
        "codecs": exact(describe_codecs(array.metadata.codecs)),
        "nchunks": array.nchunks,
        "chunk_grid_shape": list(array.chunk_grid_shape),
        "nbytes": array.nbytes,
    }


def _fill_text(metadata: ArrayMetadata) -> str:
    if metadata.fill_value is None:
        return "null"
    value = format_fill(metadata.data_type, metadata.fill_value)
    return value if isinstance(value, str) else json.dumps(value)


def list_members(
    group: Group, offset: int, limit: int, max_sorted: int
) -> tuple[list[Row], int | None, int]:
    """One page of a group's members, groups first, then by name.

    The kind of a member stands in its document, so the order costs a read of all of them; of a
    group with more than `max_sorted` members only a page is read, and the order is by name alone.

    Args:
        group: The group.
        offset: The page's first member.
        limit: Members on a page.
        max_sorted: As said.

    Returns:
        The rows, the next page's offset or `None`, and the number of members (of a group that
        large, of the names that may be members).
    """
    names = _names(group)
    if len(names) > max_sorted:
        page = (_member(group, name) for name in names[offset : offset + limit])
        rows = [row for row in page if row is not None]
        total = len(names)
    else:
        found = [row for name in names if (row := _member(group, name)) is not None]
        found.sort(key=lambda row: (row["kind"] != "group", row["name"]))
        rows = found[offset : offset + limit]
        total = len(found)
    return rows, offset + limit if offset + limit < total else None, total


def row_of(metadata: NodeMetadata, path: str, name: str) -> Row:
    """A row of the tree."""
    array = metadata if isinstance(metadata, ArrayMetadata) else None
    return {
        "path": path,
        "name": name,
        "kind": "group" if array is None else "array",
        "zarr_format": metadata.zarr_format,
        "shape": None if array is None else list(array.shape),
        "dtype": None if array is None else array.data_type.name,
        "error": None,
    }


def _names(group: Group) -> list[str]:
    if group.consolidated:
        return group.keys()
    # not group.keys(): one member that cannot be read would hide all
    return [prefix.rpartition("/")[2] for prefix in group.store.list_dir(group.path).prefixes]


def _member(group: Group, name: str) -> Row | None:
    path = join(group.path, name)
    try:
        metadata = _member_metadata(group, path, name)
    except Exception as error:  # noqa: BLE001 - broken in any way, it is listed with its error
        if not isinstance(error, ZlabError | RecursionError):
            _log.exception("the member %r of %r cannot be described", name, group)
        return {
            "path": path,
            "name": name,
            "kind": "array",  # what cannot be understood cannot be opened as a folder
            "zarr_format": group.zarr_format,
            "shape": None,
            "dtype": None,
            "error": format_error(error),
        }
    return None if metadata is None else row_of(metadata, path, name)


def _member_metadata(group: Group, path: str, name: str) -> NodeMetadata | None:
    if group.consolidated:
        return group[name].metadata
    documents = read_documents(group.store, path)
    if documents is None:
        return None
    return parse_node(documents, store=group.store.name, path=path)


def find_node(root: Array | Group, path: str) -> Array | Group:
    """The node at a path of a store whose root is open.

    Raises:
        NodeNotFoundError: There is none.
    """
    if not path:
        return root
    if isinstance(root, Array):
        raise NodeNotFoundError("the store is an array and has no members", key=path)
    return root[path]
