"""The arrays behind the columns of a table, checked against each other before anything is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from zlab.array import Array
from zlab.engine.layout import ArrayLayout
from zlab.errors import DataTypeError
from zlab.group import Group
from zlab.polars.columns import column_type, schema_of
from zlab.stream.arguments import check_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl
    from numpy.typing import NDArray

    from zlab.grid import Grid
    from zlab.polars.columns import ColumnType


_replaced: set[tuple[str, str]] = set()


@contextmanager
def replacing(store: str, path: str) -> Iterator[None]:
    """While it lasts, who reads what lies there is told so: it is about to be removed, or was.

    Args:
        store: The name of the store.
        path: The group's path.
    """
    place = store, path
    _replaced.add(place)
    try:
        yield
    finally:
        _replaced.discard(place)


def _check_stays(name: str, array: Array) -> None:
    for store, path in tuple(_replaced):
        below = f"{array.path}/".startswith(f"{path}/") or not path
        if array.store.name == store and below:
            msg = (
                f"array {name!r} lies in the table that zlab.polars.write(overwrite=True) replaces "
                "just now. Write the query's result elsewhere, or collect it first"
            )
            raise ValueError(msg)


@final
@dataclass(frozen=True, slots=True)
class Sources:
    """What the columns of a table are made of.

    Attributes:
        arrays: The arrays of one shape that hold values, by column name.
        axes: For each dimension its name, and its coordinates: an array, or `None` for positions.
        columns: The columns in their order, of values and of coordinates.
        kinds: How the values of a column become Polars'; positions have none.
        is_table: Whether a group says that they are the columns of one table.
    """

    arrays: Mapping[str, Array]
    axes: tuple[tuple[str, Array | NDArray[Any] | None], ...]
    columns: tuple[str, ...]
    kinds: Mapping[str, ColumnType]
    is_table: bool = False

    @classmethod
    def of(
        cls,
        arrays: Array | Mapping[str, Array] | Group,
        *,
        coords: Mapping[str, Array | NDArray[Any]] | None,
        columns: str | Sequence[str] | None,
        fill_to_null: bool | str | Sequence[str],
    ) -> Self:
        """From what a user says, as `zlab.polars.frames` tells it; nothing is read.

        Raises:
            TypeError: An argument is not what its name says.
            ValueError: The arrays do not fit each other or their coordinates, a column does not
                exist, or two would have one name.
            DataTypeError: Polars has no type that holds an array's values exactly.
            MetadataError: An attribute `_FillValue` is no value of its array.
        """
        order = column_order(arrays) if isinstance(arrays, Group) else None
        chosen = order if columns is None else _parse_columns(columns, "columns")
        values, coordinates = _parse_arrays(arrays, chosen)
        layouts = _layouts_of(values, is_table=order is not None)
        names = _check_aligned(layouts)
        coords = {} if coords is None else coords
        check_kind(coords, Mapping, "coords", "a mapping of coordinates by dimension name")
        for name in coords:
            if name not in names:
                msg = f"there is no dimension {name!r}; the dimensions are {', '.join(names)}"
                raise ValueError(msg)
        coordinates |= dict(coords)
        axes = tuple(
            (name, _check_coordinate(name, coordinates.get(name), n))
            for name, n in zip(names, next(iter(layouts.values())).metadata.shape, strict=True)
        )
        wanted = (*names, *layouts) if chosen is None else chosen
        twice = sorted(set(names) & set(layouts)) + [n for n in names if names.count(n) > 1]
        twice = [name for name in twice if name in wanted]
        if twice:
            msg = (
                f"two columns would be called {twice[0]!r}; pass the arrays by other names, or "
                "leave it out with columns="
            )
            raise ValueError(msg)
        unknown = [name for name in wanted if name not in names and name not in layouts]
        if unknown:
            msg = f"there is no column {unknown[0]!r}; there are {', '.join((*names, *layouts))}"
            raise ValueError(msg)
        nullable = _parse_nullable(fill_to_null, values)
        kinds = {
            name: column_type(array, f"array {name!r}", fill_to_null=name in nullable)
            for name, array in values.items()
        }
        for name, coordinate in axes:
            if coordinate is not None and name in wanted:
                kinds[name] = column_type(coordinate, f"coordinate {name!r}")
        return cls(values, axes, wanted, kinds, is_table=order is not None)

    def layouts(self) -> dict[str, ArrayLayout]:
        """The arrays as they are now, by column name.

        Raises:
            ValueError: They do not fit each other, or their coordinates, any more; or they are
                being replaced.
            DataTypeError: An array has another data type than it had.
            NodeNotFoundError: One was deleted.
        """
        for name, array in self.arrays.items():
            _check_stays(name, array)
        found = _layouts_of(self.arrays, is_table=self.is_table)
        _check_aligned(found)
        shape = next(iter(found.values())).metadata.shape
        for (name, values), n in zip(self.axes, shape, strict=True):
            _check_coordinate(name, values, n)
        for name, array in self.arrays.items():
            now = column_type(array, f"array {name!r}").dtype
            if now != self.kinds[name].dtype:
                raise DataTypeError(
                    f"array {name!r} is {now} now and was {self.kinds[name].dtype}",
                    hint="It was replaced since; describe the table again",
                )
        return found

    @property
    def schema(self) -> pl.Schema:
        """Names and types of the columns."""
        return schema_of(self.columns, self.kinds)


def _parse_columns(columns: str | Sequence[str] | None, what: str) -> tuple[str, ...] | None:
    if columns is None:
        return None
    check_kind(columns, Iterable, what, "a sequence of names")
    names = (columns,) if isinstance(columns, str) else tuple(columns)
    for place, name in enumerate(names):
        check_kind(name, str, f"{what}[{place}]", "the name of a column")
        if names.count(name) > 1:
            msg = f"{what} names {name!r} twice; pass it once"
            raise ValueError(msg)
    return names


def column_order(group: Group) -> tuple[str, ...] | None:
    """The columns that a group says it has; `None` where it does not, or they are not all there."""
    names = group.attrs.get("column-order")
    if not isinstance(names, list) or not names or not set(names) <= set(group.array_keys()):
        return None
    return tuple(names)


def _parse_nullable(
    fill_to_null: bool | str | Sequence[str],  # noqa: FBT001  as `frames` takes it
    arrays: Mapping[str, Array],
) -> frozenset[str]:
    """Names of the arrays whose missing values become null."""
    if isinstance(fill_to_null, (bool, np.bool_)):
        return frozenset(arrays if fill_to_null else ())
    names = frozenset(_parse_columns(fill_to_null, "fill_to_null") or ())
    for name in sorted(names - arrays.keys()):
        msg = f"fill_to_null names {name!r}; the arrays are {', '.join(arrays)}"
        raise ValueError(msg)
    return names


def _parse_arrays(
    arrays: Array | Mapping[str, Array] | Group, columns: tuple[str, ...] | None
) -> tuple[dict[str, Array], dict[str, Array | NDArray[Any]]]:
    """The arrays that are read by column name, and coordinates by dimension name."""
    if isinstance(arrays, Array):
        return {arrays.name or "value": arrays}, {}
    wanted = "a zlab.Array, a zlab.Group or a mapping of zlab.Array by column name"
    check_kind(arrays, (Group, Mapping), "arrays", wanted)
    members = dict(arrays.arrays() if isinstance(arrays, Group) else arrays)
    for name, array in members.items():
        check_kind(name, str, f"the name {name!r:.80} in arrays", "the name of a column, a str")
        check_kind(array, Array, f"arrays[{name!r:.80}]", "a zlab.Array")
    coordinates: dict[str, Array | NDArray[Any]] = {}
    if isinstance(arrays, Group):
        dimensions = {name for array in members.values() for name in array.dimension_names or ()}
        for name in list(members):
            if name in dimensions and members[name].ndim == 1:
                coordinates[name] = members.pop(name)
    if columns is None:
        chosen = members
    else:
        chosen = {name: array for name, array in members.items() if name in columns}
    if not chosen:
        msg = f"no column of values; there are {', '.join(members) or 'no arrays'}"
        raise ValueError(msg)
    return chosen, coordinates


def _layouts_of(arrays: Mapping[str, Array], *, is_table: bool) -> dict[str, ArrayLayout]:
    """The arrays as they are now; of a table the rows that all columns have.

    Row counts grow one after another: until all have, and where that was stopped, it is as it was.
    """
    layouts = {name: array.layout for name, array in arrays.items()}
    shapes = {layout.metadata.shape for layout in layouts.values()}
    if not is_table or len(shapes) == 1 or any(len(shape) != 1 for shape in shapes):
        return layouts
    return {
        name: ArrayLayout(
            layout.node_store,
            layout.path,
            replace(layout.metadata, shape=min(shapes)),
            layout.access,
        )
        for name, layout in layouts.items()
    }


def _check_aligned(layouts: Mapping[str, ArrayLayout]) -> tuple[str, ...]:
    """The dimensions' names, if all arrays have one shape."""
    (first, layout), *others = layouts.items()
    names = _dimensions(layout)
    for name, other in others:
        if other.metadata.shape != layout.metadata.shape:
            raise _misfit(first, name, f"shapes {layout.metadata.shape} and {other.metadata.shape}")
        if _dimensions(other) != names and other.metadata.dimension_names is not None:
            raise _misfit(first, name, f"dimensions {names} and {_dimensions(other)}")
    return names


def check_same_chunks(layouts: Mapping[str, ArrayLayout]) -> None:
    """Raises `ValueError` where arrays of one shape are not cut into the same chunks."""
    (first, layout), *others = layouts.items()
    for name, other in others:
        if not same_chunks(layout, other):
            what = f"chunks of different shapes, {_chunks(layout)} and {_chunks(other)}"
            raise _misfit(first, name, what)


def _misfit(one: str, other: str, what: str) -> ValueError:
    return ValueError(
        f"arrays {one!r} and {other!r} do not fit together: they have {what}. "
        "Choose those that do with columns="
    )


def _dimensions(layout: ArrayLayout) -> tuple[str, ...]:
    names = layout.metadata.dimension_names or (None,) * len(layout.metadata.shape)
    return tuple(name or f"dim_{axis}" for axis, name in enumerate(names))


def _chunks(layout: ArrayLayout) -> tuple[int, ...]:
    return layout.chunks.stored_shape((0,) * len(layout.metadata.shape))


def same_chunks(one: ArrayLayout, other: ArrayLayout) -> bool:
    """Whether two arrays of one shape are cut into the same chunks."""
    return same_cuts(one.chunks, other.chunks)


def same_cuts(one: Grid, other: Grid) -> bool:
    """Whether two grids on one shape are the same."""
    if one.chunk_shape is not None or other.chunk_shape is not None:
        return one.chunk_shape == other.chunk_shape
    return one.shape == other.shape and all(
        a.start(c) == b.start(c)
        for a, b in zip(one.axes, other.axes, strict=True)
        for c in range(a.nchunks)
    )


def _check_coordinate(
    name: str, values: Array | NDArray[Any] | None, n: int
) -> Array | NDArray[Any] | None:
    if values is None:
        return None
    coordinate = values if isinstance(values, Array) else np.asarray(values)
    if coordinate.shape != (n,):
        msg = f"the coordinates of {name!r} have shape {coordinate.shape}, not {(n,)}"
        raise ValueError(msg)
    return coordinate
