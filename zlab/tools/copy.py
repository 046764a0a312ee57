"""Copying arrays and groups: byte for byte where nothing changes, else chunk by chunk anew."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, final

import numpy as np

from zlab.array.plan import codec_of
from zlab.codecs import registry
from zlab.config import settings
from zlab.engine.inventory import stored_objects
from zlab.engine.layout import ArrayLayout
from zlab.engine.nodes import join
from zlab.engine.read import plan, read_runs
from zlab.engine.selection import parse_region
from zlab.engine.write import write_runs
from zlab.errors import MetadataError
from zlab.grid.auto import auto_chunks
from zlab.group.hierarchy import consolidate, walk
from zlab.memory import aligned_empty
from zlab.metadata import ArrayMetadata, NamedConfig, v2, v3
from zlab.metadata.document import format_json
from zlab.metadata.node import DOCUMENT_NAMES, format_node, parse_node
from zlab.metadata.version import format_of
from zlab.tools.bounded import MeteredStore, Steps, budget_of, check_budget, run_bounded
from zlab.tools.nbytes import format_nbytes
from zlab.tools.rechunk import largest_chunk, plan_rechunk
from zlab.tools.transfer import (
    carry,
    check_apart,
    in_publishing_order,
    is_array,
    make_room,
    name_of,
    opened,
    source_documents,
)
from zlab.tools.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zlab.array.plan import CodecsLike
    from zlab.grid import Grid
    from zlab.metadata.model import NodeDocuments
    from zlab.tools.bounded import Progress
    from zlab.tools.rechunk import RechunkPlan
    from zlab.tools.transfer import NodeLike

Lengths: TypeAlias = int | Sequence[int] | Mapping[str, int]
"""One length for every axis, one for each, or some by dimension name; others stay as they are."""

_CONSOLIDATED = "consolidated_metadata"
_MAX_BITMAP = 1 << 24  # boxes that are marked in an array; of more, those to copy are listed


@final
@dataclass(frozen=True, slots=True)
class RechunkedArray:
    """An array that was written anew.

    Attributes:
        path: In the target store.
        boxes: Boxes of the array that were copied one at a time.
        reads_per_chunk: How often one source chunk was read at most.
        objects_read: Chunks, or ranges of shards, that were read.
        objects_written: Chunks or shards that were written.
        nbytes_read: Stored bytes that were read.
        nbytes_written: Stored bytes that were written.
    """

    path: str
    boxes: int
    reads_per_chunk: int
    objects_read: int
    objects_written: int
    nbytes_read: int
    nbytes_written: int


@final
@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a copy did.

    Attributes:
        source: Where it read.
        target: Where it wrote.
        arrays: Arrays that were copied.
        groups: Groups that were copied.
        objects: Objects that were copied as they are, and documents.
        nbytes: Their bytes.
        rechunked: Arrays that were written anew.
    """

    source: str
    target: str
    arrays: int
    groups: int
    objects: int
    nbytes: int
    rechunked: tuple[RechunkedArray, ...] = ()

    def __str__(self) -> str:
        nodes = f"{counted(self.arrays, 'array')}, {counted(self.groups, 'group')}"
        lines = [
            f"copied {self.source} to {self.target}: {nodes}",
            f"  as they are: {counted(self.objects, 'object')}, {format_nbytes(self.nbytes)}",
        ]
        lines += [
            f"  anew: {array.path or '/'}: {counted(array.objects_written, 'object')}, "
            f"{format_nbytes(array.nbytes_read)} read, {format_nbytes(array.nbytes_written)} "
            f"written, each source chunk read {_times(array.reads_per_chunk)}"
            for array in self.rechunked
        ]
        return "\n".join(lines)


def _times(n: int) -> str:
    return "once" if n == 1 else f"at most {n} times"


def copy(
    src: NodeLike,
    dst: NodeLike,
    *,
    path: str = "",
    chunks: Lengths | Literal["auto"] | EllipsisType | None = ...,
    shards: Lengths | EllipsisType | None = ...,
    compressors: CodecsLike | Literal["auto"] | EllipsisType = ...,
    overwrite: bool = False,
    memory: int | str | None = None,
    progress: Progress | None = None,
) -> CopyReport:
    """Copies an array, or a group with everything below it.

    Where nothing changes, objects are copied byte for byte, also those that zlab has no codec
    for. An array whose chunks, shards or compressors change is read and written in boxes of
    whole target objects, in bounded memory. Attributes, dimension names and fill values stay,
    and so do consolidated metadata. What is not stored is not stored in the copy either.

    The documents are written last: a copy that is interrupted leaves nothing that can be opened.

    Args:
        src: An array, a group, or what `zlab.open` takes.
        dst: Where to: a group, or what `zlab.open` takes.
        path: Where in `dst`; its root by default.
        chunks: The shape of a chunk: one length for all axes, one for each, a mapping from
            dimension names to lengths (other axes stay), or `"auto"`. As in the source by
            default.
        shards: The shape of a shard, in the same forms; `None` for no shards.
        compressors: Codecs on bytes, as in `zlab.create_array`; `None` for none.
        overwrite: Replace what is there.
        memory: Bytes that the copy may hold, a number or a text such as `"2GB"`;
            `zlab.settings.memory_budget` by default. The more, the fewer source chunks are read
            more than once.
        progress: Called with the steps that are done and their total.

    Returns:
        What was copied, counted.

    Raises:
        NodeNotFoundError: There is nothing at `src`.
        NodeExistsError: There is something at `dst`, or one lies in the other.
        MetadataError: An array cannot have such chunks, shards or compressors.
        MemoryBudgetError: One object needs more than `memory`.
        ChunkReadError: A chunk is corrupt; nothing can be opened at `dst`.

    Example:
        >>> import numpy as np, zlab
        >>> rows = zlab.create_array({}, data=np.eye(100), chunks=(1, 100))
        >>> store = {}
        >>> report = zlab.copy(rows, store, chunks=(100, 10))
        >>> report.rechunked[0].reads_per_chunk, zlab.open(store).chunks
        (1, (100, 10))
    """
    budget = budget_of(memory, settings.memory_budget)
    change = _Change(... if chunks is None else chunks, shards, compressors)
    with (
        opened(src, "", "r") as (source, source_path),
        opened(dst, path, "a") as (target, target_path),
    ):
        check_apart((source, source_path), (target, target_path))
        root = source_documents(source, source_path)
        job = _Copy(MeteredStore(source), source_path, MeteredStore(target), target_path, budget)
        job.plan(change)
        make_room(target, target_path, format_of(root), overwrite=overwrite)
        return job.run(progress)


@dataclass(frozen=True, slots=True)
class _Change:
    """What a user wants otherwise."""

    chunks: Lengths | Literal["auto"] | EllipsisType
    shards: Lengths | EllipsisType | None
    compressors: CodecsLike | Literal["auto"] | EllipsisType

    @property
    def is_none(self) -> bool:
        return self.chunks is ... and self.shards is ... and self.compressors is ...

    def applied(self, layout: ArrayLayout) -> ArrayMetadata:
        """The metadata that an array gets.

        Raises:
            MetadataError: It cannot be changed so.
        """
        metadata, sharding = layout.metadata, layout.sharding
        codecs = layout.chunk_pipeline((0,) * len(metadata.shape)).configs
        if self.compressors is not ...:
            kept = (c for c in codecs if registry.get(c.name).kind != "bytes-bytes")
            codecs = (*kept, *_compressors(self.compressors))
        if self.chunks is ... and self.shards is ...:  # chunks that differ in shape stay so
            if sharding is not None:
                shape = sharding.innermost.chunk.shape
                codecs = (_sharded(layout, codecs, shape, None),)
            return replace(metadata, codecs=codecs)
        chunks = layout.chunks.chunk_shape
        if isinstance(self.chunks, str):
            chunks = auto_chunks(metadata.shape, layout.dtype.itemsize)
        elif not isinstance(self.chunks, EllipsisType):
            chunks = _lengths(self.chunks, chunks, metadata, "chunks")
        if chunks is None:
            raise MetadataError(
                "the array's chunks differ in shape", hint="Give chunks= along with shards="
            )
        shards = None if sharding is None else layout.objects.chunk_shape
        if self.shards is None:
            shards = None
        elif not isinstance(self.shards, EllipsisType):
            shards = _lengths(self.shards, shards or chunks, metadata, "shards")
        if shards is not None:
            codecs = (_sharded(layout, codecs, chunks, shards),)
        grid = NamedConfig("regular", {"chunk_shape": list(shards or chunks)})
        return replace(metadata, chunk_grid=grid, codecs=codecs)


def _compressors(
    value: CodecsLike | Literal["auto"] | EllipsisType,
) -> tuple[NamedConfig, ...]:
    if value is None or value is ...:
        return ()
    if isinstance(value, str) and value == "auto":
        value = NamedConfig("zstd", {"level": 0, "checksum": False})
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(map(codec_of, value))
    return (codec_of(value),)


def _lengths(
    value: Lengths, before: tuple[int, ...] | None, metadata: ArrayMetadata, what: str
) -> tuple[int, ...]:
    ndim = len(metadata.shape)
    if isinstance(value, Mapping):
        if before is None:
            msg = f"{what} by name: the array's chunks differ in shape; give a length for each axis"
            raise MetadataError(msg)
        names = metadata.dimension_names or (None,) * ndim
        lengths = tuple(
            n if name is None else value.get(name, n) for name, n in zip(names, before, strict=True)
        )
    else:
        lengths = (value,) * ndim if isinstance(value, int) else tuple(value)
    if len(lengths) != ndim:
        msg = f"{what} {lengths} has {len(lengths)} lengths for {ndim} dimensions"
        raise MetadataError(msg)
    if any(n < 1 for n in lengths):
        msg = f"every length of {what} must be at least 1, got {lengths}"
        raise MetadataError(msg)
    return tuple(map(operator.index, lengths))


def _sharded(
    layout: ArrayLayout,
    codecs: tuple[NamedConfig, ...],
    chunks: tuple[int, ...],
    shards: tuple[int, ...] | None,
) -> NamedConfig:
    if layout.metadata.zarr_format == 2:  # noqa: PLR2004  it has no name for them
        raise MetadataError("Zarr v2 has no shards", hint="Convert to v3 first: zlab.convert")
    if shards is not None and any(s % c for s, c in zip(shards, chunks, strict=True)):
        raise MetadataError(
            f"shards {shards} are not multiples of chunks {chunks}",
            hint="Give both chunks= and shards=, or shards=None",
        )
    index: Mapping[str, Any] = {
        "index_codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "crc32c"},
        ],
        "index_location": "end",
    }
    if layout.sharding is not None:
        kept = layout.sharding.configuration
        index = {name: kept[name] for name in index}
    return NamedConfig(
        "sharding_indexed",
        {"chunk_shape": list(chunks), "codecs": [codec.format() for codec in codecs], **index},
    )


@dataclass(frozen=True, slots=True)
class _Rechunk:
    """How one array is written anew.

    Attributes:
        source: Its layout.
        target: The new one's.
        plan: The boxes.
        held: Bytes that are held while one box is copied.
        width: Boxes that are copied at once.
        requests: Chunks of one box that are read or written at once.
    """

    source: ArrayLayout
    target: ArrayLayout
    plan: RechunkPlan
    held: int
    width: int
    requests: int

    @classmethod
    def fit(cls, source: ArrayLayout, target: ArrayLayout, budget: int) -> _Rechunk:
        """Chooses boxes for a budget: those that are read most seldom, then most at once.

        Raises:
            MemoryBudgetError: Not even one target object fits.
        """
        itemsize = max(source.dtype.itemsize, 1)
        smallest = _nbytes(target.objects, target, cropped=True)
        is_near = source.store.local and target.store.local
        width = settings.threads
        requests = 1 if is_near else max(1, settings.fetch_concurrency // width)
        best: _Rechunk | None = None
        while True:
            extra = _extra(source, target, requests)
            room = budget // width - extra
            if room >= smallest:
                plan = plan_rechunk(source.chunks, target.objects, itemsize=itemsize, limit=room)
                fitted = cls(source, target, plan, plan.nbytes + extra, width, requests)
                if best is None or plan.reads < best.plan.reads:
                    best = fitted
            if width == requests == 1:
                break
            requests, width = (requests // 2, width) if requests > 1 else (1, width // 2)
        if best is None:
            needed = smallest + _extra(source, target, 1)
            what = f"a {'shard' if target.sharding else 'chunk'} of {target.path or 'the array'!r}"
            check_budget(needed, budget, what)
            raise AssertionError
        return best

    def boxes(self) -> tuple[int, Iterator[tuple[int, ...]]]:
        """How many boxes hold something, and which: those that a stored object lies in."""
        grid = self.plan.boxes
        if grid.nchunks <= _MAX_BITMAP:
            marked = np.zeros(grid.shape, bool)
            for ranges in self._ranges():
                marked[tuple(slice(r.start, r.stop) for r in ranges)] = True
            return int(marked.sum()), (coords for coords in grid.coords() if marked[coords])
        listed = {coords for ranges in self._ranges() for coords in product(*ranges)}
        return len(listed), iter(sorted(listed))

    def _ranges(self) -> Iterator[tuple[range, ...]]:
        boxes = self.plan.boxes.axes
        for coords, _ in stored_objects(self.source):
            region = self.source.objects.region(coords)
            yield tuple(
                range(axis.chunk_at(part.start), axis.chunk_at(part.stop - 1) + 1)
                for axis, part in zip(boxes, region, strict=True)
            )

    def copy_box(self, coords: tuple[int, ...]) -> None:
        """Reads one box and writes it; chunks that are all fill are not stored."""
        region = parse_region(self.plan.boxes.region(coords), self.source.metadata.shape)
        box = aligned_empty(region.shape, self.source.dtype)
        njobs, runs = plan(self.source, region, width=self.requests)
        read_runs(self.source, runs, box, width=min(self.requests, njobs))
        # a shard is written by one worker, as a whole
        split = self.requests if self.target.sharding is None else 1
        njobs, runs = plan(self.target, region, width=split)
        write_runs(
            self.target, runs, box, width=min(self.requests, njobs), write_empty_chunks=False
        )


def _nbytes(grid: Grid, layout: ArrayLayout, *, cropped: bool = False) -> int:
    """Decoded bytes of the largest chunk of a grid."""
    lengths = largest_chunk(grid)
    if cropped:
        lengths = tuple(map(min, lengths, layout.metadata.shape))
    return prod(lengths) * max(layout.dtype.itemsize, 1)


def _extra(source: ArrayLayout, target: ArrayLayout, requests: int) -> int:
    """Bytes that copying a box holds beside the box itself.

    A scratch array, all the time. Of what is read: the stored bytes of a chunk, or of neighbours
    in a shard, while the next ones arrive, and what a chain of codecs makes between. Then, of what
    is written: the same chain the other way round; of a shard, its encoded chunks and the shard
    that is put together.
    """
    chunk = _nbytes(source.chunks, source)
    fetched = chunk
    if source.sharding is not None:
        fetched = max(chunk, min(settings.coalesce_limit, _nbytes(source.objects, source)))
    new_chunk = _nbytes(target.chunks, target)
    written = 3 * new_chunk
    if target.sharding is not None:
        written += 2 * _nbytes(target.objects, target)
    return requests * (max(chunk, new_chunk) + max(2 * fetched + 2 * chunk, written))


class _Copy:
    """One copy: planned, then carried out."""

    def __init__(
        self,
        source: MeteredStore,
        source_path: str,
        target: MeteredStore,
        target_path: str,
        budget: int,
    ) -> None:
        self.source = source
        self.source_path = source_path
        self.target = target
        self.target_path = target_path
        self.budget = budget
        self.rechunks: dict[str, _Rechunk] = {}
        self.groups: dict[str, NodeDocuments] = {}
        self.narrays = 0
        self.nobjects = 0
        self.written = (0, 0)

    def plan(self, change: _Change) -> None:
        """Finds out what is to be done; nothing is written.

        Raises:
            MetadataError: An array cannot be changed so.
            MemoryBudgetError: An object does not fit into the budget.
        """
        for path, documents in walk(self.source, self.source_path):
            if not is_array(documents):
                self.groups[path] = documents
                continue
            self.narrays += 1
            if not change.is_none:
                rechunk = self._rechunk(path, documents, change)
                if rechunk is not None:
                    self.rechunks[path] = rechunk
        for key, nbytes in self._verbatim():
            check_budget(nbytes, self.budget, f"the object {key!r}")
            self.nobjects += 1

    def _rechunk(self, path: str, documents: NodeDocuments, change: _Change) -> _Rechunk | None:
        metadata = parse_node(documents, store=self.source.name, path=path)
        if not isinstance(metadata, ArrayMetadata):
            return None
        before = ArrayLayout(MeteredStore(self.source.store), path, metadata)
        try:
            wanted = change.applied(before)
        except MetadataError as error:
            error.locate(store=self.source.name, key=path)
            raise
        after = ArrayLayout(MeteredStore(self.target.store), self._moved(path), wanted)
        first = (0,) * len(metadata.shape)
        configs = after.pipeline(first).configs
        if wanted.chunk_grid == metadata.chunk_grid and configs == before.pipeline(first).configs:
            return None
        after = ArrayLayout(after.node_store, after.path, replace(wanted, codecs=configs))
        return _Rechunk.fit(before, after, self.budget)

    def _moved(self, key: str) -> str:
        """Where a key of the source lies in the target."""
        return join(self.target_path, key[len(self.source_path) :])

    def _verbatim(self) -> Iterator[tuple[str, int]]:
        """Keys and sizes of the objects that are copied as they are, without documents."""
        for key, nbytes in self.source.list(self.source_path):
            if key.rpartition("/")[2] not in DOCUMENT_NAMES and not self._is_rechunked(key):
                yield key, nbytes

    def _is_rechunked(self, key: str) -> bool:
        if not self.rechunks:
            return False
        if "" in self.rechunks:
            return True
        while "/" in key:
            key = key.rpartition("/")[0]
            if key in self.rechunks:
                return True
        return False

    def run(self, progress: Progress | None) -> CopyReport:
        """Copies data, then documents."""
        planned = {path: (rechunk, *rechunk.boxes()) for path, rechunk in self.rechunks.items()}
        steps = Steps(self.nobjects + sum(n for _, n, _ in planned.values()), progress)
        near = self.source.local and self.target.local
        self._carry_objects(steps, settings.threads if near else settings.fetch_concurrency)
        rechunked = []
        for rechunk, nboxes, boxes in planned.values():

            def work(coords: tuple[int, ...], rechunk: _Rechunk = rechunk) -> None:
                rechunk.copy_box(coords)
                steps.step()

            units = ((rechunk.held, coords) for coords in boxes)
            run_bounded(units, work, budget=self.budget, width=rechunk.width)
            rechunked.append(_report(rechunk, nboxes))
        self._publish()
        return CopyReport(
            name_of(self.source, self.source_path),
            name_of(self.target, self.target_path),
            self.narrays,
            len(self.groups),
            *self.written,
            tuple(rechunked),
        )

    def _carry_objects(self, steps: Steps, width: int) -> None:
        def work(key: str) -> None:
            carry(self.source, key, self.target, self._moved(key))
            steps.step()

        units = ((nbytes, key) for key, nbytes in self._verbatim())
        run_bounded(units, work, budget=self.budget, width=width)

    def _publish(self) -> None:
        """Writes the documents, and what groups say of their members when these are there."""
        documents = (
            key
            for key, _ in self.source.list(self.source_path)
            if key.rpartition("/")[2] in DOCUMENT_NAMES
        )
        for key in in_publishing_order(documents):
            path, _, name = key.rpartition("/")
            if path in self.rechunks:
                changed = format_node(self.rechunks[path].target.metadata).get(name)
                if changed is not None:
                    self.target.put(self._moved(key), format_json(changed))
            elif self.rechunks and name in self.groups.get(path, ()):
                bare = {**self.groups[path][name]}
                bare.pop(_CONSOLIDATED, None)
                self.target.put(self._moved(key), format_json(bare))
            elif not (self.rechunks and name == v2.CONSOLIDATED):
                carry(self.source, key, self.target, self._moved(key))
        self.written = self.target.objects_written, self.target.nbytes_written
        if self.rechunks:
            # a path is longer than those above it
            for path in sorted(self.groups, key=len, reverse=True):
                if self._is_consolidated(path):
                    consolidate(self.target, self._moved(path), format_of(self.groups[path]))

    def _is_consolidated(self, path: str) -> bool:
        document = self.groups[path].get(v3.DOCUMENT)
        if document is not None:
            return document.get(_CONSOLIDATED) is not None
        return self.source.nbytes(join(path, v2.CONSOLIDATED)) is not None


def _report(rechunk: _Rechunk, nboxes: int) -> RechunkedArray:
    source, target = rechunk.source.node_store, rechunk.target.node_store
    assert isinstance(source, MeteredStore)  # noqa: S101  they were made in `_Copy._rechunk`
    assert isinstance(target, MeteredStore)  # noqa: S101
    return RechunkedArray(
        rechunk.target.path,
        nboxes,
        rechunk.plan.reads_per_chunk,
        source.objects_read,
        target.objects_written,
        source.nbytes_read,
        target.nbytes_written,
    )
