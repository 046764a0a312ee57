"""The three kinds of codec, as the engine sees them.

A codec is made once, for one chunk shape and data type, when an array is opened; inside the
chunk loop only `encode` and `decode` run. Codecs hold no state that changes, so threads share them.

Source: Zarr v3 core specification, section "Codecs".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from zlab.memory import Buffer

Array: TypeAlias = "NDArray[Any]"


@dataclass(frozen=True, slots=True)
class ChunkSpec:
    """What goes into a codec: the array that one chunk is, at that point of the pipeline.

    Attributes:
        shape: The chunk's shape, in elements.
        dtype: The NumPy dtype in memory, in native byte order.
        fill_value: A scalar of `dtype`, or `None` where the document has none (v2 `null`).
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fill_value: Any

    @property
    def nbytes(self) -> int:
        """Bytes of the chunk in memory."""
        n = self.dtype.itemsize
        for length in self.shape:
            n *= length
        return n


class ArrayArrayCodec(Protocol):
    """Turns an array into another array."""

    name: ClassVar[str]
    kind: ClassVar[Literal["array-array"]]
    encoded: ChunkSpec
    """What `encode` returns."""

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec for chunks of `chunk`; raises `MetadataError` on a bad configuration."""
        ...

    def encode(self, array: Array) -> Array:
        """Encodes an array of `chunk`'s shape and dtype."""
        ...

    def decode(self, array: Array) -> Array:
        """Decodes an array of `encoded`'s shape and dtype; may return a view of it."""
        ...


class ArrayBytesCodec(Protocol):
    """Turns an array into bytes: exactly one stands in each pipeline."""

    name: ClassVar[str]
    kind: ClassVar[Literal["array-bytes"]]
    encoded_nbytes: int | None
    """Bytes that `encode` returns, or `None` where that depends on the values."""
    in_place: bool
    """The encoded bytes are the array's own memory (C order, native byte order), so that a
    decoder may write them straight into the output."""

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec for chunks of `chunk`; raises `MetadataError` on a bad configuration."""
        ...

    def encode(self, array: Array) -> Buffer:
        """Encodes an array of `chunk`'s shape and dtype (any strides)."""
        ...

    def decode(self, data: Buffer) -> Array:
        """Decodes into an array of `chunk`'s shape and dtype; it may be a read-only view of
        `data`. Raises `CodecError` where the bytes do not fit."""
        ...


class BytesBytesCodec(Protocol):
    """Turns bytes into bytes: compressors, checksums, shuffles."""

    name: ClassVar[str]
    kind: ClassVar[Literal["bytes-bytes"]]
    encoded_nbytes: int | None
    """Bytes that `encode` returns, or `None` where that depends on the values."""

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec.

        Args:
            configuration: From the metadata document.
            nbytes: Decoded bytes of every chunk, or `None` where they vary.
            itemsize: Bytes of one element, for codecs that take it as a default.

        Raises:
            MetadataError: On a bad configuration.
        """
        ...

    def encode(self, data: Buffer) -> Buffer:
        """Encodes bytes."""
        ...

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Decodes bytes.

        With `out` (writable, exactly the decoded size) the result is written there and `out` is
        returned. The decoded size is checked against `nbytes`, or `settings.max_chunk_bytes`
        where that is `None`, before memory is taken.

        Raises:
            CodecError: The bytes are corrupt, or their decoded size is not the expected one.
        """
        ...
