"""Bytes in memory: the buffer type that stores and codecs exchange, and aligned arrays.

64 bytes is the alignment at which XLA and Arrow take a NumPy buffer without a copy.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Bytes as they lie in a store. A memoryview is one-dimensional with format "B"."""

ALIGNMENT = 64

_OF_A_LIBRARY = 2  # what NumPy calls the dtypes of `ml_dtypes`


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A new uninitialised C-ordered array whose memory starts at a multiple of 64 bytes.

    Args:
        shape: In elements.
        dtype: Any dtype; one that holds Python objects is allocated by NumPy as usual, since
            its elements must be initialised and can not be exchanged without a copy anyway.

    Returns:
        An array of `shape` and `dtype`.
    """
    nbytes = prod(shape) * dtype.itemsize
    if dtype.hasobject or nbytes == 0:
        return np.empty(shape, dtype)
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -raw.__array_interface__["data"][0] % ALIGNMENT
    return raw[start : start + nbytes].view(dtype).reshape(shape)


def strided(array: NDArray[Any], shape: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[Any]:
    """A view as `numpy.lib.stride_tricks.as_strided` makes it, of every dtype of fixed size.

    NumPy's goes by a dtype's short name, and that of `float8_e5m2` names none.

    Args:
        array: What is looked at.
        shape: Of the view, in elements.
        strides: Of the view, in bytes.

    Example:
        >>> strided(np.arange(4, dtype="u1"), (3, 2), (1, 1)).tolist()
        [[0, 1], [1, 2], [2, 3]]
    """
    if array.dtype.isbuiltin != _OF_A_LIBRARY:
        return np.lib.stride_tricks.as_strided(array, shape, strides)
    words = array.view(f"u{array.itemsize}")
    return np.lib.stride_tricks.as_strided(words, shape, strides).view(array.dtype)
