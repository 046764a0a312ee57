"""Another dtype: `numcodecs.astype`.

Source: numcodecs, module `astype`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, final

from zlab.codecs.base import ChunkSpec
from zlab.codecs.filters import Filter, cast_fill, check_dtype, dtype_of
from zlab.codecs.parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from zlab.codecs.base import Array


@final
class AsTypeCodec(Filter):
    """Values in another dtype, by NumPy's rules.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((2,), np.dtype("int16"), 0)
        >>> codec = AsTypeCodec.from_config({"encode_dtype": "|i1"}, chunk)
        >>> codec.encode(np.array([1, -1], "int16")).dtype.name
        'int8'
    """

    name: ClassVar[str] = "numcodecs.astype"

    def __init__(
        self, encode_dtype: np.dtype[Any], decode_dtype: np.dtype[Any], chunk: ChunkSpec
    ) -> None:
        self.encoded = ChunkSpec(chunk.shape, encode_dtype, cast_fill(chunk, encode_dtype))
        self._dtype = decode_dtype
        self._chunk = chunk

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: `decode_dtype` does not fit the chunk's.
        """
        parameters = Parameters(cls.name, configuration)
        encode_dtype = dtype_of(parameters, "encode_dtype", None)
        decode_dtype = dtype_of(parameters, "decode_dtype", chunk.dtype)
        parameters.close()
        check_dtype(cls.name, decode_dtype, chunk)
        return cls(encode_dtype, decode_dtype, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """Both dtypes."""
        return {"encode_dtype": self.encoded.dtype.str, "decode_dtype": self._dtype.str}

    def encode(self, array: Array) -> Array:
        """Values in the stored dtype."""
        values = array.reshape(-1).view(self._dtype)
        return values.astype(self.encoded.dtype).reshape(self.encoded.shape)

    def decode(self, array: Array) -> Array:
        """Values in the chunk's dtype."""
        decoded = array.reshape(-1).astype(self._dtype)
        return decoded.view(self._chunk.dtype).reshape(self._chunk.shape)
