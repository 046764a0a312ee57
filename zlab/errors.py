"""The one tree of exceptions.

Every error that zlab raises on purpose is a `ZlabError`, and says what failed, where (store,
key, chunk coordinates) and what to do next; its cause is chained. Absent data is not an error:
it is `None` inside the library and the fill value outside.

```
ZlabError
├── NodeNotFoundError (KeyError)          no array or group at this path
├── NodeExistsError                       creating over something that is there
├── MetadataError (ValueError)            a metadata document that cannot be understood
│   ├── UnknownCodecError
│   ├── UnknownDataTypeError
│   └── UnknownExtensionError             chunk grid, key encoding, storage transformer
├── SelectionError (IndexError)           what was typed in the brackets does not fit
├── AlignmentError (ValueError)           a write that cuts chunks where that is not allowed
├── ChunkError                            one chunk, named by its coordinates
│   ├── ChunkReadError
│   │   ├── ChunkSizeError (ValueError)   decoded bytes are not what the shape needs
│   │   └── ChunkTimeoutError (TimeoutError) a stream waited too long for it
│   └── ChunkWriteError
├── EntryError (ValueError)               what a write stream was given does not fit the array
├── CheckpointError (ValueError)          a checkpoint that is not this write's, or is broken
├── PipelineError                         an item that a stage of a pipeline gave up
├── StoreError (OSError)                  the storage failed; never means "absent"
│   ├── StoreNotFoundError                the container itself is missing
│   ├── StorePermissionError              it may not be done
│   │   └── StoreCredentialsError         nobody knows who asks: none, wrong or expired credentials
│   ├── StoreTransientError               it may succeed when it is tried again
│   │   ├── StoreThrottledError           too many requests
│   │   └── StoreTimeoutError (TimeoutError)
│   ├── StoreConflictError                somebody else changed the object meanwhile
│   ├── StoreRangeError                   the object has no such bytes
│   ├── CorruptObjectError                not the bytes that were asked for
│   └── ReadOnlyError
├── CodecError (ValueError)               bytes that cannot be decoded, or arrays encoded
│   └── DecodedSizeError                  more or fewer bytes than expected
├── DataTypeError (TypeError)             a dtype that the target cannot represent exactly
├── ConversionError (ValueError)          what a conversion would lose, or changed
└── MemoryBudgetError (MemoryError)       more bytes are needed than may be held
MissingExtraError (ImportError)           an optional library is not installed
```
"""

from __future__ import annotations


class ZlabError(Exception):
    """Base of every error that zlab raises on purpose.

    Attributes:
        store: Where it happened, a printable name without secrets, or `None`.
        key: The key or node path in that store, or `None`.
        hint: The next step for the reader of the message, or `None`.
    """

    def __init__(
        self,
        what: str,
        *,
        store: str | None = None,
        key: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.store = store
        self.key = key
        self.hint = hint
        super().__init__(self._message())

    def locate(self, *, store: str, key: str) -> None:
        """Says where it happened, for errors of code that does not know; keeps what is known."""
        self.store = self.store or store
        self.key = self.key or key

    def _where(self) -> list[str]:
        where: list[str] = []
        if self.store is not None:
            where.append(f"store {self.store}")
        if self.key:
            where.append(f"key {self.key!r}")
        return where

    def _message(self) -> str:
        where = self._where()
        text = f"{self.what} ({', '.join(where)})" if where else self.what
        return f"{text}. {self.hint}" if self.hint else text

    def __str__(self) -> str:
        # KeyError's own __str__ is the repr of its argument: unreadable for a sentence
        return self._message()

    def __reduce__(self) -> tuple[object, ...]:
        # the keyword-only fields travel as state, so that a worker process can hand errors back
        state = dict(self.__dict__)
        if isinstance(self, OSError):
            state["errno"] = self.errno
        return _rebuild, (type(self),), state


def _rebuild(kind: type[ZlabError]) -> ZlabError:
    return kind.__new__(kind)


class NodeNotFoundError(ZlabError, KeyError):
    """There is no array or group at the path."""


class NodeExistsError(ZlabError):
    """An array or group is at the path already, and overwriting was not asked for."""


class MetadataError(ZlabError, ValueError):
    """A metadata document is missing a part, contradicts itself or cannot be parsed."""


class UnknownCodecError(MetadataError):
    """The metadata names a codec that is not registered."""


class UnknownDataTypeError(MetadataError):
    """The metadata names a data type that is not registered."""


class UnknownExtensionError(MetadataError):
    """The metadata needs a chunk grid, key encoding, transformer or field that is unknown."""


class SelectionError(ZlabError, IndexError):
    """A selection or region does not fit the array."""


class AlignmentError(ZlabError, ValueError):
    """A write cuts chunks or shards, and only whole ones were to be written."""


class ChunkError(ZlabError):
    """One chunk failed.

    Attributes:
        coords: The chunk's coordinates in the array's chunk grid.
        codec: The codec that failed, where it was one.
    """

    def __init__(
        self,
        what: str,
        *,
        coords: tuple[int, ...] | None = None,
        codec: str | None = None,
        store: str | None = None,
        key: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.coords = coords
        self.codec = codec
        super().__init__(what, store=store, key=key, hint=hint)

    def _where(self) -> list[str]:
        where = super()._where()
        if self.coords is not None:
            where.append(f"chunk {self.coords}")
        if self.codec is not None:
            where.append(f"codec {self.codec!r}")
        return where


class ChunkReadError(ChunkError):
    """A chunk that is there could not be read or decoded. It is never replaced by fill."""


class ChunkSizeError(ChunkReadError, ValueError):
    """A chunk's decoded size is not what its shape and data type need."""


class ChunkTimeoutError(ChunkReadError, TimeoutError):
    """A chunk of a stream did not come within the stream's `timeout`. It may still be there."""


class ChunkWriteError(ChunkError):
    """A chunk could not be encoded or stored."""


class EntryError(ZlabError, ValueError):
    """An entry of a write stream does not fit the array, or was given already.

    Attributes:
        entry: Its number in the source, from 0.
        coords: The coordinates of the chunk that it is about, where it has some.
    """

    def __init__(
        self,
        what: str,
        *,
        entry: int,
        coords: tuple[int, ...] | None = None,
        store: str | None = None,
        key: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.entry = entry
        self.coords = coords
        super().__init__(what, store=store, key=key, hint=hint)

    def _where(self) -> list[str]:
        where = [f"entry {self.entry}"]
        if self.coords is not None:
            where.append(f"chunk {self.coords}")
        return where + super()._where()


class CheckpointError(ZlabError, ValueError):
    """A checkpoint that belongs to another array or source, or cannot be understood."""


class PipelineError(ZlabError):
    """An item that a stage of a pipeline gave up. The cause is what the stage raised.

    Attributes:
        stage: The stage's name.
        item: The item's coordinates where it has some, else its place in the source, from 0.
        attempts: How often it was tried.
    """

    def __init__(
        self,
        what: str,
        *,
        stage: str,
        item: tuple[int, ...] | int,
        attempts: int,
        hint: str | None = None,
    ) -> None:
        self.stage = stage
        self.item = item
        self.attempts = attempts
        super().__init__(what, hint=hint)

    def _where(self) -> list[str]:
        name = "chunk" if isinstance(self.item, tuple) else "item"
        return [f"stage {self.stage!r}", f"{name} {self.item}", f"attempts {self.attempts}"]


class StoreError(ZlabError, OSError):
    """The storage failed. Whether the key exists is not known.

    Attributes:
        status: The HTTP status, where a server answered.
        request_id: What the server calls the request, for those who run it.
        attempts: How often it was tried, where a policy tries more than once.
        elapsed_s: Seconds that it took altogether, there.
    """

    status: int | None = None
    request_id: str | None = None
    attempts: int | None = None
    elapsed_s: float | None = None

    def _where(self) -> list[str]:
        where = super()._where()
        if self.attempts is not None:
            tries = "attempt" if self.attempts == 1 else "attempts"
            where.append(f"{self.attempts} {tries} in {self.elapsed_s or 0.0:.1f} s")
        if self.request_id is not None:
            where.append(f"request {self.request_id}")
        return where


class StoreNotFoundError(StoreError):
    """The container itself (directory, bucket, archive) does not exist."""


class StorePermissionError(StoreError):
    """The storage refused the operation."""


class StoreCredentialsError(StorePermissionError):
    """The storage does not know who asks: there are no credentials, or they are wrong or expired.

    Attributes:
        expired: Whether they were good once.
    """

    expired: bool = False


class StoreTransientError(StoreError):
    """The storage failed in a way that may pass."""


class StoreThrottledError(StoreTransientError):
    """The storage was asked too often.

    Attributes:
        retry_after_s: Seconds for which it wants to be left alone, where it says so.
    """

    retry_after_s: float | None = None


class StoreTimeoutError(StoreTransientError, TimeoutError):
    """The storage did not answer in time."""


class StoreConflictError(StoreError):
    """A write that was to replace one version of an object, or to create it, met another."""


class StoreRangeError(StoreError):
    """The object does not have the bytes that were asked for."""


class CorruptObjectError(StoreError):
    """The storage gave other bytes than were asked for: too few, or a page in their stead."""


class ReadOnlyError(StoreError):
    """A write to a store or node that was opened for reading."""


class CodecError(ZlabError, ValueError):
    """Bytes that a codec cannot decode, or an array that it cannot encode."""


class DecodedSizeError(CodecError):
    """Decoded bytes are not as many as the chunk needs."""


class DataTypeError(ZlabError, TypeError):
    """A data type that the target cannot represent exactly."""


class ConversionError(ZlabError, ValueError):
    """A conversion would lose something, or what it wrote is not what it read.

    Attributes:
        losses: What would be lost, each a `zlab.tools.convert.Loss`.
    """

    def __init__(
        self,
        what: str,
        *,
        losses: tuple[object, ...] = (),
        store: str | None = None,
        key: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.losses = losses
        super().__init__(what, store=store, key=key, hint=hint)


class MemoryBudgetError(ZlabError, MemoryError):
    """An operation needs more bytes at once than it may hold.

    Attributes:
        needed: Bytes that it needs.
        budget: Bytes that it may hold.
    """

    def __init__(self, what: str, *, needed: int, budget: int, hint: str | None = None) -> None:
        self.needed = needed
        self.budget = budget
        super().__init__(what, hint=hint)


class StaleMetadataWarning(UserWarning):
    """Consolidated metadata no longer say what is in the store."""


class MissingExtraError(ImportError):
    """An optional library is not installed; the message names the extra that brings it."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        self.extra = extra
        super().__init__(
            f"{purpose} needs {library}, which is not installed. "
            f"Install it with: pip install 'zlab[{extra}]'",
            name=library,
        )
