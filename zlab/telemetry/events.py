"""What can happen, as values: frozen dataclasses with the unit in each field's name.

Durations are seconds, sizes bytes. `t` is the time of `time.perf_counter`, a monotonic clock, so
that differences mean something and absolute values do not. `store` is the store's printable name,
`path` the array's path in it, `coords` a chunk's coordinates in the array's chunk grid.

Each type has a dotted `name`, which patterns such as `"chunk.*"` are matched against.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Coords: TypeAlias = tuple[int, ...]

ABSENT = -1
"""In the lists of a `ChunkRun`: the chunk is not stored."""


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
class StreamStart:
    """A stream was asked for its first item.

    Attributes:
        stream: The stream's number, from `hub.new_stream()`; its stop event has the same.
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
class StreamStop:
    """A stream ended, in whichever way.

    Attributes:
        stream: The stream's number.
        kind: What it streamed.
        store: The store's name.
        path: The array's path in the store.
        nchunks: Chunks that it visited.
        nbytes: Decoded bytes that it handed on.
        duration_s: Seconds since its start.
        outcome: It came to its end, was closed before that, or raised.
    """

    name: ClassVar[str] = "stream.stop"

    stream: int
    kind: str
    store: str
    path: str
    nchunks: int
    nbytes: int
    duration_s: float
    outcome: Literal["exhausted", "closed", "failed"]


@dataclass(frozen=True, slots=True)
class ChunkRun:
    """Chunks of one array that were read or written one after another, as parallel lists.

    The engine records one of these for many chunks, so that watching costs little; `ChunkRead` and
    `ChunkWrite` are made from it only for those who subscribed to them.

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

    def __iter__(self) -> Iterator[ChunkRead | ChunkWrite]:
        """One event for each chunk, in order."""
        rows = zip(
            self.coords,
            self.nbytes_stored,
            self.nbytes,
            self.fetch_s,
            self.decode_s,
            strict=True,
        )
        for coords, nbytes_stored, nbytes, fetch_s, decode_s in rows:
            stored = None if nbytes_stored == ABSENT else nbytes_stored
            if self.operation == "read":
                yield ChunkRead(
                    self.store, self.path, coords, stored, nbytes, fetch_s, decode_s, self.t
                )
            else:
                yield ChunkWrite(
                    self.store, self.path, coords, stored, nbytes, decode_s, fetch_s, self.t
                )


Event: TypeAlias = ChunkRead | ChunkWrite | ChunkFailed | StreamStart | StreamStop | ChunkRun

EVENT_TYPES: tuple[type[Event], ...] = (
    ChunkRead,
    ChunkWrite,
    ChunkFailed,
    StreamStart,
    StreamStop,
    ChunkRun,
)


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
        ['chunk.read', 'chunk.write', 'chunk.failed']
        >>> event_types()[0].fields[3]
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
