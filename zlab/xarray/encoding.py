"""Variables as they are to be stored: encoded block by block where they are not in memory."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
from xarray.backends import zarr as zarr_conventions

from zlab.array.plan import codec_of, plan_array
from zlab.codecs import registry
from zlab.errors import MetadataError
from zlab.metadata import data_type_of
from zlab.xarray.fill import format_fill_value

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from numpy.typing import NDArray
    from xarray import Variable

    from zlab.metadata import ArrayMetadata, DataType, NamedConfig, ZarrFormat

_ELEMENTWISE = "biufc"
"""Kinds of values whose encoding does not depend on the other values."""

_OPTIONS = frozenset(
    {
        "chunks",
        "shards",
        "compressors",
        "compressor",
        "filters",
        "serializer",
        "chunk_key_encoding",
        "order",
        "fill_value",
    }
)
_OF_XARRAY = frozenset(
    {
        "dtype",
        "scale_factor",
        "add_offset",
        "_FillValue",
        "missing_value",
        "units",
        "calendar",
        "_Unsigned",
        "char_dim_name",
        "coordinates",
        "grid_mapping",
        "bounds",
    }
)
"""What decides about the values, and is used up when they are encoded."""

_DECIDED = frozenset({"preferred_chunks", "source", "original_shape", "write_empty_chunks"})
"""What stands in an encoding and says nothing about how to store the variable."""


@final
@dataclass(frozen=True, slots=True)
class Encoded:
    """A variable as it is to be stored.

    Attributes:
        dims: Its dimensions.
        shape: Their lengths.
        data_type: Of the elements.
        attributes: With those that decode it.
        encoding: How it is to be stored: chunks, codecs.
        chunks: Lengths of dask's chunks, where it has some.
        read: The values of a part.
    """

    dims: tuple[Hashable, ...]
    shape: tuple[int, ...]
    data_type: DataType
    attributes: dict[str, Any]
    encoding: dict[str, Any]
    chunks: tuple[int, ...] | None
    read: Callable[[Mapping[Any, slice]], NDArray[Any]]


def encode(name: Hashable, variable: Variable, zarr_format: ZarrFormat) -> Encoded:
    """A variable as it is to be stored.

    Numbers that are not in memory are encoded when they are read. Other values, such as times,
    are encoded at once, since their encoding depends on all of them; dask does it when it
    computes.

    Raises:
        DataTypeError: No Zarr data type holds what it is encoded to.
    """
    if _is_read_later(variable):
        whole = _cf_encoded(name, variable[(slice(0, 0),) * variable.ndim], zarr_format)

        def read(region: Mapping[Any, slice]) -> NDArray[Any]:
            part = variable.isel(region).load()
            return _values(_cf_encoded(name, part, zarr_format), dtype)

    else:
        whole = _cf_encoded(name, variable, zarr_format)

        def read(region: Mapping[Any, slice]) -> NDArray[Any]:
            return _values(whole.isel(region), dtype)

    data_type = data_type_of(_stored_type(whole.dtype))
    dtype = data_type.dtype
    sizes = variable.chunks
    return Encoded(
        tuple(variable.dims),
        variable.shape,
        data_type,
        dict(whole.attrs),
        {key: value for key, value in whole.encoding.items() if key in _OPTIONS},
        None if sizes is None else tuple(max(lengths, default=1) for lengths in sizes),
        read,
    )


def _is_read_later(variable: Variable) -> bool:
    return (
        variable.ndim > 0 and variable.dtype.kind in _ELEMENTWISE and not variable._in_memory  # noqa: SLF001  `data` reads
    )


_BY_VERSION = "zarr_format" in inspect.signature(zarr_conventions.encode_zarr_variable).parameters


def _cf_encoded(name: Hashable, variable: Variable, zarr_format: ZarrFormat) -> Variable:
    options = {"zarr_format": zarr_format} if _BY_VERSION else {}
    encoded: Variable = zarr_conventions.encode_zarr_variable(variable, name=name, **options)
    return encoded


def _stored_type(dtype: np.dtype[Any]) -> object:
    """What a NumPy dtype is stored as; texts and bytes of any length are marked by xarray."""
    marks: Mapping[Any, Any] = dtype.metadata or {}
    element = marks.get("element_type")
    if element is str:
        return "string"
    return "bytes" if element is bytes else dtype


def _values(variable: Variable, dtype: np.dtype[Any]) -> NDArray[Any]:
    values = np.asarray(variable.values)
    return values.astype(dtype, copy=False) if values.dtype.kind in "OU" else values


def json_value(value: Any) -> Any:
    """An attribute's value without NumPy's types, as xarray stores it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def plan_variable(name: str, encoded: Encoded, zarr_format: ZarrFormat) -> ArrayMetadata:
    """The metadata of the array that is to hold a variable.

    Raises:
        MetadataError: The encoding does not fit the variable, or the version cannot say it.
        DataTypeError: `_FillValue` is of another kind than the values.
    """
    options = dict(encoded.encoding)
    attributes = dict(encoded.attributes)
    missing = attributes.pop("_FillValue", None)
    fill = options.pop("fill_value", None)
    if zarr_format == 2:  # noqa: PLR2004  where xarray keeps `_FillValue` in each version
        fill = missing
    else:
        if fill is None and encoded.data_type.dtype.kind == "f":
            fill = np.nan
        if missing is not None:
            attributes["_FillValue"] = format_fill_value(missing, encoded.data_type.dtype)
    try:
        metadata = plan_array(
            shape=encoded.shape,
            dtype=encoded.data_type,
            fill_value=fill,
            zarr_format=zarr_format,
            attributes={str(key): json_value(value) for key, value in attributes.items()},
            dimension_names=[str(dim) for dim in encoded.dims],
            **_codecs(options),
            **_chunks(options, encoded),
            **{key: options[key] for key in ("chunk_key_encoding", "order") if options.get(key)},
        )
    except MetadataError as error:
        error.add_note(f"while the variable {name!r} was planned")
        raise
    # v2 has arrays without a fill value, and to xarray one with a fill value has missing values
    return replace(metadata, fill_value=None) if _is_v2(metadata) and fill is None else metadata


def _is_v2(metadata: ArrayMetadata) -> bool:
    return metadata.zarr_format == 2  # noqa: PLR2004  of what v3 has no form


def _chunks(options: dict[str, Any], encoded: Encoded) -> dict[str, Any]:
    ndim = len(encoded.shape)
    chunks, shards = (_lengths(options.get(key), ndim) for key in ("chunks", "shards"))
    if chunks is None:
        chunks = encoded.chunks
    if chunks is None:
        return {} if shards is None else {"shards": shards}
    regular = [length if isinstance(length, int) else None for length in chunks]
    if None not in regular:
        chunks = tuple(max(1, length or 1) for length in regular)
    return {"chunks": chunks, "shards": shards}


def _lengths(value: Any, ndim: int) -> Any:
    """Lengths for each axis; `None` where they were of another number of axes."""
    if value is None or (isinstance(value, str) and value == "auto"):
        return None
    if isinstance(value, (int, np.integer)):
        return (int(value),) * ndim
    return tuple(value) if len(value) == ndim else None


def _codecs(options: dict[str, Any]) -> dict[str, Any]:
    """Filters, serializer and compressors; what v2 has among the filters is put in its place."""
    found: dict[str, Any] = {}
    if "compressor" in options:
        options.setdefault("compressors", options["compressor"])
    if "compressors" in options:
        found["compressors"] = options["compressors"]
    serializer = options.get("serializer")
    filters = []
    for codec in _parsed(options.get("filters")):
        if registry.get(codec.name).kind == "array-bytes":
            serializer = codec
        else:
            filters.append(codec)
    if filters:
        found["filters"] = filters
    if serializer not in (None, "auto"):
        parsed = codec_of(serializer)
        # the plain ones follow from the type, which may be another one now
        if parsed.name not in ("bytes", "vlen-utf8", "vlen-bytes"):
            found["serializer"] = parsed
    return found


def _parsed(codecs: Any) -> list[NamedConfig]:
    if codecs is None or (isinstance(codecs, str) and codecs == "auto"):
        return []
    several = isinstance(codecs, (list, tuple))
    return [codec_of(codec) for codec in (codecs if several else [codecs])]


def check_encoding(name: Hashable, encoding: Mapping[str, Any]) -> None:
    """Raises a `ValueError` where the encoding that a user passed has unknown keys for Zarr."""
    unknown = sorted(set(encoding) - _OPTIONS - _DECIDED - _OF_XARRAY)
    if unknown:
        msg = f"encoding={{{name!r}: ...}} has {unknown}, which say nothing about a Zarr array"
        raise ValueError(msg)
