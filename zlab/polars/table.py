"""A table in a store: a group of arrays with one axis, one length and one grid of chunks.

Rows are added in blocks of whole chunks (of sharded arrays, whole shards), column by column. The
lengths in the arrays' metadata are changed last, when all is there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast, final

import polars as pl

from zlab.array.plan import plan_array
from zlab.engine.layout import ArrayLayout
from zlab.engine.nodes import write_shape
from zlab.engine.selection import Region, Span
from zlab.engine.write import write_region
from zlab.errors import MemoryBudgetError, NodeNotFoundError, StoreNotFoundError
from zlab.group.doors import create_hierarchy, open_group
from zlab.metadata import GroupMetadata
from zlab.polars.sources import column_order
from zlab.stream.budget import Account

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from zlab.array import Array
    from zlab.array.plan import CodecsLike
    from zlab.group import Group
    from zlab.polars.values import ColumnValues
    from zlab.stores.open import StoreLike

_CHUNK_NBYTES = 1 << 20
_BLOCK_NBYTES = 16 << 20  # rows that are encoded together, so that all cores have chunks
_BATCH_NBYTES = 1 << 20
_COPIES = 3  # the rows as they came, put together, and as NumPy's


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """How a user wants a table to be cut.

    Attributes:
        chunks: Rows of a chunk, `None` for any.
        shards: Rows of a shard, `None` for no shards.
        compressors: As `zlab.create_array` takes them.
        dimension: The name of the one dimension.
        height: Rows that there will ever be, `None` where that is not known.
    """

    chunks: int | None
    shards: int | None
    compressors: CodecsLike | Literal["auto"]
    dimension: str
    height: int | None

    def chunk_rows(self, columns: Sequence[ColumnValues]) -> int:
        """Rows of a chunk.

        Raises:
            ValueError: Shards were asked for, and not what they consist of.
        """
        if self.chunks is not None:
            return self.chunks
        if self.shards is not None:
            msg = "shards= needs chunks=, the rows of an inner chunk"
            raise ValueError(msg)
        rows = max(1, _CHUNK_NBYTES // max(column.row_nbytes for column in columns))
        return min(rows, self.height or rows)

    def object_rows(self, columns: Sequence[ColumnValues]) -> int:
        """Rows of a stored object."""
        return self.shards or self.chunk_rows(columns)


@final
class Table:
    """A table that rows are added to.

    Args:
        group: Where it is.
        columns: How its columns are stored.
        budget: Bytes that may be held at once.

    Attributes:
        group: Where it is.
        object_rows: Rows of a stored object.

    Raises:
        MemoryBudgetError: The rows of one stored object are more than the budget.
    """

    def __init__(self, group: Group, columns: Sequence[ColumnValues], budget: int) -> None:
        self.group = group
        self._columns = columns
        self._layouts = [group.array(column.name).writable_layout() for column in columns]
        self._height = self._layouts[0].metadata.shape[0]
        (self.object_rows,) = self._layouts[0].objects.chunk_shape or (1,)
        self._row_nbytes = sum(column.row_nbytes for column in columns)
        self._account = Account(budget)
        check_budget(columns, self.object_rows, budget)
        fits = min(_BLOCK_NBYTES, budget // _COPIES) // (self.object_rows * self._row_nbytes)
        self._block_rows = self.object_rows * max(1, fits)

    def append(self, batches: Iterable[pl.DataFrame]) -> None:
        """Adds rows; none is there before all are.

        Raises:
            ConversionError: A value cannot be stored.
            ChunkWriteError: A chunk could not be put.
        """
        stop = self._height
        # what is stored in part already is filled up first
        first = self._block_rows - self._height % self.object_rows
        try:
            for block in blocks(batches, first, self._block_rows):
                with self._account.holding(block.height * self._row_nbytes):
                    self._write(block, stop)
                stop += block.height
        except BaseException as error:
            error.add_note(f"No row was added: the table has {self._height}, as before")
            raise
        for column in self._columns:
            # categories that came with the rows
            array, attributes = self.group.array(column.name), column.attributes()
            if attributes != {name: array.attrs.get(name) for name in attributes}:
                array.update_attributes(attributes)
        try:
            for layout in self._layouts:
                write_shape(layout.node_store, layout.path, layout.metadata.zarr_format, (stop,))
        except BaseException as error:
            error.add_note(
                f"All rows are there, and some columns say that they have {stop}, others still "
                f"{self._height}: resize all to {self._height}, and append again"
            )
            raise

    def _write(self, block: pl.DataFrame, start: int) -> None:
        region = Region((Span(start, 1, block.height),))
        for column, layout in zip(self._columns, self._layouts, strict=True):
            longer = replace(layout.metadata, shape=(start + block.height,))
            grown = ArrayLayout(layout.node_store, layout.path, longer, layout.access)
            values = column.encode(block[column.name])
            # rows are there as long as their chunk is: a stream of frames leaves out absent ones
            write_region(grown, region, values, write_empty_chunks=True)


def check_budget(columns: Sequence[ColumnValues], rows: int, budget: int) -> None:
    """Raises `MemoryBudgetError` where rows that are stored together are more than may be held."""
    needed = _COPIES * rows * sum(column.row_nbytes for column in columns)
    if needed > budget:
        raise MemoryBudgetError(
            f"{rows} rows are stored together, for which {needed} bytes are held, more than the "
            f"{budget} that may be",
            needed=needed,
            budget=budget,
            hint="Pass smaller chunks= (or shards=), or a larger max_bytes",
        )


def batch_rows(columns: Sequence[ColumnValues], rows: int) -> int:
    """Rows that a table is best given at once: several batches wait while one is written.

    Args:
        columns: Of the table.
        rows: Of a stored object.
    """
    return max(1, min(rows, _BATCH_NBYTES // sum(column.row_nbytes for column in columns)))


def plan_table(
    columns: Sequence[ColumnValues], wanted: Layout, budget: int, attributes: Mapping[str, Any]
) -> dict[str, Any]:
    """The metadata of a new table without rows, by path in its group. Pure.

    Raises:
        MetadataError: What was asked for cannot be.
        MemoryBudgetError: The rows of one stored object are more than the budget.
    """
    chunks = wanted.chunk_rows(columns)
    check_budget(columns, wanted.object_rows(columns), budget)
    nodes: dict[str, Any] = {
        "": GroupMetadata(3, {**attributes, "column-order": [each.name for each in columns]})
    }
    for column in columns:
        nodes[column.name] = plan_array(
            shape=0,
            dtype=column.data_type,
            chunks=chunks,
            shards=wanted.shards,
            compressors=wanted.compressors,
            fill_value=column.fill,
            attributes=column.attributes(),
            dimension_names=(wanted.dimension,),
        )
    return nodes


def create_table(
    store: StoreLike,
    path: str,
    nodes: Mapping[str, Any],
    columns: Sequence[ColumnValues],
    budget: int,
    *,
    overwrite: bool,
    storage_options: Mapping[str, Any] | None,
) -> Table:
    """A new table, as `plan_table` has it. All is checked before anything is written.

    Raises:
        NodeExistsError: Something is there, and `overwrite` is false.
        MetadataError: A name cannot be.
    """
    made = create_hierarchy(
        store, nodes, path=path, overwrite=overwrite, storage_options=storage_options
    )
    return Table(cast("Group", made[""]), columns, budget)


def find_table(
    store: StoreLike,
    path: str,
    columns: Sequence[ColumnValues],
    wanted: Layout,
    budget: int,
    storage_options: Mapping[str, Any] | None,
) -> Table | None:
    """The table that is there, if rows of these columns can be added; `None` where there is none.

    Raises:
        ValueError: It has other columns, or is cut otherwise than was asked for.
    """
    try:
        group = open_group(
            store, path=path, mode="r+", consolidated=False, storage_options=storage_options
        )
    except (NodeNotFoundError, StoreNotFoundError):
        return None
    names = column_order(group) or tuple(group.array_keys())
    given = [column.name for column in columns]
    if set(names) != set(given):
        msg = f"the table has the columns {', '.join(names)}, and the frame {', '.join(given)}"
        raise ValueError(msg)
    arrays = {name: group.array(name) for name in names}
    _check_one_table(arrays)
    for column in columns:
        array = arrays[column.name]
        _check_same(array, column, wanted)
        column.go_on(dict(array.attrs))
    return Table(group, columns, budget)


def _check_one_table(arrays: Mapping[str, Array]) -> None:
    (first, one), *others = arrays.items()
    for name, array in arrays.items():
        if array.ndim != 1 or array.layout.objects.chunk_shape is None:
            msg = f"{name!r} is no column: it has {array.ndim} axes, or chunks of many sizes"
            raise ValueError(msg)
    for name, array in others:
        if array.layout.objects.chunk_shape != one.layout.objects.chunk_shape:
            msg = f"{first!r} and {name!r} are cut into different chunks or shards"
            raise ValueError(msg)
        if array.shape != one.shape:
            n = min(array.shape[0] for array in arrays.values())
            msg = (
                f"{first!r} has {one.shape[0]} rows and {name!r} {array.shape[0]}: a write was "
                f"stopped at its very end. Resize all columns to {n} and append what is missing"
            )
            raise ValueError(msg)


def _check_same(array: Array, column: ColumnValues, wanted: Layout) -> None:
    """Raises `ValueError` where a column is stored otherwise than it would be."""
    planned = plan_array(
        shape=0,
        dtype=column.data_type,
        chunks=array.chunks if wanted.chunks is None else wanted.chunks,
        shards=array.shards if wanted.shards is None else wanted.shards,
        compressors=wanted.compressors,
        fill_value=column.fill,
    )
    there = array.metadata
    if planned.data_type != there.data_type:
        kind = f"{array.dtype}, and the frame has {column.dtype}"
        msg = f"the array of column {column.name!r} has the type {kind}: cast the column"
        raise ValueError(msg)
    for what, here, asked in (
        ("chunks", array.chunks, wanted.chunks),
        ("shards", array.shards, wanted.shards),
    ):
        if asked is not None and here != (asked,):
            msg = f"column {column.name!r} has {what} of {here}, not {asked}"
            raise ValueError(msg)
    if wanted.compressors != "auto" and planned.codecs != there.codecs:
        msg = f"column {column.name!r} is compressed otherwise; leave compressors= out"
        raise ValueError(msg)


def blocks(batches: Iterable[pl.DataFrame], first: int, rows: int) -> Iterator[pl.DataFrame]:
    """The rows of frames in frames of `first` rows, then of `rows`; the last has what is left.

    Example:
        >>> import polars as pl
        >>> frames = [pl.DataFrame({"a": range(n)}) for n in (3, 1, 4)]
        >>> [block.height for block in blocks(frames, 2, 4)]
        [2, 4, 2]
    """
    waiting: list[pl.DataFrame] = []
    height, due = 0, first
    for batch in batches:
        left = batch
        while height + left.height >= due:
            waiting.append(left.head(due - height))
            left = left.slice(due - height)
            yield pl.concat(waiting)
            waiting.clear()
            height, due = 0, rows
        if left.height:
            waiting.append(left)
            height += left.height
    if waiting:
        yield pl.concat(waiting)
