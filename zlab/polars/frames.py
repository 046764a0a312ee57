"""Arrays as a stream of frames, one a chunk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
import polars as pl

from zlab.array import Array
from zlab.config import settings
from zlab.errors import MemoryBudgetError
from zlab.group import Group
from zlab.polars.columns import column, column_type
from zlab.stream.arguments import check_kind, whole_number
from zlab.stream.chunks import stream_chunks
from zlab.stream.stream import Stream
from zlab.stream.together import ZipStream

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from types import EllipsisType

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.polars.columns import ColumnType
    from zlab.stream.ahead import Halt
    from zlab.stream.chunks import ChunkStream
    from zlab.stream.tally import Tally


@final
@dataclass(frozen=True, eq=False, repr=False)
class Frames(Stream[pl.DataFrame]):
    """A `polars.DataFrame` a chunk, as a stream; see `frames`.

    Attributes:
        streams: The chunks of the array behind each column of values.
        coords: For each dimension its name, and its coordinates: an array, or `None` for
            positions.
        columns: The columns in their order.
        kinds: How the values of each column become one; positions are not among them.
    """

    kind: ClassVar[str] = "frames"

    streams: Mapping[str, ChunkStream]
    coords: tuple[tuple[str, Array | NDArray[Any] | None], ...]
    columns: tuple[str, ...]
    kinds: Mapping[str, ColumnType]

    @property
    def max_nchunks(self) -> int:
        """Chunks that an iteration visits at most."""
        return sum(stream.max_nchunks for stream in self.streams.values())

    @cached_property
    def _first(self) -> ChunkStream:
        return next(iter(self.streams.values()))

    @cached_property
    def schema(self) -> pl.Schema:
        """Names and types of the columns; nothing is read for it."""
        return pl.Schema(
            {
                name: self.kinds[name].dtype if name in self.kinds else pl.Int64()
                for name in self.columns
            }
        )

    def __repr__(self) -> str:
        columns = ", ".join(f"{name}: {dtype}" for name, dtype in self.schema.items())
        return f"<Frames [{columns}], at most {self._first.max_nchunks}, one a chunk>"

    def items(self, halt: Halt, tally: Tally) -> Generator[pl.DataFrame]:
        """One iteration."""
        coords = self._read_coords()
        together = ZipStream(self.layout, tuple(self.streams.values()))
        for chunks in together.items(halt, tally):
            region = chunks[0].region
            columns = {
                name: column(name, _spread(axis, region, *coords[name]), self.kinds.get(name))
                for axis, (name, _) in enumerate(self.coords)
                if name in coords
            }
            for name, chunk in zip(self.streams, chunks, strict=True):
                columns[name] = column(name, chunk.data.reshape(-1), self.kinds[name])
            yield pl.DataFrame([columns[name] for name in self.columns])

    def _read_coords(self) -> dict[str, tuple[NDArray[Any] | None, int]]:
        """For each coordinate that is a column its values, and at which position they begin."""
        coords: dict[str, tuple[NDArray[Any] | None, int]] = {}
        for (name, values), along in zip(self.coords, self._first.region, strict=True):
            if name in self.columns:
                coords[name] = None if values is None else values[along], along.start
        return coords


def _spread(
    axis: int, region: tuple[slice, ...], values: NDArray[Any] | None, start: int
) -> NDArray[Any]:
    """The coordinates of one dimension for every element of a region, in C order."""
    along = region[axis]
    if values is None:
        values = np.arange(along.start, along.stop)
    else:
        values = values[along.start - start : along.stop - start]
    shape = tuple([part.stop - part.start for part in region])
    behind = (1,) * (len(shape) - axis - 1)
    return np.broadcast_to(values.reshape(-1, *behind), shape).reshape(-1)


def frames(
    arrays: Array | Mapping[str, Array] | Group,
    *,
    coords: Mapping[str, Array | NDArray[Any]] | None = None,
    columns: str | Sequence[str] | None = None,
    region: slice | tuple[slice | EllipsisType, ...] | None = None,
    include_missing: bool = False,
    fill_to_null: bool | str | Sequence[str] = False,
    concurrency: int | None = None,
    max_bytes: int | None = None,
) -> Frames:
    """One `polars.DataFrame` a chunk: a row for each element, a column for each array.

    The columns of the dimensions come first, named by the array's dimension names, or `dim_0`,
    `dim_1` and so on; of a group that says in its attribute `column-order` which columns it has, as
    `zlab.polars.write` makes them, it is these. Numbers go into their column without a copy.

    Args:
        arrays: An array; arrays by column name; or a group of arrays, in which an array with one
            axis that is named like a dimension holds that dimension's coordinates. All must have
            one shape and be cut into the same chunks.
        coords: Coordinates by dimension name, each with one axis; without them, and without a
            group that has them, a dimension's column holds positions.
        columns: The columns that are wanted, in this order, or the name of one. Others are not
            read.
        region: What to read, as for `Array.stream_chunks`.
        include_missing: Make frames of chunks that are not stored too, full of the fill value.
            A chunk that only some of the arrays have is there in any case.
        fill_to_null: Make nulls of the value that stands for missing ones, in all arrays (`True`)
            or in those that are named: what their attribute `_FillValue` says, else the fill value,
            so that absent chunks are null too. NaN counts as equal to NaN. Coordinates stay as they
            are.
        concurrency: Chunks that are read at once.
        max_bytes: Decoded bytes that are held ahead; `zlab.settings.memory_budget` by default.

    Returns:
        A stream, to be iterated with `for` or `async for` any number of times. Its `schema` is
        known without reading.

    Raises:
        TypeError: An argument is not what its name says, such as a NumPy array for `arrays`.
        ValueError: The arrays do not fit each other or their coordinates, a column does not
            exist, or two would have one name.
        DataTypeError: Polars has no type that holds an array's values exactly.
        MetadataError: An attribute `_FillValue` is no value of its array.
        MemoryBudgetError: The coordinates are larger than the budget.
        SelectionError: The region is not inside the arrays.
        ChunkReadError: Raised by the iteration.

    Example:
        >>> import polars as pl, zlab
        >>> group = zlab.open_group("demo/climate.zarr")  # doctest: +SKIP
        >>> warm = [
        ...     f.filter(pl.col("t") > 300) for f in zlab.polars.frames(group)
        ... ]  # doctest: +SKIP
    """
    chosen = _parse_columns(columns, "columns")
    if chosen is None and isinstance(arrays, Group):
        chosen = column_order(arrays)
    values, coordinates = _parse_arrays(arrays, chosen)
    layouts = {name: array.layout for name, array in values.items()}
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
    twice = sorted(set(names) & set(layouts)) + [n for n in names if names.count(n) > 1]
    if twice:
        msg = f"two columns would be called {twice[0]!r}; pass the arrays by other names"
        raise ValueError(msg)
    wanted = (*names, *layouts) if chosen is None else chosen
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
    budget = whole_number(
        settings.memory_budget if max_bytes is None else max_bytes, "max_bytes", least=1
    )
    needed = sum(values.nbytes for name, values in axes if name in wanted and values is not None)
    if needed > budget:
        raise MemoryBudgetError(
            f"the coordinates need {needed} bytes, more than the {budget} that may be held",
            needed=needed,
            budget=budget,
            hint="Leave them out with columns=, or pass a larger max_bytes",
        )
    streams = {
        name: stream_chunks(
            layout,
            region=region,
            concurrency=concurrency,
            # the order in which streams of several arrays can be put together
            ordered=True if len(layouts) > 1 else None,
            include_missing=include_missing,
            max_bytes=max(1, budget // len(layouts)),
        )
        for name, layout in layouts.items()
    }
    return Frames(next(iter(layouts.values())), streams, axes, wanted, kinds)


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


def _check_aligned(layouts: Mapping[str, ArrayLayout]) -> tuple[str, ...]:
    """The dimensions' names, if all arrays have one shape and one grid of chunks."""
    (first, layout), *others = layouts.items()
    names = _dimensions(layout)
    for name, other in others:
        if other.metadata.shape != layout.metadata.shape:
            what = f"shapes {layout.metadata.shape} and {other.metadata.shape}"
        elif not _same_chunks(layout, other):
            what = f"chunks of different shapes, {_chunks(layout)} and {_chunks(other)}"
        elif _dimensions(other) != names and other.metadata.dimension_names is not None:
            what = f"dimensions {names} and {_dimensions(other)}"
        else:
            continue
        msg = (
            f"arrays {first!r} and {name!r} do not fit together: they have {what}. "
            "Choose those that do with columns="
        )
        raise ValueError(msg)
    return names


def _dimensions(layout: ArrayLayout) -> tuple[str, ...]:
    names = layout.metadata.dimension_names or (None,) * len(layout.metadata.shape)
    return tuple(name or f"dim_{axis}" for axis, name in enumerate(names))


def _chunks(layout: ArrayLayout) -> tuple[int, ...]:
    return layout.chunks.stored_shape((0,) * len(layout.metadata.shape))


def _same_chunks(one: ArrayLayout, other: ArrayLayout) -> bool:
    if one.chunks.chunk_shape is not None or other.chunks.chunk_shape is not None:
        return one.chunks.chunk_shape == other.chunks.chunk_shape
    return one.chunks.shape == other.chunks.shape and all(
        a.start(c) == b.start(c)
        for a, b in zip(one.chunks.axes, other.chunks.axes, strict=True)
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
