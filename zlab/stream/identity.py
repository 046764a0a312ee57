"""Which array a saved state belongs to."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zlab.engine.layout import ArrayLayout


def identity(layout: ArrayLayout) -> str:
    """A short text that tells an array from any other, and from itself with another layout.

    It is made of the store's name, the path, and what the documents say of shape, data type,
    chunks, codecs and fill value; attributes and dimension names may change.

    Example:
        >>> import zlab
        >>> one = zlab.create_array("memory://", shape=(4,), dtype="int8")
        >>> other = zlab.create_array("memory://", shape=(4,), dtype="int8")
        >>> (
        ...     identity(one.layout) == identity(one.layout),
        ...     identity(one.layout) == identity(other.layout),
        ... )
        (True, False)
    """
    metadata = layout.metadata
    parts = [
        layout.store.name,
        layout.path,
        metadata.zarr_format,
        metadata.shape,
        str(metadata.data_type),
        metadata.chunk_grid,
        metadata.chunk_key_encoding,
        metadata.codecs,
        metadata.storage_transformers,
        repr(metadata.fill_value),
    ]
    return sha256(json.dumps(parts, default=repr).encode()).hexdigest()[:32]
