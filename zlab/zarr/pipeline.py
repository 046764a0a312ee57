"""A codec pipeline of zarr-python that reads and writes with zlab's engine."""

from __future__ import annotations

import asyncio
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import zarr.abc.codec
import zarr.storage
from zarr.codecs._v2 import V2Codec
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.core.metadata import ArrayV2Metadata

from zlab.zarr.batch import Item
from zlab.zarr.bound import Bound
from zlab.zarr.model import Model
from zlab.zarr.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from zarr.abc.codec import Codec
    from zarr.abc.store import Store as AbstractStore
    from zarr.core.buffer import Buffer, NDBuffer
    from zarr.core.metadata import ArrayV3Metadata

# of zarr-python 3.4 and later: what `read` says about each chunk
_HAS_RESULTS = hasattr(zarr.abc.codec, "GetResult")


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
        self._bound: Bound | None = None
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
    def _model(self) -> Model | None:
        return None if self._metadata is None else Model.of(self._metadata)

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
        items = [Item(*item) for item in batch_info]
        if not items:
            return () if _HAS_RESULTS else None
        bound = self._bind(items[0])
        work = None if bound is None else bound.reading(items, out.as_ndarray_like(), drop_axes)
        if bound is None or work is None:
            return await self._base.read(items, out, drop_axes)
        await _do(work, inline=bound.is_quick(items))
        if not _HAS_RESULTS:
            return None
        if getattr(items[0].spec.config, "read_missing_chunks", True):
            return ({"status": "present"},) * len(items)
        keys = [item.path.path for item in items]
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
        items = [Item(*item) for item in batch_info]
        if not items:
            return
        bound = self._bind(items[0])
        work = None if bound is None else bound.writing(items, value.as_ndarray_like(), drop_axes)
        if work is None:
            await self._base.write(items, value, drop_axes)
            return
        await _do(work, inline=False)

    def _bind(self, item: Item) -> Bound | None:
        """The array in the store that an item is for; `None` where zarr-python has to do it."""
        model = self._model
        if model is None or not isinstance(item.path, zarr.storage.StorePath):
            return None
        store, key = item.path.store, item.path.path
        loop = asyncio.get_running_loop()
        with self._lock:
            bound = self._bound
            if bound is None or bound.given is not store or bound.loop is not loop:
                bound = None
            if bound is None or bound.layout.coords_of(key) is None:
                bound = self._bound = Bound.of(model, store, key, loop)
            return bound


async def _do(work: Callable[[], None], *, inline: bool) -> None:
    if inline:
        work()
    else:
        await in_thread(work)


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
