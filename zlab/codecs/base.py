"""The three kinds of codec, as the engine sees them.

A codec is made once, for one chunk shape and data type, when an array is opened; inside the
chunk loop only `encode` and `decode` run. Codecs hold no state that changes, so threads share them.

A codec of another package implements one of these protocols and is named by an entry point of
the group `zlab.codecs`, or handed to `zlab.codecs.registry.register`.

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
Kind: TypeAlias = Literal["array-array", "array-bytes", "bytes-bytes"]


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
    def size(self) -> int:
        """Elements of the chunk."""
        n = 1
        for length in self.shape:
            n *= length
        return n

    @property
    def nbytes(self) -> int:
        """Bytes of the chunk in memory."""
        return self.size * self.dtype.itemsize

    @property
    def has_fixed_size(self) -> bool:
        """Whether the elements lie in the array's own memory (not strings, not objects)."""
        return not self.dtype.hasobject and self.dtype.kind != "T"


class Codec(Protocol):
    """What the three kinds share.

    Attributes:
        name: The registered name.
        kind: Which of the three it is.
        configuration: All parameters as they hold for this chunk, defaults filled in: what a
            metadata document has to record.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind]

    @property
    def configuration(self) -> Mapping[str, Any]:
        """All parameters, JSON values."""
        ...


class ArrayArrayCodec(Codec, Protocol):
    """Turns an array into another array."""

    kind: ClassVar[Literal["array-array"]]
    encoded: ChunkSpec
    """What `encode` returns."""

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec for chunks of `chunk`; raises `MetadataError` on a bad configuration."""
        ...

    def encode(self, array: Array) -> Array:
        """Encodes an array of `chunk`'s shape and dtype; may return a view of it."""
        ...

    def decode(self, array: Array) -> Array:
        """Decodes an array of `encoded`'s shape and dtype; may return a view of it."""
        ...

    def encoded_view(self, out: Array) -> Array | None:
        """The view of `out` that becomes the decoded chunk when the encoded one is written to it.

        A transpose has one, so that the next codec may write straight into the output. `None`
        where there is none, because the codec changes values.
        """
        ...


class ArrayBytesCodec(Codec, Protocol):
    """Turns an array into bytes: exactly one stands in each pipeline."""

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
        """Encodes an array of `chunk`'s shape and dtype, with any strides.

        The bytes may be the array's own memory.
        """
        ...

    def decode(self, data: Buffer) -> Array:
        """Decodes into an array of `chunk`'s shape and dtype; it may be a view of `data`.

        Raises:
            CodecError: The bytes do not fit.
        """
        ...


class BytesBytesCodec(Codec, Protocol):
    """Turns bytes into bytes: compressors, checksums, shuffles.

    One that decodes many small chunks faster at one go than one by one may have a method
    `decode_many` too: from a sequence of buffers to one of as many, or to `None` where it would
    rather have them one by one, a corrupt one among them.
    """

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
