"""Whether a chunk holds nothing but the fill value, so that it need not be stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zlab.codecs.bytes import plain_dtype

if TYPE_CHECKING:
    from zlab.codecs.base import Array

_WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def is_filled(array: Array, fill_value: Any) -> bool:
    """Whether every element is the fill value, bit for bit: -0.0 is not 0.0, a NaN is itself.

    Args:
        array: Of any shape and strides.
        fill_value: A scalar of the array's dtype; `None` is never equal.

    Example:
        >>> import numpy as np
        >>> is_filled(np.array([0.0, -0.0]), np.float64(0))
        False
    """
    if fill_value is None:
        return False
    if array.size == 0:
        return True
    if array.dtype.hasobject:
        # objects of Python may be of any type: True is no 1, and arrays have no truth value
        kind, text = type(fill_value), repr(fill_value)
        return all(type(item) is kind and repr(item) == text for item in array.flat)
    if array.dtype.kind == "T":
        return bool((array == fill_value).all())
    scalar = np.array(fill_value, array.dtype).reshape(1)
    word = _WORDS.get(array.dtype.itemsize)
    if word is not None and array.dtype.fields is None:
        bits = scalar.view(word)[0]
        values = array.view(plain_dtype(array.dtype)).view(word)
        first = (0,) * values.ndim
        return bool(values[first] == bits) and bool((values == bits).all())
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(array.size, -1)
    return bool((flat == scalar.view(np.uint8)).all())
