"""From `jax.Array`s back to arrays in a store."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any, cast

import jax
import numpy as np

from zlab.array import Array
from zlab.engine.selection import parse_region
from zlab.errors import SelectionError
from zlab.jax.arrays import bounds_of
from zlab.stream.arguments import check_kind, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zlab.engine.selection import Span
    from zlab.stream import WriteReport


def write(
    array: Array, batches: Iterable[object], *, start: int = 0, **options: Any
) -> WriteReport:
    """Writes what a loop makes, in bounded memory; each stored object is put once.

    Where a batch lies on several devices, each part is copied and written by itself, those that lie
    on several only once; and of a batch that several processes hold, each writes its own, which
    must be whole chunks (or shards).

    Args:
        array: Where it goes.
        batches: Tensors, one after another along the first axis; or entries as
            `Array.write_stream` takes them: pairs of a region (slices) or chunk coordinates and a
            tensor, and what `chunks` yields. NumPy arrays are tensors too.
        start: The place of the first batch along the first axis.
        **options: As for `Array.write_stream`: a checkpoint, what becomes of failures and of what
            is left incomplete, memory.

    Returns:
        What was written, left out, skipped, and what failed.

    Raises:
        EntryError: A tensor has another dtype than the array, or does not fit its place; something
            came twice, or is incomplete.
        ChunkWriteError: A chunk could not be encoded or put; those before it are written.
        CheckpointError: The checkpoint belongs to another array or source.
        ReadOnlyError: The array was opened for reading.
        TypeError: An argument is not what its name says.

    Example:
        >>> import jax.numpy as jnp, zlab
        >>> squares = zlab.create_array({}, shape=6, chunks=3, dtype="int32")
        >>> report = zlab.jax.write(squares, (jnp.arange(n, n + 2) ** 2 for n in (0, 2, 4)))
        >>> report.written, squares[...].tolist()
        (2, [0, 1, 4, 9, 16, 25])
    """
    check_kind(array, Array, "array", "a zlab.Array")
    if isinstance(batches, (jax.Array, np.ndarray)) or not hasattr(batches, "__iter__"):
        kind = type(batches).__name__
        msg = f"batches must be an iterable of tensors, such as a list of them, not {kind}"
        raise TypeError(msg)
    start = whole_number(start, "start", least=0)
    return array.write_stream(_entries(array, batches, start), **options)


def _entries(array: Array, batches: Iterable[object], start: int) -> Iterator[object]:
    """What a write stream takes; the threads that write do so while the next batch is made."""
    for number, batch in enumerate(batches):
        if isinstance(batch, (jax.Array, np.ndarray)):
            stop = start + (batch.shape[0] if batch.ndim else 1)
            yield from parts_of(array, slice(start, stop), batch)
            start = stop
        elif isinstance(batch, (tuple, list)) and len(batch) == 2:  # noqa: PLR2004  a pair
            place, data = batch
            if isinstance(place, (jax.Array, np.ndarray)) and place.ndim:
                msg = (
                    f"entry {number} is a pair of tensors, where a place and a tensor belong. "
                    "Write one array after another, each with its own batches"
                )
                raise TypeError(msg)
            yield from parts_of(array, place, data)
        elif isinstance(getattr(batch, "data", None), jax.Array):
            yield from parts_of(array, getattr(batch, "region", None), batch.data)  # type: ignore[attr-defined]
        else:
            yield batch


def parts_of(array: Array, place: object, data: object) -> Iterator[tuple[object, object]]:
    """An entry as those that this process has on its devices, each once.

    Args:
        array: Where it goes.
        place: A region, or chunk coordinates.
        data: What goes there, of any kind.
    """
    if not isinstance(data, jax.Array) or (data.is_fully_replicated and data.is_fully_addressable):
        yield place, data
        return
    try:
        region = parse_region(place, array.shape)
    except SelectionError:
        # chunk coordinates, or what the write stream tells
        yield place, data
        return
    if region.shape != data.shape:
        yield place, data
        return
    spans = cast("tuple[Span, ...]", region.spans)
    # the next part comes from its device while this one is written
    shards = [shard for shard in data.addressable_shards if shard.replica_id == 0]
    for shard, following in zip_longest(shards, shards[1:]):
        if following is not None:
            following.data.copy_to_host_async()
        bounds = zip(spans, bounds_of(shard.index, data.shape), strict=True)
        part = tuple(slice(span.start + begin, span.start + end) for span, (begin, end) in bounds)
        yield part, shard.data
