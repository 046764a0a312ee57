"""The door from frames to arrays."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from zlab.config import settings
from zlab.engine.nodes import join
from zlab.errors import StoreNotFoundError
from zlab.polars.sources import replacing
from zlab.polars.table import Layout, batch_rows, create_table, find_table, plan_table
from zlab.polars.values import ColumnValues
from zlab.stores.base import close
from zlab.stores.open import opens, store_from
from zlab.stream.arguments import check_kind, flag, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zlab.array.plan import CodecsLike
    from zlab.group import Group
    from zlab.stores.open import StoreLike


def write(
    frame: pl.DataFrame | pl.LazyFrame,
    store: StoreLike,
    *,
    path: str = "",
    chunks: int | None = None,
    shards: int | None = None,
    compressors: CodecsLike | Literal["auto"] = "auto",
    dimension: str = "row",
    null_value: Mapping[str, Any] | None = None,
    attributes: Mapping[str, Any] | None = None,
    append: bool = False,
    overwrite: bool = False,
    max_bytes: int | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Group:
    """Writes a frame as a group of arrays, one for each column, in bounded memory.

    A LazyFrame is run by the streaming engine, and its batches are written as they come. Each
    stored object is put once, when all of it has come. The row counts in the arrays' metadata grow
    last, after all rows of all columns are there: whoever reads meanwhile, or after a failure, sees
    the table as it was. A process that is killed while these few numbers grow leaves columns of two
    lengths: `frames` and `scan` read the rows that all have, and appending says how to mend it. One
    process at a time writes a table.

    `zlab.polars.frames` and `zlab.polars.scan` of the group give the frame back: the columns in
    their order (the group's attribute `column-order`, as AnnData has it), with the types that
    `zlab.polars.columns` lists. Enum and Categorical are stored as codes, with `categories` and
    `ordered` among the array's attributes; -1 is null. Time zones are the attribute `time_zone`
    of times in UTC. A struct is one array of structs, if its members have a fixed size. Lists,
    decimals, times of day and 128 bits are refused.

    Args:
        frame: A `DataFrame` or a `LazyFrame`.
        store: A path, a URL, a store, or anything else that `zlab.open` takes.
        path: The group's path in the store.
        chunks: Rows of a chunk, the same for all columns; by default those of which the widest
            column's take 1 MiB, or all of a smaller DataFrame, unless rows are to be added.
        shards: Rows of a shard, a multiple of `chunks`; no shards by default.
        compressors: Codecs on bytes, for all columns; zstd by default, `None` for none.
        dimension: The name of the arrays' one dimension.
        null_value: By column name the value that is stored for null, and that the column must not
            hold otherwise. It becomes the array's fill value and the attribute `_FillValue`, which
            `fill_to_null` and xarray read. Times and categories need none.
        attributes: Of a new group, JSON values.
        append: Add the rows to a table that is there, if there is one.
        overwrite: Remove what is there, with everything below it, as soon as the query has its
            first rows and before any is written. A query must not read from there.
        max_bytes: Decoded bytes of rows that are held at once;
            `zlab.settings.memory_budget` by default.
        storage_options: For the file system behind a URL.

    Returns:
        The group, open for writing.

    Raises:
        TypeError: An argument is not what its name says.
        ValueError: A column cannot be stored under its name; the frame does not fit the table that
            it is appended to; or a query reads what it is to replace.
        DataTypeError: Zarr has no data type for a column.
        ConversionError: A column holds nulls and `null_value` does not name it, or holds the value
            that stands for null. Of a DataFrame this is found before anything is written.
        NodeExistsError: Something is there, and neither `append` nor `overwrite` is set.
        MemoryBudgetError: The rows of one chunk or shard are more than `max_bytes`.
        ChunkWriteError: A chunk could not be put; no row was added.

    Example:
        >>> import polars as pl, zlab
        >>> trades = pl.DataFrame({"symbol": ["A", "B"], "price": [10.5, 20.0]})
        >>> group = zlab.polars.write(trades, "memory://")
        >>> group.array("price")[...]
        array([10.5, 20. ])
        >>> pl.concat(zlab.polars.frames(group)).equals(trades)
        True
    """
    check_kind(frame, (pl.DataFrame, pl.LazyFrame), "frame", "a polars.DataFrame or LazyFrame")
    if flag(append, "append") and flag(overwrite, "overwrite"):
        msg = "append=True adds to what is there and overwrite=True replaces it: pass one of them"
        raise ValueError(msg)
    budget = whole_number(
        settings.memory_budget if max_bytes is None else max_bytes, "max_bytes", least=1
    )
    wanted = Layout(
        chunks=None if chunks is None else whole_number(chunks, "chunks", least=1),
        shards=None if shards is None else whole_number(shards, "shards", least=1),
        compressors=compressors,
        dimension=dimension,
        # a table that grows is not cut by what happens to come first
        height=frame.height if isinstance(frame, pl.DataFrame) and not append else None,
    )
    columns = _columns(frame.collect_schema(), null_value, dimension)
    if isinstance(frame, pl.DataFrame):
        for column in columns:
            column.check(frame[column.name])
    table = find_table(store, path, columns, wanted, budget, storage_options) if append else None
    nodes = plan_table(columns, wanted, budget, attributes or {}) if table is None else {}
    rows = wanted.object_rows(columns) if table is None else table.object_rows
    batches: Iterable[pl.DataFrame] = (
        [frame]
        if isinstance(frame, pl.DataFrame)
        else frame.collect_batches(
            chunk_size=batch_rows(columns, rows), maintain_order=True, lazy=True
        )
    )
    with replacing(*_there(store, path, storage_options)) if overwrite else nullcontext():
        if overwrite:
            # a query that fails at once, or reads what it replaces, fails before that is gone
            batches = _started(batches)
        if table is None:
            table = create_table(
                store,
                path,
                nodes,
                columns,
                budget,
                overwrite=overwrite,
                storage_options=storage_options,
            )
        table.append(batches)
    return table.group


def _there(
    store: StoreLike, path: str, storage_options: Mapping[str, Any] | None
) -> tuple[str, str]:
    """The name of the store, and the path in it, that `overwrite=True` empties."""
    try:
        place, prefix = store_from(store, mode="r", storage_options=storage_options)
    except StoreNotFoundError:
        return "", path
    if opens(store):
        close(place)
    return place.name, join(prefix, path)


def _started(batches: Iterable[pl.DataFrame]) -> Iterable[pl.DataFrame]:
    """The batches, the first of which is there."""
    rest = iter(batches)
    return chain(list(islice(rest, 1)), rest)


def _columns(
    schema: pl.Schema, null_value: Mapping[str, Any] | None, dimension: str
) -> list[ColumnValues]:
    nulls = {} if null_value is None else null_value
    check_kind(nulls, Mapping, "null_value", "a mapping of values by column name")
    check_kind(dimension, str, "dimension", "a name")
    if not schema:
        msg = "a frame without columns has nothing to write"
        raise ValueError(msg)
    for name in nulls:
        if name not in schema:
            msg = f"null_value names {name!r}; the columns are {', '.join(schema)}"
            raise ValueError(msg)
    for name in schema:
        if name == dimension:
            msg = f"a column has the name of the dimension, {name!r}: pass another dimension="
            raise ValueError(msg)
        if not name.strip(".") or "/" in name:
            msg = f"no array can be called {name!r}; rename the column"
            raise ValueError(msg)
    return [ColumnValues(name, dtype, nulls.get(name)) for name, dtype in schema.items()]
