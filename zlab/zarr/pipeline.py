"""A codec pipeline of zarr-python that reads and writes with zlab's engine."""

from __future__ import annotations

import asyncio
import json
import threading
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import zarr.abc.codec
import zarr.storage
from zarr.codecs._v2 import V2Codec
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.core.metadata import ArrayV2Metadata

from zlab.codecs.base import ChunkSpec
from zlab.codecs.pipeline import Pipeline
from zlab.config import settings
from zlab.engine.layout import ArrayLayout
from zlab.engine.points import read_points, write_points
from zlab.engine.read import read_region, read_runs
from zlab.engine.workers import Team
from zlab.engine.write import write_region, write_runs
from zlab.errors import MetadataError
from zlab.memory import aligned_empty
from zlab.metadata import ArrayMetadata
from zlab.metadata.fill import default_fill
from zlab.metadata.node import parse_node
from zlab.stores.memory import MemoryStore
from zlab.zarr.adapt import ZarrStore, native
from zlab.zarr.batch import (
    Item,
    divide,
    kind_of,
    least_jobs,
    plan_jobs,
    points_of,
    region_of,
)
from zlab.zarr.buffers import bytes_of
from zlab.zarr.foreign import with_foreign
from zlab.zarr.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from zarr.abc.codec import Codec
    from zarr.abc.store import Store as AbstractStore
    from zarr.core.buffer import Buffer, NDBuffer
    from zarr.core.metadata import ArrayV3Metadata

    from zlab.zarr.batch import Kind

# of zarr-python 3.4 and later: what `read` says about each chunk
_HAS_RESULTS = hasattr(zarr.abc.codec, "GetResult")
_QUICK_NBYTES = 1 << 18  # of one local chunk: decoded faster than handed over to another thread
_RUN_NBYTES = 1 << 18  # decoded bytes of a run at least, where its chunks are fetched one by one
_ENDLESS = 1 << 62


class FallbackWarning(UserWarning):
    """Some of an array is read and written by zarr-python itself, at zarr-python's speed."""


class CodecPipeline(zarr.abc.codec.CodecPipeline):
    """The codec pipeline of an array of zarr-python, done by zlab's engine.

    Set once, it serves every array that is opened afterwards, of xarray's too:

    ```
    zarr.config.set({"codec_pipeline.path": "zlab.zarr.CodecPipeline"})
    ```

    A codec that only zarr-python has is taken from there. An array with a data type, chunk grid or
    key encoding that zlab has not, and outputs that are not NumPy's, are left to zarr-python's own
    pipeline. Either way one `FallbackWarning` says so.

    Args:
        base: The pipeline of zarr-python for the same array.
        metadata: The array's, where it is known.

    Example:
        >>> import zarr
        >>> with zarr.config.set({"codec_pipeline.path": "zlab.zarr.CodecPipeline"}):
        ...     array = zarr.create_array({}, shape=(4, 6), chunks=(2, 3), dtype="int32")
        >>> array[1:3, ::2] = 7
        >>> array[1]
        array([7, 0, 7, 0, 7, 0], dtype=int32)
    """

    def __init__(
        self,
        base: zarr.abc.codec.CodecPipeline | None = None,
        metadata: ArrayV2Metadata | ArrayV3Metadata | None = None,
    ) -> None:
        if base is None and metadata is None:
            msg = "a codec pipeline is made of codecs or of an array's metadata"
            raise TypeError(msg)
        self._given = base
        self._metadata = metadata
        self._bound: _Bound | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_codecs(cls, codecs: Iterable[Codec]) -> Self:
        """A pipeline whose array is not known: zarr-python's own."""
        return cls(BatchedCodecPipeline.from_codecs(codecs))

    @classmethod
    def from_array_metadata_and_store(
        cls,
        array_metadata: ArrayV2Metadata | ArrayV3Metadata,
        store: AbstractStore | None = None,
    ) -> Self:
        """The pipeline of an array."""
        del store  # each read and write names its own
        return cls(None, array_metadata)

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> Self:
        """The pipeline with codecs that know their chunks."""
        base = BatchedCodecPipeline.from_codecs(_evolved(self, array_spec))
        return type(self)(base, self._metadata)

    @property
    def _base(self) -> Any:
        """zarr-python's own, made when it is needed."""
        if self._given is None and self._metadata is not None:
            self._given = _base_of(self._metadata)
        return self._given

    @cached_property
    def _model(self) -> _Model | None:
        return None if self._metadata is None else _Model.of(self._metadata)

    @property
    def supports_partial_decode(self) -> bool:
        """Whether inner chunks can be read one by one."""
        return bool(self._base.supports_partial_decode)

    @property
    def supports_partial_encode(self) -> bool:
        """Whether inner chunks can be written one by one."""
        return bool(self._base.supports_partial_encode)

    def __iter__(self) -> Iterator[Codec]:
        return iter(self._base)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CodecPipeline):
            return NotImplemented
        return (self._metadata, [*self]) == (other._metadata, [*other])

    def __hash__(self) -> int:
        return hash((CodecPipeline, tuple(type(codec) for codec in self)))

    def __reduce__(self) -> tuple[object, ...]:
        return CodecPipeline, (self._given, self._metadata)

    def __repr__(self) -> str:
        return f"zlab.zarr.CodecPipeline({', '.join(type(codec).__name__ for codec in self)})"

    def validate(self, **what: Any) -> None:
        """Raises where a codec does not fit the array."""
        self._base.validate(**what)

    def compute_encoded_size(self, byte_length: int, array_spec: ArraySpec) -> int:
        """The size of an encoded chunk; raises `NotImplementedError` where it varies."""
        return int(self._base.compute_encoded_size(byte_length, array_spec))

    # -- chunks in memory

    async def decode(
        self, chunk_bytes_and_specs: Iterable[tuple[Buffer | None, ArraySpec]]
    ) -> Iterable[NDBuffer | None]:
        """Decodes chunks."""
        pairs = list(chunk_bytes_and_specs)
        model = self._model
        if model is None:
            return await self._base.decode(pairs)  # type: ignore[no-any-return]
        return await in_thread(lambda: [model.decoded(*pair) for pair in pairs])

    async def encode(
        self, chunk_arrays_and_specs: Iterable[tuple[NDBuffer | None, ArraySpec]]
    ) -> Iterable[Buffer | None]:
        """Encodes chunks."""
        pairs = list(chunk_arrays_and_specs)
        model = self._model
        if model is None:
            return await self._base.encode(pairs)  # type: ignore[no-any-return]
        return await in_thread(lambda: [model.encoded(*pair) for pair in pairs])

    # -- chunks in a store

    async def read(
        self,
        batch_info: Iterable[tuple[Any, ArraySpec, Any, Any, bool]],
        out: NDBuffer,
        drop_axes: tuple[int, ...] = (),
    ) -> Any:
        """Reads chunks into an output.

        Raises:
            ChunkReadError: A chunk that is there could not be read or decoded.
        """
        batch = list(batch_info)
        if not batch:
            return () if _HAS_RESULTS else None
        bound = self._bind(batch)
        work = None if bound is None else bound.reading(batch, out.as_ndarray_like(), drop_axes)
        if bound is None or work is None:
            return await self._base.read(batch, out, drop_axes)
        await _do(work, inline=bound.is_quick(batch))
        if not _HAS_RESULTS:
            return None
        if getattr(batch[0][1].config, "read_missing_chunks", True):
            return ({"status": "present"},) * len(batch)
        keys = [item[0].path for item in batch]
        return await in_thread(lambda: bound.results(keys))

    async def write(
        self,
        batch_info: Iterable[tuple[Any, ArraySpec, Any, Any, bool]],
        value: NDBuffer,
        drop_axes: tuple[int, ...] = (),
    ) -> None:
        """Writes chunks from a value.

        Raises:
            ChunkWriteError: A chunk could not be encoded or stored. Others may have been written.
            ChunkReadError: A chunk that had to be merged with could not be read.
        """
        batch = list(batch_info)
        if not batch:
            return
        bound = self._bind(batch)
        work = None if bound is None else bound.writing(batch, value.as_ndarray_like(), drop_axes)
        if bound is None or work is None:
            await self._base.write(batch, value, drop_axes)
            return
        await _do(work, inline=False)

    def _bind(self, batch: Sequence[tuple[Any, ...]]) -> _Bound | None:
        """The array in the store that a batch is for; `None` where zarr-python has to do it."""
        model = self._model
        if model is None or not isinstance(batch[0][0], zarr.storage.StorePath):
            return None
        store, key = batch[0][0].store, batch[0][0].path
        loop = asyncio.get_running_loop()
        with self._lock:
            bound = self._bound
            if bound is None or bound.given is not store or bound.loop is not loop:
                bound = None
            if bound is None or bound.layout.coords_of(key) is None:
                bound = self._bound = _Bound.of(model, store, key, loop)
            return bound


@dataclass(frozen=True, slots=True)
class _Bound:
    """An array in a store, as the engine sees it.

    Attributes:
        given: The store of zarr-python.
        loop: The event loop that its coroutines run on.
        layout: The array.
        is_foreign: Some codec is zarr-python's, which may need the event loop.
    """

    given: AbstractStore
    loop: asyncio.AbstractEventLoop
    layout: ArrayLayout
    is_foreign: bool

    @classmethod
    def of(
        cls,
        model: _Model,
        store: AbstractStore,
        key: str,
        loop: asyncio.AbstractEventLoop,
    ) -> _Bound | None:
        """The array that has a chunk with this key; `None` where its keys are not understood."""
        own = native(store, read_only=store.read_only) or ZarrStore(store, loop=loop)
        parts = key.split("/")
        # the shortest end of the key that is a chunk's key: the rest is the array's path
        for count in range(1, len(parts) + 1):
            layout = ArrayLayout(own, "/".join(parts[:-count]), model.array)
            if layout.coords_of(key) is not None:
                return cls(store, loop, layout, model.is_foreign)
        return None

    def is_quick(self, batch: Sequence[tuple[Any, ...]]) -> bool:
        """Whether a batch is read faster than it is handed over to another thread."""
        if len(batch) > 1 or not self.layout.store.local or self.is_foreign:
            return False
        nbytes = self.layout.dtype.itemsize
        for length in self.layout.chunks.stored_shape((0,) * len(batch[0][1].shape)):
            nbytes *= length
        return nbytes <= _QUICK_NBYTES

    def results(self, keys: Sequence[str]) -> Any:
        """For each key whether there is such an object."""
        found: dict[str, str] = {}

        def look(key: str) -> None:
            found[key] = "missing" if self.layout.store.nbytes(key) is None else "present"

        width = 1 if self.layout.store.local else settings.fetch_concurrency
        Team(keys, look).run(min(width, len(keys)), caller_works=True)
        return tuple({"status": found[key]} for key in keys)

    def _items(self, batch: Sequence[tuple[Any, ...]]) -> tuple[list[Item], Kind] | None:
        items: list[Item] = []
        kind: Kind | None = None
        for path, spec, selection, target, is_complete in batch:
            coords = self.layout.coords_of(path.path)
            if coords is None or path.store is not self.given:
                return None
            parts = selection if isinstance(selection, tuple) else (selection,)
            item = Item(coords, spec.shape, parts, target, is_complete)
            found = kind_of(item)
            if found is None or kind not in (None, found):
                return None
            kind = found
            items.append(item)
        return None if kind is None else (items, kind)

    def _width(self, nbytes: int) -> int:
        local = self.layout.store.local
        if local and nbytes <= _QUICK_NBYTES:
            return 1
        return settings.threads if local else settings.fetch_concurrency

    def reading(
        self, batch: Sequence[tuple[Any, ...]], out: Any, drop_axes: tuple[int, ...]
    ) -> Any | None:
        """What reads a batch when it is called; `None` where zarr-python has to."""
        planned = self._items(batch)
        layout = self.layout
        if planned is None or not isinstance(out, np.ndarray) or not _fits(out.dtype, layout.dtype):
            return None
        items, kind = planned
        if kind == "basic":
            return lambda: self._read_box(items, out)
        if kind == "points":
            return lambda: self._read_points(items, out)

        def read(item: Item) -> None:
            part = read_region(layout, region_of(layout, item))
            out[item.target] = part.squeeze(drop_axes) if drop_axes else part

        return lambda: Team(items, read).run(
            min(self._width(out.nbytes), len(items)), caller_works=layout.store.local
        )

    def _read_box(self, items: list[Item], out: NDArray[Any]) -> None:
        layout = self.layout
        jobs = plan_jobs(layout, items)
        box = out
        if out.dtype != layout.dtype:
            box = aligned_empty(out.shape, layout.dtype)
        width = self._width(out.nbytes)
        least = least_jobs(layout, _RUN_NBYTES) if layout.store.local else 1
        runs = divide(jobs.runs, jobs.njobs, width, least)
        read_runs(layout, runs, _with_axes(box, jobs.dropped), width=min(width, jobs.njobs))
        if box is not out:
            out[...] = box

    def _read_points(self, items: list[Item], out: NDArray[Any]) -> None:
        points, places = points_of(self.layout, items)
        out[places] = read_points(self.layout, points)

    def writing(
        self, batch: Sequence[tuple[Any, ...]], value: Any, drop_axes: tuple[int, ...]
    ) -> Any | None:
        """What writes a batch when it is called; `None` where zarr-python has to."""
        planned = self._items(batch)
        layout = self.layout
        if (
            planned is None
            or not isinstance(value, np.ndarray)
            or not _fits(value.dtype, layout.dtype)
        ):
            return None
        items, kind = planned
        keep_empty = bool(batch[0][1].config.write_empty_chunks)
        value = value.astype(layout.dtype, copy=False)
        if kind == "basic":
            jobs = plan_jobs(layout, items, is_scalar=value.ndim == 0)
            if value.ndim and value.shape != jobs.shape:
                return None
            box = _with_axes(value, jobs.dropped) if value.ndim else value
            width = self._width(_ENDLESS)
            # a shard is written as a whole, by one worker
            runs = jobs.runs if layout.sharding else divide(jobs.runs, jobs.njobs, width, 1)
            return lambda: write_runs(
                layout, runs, box, width=min(width, len(jobs.runs)), write_empty_chunks=keep_empty
            )
        if kind == "points":
            points, places = points_of(layout, items)
            values = value if value.ndim == 0 else value.reshape(-1)[places]
            return lambda: write_points(layout, points, values, write_empty_chunks=keep_empty)

        def write(item: Item) -> None:
            region = region_of(layout, item)
            part = value
            if value.ndim:
                part = _with_axes(value[item.target], drop_axes)
            write_region(layout, region, part, write_empty_chunks=keep_empty)

        return lambda: Team(items, write).run(
            min(self._width(_ENDLESS), len(items)), caller_works=layout.store.local
        )


async def _do(work: Any, *, inline: bool) -> None:
    if inline:
        work()
    else:
        await in_thread(work)


def _with_axes(box: NDArray[Any], dropped: tuple[int, ...]) -> NDArray[Any]:
    """A view of a box with the axes that it lacks, of length 1."""
    return np.expand_dims(box, dropped) if dropped else box


def _fits(given: np.dtype[Any], own: np.dtype[Any]) -> bool:
    """Whether a dtype is the array's, in whatever byte order."""
    if given == own:
        return True
    return given.kind not in "TO" and given.newbyteorder("=") == own


@dataclass(frozen=True, slots=True)
class _Model:
    """An array of zarr-python in zlab's terms.

    Attributes:
        array: Its metadata, without ends: its shape may change while its pipeline stays.
        is_foreign: Some codec is zarr-python's, which may need its event loop.
    """

    array: ArrayMetadata
    is_foreign: bool

    @classmethod
    def of(cls, metadata: ArrayV2Metadata | ArrayV3Metadata) -> _Model | None:
        """The array, `None` (and a warning) where zlab cannot read and write it."""
        buffers = metadata.to_buffer_dict(default_buffer_prototype())
        documents = {name: json.loads(buffer.to_bytes()) for name, buffer in buffers.items()}
        foreign: list[str] = []
        try:
            array = parse_node(documents, store="", path="")
            if not isinstance(array, ArrayMetadata):
                return None
            array = replace(
                array,
                attributes={},
                codecs=with_foreign(array.codecs, foreign.append),
                shape=_endless(array),
            )
            ArrayLayout(MemoryStore(), "", array)
        except MetadataError as error:
            _warn(f"zarr-python reads and writes an array by itself: {error.what}")
            return None
        for name in foreign:
            _warn(f"zlab has no codec {name!r}; zarr-python's is used for it")
        return cls(array, bool(foreign))

    def pipeline(self, shape: tuple[int, ...]) -> Pipeline:
        """The codecs for chunks of a shape."""
        fill = self.array.fill_value
        if fill is None:
            fill = default_fill(self.array.data_type)
        return Pipeline.resolve(
            self.array.codecs, ChunkSpec(shape, self.array.data_type.dtype, fill)
        )

    def decoded(self, data: Buffer | None, spec: ArraySpec) -> NDBuffer | None:
        """A chunk from its bytes."""
        if data is None:
            return None
        pipeline = self.pipeline(spec.shape)
        array = aligned_empty(pipeline.chunk.shape, pipeline.chunk.dtype)
        pipeline.decode(bytes_of(data), array)
        dtype = spec.dtype.to_native_dtype()
        return spec.prototype.nd_buffer.from_numpy_array(array.astype(dtype, copy=False))

    def encoded(self, chunk: NDBuffer | None, spec: ArraySpec) -> Buffer | None:
        """A chunk's bytes."""
        if chunk is None:
            return None
        pipeline = self.pipeline(spec.shape)
        array = chunk.as_numpy_array().astype(pipeline.chunk.dtype, copy=False)
        return spec.prototype.buffer.from_bytes(bytes(pipeline.encode(array)))


def _endless(array: ArrayMetadata) -> tuple[int, ...]:
    if array.chunk_grid.name != "regular":
        return array.shape
    chunks = array.chunk_grid.configuration["chunk_shape"]
    return tuple(
        n if c < 1 else _ENDLESS // c * c for n, c in zip(array.shape, chunks, strict=True)
    )


def _base_of(metadata: ArrayV2Metadata | ArrayV3Metadata) -> BatchedCodecPipeline:
    if isinstance(metadata, ArrayV2Metadata):
        codec = V2Codec(filters=metadata.filters, compressor=metadata.compressor)
        return BatchedCodecPipeline.from_codecs([codec])
    spec = ArraySpec(
        shape=getattr(metadata.chunk_grid, "chunk_shape", (1,) * len(metadata.shape)),
        dtype=metadata.data_type,
        fill_value=metadata.fill_value,
        config=ArrayConfig.from_dict({}),
        prototype=default_buffer_prototype(),
    )
    return BatchedCodecPipeline.from_codecs(_evolved(metadata.codecs, spec))


def _evolved(codecs: Iterable[Codec], spec: ArraySpec) -> list[Codec]:
    """The codecs, each with what it needs to know of the chunks that it gets."""
    evolved: list[Codec] = []
    for codec in codecs:
        evolved.append(codec.evolve_from_array_spec(spec))
        spec = evolved[-1].resolve_metadata(spec)
    return evolved


_said: set[str] = set()


def _warn(text: str) -> None:
    """Says something once a process."""
    if text not in _said:
        _said.add(text)
        warnings.warn(text, FallbackWarning, stacklevel=2)
