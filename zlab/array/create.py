"""The door that makes an array."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from zlab.array.array import Array
from zlab.array.plan import plan_array
from zlab.engine.layout import ArrayLayout
from zlab.engine.nodes import create_node, join
from zlab.engine.record import tell_made
from zlab.errors import MetadataError
from zlab.stores.open import opens, store_from
from zlab.telemetry.events import ArrayCreate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from zlab.array.plan import ChunksLike, CodecLike, CodecsLike
    from zlab.metadata import ArrayMetadata, ZarrFormat
    from zlab.stores.base import Store
    from zlab.stores.open import StoreLike


def create_array(
    store: StoreLike,
    *,
    path: str = "",
    shape: Sequence[int] | int | None = None,
    dtype: object = None,
    data: ArrayLike | None = None,
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
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Array:
    """Creates an array.

    Args:
        store: A path, a URL, a store, or anything else that `zlab.open` takes.
        path: Where in the store, `""` for its root.
        shape: Elements along each axis; the shape of `data` by default.
        dtype: A NumPy dtype, the name of a Zarr data type, `"string"` or `"bytes"`.
        data: Written to the new array, broadcast and cast as NumPy's assignment does.
        chunks: The shape of a chunk, in elements; at most 1 MiB by default. Of a sharded array,
            the shape of an inner chunk. Chunks of many sizes are a list for each such axis, as in
            `[[30, 30, 40], 10]`; another chunk grid is written as a document has it.
        shards: The shape of a shard, a multiple of `chunks`; no shards by default.
        filters: Codecs on arrays, such as `{"id": "delta", "dtype": "<i4"}`.
        serializer: The codec from array to bytes; little-endian `bytes` by default.
        compressors: Codecs on bytes; zstd by default, `None` for none.
        fill_value: What absent chunks are filled with; zero by default.
        order: `"F"` stores each chunk in Fortran order.
        zarr_format: 3, or 2.
        attributes: The user's, JSON values.
        dimension_names: A name or `None` for each axis.
        chunk_key_encoding: `"/"` or `"."` between coordinates, or the encoding in full.
        storage_transformers: What stands between the chunks and the store; nothing by default.
        overwrite: Replace what is there, with everything below it.
        storage_options: For the file system behind a URL.

    Returns:
        The array, open for writing.

    Raises:
        MetadataError: The arguments do not fit each other, or the version cannot say them.
        UnknownCodecError: A codec is not known.
        DataTypeError: No Zarr data type holds `dtype`.
        NodeExistsError: Something is there, and `overwrite` is false.
        ReadOnlyError: The store is read-only.

    Example:
        >>> import zlab
        >>> array = zlab.create_array(
        ...     "memory://", shape=(100, 100), dtype="float32", shards=(50, 50), chunks=(10, 10)
        ... )
        >>> array.nchunks
        100
    """
    begun = perf_counter()
    place, prefix = store_from(store, mode="a", storage_options=storage_options)
    values = None if data is None else np.asarray(data)
    if values is not None:
        shape = values.shape if shape is None else shape
        dtype = values.dtype if dtype is None else dtype
    if shape is None or dtype is None:
        msg = "create_array needs shape and dtype, or data"
        raise TypeError(msg)
    metadata = plan_array(
        shape=shape,
        dtype=dtype,
        chunks=chunks,
        shards=shards,
        filters=filters,
        serializer=serializer,
        compressors=compressors,
        fill_value=fill_value,
        order=order,
        zarr_format=zarr_format,
        attributes=attributes,
        dimension_names=dimension_names,
        chunk_key_encoding=chunk_key_encoding,
        storage_transformers=storage_transformers,
    )
    where = join(prefix, path)
    metadata = checked(place, where, metadata)
    if values is not None:
        values = _fitting(values, metadata)
    create_node(place, where, metadata, overwrite=overwrite)
    array = Array(place, where, metadata, owns_store=opens(store))
    tell_made(array.layout, ArrayCreate, begun)
    if values is not None:
        array[...] = values
    return array


def checked(store: Store, path: str, metadata: ArrayMetadata) -> ArrayMetadata:
    """The metadata with all that its codecs do, defaults included, as they are to be recorded.

    Whatever is wrong with the codecs is found here, before anything is written.

    Raises:
        MetadataError: A codec is not known, or they do not fit each other.
    """
    layout = ArrayLayout(store, path, metadata)
    return replace(metadata, codecs=layout.pipeline((0,) * len(metadata.shape)).configs)


def _fitting(values: NDArray[Any], metadata: ArrayMetadata) -> NDArray[Any]:
    """The data of a new array in its shape and dtype; `MetadataError` where they do not fit."""
    dtype = metadata.data_type.dtype
    try:
        return np.broadcast_to(values.astype(dtype, copy=False), metadata.shape)
    except (ValueError, TypeError) as error:
        raise MetadataError(
            f"data of shape {values.shape} and dtype {values.dtype} do not fit an array of shape "
            f"{metadata.shape} and dtype {dtype}"
        ) from error
