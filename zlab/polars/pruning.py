"""Which blocks of a table a predicate leaves: told from coordinates, and from statistics."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from zlab import stats
from zlab.errors import DataTypeError, MetadataError, StoreError
from zlab.grid.grid import RegularAxis
from zlab.polars.blocks import edges_of, ends_of
from zlab.polars.bounds import flag_bounds, position_bounds, value_bounds
from zlab.polars.columns import column
from zlab.polars.parse import parse_predicate
from zlab.polars.predicates import concatenated, taken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from zlab.array import Array
    from zlab.grid import Grid
    from zlab.polars.blocks import Wanted
    from zlab.polars.columns import ColumnType
    from zlab.polars.parse import Parsed
    from zlab.polars.predicates import Bounds, Predicate
    from zlab.polars.rows import Coordinate
    from zlab.stats import ChunkStats

_MOST_ALONG = 1 << 22  # blocks of an axis of which bounds are looked at
_GROUPS = 1 << 16  # into which the blocks of a longer axis are put first
_MOST_NUMBERED = 2**63 - 1
_MOST = 1 << 24  # blocks in all that are looked at one by one
_AT_ONCE = 1 << 17
_PIECE = 1 << 20  # coordinates that are looked at together

AxisBounds: TypeAlias = "dict[str, tuple[int, Bounds]]"


def prune(
    wanted: Wanted,
    predicate: pl.Expr,
    schema: pl.Schema,
    coordinates: Mapping[str, tuple[int, Coordinate]],
    arrays: Mapping[str, Array],
    kinds: Mapping[str, ColumnType],
) -> Wanted:
    """The wanted blocks that may hold rows that a predicate keeps.

    Args:
        wanted: All blocks, or the first.
        predicate: Of the table.
        schema: Of the table.
        coordinates: By column name, with the axis that they are of.
        arrays: Of values, whose chunks are the blocks.
        kinds: How values become columns.
    """
    valued = [name for name, (_, found) in coordinates.items() if found.values is not None]
    parsed = parse_predicate(predicate, schema, valued)
    tree = parsed.tree
    if not tree.columns or not wanted.stop or wanted.grid.nchunks > _MOST_NUMBERED:
        return wanted
    numbers = [_candidates(axis, wanted, tree, coordinates) for axis in range(len(wanted.box))]
    if max(map(len, numbers), default=0) > _MOST:
        return wanted
    candidates = [np.asarray(each) for each in numbers]
    along = _along_axes(wanted.grid, candidates, parsed, coordinates, kinds)
    kept = [np.arange(len(each)) for each in candidates]
    for axis in {axis for axis, _ in along.values()}:
        here = {name: bounds for name, (of, bounds) in along.items() if of == axis}
        kept[axis] = np.flatnonzero(tree.may_match(len(candidates[axis]), here))
    if prod(map(len, kept)) > _MOST:
        return wanted
    known = _statistics(arrays, tree, kinds)
    box = tuple(
        range(int(each[places[0]]), int(each[places[-1]]) + 1) if len(places) else range(0)
        for each, places in zip(candidates, kept, strict=True)
    )
    places = _places(wanted, candidates, kept, box, tree, along, known, kinds)
    return replace(wanted, box=box, numbers=places)


def _candidates(
    axis: int,
    wanted: Wanted,
    predicate: Predicate,
    coordinates: Mapping[str, tuple[int, Coordinate]],
) -> range | NDArray[np.int64]:
    """The blocks along an axis that are looked at; of very many those that positions leave.

    Many blocks that lie beside each other are looked at as one first.
    """
    numbers, cut = wanted.box[axis], wanted.grid.axes[axis]
    names = [
        name
        for name in predicate.columns & coordinates.keys()
        if coordinates[name][0] == axis and coordinates[name][1].values is None
    ]
    if len(numbers) <= _MOST_ALONG or not names or not isinstance(cut, RegularAxis):
        return numbers
    # groups of a power of two, then the halves, or smaller parts, of those that are left
    size = 1 << (-(-len(numbers) // _GROUPS) - 1).bit_length()
    groups = np.arange(0, len(numbers), size)
    while True:
        stops = np.minimum((groups + size) * cut.chunk, cut.length)
        bounds = position_bounds(groups * cut.chunk, stops)
        groups = groups[predicate.may_match(len(groups), dict.fromkeys(names, bounds))]
        if size == 1:
            return groups
        if 2 * len(groups) > _MOST_ALONG:
            return numbers
        parts = min(size, 2 << (_GROUPS // max(1, len(groups))).bit_length())
        size //= parts
        groups = (groups[:, None] + np.arange(parts) * size).reshape(-1)
        groups = groups[groups < len(numbers)]


def _along_axes(
    grid: Grid,
    candidates: list[NDArray[np.int64]],
    parsed: Parsed,
    coordinates: Mapping[str, tuple[int, Coordinate]],
    kinds: Mapping[str, ColumnType],
) -> AxisBounds:
    """Bounds in the blocks along each axis of what the predicate asks about coordinates."""
    found: AxisBounds = {}
    for name in parsed.tree.columns:
        coordinate_name, expr = parsed.flags.get(name, (name, None))
        if coordinate_name not in coordinates:
            continue
        axis, coordinate = coordinates[coordinate_name]
        if len(candidates[axis]) > _MOST_ALONG:
            continue
        if coordinate.values is None:
            found[name] = axis, position_bounds(*ends_of(grid.axes[axis], candidates[axis]))
        elif expr is not None:
            edges = edges_of(grid.axes[axis], range(grid.axes[axis].nchunks))
            # an error of the predicate is raised by the rows that it meets, if it meets them
            with suppress(PolarsError, DataTypeError):
                kind = kinds[coordinate_name]
                found[name] = axis, _flag_bounds(coordinate, expr, edges, coordinate_name, kind)
    return found


def _flag_bounds(
    coordinate: Coordinate,
    expr: pl.Expr,
    edges: NDArray[np.int64],
    name: str,
    kind: ColumnType,
) -> Bounds:
    """Bounds of a function of coordinates, of which some are held at a time."""
    parts: list[Bounds] = []
    first, last = 0, len(edges) - 1
    while first < last:
        until = int(np.searchsorted(edges, edges[first] + _PIECE, side="right")) - 1
        until = min(max(until, first + 1), last)
        start = int(edges[first])
        values = column(name, coordinate.at(start, int(edges[until])), kind)
        flags = pl.DataFrame([values]).select(expr.alias(name)).to_series()
        parts.append(flag_bounds(flags, edges[first : until + 1] - start))
        first = until
    return concatenated(parts)


def _statistics(
    arrays: Mapping[str, Array], predicate: Predicate, kinds: Mapping[str, ColumnType]
) -> dict[str, ChunkStats]:
    """Statistics of the arrays that the predicate asks about, as far as there are some."""
    found = {}
    for name in predicate.columns & arrays.keys():
        array = arrays[name]
        # where an absent chunk is an error, it is one in a scan too
        if kinds[name].categories is not None or array.layout.access.missing == "raise":
            continue
        try:
            statistics = stats.read(array)
        except DataTypeError:
            continue
        except (MetadataError, StoreError) as error:
            # damaged, or in a store that cannot be listed: what they would save is read
            text = f"statistics of {name!r} cannot be used, and more is read: {error}"
            warnings.warn(text, RuntimeWarning, stacklevel=2)
            continue
        if statistics is not None:
            found[name] = statistics
    return found


def _places(
    wanted: Wanted,
    candidates: list[NDArray[np.int64]],
    kept: list[NDArray[np.int64]],
    box: tuple[range, ...],
    predicate: Predicate,
    along: AxisBounds,
    known: Mapping[str, ChunkStats],
    kinds: Mapping[str, ColumnType],
) -> NDArray[np.int64]:
    """The places in a box of the blocks that are left of those along each axis."""
    shape = tuple(len(numbers) for numbers in kept)
    places = []
    for start in range(0, prod(shape), _AT_ONCE):
        at = np.arange(start, min(start + _AT_ONCE, prod(shape)))
        inside = np.unravel_index(at, shape) if shape else ()
        looked_at = [each[part] for each, part in zip(kept, inside, strict=True)]
        coords = [each[part] for each, part in zip(candidates, looked_at, strict=True)]
        chunks, here = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
        for number, n, r in zip(coords, wanted.grid.shape, box, strict=True):
            chunks = chunks * n + number
            here = here * len(r) + (number - r.start)
        bounds = {name: taken(one, looked_at[axis]) for name, (axis, one) in along.items()}
        for name, statistics in known.items():
            try:
                bounds[name] = value_bounds(statistics, chunks, kinds[name])
            except DataTypeError:
                continue  # the column cannot hold a value, which reading it tells
        left = predicate.may_match(len(at), bounds) & (chunks < wanted.stop)
        places.append(here[left])
    return np.concatenate(places) if places else np.zeros(0, np.int64)
