"""Differences: `numcodecs.delta`.

Source: numcodecs, module `delta`.
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
class DeltaCodec(Filter):
    """Differences between neighbours, in C order, behind the first value.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((3,), np.dtype("uint8"), 0)
        >>> codec = DeltaCodec.from_config({"dtype": "|u1"}, chunk)
        >>> codec.encode(np.array([5, 3, 250], "uint8")).tolist()
        [5, 254, 247]
    """

    name: ClassVar[str] = "numcodecs.delta"

    def __init__(self, dtype: np.dtype[Any], astype: np.dtype[Any], chunk: ChunkSpec) -> None:
        self.encoded = ChunkSpec(chunk.shape, astype, cast_fill(chunk, astype))
        self._dtype = dtype
        self._chunk = chunk

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: `dtype` does not fit the chunk's.
        """
        parameters = Parameters(cls.name, configuration)
        dtype = dtype_of(parameters, "dtype", chunk.dtype)
        astype = dtype_of(parameters, "astype", dtype)
        parameters.close()
        check_dtype(cls.name, dtype, chunk)
        return cls(dtype, astype, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """The dtype of the values and that of the differences."""
        return {"dtype": self._dtype.str, "astype": self.encoded.dtype.str}

    def encode(self, array: Array) -> Array:
        """The first value and the differences."""
        flat = array.reshape(-1).view(self._dtype)
        encoded = np.empty(flat.shape, self.encoded.dtype)
        if flat.size:
            encoded[0] = flat[0]
            encoded[1:] = np.diff(flat)
        return encoded.reshape(self.encoded.shape)

    def decode(self, array: Array) -> Array:
        """Running sums."""
        decoded = np.empty(array.size, self._dtype)
        np.cumsum(array.reshape(-1), out=decoded)
        return decoded.view(self._chunk.dtype).reshape(self._chunk.shape)
