"""What can happen, as values: frozen dataclasses with the unit in each field's name.

Durations are seconds, sizes bytes. `t` is the time of `time.perf_counter`, a monotonic clock, so
that differences mean something and absolute values do not. `store` is the store's printable name,
`path` the array's path in it, `coords` a chunk's coordinates in the array's chunk grid. Where
something can fail, `error` is the exception's type and message, and `None` where it did not.

Each type has a dotted `name`, which patterns such as `"chunk.*"` are matched against. A *run* is
many events of the same kind in one record of parallel lists, which costs little to make; the
single events are made from it only for those who subscribed to them.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Iterator

Coords: TypeAlias = tuple[int, ...]
Outcome: TypeAlias = Literal["exhausted", "closed", "failed"]

ABSENT = -1
"""In the lists of a `ChunkRun`: the chunk is not stored."""


@dataclass(frozen=True, slots=True)
class ArrayOpen:
    """A handle on an array was made, also of one that was just created.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        zarr_format: The version of the document.
        shape: The array's shape.
        duration_s: Seconds in which its codecs and its grid were resolved.
    """

    name: ClassVar[str] = "array.open"

    store: str
    path: str
    zarr_format: int
    shape: tuple[int, ...]
    duration_s: float


@dataclass(frozen=True, slots=True)
class ArrayCreate:
    """An array was created; what it holds is told by `ArrayWrite`.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        zarr_format: The version of the document.
        shape: The array's shape.
        duration_s: Seconds until its document was stored.
    """

    name: ClassVar[str] = "array.create"

    store: str
    path: str
    zarr_format: int
    shape: tuple[int, ...]
    duration_s: float


@dataclass(frozen=True, slots=True)
class ArrayRead:
    """One read of an array returned, or failed: what was typed between one pair of brackets.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        nchunks: Chunks that were placed in the result.
        nchunks_filled: Those of them that are not stored, so that the fill value stands for them.
        nchunks_cached: Those of them that came from a cache.
        nbytes: Bytes of the result.
        duration_s: Seconds that it took.
        error: The exception's type and message, `None` where there was none.
    """

    name: ClassVar[str] = "array.read"

    store: str
    path: str
    nchunks: int
    nchunks_filled: int
    nchunks_cached: int
    nbytes: int
    duration_s: float
    error: str | None


@dataclass(frozen=True, slots=True)
class ArrayWrite:
    """One write to an array returned, or failed.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        nchunks: Chunks that were written.
        nchunks_empty: Those of them that were left out, since they hold nothing but the fill value.
        nbytes: Bytes of the values.
        duration_s: Seconds that it took.
        error: The exception's type and message, `None` where there was none.
    """

    name: ClassVar[str] = "array.write"

    store: str
    path: str
    nchunks: int
    nchunks_empty: int
    nbytes: int
    duration_s: float
    error: str | None


@dataclass(frozen=True, slots=True)
class ChunkRead:
    """One chunk was read; of a sharded array, one inner chunk.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        coords: The chunk's coordinates.
        nbytes_stored: Bytes fetched, or `None` where the chunk is not stored.
        nbytes: Bytes of the decoded chunk.
        fetch_s: Seconds until the store had answered.
        decode_s: Seconds of decoding.
        t: When the run that the chunk was read in ended.
    """

    name: ClassVar[str] = "chunk.read"

    store: str
    path: str
    coords: Coords
    nbytes_stored: int | None
    nbytes: int
    fetch_s: float
    decode_s: float
    t: float


@dataclass(frozen=True, slots=True)
class ChunkWrite:
    """One chunk was written, or left out because it holds nothing but the fill value.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        coords: The chunk's coordinates.
        nbytes_stored: Bytes stored, or `None` where the chunk was left out.
        nbytes: Bytes of the chunk before encoding.
        encode_s: Seconds of encoding.
        store_s: Seconds until the store had answered.
        t: When the run that the chunk was written in ended.
    """

    name: ClassVar[str] = "chunk.write"

    store: str
    path: str
    coords: Coords
    nbytes_stored: int | None
    nbytes: int
    encode_s: float
    store_s: float
    t: float


@dataclass(frozen=True, slots=True)
class ChunkFailed:
    """One chunk could not be read or written; the caller gets the exception.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        coords: The chunk's coordinates.
        operation: What was tried.
        error: The exception's type and message.
    """

    name: ClassVar[str] = "chunk.failed"

    store: str
    path: str
    coords: Coords
    operation: Literal["read", "write"]
    error: str


@dataclass(frozen=True, slots=True)
class ChunkFetch:
    """The store answered for one chunk: the first half of a `ChunkRead`.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        coords: The chunk's coordinates.
        nbytes_stored: Bytes fetched, or `None` where the chunk is not stored.
        duration_s: Seconds until the store had answered.
        t: When the run that the chunk was read in ended.
    """

    name: ClassVar[str] = "chunk.fetch"

    store: str
    path: str
    coords: Coords
    nbytes_stored: int | None
    duration_s: float
    t: float


@dataclass(frozen=True, slots=True)
class ChunkDecode:
    """One chunk that is stored was decoded: the second half of a `ChunkRead`.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        coords: The chunk's coordinates.
        nbytes_stored: Bytes before decoding.
        nbytes: Bytes after it.
        duration_s: Seconds of decoding.
        t: When the run that the chunk was read in ended.
    """

    name: ClassVar[str] = "chunk.decode"

    store: str
    path: str
    coords: Coords
    nbytes_stored: int
    nbytes: int
    duration_s: float
    t: float


@dataclass(frozen=True, slots=True)
class ChunkEncode:
    """One chunk was encoded, or found to hold nothing but fill: the first half of a `ChunkWrite`.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        coords: The chunk's coordinates.
        nbytes: Bytes before encoding.
        nbytes_stored: Bytes after it, or `None` where the chunk is left out.
        duration_s: Seconds of encoding.
        t: When the run that the chunk was written in ended.
    """

    name: ClassVar[str] = "chunk.encode"

    store: str
    path: str
    coords: Coords
    nbytes: int
    nbytes_stored: int | None
    duration_s: float
    t: float


@dataclass(frozen=True, slots=True)
class ChunkStore:
    """The store took one chunk, or deleted it: the second half of a `ChunkWrite`.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        coords: The chunk's coordinates.
        nbytes_stored: Bytes stored, or `None` where the chunk was left out.
        duration_s: Seconds until the store had answered; of a sharded array, the chunk's share of
            the seconds of its shard.
        t: When the run that the chunk was written in ended.
    """

    name: ClassVar[str] = "chunk.store"

    store: str
    path: str
    coords: Coords
    nbytes_stored: int | None
    duration_s: float
    t: float


@dataclass(frozen=True, slots=True)
class ShardIndexRead:
    """The index of a shard was fetched and decoded; one that was kept is told by `CacheHit`.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        shard: The shard's coordinates in the grid of shards.
        key: Of the stored object.
        nbytes: Bytes of the encoded index, 0 where there is no shard.
        duration_s: Seconds that it took.
        t: When it was there.
    """

    name: ClassVar[str] = "shard.index"

    store: str
    path: str
    shard: Coords
    key: str
    nbytes: int
    duration_s: float
    t: float


@dataclass(frozen=True, slots=True)
class RangeRead:
    """One range of a shard's bytes was fetched, with one or more inner chunks in it.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        shard: The shard's coordinates in the grid of shards.
        key: Of the stored object.
        start: The first byte.
        nbytes: Bytes of the range.
        nbytes_used: Bytes of the inner chunks that it was fetched for; the rest lay between them.
        nchunks: How many these are.
        duration_s: Seconds that it took.
        t: When it was there.
    """

    name: ClassVar[str] = "shard.range"

    store: str
    path: str
    shard: Coords
    key: str
    start: int
    nbytes: int
    nbytes_used: int
    nchunks: int
    duration_s: float
    t: float


@dataclass(frozen=True, slots=True)
class CacheHit:
    """A decoded chunk, or the index of a shard, was in a cache.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        what: Whether it is a chunk or the index of a shard.
        coords: Its coordinates: those of the chunk, or of the shard.
        t: When the look-up ended.
    """

    name: ClassVar[str] = "cache.hit"

    store: str
    path: str
    what: Literal["chunk", "index"]
    coords: Coords
    t: float


@dataclass(frozen=True, slots=True)
class CacheMiss:
    """A decoded chunk, or the index of a shard, was not in a cache, or no longer valid.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        what: Whether it is a chunk or the index of a shard.
        coords: Its coordinates: those of the chunk, or of the shard.
        t: When the look-up ended.
    """

    name: ClassVar[str] = "cache.miss"

    store: str
    path: str
    what: Literal["chunk", "index"]
    coords: Coords
    t: float


@dataclass(frozen=True, slots=True)
class CacheEvict:
    """A cache dropped something to keep its bound.

    Attributes:
        store: The name of the store that it came from.
        key: Of the stored object.
        part: The coordinates of an inner chunk; `None` for a whole chunk or a shard's index.
        nbytes: Bytes that became free.
        nbytes_held: Bytes that the cache holds now.
    """

    name: ClassVar[str] = "cache.evict"

    store: str
    key: str
    part: Coords | None
    nbytes: int
    nbytes_held: int


@dataclass(frozen=True, slots=True)
class StoreRetry:
    """A request to a store failed, and is made again.

    Attributes:
        store: The store's name.
        key: Of the object.
        operation: The store's method, such as `"get"`.
        attempt: How often it was tried so far.
        wait_s: Seconds until it is tried again.
        error: The exception's type and message.
    """

    name: ClassVar[str] = "store.retry"

    store: str
    key: str
    operation: str
    attempt: int
    wait_s: float
    error: str


@dataclass(frozen=True, slots=True)
class StoreCached:
    """A store that keeps what it reads was asked for an object, or for a range of one.

    Attributes:
        store: The store's name.
        key: Of the object.
        outcome: Whether the bytes came from the cache without a request, from there after the
            storage had said that they are current, or from the storage.
        nbytes: Bytes that were asked for.
    """

    name: ClassVar[str] = "store.cached"

    store: str
    key: str
    outcome: Literal["hit", "unchanged", "miss"]
    nbytes: int


@dataclass(frozen=True, slots=True)
class StoreHedge:
    """A read that was not answered in time was asked for once more.

    Attributes:
        store: The store's name.
        key: Of the object.
        wait_s: Seconds after which it was.
        duration_s: Seconds until one of the two had answered.
        won: Whether the second one answered first.
    """

    name: ClassVar[str] = "store.hedge"

    store: str
    key: str
    wait_s: float
    duration_s: float
    won: bool


@dataclass(frozen=True, slots=True)
class StreamStart:
    """A stream was asked for its first item.

    Attributes:
        stream: The stream's number, from `hub.new_stream()`; its other events have the same.
        kind: What it streams, such as `"chunks"`, `"slices"` or `"write"`.
        store: The store's name.
        path: The array's path in the store.
        nchunks: Chunks that it will visit at most.
    """

    name: ClassVar[str] = "stream.start"

    stream: int
    kind: str
    store: str
    path: str
    nchunks: int


@dataclass(frozen=True, slots=True)
class StreamProgress:
    """How far a stream has come. Told a few times a second at most, and only between two items.

    Attributes:
        stream: The stream's number.
        kind: What it streams.
        store: The store's name.
        path: The array's path in the store.
        nchunks: Chunks that it visited so far.
        max_nchunks: Chunks that it will visit at most.
        nbytes: Decoded bytes that it handed on, or took, so far.
        nbytes_held: Bytes that are in flight or wait for the consumer.
        duration_s: Seconds since its start.
    """

    name: ClassVar[str] = "stream.progress"

    stream: int
    kind: str
    store: str
    path: str
    nchunks: int
    max_nchunks: int
    nbytes: int
    nbytes_held: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class StreamStop:
    """A stream ended, in whichever way.

    Attributes:
        stream: The stream's number.
        kind: What it streamed.
        store: The store's name.
        path: The array's path in the store.
        nchunks: Chunks that it visited.
        nbytes: Decoded bytes that it handed on, or took.
        duration_s: Seconds since its start.
        outcome: It came to its end, was closed before that, or raised.
        nchunks_skipped: Chunks that failed and were left out, as `on_error` asked for.
        error: The exception's type and message, `None` where there was none.
    """

    name: ClassVar[str] = "stream.stop"

    stream: int
    kind: str
    store: str
    path: str
    nchunks: int
    nbytes: int
    duration_s: float
    outcome: Outcome
    nchunks_skipped: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class PipelineStart:
    """A pipeline was asked for its first item.

    Attributes:
        pipeline: Its number, from `hub.new_stream()`; its other events have the same.
        stages: The names of its stages, in order.
        workers: Threads or processes that work in it.
        max_in_flight: Items that may be between source and acknowledgement at once.
    """

    name: ClassVar[str] = "pipeline.start"

    pipeline: int
    stages: tuple[str, ...]
    workers: int
    max_in_flight: int


@dataclass(frozen=True, slots=True)
class StageProgress:
    """How far a stage of a pipeline has come. Told a few times a second at most, and at its end.

    Attributes:
        pipeline: The pipeline's number.
        stage: The stage's name.
        nitems: Items that it has done.
        nfailed: Items that it gave up.
        nretried: Times that it tried an item again.
        in_flight: Items that it has now.
        busy_s: Seconds of work, summed over its workers.
        duration_s: Seconds since the pipeline's start.
    """

    name: ClassVar[str] = "pipeline.progress"

    pipeline: int
    stage: str
    nitems: int
    nfailed: int
    nretried: int
    in_flight: int
    busy_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class ItemRetry:
    """An item failed in a stage of a pipeline, and is tried again.

    Attributes:
        pipeline: The pipeline's number.
        stage: The stage's name.
        item: Which one: its coordinates where it has some, else its place in the source.
        attempt: How often it was tried so far.
        error: The exception's type and message.
    """

    name: ClassVar[str] = "pipeline.retry"

    pipeline: int
    stage: str
    item: Coords | int
    attempt: int
    error: str


@dataclass(frozen=True, slots=True)
class ItemFailed:
    """An item failed in a stage of a pipeline for the last time.

    Attributes:
        pipeline: The pipeline's number.
        stage: The stage's name.
        item: Which one: its coordinates where it has some, else its place in the source.
        attempts: How often it was tried.
        error: The exception's type and message.
    """

    name: ClassVar[str] = "pipeline.failed"

    pipeline: int
    stage: str
    item: Coords | int
    attempts: int
    error: str


@dataclass(frozen=True, slots=True)
class WorkerReplaced:
    """A worker process of a pipeline died, and another took its place.

    Attributes:
        pipeline: The pipeline's number.
        stage: The stage's name.
        exitcode: As `multiprocessing` tells it, negative for a signal; `None` if it is not known.
    """

    name: ClassVar[str] = "pipeline.worker"

    pipeline: int
    stage: str
    exitcode: int | None


@dataclass(frozen=True, slots=True)
class PipelineStop:
    """A pipeline ended, in whichever way.

    Attributes:
        pipeline: The pipeline's number.
        nitems: Items that came out of it, acknowledged by its sink where it has one.
        nfailed: Items that were given up.
        duration_s: Seconds since its start.
        outcome: It came to its end, was closed before that, or raised.
        error: The exception's type and message, `None` where there was none.
    """

    name: ClassVar[str] = "pipeline.stop"

    pipeline: int
    nitems: int
    nfailed: int
    duration_s: float
    outcome: Outcome
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ChunkRun:
    """Chunks of one array that were read or written one after another, as parallel lists.

    The engine records one of these for many chunks, so that watching costs little.

    Attributes:
        operation: Whether the chunks were read or written.
        store: The store's name.
        path: The array's path in the store.
        coords: Each chunk's coordinates.
        nbytes_stored: Bytes of each in the store, -1 where it is absent (read) or left out
            (write).
        nbytes: Bytes of each in memory, decoded.
        fetch_s: Seconds that the store took for each: to fetch it, or to store it.
        decode_s: Seconds that the codecs took for each: to decode it, or to encode it.
        t: When the run ended.
        codecs: The names of the codecs that they went through, with spaces between.
        source: Whether a chunk is an object of its own or a part of a shard.
    """

    name: ClassVar[str] = "chunk.run"

    operation: Literal["read", "write"]
    store: str
    path: str
    coords: list[Coords]
    nbytes_stored: list[int]
    nbytes: list[int]
    fetch_s: list[float]
    decode_s: list[float]
    t: float
    codecs: str = ""
    source: Literal["object", "shard"] = "object"

    @property
    def single(self) -> tuple[type[Event], ...]:
        """The types that the run can be told as, one event for each chunk."""
        if self.operation == "read":
            return ChunkRead, ChunkFetch, ChunkDecode
        return ChunkWrite, ChunkEncode, ChunkStore

    def __iter__(self) -> Iterator[Event]:
        """One `ChunkRead` or `ChunkWrite` for each chunk, in order."""
        return self.told_as(self.single[0])

    def told_as(self, kind: type[Event]) -> Iterator[Event]:
        """One event of a type for each chunk, in order; `ChunkDecode` for those that are stored."""
        store, path, t = self.store, self.path, self.t
        rows = zip(
            self.coords,
            self.nbytes_stored,
            self.nbytes,
            self.fetch_s,
            self.decode_s,
            strict=True,
        )
        for coords, nbytes_stored, nbytes, store_s, codec_s in rows:
            stored = None if nbytes_stored == ABSENT else nbytes_stored
            if kind is ChunkRead:
                yield ChunkRead(store, path, coords, stored, nbytes, store_s, codec_s, t)
            elif kind is ChunkWrite:
                yield ChunkWrite(store, path, coords, stored, nbytes, codec_s, store_s, t)
            elif kind is ChunkFetch:
                yield ChunkFetch(store, path, coords, stored, store_s, t)
            elif kind is ChunkEncode:
                yield ChunkEncode(store, path, coords, nbytes, stored, codec_s, t)
            elif kind is ChunkStore:
                yield ChunkStore(store, path, coords, stored, store_s, t)
            elif stored is not None:
                yield ChunkDecode(store, path, coords, stored, nbytes, codec_s, t)


@dataclass(frozen=True, slots=True)
class CacheRun:
    """Chunks, or the index of a shard, of one array that were looked up in a cache.

    Attributes:
        store: The store's name.
        path: The array's path in the store.
        what: Whether these are chunks or the index of a shard.
        hits: The coordinates of those that were there.
        misses: The coordinates of those that were not, or that were no longer valid.
        nbytes: Bytes that those that were there hold.
        t: When the look-ups ended.
    """

    name: ClassVar[str] = "cache.run"
    single: ClassVar[tuple[type[Event], ...]] = (CacheHit, CacheMiss)

    store: str
    path: str
    what: Literal["chunk", "index"]
    hits: list[Coords]
    misses: list[Coords]
    nbytes: int
    t: float

    def told_as(self, kind: type[Event]) -> Iterator[Event]:
        """One event of a type for each look-up that ended so, in order."""
        lookup, found = (CacheHit, self.hits) if kind is CacheHit else (CacheMiss, self.misses)
        for coords in found:
            yield lookup(self.store, self.path, self.what, coords, self.t)


Run: TypeAlias = ChunkRun | CacheRun

Event: TypeAlias = (
    ArrayOpen
    | ArrayCreate
    | ArrayRead
    | ArrayWrite
    | ChunkRead
    | ChunkWrite
    | ChunkFailed
    | ChunkFetch
    | ChunkDecode
    | ChunkEncode
    | ChunkStore
    | ShardIndexRead
    | RangeRead
    | CacheHit
    | CacheMiss
    | CacheEvict
    | StoreRetry
    | StoreCached
    | StoreHedge
    | StreamStart
    | StreamProgress
    | StreamStop
    | PipelineStart
    | StageProgress
    | ItemRetry
    | ItemFailed
    | WorkerReplaced
    | PipelineStop
    | ChunkRun
    | CacheRun
)

EVENT_TYPES: tuple[type[Event], ...] = get_args(Event)

TOLD_BY_CHUNKS: tuple[type[Event], ...] = (
    *(ChunkRun, ChunkRead, ChunkFetch, ChunkDecode),
    *(ChunkWrite, ChunkEncode, ChunkStore),
)
"""What a `ChunkRun` can be told as."""

TOLD_BY_CACHES: tuple[type[Event], ...] = (CacheRun, *CacheRun.single)
"""What a `CacheRun` can be told as."""

TOLD_AGAIN: frozenset[type[Event]] = frozenset(
    {ChunkRun, CacheRun, ChunkFetch, ChunkDecode, ChunkEncode, ChunkStore}
)
"""Types that tell what another one tells too, which no wildcard matches."""


class FieldInfo(NamedTuple):
    """A field of an event type."""

    name: str
    type: str
    doc: str


class EventInfo(NamedTuple):
    """An event type, described."""

    name: str
    type: type[Event]
    doc: str
    fields: tuple[FieldInfo, ...]


def event_types() -> list[EventInfo]:
    """Every event type with its fields, read from the docstrings.

    Example:
        >>> [event.name for event in event_types()][:3]
        ['array.open', 'array.create', 'array.read']
        >>> event_types()[4].fields[3]
        FieldInfo(name='nbytes_stored', type='int | None', doc='Bytes fetched, or `None` where the \
chunk is not stored.')
    """
    return [_describe(kind) for kind in EVENT_TYPES]


def _describe(kind: type[Event]) -> EventInfo:
    head, _, attributes = (inspect.getdoc(kind) or "").partition("\n\nAttributes:\n")
    docs: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(attributes).splitlines():
        if line.startswith(" "):  # a field's text goes on, indented
            docs[name] += f" {line.strip()}"
        else:
            name, _, text = line.partition(": ")
            docs[name] = text
    return EventInfo(
        kind.name,
        kind,
        head.partition("\n")[0],
        tuple(
            FieldInfo(field.name, str(field.type), docs.get(field.name, ""))
            for field in fields(kind)
        ),
    )
