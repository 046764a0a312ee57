"""An array of zarr-python in zlab's terms."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zarr.core.buffer import default_buffer_prototype

from zlab.codecs.base import ChunkSpec
from zlab.codecs.pipeline import Pipeline
from zlab.engine.layout import ArrayLayout
from zlab.errors import MetadataError
from zlab.memory import aligned_empty
from zlab.metadata import ArrayMetadata
from zlab.metadata.fill import default_fill
from zlab.metadata.node import parse_node
from zlab.stores.memory import MemoryStore
from zlab.zarr.buffers import bytes_of
from zlab.zarr.foreign import with_foreign

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer
    from zarr.core.metadata import ArrayV2Metadata, ArrayV3Metadata

_ENDLESS = 1 << 62


class FallbackWarning(UserWarning):
    """Some of an array is read and written by zarr-python itself, at zarr-python's speed."""


@dataclass(frozen=True, slots=True)
class Model:
    """An array of zarr-python in zlab's terms.

    Attributes:
        array: Its metadata, without ends: its shape may change while its pipeline stays.
        is_foreign: Some codec is zarr-python's, which may need its event loop.
    """

    array: ArrayMetadata
    is_foreign: bool

    @classmethod
    def of(cls, metadata: ArrayV2Metadata | ArrayV3Metadata) -> Model | None:
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
        data_type, fill = self.array.data_type, self.array.fill_value
        fill = default_fill(data_type) if fill is None else fill
        return Pipeline.resolve(self.array.codecs, ChunkSpec(shape, data_type.dtype, fill))

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


_said: set[str] = set()


def _warn(text: str) -> None:
    """Says something once a process."""
    if text not in _said:
        _said.add(text)
        warnings.warn(text, FallbackWarning, stacklevel=2)
