"""Arrays as a stream of frames, one a chunk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast, final

import numpy as np
import polars as pl

from zlab.config import settings
from zlab.errors import MemoryBudgetError
from zlab.polars.columns import column, schema_of
from zlab.polars.rows import spread_along
from zlab.polars.sources import Sources, check_same_chunks
from zlab.stream.arguments import whole_number
from zlab.stream.chunks import stream_chunks
from zlab.stream.stream import Stream
from zlab.stream.together import ZipStream

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from types import EllipsisType

    from numpy.typing import NDArray

    from zlab.array import Array
    from zlab.group import Group
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
    def item_nbytes(self) -> int:
        """Decoded bytes of the largest frame, the columns of coordinates included."""
        itemsizes = {name: 8 if values is None else values.itemsize for name, values in self.coords}
        beside = sum(itemsizes[name] for name in self.columns if name in itemsizes)
        rows = self._first.item_nbytes // max(1, self._first.layout.dtype.itemsize)
        return rows * beside + sum(stream.item_nbytes for stream in self.streams.values())

    @property
    def least_nbytes(self) -> int:
        """Decoded bytes that must be held at once."""
        return self._together.least_nbytes

    @property
    def max_bytes(self) -> int:
        """Decoded bytes that are in flight or wait for the consumer, at most."""
        return self._together.max_bytes

    def within(self, max_bytes: int) -> Self:
        """The same frames with so many bytes to hold."""
        parts = cast("tuple[ChunkStream, ...]", self._together.within(max_bytes).streams)
        return replace(self, streams=dict(zip(self.streams, parts, strict=True)))

    @cached_property
    def _together(self) -> ZipStream:
        return ZipStream(self.layout, tuple(self.streams.values()))

    @cached_property
    def _first(self) -> ChunkStream:
        return next(iter(self.streams.values()))

    @cached_property
    def schema(self) -> pl.Schema:
        """Names and types of the columns; nothing is read for it."""
        return schema_of(self.columns, self.kinds)

    def __repr__(self) -> str:
        columns = ", ".join(f"{name}: {dtype}" for name, dtype in self.schema.items())
        return f"<Frames [{columns}], at most {self._first.max_nchunks}, one a chunk>"

    def items(self, halt: Halt, tally: Tally) -> Generator[pl.DataFrame]:
        """One iteration."""
        coords = self._read_coords()
        for chunks in self._together.items(halt, tally):
            region = chunks[0].region
            columns = {
                name: column(name, _spread(axis, region, *coords[name]), self.kinds.get(name))
                for axis, (name, _) in enumerate(self.coords)
                if name in coords
            }
            for name, chunk in zip(self.streams, chunks, strict=True):
                columns[name] = column(name, chunk.data.reshape(-1), self.kinds[name])
            yield pl.DataFrame({name: columns[name] for name in self.columns})

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
    return spread_along(values, axis, tuple([part.stop - part.start for part in region]))


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
    sources = Sources.of(arrays, coords=coords, columns=columns, fill_to_null=fill_to_null)
    layouts = sources.layouts()
    check_same_chunks(layouts)
    budget = whole_number(
        settings.memory_budget if max_bytes is None else max_bytes, "max_bytes", least=1
    )
    needed = sum(
        values.nbytes
        for name, values in sources.axes
        if name in sources.columns and values is not None
    )
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
    return Frames(
        next(iter(layouts.values())), streams, sources.axes, sources.columns, sources.kinds
    )
