"""The documents of one node, whichever version they are: what to look for, and the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from zlab.errors import MetadataError
from zlab.metadata import v2, v3

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zlab.metadata.model import NodeMetadata, ZarrFormat

T = TypeVar("T")

DOCUMENT_NAMES = frozenset({v3.DOCUMENT, v2.ARRAY, v2.GROUP, v2.ATTRIBUTES, v2.CONSOLIDATED})
"""Keys with these last parts are metadata, never chunks and never nodes."""


def check_format(zarr_format: object) -> None:
    """Raises `MetadataError` for a version that is neither 2 nor 3; `None` stands for either."""
    if zarr_format not in (None, 2, 3):
        raise MetadataError(
            f"there is no Zarr v{zarr_format}", hint="zarr_format is 3, or 2 for older readers"
        )


def find_documents(
    get: Callable[[str], T | None], zarr_format: ZarrFormat | None = None
) -> dict[str, T] | None:
    """The documents of a node by file name, or `None` where there is no node.

    `zarr.json` is looked for first: where a node has both versions' documents, v3 is meant.

    Args:
        get: Returns a document by file name, parsed or not, `None` where it does not exist.
        zarr_format: Look for this version only.
    """
    check_format(zarr_format)
    if zarr_format in (None, 3):
        document = get(v3.DOCUMENT)
        if document is not None:
            return {v3.DOCUMENT: document}
    if zarr_format in (None, 2):
        for name in (v2.ARRAY, v2.GROUP):
            document = get(name)
            if document is not None:
                attributes = get(v2.ATTRIBUTES)
                found = {name: document}
                return found if attributes is None else found | {v2.ATTRIBUTES: attributes}
    return None


def parse_node(
    documents: Mapping[str, Mapping[str, Any]], *, store: str, path: str
) -> NodeMetadata:
    """The model of a node; errors say which node of which store.

    Raises:
        MetadataError: The documents cannot be understood.
    """
    is_v3 = v3.DOCUMENT in documents
    key = "/".join(part for part in (path, v3.DOCUMENT if is_v3 else next(iter(documents))) if part)
    try:
        return v3.parse_node(documents[v3.DOCUMENT]) if is_v3 else v2.parse_node(documents)
    except MetadataError as error:
        error.locate(store=store, key=key)
        raise


def format_node(node: NodeMetadata) -> dict[str, dict[str, Any]]:
    """The documents of a node by file name, in its own version."""
    return _FORMATTERS[node.zarr_format](node)


_FORMATTERS = {2: v2.format_node, 3: v3.format_node}
