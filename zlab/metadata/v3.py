"""Zarr v3 documents (`zarr.json`), parsed and formatted.

Source: Zarr v3.1 core specification, sections "Array metadata" and "Group metadata".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zlab.errors import MetadataError, UnknownExtensionError
from zlab.metadata.datatypes import parse_data_type
from zlab.metadata.extension import NamedConfig
from zlab.metadata.fill import format_fill, parse_fill
from zlab.metadata.model import ArrayMetadata, GroupMetadata

if TYPE_CHECKING:
    from zlab.metadata.model import NodeMetadata

DOCUMENT = "zarr.json"

_ARRAY_FIELDS = frozenset(
    {
        "zarr_format",
        "node_type",
        "shape",
        "data_type",
        "chunk_grid",
        "chunk_key_encoding",
        "codecs",
        "fill_value",
        "attributes",
        "dimension_names",
        "storage_transformers",
    }
)
_GROUP_FIELDS = frozenset({"zarr_format", "node_type", "attributes", "consolidated_metadata"})
_MAX_DIMENSIONS = 64


def parse_node(document: Mapping[str, Any]) -> NodeMetadata:
    """The model of a `zarr.json`.

    Raises:
        MetadataError: A field is missing or wrong.
        UnknownExtensionError: A field that is not known and must be understood.
    """
    if document.get("zarr_format") != 3:  # noqa: PLR2004  the version is what it says
        msg = f"zarr_format must be 3 in {DOCUMENT}, not {document.get('zarr_format')!r:.40}"
        raise MetadataError(msg)
    match document.get("node_type"):
        case "array":
            return _parse_array(document)
        case "group":
            return _parse_group(document)
        case other:
            msg = f"node_type must be 'array' or 'group', not {other!r:.40}"
            raise MetadataError(msg)


def _parse_group(document: Mapping[str, Any]) -> GroupMetadata:
    return GroupMetadata(
        zarr_format=3,
        attributes=parse_attributes(document.get("attributes", {})),
        consolidated=_parse_consolidated(document.get("consolidated_metadata")),
        extra=_extra(document, _GROUP_FIELDS),
    )


def _parse_consolidated(value: object) -> dict[str, dict[str, Any]] | None:
    # zarr-python wrote null for "not consolidated"
    if value is None:
        return None
    nodes = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(nodes, dict) or not all(isinstance(node, dict) for node in nodes.values()):
        msg = "consolidated_metadata must be an object with the documents by path in 'metadata'"
        raise MetadataError(msg)
    return {path: {DOCUMENT: node} for path, node in nodes.items()}


def _parse_array(document: Mapping[str, Any]) -> ArrayMetadata:
    missing = [
        name
        for name in (
            "shape",
            "data_type",
            "chunk_grid",
            "chunk_key_encoding",
            "codecs",
            "fill_value",
        )
        if name not in document
    ]
    if missing:
        msg = f"array metadata without {', '.join(missing)}"
        raise MetadataError(msg)
    shape = parse_lengths(document["shape"], "shape")
    data_type = parse_data_type(document["data_type"])
    codecs = document["codecs"]
    if not isinstance(codecs, list) or not codecs:
        msg = "codecs must be a list with at least one codec"
        raise MetadataError(msg)
    transformers = document.get("storage_transformers", [])
    if not isinstance(transformers, list):
        msg = "storage_transformers must be a list"
        raise MetadataError(msg)
    return ArrayMetadata(
        zarr_format=3,
        shape=shape,
        data_type=data_type,
        chunk_grid=NamedConfig.parse(document["chunk_grid"], "chunk_grid"),
        chunk_key_encoding=NamedConfig.parse(document["chunk_key_encoding"], "chunk_key_encoding"),
        codecs=tuple(
            NamedConfig.parse(codec, f"codecs[{index}]") for index, codec in enumerate(codecs)
        ),
        fill_value=parse_fill(data_type, document["fill_value"]),
        attributes=parse_attributes(document.get("attributes", {})),
        dimension_names=_parse_dimension_names(document.get("dimension_names"), len(shape)),
        storage_transformers=tuple(
            NamedConfig.parse(item, f"storage_transformers[{index}]")
            for index, item in enumerate(transformers)
        ),
        extra=_extra(document, _ARRAY_FIELDS),
    )


def parse_lengths(value: object, what: str) -> tuple[int, ...]:
    """A list of lengths, one for each axis.

    Raises:
        MetadataError: It is not a list of whole numbers >= 0, or it has over 64 of them.
    """
    if (
        not isinstance(value, list)
        or len(value) > _MAX_DIMENSIONS
        or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in value)
    ):
        msg = f"{what} must be a list of at most {_MAX_DIMENSIONS} whole numbers >= 0"
        raise MetadataError(f"{msg}, not {value!r:.80}")
    if any(n >= 1 << 63 for n in value):
        msg = f"{what} has a length beyond 2**63: {value!r:.80}"
        raise MetadataError(msg)
    return tuple(value)


def parse_attributes(value: object) -> Mapping[str, Any]:
    """The user's attributes, a JSON object.

    Raises:
        MetadataError: It is something else, or has a name that is not text.
    """
    if not isinstance(value, Mapping):
        msg = f"attributes must be a JSON object, not {type(value).__name__}"
        raise MetadataError(msg)
    for name in value:
        if not isinstance(name, str):
            msg = f"an attribute's name must be text, not {name!r:.40}"
            raise MetadataError(msg)
    return value


def _parse_dimension_names(value: object, ndim: int) -> tuple[str | None, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(n is None or isinstance(n, str) for n in value):
        msg = f"dimension_names must be a list of texts and nulls, not {value!r:.80}"
        raise MetadataError(msg)
    if len(value) != ndim:
        msg = f"dimension_names has {len(value)} entries for {ndim} dimensions"
        raise MetadataError(msg)
    return tuple(value)


def _extra(document: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    extra = {name: value for name, value in document.items() if name not in known}
    for name, value in extra.items():
        if not isinstance(value, dict) or value.get("must_understand") is not False:
            raise UnknownExtensionError(
                f"unknown metadata field {name!r:.80}",
                hint="Only a field that says `must_understand: false` may be passed over",
            )
    return extra


def format_node(node: NodeMetadata) -> dict[str, dict[str, Any]]:
    """The documents of a v3 node, by file name: the inverse of `parse_node`."""
    if isinstance(node, GroupMetadata):
        document: dict[str, Any] = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": dict(node.attributes),
        }
        if node.consolidated is not None:
            document["consolidated_metadata"] = {
                "kind": "inline",
                "must_understand": False,
                "metadata": {
                    path: documents[DOCUMENT] for path, documents in node.consolidated.items()
                },
            }
        return {DOCUMENT: document | dict(node.extra)}
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(node.shape),
        "data_type": node.data_type.format(),
        "chunk_grid": node.chunk_grid.format(),
        "chunk_key_encoding": node.chunk_key_encoding.format(),
        "fill_value": format_fill(node.data_type, node.fill_value),
        "codecs": [codec.format() for codec in node.codecs],
        "attributes": dict(node.attributes),
    }
    if node.dimension_names is not None:
        document["dimension_names"] = list(node.dimension_names)
    document["storage_transformers"] = [item.format() for item in node.storage_transformers]
    return {DOCUMENT: document | dict(node.extra)}
