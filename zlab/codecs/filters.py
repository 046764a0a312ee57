"""The array-to-array filters of numcodecs, by its names `numcodecs.delta` and so on.

They hold in v2 documents and, as zarr-python writes them, in v3. The data types in their
configuration name the form in which values are computed; byte order is put right by the `bytes`
codec behind them.

Source: numcodecs, modules of the same names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np

from zlab.codecs.base import ChunkSpec
from zlab.codecs.parameters import Parameters
from zlab.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array


def _dtype(parameters: Parameters, key: str, default: np.dtype[Any]) -> np.dtype[Any]:
    """A fixed-size dtype in the native byte order, from its NumPy name."""
    value = parameters.take(key, None)
    if value is None:
        return default
    try:
        dtype = np.dtype(value) if isinstance(value, str) else None
    except TypeError:
        dtype = None
    if dtype is None or dtype.hasobject:
        raise parameters.fail(key, value, "the name of a NumPy data type of fixed size")
    return dtype.newbyteorder("=")


def _check_dtype(name: str, dtype: np.dtype[Any], chunk: ChunkSpec) -> None:
    if dtype != chunk.dtype:
        msg = f"codec {name!r}: its dtype is {dtype}, but the chunk's is {chunk.dtype}"
        raise MetadataError(msg)


@final
class DeltaCodec:
    """Differences between neighbours, in C order, behind the first value.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((3,), np.dtype("uint8"), 0)
        >>> codec = DeltaCodec.from_config({"dtype": "|u1"}, chunk)
        >>> codec.encode(np.array([5, 3, 250], "uint8")).tolist()
        [5, 254, 247]
    """

    name: ClassVar[str] = "numcodecs.delta"
    kind: ClassVar[Literal["array-array"]] = "array-array"

    def __init__(self, astype: np.dtype[Any], chunk: ChunkSpec) -> None:
        self.encoded = ChunkSpec(chunk.shape, astype, None)
        self._chunk = chunk

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: `dtype` is not that of the chunk.
        """
        parameters = Parameters(cls.name, configuration)
        dtype = _dtype(parameters, "dtype", chunk.dtype)
        astype = _dtype(parameters, "astype", dtype)
        parameters.close()
        _check_dtype(cls.name, dtype, chunk)
        return cls(astype, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """The dtype of the values and that of the differences."""
        return {"dtype": self._chunk.dtype.str, "astype": self.encoded.dtype.str}

    def encode(self, array: Array) -> Array:
        """The first value and the differences."""
        flat = array.reshape(-1)
        encoded = np.empty(flat.shape, self.encoded.dtype)
        if flat.size:
            encoded[0] = flat[0]
            encoded[1:] = np.diff(flat)
        return encoded.reshape(self.encoded.shape)

    def decode(self, array: Array) -> Array:
        """Running sums."""
        decoded = np.empty(array.size, self._chunk.dtype)
        np.cumsum(array.reshape(-1), out=decoded)
        return decoded.reshape(self._chunk.shape)

    def encoded_view(self, out: Array) -> Array | None:
        """None: the values change."""
        del out
        return None
