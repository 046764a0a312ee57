"""Booleans as bits, as numcodecs has them: `numcodecs.packbits`.

Source: numcodecs, module `packbits`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np

from zlab.codecs.base import ChunkSpec
from zlab.codecs.filters import Filter, cast_fill
from zlab.codecs.parameters import Parameters
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array


@final
class NumcodecsPackBitsCodec(Filter):
    """Booleans, eight to a byte, behind a byte that counts the bits of padding.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((9,), np.dtype("bool"), False)
        >>> codec = NumcodecsPackBitsCodec.from_config({}, chunk)
        >>> codec.encode(np.array([1, 0, 1, 1, 0, 0, 0, 1, 1], bool)).tobytes().hex()
        '07b180'
    """

    name: ClassVar[str] = "numcodecs.packbits"

    def __init__(self, chunk: ChunkSpec) -> None:
        fill_value = cast_fill(chunk, np.dtype(np.uint8))
        self.encoded = ChunkSpec((1 + -(-chunk.size // 8),), np.dtype(np.uint8), fill_value)
        self._padding = -chunk.size % 8
        self._chunk = chunk

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: The chunk's elements are not booleans, nor bytes that stand for them.
        """
        Parameters(cls.name, configuration).close()
        if chunk.dtype.itemsize != 1 or chunk.dtype.kind not in "bui":
            msg = f"codec {cls.name!r} is for booleans, not for {chunk.dtype}"
            raise MetadataError(msg)
        return cls(chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def encode(self, array: Array) -> Array:
        """Bytes."""
        encoded = np.empty(self.encoded.shape, np.uint8)
        encoded[0] = self._padding
        encoded[1:] = np.packbits(array.reshape(-1).view(np.uint8))
        return encoded

    def decode(self, array: Array) -> Array:
        """Booleans.

        Raises:
            CodecError: The padding is not what the chunk's size makes it.
        """
        if array[0] != self._padding:
            raise CodecError(
                f"codec {self.name!r}: the chunk has {array[0]} bits of padding, "
                f"expected {self._padding}"
            )
        decoded = np.unpackbits(array[1:], count=self._chunk.size)
        return decoded.view(self._chunk.dtype).reshape(self._chunk.shape)
