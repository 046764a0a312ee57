"""`Array`: a handle on one array of a store."""

from __future__ import annotations

import warnings
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from zlab.array import streaming
from zlab.array.attributes import Attributes
from zlab.array.html import Info, array_html, array_rows, gone_html
from zlab.array.indexing import (
    BlockIndex,
    CoordinateIndex,
    OrthogonalIndex,
    is_basic,
    is_orthogonal,
    read_basic,
    select_by_name,
)
from zlab.array.resize import appended, resized
from zlab.codecs import registry
from zlab.engine import inventory
from zlab.engine.layout import ArrayLayout
from zlab.engine.nodes import (
    change_attributes,
    check_writable,
    document_names,
    join,
    read_watched,
    stored_document,
)
from zlab.engine.read import read_region
from zlab.engine.record import tell_made
from zlab.engine.selection import parse_basic
from zlab.engine.watch import Watch
from zlab.engine.write import write_region
from zlab.errors import DataTypeError, NodeNotFoundError, StaleMetadataWarning, StoreError
from zlab.metadata import ArrayMetadata
from zlab.stores.base import close
from zlab.stream import write_stream
from zlab.telemetry.events import ArrayOpen

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import CapsuleType

    from zlab.array.attributes import Change
    from zlab.engine.access import Access
    from zlab.engine.selection import BasicSelection, Selection
    from zlab.grid import Grid
    from zlab.metadata import NamedConfig, ZarrFormat
    from zlab.stores.base import Store
    from zlab.stream import Checkpoint, WriteReport
    from zlab.stream.stream import Progress
    from zlab.stream.write import Incomplete, OnError


class Array:
    """An array in a store: metadata in memory, data read and written by selection.

    Make one with `zlab.open`, `zlab.create_array` or a group; the constructor is for code that has
    the metadata already.

    A handle shows the array as it is stored now. What any handle of this process changes is seen
    at the next use; what other processes change too, where the store tells it without a request,
    as a local one does; elsewhere after `refresh`.

    Args:
        store: Where the array is.
        path: Its path in the store, `""` for the root.
        metadata: Its model.
        access: The options that it was opened with.
        watch: Of the documents that `metadata` came from; from now on by default.
        consolidated_in: The path of the group whose consolidated metadata tell of the array.
        owns_store: Whether closing the array closes the store.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array("memory://", shape=(4, 6), chunks=(2, 3), dtype="int32")
        >>> array[1:3, ::2] = 7
        >>> array[1]
        array([7, 0, 7, 0, 7, 0], dtype=int32)
    """

    def __init__(
        self,
        store: Store,
        path: str,
        metadata: ArrayMetadata,
        access: Access | None = None,
        *,
        watch: Watch | None = None,
        consolidated_in: str | None = None,
        owns_store: bool = False,
    ) -> None:
        begun = perf_counter()
        self._known = ArrayLayout(store, path, metadata, access)
        self._watch = watch or Watch.start(store, path, document_names(metadata))
        self._consolidated_in = consolidated_in
        self._owns_store = owns_store
        tell_made(self._known, ArrayOpen, begun)

    # -- what it is

    @property
    def store(self) -> Store:
        """Where the array is."""
        return self._known.node_store

    @property
    def path(self) -> str:
        """The path in the store, `""` for the root."""
        return self._known.path

    @property
    def name(self) -> str:
        """The last part of the path, `""` for the root."""
        return self.path.rpartition("/")[2]

    @property
    def metadata(self) -> ArrayMetadata:
        """The model of the metadata document."""
        return self.layout.metadata

    @property
    def layout(self) -> ArrayLayout:
        """What the engine reads and writes by, as the metadata are now.

        Raises:
            NodeNotFoundError: The array was deleted.
        """
        if not self._watch.is_current():
            self._reload()
        return self._known

    def refresh(self) -> Self:
        """Reads the metadata again, and forgets where the chunks of shards lie.

        Only what other processes write to a store that has no cheap versions needs it: of local
        stores every use looks whether they have changed.

        Returns:
            The array itself.

        Raises:
            NodeNotFoundError: There is no array any more.
        """
        self._reload()
        known = self._known
        self._known = ArrayLayout(known.node_store, known.path, known.metadata, known.access)
        return self

    def _reload(self) -> None:
        known = self._known
        found = read_watched(known.node_store, known.path, known.metadata.zarr_format)
        if found is None:
            raise NodeNotFoundError(
                "the array is no longer there",
                store=known.node_store.name,
                key=known.path or None,
                hint="It was deleted or moved since it was opened",
            )
        metadata, watch = found
        if not isinstance(metadata, ArrayMetadata):
            raise NodeNotFoundError(
                "there is a group now, not an array",
                store=known.node_store.name,
                key=known.path or None,
            )
        if metadata != known.metadata:
            self._known = ArrayLayout(known.node_store, known.path, metadata, known.access)
        self._watch = watch

    def writable_layout(self) -> ArrayLayout:
        """The layout, for code that writes; raises `ReadOnlyError` where that is not allowed."""
        check_writable(self.store, self.path, read_only=self._known.access.read_only)
        return self.layout

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
        return self.layout.dtype

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
        return _first_shape(self.layout.chunks)

    @property
    def shards(self) -> tuple[int, ...] | None:
        """The shape of a shard, `None` where the array has none."""
        layout = self.layout
        return None if layout.sharding is None else _first_shape(layout.objects)

    @property
    def chunk_grid_shape(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return self.layout.chunks.shape

    @property
    def nchunks(self) -> int:
        """Chunks in all, stored or not."""
        return self.layout.chunks.nchunks

    @property
    def order(self) -> Literal["C", "F"]:
        """How the elements of a chunk are laid out: `"F"` where a transpose reverses the axes."""
        metadata = self.metadata
        first, ndim = metadata.codecs[0], len(metadata.shape)
        is_reversed = (
            first.name == "transpose"
            and list(first.configuration.get("order", ())) == list(range(ndim))[::-1]
        )
        return "F" if is_reversed and ndim > 1 else "C"

    @property
    def filters(self) -> tuple[NamedConfig, ...]:
        """The codecs on arrays, in the order of encoding; of a sharded array, of its chunks."""
        return self._codecs("array-array")

    @property
    def serializer(self) -> NamedConfig:
        """The codec from array to bytes; of a sharded array, of its chunks."""
        return self._codecs("array-bytes")[0]

    @property
    def compressors(self) -> tuple[NamedConfig, ...]:
        """The codecs on bytes, in the order of encoding; of a sharded array, of its chunks."""
        return self._codecs("bytes-bytes")

    def _codecs(self, kind: str) -> tuple[NamedConfig, ...]:
        layout = self.layout
        configs = layout.chunk_pipeline((0,) * len(layout.metadata.shape)).configs
        return tuple(codec for codec in configs if registry.get(codec.name).kind == kind)

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
        return Attributes(lambda: self.metadata.attributes, self._change_attributes)

    def update_attributes(self, attributes: Mapping[str, Any]) -> Self:
        """Sets several attributes and stores them at once; the others stay.

        Returns:
            The array itself.

        Raises:
            MetadataError: A value that JSON does not have.
            ReadOnlyError: The array was opened for reading.
        """
        self.attrs.update(attributes)
        return self

    @property
    def read_only(self) -> bool:
        """Whether the array was opened for reading."""
        return self.store.read_only or self._known.access.read_only

    @property
    def info(self) -> Info:
        """What there is to say about the array without reading it, as text or in a notebook."""
        return Info(f"zlab.Array {self.name}".rstrip(), array_rows(self))

    def metadata_document(self) -> dict[str, Any]:
        """The metadata as they are stored: the v3 document, or v2's documents by file name."""
        return stored_document(self.store, self.path, self.zarr_format)

    def stored_sizes(self) -> NDArray[np.int64]:
        """Stored bytes of every chunk, -1 where it is absent.

        Returns:
            An array of the shape of the chunk grid. It costs a listing and, of a sharded array,
            the index of each shard.

        Raises:
            MemoryBudgetError: There are so many chunks that their sizes take more than
                `zlab.settings.memory_budget`.
        """
        return inventory.stored_sizes(self.layout)

    def nbytes_stored(self) -> int:
        """Bytes of the stored chunks or shards, without metadata. It costs a listing."""
        return sum(nbytes for _, nbytes in inventory.stored_objects(self.layout))

    @property
    def nchunks_initialized(self) -> int:
        """Chunks that are stored. It costs what `stored_sizes` does, but no memory."""
        return inventory.count_stored(self.layout)

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
        layout = self.layout
        region = parse_basic(selection, layout.metadata.shape)
        result = read_region(layout, region)
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

    def read(
        self, selection: BasicSelection = ..., *, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Reads a basic selection, as `array[selection]` does, into memory that is there.

        Args:
            selection: Integers, slices with steps, an ellipsis; the whole array by default.
            out: Written to, with any strides; of the selection's shape and the array's dtype.
                After an error a part of it may be written.

        Returns:
            `out`, or a new array; never a scalar.

        Raises:
            SelectionError: The selection does not fit the array, or `out` the selection.
            ChunkReadError: A chunk that is there could not be read or decoded.

        Example:
            >>> import numpy as np, zlab
            >>> array = zlab.create_array({}, data=np.arange(6).reshape(2, 3))
            >>> frame = np.zeros((2, 4), int)
            >>> _ = array.read((slice(None), slice(1, 3)), out=frame[:, ::2])
            >>> frame
            array([[1, 0, 2, 0],
                   [4, 0, 5, 0]])
        """
        return read_basic(self, selection, out)

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
        layout = self.writable_layout()
        region = parse_basic(selection, layout.metadata.shape)
        write_region(layout, region, value, write_empty_chunks=write_empty_chunks)

    stream_chunks = streaming.stream_chunks
    chunk_stream = streaming.chunk_stream
    map_chunks = streaming.map_chunks
    stream_slices = streaming.stream_slices

    def write_stream(
        self,
        source: Iterable[object],
        *,
        batch_size: int = 32,
        validate: bool = True,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
        concurrency: int | None = None,
        on_error: OnError = "raise",
        incomplete: Incomplete = "raise",
        write_empty_chunks: bool = False,
        max_bytes: int | None = None,
        progress: Progress = None,
    ) -> WriteReport:
        """Writes what a source gives, in bounded memory; each stored object is put once.

        An entry of the source is a pair of chunk coordinates and data, a pair of a region (slices
        without steps) and data, or what a stream yields, whose region says where it goes. Entries
        may come in any order, and be parts of chunks, chunks, or shards: what belongs to a chunk or
        shard that is not complete waits, in memory and then in a temporary file. The source is
        asked in the calling thread, and only when there is room for what it gives.

        Args:
            source: The entries. A source may use the memory of its data again for the next entry.
            batch_size: Chunks (of a sharded array shards) that are put between two times that the
                checkpoint is saved.
            validate: Data must have the array's dtype, and the shape of their place. Otherwise
                they are cast and broadcast as in an assignment. That coordinates and regions lie
                inside the array, and that nothing comes twice, is always checked.
            checkpoint: A file that keeps what is complete. Where the process is killed, the same
                call with the same source writes only what is missing.
            concurrency: Threads that encode and put: the machine's cores by default, or
                `zlab.settings.fetch_concurrency` to a store that is not local.
            on_error: What becomes of an entry that does not fit, or a chunk that cannot be written:
                `"raise"` ends the write, `"skip"` goes on and lists it in the report, and so does a
                function, which is called with the error.
            incomplete: What becomes of chunks and shards that the source leaves incomplete:
                `"raise"` is an error for each, `"merge"` puts them together with what is stored, or
                with the fill value where there is nothing.
            write_empty_chunks: Store chunks that hold nothing but the fill value too; otherwise
                they are left out, and deleted where they were stored.
            max_bytes: Bytes that wait or are being encoded at most; `zlab.settings.memory_budget`
                by default, which bounds all streams together.
            progress: Called with a `zlab.telemetry.StreamProgress` as chunks are done, in the
                calling thread; `True` for a bar.

        Returns:
            What was written, left out, skipped, and what failed.

        Raises:
            EntryError: An entry does not fit the array or comes twice, or something is incomplete.
            ChunkWriteError: A chunk could not be encoded or put; those before it are written.
            CheckpointError: The checkpoint belongs to another array or source.
            ReadOnlyError: The array was opened for reading.
            ValueError: `batch_size`, `concurrency` or `max_bytes` is less than 1.

        Example:
            >>> import numpy as np, zlab
            >>> source = zlab.create_array({}, data=np.arange(12).reshape(4, 3), chunks=(1, 3))
            >>> target = zlab.create_array({}, shape=(4, 3), chunks=(2, 1), dtype="int64")
            >>> report = target.write_stream(source.stream_chunks())
            >>> report.nentries, report.written, bool((target[...] == source[...]).all())
            (4, 6, True)
        """
        return write_stream(
            self.writable_layout(),
            source,
            batch_size=batch_size,
            validate=validate,
            checkpoint=checkpoint,
            concurrency=concurrency,
            on_error=on_error,
            incomplete=incomplete,
            write_empty_chunks=write_empty_chunks,
            max_bytes=max_bytes,
            progress=progress,
        )

    def resize(self, shape: Sequence[int] | int) -> None:
        """Gives the array another shape, in place.

        What lies outside a smaller shape is removed and does not come back when the array grows
        again; what is new reads as fill.

        Args:
            shape: Elements along each axis.

        Raises:
            MetadataError: The number of axes differs, or a length is negative.
            ReadOnlyError: The array was opened for reading.
        """
        lengths = (shape,) if isinstance(shape, int) else tuple(shape)
        resized(self.writable_layout(), lengths)
        self._say_stale()

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
        shape = appended(self.writable_layout(), data, axis)
        self._say_stale()
        return shape

    def __array__(
        self,
        dtype: np.dtype[Any] | None = None,
        copy: bool | None = None,  # noqa: FBT001
    ) -> NDArray[Any]:
        """Reads the whole array, for `numpy.asarray`."""
        if copy is False:
            msg = "an array in a store cannot be had without a copy"
            raise ValueError(msg)
        layout = self.layout
        array = read_region(layout, parse_basic(..., layout.metadata.shape))
        return array if dtype is None else array.astype(dtype, copy=False)

    def __dlpack__(
        self,
        *,
        stream: object = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> CapsuleType:
        """Reads the whole array, for `from_dlpack` of NumPy, JAX, PyTorch and others.

        Raises:
            DataTypeError: DLPack has no such data type. Nothing was read.
            BufferError: Another device than the CPU is asked for, or `copy=False`.
            ChunkReadError: A chunk that is there could not be read or decoded.
        """
        dtype = self.dtype
        if dtype.kind not in "biufc" or dtype.isbuiltin != 1:
            raise DataTypeError(
                f"array {self.path!r} is {dtype}, which NumPy does not hand over by DLPack",
                hint="Read it with array[...] and cast it; zlab.jax and zlab.torch know bfloat16 "
                "and the small floats",
            )
        if copy is False:
            msg = "an array in a store cannot be had without a copy"
            raise BufferError(msg)
        if dl_device not in (None, self.__dlpack_device__()):
            msg = f"an array is read to the CPU, {self.__dlpack_device__()}, not to {dl_device}"
            raise BufferError(msg)
        # what was read is a copy already
        wanted: dict[str, Any] = {"stream": stream, "max_version": max_version}
        given = {name: value for name, value in wanted.items() if value is not None}
        return np.asarray(self).__dlpack__(**given)

    def __dlpack_device__(self) -> tuple[int, int]:
        """DLPack's name of the CPU."""
        return 1, 0

    def __len__(self) -> int:
        shape = self.shape
        if not shape:
            msg = "len() of an array without axes"
            raise TypeError(msg)
        return shape[0]

    # -- handles

    def close(self) -> None:
        """Closes the store if zlab has opened it for this handle; a second call does nothing.

        Only what is written to an archive (`.zip`) needs it, which is complete when it is closed.
        A store that was passed to zlab stays open.

        Raises:
            StoreError: What was written cannot be put in its place.
        """
        if self._owns_store:
            close(self.store)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Array):
            return NotImplemented
        return (self.store, self.path) == (other.store, other.path)

    def __hash__(self) -> int:
        return hash((self.store.name, self.path))

    def __reduce__(self) -> tuple[object, ...]:
        known = self._known
        state = known.node_store, known.path, known.metadata, known.access, self._watch
        return _rebuild, (*state, self._consolidated_in)

    def __repr__(self) -> str:
        known = self._known
        store, metadata = known.node_store.name, known.metadata
        shards = "" if known.sharding is None else f", shards={_first_shape(known.objects)}"
        return (
            f"<zlab.Array {join(store, known.path) if known.path else store} "
            f"shape={metadata.shape} dtype={known.dtype} chunks={_first_shape(known.chunks)}"
            f"{shards}>"
        )

    def _repr_html_(self) -> str:
        try:
            return array_html(self)
        except (NodeNotFoundError, StoreError) as error:
            return gone_html(self, error)

    def _change_attributes(self, change: Change) -> None:
        layout = self.writable_layout()
        change_attributes(self.store, self.path, layout.metadata.zarr_format, change)
        self._say_stale()

    def _say_stale(self) -> None:
        if self._consolidated_in is None:
            return
        group = join(self.store.name, self._consolidated_in)
        self._consolidated_in = None
        warnings.warn(
            f"the consolidated metadata of {group} no longer say what {self!r} is; readers see "
            "the old ones until `consolidate` is called again",
            StaleMetadataWarning,
            stacklevel=4,
        )


def _first_shape(grid: Grid) -> tuple[int, ...]:
    return grid.stored_shape((0,) * len(grid.axes))


def _rebuild(
    store: Store,
    path: str,
    metadata: ArrayMetadata,
    access: Access,
    watch: Watch,
    consolidated_in: str | None,
) -> Array:
    return Array(store, path, metadata, access, watch=watch, consolidated_in=consolidated_in)
