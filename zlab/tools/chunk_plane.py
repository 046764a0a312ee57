"""A plane of an array's chunk grid: which chunks are stored, and in how many bytes.

The Jupyter server and the notebook widget both draw it; this is the one place that cuts it out
and encodes it (`docs/wire.md`: the reply to `chunks`, the traits of `ChunkHeatmap`).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zlab.errors import MemoryBudgetError, SelectionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from zlab.array import Array

VERSION = 1
"""Of the header."""

ABSENT = -1
"""The value of a chunk that is not stored."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Which plane of a chunk grid.

    Attributes:
        axes: The grid axes drawn as rows and columns: two, or one (columns), or none.
        index: The chunk coordinate on every axis; 0 on the drawn ones.
    """

    axes: tuple[int, ...]
    index: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ChunkPlane:
    """Stored bytes of each chunk of a plane.

    Attributes:
        cut: Which plane it is.
        chunk_grid_shape: Chunks along each axis of the whole array.
        shards_per: Chunks in a shard along rows and columns, or `None` without shards.
        nbytes_stored: `float64` of two axes; `ABSENT` where the chunk is not stored.
    """

    cut: Cut
    chunk_grid_shape: tuple[int, ...]
    shards_per: tuple[int, int] | None
    nbytes_stored: NDArray[np.float64]

    def header(self, store: str, path: str) -> dict[str, Any]:
        """The JSON header that goes before the values."""
        stored = self.nbytes_stored[self.nbytes_stored != ABSENT]
        return {
            "v": VERSION,
            "store": store,
            "path": path,
            "axes": list(self.cut.axes),
            "shape": list(self.nbytes_stored.shape),
            "chunk_grid_shape": list(self.chunk_grid_shape),
            "index": list(self.cut.index),
            "shards_per": None if self.shards_per is None else list(self.shards_per),
            "min": int(stored.min()) if stored.size else None,
            "max": int(stored.max()) if stored.size else None,
            "nchunks_stored": int(stored.size),
            "nbytes_stored": int(stored.sum()),
        }

    def payload(self) -> bytes:
        """The values, little-endian `float64` in C order."""
        return self.nbytes_stored.astype("<f8", copy=False).tobytes()


def read_sizes(array: Array, max_chunks: int) -> NDArray[np.int64]:
    """Stored bytes of every chunk of an array, -1 where absent.

    Args:
        array: Any array.
        max_chunks: Chunks of which the sizes may be held, 8 bytes each.

    Raises:
        MemoryBudgetError: The array has more chunks than that.
        StoreError: The storage failed.
    """
    if array.nchunks > max_chunks:
        raise MemoryBudgetError(
            f"a map of the {array.nchunks} chunks of {array.path!r} is too large",
            needed=8 * array.nchunks,
            budget=8 * max_chunks,
        )
    return array.stored_sizes()


def plan_cut(
    chunk_grid_shape: Sequence[int],
    axes: Sequence[int] | None = None,
    index: Sequence[int] | None = None,
) -> Cut:
    """Decides which plane is meant.

    Args:
        chunk_grid_shape: Chunks along each axis.
        axes: The axes drawn as rows and columns. By default the two with the most chunks (the
            last of equals), in the array's order.
        index: The chunk coordinate on every axis, 0 by default; ignored on the drawn ones.

    Raises:
        SelectionError: The axes or the index do not fit the grid.

    Example:
        >>> plan_cut((365, 1, 4))
        Cut(axes=(0, 2), index=(0, 0, 0))
    """
    ndim = len(chunk_grid_shape)
    if axes is None:
        by_length = sorted(range(ndim), key=lambda axis: (chunk_grid_shape[axis], axis))
        axes = sorted(by_length[-2:])
    if len(axes) != min(ndim, 2) or len(set(axes)) != len(axes):
        raise SelectionError(
            f"a plane of {ndim} axes needs {min(ndim, 2)} different ones, not {list(axes)}"
        )
    for axis in axes:
        if not 0 <= axis < ndim:
            raise SelectionError(f"there is no axis {axis} in an array of {ndim}")
    if index is None:
        index = (0,) * ndim
    if len(index) != ndim:
        raise SelectionError(f"the index has {len(index)} coordinates, the chunk grid {ndim}")
    drawn = tuple(0 if axis in axes else at for axis, at in enumerate(index))
    for axis, at in enumerate(drawn):
        # an axis of length 0 has no chunk, and still a plane: an empty one
        if not 0 <= at < max(chunk_grid_shape[axis], 1):
            raise SelectionError(
                f"there is no chunk {at} on axis {axis}, which has {chunk_grid_shape[axis]}"
            )
    return Cut(tuple(axes), drawn)


def cut_plane(
    sizes: NDArray[np.int64],
    cut: Cut,
    chunks: Sequence[int],
    shards: Sequence[int] | None,
) -> ChunkPlane:
    """Cuts a plane out of the stored sizes of all chunks.

    Args:
        sizes: Stored bytes of each chunk, -1 where absent, as `Array.stored_sizes()` returns.
        cut: From `plan_cut` for `sizes.shape`.
        chunks: The array's chunk shape.
        shards: Its shard shape, or `None`.
    """
    drawn = tuple(sizes.shape[axis] for axis in cut.axes)
    if sizes.size == 0:
        plane = np.full(drawn, ABSENT, np.float64)
    else:
        at = tuple(slice(None) if axis in cut.axes else at for axis, at in enumerate(cut.index))
        plane = sizes[at].astype(np.float64)
        if cut.axes != tuple(sorted(cut.axes)):
            plane = plane.T
    shape = (1, *drawn) if len(drawn) == 1 else drawn or (1, 1)
    shards_per = None
    if shards is not None:
        per = [shards[axis] // chunks[axis] for axis in cut.axes]
        rows, columns = [1] * (2 - len(per)) + per
        shards_per = (rows, columns)
    return ChunkPlane(cut, sizes.shape, shards_per, np.ascontiguousarray(plane).reshape(shape))


def encode_plane(plane: ChunkPlane, store: str, path: str) -> bytes:
    """The reply to `GET chunks`: the header's length, the header, the values.

    Example:
        >>> cut = plan_cut((2,))
        >>> plane = cut_plane(np.array([7, -1]), cut, chunks=(4,), shards=None)
        >>> len(encode_plane(plane, "a.zarr", "x")) % 8
        0
    """
    header = json.dumps(plane.header(store, path), separators=(",", ":"), allow_nan=False).encode()
    # the values start at a multiple of 8, so that a browser takes them without a copy
    header += b" " * (-(_LENGTH.size + len(header)) % 8)
    return _LENGTH.pack(len(header)) + header + plane.payload()


_LENGTH = struct.Struct("<I")
