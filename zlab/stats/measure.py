"""What is remembered of one chunk's values. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zlab.errors import DataTypeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST = 64
"""Characters of the longest text that is remembered; chunks with longer ends have no statistics."""

_BUILT_BY_OTHERS = 2  # `numpy.dtype.isbuiltin` of the types of ml_dtypes


class Measured(NamedTuple):
    """Of the values of one chunk.

    Attributes:
        min: The least of those that are neither NaN, NaT nor fill; `None` where there are none.
        max: The greatest of them.
        size: How many values there are.
        nan_count: How many of them are NaN.
        null_count: How many are NaT.
        fill_count: How many are the fill value; NaN and NaT count here too if they are it.
    """

    min: Any
    max: Any
    size: int
    nan_count: int
    null_count: int
    fill_count: int


def comparable(dtype: np.dtype[Any], what: str) -> np.dtype[Any]:
    """The dtype in which least and greatest values are kept; it holds each value exactly.

    Text is kept as `StringDType` whatever it is stored as.

    Raises:
        DataTypeError: Values of the dtype have no order.

    Example:
        >>> import ml_dtypes, numpy as np
        >>> comparable(np.dtype(ml_dtypes.bfloat16), "the array")
        dtype('float32')
    """
    if dtype.kind in "UT":
        return np.dtype(np.dtypes.StringDType())
    if dtype.isbuiltin == _BUILT_BY_OTHERS:
        name = dtype.name
        wider = "u1" if name.startswith("uint") else "i1" if name.startswith("int") else "f4"
        return np.dtype(wider)
    if dtype.kind in "biufmM":
        return dtype
    raise DataTypeError(
        f"{what} is {dtype}, and there are statistics of numbers, times, booleans and text alone",
        hint="Values without an order have no least one; a scan reads all chunks of such an array",
    )


def measure(values: NDArray[Any], fill: Any, dtype: np.dtype[Any]) -> Measured | None:
    """What is remembered of some values; `None` where nothing that is short enough says it.

    Args:
        values: Of a chunk, any shape.
        fill: The array's fill value.
        dtype: What `comparable` makes of the array's.

    Example:
        >>> import numpy as np
        >>> f8 = np.dtype("f8")
        >>> tuple(measure(np.array([0.0, np.nan, 3, 1]), 0.0, f8))
        (np.float64(1.0), np.float64(3.0), 4, 1, 0, 1)
    """
    if dtype.kind == "T":
        return _measure_text(values, str(fill))
    values = values.reshape(-1)
    if values.dtype != dtype:
        values = values.astype(dtype)
    if not values.size:
        return Measured(None, None, 0, 0, 0, 0)
    fill = np.asarray(fill).astype(dtype)[()]
    least, most = values.min(), values.max()
    # NaN and NaT are passed on by both
    if not missing(least) and not least <= fill <= most:
        return Measured(least, most, values.size, 0, 0, 0)
    absent = missing(values)
    is_fill = absent if missing(fill) else values == fill
    nmissing, nfill = int(np.count_nonzero(absent)), int(np.count_nonzero(is_fill))
    rest = values[~(absent | is_fill)]
    nan_count, null_count = (0, nmissing) if dtype.kind in "mM" else (nmissing, 0)
    least, most = (rest.min(), rest.max()) if rest.size else (None, None)
    return Measured(least, most, values.size, nan_count, null_count, nfill)


def missing(values: Any) -> Any:
    """Where NaN or NaT stands, in an array or a scalar of NumPy's.

    Example:
        >>> import numpy as np
        >>> missing(np.array([1.0, np.nan]))
        array([False,  True])
    """
    # ml_dtypes' own are widened before
    if values.dtype.kind in "mM":
        return np.isnat(values)
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)


def _measure_text(values: NDArray[Any], fill: str) -> Measured | None:
    texts: list[str] = values.reshape(-1).tolist()
    rest = [text for text in texts if text != fill]
    nfill = len(texts) - len(rest)
    if not rest:
        return Measured(None, None, nfill, 0, 0, nfill)
    least, most = min(rest), max(rest)
    if max(len(least), len(most)) > LONGEST or "\0" in least or "\0" in most:
        return None
    return Measured(least, most, len(texts), 0, 0, nfill)
