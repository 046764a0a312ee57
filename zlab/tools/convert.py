"""Converting between Zarr v2 and v3: decoded, encoded again, and verified by hash."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice, product
from math import prod
from typing import TYPE_CHECKING, Any, final

import numpy as np

from zlab.config import settings
from zlab.engine.inventory import stored_objects
from zlab.engine.layout import ArrayLayout
from zlab.engine.nodes import join
from zlab.engine.plan import ChunkJob, Run
from zlab.engine.read import fetch_run, read_failed, scratch
from zlab.errors import ChunkError, ChunkWriteError, ConversionError, ZlabError
from zlab.group.hierarchy import consolidate, walk
from zlab.metadata import ArrayMetadata
from zlab.metadata.document import format_json
from zlab.metadata.node import format_node, parse_node
from zlab.metadata.version import VERSIONS, format_of
from zlab.tools.bounded import MeteredStore, Steps, budget_of, check_budget, run_bounded
from zlab.tools.nbytes import format_nbytes
from zlab.tools.rechunk import largest_chunk
from zlab.tools.transfer import (
    check_apart,
    in_publishing_order,
    make_room,
    name_of,
    opened,
    source_documents,
)
from zlab.tools.translate import Loss, Translation
from zlab.tools.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from zlab.codecs.base import Array as ChunkArray
    from zlab.memory import Buffer
    from zlab.metadata import NodeMetadata, ZarrFormat
    from zlab.metadata.model import NodeDocuments
    from zlab.tools.bounded import Progress
    from zlab.tools.transfer import NodeLike

__all__ = ["ContentHash", "ConvertReport", "Loss", "convert"]

_JOBS = 4096  # inner chunks of a shard that are planned at once


@final
@dataclass(frozen=True, slots=True)
class ConvertReport:
    """What a conversion did.

    Attributes:
        source: Where it read.
        target: Where it wrote.
        zarr_format: The version that it wrote.
        arrays: Arrays that were converted.
        groups: Groups that were converted.
        chunks: Chunks that were stored and have been converted.
        nbytes_read: Their stored bytes.
        nbytes_written: Stored bytes of what they became.
        losses: What the new version cannot say.
        digest: The hash of all chunks, the same on both sides; `None` where it was not asked for.
    """

    source: str
    target: str
    zarr_format: ZarrFormat
    arrays: int
    groups: int
    chunks: int
    nbytes_read: int
    nbytes_written: int
    losses: tuple[Loss, ...]
    digest: str | None

    def __str__(self) -> str:
        sizes = (format_nbytes(n) for n in (self.nbytes_read, self.nbytes_written))
        parts = (
            counted(self.arrays, "array"),
            counted(self.groups, "group"),
            counted(self.chunks, "chunk"),
            "{} read, {} written".format(*sizes),
        )
        lines = [
            f"converted {self.source} to {self.target}, Zarr v{self.zarr_format}",
            f"  {', '.join(parts)}",
            "  not verified" if self.digest is None else f"  verified, digest {self.digest}",
            *(f"  lost: {loss}" for loss in self.losses),
        ]
        return "\n".join(lines)


@final
class ContentHash:
    """A hash of decoded chunks that does not depend on the order in which they come.

    Each chunk is hashed with its coordinates; the hashes are added up. Chunks that are not stored
    add nothing: on both sides they are filled with what the metadata say.
    """

    def __init__(self) -> None:
        self.nchunks = 0
        self._sum = 0
        self._lock = threading.Lock()

    def add(self, path: str, coords: tuple[int, ...], chunk: ChunkArray) -> None:
        """Adds one chunk, cropped to the array.

        Args:
            path: Of the array, the same on both sides.
            coords: Of the chunk.
            chunk: Its values, with any strides.
        """
        digest = blake2b(f"{path}\0{coords}\0{chunk.shape}\0".encode(), digest_size=16)
        for part in _bytes_of(chunk):
            digest.update(part)
        number = int.from_bytes(digest.digest(), "big")
        with self._lock:
            self.nchunks += 1
            self._sum = (self._sum + number) % (1 << 128)

    def hexdigest(self) -> str:
        """The hash of all chunks so far."""
        return f"{self._sum:032x}"


def _bytes_of(chunk: NDArray[Any]) -> Iterator[Buffer]:
    if chunk.dtype.hasobject or chunk.dtype.kind == "T":
        for value in chunk.reshape(-1).tolist():
            data = value if isinstance(value, bytes) else str(value).encode()
            yield len(data).to_bytes(8, "little")
            yield data
    elif chunk.dtype.itemsize and chunk.size:
        yield np.ascontiguousarray(chunk).reshape(-1).view(np.uint8).data


def convert(
    src: NodeLike,
    dst: NodeLike,
    *,
    zarr_format: ZarrFormat,
    path: str = "",
    strict: bool = True,
    verify: bool = True,
    overwrite: bool = False,
    memory: int | str | None = None,
    progress: Progress | None = None,
) -> ConvertReport:
    """Converts an array, or a group with everything below it, to the other version of Zarr.

    Every chunk that is stored is decoded, and stored in the other version under the same
    coordinates. Values, fill values, attributes and dimension names stay (v2 keeps the names in
    the attribute `_ARRAY_DIMENSIONS`, as xarray does). What the other version cannot say is a
    loss; by default none is accepted.

    Args:
        src: An array, a group, or what `zlab.open` takes.
        dst: Where to: a group of the new version, or what `zlab.open` takes.
        zarr_format: The version to write, 2 or 3.
        path: Where in `dst`; its root by default.
        strict: Refuse to lose anything. Otherwise codecs that the version does not have are left
            out, shards become chunks, and so on; the report lists it.
        verify: Read the result, and compare the hash of its decoded chunks with the source's.
        overwrite: Replace what is there.
        memory: Bytes that the conversion may hold, a number or a text such as `"2GB"`;
            `zlab.settings.memory_budget` by default.
        progress: Called with the steps that are done and their total.

    Returns:
        What was converted, counted, and what was lost.

    Raises:
        ConversionError: Something would be lost and `strict` is true, or cannot be converted at
            all; nothing is written then. Or the hashes differ: nothing can be opened at `dst`.
        NodeNotFoundError: There is nothing at `src`.
        NodeExistsError: There is something at `dst`, or one lies in the other.
        ChunkReadError: A chunk is corrupt; nothing can be opened at `dst`.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(6), dimension_names=["x"])
        >>> store = {}
        >>> report = zlab.convert(array, store, zarr_format=2)
        >>> report.chunks, report.losses, dict(zlab.open(store).attrs)
        (1, (), {'_ARRAY_DIMENSIONS': ['x']})
    """
    if zarr_format not in (2, 3):
        msg = f"zarr_format must be 2 or 3, not {zarr_format!r}"
        raise ValueError(msg)
    budget = budget_of(memory, settings.memory_budget)
    with (
        opened(src, "", "r") as (source, source_path),
        opened(dst, path, "a") as (target, target_path),
    ):
        check_apart((source, source_path), (target, target_path))
        source_documents(source, source_path)
        job = _Conversion(
            MeteredStore(source),
            source_path,
            MeteredStore(target),
            target_path,
            zarr_format,
            budget,
        )
        job.plan()
        job.check(strict=strict)
        make_room(target, target_path, zarr_format, overwrite=overwrite)
        return job.run(verify=verify, progress=progress)


@dataclass(frozen=True, slots=True)
class _ArrayConversion:
    """One array: chunk by chunk of the source, object by object of the target.

    Attributes:
        source: Its layout.
        target: That of what it becomes.
        relative: Its path below the node that is converted.
        held: Bytes that are held while one stored object is converted.
    """

    source: ArrayLayout
    target: ArrayLayout
    relative: str
    held: int
    same_codecs: bool

    @classmethod
    def of(cls, source: ArrayLayout, target: ArrayLayout, relative: str) -> _ArrayConversion:
        first = (0,) * len(source.metadata.shape)
        held = max(_held(source), _held(target))
        before, after = source.chunk_pipeline(first), target.chunk_pipeline(first)
        return cls(source, target, relative, held, before.configs == after.configs)

    def convert(self, home: tuple[int, ...], seen: ContentHash) -> None:
        """Converts the chunks of one stored object: itself, or those of a shard."""
        for coords, data, chunk in decoded(self.source, home):
            seen.add(self.relative, coords, _cropped(self.source, coords, chunk))
            try:
                # the same codecs would encode it the same, or lose some more of it
                encoded = data if self.same_codecs else self.target.pipeline(coords).encode(chunk)
                self.target.store.put(self.target.key(coords), encoded)
            except ZlabError as error:
                raise ChunkWriteError(
                    f"cannot write a chunk: {error.what}",
                    coords=coords,
                    codec=getattr(error, "codec", None),
                    store=self.target.store.name,
                    key=self.target.key(coords),
                    hint=error.hint,
                ) from error

    def check(self, home: tuple[int, ...], seen: ContentHash) -> None:
        """Hashes one object of the target."""
        for coords, _, chunk in decoded(self.target, home):
            seen.add(self.relative, coords, _cropped(self.target, coords, chunk))


def decoded(
    layout: ArrayLayout, home: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], Buffer, ChunkArray]]:
    """The stored chunks of one object, one at a time: coordinates, stored bytes and values.

    The values are whole, as they are stored, and are overwritten by the next chunk.

    Raises:
        ChunkReadError: A chunk could not be read or decoded.
    """
    for run in _runs(layout, home):
        for job, data in fetch_run(layout, run):
            if data is None:
                continue
            pipeline = layout.chunk_pipeline(job.coords)
            try:
                pipeline.check_limit()
                chunk = scratch(pipeline.chunk.shape, pipeline.chunk.dtype)
                pipeline.decode(data, chunk)
            except ChunkError:
                raise
            except ZlabError as error:
                raise read_failed(layout, job.coords, error) from error
            yield job.coords, data, chunk


def _runs(layout: ArrayLayout, home: tuple[int, ...]) -> Iterator[Run]:
    if layout.sharding is None:
        yield Run(None, [_job(home)])
        return
    ranges = []
    axes = zip(layout.objects.region(home), layout.chunks.axes, strict=True)
    for part, chunks in axes:
        ranges.append(range(chunks.chunk_at(part.start), chunks.chunk_at(part.stop - 1) + 1))
    jobs = map(_job, product(*ranges))
    while batch := list(islice(jobs, _JOBS)):
        yield Run(home, batch)


def _job(coords: tuple[int, ...]) -> ChunkJob:
    """The job for a chunk of which only the bytes are asked for."""
    return ChunkJob(coords, (), (), whole=True, covers=True)


def _cropped(layout: ArrayLayout, coords: tuple[int, ...], chunk: ChunkArray) -> ChunkArray:
    inside = [slice(0, part.stop - part.start) for part in layout.chunks.region(coords)]
    # the ellipsis makes a view, and no scalar, of an array without axes
    index: tuple[Any, ...] = (*inside, ...)
    cropped: ChunkArray = chunk[index]
    return cropped


def _held(layout: ArrayLayout) -> int:
    """Bytes that are held while a stored object is converted.

    Its stored bytes, of a shard while the next ones arrive, a scratch array, and what a chain of
    codecs makes between.
    """
    itemsize = max(layout.dtype.itemsize, 1)
    chunk = itemsize * prod(largest_chunk(layout.chunks))
    fetched = chunk
    if layout.sharding is not None:
        shard = itemsize * prod(largest_chunk(layout.objects))
        fetched = 2 * max(chunk, min(settings.coalesce_limit, shard))
    return fetched + 4 * chunk


class _Conversion:
    """One conversion: planned, checked, carried out."""

    def __init__(
        self,
        source: MeteredStore,
        source_path: str,
        target: MeteredStore,
        target_path: str,
        zarr_format: ZarrFormat,
        budget: int,
    ) -> None:
        self.source = source
        self.source_path = source_path
        self.target = target
        self.target_path = target_path
        self.zarr_format: ZarrFormat = zarr_format
        self.budget = budget
        self.nodes: dict[str, NodeMetadata] = {}
        self.arrays: list[_ArrayConversion] = []
        self.consolidated: list[str] = []
        self.losses: list[Loss] = []

    def plan(self) -> None:
        """Translates all documents; nothing is written.

        Raises:
            ConversionError: A node is of the new version already.
            MemoryBudgetError: A chunk does not fit into the budget.
        """
        for path, documents in walk(self.source, self.source_path):
            if format_of(documents) == self.zarr_format:
                raise ConversionError(
                    f"this is Zarr v{self.zarr_format} already",
                    store=self.source.name,
                    key=path or None,
                    hint="zlab.copy copies it as it is",
                )
            self._translate(path, documents)

    def _translate(self, path: str, documents: NodeDocuments) -> None:
        relative = path[len(self.source_path) :].strip("/")
        translation = Translation(relative, self.zarr_format)
        metadata = parse_node(documents, store=self.source.name, path=path)
        moved = join(self.target_path, relative)
        translated: NodeMetadata | None
        if isinstance(metadata, ArrayMetadata):
            before = ArrayLayout(self.source, path, metadata)
            translated = translation.array(before)
            if translated is not None:
                after = ArrayLayout(self.target, moved, translated)
                array = _ArrayConversion.of(before, after, relative)
                check_budget(array.held, self.budget, f"a chunk of {relative or 'the array'!r}")
                self.arrays.append(array)
        else:
            translated = translation.group(metadata)
            if self._is_consolidated(path, documents):
                self.consolidated.append(moved)
        if translated is not None:
            self.nodes[moved] = translated
        self.losses += translation.losses

    def _is_consolidated(self, path: str, documents: NodeDocuments) -> bool:
        version = VERSIONS[format_of(documents)]
        if version.consolidated is None:
            return documents[version.group].get("consolidated_metadata") is not None
        return self.source.nbytes(join(path, version.consolidated)) is not None

    def check(self, *, strict: bool) -> None:
        """Raises `ConversionError` where something would be lost that may not be."""
        blocking = [loss for loss in self.losses if loss.blocks]
        refused = self.losses if strict else blocking
        if not refused:
            return
        names = "; ".join(map(str, refused))
        raise ConversionError(
            f"converting to Zarr v{self.zarr_format} would lose {len(refused)} "
            f"thing{'s' if len(refused) > 1 else ''}: {names}",
            losses=tuple(refused),
            store=self.source.name,
            key=self.source_path or None,
            hint="This cannot be converted; zlab.copy keeps the version"
            if blocking
            else "Pass strict=False (--no-strict) to convert all the same",
        )

    def run(self, *, verify: bool, progress: Progress | None) -> ConvertReport:
        """Converts chunks, verifies them, and writes the documents.

        Raises:
            ConversionError: What was written is not what was read.
        """
        nobjects = sum(sum(1 for _ in stored_objects(array.source)) for array in self.arrays)
        steps = Steps(nobjects * (2 if verify else 1), progress)
        is_near = self.source.local and self.target.local
        width = settings.threads if is_near else settings.fetch_concurrency
        before, after = ContentHash(), ContentHash()
        nbytes_before = self.source.nbytes_read
        for array in self.arrays:

            def convert_object(home: tuple[int, ...], array: _ArrayConversion = array) -> None:
                array.convert(home, before)
                steps.step()

            homes = ((array.held, home) for home, _ in stored_objects(array.source))
            run_bounded(homes, convert_object, budget=self.budget, width=width)
        nbytes_read = self.source.nbytes_read - nbytes_before
        nbytes_written = self.target.nbytes_written
        if verify:
            self._verify(before, after, steps, width)
        self._publish()
        return ConvertReport(
            name_of(self.source, self.source_path),
            name_of(self.target, self.target_path),
            self.zarr_format,
            len(self.arrays),
            len(self.nodes) - len(self.arrays),
            before.nchunks,
            nbytes_read,
            nbytes_written,
            tuple(self.losses),
            after.hexdigest() if verify else None,
        )

    def _verify(self, before: ContentHash, after: ContentHash, steps: Steps, width: int) -> None:
        for array in self.arrays:

            def check_object(home: tuple[int, ...], array: _ArrayConversion = array) -> None:
                array.check(home, after)
                steps.step()

            homes = ((array.held, home) for home, _ in stored_objects(array.target))
            run_bounded(homes, check_object, budget=self.budget, width=width)
        if (before.nchunks, before.hexdigest()) != (after.nchunks, after.hexdigest()):
            raise ConversionError(
                f"what was written is not what was read: {after.nchunks} chunks with digest "
                f"{after.hexdigest()}, and not {before.nchunks} with {before.hexdigest()}",
                store=self.target.name,
                key=self.target_path or None,
                hint="The target's storage changed it, or a codec that rounds has rounded again; "
                "nothing can be opened there",
            )

    def _publish(self) -> None:
        documents = {
            join(path, name): document
            for path, node in self.nodes.items()
            for name, document in format_node(node).items()
        }
        for key in in_publishing_order(documents):
            self.target.put(key, format_json(documents[key]))
        # a path is longer than those above it
        for path in sorted(self.consolidated, key=len, reverse=True):
            consolidate(self.target, path, self.zarr_format)
