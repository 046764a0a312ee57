"""Rounding to decimal digits: `numcodecs.quantize`.

Source: numcodecs, module `quantize`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np

from zlab.codecs.base import ChunkSpec
from zlab.codecs.filters import Filter, cast_fill, check_dtype, dtype_of
from zlab.codecs.parameters import Parameters
from zlab.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array


@final
class QuantizeCodec(Filter):
    """Floating-point numbers rounded to as many bits as some decimal digits need.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((3,), np.dtype("float64"), 0)
        >>> codec = QuantizeCodec.from_config({"digits": 1, "dtype": "<f8"}, chunk)
        >>> codec.encode(np.array([0.123, 0.456, 1.999])).tolist()
        [0.125, 0.4375, 2.0]
    """

    name: ClassVar[str] = "numcodecs.quantize"

    def __init__(
        self, digits: int, dtype: np.dtype[Any], astype: np.dtype[Any], chunk: ChunkSpec
    ) -> None:
        self.digits = digits
        self.encoded = ChunkSpec(chunk.shape, astype, cast_fill(chunk, astype))
        self._dtype = dtype
        self._chunk = chunk
        # numcodecs' own arithmetic, so that the same bits come out
        exponent = math.log10(10.0**-digits)
        exponent = math.floor(exponent) if exponent < 0 else math.ceil(exponent)
        self._scale = 2.0 ** math.ceil(math.log2(10.0**-exponent))

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: A dtype is not of floating point, or does not fit the chunk's.
        """
        parameters = Parameters(cls.name, configuration)
        digits = parameters.integer("digits", -300, 300)
        dtype = dtype_of(parameters, "dtype", chunk.dtype)
        astype = dtype_of(parameters, "astype", dtype)
        parameters.close()
        check_dtype(cls.name, dtype, chunk)
        if dtype.kind != "f" or astype.kind != "f":
            msg = f"codec {cls.name!r} is for floating-point numbers, not {dtype} and {astype}"
            raise MetadataError(msg)
        return cls(digits, dtype, astype, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """Digits and dtypes."""
        return {
            "digits": self.digits,
            "dtype": self._dtype.str,
            "astype": self.encoded.dtype.str,
        }

    def encode(self, array: Array) -> Array:
        """Rounded values."""
        values = array.reshape(-1).view(self._dtype)
        encoded = np.around(self._scale * values) / self._scale
        return encoded.astype(self.encoded.dtype, copy=False).reshape(self.encoded.shape)

    def decode(self, array: Array) -> Array:
        """The rounded values in their dtype."""
        decoded = array.astype(self._dtype, copy=False).reshape(-1)
        return decoded.view(self._chunk.dtype).reshape(self._chunk.shape)
