"""Zarr v2 documents (`.zarray`, `.zgroup`, `.zattrs`), translated to the model and back.

This is the only file that knows v2: `order: "F"` becomes a transpose, filters and compressor
become codecs, the byte order of the dtype becomes the `bytes` codec's.

Source: Zarr v2 specification, https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zlab.errors import DataTypeError, MetadataError, UnknownDataTypeError
from zlab.metadata.datatypes import (
    data_type_of,
    is_known,
    is_of_ml_dtypes,
    struct_of,
    sub_array_of,
)
from zlab.metadata.extension import NamedConfig
from zlab.metadata.fill import format_fill, parse_fill
from zlab.metadata.model import ArrayMetadata, GroupMetadata
from zlab.metadata.v3 import parse_attributes, parse_lengths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.metadata.datatypes import DataType
    from zlab.metadata.model import NodeMetadata

ARRAY = ".zarray"
GROUP = ".zgroup"
ATTRIBUTES = ".zattrs"
CONSOLIDATED = ".zmetadata"

# how numcodecs' filters compose: those of the first set work on elements, those of the second
# turn elements into bytes; all others work on bytes
_ELEMENTWISE = frozenset(
    {
        "delta",
        "quantize",
        "fixedscaleoffset",
        "astype",
        "bitround",
        "packbits",
        "categorize",
    }
)
_SERIALIZERS = frozenset(
    {
        "vlen-utf8",
        "vlen-bytes",
        "vlen-array",
        "json2",
        "msgpack2",
        "pickle",
        "pcodec",
        "zfpy",
    }
)
# what objects of Python are, by the first filter that says how they are stored
_OBJECT_TYPES = {
    "vlen-utf8": "string",
    "vlen-bytes": "bytes",
    "categorize": "string",
    **dict.fromkeys(("json2", "msgpack2", "pickle", "vlen-array"), "object"),
}
# these record the chunk's shape and nest its elements in C order, whatever the array's order
_SELF_DESCRIBING = frozenset({"json2", "msgpack2", "pickle"})
_REGISTERED = frozenset({"vlen-utf8", "vlen-bytes"})
_SHUFFLES = {0: "noshuffle", 1: "shuffle", 2: "bitshuffle"}
_BLOSC_AUTO = -1
_BYTE_ORDERS = {"<": "little", ">": "big", "|": None, "=": None}


def parse_array(document: Mapping[str, Any], attributes: Mapping[str, Any]) -> ArrayMetadata:
    """The model of a `.zarray` and its `.zattrs`.

    Raises:
        MetadataError: A field is missing or wrong.
    """
    if document.get("zarr_format") != 2:  # noqa: PLR2004  the version is what it says
        msg = f"zarr_format must be 2 in {ARRAY}, not {document.get('zarr_format')!r:.40}"
        raise MetadataError(msg)
    missing = [
        name
        for name in (
            "shape",
            "chunks",
            "dtype",
            "compressor",
            "fill_value",
            "order",
            "filters",
        )
        if name not in document
    ]
    if missing:
        msg = f"{ARRAY} without {', '.join(missing)}"
        raise MetadataError(msg)
    shape = parse_lengths(document["shape"], "shape")
    chunks = parse_lengths(document["chunks"], "chunks")
    order = document["order"]
    if order not in ("C", "F"):
        msg = f"order must be 'C' or 'F', not {order!r:.40}"
        raise MetadataError(msg)
    separator = document.get("dimension_separator", ".")
    if separator not in (".", "/"):
        msg = f"dimension_separator must be '.' or '/', not {separator!r:.40}"
        raise MetadataError(msg)
    filters = _parse_codecs(document["filters"])
    compressors = _parse_codecs(
        [document["compressor"]] if document["compressor"] is not None else None
    )
    data_type, byte_order = _parse_dtype(document["dtype"], filters)
    return ArrayMetadata(
        zarr_format=2,
        shape=shape,
        data_type=data_type,
        chunk_grid=NamedConfig("regular", {"chunk_shape": list(chunks)}),
        chunk_key_encoding=NamedConfig("v2", {"separator": separator}),
        codecs=_pipeline(
            filters + compressors, data_type, byte_order, order=order, ndim=len(shape)
        ),
        fill_value=_parse_fill(data_type, document["fill_value"]),
        attributes=attributes,
        dimension_names=_dimension_names(attributes, len(shape)),
        extra={name: value for name, value in document.items() if name not in _FIELDS},
    )


_FIELDS = frozenset(
    {
        "zarr_format",
        "shape",
        "chunks",
        "dtype",
        "compressor",
        "fill_value",
        "order",
        "filters",
        "dimension_separator",
    }
)


def parse_group(document: Mapping[str, Any], attributes: Mapping[str, Any]) -> GroupMetadata:
    """The model of a `.zgroup` and its `.zattrs`.

    Raises:
        MetadataError: `zarr_format` is not 2.
    """
    if document.get("zarr_format") != 2:  # noqa: PLR2004  the version is what it says
        msg = f"zarr_format must be 2 in {GROUP}, not {document.get('zarr_format')!r:.40}"
        raise MetadataError(msg)
    return GroupMetadata(zarr_format=2, attributes=attributes)


def parse_node(documents: Mapping[str, Mapping[str, Any]]) -> NodeMetadata:
    """The model of a node from its documents by file name."""
    attributes = parse_attributes(documents.get(ATTRIBUTES, {}))
    if ARRAY in documents:
        return parse_array(documents[ARRAY], attributes)
    return parse_group(documents[GROUP], attributes)


def parse_consolidated(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The documents of a `.zmetadata`, grouped by the path of their node.

    Raises:
        MetadataError: It has no `metadata` object.
    """
    entries = document.get("metadata")
    if not isinstance(entries, dict):
        msg = f"{CONSOLIDATED} must have an object 'metadata'"
        raise MetadataError(msg)
    nodes: dict[str, dict[str, Any]] = {}
    for key, value in entries.items():
        path, _, name = key.rpartition("/")
        if isinstance(value, dict):
            nodes.setdefault(path, {})[name] = value
    return {path: docs for path, docs in nodes.items() if ARRAY in docs or GROUP in docs}


def _dimension_names(attributes: Mapping[str, Any], ndim: int) -> tuple[str | None, ...] | None:
    """Xarray's convention for v2, which has no names of its own."""
    names = attributes.get("_ARRAY_DIMENSIONS")
    if (
        isinstance(names, list)
        and len(names) == ndim
        and all(isinstance(name, str) for name in names)
    ):
        return tuple(names)
    return None


def _parse_codecs(value: object) -> list[tuple[str, dict[str, Any]]]:
    if value is None:
        return []
    if not isinstance(value, list):
        msg = f"filters must be a list or null, not {value!r:.80}"
        raise MetadataError(msg)
    codecs: list[tuple[str, dict[str, Any]]] = []
    for item in value:
        name = item.get("id") if isinstance(item, dict) else None
        if not isinstance(name, str) or not name:
            msg = f"a filter or compressor must be an object with an id, not {item!r:.80}"
            raise MetadataError(msg)
        codecs.append((name, {key: item[key] for key in item if key != "id"}))
    return codecs


def _parse_dtype(
    value: object, filters: list[tuple[str, dict[str, Any]]]
) -> tuple[DataType, str | None]:
    """The data type, and the byte order that it is stored in."""
    if value == "|O":
        for name, _ in filters:
            if name in _OBJECT_TYPES:
                return data_type_of(_OBJECT_TYPES[name]), None
        hint = f"It needs a filter that says how objects are stored: {', '.join(_OBJECT_TYPES)}"
        raise UnknownDataTypeError("dtype '|O' without an object codec that is known", hint=hint)
    if isinstance(value, list):
        return _parse_struct(value)
    if isinstance(value, str) and is_of_ml_dtypes(value):
        # v2 has none of them, but tensorstore writes them by their bare names
        return data_type_of(value), "little"
    if not isinstance(value, str) or len(value) < 3 or value[0] not in _BYTE_ORDERS:  # noqa: PLR2004
        msg = f"dtype must be a NumPy type string such as '<f8', or a list, not {value!r:.80}"
        raise MetadataError(msg)
    try:
        dtype = np.dtype(value)
        if dtype.hasobject:
            raise TypeError(value)
        return data_type_of(dtype), _BYTE_ORDERS[value[0]]
    except (TypeError, ValueError, DataTypeError) as error:
        raise UnknownDataTypeError(f"unknown dtype {value!r:.80}") from error


def _parse_struct(members: list[Any]) -> tuple[DataType, str | None]:
    fields: list[tuple[str, DataType]] = []
    orders: set[str] = set()
    for member in members:
        if not isinstance(member, list) or len(member) not in (2, 3):
            msg = f"a field of a structured dtype must be [name, dtype], not {member!r:.80}"
            raise MetadataError(msg)
        kind, byte_order = _parse_dtype(member[1], [])
        if len(member) == 3:  # noqa: PLR2004  [name, dtype, shape]
            kind = sub_array_of(kind, parse_lengths(member[2], "the shape of a field"))
        fields.append((member[0], kind))
        if byte_order is not None:
            orders.add(byte_order)
    if len(orders) > 1:
        raise UnknownDataTypeError("a structured dtype whose fields differ in byte order")
    return struct_of(fields), orders.pop() if orders else None


def _pipeline(
    chain: list[tuple[str, dict[str, Any]]],
    data_type: DataType,
    byte_order: str | None,
    *,
    order: str,
    ndim: int,
) -> tuple[NamedConfig, ...]:
    codecs: list[NamedConfig] = []
    described = any(name in _SELF_DESCRIBING for name, _ in chain)
    if order == "F" and ndim > 1 and not described:
        codecs.append(NamedConfig("transpose", {"order": list(range(ndim))[::-1]}))
    endian = byte_order
    serialized = False
    itemsize = data_type.dtype.itemsize
    for name, configuration in chain:
        if name in _ELEMENTWISE and not serialized:
            codecs.append(NamedConfig(f"numcodecs.{name}", configuration))
            _check_byte_order(name, configuration, endian)
            encoded = configuration.get(
                "encode_dtype", configuration.get("astype", configuration.get("dtype"))
            )
            if isinstance(encoded, str) and encoded[:1] in _BYTE_ORDERS:
                endian = _BYTE_ORDERS[encoded[0]] or endian
            continue
        if name in _SERIALIZERS and not serialized:
            serialized = True
            bare = name in _REGISTERED
            codecs.append(NamedConfig(name if bare else f"numcodecs.{name}", configuration))
            continue
        if not serialized:
            serialized = True
            codecs.append(_bytes_codec(endian))
        codecs.append(_parse_bytes_codec(name, configuration, itemsize))
    if not serialized:
        codecs.append(_bytes_codec(endian))
    return tuple(codecs)


def _check_byte_order(name: str, configuration: dict[str, Any], endian: str | None) -> None:
    """Raises `MetadataError` where a filter takes elements in another order than it is given."""
    dtype = configuration.get("decode_dtype", configuration.get("dtype"))
    order = _BYTE_ORDERS.get(dtype[:1]) if isinstance(dtype, str) else None
    if order is not None and endian is not None and order != endian:
        msg = f"filter {name!r} takes {order}-endian elements and is given {endian}-endian ones"
        raise MetadataError(msg)


def parse_codec(value: Mapping[str, Any]) -> NamedConfig:
    """The codec that a numcodecs configuration (`{"id": ...}`) stands for.

    Raises:
        MetadataError: It has no id, or its parameters are wrong.
    """
    [(name, configuration)] = _parse_codecs([dict(value)])
    return _parse_bytes_codec(name, configuration, configuration.get("typesize", 1))


def _bytes_codec(endian: str | None) -> NamedConfig:
    return NamedConfig("bytes", {"endian": endian} if endian else {})


def _parse_bytes_codec(name: str, configuration: dict[str, Any], itemsize: int) -> NamedConfig:
    match name:
        case "zstd":
            return NamedConfig(
                "zstd",
                {
                    "level": configuration.get("level", 0),
                    "checksum": configuration.get("checksum", False),
                },
            )
        case "gzip":
            return NamedConfig("gzip", {"level": configuration.get("level", 1)})
        case "blosc":
            shuffle = configuration.get("shuffle", 1)
            if shuffle == _BLOSC_AUTO:
                shuffle = 2 if itemsize == 1 else 1
            if not isinstance(shuffle, int) or shuffle not in _SHUFFLES:
                msg = f"blosc shuffle must be -1, 0, 1 or 2, not {shuffle!r:.40}"
                raise MetadataError(msg)
            return NamedConfig(
                "blosc",
                {
                    "cname": configuration.get("cname", "lz4"),
                    "clevel": configuration.get("clevel", 5),
                    "shuffle": _SHUFFLES[shuffle],
                    "typesize": configuration.get("typesize") or min(max(itemsize, 1), 255),
                    "blocksize": configuration.get("blocksize", 0),
                },
            )
        case _:
            return NamedConfig(f"numcodecs.{name}", configuration)


def _parse_fill(data_type: DataType, value: object) -> Any:
    if value is None:
        return None
    if data_type.family == "bool" and value in (0, 1):
        return np.bool_(value)
    if data_type.family in ("struct", "raw", "null_terminated") and value in (0, ""):
        return np.zeros((), data_type.dtype)[()]
    if data_type.family == "utf32" and value == 0:
        return np.zeros((), data_type.dtype)[()]
    # zarr-python 2 wrote a plain 0 as the fill value of text and of bytes
    if data_type.family in ("string", "bytes") and value in (0, ""):
        return "" if data_type.family == "string" else b""
    if data_type.family == "null_terminated" and isinstance(value, str):
        return parse_fill(data_type, value)
    if data_type.family == "complex" and isinstance(value, int | float):
        return parse_fill(data_type, [value, 0.0])
    return parse_fill(data_type, value)


def format_node(node: NodeMetadata) -> dict[str, dict[str, Any]]:
    """The documents of a v2 node by file name.

    Raises:
        MetadataError: The node has something that v2 cannot say: shards, another grid, ...
    """
    documents: dict[str, dict[str, Any]] = {}
    if isinstance(node, GroupMetadata):
        documents[GROUP] = {"zarr_format": 2}
    else:
        documents[ARRAY] = _format_array(node)
    if node.attributes:
        documents[ATTRIBUTES] = dict(node.attributes)
    return documents


def _format_array(node: ArrayMetadata) -> dict[str, Any]:
    if node.chunk_grid.name != "regular":
        msg = f"Zarr v2 has no chunk grid {node.chunk_grid.name!r}"
        raise MetadataError(msg)
    if node.chunk_key_encoding.name != "v2":
        msg = f"Zarr v2 has no chunk key encoding {node.chunk_key_encoding.name!r}"
        raise MetadataError(msg)
    if node.storage_transformers:
        raise MetadataError("Zarr v2 has no storage transformers")
    order = "C"
    endian = "little"
    elementwise: list[dict[str, Any]] = []
    bytewise: list[dict[str, Any]] = []
    for codec in node.codecs:
        name = codec.name.removeprefix("numcodecs.")
        if codec.name == "transpose":
            order = _format_order(codec, len(node.shape))
        elif codec.name == "bytes":
            endian = codec.configuration.get("endian", "little")
        elif name == "categorize":
            # numcodecs asks for the dtype of the texts, which the array's own tells
            text = _format_dtype(node.data_type, "little")
            elementwise.append({"id": name, **codec.configuration, "dtype": text})
        elif name in _ELEMENTWISE or name in _SERIALIZERS:
            elementwise.append({"id": name, **codec.configuration})
        else:
            bytewise.append(_format_bytes_codec(codec))
    dtype = _format_dtype(node.data_type, endian)
    # the last codec on bytes is the compressor, those before it are filters
    filters = elementwise + bytewise[:-1]
    return {
        "zarr_format": 2,
        "shape": list(node.shape),
        "chunks": list(node.chunk_grid.configuration["chunk_shape"]),
        "dtype": dtype,
        "compressor": bytewise[-1] if bytewise else None,
        "fill_value": _format_fill(node),
        "order": order,
        "filters": filters or None,
        "dimension_separator": node.chunk_key_encoding.configuration.get("separator", "."),
        **node.extra,
    }


def _format_order(codec: NamedConfig, ndim: int) -> str:
    if list(codec.configuration.get("order", ())) == list(range(ndim))[::-1]:
        return "F"
    msg = f"Zarr v2 has only orders C and F, not the transpose {dict(codec.configuration)!r}"
    raise MetadataError(msg)


def _format_bytes_codec(codec: NamedConfig) -> dict[str, Any]:
    configuration = dict(codec.configuration)
    match codec.name:
        case "zstd":
            if not configuration.get("checksum"):
                configuration.pop("checksum", None)
            return {"id": "zstd", **configuration}
        case "gzip":
            return {"id": "gzip", **configuration}
        case "blosc":
            numbers = {name: number for number, name in _SHUFFLES.items()}
            configuration.pop("typesize", None)
            return {
                "id": "blosc",
                **configuration,
                "shuffle": numbers[configuration["shuffle"]],
            }
        case name if name.startswith("numcodecs."):
            return {"id": name.removeprefix("numcodecs."), **configuration}
        case name:
            msg = f"Zarr v2 has no codec {name!r}"
            raise MetadataError(msg)


def _format_dtype(data_type: DataType, endian: str) -> Any:
    if data_type.family in ("string", "bytes", "object"):
        return "|O"
    if data_type.fields:
        return [_format_field(name, kind, endian) for name, kind in data_type.fields]
    if not is_known(data_type.name) or data_type.dtype.type.__module__ != "numpy":
        msg = f"Zarr v2 has no data type {data_type.name!r}"
        raise MetadataError(msg)
    return data_type.dtype.newbyteorder("<" if endian == "little" else ">").str


def _format_field(name: str, kind: DataType, endian: str) -> list[Any]:
    if kind.dtype.subdtype is None:
        return [name, _format_dtype(kind, endian)]
    base, shape = kind.dtype.subdtype
    element = replace(kind, dtype=base)
    return [name, _format_dtype(element, endian), list(shape)]


def canonical_fill(data_type: DataType, value: Any) -> Any:
    """The fill value that a v2 document gives back: its NaNs lose their payload."""
    if data_type.family not in ("float", "complex"):
        return value
    return _parse_fill(data_type, _format_nan(format_fill(data_type, value)))


def _format_fill(node: ArrayMetadata) -> Any:
    if node.fill_value is None:
        return None
    if node.data_type.family in ("raw", "struct"):
        data = np.asarray(node.fill_value, node.data_type.dtype).tobytes()
        return base64.b64encode(data).decode()
    return _format_nan(format_fill(node.data_type, node.fill_value))


def _format_nan(value: Any) -> Any:
    """v2 has one NaN: the bits of others have no name there."""
    if isinstance(value, list):
        return [_format_nan(part) for part in value]
    return "NaN" if isinstance(value, str) and value.startswith("0x") else value
