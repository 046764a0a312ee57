"""Arrays as a `polars.LazyFrame`: what a query does not need is not read."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import polars as pl
from polars.io.plugins import register_io_source

from zlab.config import settings
from zlab.polars.blocks import Wanted, block_grid, read_blocks
from zlab.polars.pruning import prune
from zlab.polars.rows import Coordinate, rows_of
from zlab.polars.sources import Sources, same_cuts
from zlab.stream.arguments import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from zlab.array import Array
    from zlab.group import Group

_BATCH = 1 << 16  # rows of a frame, where Polars asks for no number


def scan(
    arrays: Array | Mapping[str, Array] | Group,
    *,
    coords: Mapping[str, Array | NDArray[Any]] | None = None,
    columns: str | Sequence[str] | None = None,
    fill_to_null: bool | str | Sequence[str] = False,
    concurrency: int | None = None,
    max_bytes: int | None = None,
) -> pl.LazyFrame:
    """A lazy table of arrays: a row for each element, a column for each array and dimension.

    When it is collected, only those columns are read that the query needs, only as many rows as it
    takes from the top, and only the chunks that can hold rows which its filters keep. Filters on
    coordinates always choose among chunks; those on values do where `zlab.stats.build` was called
    for the array. Each row is then tested, so a filter's result is the same with or without.

    The rows come chunk by chunk in C order of the chunk grid, and in C order within each chunk.
    Chunks that are not stored are there, full of the fill value.

    Args:
        arrays: An array; arrays by column name; or a group of arrays, in which an array with one
            axis that is named like a dimension holds that dimension's coordinates. All must have
            one shape. Those that are cut into different chunks are read by the boxes that hold
            whole chunks of each.
        coords: Coordinates by dimension name, each with one axis: arrays of zlab or NumPy; without
            them, and without a group that has them, a dimension's column holds positions.
        columns: The columns that the table has, in this order, or the name of one.
        fill_to_null: Make nulls of the value that stands for missing ones, as for `frames`.
        concurrency: Chunks that are read at once.
        max_bytes: Decoded bytes that are held ahead; `zlab.settings.memory_budget` by default.

    Returns:
        A frame whose schema is known without reading. It can be collected any number of times,
        also at once; each collect sees the arrays as they are stored then.

    Raises:
        TypeError: An argument is not what its name says.
        ValueError: The arrays do not fit each other or their coordinates, a column does not
            exist, or two would have one name.
        DataTypeError: Polars has no type that holds an array's values exactly.
        MetadataError: An attribute `_FillValue` is no value of its array.
        ChunkReadError: Raised by `collect`; a filter may leave out the chunk.

    Example:
        >>> import numpy as np, polars as pl, zlab
        >>> array = zlab.create_array(
        ...     {},
        ...     data=np.arange(6.0).reshape(2, 3),
        ...     chunks=(1, 3),
        ...     dimension_names=("time", "x"),
        ... )
        >>> table = zlab.polars.scan({"t": array}, coords={"time": np.array([2020, 2021])})
        >>> table.filter(pl.col("time") == 2021).select("x", "t").collect().rows()
        [(0, 3.0), (1, 4.0), (2, 5.0)]
    """
    sources = Sources.of(arrays, coords=coords, columns=columns, fill_to_null=fill_to_null)
    if concurrency is not None:
        concurrency = whole_number(concurrency, "concurrency", least=1)
    if max_bytes is not None:
        max_bytes = whole_number(max_bytes, "max_bytes", least=1)
    source = _Source(sources, concurrency, max_bytes)
    names = ", ".join(sources.arrays)
    store = next(iter(sources.arrays.values())).store.name
    told = {"explain_name": "zlab", "explain_detail": f"{names} of {store}"}
    known = inspect.signature(register_io_source).parameters
    told = {name: text for name, text in told.items() if name in known}
    return register_io_source(source, schema=sources.schema, **told)  # type: ignore[arg-type]


@final
@dataclass(frozen=True, slots=True)
class _Source:
    """What Polars calls for each collect.

    Attributes:
        sources: Behind the columns.
        concurrency: As for `scan`.
        max_bytes: As for `scan`.
    """

    sources: Sources
    concurrency: int | None
    max_bytes: int | None

    def __call__(
        self,
        with_columns: list[str] | None,
        predicate: pl.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        """The rows that are left of the first `n_rows`, some at a time."""
        sources, schema = self.sources, self.sources.schema
        given = list(sources.columns if with_columns is None else with_columns)
        tested = [] if predicate is None else predicate.meta.root_names()
        needed = [name for name in schema if name in given or name in tested]
        arrays = {name: array for name, array in sources.arrays.items() if name in needed}
        layouts = sources.layouts()
        max_bytes = settings.memory_budget if self.max_bytes is None else self.max_bytes
        read = {name: layouts[name] for name in arrays}
        grid = block_grid(list((read or layouts).values()), max_bytes // 8)
        wanted = Wanted.rows(grid, n_rows)
        coordinates = {
            name: (axis, Coordinate(values))
            for axis, (name, values) in enumerate(sources.axes)
            if name in needed
        }
        if predicate is not None:
            in_blocks = {name: arrays[name] for name in read if same_cuts(read[name].chunks, grid)}
            wanted = prune(wanted, predicate, schema, coordinates, in_blocks, sources.kinds)
        n = batch_size or _BATCH
        pending: list[pl.DataFrame] = []
        held = 0
        for region, values in read_blocks(
            read, wanted, concurrency=self.concurrency, max_bytes=max_bytes
        ):
            limit = wanted.cut[1] if wanted.cut is not None and wanted.cut[0] == region else None
            by_name = dict(zip(read, values, strict=True))
            for frame in rows_of(region, by_name, coordinates, sources.kinds, n=n, limit=limit):
                pending.append(frame)
                held += len(frame)
                if held >= n:
                    yield _finished(pending, given, predicate)
                    pending, held = [], 0
        if pending:
            yield _finished(pending, given, predicate)


def _finished(
    frames: list[pl.DataFrame], columns: list[str], predicate: pl.Expr | None
) -> pl.DataFrame:
    frame = frames[0] if len(frames) == 1 else pl.concat(frames, rechunk=False)
    if predicate is not None:
        frame = frame.filter(predicate)
    return frame.select(columns)
