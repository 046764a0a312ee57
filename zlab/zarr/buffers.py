"""Buffers of zarr-python as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer


def bytes_of(buffer: Buffer) -> memoryview:
    """The bytes that a buffer holds, without a copy where they lie in one piece."""
    return np.ascontiguousarray(buffer.as_numpy_array()).view(np.uint8).data
