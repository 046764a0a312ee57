"""Scaled integers: `numcodecs.fixedscaleoffset`.

Source: numcodecs, module `fixedscaleoffset`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np

from zlab.codecs.base import ChunkSpec
from zlab.codecs.filters import Filter, cast_fill, check_dtype, dtype_of
from zlab.codecs.parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array


@final
class FixedScaleOffsetCodec(Filter):
    """`round((x - offset) * scale)`.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((2,), np.dtype("float64"), 0)
        >>> codec = FixedScaleOffsetCodec.from_config(
        ...     {"offset": 1000, "scale": 10, "dtype": "<f8", "astype": "|u1"}, chunk
        ... )
        >>> codec.encode(np.array([1000, 1000.5])).tolist()
        [0, 5]
    """

    name: ClassVar[str] = "numcodecs.fixedscaleoffset"

    def __init__(
        self,
        offset: float,
        scale: float,
        dtype: np.dtype[Any],
        astype: np.dtype[Any],
        chunk: ChunkSpec,
    ) -> None:
        self.offset = offset
        self.scale = scale
        self.encoded = ChunkSpec(chunk.shape, astype, cast_fill(chunk, astype))
        self._dtype = dtype
        self._chunk = chunk

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: `dtype` does not fit the chunk's, or the scale is 0.
        """
        parameters = Parameters(cls.name, configuration)
        offset = parameters.number("offset")
        scale = parameters.number("scale")
        dtype = dtype_of(parameters, "dtype", chunk.dtype)
        astype = dtype_of(parameters, "astype", dtype)
        parameters.close()
        check_dtype(cls.name, dtype, chunk)
        if not scale:
            raise parameters.fail("scale", scale, "a number other than 0")
        return cls(offset, scale, dtype, astype, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """Offset, scale and dtypes."""
        return {
            "offset": self.offset,
            "scale": self.scale,
            "dtype": self._dtype.str,
            "astype": self.encoded.dtype.str,
        }

    def encode(self, array: Array) -> Array:
        """Scaled and rounded values."""
        values = array.reshape(-1).view(self._dtype)
        encoded = np.around((values - self.offset) * self.scale)
        return encoded.astype(self.encoded.dtype, copy=False).reshape(self.encoded.shape)

    def decode(self, array: Array) -> Array:
        """Values scaled back."""
        decoded = (array.reshape(-1) / self.scale) + self.offset
        decoded = decoded.astype(self._dtype, copy=False)
        return decoded.view(self._chunk.dtype).reshape(self._chunk.shape)
