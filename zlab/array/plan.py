"""From what a user says about a new array to its metadata."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from zlab.codecs import registry
from zlab.codecs.base import ChunkSpec
from zlab.codecs.pipeline import make_codec
from zlab.errors import MetadataError
from zlab.grid import Grid
from zlab.grid.auto import auto_chunks
from zlab.metadata import ArrayMetadata, NamedConfig, data_type_of, v2
from zlab.metadata.datatypes import DataType
from zlab.metadata.fill import default_fill, scalar_of
from zlab.metadata.node import check_format
from zlab.metadata.v3 import parse_attributes
from zlab.metadata.version import VERSIONS

if TYPE_CHECKING:
    from zlab.metadata import ZarrFormat

CodecLike: TypeAlias = str | Mapping[str, Any] | NamedConfig | Any
"""A codec: its name, `{"name": ..., "configuration": ...}`, numcodecs' `{"id": ...}`, or an object
of numcodecs or zarr-python."""

CodecsLike: TypeAlias = CodecLike | Sequence[CodecLike] | None

ChunksLike: TypeAlias = (
    "Sequence[int] | int | Sequence[int | Sequence[int]] | Mapping[str, Any] | Literal['auto']"
)
"""A chunk's shape, the sizes of all chunks along each axis, or a chunk grid of a document."""

_SERIALIZERS = {"string": "vlen-utf8", "bytes": "vlen-bytes"}


def plan_array(
    *,
    shape: Sequence[int] | int,
    dtype: object,
    chunks: ChunksLike = "auto",
    shards: Sequence[int] | int | None = None,
    filters: CodecsLike = None,
    serializer: CodecLike | Literal["auto"] = "auto",
    compressors: CodecsLike | Literal["auto"] = "auto",
    fill_value: object = None,
    order: Literal["C", "F"] = "C",
    zarr_format: ZarrFormat = 3,
    attributes: Mapping[str, Any] | None = None,
    dimension_names: Sequence[str | None] | None = None,
    chunk_key_encoding: CodecLike | None = None,
    storage_transformers: CodecsLike = None,
) -> ArrayMetadata:
    """The metadata of a new array, for `zlab.create_hierarchy`; nothing is written.

    The arguments are those of `zlab.create_array`.

    Raises:
        MetadataError: They do not fit each other, or the version cannot say them.

    Example:
        >>> plan_array(shape=(10, 4), dtype="int8", chunks=(5, 4)).chunk_grid.configuration
        {'chunk_shape': [5, 4]}
    """
    check_format(zarr_format)
    data_type = dtype if isinstance(dtype, DataType) else data_type_of(dtype)
    lengths = _lengths(shape, "shape", minimum=0)
    grid = _grid(chunks, lengths, data_type.dtype.itemsize)
    chunk_shape = Grid.parse(grid, lengths).stored_shape((0,) * len(lengths))
    codecs = _pipeline(data_type, chunk_shape, filters, serializer, compressors, order)
    if shards is not None:
        outer = _fit(_lengths(shards, "shards", minimum=1), lengths, "shards")
        codecs = _sharded(codecs, grid, outer, zarr_format)
        grid = _regular(outer)
    names = _names(dimension_names, len(lengths))
    values = dict(parse_attributes({} if attributes is None else attributes))
    if zarr_format == 2 and names is not None:  # noqa: PLR2004  writing the document
        values["_ARRAY_DIMENSIONS"] = list(names)
    fill = scalar_of(data_type, fill_value)
    if zarr_format == 2:  # noqa: PLR2004  writing the document
        fill = v2.canonical_fill(data_type, fill)
    return ArrayMetadata(
        zarr_format=zarr_format,
        shape=lengths,
        data_type=data_type,
        chunk_grid=grid,
        chunk_key_encoding=_key_encoding(chunk_key_encoding, zarr_format),
        codecs=codecs,
        fill_value=fill,
        attributes=values,
        dimension_names=names,
        storage_transformers=_codecs(storage_transformers),
    )


def _grid(chunks: ChunksLike, shape: tuple[int, ...], itemsize: int) -> NamedConfig:
    if isinstance(chunks, str) and chunks == "auto":
        return _regular(auto_chunks(shape, itemsize))
    if isinstance(chunks, Mapping):
        return NamedConfig.parse(dict(chunks), "chunks")
    if isinstance(chunks, Sequence) and any(isinstance(item, Sequence) for item in chunks):
        sizes = [list(item) if isinstance(item, Sequence) else item for item in chunks]
        return NamedConfig("rectilinear", {"kind": "inline", "chunk_shapes": sizes})
    return _regular(_fit(_lengths(chunks, "chunks", minimum=1), shape, "chunks"))


def _regular(chunk_shape: tuple[int, ...]) -> NamedConfig:
    return NamedConfig("regular", {"chunk_shape": list(chunk_shape)})


def _length(value: object) -> int:
    if isinstance(value, bool | np.bool_):
        msg = "a boolean is not a length"
        raise TypeError(msg)
    return operator.index(value)  # type: ignore[arg-type]  # what is none raises


def _lengths(value: object, what: str, *, minimum: int) -> tuple[int, ...]:
    try:
        lengths = tuple(map(_length, (value,) if isinstance(value, int) else value))  # type: ignore[call-overload]  # what cannot is told below
    except (TypeError, ValueError) as error:
        msg = f"{what} must be a whole number or a sequence of them, not {value!r:.80}"
        raise MetadataError(msg) from error
    if any(n < minimum for n in lengths):
        msg = f"every length of {what} must be at least {minimum}, got {lengths}"
        raise MetadataError(msg)
    return lengths


def _fit(value: tuple[int, ...], shape: tuple[int, ...], what: str) -> tuple[int, ...]:
    if len(value) == len(shape):
        return value
    if len(value) == 1:
        return value * len(shape)
    msg = f"{what} {value} has {len(value)} lengths for {len(shape)} dimensions"
    raise MetadataError(msg)


def _names(names: Sequence[str | None] | None, ndim: int) -> tuple[str | None, ...] | None:
    if names is None:
        return None
    if isinstance(names, str) or len(names) != ndim:
        msg = f"dimension_names {names!r:.80} must have one entry for each of {ndim} dimensions"
        raise MetadataError(msg)
    if any(name is not None and not isinstance(name, str) for name in names):
        msg = f"every dimension name must be text or None, got {tuple(names)!r:.80}"
        raise MetadataError(msg)
    return tuple(names)


def _key_encoding(value: CodecLike | None, zarr_format: ZarrFormat) -> NamedConfig:
    version = VERSIONS[zarr_format]
    if value is None or value in ("/", "."):
        return NamedConfig(version.key_encoding, {"separator": value or version.separator})
    return NamedConfig.parse(value, "chunk_key_encoding")


def codec_of(value: CodecLike) -> NamedConfig:
    """The codec that a user means.

    Raises:
        MetadataError: It is nothing of what `CodecLike` lists.
    """
    if isinstance(value, NamedConfig):
        return value
    if hasattr(value, "get_config"):
        value = value.get_config()
    elif hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, Mapping) and "id" in value:
        return v2.parse_codec(value)
    return NamedConfig.parse(dict(value) if isinstance(value, Mapping) else value, "a codec")


def _codecs(value: CodecsLike) -> tuple[NamedConfig, ...]:
    if value is None:
        return ()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(codec_of(item) for item in value)
    return (codec_of(value),)


def _pipeline(
    data_type: DataType,
    chunk_shape: tuple[int, ...],
    filters: CodecsLike,
    serializer: CodecLike | Literal["auto"],
    compressors: CodecsLike | Literal["auto"],
    order: Literal["C", "F"],
) -> tuple[NamedConfig, ...]:
    if order not in ("C", "F"):
        msg = f"order must be 'C' or 'F', not {order!r:.40}"
        raise MetadataError(msg)
    ndim = len(chunk_shape)
    transpose = (
        (NamedConfig("transpose", {"order": list(range(ndim))[::-1]}),)
        if order == "F" and ndim > 1
        else ()
    )
    on_arrays = (*transpose, *_codecs(filters))
    if isinstance(serializer, str) and serializer == "auto":
        filtered = _filtered(data_type, chunk_shape, on_arrays)
        serializer = _SERIALIZERS.get(filtered.family) or NamedConfig(
            "bytes", {"endian": "little"} if _has_byte_order(filtered) else {}
        )
    return (*on_arrays, codec_of(serializer), *compressors_of(compressors))


def compressors_of(value: CodecsLike | Literal["auto"]) -> tuple[NamedConfig, ...]:
    """The codecs on bytes that a user means; zstd where the choice is left."""
    if isinstance(value, str) and value == "auto":
        value = NamedConfig("zstd", {"level": 0, "checksum": False})
    return _codecs(value)


def _filtered(
    data_type: DataType, chunk_shape: tuple[int, ...], codecs: tuple[NamedConfig, ...]
) -> DataType:
    """What codecs on arrays make of the elements of a chunk."""
    chunk = ChunkSpec(chunk_shape, data_type.dtype, default_fill(data_type))
    for codec in codecs:
        kind = registry.get(codec.name)
        if kind.kind != "array-array":
            break  # what stands in the wrong place is told when the codecs are resolved
        chunk = make_codec(kind, codec, chunk).encoded
    return data_type if chunk.dtype == data_type.dtype else data_type_of(chunk.dtype)


def _has_byte_order(data_type: DataType) -> bool:
    if data_type.fields:
        return any(_has_byte_order(kind) for _, kind in data_type.fields)
    return data_type.family not in ("raw", "null_terminated") and data_type.dtype.itemsize > 1


def _sharded(
    codecs: tuple[NamedConfig, ...],
    grid: NamedConfig,
    shards: tuple[int, ...],
    zarr_format: ZarrFormat,
) -> tuple[NamedConfig, ...]:
    if zarr_format == 2:  # noqa: PLR2004  writing the document
        msg = "Zarr v2 has no shards"
        raise MetadataError(msg, hint="Pass zarr_format=3")
    if grid.name != "regular":
        msg = f"the chunks of a shard have one shape, and those of a grid {grid.name!r} have many"
        raise MetadataError(msg)
    chunks = grid.configuration["chunk_shape"]
    if any(s % c for s, c in zip(shards, chunks, strict=True)):
        raise MetadataError(
            f"shards {shards} are not multiples of chunks {chunks}",
            hint="Every length of a shard must be a multiple of the chunk's",
        )
    return (sharding_of(codecs, chunks),)


_INDEX: Mapping[str, Any] = {
    "index_codecs": [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "crc32c"},
    ],
    "index_location": "end",
}


def sharding_of(
    codecs: Sequence[NamedConfig], chunk_shape: Sequence[int], index: Mapping[str, Any] = _INDEX
) -> NamedConfig:
    """The codec of shards.

    Args:
        codecs: Of an inner chunk.
        chunk_shape: Its shape.
        index: `index_codecs` and `index_location`; others that stand there are left out.
    """
    return NamedConfig(
        "sharding_indexed",
        {
            "chunk_shape": list(chunk_shape),
            "codecs": [codec.format() for codec in codecs],
            **{name: index[name] for name in _INDEX},
        },
    )
