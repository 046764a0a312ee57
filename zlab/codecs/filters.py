"""What the array-to-array filters of numcodecs share.

They hold in v2 documents and, as zarr-python writes them, in v3. The data types in their
configuration name the form in which values are computed; byte order is put right by the `bytes`
codec behind them.

Source: numcodecs, modules of the same names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from zlab.errors import MetadataError

if TYPE_CHECKING:
    from zlab.codecs.base import Array, ChunkSpec
    from zlab.codecs.parameters import Parameters


class Filter:
    """What the filters share: they change values, so that none can be seen through."""

    kind: ClassVar[Literal["array-array"]] = "array-array"

    def encoded_view(self, out: Array) -> Array | None:
        """None: the values change."""
        del out
        return None


def dtype_of(parameters: Parameters, key: str, default: np.dtype[Any] | None) -> np.dtype[Any]:
    """A fixed-size dtype in the native byte order, from its NumPy name."""
    value = parameters.take(key, None)
    if value is None and default is not None:
        return default
    try:
        dtype = np.dtype(value) if isinstance(value, str) else None
    except TypeError:
        dtype = None
    if dtype is None or dtype.hasobject or dtype.itemsize == 0:
        raise parameters.fail(key, value, "the name of a NumPy data type of fixed size")
    return dtype.newbyteorder("=")


def check_dtype(name: str, dtype: np.dtype[Any], chunk: ChunkSpec) -> None:
    """Raises `MetadataError` where the filter would not see the chunk's elements one by one.

    numcodecs looks at the chunk's memory through the filter's dtype: times as integers, say.
    """
    if not chunk.has_fixed_size or dtype.itemsize != chunk.dtype.itemsize:
        msg = f"codec {name!r}: its dtype is {dtype}, but the chunk's is {chunk.dtype}"
        raise MetadataError(msg)


def cast_fill(chunk: ChunkSpec, dtype: np.dtype[Any]) -> Any:
    """The fill value behind a filter: numcodecs does not filter it, so it is the same number."""
    if chunk.fill_value is None or dtype == chunk.dtype:
        return chunk.fill_value
    with np.errstate(all="ignore"):
        return np.asarray(chunk.fill_value, chunk.dtype).astype(dtype)[()]
