"""The doors of an array to its streams: methods of `Array`, told here at length."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, TypeVar

from zlab.config import settings
from zlab.stream import chunks, slices
from zlab.stream.arguments import check_callable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import EllipsisType

    from zlab.array.array import Array
    from zlab.stream import Chunk, ChunkStream, Derived, SliceStream
    from zlab.stream.chunks import By
    from zlab.stream.failures import OnError
    from zlab.stream.stream import Progress

T = TypeVar("T")


def stream_chunks(
    array: Array,
    *,
    region: slice | tuple[slice | EllipsisType, ...] | None = None,
    by: By = "chunk",
    concurrency: int | None = None,
    ordered: bool | None = None,
    timeout: float | None = None,
    on_error: OnError = "raise",
    filter: Callable[[tuple[int, ...]], object] | None = None,  # noqa: A002  as ExZarr has it
    include_missing: bool = False,
    max_bytes: int | None = None,
    progress: Progress = None,
    state: Mapping[str, Any] | None = None,
) -> ChunkStream:
    """The array, chunk by chunk, read ahead in bounded memory.

    A chunk is what `chunks` says: of a sharded array, an inner chunk. Nothing is read before the
    first chunk is asked for. Run to its end, a stream has every chunk exactly once; one that is
    stopped has each at most once.

    Args:
        array: The array; `array.stream_chunks(...)` is how it is called.
        region: What to read, slices inside the array without steps; all of it by default. The
            chunks' data are cropped to it.
        by: `"shard"` for whole shards, of a sharded array; of any other, chunks are what is stored.
        concurrency: Chunks (or runs of small chunks) that are read at once: the machine's cores by
            default, or `zlab.settings.fetch_concurrency` from a store that is not local.
        ordered: `True` for C order over all chunks, `False` for whichever is read first. By default
            C order, of a sharded array shard by shard and C order within each.
        timeout: Seconds that a chunk may take from when its reading began (of a sharded array, the
            chunks that are fetched from a shard together), as far as the stream waits for it. One
            that takes longer fails with `ChunkTimeoutError`, and does not come later.
        on_error: What becomes of a chunk that is there and cannot be read: `"raise"` ends the
            stream, `"skip"` goes on without it, and so does a function, which is called with the
            error, in its turn. `report()` counts and lists what was left out.
        filter: Called with the coordinates of each chunk; those for which it returns false are not
            read.
        include_missing: Yield chunks that are not stored too, full of the fill value.
        max_bytes: Decoded bytes that are being read or wait for the consumer, at most;
            `zlab.settings.memory_budget` by default, which bounds all streams together. A larger
            chunk is read alone, and `report()` tells of it.
        progress: Called with a `zlab.telemetry.StreamProgress` for each chunk that is handed on;
            `True` for a bar.
        state: What `state()` of an earlier stream over the same array, region and order returned:
            the stream goes on from there.

    Returns:
        A stream, to be iterated with `for` or `async for` any number of times. Its `plan` tells
        without reading which chunks it visits; a `with` block ends it early.

    Raises:
        SelectionError: The region is not inside the array.
        TypeError: An argument is not what its name says.
        ValueError: A number is too small, or `state` belongs to another stream.
        ChunkReadError: Raised by the iteration when it comes to a chunk that is there and cannot be
            read or decoded.

    Example:
        >>> import zlab
        >>> array = zlab.create_array("memory://", shape=(4, 6), chunks=(2, 3), dtype="int32")
        >>> array[:2, 3:] = 7
        >>> for chunk in array.stream_chunks():
        ...     print(chunk.coords, chunk.region, chunk.data.sum())
        (0, 1) (slice(0, 2, None), slice(3, 6, None)) 42
    """
    return chunks.stream_chunks(
        array.layout,
        region=region,
        by=by,
        concurrency=concurrency,
        ordered=ordered,
        timeout=timeout,
        on_error=on_error,
        filter=filter,
        include_missing=include_missing,
        max_bytes=max_bytes,
        progress=progress,
        state=state,
    )


def chunk_stream(array: Array, *, parallel: int | None = None, **options: Any) -> ChunkStream:
    """`stream_chunks` by its old name.

    Args:
        array: The array.
        parallel: `concurrency` by its old name.
        **options: As for `stream_chunks`.

    Raises:
        TypeError: `parallel` and `concurrency` are both given.
    """
    warnings.warn(
        "chunk_stream is the old name of stream_chunks, and parallel= of concurrency=",
        DeprecationWarning,
        stacklevel=2,
    )
    if parallel is not None:
        if options.get("concurrency") is not None:
            msg = "parallel= is the old name of concurrency=: give one of them"
            raise TypeError(msg)
        options["concurrency"] = parallel
    return stream_chunks(array, **options)


def map_chunks(
    array: Array,
    fn: Callable[[Chunk], T],
    *,
    workers: int | None = None,
    **options: Any,
) -> Derived[T]:
    """A function's result for every chunk, several at a time.

    It is `array.stream_chunks(**options).map(fn, workers=workers)`, with a worker for each core.

    Args:
        array: The array; `array.map_chunks(...)` is how it is called.
        fn: Takes a chunk. What it raises ends the stream, with a note that names the chunk.
        workers: Threads that call it; the machine's cores by default.
        **options: As for `stream_chunks`.

    Returns:
        A stream of the results, in the order of the chunks.

    Raises:
        TypeError: An argument is not what its name says.
        ValueError: A number is too small.
        MemoryBudgetError: The chunks that wait for a worker are more than `max_bytes`.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(6), chunks=2)
        >>> dict(array.map_chunks(lambda chunk: (chunk.coords, int(chunk.data.max()))))
        {(0,): 1, (1,): 3, (2,): 5}
    """
    check_callable(fn, "fn", "a function of a chunk")
    stream = stream_chunks(array, **options)
    return stream.map(fn, workers=settings.threads if workers is None else workers)


def stream_slices(
    array: Array,
    axis: int = 0,
    *,
    start: int | None = None,
    stop: int | None = None,
    step: int = 1,
    length: int = 1,
    concurrency: int | None = None,
    timeout: float | None = None,
    on_error: OnError = "raise",
    redecode: bool = False,
    max_bytes: int | None = None,
    progress: Progress = None,
) -> SliceStream:
    """The array in slices along one axis, each chunk decoded once, whatever their length.

    Put together again, the slices are `array[start:stop:step]` along the axis.

    Args:
        array: The array; `array.stream_slices(...)` is how it is called.
        axis: The axis that is cut.
        start: The first position, 0 by default.
        stop: The position behind the last, the end of the axis by default.
        step: From one position to the next.
        length: Positions in each slice; the last one may have fewer.
        concurrency: Slabs of chunks (all with one coordinate along the axis) that are read at once;
            by default as many as keep the store and the cores busy.
        timeout: Seconds that a slab may take, as far as the stream waits for it.
        on_error: As for `stream_chunks`; what fails is each slice that touches the chunk.
        redecode: Where a slab is larger than `max_bytes`, read each slice by itself: chunks that
            several slices share are decoded for each of them, and `report().redecoded` counts it.
        max_bytes: Decoded bytes that may be held; `zlab.settings.memory_budget` by default. All
            chunks with one coordinate along the axis are held at once, and the next ones are read
            ahead if there is room for them.
        progress: As for `stream_chunks`.

    Returns:
        A stream, to be iterated with `for` or `async for` any number of times.

    Raises:
        SelectionError: There is no such axis, or `start` and `stop` do not lie on it in order.
        TypeError: An argument is not what its name says.
        ValueError: A number is too small.
        MemoryBudgetError: What must be held at once is larger than `max_bytes`.
        ChunkReadError: Raised by the iteration.

    Example:
        >>> import zlab
        >>> array = zlab.create_array("memory://", shape=(5, 2), chunks=(2, 2), dtype="int8")
        >>> [(part.start, part.stop) for part in array.stream_slices(length=2)]
        [(0, 2), (2, 4), (4, 5)]
    """
    return slices.stream_slices(
        array.layout,
        axis,
        start=start,
        stop=stop,
        step=step,
        length=length,
        concurrency=concurrency,
        timeout=timeout,
        on_error=on_error,
        redecode=redecode,
        max_bytes=max_bytes,
        progress=progress,
    )
