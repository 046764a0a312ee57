"""Streams of several arrays, item by item together."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, cast, final

from zlab.memory import aligned_empty
from zlab.stream.arguments import check_kind
from zlab.stream.chunks import ChunkStream
from zlab.stream.failures import fail, tell
from zlab.stream.loader import Chunk, filled, format_region
from zlab.stream.slices import SliceStream
from zlab.stream.stream import Stream
from zlab.stream.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Generator

    from zlab.errors import ChunkReadError
    from zlab.stream.ahead import Halt
    from zlab.stream.plan import Coords, Order

Together: TypeAlias = "tuple[Any, ...]"


@final
@dataclass(frozen=True, eq=False, repr=False)
class ZipStream(Stream[Together]):
    """Chunks, or slices, of several arrays at the same places; see `zlab.stream_zip`.

    Attributes:
        streams: Of the arrays.
    """

    kind: ClassVar[str] = "together"

    streams: tuple[ChunkStream, ...] | tuple[SliceStream, ...]

    @property
    def max_nchunks(self) -> int:
        """Chunks that an iteration visits at most, those of all arrays."""
        return sum(stream.max_nchunks for stream in self.streams)

    @cached_property
    def item_nbytes(self) -> int:
        """Decoded bytes of the largest item."""
        return sum(stream.item_nbytes for stream in self.streams)

    @property
    def least_nbytes(self) -> int:
        """Decoded bytes that must be held at once."""
        return sum(stream.least_nbytes for stream in self.streams)

    @property
    def max_bytes(self) -> int:
        """Decoded bytes that are in flight or wait for the consumer, at most."""
        return sum(stream.max_bytes for stream in self.streams)

    def within(self, max_bytes: int) -> Self:
        """The same streams with so many bytes to hold, shared out by what each may hold now."""
        parts = [stream.max_bytes * max_bytes // self.max_bytes for stream in self.streams]
        each: Any = zip(self.streams, parts, strict=True)
        streams: Any = [stream.within(max(1, nbytes)) for stream, nbytes in each]
        return replace(self, streams=tuple(streams))

    def __repr__(self) -> str:
        return f"<ZipStream of {', '.join(map(repr, self.streams))}>"

    def items(self, halt: Halt, tally: Tally) -> Generator[Together]:
        """One iteration."""
        if isinstance(self.streams[0], ChunkStream):
            yield from self._chunks(cast("Any", self.streams), halt, tally)
        else:
            yield from self._slices(cast("Any", self.streams), halt, tally)
        tell(tally, ", ".join(stream.layout.path for stream in self.streams))

    def _slices(
        self, streams: tuple[SliceStream, ...], halt: Halt, tally: Tally
    ) -> Generator[Together]:
        with ExitStack() as stack:
            parts = [stack.enter_context(closing(s.items(halt, tally))) for s in streams]
            yield from zip(*parts, strict=True)

    def _chunks(
        self, streams: tuple[ChunkStream, ...], halt: Halt, tally: Tally
    ) -> Generator[Together]:
        """Merges the streams: fill stands where one lacks a chunk that another has."""
        # all have one order, so what is due is the first of what is at hand
        number = streams[0].plan.number
        failed: dict[int, ChunkReadError] = {}

        def fails(error: ChunkReadError) -> None:
            failed.setdefault(number(error.coords or ()), error)

        tallies = [Tally() for _ in streams]
        with ExitStack() as stack:
            parts = [
                stack.enter_context(closing(stream.chunks(halt, each, fails)))
                for stream, each in zip(streams, tallies, strict=True)
            ]
            tally.accounts += [account for each in tallies for account in each.accounts]
            heads: list[tuple[int, Chunk] | None] = [None] * len(streams)
            ended = [False] * len(streams)
            while True:
                for place, part in enumerate(parts):
                    if heads[place] is None and not ended[place]:
                        chunk = next(part, None)
                        ended[place] = chunk is None
                        heads[place] = None if chunk is None else (number(chunk.coords), chunk)
                        del chunk
                at_hand = [head[0] for head in heads if head is not None]
                due = min([*at_hand, *failed], default=None)
                if due is None:
                    return
                here = [head[1] if head is not None and head[0] == due else None for head in heads]
                heads = [None if head is not None and head[0] == due else head for head in heads]
                error = failed.pop(due, None)
                tally.visited = sum(each.visited for each in tallies)
                if error is not None:
                    fail(streams[0].on_error, tally, error, nchunks=0)
                    continue
                coords = next(chunk.coords for chunk in here if chunk is not None)
                item = tuple(
                    _fill(stream, coords) if chunk is None else chunk
                    for stream, chunk in zip(streams, here, strict=True)
                )
                nread = sum(chunk is not None for chunk in here)
                del here
                tally.nchunks += nread
                tally.add(0, sum(chunk.data.nbytes for chunk in item))
                yield item
                del item


def _fill(stream: ChunkStream, coords: Coords) -> Chunk:
    data = filled(stream.cut, stream.plan.job(coords), aligned_empty)
    return Chunk(coords, stream.plan.region_of(coords), data, 0, present=False)


def stream_zip(*streams: ChunkStream | SliceStream) -> ZipStream:
    """Several arrays together: a tuple of the chunks, or slices, at each place.

    Args:
        *streams: From `Array.stream_chunks`, of arrays of one shape that are cut into the same
            chunks; or from `Array.stream_slices`, cut at the same positions.

    Returns:
        A stream of tuples. A chunk that some of the arrays have stored and others have not is
        full of the fill value in these; where one cannot be read, `on_error` is asked about the
        whole tuple.

    Raises:
        TypeError: They are not of one of the two kinds.
        ValueError: They do not visit the same places, or were not asked for with the same options.

    Example:
        >>> import numpy as np, zlab
        >>> a = zlab.create_array({}, data=np.arange(4), chunks=2)
        >>> b = zlab.create_array({}, data=np.arange(4) * 10, chunks=2)
        >>> for x, y in zlab.stream_zip(a.stream_chunks(), b.stream_chunks()):
        ...     print(x.coords, x.data + y.data)
        (0,) [ 0 11]
        (1,) [22 33]
    """
    if not streams:
        msg = "stream_zip of no streams"
        raise ValueError(msg)
    kind = ChunkStream if isinstance(streams[0], ChunkStream) else SliceStream
    for place, stream in enumerate(streams):
        check_kind(
            stream, kind, f"streams[{place}]", "from stream_chunks, or all from stream_slices"
        )
    if kind is SliceStream:
        slices = cast("tuple[SliceStream, ...]", streams)
        for name in ("span", "length", "on_error"):
            _check_same(slices, name, lambda stream, name=name: getattr(stream, name))
        return ZipStream(slices[0].layout, slices)
    chunks = aligned(cast("tuple[ChunkStream, ...]", streams))
    return ZipStream(chunks[0].layout, chunks)


def aligned(streams: tuple[ChunkStream, ...]) -> tuple[ChunkStream, ...]:
    """The streams, in one order, if they visit the same chunks.

    Raises:
        ValueError: They do not.
    """
    _check_same(streams, "region", lambda stream: format_region(stream.region))
    for name in ("by", "wanted", "include_missing", "on_error"):
        _check_same(streams, name, lambda stream, name=name: getattr(stream, name))
    _check_same(streams, "chunks", lambda stream: _edges(stream, of_shards=False))
    if any(stream.done.count for stream in streams):
        msg = "streams that go on from a state cannot be zipped: their states may differ"
        raise ValueError(msg)
    orders = {stream.order for stream in streams}
    one_way = len({_edges(stream, of_shards=True) for stream in streams}) == 1
    order: Order = "shards" if one_way and orders <= {"shards", "any"} else "C"
    return tuple(replace(stream, order=order) for stream in streams)


def _edges(stream: ChunkStream, *, of_shards: bool) -> tuple[object, ...]:
    """Where the chunks, or shards, of the region begin along each axis."""
    layout, plan = stream.cut, stream.plan
    grid = layout.objects if of_shards else layout.chunks
    ranges = plan.object_ranges if of_shards else plan.chunk_ranges
    if grid.chunk_shape is not None:
        return (grid.chunk_shape, tuple(ranges))
    axes = zip(grid.axes, ranges, strict=True)
    return tuple((r, tuple(axis.start(number) for number in r)) for axis, r in axes)


def _check_same(streams: tuple[Any, ...], what: str, of: Any) -> None:
    first = of(streams[0])
    for stream in streams[1:]:
        other = of(stream)
        if other != first:
            msg = (
                f"streams that are zipped must have the same {what}: {streams[0].layout.path!r} "
                f"has {first!r:.80} and {stream.layout.path!r} has {other!r:.80}"
            )
            raise ValueError(msg)
