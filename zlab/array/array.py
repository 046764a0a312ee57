"""`Array`: a handle on one array of a store."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from zlab.array.attributes import Attributes
from zlab.array.create import plan_array
from zlab.array.html import array_rows, table
from zlab.array.indexing import (
    BlockIndex,
    CoordinateIndex,
    OrthogonalIndex,
    is_basic,
    is_orthogonal,
    select_by_name,
)
from zlab.array.resize import appended, resized
from zlab.engine import inventory
from zlab.engine.access import Access
from zlab.engine.layout import ArrayLayout
from zlab.engine.nodes import (
    check_writable,
    create_node,
    join,
    read_documents,
    write_attributes,
)
from zlab.engine.read import read_region
from zlab.engine.selection import parse_basic
from zlab.engine.write import write_region
from zlab.errors import MetadataError, NodeNotFoundError
from zlab.metadata import ArrayMetadata
from zlab.metadata.node import parse_node
from zlab.stores.open import store_from
from zlab.stream import stream_chunks, stream_slices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import EllipsisType

    from numpy.typing import ArrayLike, NDArray

    from zlab.array.create import ChunksLike, CodecLike, CodecsLike
    from zlab.engine.access import Missing
    from zlab.engine.cache import Cache
    from zlab.engine.locks import Locks
    from zlab.engine.selection import BasicSelection, Selection
    from zlab.metadata import ZarrFormat
    from zlab.stores.base import Store
    from zlab.stores.open import Mode, StoreLike
    from zlab.stream import ChunkStream, SliceStream

_PREVIEW_WIDTH = 60


class Array:
    """An array in a store: metadata in memory, data read and written by selection.

    Make one with `zlab.open`, `zlab.create_array` or a group; the constructor is for code that has
    the metadata already.

    Args:
        store: Where the array is.
        path: Its path in the store, `""` for the root.
        metadata: Its model.
        access: The options that it was opened with.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array("memory://", shape=(4, 6), chunks=(2, 3), dtype="int32")
        >>> array[1:3, ::2] = 7
        >>> array[1]
        array([7, 0, 7, 0, 7, 0], dtype=int32)
    """

    def __init__(
        self, store: Store, path: str, metadata: ArrayMetadata, access: Access | None = None
    ) -> None:
        self._layout = ArrayLayout(store, path, metadata, access)
        self._attrs: Attributes | None = None

    # -- what it is

    @property
    def store(self) -> Store:
        """Where the array is."""
        return self._layout.node_store

    @property
    def path(self) -> str:
        """The path in the store, `""` for the root."""
        return self._layout.path

    @property
    def name(self) -> str:
        """The last part of the path, `""` for the root."""
        return self.path.rpartition("/")[2]

    @property
    def metadata(self) -> ArrayMetadata:
        """The model of the metadata document."""
        return self._layout.metadata

    @property
    def layout(self) -> ArrayLayout:
        """What the engine reads and writes by."""
        return self._layout

    def writable_layout(self) -> ArrayLayout:
        """The layout, for code that writes; raises `ReadOnlyError` where that is not allowed."""
        check_writable(self.store, self.path, read_only=self._layout.access.read_only)
        return self._layout

    @property
    def zarr_format(self) -> ZarrFormat:
        """2 or 3."""
        return self.metadata.zarr_format

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements along each axis."""
        return self.metadata.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Elements in all."""
        return prod(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype in memory, in native byte order."""
        return self._layout.dtype

    @property
    def itemsize(self) -> int:
        """Bytes of one element in memory."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements in memory."""
        return self.size * self.itemsize

    @property
    def chunks(self) -> tuple[int, ...]:
        """The shape of a chunk; of a sharded array, of an inner chunk.

        Of an array whose chunks differ, the shape of the first.
        """
        return self._layout.chunks.stored_shape((0,) * self.ndim)

    @property
    def shards(self) -> tuple[int, ...] | None:
        """The shape of a shard, `None` where the array has none."""
        if self._layout.sharding is None:
            return None
        return self._layout.objects.stored_shape((0,) * self.ndim)

    @property
    def chunk_grid_shape(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return self._layout.chunks.shape

    @property
    def nchunks(self) -> int:
        """Chunks in all, stored or not."""
        return self._layout.chunks.nchunks

    @property
    def order(self) -> Literal["C", "F"]:
        """How the elements of a chunk are laid out: `"F"` where a transpose reverses the axes."""
        first = self.metadata.codecs[0]
        is_reversed = (
            first.name == "transpose"
            and list(first.configuration.get("order", ())) == list(range(self.ndim))[::-1]
        )
        return "F" if is_reversed and self.ndim > 1 else "C"

    @property
    def fill_value(self) -> Any:
        """What an absent chunk is filled with, a scalar; `None` where a v2 document says so."""
        return self.metadata.fill_value

    @property
    def dimension_names(self) -> tuple[str | None, ...] | None:
        """A name or `None` for each axis, or `None` for no names."""
        return self.metadata.dimension_names

    @property
    def attrs(self) -> Attributes:
        """The user's attributes, stored as they change."""
        if self._attrs is None:
            self._attrs = Attributes(self.metadata.attributes, self._write_attributes)
        return self._attrs

    @property
    def read_only(self) -> bool:
        """Whether the array was opened for reading."""
        return self.store.read_only or self._layout.access.read_only

    def metadata_document(self) -> dict[str, Any]:
        """The metadata as they are stored: the v3 document, or v2's documents by file name."""
        documents = read_documents(self.store, self.path, self.zarr_format)
        if documents is None:
            raise NodeNotFoundError(
                "the array is no longer there", store=self.store.name, key=self.path
            )
        return documents["zarr.json"] if self.zarr_format == 3 else documents  # noqa: PLR2004

    def stored_sizes(self) -> NDArray[np.int64]:
        """Stored bytes of every chunk, -1 where it is absent.

        Returns:
            An array of the shape of the chunk grid. It costs a listing and, of a sharded array,
            the index of each shard.
        """
        return inventory.stored_sizes(self._layout)

    def nbytes_stored(self) -> int:
        """Bytes of the stored chunks or shards, without metadata. It costs a listing."""
        return sum(nbytes for _, nbytes in inventory.stored_objects(self._layout))

    @property
    def nchunks_initialized(self) -> int:
        """Chunks that are stored. It costs a listing, as in zarr-python."""
        return int((self.stored_sizes() >= 0).sum())

    # -- its data

    def __getitem__(self, selection: Selection) -> Any:
        """Reads a selection, as NumPy does.

        Integers, slices with steps and an ellipsis; one array of integers or booleans among
        slices; arrays for all axes, which select elements; or a mask of the array's shape.

        Returns:
            A new NumPy array, or a scalar where every axis is selected by an integer.

        Raises:
            SelectionError: The selection does not fit the array.
            ChunkReadError: A chunk that is there could not be read or decoded.
        """
        if not is_basic(selection):
            return (self.oindex if is_orthogonal(selection) else self.vindex)[selection]
        region = parse_basic(selection, self.shape)
        result = read_region(self._layout, region)
        return result if region.shape or selection is Ellipsis else result[()]

    def __setitem__(self, selection: Selection, value: ArrayLike) -> None:
        """Writes a selection, as NumPy does; the value is broadcast.

        Chunks that hold nothing but the fill value afterwards are not stored.

        Raises:
            SelectionError: The selection does not fit the array.
            ChunkWriteError: A chunk could not be encoded or stored.
            ReadOnlyError: The array was opened for reading.
        """
        if is_basic(selection):
            self.write(selection, value)
        elif is_orthogonal(selection):
            self.oindex[selection] = value
        else:
            self.vindex[selection] = value

    @property
    def oindex(self) -> OrthogonalIndex:
        """Selection of each axis for itself, by integers, slices, arrays and masks."""
        return OrthogonalIndex(self)

    @property
    def vindex(self) -> CoordinateIndex:
        """Selection of elements by coordinates, or by a mask of the array's shape."""
        return CoordinateIndex(self)

    @property
    def blocks(self) -> BlockIndex:
        """Selection of whole chunks by their coordinates."""
        return BlockIndex(self)

    def isel(self, **indexers: object) -> Any:
        """Reads a selection whose axes are named, as xarray's `isel`.

        Args:
            **indexers: For each named dimension an integer, a slice or an array of integers;
                those that are not given are taken whole.

        Raises:
            SelectionError: There is no such dimension, there are two, or an index does not fit.

        Example:
            >>> import numpy as np, zlab
            >>> array = zlab.create_array(
            ...     {}, data=np.arange(6).reshape(2, 3), dimension_names=["y", "x"]
            ... )
            >>> array.isel(x=slice(0, 2), y=1)
            array([3, 4])
        """
        return select_by_name(self, indexers)

    def write(
        self, selection: BasicSelection, value: ArrayLike, *, write_empty_chunks: bool = False
    ) -> None:
        """Writes a basic selection, as `array[selection] = value` does.

        Args:
            selection: Integers, slices with steps, an ellipsis.
            value: Broadcast as NumPy does.
            write_empty_chunks: Store chunks that hold nothing but the fill value too.

        Raises:
            SelectionError: The selection does not fit the array.
            ChunkWriteError: A chunk could not be encoded or stored.
            ReadOnlyError: The array was opened for reading.
        """
        region = parse_basic(selection, self.shape)
        write_region(self.writable_layout(), region, value, write_empty_chunks=write_empty_chunks)

    def stream_chunks(
        self,
        *,
        region: slice | tuple[slice | EllipsisType, ...] | None = None,
        concurrency: int | None = None,
        ordered: bool | None = None,
        filter: Callable[[tuple[int, ...]], object] | None = None,  # noqa: A002  as ExZarr has it
        include_missing: bool = False,
        max_bytes: int | None = None,
    ) -> ChunkStream:
        """The array, chunk by chunk, read ahead in bounded memory.

        A chunk is what `chunks` says: of a sharded array, an inner chunk. Nothing is read before
        the first chunk is asked for, and every chunk comes exactly once.

        Args:
            region: What to read, slices inside the array without steps; all of it by default. The
                chunks' data are cropped to it.
            concurrency: Chunks (or runs of small chunks) that are read at once: the machine's
                cores by default, or `zlab.settings.fetch_concurrency` from a store that is not
                local.
            ordered: `True` for C order over all chunks, `False` for whichever is read first. By
                default C order, of a sharded array shard by shard and C order within each.
            filter: Called with the coordinates of each chunk; those for which it returns false
                are not read.
            include_missing: Yield chunks that are not stored too, full of the fill value.
            max_bytes: Decoded bytes that are being read or wait for the consumer, at most;
                `zlab.settings.memory_budget` by default, which bounds all streams together. A
                larger chunk is read alone.

        Returns:
            A stream, to be iterated with `for` or `async for` any number of times. Its `plan`
            tells without reading which chunks it visits; a `with` block ends it early.

        Raises:
            SelectionError: The region is not inside the array.
            ValueError: `concurrency` or `max_bytes` is less than 1.
            ChunkReadError: Raised by the iteration when it comes to a chunk that is there and
                cannot be read or decoded.

        Example:
            >>> import zlab
            >>> array = zlab.create_array("memory://", shape=(4, 6), chunks=(2, 3), dtype="int32")
            >>> array[:2, 3:] = 7
            >>> for chunk in array.stream_chunks():
            ...     print(chunk.coords, chunk.region, chunk.data.sum())
            (0, 1) (slice(0, 2, None), slice(3, 6, None)) 42
        """
        return stream_chunks(
            self._layout,
            region=region,
            concurrency=concurrency,
            ordered=ordered,
            filter=filter,
            include_missing=include_missing,
            max_bytes=max_bytes,
        )

    def stream_slices(
        self,
        axis: int = 0,
        *,
        start: int | None = None,
        stop: int | None = None,
        step: int = 1,
        length: int = 1,
        max_bytes: int | None = None,
    ) -> SliceStream:
        """The array in slices along one axis, each chunk decoded once, whatever their length.

        Put together again, the slices are `array[start:stop:step]` along the axis.

        Args:
            axis: The axis that is cut.
            start: The first position, 0 by default.
            stop: The position behind the last, the end of the axis by default.
            step: From one position to the next.
            length: Positions in each slice; the last one may have fewer.
            max_bytes: Decoded bytes that may be held; `zlab.settings.memory_budget` by default.
                All chunks with one coordinate along the axis are held at once, and the next ones
                are read ahead if there is room for them.

        Returns:
            A stream, to be iterated with `for` or `async for` any number of times.

        Raises:
            SelectionError: There is no such axis, or `start` and `stop` do not lie on it in order.
            ValueError: `step`, `length` or `max_bytes` is less than 1.
            MemoryBudgetError: What must be held at once is larger than `max_bytes`.
            ChunkReadError: Raised by the iteration.

        Example:
            >>> import zlab
            >>> array = zlab.create_array("memory://", shape=(5, 2), chunks=(2, 2), dtype="int8")
            >>> [(part.start, part.stop) for part in array.stream_slices(length=2)]
            [(0, 2), (2, 4), (4, 5)]
        """
        return stream_slices(
            self._layout,
            axis,
            start=start,
            stop=stop,
            step=step,
            length=length,
            max_bytes=max_bytes,
        )

    def resize(self, shape: Sequence[int] | int) -> None:
        """Gives the array another shape, in place.

        What lies outside a smaller shape is removed and does not come back when the array grows
        again; what is new reads as fill. Other handles on the array keep the shape that they were
        opened with.

        Args:
            shape: Elements along each axis.

        Raises:
            MetadataError: The number of axes differs, or a length is negative.
            ReadOnlyError: The array was opened for reading.
        """
        lengths = (shape,) if isinstance(shape, int) else tuple(shape)
        self._layout = resized(self.writable_layout(), lengths)

    def append(self, data: ArrayLike, axis: int = 0) -> tuple[int, ...]:
        """Adds data at the end of an axis.

        The data are stored before the shape changes, so that a reader sees the old array or the
        new one.

        Args:
            data: Of the array's shape but along `axis`.
            axis: Which axis grows.

        Returns:
            The new shape.

        Raises:
            MetadataError: The shapes do not fit, or there is no such axis.
            ReadOnlyError: The array was opened for reading.

        Example:
            >>> import numpy as np, zlab
            >>> array = zlab.create_array({}, data=np.zeros((2, 3)))
            >>> array.append(np.ones((1, 3)))
            (3, 3)
        """
        self._layout = appended(self.writable_layout(), data, axis)
        return self.shape

    def __array__(
        self,
        dtype: np.dtype[Any] | None = None,
        copy: bool | None = None,  # noqa: FBT001
    ) -> NDArray[Any]:
        """Reads the whole array, for `numpy.asarray`."""
        if copy is False:
            msg = "an array in a store cannot be had without a copy"
            raise ValueError(msg)
        array = read_region(self._layout, parse_basic(..., self.shape))
        return array if dtype is None else array.astype(dtype, copy=False)

    def __len__(self) -> int:
        if not self.shape:
            msg = "len() of an array without axes"
            raise TypeError(msg)
        return self.shape[0]

    # -- handles

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Array):
            return NotImplemented
        return (self.store, self.path) == (other.store, other.path)

    def __hash__(self) -> int:
        return hash((self.store.name, self.path))

    def __reduce__(self) -> tuple[object, ...]:
        return Array, (self.store, self.path, self.metadata, self.layout.access)

    def __repr__(self) -> str:
        shards = f", shards={self.shards}" if self.shards else ""
        place = join(self.store.name, self.path) if self.path else self.store.name
        return (
            f"<zlab.Array {place} shape={self.shape} dtype={self.dtype} "
            f"chunks={self.chunks}{shards}>"
        )

    def _repr_html_(self) -> str:
        return table(f"zlab.Array {self.name}", array_rows(self))

    def _write_attributes(self, attributes: Mapping[str, Any]) -> None:
        self.writable_layout()
        write_attributes(self.store, self.path, self.zarr_format, attributes)
        self._layout.metadata = self.metadata.with_attributes(attributes)


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
    # whatever is wrong with the codecs is found here, before anything is written; what is recorded
    # is what they do, defaults included
    codecs = ArrayLayout(place, where, metadata).pipeline((0,) * len(metadata.shape)).configs
    array = Array(place, where, replace(metadata, codecs=codecs))
    if values is not None:
        values = _fitting(values, array)
    create_node(place, where, array.metadata, overwrite=overwrite)
    if values is not None:
        array[...] = values
    return array


def _fitting(values: NDArray[Any], array: Array) -> NDArray[Any]:
    """The data of a new array in its shape and dtype; `MetadataError` where they do not fit."""
    try:
        return np.broadcast_to(values.astype(array.dtype, copy=False), array.shape)
    except (ValueError, TypeError) as error:
        raise MetadataError(
            f"data of shape {values.shape} and dtype {values.dtype} do not fit an array of shape "
            f"{array.shape} and dtype {array.dtype}"
        ) from error


def open_array(
    store: StoreLike,
    *,
    path: str = "",
    mode: Mode = "r",
    zarr_format: ZarrFormat | None = None,
    cache: Cache | int | None = None,
    missing: Missing = "fill",
    locks: Locks | None = None,
    aligned: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Array:
    """Opens an array that exists.

    Args:
        store: A path, a URL, a store, or anything else that `zlab.open` takes.
        path: Where in the store, `""` for its root.
        mode: `"r"` to read, `"r+"` or `"a"` to write too.
        zarr_format: Look for this version only.
        cache: Where decoded chunks are kept, or the bytes that a cache of its own may hold.
        missing: What an absent chunk is: the fill value, or (`"raise"`) an error.
        locks: What keeps writers of one object apart; threads of this process by default.
        aligned: Refuse writes that do not cover whole chunks or shards.
        storage_options: For the file system behind a URL.

    Raises:
        NodeNotFoundError: There is no array.
        MetadataError: Its document cannot be understood.
        StoreError: The storage failed.

    Example:
        >>> import zlab
        >>> zlab.open_array("demo/digits.zarr", path="images").shape  # doctest: +SKIP
        (1797, 8, 8)
    """
    place, prefix = store_from(store, mode=mode, storage_options=storage_options)
    where = join(prefix, path)
    documents = read_documents(place, where, zarr_format)
    metadata = None if documents is None else parse_node(documents, store=place.name, path=where)
    if not isinstance(metadata, ArrayMetadata):
        found = "there is no array here" if metadata is None else "this is a group, not an array"
        raise NodeNotFoundError(
            found,
            store=place.name,
            key=where,
            hint="`zlab.open` opens either; `zlab tree` shows what is there",
        )
    access = Access.of(
        cache=cache, missing=missing, locks=locks, aligned=aligned, read_only=mode == "r"
    )
    return Array(place, where, metadata, access)
