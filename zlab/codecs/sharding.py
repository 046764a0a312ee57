"""The `sharding_indexed` codec: many chunks in one object, with an index of where each one is.

A shard is its encoded inner chunks, one after the other, and an index of two 64-bit numbers for
each: where it starts and how long it is, or `MISSING` twice.

Source: Zarr v3 specification, "Sharding codec" (ZEP 2).
"""

from __future__ import annotations

from itertools import accumulate, product
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np

from zlab.codecs.base import ChunkSpec
from zlab.codecs.fill import is_filled
from zlab.codecs.parameters import Parameters
from zlab.codecs.pipeline import Pipeline
from zlab.errors import CodecError, MetadataError
from zlab.memory import aligned_empty
from zlab.metadata.extension import NamedConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import EllipsisType

    from numpy.typing import NDArray

    from zlab.codecs.base import Array
    from zlab.memory import Buffer

MISSING = 2**64 - 1
"""Offset and length of an inner chunk that is not stored."""

_MISSING = np.uint64(MISSING)
_ENTRY_NBYTES = 16
_DEFAULT_INDEX_CODECS = [
    {"name": "bytes", "configuration": {"endian": "little"}},
    {"name": "crc32c"},
]


@final
class ShardingCodec:
    """Inner chunks in one object.

    Attributes:
        inner: The pipeline of an inner chunk.
        innermost: The same, or, where inner chunks are shards again, the pipeline of what lies in
            the last of them: the smallest piece that can be read by itself, which the rest of
            zlab calls a chunk.
        chunk_shape: An inner chunk's shape, in elements.
        grid_shape: Inner chunks along each axis of the shard.
        index_location: At which end of the shard the index lies.
        index_nbytes: Bytes of the encoded index.
        write_empty_chunks: Whether `encode` stores inner chunks that hold only the fill value.

    Example:
        >>> import numpy as np
        >>> codec = ShardingCodec.from_config(
        ...     {
        ...         "chunk_shape": [2],
        ...         "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        ...     },
        ...     ChunkSpec((6,), np.dtype("uint8"), np.uint8(0)),
        ... )
        >>> shard = codec.encode(np.array([0, 0, 1, 2, 0, 0], "uint8"))
        >>> index = codec.decode_index(shard[-codec.index_nbytes :])
        >>> index[1].tolist(), bool(index[0, 0] == MISSING)
        ([0, 2], True)
    """

    name: ClassVar[str] = "sharding_indexed"
    kind: ClassVar[Literal["array-bytes"]] = "array-bytes"
    encoded_nbytes: int | None = None
    in_place = False
    write_empty_chunks = False

    def __init__(
        self, chunk: ChunkSpec, inner: Pipeline, index: Pipeline, index_location: str
    ) -> None:
        self.inner = inner
        self.innermost: Pipeline = inner if inner.sharding is None else inner.sharding.innermost
        self.chunk_shape = inner.chunk.shape
        self.grid_shape = index.chunk.shape[:-1]
        self.index_location = index_location
        self.index_nbytes: int = index.encoded_nbytes or 0
        self._index = index
        self._chunk = chunk

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: The inner chunks do not tile the shard, or the index has no fixed size.
        """
        parameters = Parameters(cls.name, configuration)
        chunk_shape = parameters.integers("chunk_shape", 1)
        codecs = parameters.codecs("codecs")
        index_codecs = parameters.codecs("index_codecs", _DEFAULT_INDEX_CODECS)
        index_location = parameters.choice("index_location", ("start", "end"), "end")
        parameters.close()
        tiles = len(chunk_shape) == len(chunk.shape) and not any(
            outer % inner for outer, inner in zip(chunk.shape, chunk_shape, strict=True)
        )
        if not tiles:
            msg = f"inner chunks of shape {chunk_shape} do not tile a shard of shape {chunk.shape}"
            raise MetadataError(msg)
        inner = Pipeline.resolve(codecs, ChunkSpec(chunk_shape, chunk.dtype, chunk.fill_value))
        grid_shape = tuple(
            outer // inner for outer, inner in zip(chunk.shape, chunk_shape, strict=True)
        )
        index = Pipeline.resolve(
            index_codecs, ChunkSpec((*grid_shape, 2), np.dtype(np.uint64), _MISSING)
        )
        if not index.is_fixed_size:
            names = [codec.name for codec in index_codecs]
            msg = f"the index of a shard must have a fixed size, which {names} do not give"
            raise MetadataError(msg)
        return cls(chunk, inner, index, index_location)

    @property
    def configuration(self) -> dict[str, Any]:
        """All four parameters, inner codecs included."""
        return {
            "chunk_shape": list(self.chunk_shape),
            "codecs": _format(self.inner),
            "index_codecs": _format(self._index),
            "index_location": self.index_location,
        }

    def decode_index(self, data: Buffer) -> NDArray[np.uint64]:
        """Decodes an index.

        Args:
            data: The `index_nbytes` bytes at the index's end of the shard.

        Returns:
            Offset and length of each inner chunk, of shape `(*grid_shape, 2)`; `MISSING` twice
            for one that is not stored. The ranges are not checked against the shard's size.

        Raises:
            CodecError: The bytes are too few or too many, or their checksum is wrong.
        """
        try:
            if len(data) != self.index_nbytes:
                # before memory is taken for what a document claims
                raise CodecError(
                    f"codec {self.name!r}: {len(data)} bytes are no index of {self.index_nbytes}"
                )
            index = np.empty((*self.grid_shape, 2), np.uint64)
            self._index.decode(data, index)
        except CodecError as error:
            if self._is_of_exzarr(data):
                raise CodecError(
                    f"codec {self.name!r}: the index is that of ExZarr up to 1.1, and not Zarr's",
                    hint="Read the array with ExZarr 1.1 or earlier, and rewrite it with 1.2",
                ) from error
            raise
        return index

    def assemble(self, chunks: Mapping[tuple[int, ...], Buffer]) -> Buffer:
        """Joins encoded inner chunks into a shard.

        Args:
            chunks: By their coordinates in the shard, in the order in which they are to lie;
                those left out are marked as missing.

        Raises:
            CodecError: Coordinates lie outside the shard.
        """
        index = np.full((*self.grid_shape, 2), _MISSING)
        at = self.index_nbytes if self.index_location == "start" else 0
        for coords in chunks:
            inside = len(coords) == len(self.grid_shape) and all(
                0 <= i < n for i, n in zip(coords, self.grid_shape, strict=True)
            )
            if not inside:
                raise CodecError(f"inner chunk {coords} lies outside the shard's {self.grid_shape}")
        if chunks:
            lengths = [len(data) for data in chunks.values()]
            where = np.array(list(chunks), np.intp).reshape(len(chunks), -1)
            strides = [prod(self.grid_shape[axis + 1 :]) for axis in range(len(self.grid_shape))]
            entries = index.reshape(-1, 2)
            entries[where @ np.array(strides, np.intp)] = np.array(
                [list(accumulate(lengths[:-1], initial=at)), lengths]
            ).T
        encoded_index = self._index.encode(index)
        if self.index_location == "start":
            return b"".join((encoded_index, *chunks.values()))
        return b"".join((*chunks.values(), encoded_index))

    def join(self, chunks: Mapping[tuple[int, ...], Buffer]) -> Buffer:
        """Joins encoded chunks, the innermost ones, into a shard, with the shards inside it.

        Args:
            chunks: By their coordinates in the shard. Those of an inner shard lie together, each
                in the order in which they come.
        """
        nested = self.inner.sharding
        if nested is None:
            return self.assemble(chunks)
        parts: dict[tuple[int, ...], dict[tuple[int, ...], Buffer]] = {}
        for coords, data in chunks.items():
            split = [divmod(c, n) for c, n in zip(coords, nested.chunk_grid_shape, strict=True)]
            part = parts.setdefault(tuple(home for home, _ in split), {})
            part[tuple(inside for _, inside in split)] = data
        return self.assemble({home: nested.join(part) for home, part in parts.items()})

    def split(self, data: Buffer) -> dict[tuple[int, ...], Buffer]:
        """The encoded chunks, the innermost ones, of a shard: what `join` joined.

        Raises:
            CodecError: The shard is truncated, or a chunk lies outside it.
        """
        nested = self.inner.sharding
        parts: dict[tuple[int, ...], Buffer] = dict(self._parts(memoryview(data)))
        if nested is None:
            return parts
        chunks: dict[tuple[int, ...], Buffer] = {}
        for home, part in parts.items():
            first = [i * n for i, n in zip(home, nested.chunk_grid_shape, strict=True)]
            for inside, chunk in nested.split(part).items():
                chunks[tuple(f + i for f, i in zip(first, inside, strict=True))] = chunk
        return chunks

    @property
    def is_nested(self) -> bool:
        """Whether the inner chunks are shards again."""
        return self.inner is not self.innermost

    @property
    def chunk_grid_shape(self) -> tuple[int, ...]:
        """Chunks along each axis of the shard, the innermost ones."""
        return tuple(
            outer // inner
            for outer, inner in zip(self._chunk.shape, self.innermost.chunk.shape, strict=True)
        )

    def encode(self, array: Array) -> Buffer:
        """Encodes all inner chunks, but those that hold only the fill value."""
        fill_value = self._chunk.fill_value
        chunks: dict[tuple[int, ...], Buffer] = {}
        for coords in product(*map(range, self.grid_shape)):
            part = array[self._region(coords)]
            if self.write_empty_chunks or not is_filled(part, fill_value):
                chunks[coords] = self.inner.encode(part)
        return self.assemble(chunks)

    def decode(self, data: Buffer) -> Array:
        """Decodes a whole shard."""
        out = aligned_empty(self._chunk.shape, self._chunk.dtype)
        self.decode_into(data, out)
        return out

    def decode_into(self, data: Buffer, out: Array) -> None:
        """Decodes a whole shard into `out`; inner chunks that are missing are filled.

        Raises:
            CodecError: The shard is truncated, or an inner chunk lies outside it or is corrupt.
        """
        parts = dict(self._parts(memoryview(data)))
        for coords in product(*map(range, self.grid_shape)):
            view = out[self._region(coords)]
            part = parts.get(coords)
            if part is None:
                view[...] = self._fill
            else:
                self.inner.decode(part, view)

    def _parts(self, data: memoryview) -> Iterator[tuple[tuple[int, ...], memoryview]]:
        """The encoded inner chunks that are stored, in the order of their coordinates."""
        nbytes, size = len(data), self.index_nbytes
        if nbytes < size:
            raise CodecError(
                f"codec {self.name!r}: {nbytes} bytes are too few for an index of {size}"
            )
        at_start = self.index_location == "start"
        index = self.decode_index(data[:size] if at_start else data[nbytes - size :])
        for coords, (start, length) in zip(
            product(*map(range, self.grid_shape)), index.reshape(-1, 2).tolist(), strict=True
        ):
            if start == MISSING and length == MISSING:
                continue
            if start + length > nbytes:
                raise CodecError(
                    f"codec {self.name!r}: inner chunk {coords} ends at byte {start + length} "
                    f"of a shard of {nbytes}"
                )
            yield coords, data[start : start + length]

    def _is_of_exzarr(self, data: Buffer) -> bool:
        """Whether the index's size stands at the shard's end: ExZarr wrote it up to version 1.1.

        Its index is a count, then for each chunk the number of axes, the coordinates, offset and
        length, and a checksum.
        """
        at_start = self.index_location == "start"
        stated = int.from_bytes(data[:8] if at_start else data[-8:], "little")
        entry = 4 + 4 * len(self.grid_shape) + _ENTRY_NBYTES
        count, rest = divmod(stated - 8, entry)
        return rest == 0 and 0 < count <= prod(self.grid_shape)

    @property
    def _fill(self) -> Any:
        fill_value = self._chunk.fill_value
        return np.zeros((), self._chunk.dtype)[()] if fill_value is None else fill_value

    def _region(self, coords: tuple[int, ...]) -> tuple[slice | EllipsisType, ...]:
        slices = [
            slice(i * length, (i + 1) * length)
            for i, length in zip(coords, self.chunk_shape, strict=True)
        ]
        # the ellipsis makes a view, and no scalar, of a shard without axes
        return (*slices, ...)


def _format(pipeline: Pipeline) -> list[dict[str, Any]]:
    return [NamedConfig.format(config) for config in pipeline.configs]
