"""The other ways to select: `array.oindex`, `array.vindex`, `array.blocks`, `array.isel`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from zlab.engine.points import parse_points, read_points, write_points
from zlab.engine.read import read_region
from zlab.engine.selection import Region, Span, as_array, parse_basic, parse_orthogonal
from zlab.engine.write import write_region
from zlab.errors import SelectionError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from zlab.array.array import Array
    from zlab.engine.selection import BasicSelection, Selection
    from zlab.grid import Grid


class OrthogonalIndex:
    """`array.oindex[...]`: each axis is selected for itself, as by `numpy.ix_`.

    A dictionary selects named dimensions, as xarray's brackets do; those that it does not name are
    taken whole. `array[{"time": 0}]` is the same, and an assignment to it writes.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(12).reshape(3, 4))
        >>> array.oindex[[2, 0], [True, False, False, True]]
        array([[ 8, 11],
               [ 0,  3]])
        >>> named = zlab.create_array({}, data=np.zeros((2, 3)), dimension_names=["y", "x"])
        >>> named[{"x": slice(0, 2)}] = 1
        >>> named.isel(y=0)
        array([1., 1., 0.])
    """

    def __init__(self, array: Array) -> None:
        self._array = array

    def __getitem__(self, selection: object) -> Any:
        """Reads.

        Raises:
            SelectionError: The selection does not fit the array.
            ChunkReadError: A chunk that is there could not be read or decoded.
        """
        region = self.region(selection)
        result = read_region(self._array.layout, region)
        return result if region.shape else result[()]

    def __setitem__(self, selection: object, value: ArrayLike) -> None:
        """Writes; of an element that is named twice, the last value stays.

        Raises:
            SelectionError: The selection does not fit the array.
            ChunkWriteError: A chunk could not be encoded or stored.
            ReadOnlyError: The array was opened for reading.
        """
        layout = self._array.writable_layout()
        write_region(layout, self.region(selection), value, write_empty_chunks=False)

    def region(self, selection: object) -> Region:
        """The region that a selection means; raises `SelectionError` where it does not fit."""
        if isinstance(selection, Mapping):
            selection = _by_axis(self._array, selection)
        return parse_orthogonal(selection, self._array.shape)


class CoordinateIndex:
    """`array.vindex[...]`: elements by their coordinates, or by a mask of the array's shape.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(12).reshape(3, 4))
        >>> array.vindex[[0, 2], [1, 3]]
        array([ 1, 11])
        >>> array.vindex[np.eye(3, 4, dtype=bool)]
        array([ 0,  5, 10])
    """

    def __init__(self, array: Array) -> None:
        self._array = array

    def __getitem__(self, selection: object) -> NDArray[Any]:
        """Reads; the result has the shape of the index arrays, broadcast together.

        Raises:
            SelectionError: The selection does not fit the array.
            ChunkReadError: A chunk that is there could not be read or decoded.
        """
        return read_points(self._array.layout, parse_points(selection, self._array.shape))

    def __setitem__(self, selection: object, value: ArrayLike) -> None:
        """Writes; of an element that is named twice, the last value stays."""
        layout = self._array.writable_layout()
        points = parse_points(selection, self._array.shape)
        write_points(layout, points, value, write_empty_chunks=False)


class BlockIndex:
    """`array.blocks[...]`: whole chunks, by their coordinates in the chunk grid.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(10), chunks=4)
        >>> array.blocks[1:]
        array([4, 5, 6, 7, 8, 9])
    """

    def __init__(self, array: Array) -> None:
        self._array = array

    def __getitem__(self, selection: object) -> NDArray[Any]:
        """Reads; every axis stays, an integer selects one chunk along it.

        Raises:
            SelectionError: The selection does not fit the chunk grid.
            ChunkReadError: A chunk that is there could not be read or decoded.
        """
        layout = self._array.layout
        return read_region(layout, _block_region(selection, layout.chunks))

    def __setitem__(self, selection: object, value: ArrayLike) -> None:
        """Writes whole chunks."""
        layout = self._array.writable_layout()
        region = _block_region(selection, layout.chunks)
        write_region(layout, region, value, write_empty_chunks=False)


def _block_region(selection: object, chunks: Grid) -> Region:
    blocks = parse_basic(selection, chunks.shape)
    spans: list[Span] = []
    for axis, span in zip(chunks.axes, blocks.spans, strict=True):
        if not isinstance(span, Span) or (span.step != 1 and span.count > 1):
            msg = "blocks are selected by integers and by slices without a step"
            raise SelectionError(msg)
        if span.count == 0:
            spans.append(Span(0, 1, 0))
            continue
        start = axis.start(span.start)
        last = span.start + span.count - 1
        stop = min(axis.start(last) + axis.size(last), axis.length)
        spans.append(Span(start, 1, stop - start))
    if blocks.reversed_axes:
        msg = "blocks cannot be selected backwards"
        raise SelectionError(msg)
    return Region(tuple(spans))


def read_basic(array: Array, selection: BasicSelection, out: NDArray[Any] | None) -> NDArray[Any]:
    """Reads a basic selection into given memory; see `Array.read`."""
    layout = array.layout
    region = parse_basic(selection, layout.metadata.shape)
    if out is not None and (out.shape, out.dtype) != (region.shape, layout.dtype):
        raise SelectionError(
            f"out is {out.shape} of {out.dtype}, and the selection {region.shape} of {layout.dtype}"
        )
    if out is not None and not out.flags.writeable:
        msg = "out is read-only"
        raise SelectionError(msg)
    return read_region(layout, region, out)


def select_by_name(array: Array, indexers: Mapping[str, object]) -> Any:
    """Reads a selection whose axes are named; see `Array.isel`."""
    return OrthogonalIndex(array)[indexers]


def _by_axis(array: Array, indexers: Mapping[Any, object]) -> tuple[object, ...]:
    """An index for each axis, from those of named dimensions."""
    names = array.dimension_names
    selection: list[object] = [slice(None)] * array.ndim
    for name, index in indexers.items():
        axes = [
            axis for axis, other in enumerate(names or ()) if name is not None and other == name
        ]
        if len(axes) != 1:
            known = ", ".join(repr(other) for other in names or () if other) or "no names"
            what = "two dimensions are named" if axes else "no dimension is named"
            raise SelectionError(f"{what} {name!r}", hint=f"The array has {known}")
        selection[axes[0]] = index
    return tuple(selection)


def parse_selection(array: Array, selection: Selection) -> Region | tuple[NDArray[np.intp], ...]:
    """What brackets mean, without reading: a region, or coordinates of elements for each axis.

    Raises:
        SelectionError: The selection does not fit the array.
    """
    if is_basic(selection):
        return parse_basic(selection, array.shape)
    if is_orthogonal(selection):
        return array.oindex.region(selection)
    return parse_points(selection, array.shape)


def is_basic(selection: Selection) -> TypeGuard[BasicSelection]:
    """Whether a selection has only integers, slices and ellipses."""
    indices = selection if isinstance(selection, tuple) else (selection,)
    return not any(
        isinstance(index, list | Mapping) or (isinstance(index, np.ndarray) and index.ndim > 0)
        for index in indices
    )


def is_orthogonal(selection: object) -> bool:
    """Whether brackets mean `oindex`: one array among slices, as in NumPy, or names."""
    if isinstance(selection, Mapping):
        return True
    indices = selection if isinstance(selection, tuple) else (selection,)
    arrays = [index for index in indices if isinstance(index, list | np.ndarray)]
    others = [index for index in indices if not isinstance(index, list | np.ndarray)]
    return (
        len(arrays) == 1
        and as_array(arrays[0]).ndim == 1
        and all(isinstance(index, slice) or index is Ellipsis for index in others)
    )
