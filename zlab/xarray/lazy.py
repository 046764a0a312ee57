"""Arrays in a store as xarray's lazy data: nothing is read before values are wanted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, final

from xarray.backends import BackendArray
from xarray.core import indexing

from zlab.engine.points import parse_points, read_points
from zlab.engine.read import read_region
from zlab.engine.selection import parse_basic, parse_orthogonal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zlab.array import Array


@final
class LazyArray(BackendArray):
    """What xarray indexes: integers, slices, arrays for each axis, and points, all natively.

    It can be read from many threads, and pickled, as the array can.

    Args:
        source: The array.
    """

    __slots__ = ("dtype", "shape", "source")

    def __init__(self, source: Array) -> None:
        self.source = source
        self.shape = source.shape
        self.dtype = source.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        """Reads.

        Raises:
            ChunkReadError: A chunk that is there could not be read or decoded.
        """
        # nothing is left to NumPy, so the key needs no taking apart
        if isinstance(key, indexing.VectorizedIndexer):
            return self._points(key.tuple)
        if isinstance(key, indexing.OuterIndexer):
            return self._orthogonal(key.tuple)
        return self._basic(key.tuple)

    async def async_getitem(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        """Reads in a thread, for `load_async`."""
        return await asyncio.to_thread(self.__getitem__, key)

    # regions, not `Array`'s brackets: no axes left is an array all the same

    def _basic(self, key: tuple[Any, ...]) -> NDArray[Any]:
        layout = self.source.layout
        return read_region(layout, parse_basic(key, layout.metadata.shape))

    def _orthogonal(self, key: tuple[Any, ...]) -> NDArray[Any]:
        layout = self.source.layout
        return read_region(layout, parse_orthogonal(key, layout.metadata.shape))

    def _points(self, key: tuple[Any, ...]) -> NDArray[Any]:
        layout = self.source.layout
        return read_points(layout, parse_points(key, layout.metadata.shape))

    def __repr__(self) -> str:
        return f"LazyArray({self.source!r})"
