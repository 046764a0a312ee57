"""What zarr-python's indexers ask of a codec pipeline, as selections of zlab's. Pure.

An indexer hands out one item for each stored object (a chunk, or a shard): its key, what is taken
of it and where that goes. The engine plans for itself, so the selection that the items came from is
put together again: slices and integers make one box, points one list of points; arrays of indices
make a region for each item.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from zlab.engine.plan import split_axis
from zlab.engine.selection import Region, Span, parse_orthogonal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.engine.plan import Piece

Kind: TypeAlias = Literal["box", "orthogonal", "points"]


class Item(NamedTuple):
    """One stored object's part in a read or write, as zarr-python has it.

    Attributes:
        path: The object's store and key.
        spec: Its shape and more.
        selection: What is taken of it, one entry an axis.
        target: Where that lies in the output, as an index of NumPy.
        is_complete: It is all of the object that lies in the array.
    """

    path: Any
    spec: Any
    selection: Any
    target: Any
    is_complete: bool


def kind_of(item: Item) -> Kind | None:
    """How an item selects, `None` for a way that is not known here."""
    parts = item.selection
    if not isinstance(parts, tuple):
        return None
    if not isinstance(item.target, tuple):
        return "points" if all(isinstance(part, np.ndarray) for part in parts) else None
    if all(isinstance(part, slice | int | np.integer) for part in parts):
        return "box"
    if all(isinstance(part, slice | np.ndarray) for part in parts):
        return "orthogonal"
    return None


def box_of(layout: ArrayLayout, items: Sequence[Item]) -> Region | None:
    """The box that items with slices and integers make together; `None` where they make none.

    It is read off the first and the last item, and every item is checked against it.
    """
    first, last = items[0], items[-1]
    origin = layout.coords_of(first.path.path)
    if origin is None:
        return None
    axes = layout.objects.axes
    dropped = [k for k, part in enumerate(first.selection) if not isinstance(part, slice)]
    kept = [k for k in range(len(axes)) if k not in dropped]
    if not len(kept) == len(first.target) == len(last.target):
        return None
    stops = dict(zip(kept, last.target, strict=True))
    spans: list[Span] = []
    for k, part in enumerate(first.selection):
        begin = axes[k].start(origin[k])
        if isinstance(part, slice):
            start, _, step = part.indices(first.spec.shape[k])
            spans.append(Span(begin + start, step, stops[k].stop))
        else:
            spans.append(Span(begin + int(part), 1, 1))
    pieces = [list(split_axis(axis, span)) for axis, span in zip(axes, spans, strict=True)]
    if not _are_product(layout, items, pieces, kept):
        return None
    return Region(tuple(spans), dropped_axes=tuple(dropped))


def _are_product(
    layout: ArrayLayout, items: Sequence[Item], pieces: list[list[Piece]], kept: list[int]
) -> bool:
    """Whether the items are the pieces of each axis, combined in C order."""
    counts = [len(axis_pieces) for axis_pieces in pieces]
    if prod(counts) != len(items):
        return False
    selections: list[list[Any]] = []
    for k, axis_pieces in enumerate(pieces):
        stride = prod(counts[k + 1 :])
        line = [items[stride * i] for i in range(counts[k])]
        parts = [item.selection[k] for item in line]
        lengths = [item.spec.shape[k] for item in line]
        if not all(map(_takes, parts, lengths, axis_pieces)):
            return False
        selections.append(parts)
    targets = [[piece.target for piece in pieces[k]] for k in kept]
    coords = product(*([piece.chunk for piece in axis_pieces] for axis_pieces in pieces))
    expected = zip(coords, product(*selections), product(*targets), strict=True)
    store = items[0].path.store
    return all(
        item.selection == selection
        and item.target == target
        and item.path.path == layout.key(at)
        and item.path.store is store
        for item, (at, selection, target) in zip(items, expected, strict=True)
    )


def _takes(part: Any, length: int, piece: Piece) -> bool:
    """Whether a slice or integer takes what a piece says of an object of this length."""
    source = piece.source
    if not isinstance(source, slice):
        return False
    if isinstance(part, slice):
        return range(*part.indices(length)) == range(source.start, source.stop, source.step)
    return bool(part == source.start) and source.stop == source.start + 1


def region_of(layout: ArrayLayout, item: Item) -> Region | None:
    """The region that an item with slices and arrays of indices selects."""
    starts = _starts(layout, item)
    if starts is None:
        return None
    selection: list[slice | NDArray[Any]] = []
    for part, start, length in zip(item.selection, starts, item.spec.shape, strict=True):
        if isinstance(part, slice):
            inside = range(*part.indices(length))
            selection.append(slice(start + inside.start, start + inside.stop, inside.step))
        else:
            indices = np.flatnonzero(part) if part.dtype == bool else part.reshape(-1)
            selection.append(indices + start)
    return parse_orthogonal(tuple(selection), layout.metadata.shape)


def points_of(
    layout: ArrayLayout, items: Sequence[Item]
) -> tuple[tuple[NDArray[np.intp], ...], NDArray[np.intp]] | None:
    """The points that items select together: their indices, and their places in the output."""
    indices: list[list[NDArray[np.intp]]] = [[] for _ in items[0].selection]
    places: list[NDArray[np.intp]] = []
    for item in items:
        starts = _starts(layout, item)
        if starts is None:
            return None
        for axis, (part, start) in enumerate(zip(item.selection, starts, strict=True)):
            indices[axis].append(np.asarray(part, np.intp) + start)
        target = item.target
        if isinstance(target, slice):
            target = np.arange(target.start, target.stop)
        places.append(np.asarray(target, np.intp))
    return tuple(map(np.concatenate, indices)), np.concatenate(places)


def _starts(layout: ArrayLayout, item: Item) -> list[int] | None:
    """Where in the array an item's object begins; `None` where its key is none of the array's."""
    coords = layout.coords_of(item.path.path)
    if coords is None:
        return None
    return [axis.start(c) for axis, c in zip(layout.objects.axes, coords, strict=True)]
