"""Changing the length of an array: data before metadata, and nothing stale left behind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from zlab.engine.cache import replacing
from zlab.engine.inventory import stored_objects
from zlab.engine.layout import ArrayLayout
from zlab.engine.nodes import write_shape
from zlab.engine.selection import Region, Span
from zlab.engine.write import write_region
from zlab.errors import MetadataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def resized(layout: ArrayLayout, shape: tuple[int, ...]) -> None:
    """Gives an array another shape.

    What lies outside a smaller shape is removed: whole chunks are deleted, and in chunks that
    stay it becomes fill, so that it does not come back when the array grows again.

    Args:
        layout: As it is.
        shape: As it is to be.

    Raises:
        MetadataError: The number of axes differs, a length is negative, or the chunk grid does
            not reach that far.
    """
    if len(shape) != len(layout.metadata.shape) or any(n < 0 for n in shape):
        msg = f"cannot resize from {layout.metadata.shape} to {shape}"
        raise MetadataError(msg, store=layout.store.name, key=layout.path)
    _with_shape(layout, shape)  # raises where it cannot be
    if any(new < old for new, old in zip(shape, layout.metadata.shape, strict=True)):
        _clear_outside(layout, shape)
    write_shape(layout.node_store, layout.path, layout.metadata.zarr_format, shape)


def _with_shape(layout: ArrayLayout, shape: tuple[int, ...]) -> ArrayLayout:
    metadata = replace(layout.metadata, shape=shape)
    return ArrayLayout(layout.node_store, layout.path, metadata, layout.access)


def _clear_outside(layout: ArrayLayout, shape: tuple[int, ...]) -> None:
    # what is stored is listed: of a sparse array that is far less than what it has room for
    for coords, _ in list(stored_objects(layout)):
        region = layout.objects.region(coords)
        if any(part.start >= n for part, n in zip(region, shape, strict=True)):
            with replacing(layout.store, layout.key(coords)):
                layout.store.delete(layout.key(coords))
            continue
        for axis, (part, n) in enumerate(zip(region, shape, strict=True)):
            if part.stop <= n:
                continue
            spans = [Span(other.start, 1, other.stop - other.start) for other in region]
            spans[axis] = Span(n, 1, part.stop - n)
            fill = np.asarray(layout.fill, layout.dtype)
            write_region(layout, Region(tuple(spans)), fill, write_empty_chunks=False)


def appended(layout: ArrayLayout, data: ArrayLike, axis: int) -> tuple[int, ...]:
    """Adds data at the end of an axis: the chunks first, then the shape.

    Args:
        layout: As it is.
        data: Of the array's shape but along `axis`.
        axis: Which axis grows.

    Returns:
        The new shape.

    Raises:
        MetadataError: The shapes do not fit, or there is no such axis.
    """
    values = np.asarray(data)
    shape = layout.metadata.shape
    if not -len(shape) <= axis < len(shape):
        msg = f"axis {axis} of an array with {len(shape)} axes"
        raise MetadataError(msg, store=layout.store.name, key=layout.path)
    axis %= len(shape)
    if values.ndim != len(shape) or any(
        a != b for d, (a, b) in enumerate(zip(values.shape, shape, strict=True)) if d != axis
    ):
        msg = f"cannot append data of shape {values.shape} to axis {axis} of shape {shape}"
        raise MetadataError(msg, store=layout.store.name, key=layout.path)
    longer = tuple(n + values.shape[axis] if d == axis else n for d, n in enumerate(shape))
    grown = _with_shape(layout, longer)
    spans = [Span(0, 1, n) for n in values.shape]
    spans[axis] = Span(shape[axis], 1, values.shape[axis])
    write_region(grown, Region(tuple(spans)), values, write_empty_chunks=False)
    write_shape(layout.node_store, layout.path, layout.metadata.zarr_format, longer)
    return longer
