"""The statistics of an array's chunks as a table, and as the bytes that are stored."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

import numpy as np

from zlab.errors import MetadataError
from zlab.grid.grid import Grid, RegularAxis
from zlab.stats.measure import LONGEST, comparable, missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.grid import Axis
    from zlab.memory import Buffer

KEY: Final = ".zlab-stats.npz"
"""The last part of the key of an array's statistics, which lie beside its metadata document."""

_VERSION = 1
_COUNTS = ("size", "nan_count", "null_count", "fill_count")
_COLUMNS = ("objects", "tags", "chunks", "min", "max", "has_ends", *_COUNTS)


class Rows(NamedTuple):
    """Statistics of some chunks, as columns of one length.

    Attributes:
        chunks: Where the chunks lie in the C order of the array's chunk grid, ascending.
        min: Least values that are neither NaN, NaT nor fill.
        max: Greatest of them.
        has_ends: Whether there are such values; `min` and `max` say nothing where not.
        size: Values of the chunk that lie inside the array.
        nan_count: How many are NaN.
        null_count: How many are NaT.
        fill_count: How many are the fill value.
    """

    chunks: NDArray[np.int64]
    min: NDArray[Any]
    max: NDArray[Any]
    has_ends: NDArray[np.bool_]
    size: NDArray[np.int64]
    nan_count: NDArray[np.int64]
    null_count: NDArray[np.int64]
    fill_count: NDArray[np.int64]

    @classmethod
    def empty(cls, n: int, dtype: np.dtype[Any]) -> Rows:
        """Room for some chunks."""
        chunks, *counts = (np.zeros(n, np.int64) for _ in range(5))
        return cls(chunks, np.zeros(n, dtype), np.zeros(n, dtype), np.zeros(n, np.bool_), *counts)

    def take(self, places: NDArray[Any]) -> Rows:
        """Some of the rows: a mask, or their numbers."""
        return Rows(*(column[places] for column in self))


class Tags(NamedTuple):
    """Stored objects, and what tells one version of each from the next.

    Attributes:
        objects: Where they lie in the C order of the grid of stored objects, ascending.
        tags: Of each version; 0 where the store cannot tell.
    """

    objects: NDArray[np.int64]
    tags: NDArray[np.uint64]

    def match(self, others: Tags) -> NDArray[np.bool_]:
        """Which of these are, in the same version, among others."""
        if not others.objects.size:
            return np.zeros(self.objects.size, np.bool_)
        places = np.searchsorted(others.objects, self.objects).clip(max=others.objects.size - 1)
        there = others.objects[places] == self.objects
        return np.asarray(there & (others.tags[places] == self.tags) & (self.tags != 0))


class Stored(NamedTuple):
    """What was read of an array, and of which objects.

    Attributes:
        shape: The array's when it was read.
        tags: Of the objects.
        rows: Of their chunks.
    """

    shape: tuple[int, ...]
    tags: Tags
    rows: Rows


@final
@dataclass(frozen=True, eq=False, slots=True, repr=False)
class ChunkStats:
    """The statistics of an array that are true of the objects which were listed for it.

    Attributes:
        layout: Of the array.
        rows: Of the chunks whose objects are as they were when their values were read.
        stored: Where the stored objects lie in the C order of their grid, ascending.
        nchanged: Chunks of which there are statistics that are no longer true.
    """

    layout: ArrayLayout
    rows: Rows
    stored: NDArray[np.int64]
    nchanged: int

    def __repr__(self) -> str:
        n = len(self.rows.chunks)
        dtype = self.layout.dtype
        return f"<ChunkStats of {n} chunks of {dtype}, {self.nchanged} of them changed since>"

    @property
    def coords(self) -> NDArray[np.int64]:
        """Chunk coordinates, one row a chunk."""
        return coords_of(self.rows.chunks, self.layout.chunks.shape)

    @property
    def min(self) -> NDArray[Any]:
        """The least value of each chunk that is neither NaN, NaT nor fill; masked where none is."""
        return _masked(self.rows.min, self.rows.has_ends)

    @property
    def max(self) -> NDArray[Any]:
        """The greatest of them; masked where there is none."""
        return _masked(self.rows.max, self.rows.has_ends)

    @property
    def size(self) -> NDArray[np.int64]:
        """Values of each chunk that lie inside the array."""
        return self.rows.size

    @property
    def nan_count(self) -> NDArray[np.int64]:
        """How many of them are NaN."""
        return self.rows.nan_count

    @property
    def null_count(self) -> NDArray[np.int64]:
        """How many of them are NaT, which is null in a table."""
        return self.rows.null_count

    @property
    def fill_count(self) -> NDArray[np.int64]:
        """How many of them are the fill value."""
        return self.rows.fill_count

    def of(self, chunks: NDArray[np.int64]) -> tuple[NDArray[np.bool_], Rows]:
        """The statistics of some chunks; those that are not stored are all fill.

        Args:
            chunks: Where they lie in the C order of the chunk grid, whichever order they have.

        Returns:
            Of which chunks something is known, and a row for each, which says nothing where not.
        """
        rows = self.rows
        if len(rows.chunks):
            at = np.searchsorted(rows.chunks, chunks).clip(max=len(rows.chunks) - 1)
            known = rows.chunks[at] == chunks
            found = rows.take(at)
        else:
            known = np.zeros(len(chunks), np.bool_)
            found = Rows.empty(len(chunks), rows.min.dtype)
        coords = coords_of(chunks, self.layout.chunks.shape)
        objects = objects_of(self.layout, coords)
        stored = np.zeros(len(chunks), np.bool_)
        if self.stored.size:
            places = np.searchsorted(self.stored, objects).clip(max=self.stored.size - 1)
            stored = self.stored[places] == objects
        absent = ~stored
        if absent.any():
            found = fill_in(self.layout, found, absent, coords)
        return known | absent, found


def _masked(values: NDArray[Any], there: NDArray[np.bool_]) -> NDArray[Any]:
    return values if there.all() else np.ma.masked_array(values, ~there)


def fill_in(
    layout: ArrayLayout, rows: Rows, where: NDArray[np.bool_], coords: NDArray[np.int64]
) -> Rows:
    """The rows with those of chunks that are all fill put in.

    Args:
        layout: Of the array.
        rows: One for each chunk.
        where: The chunks that are all fill.
        coords: Of all the chunks.
    """
    fill = np.asarray(layout.fill).astype(rows.min.dtype)
    is_missing = bool(missing(fill))
    is_time = fill.dtype.kind in "mM"
    counts = counts_of(layout, coords)
    return rows._replace(
        has_ends=rows.has_ends & ~where,
        size=np.where(where, counts, rows.size),
        nan_count=np.where(where, counts * (is_missing and not is_time), rows.nan_count),
        null_count=np.where(where, counts * (is_missing and is_time), rows.null_count),
        fill_count=np.where(where, counts, rows.fill_count),
    )


# -- where chunks lie


def coords_of(places: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Coordinates, one row each, at places in the C order of a grid."""
    if not shape:
        return np.zeros((len(places), 0), np.int64)
    return np.stack(np.unravel_index(places, shape), axis=1).astype(np.int64, copy=False)


def places_of(coords: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The places of coordinates, one row each, in the C order of a grid."""
    places = np.zeros(len(coords), np.int64)
    for axis, n in enumerate(shape):
        places = places * n + coords[:, axis]
    return places


def objects_of(layout: ArrayLayout, coords: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the stored objects of some chunks lie in the C order of their grid."""
    if layout.sharding is None:
        return places_of(coords, layout.objects.shape)
    shards = np.empty_like(coords)
    for axis, (objects, chunks) in enumerate(
        zip(layout.objects.axes, layout.chunks.axes, strict=True)
    ):
        starts, _ = _ends(chunks, coords[:, axis], chunks.length)
        shards[:, axis] = objects.chunks_at(starts)
    return places_of(shards, layout.objects.shape)


def counts_of(layout: ArrayLayout, coords: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many values of some chunks lie inside the array."""
    counts = np.ones(len(coords), np.int64)
    for axis, chunks in enumerate(layout.chunks.axes):
        starts, stops = _ends(chunks, coords[:, axis], chunks.length)
        counts *= stops - starts
    return counts


def _ends(
    axis: Axis, chunks: NDArray[np.int64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where chunks along an axis begin and end, inside so many elements."""
    if isinstance(axis, RegularAxis):
        starts, sizes = chunks * axis.chunk, np.full_like(chunks, axis.chunk)
    else:
        numbers, back = np.unique(chunks, return_inverse=True)
        starts = np.array([axis.start(c) for c in numbers.tolist()], np.int64)[back]
        sizes = np.array([axis.size(c) for c in numbers.tolist()], np.int64)[back]
    return starts, np.minimum(starts + sizes, length)


# -- as bytes


def format_stats(layout: ArrayLayout, stored: Stored) -> bytes:
    """The bytes that are stored: NumPy's `.npz`, whose first member tells what the others mean."""
    rows, tags = stored.rows, stored.tags
    header = {"zlab_stats": _VERSION, "metadata": _identity(layout), "shape": list(stored.shape)}
    columns: dict[str, Any] = {**rows._asdict(), **tags._asdict()}
    if rows.min.dtype.kind == "T":
        # NumPy stores text of any length as pickles alone
        columns |= {name: columns[name].astype(f"U{LONGEST}") for name in ("min", "max")}
    file = io.BytesIO()
    np.savez(file, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **columns)
    return file.getvalue()


def parse_stats(layout: ArrayLayout, data: Buffer, key: str) -> Stored | None:
    """The model of stored bytes; `None` where they are of another array, or of a later zlab.

    Raises:
        MetadataError: They are no statistics.
    """
    dtype = comparable(layout.dtype, "the array")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes())
            if header["zlab_stats"] != _VERSION or header["metadata"] != _identity(layout):
                return None
            columns = {name: file[name] for name in _COLUMNS}
            shape = tuple(int(n) for n in header["shape"])
        columns |= {name: columns[name].astype(dtype) for name in ("min", "max")}
        tags = Tags(columns.pop("objects"), columns.pop("tags"))
        stored = Stored(shape, tags, Rows(**columns))
        _check_lengths(stored)
    except Exception as error:  # of NumPy's and zipfile's many, for bytes that are none of theirs
        raise _broken(layout, key) from error
    return _moved(layout, stored)


def _check_lengths(stored: Stored) -> None:
    for table in (stored.tags, stored.rows):
        if any(column.shape != (len(table[0]),) for column in table):
            msg = "columns of different lengths"
            raise ValueError(msg)


def _broken(layout: ArrayLayout, key: str) -> MetadataError:
    return MetadataError(
        "the statistics of the array cannot be understood",
        store=layout.node_store.name,
        key=key,
        hint="zlab.stats.build(array) writes them anew, zlab.stats.drop(array) deletes them",
    )


def _moved(layout: ArrayLayout, stored: Stored) -> Stored | None:
    """What is still true of the array after it was resized, by where it lies now."""
    before, now = stored.shape, layout.metadata.shape
    if before == now:
        return stored
    cut = layout.objects.chunk_shape
    if cut is None or layout.chunks.chunk_shape is None:
        return None
    objects = coords_of(stored.tags.objects, Grid.regular(before, cut).shape)
    # an object at the edge shows more than it did, or less
    ends = (objects + 1) * np.array(cut, np.int64)
    same = np.asarray((np.minimum(ends, before) == np.minimum(ends, now)).all(axis=1))
    inside = same & (objects < layout.objects.shape).all(axis=1)
    # the C order of coordinates is one in any grid
    tags = Tags(
        places_of(objects[inside], layout.objects.shape),
        stored.tags.tags[inside],
    )
    chunks = coords_of(stored.rows.chunks, Grid.regular(before, layout.chunks.chunk_shape).shape)
    there = np.asarray((chunks < layout.chunks.shape).all(axis=1))
    there[there] = np.isin(objects_of(layout, chunks[there]), tags.objects)
    rows = stored.rows.take(there)
    rows = rows._replace(chunks=places_of(chunks[there], layout.chunks.shape))
    return Stored(now, tags, rows)


def _identity(layout: ArrayLayout) -> str:
    """What must be the same for the statistics to be of this array, but for its shape."""
    metadata = layout.metadata
    parts = (
        layout.dtype.str,
        repr(layout.fill),
        metadata.chunk_grid,
        metadata.chunk_key_encoding,
        metadata.codecs,
        metadata.storage_transformers,
    )
    return blake2b(repr(parts).encode(), digest_size=16).hexdigest()
