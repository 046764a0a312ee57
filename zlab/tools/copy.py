"""Copying arrays and groups: byte for byte where nothing changes, else chunk by chunk anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, final

from zlab.config import settings
from zlab.engine.layout import ArrayLayout
from zlab.engine.nodes import join
from zlab.errors import MetadataError
from zlab.group.hierarchy import consolidate, walk
from zlab.metadata import ArrayMetadata, v2, v3
from zlab.metadata.document import format_json
from zlab.metadata.node import DOCUMENT_NAMES, format_node, parse_node
from zlab.metadata.version import format_of
from zlab.tools.bounded import MeteredStore, Steps, budget_of, check_budget, run_bounded
from zlab.tools.change import Change
from zlab.tools.nbytes import format_nbytes
from zlab.tools.rewrite import Rewrite
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
    from types import EllipsisType

    from zlab.array.plan import CodecsLike
    from zlab.metadata.model import NodeDocuments
    from zlab.tools.bounded import Progress
    from zlab.tools.change import Lengths
    from zlab.tools.rewrite import RechunkedArray
    from zlab.tools.transfer import NodeLike

_CONSOLIDATED = "consolidated_metadata"


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
    change = Change(... if chunks is None else chunks, shards, compressors)
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
        self.rewrites: dict[str, Rewrite] = {}
        self.groups: dict[str, NodeDocuments] = {}
        self.narrays = 0
        self.nobjects = 0
        self.written = (0, 0)

    def plan(self, change: Change) -> None:
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
                rewrite = self._rewrite(path, documents, change)
                if rewrite is not None:
                    self.rewrites[path] = rewrite
        for key, nbytes in self._verbatim():
            check_budget(nbytes, self.budget, f"the object {key!r}")
            self.nobjects += 1

    def _rewrite(self, path: str, documents: NodeDocuments, change: Change) -> Rewrite | None:
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
        return Rewrite.fit(before, after, self.budget)

    def _moved(self, key: str) -> str:
        """Where a key of the source lies in the target."""
        return join(self.target_path, key[len(self.source_path) :])

    def _verbatim(self) -> Iterator[tuple[str, int]]:
        """Keys and sizes of the objects that are copied as they are, without documents."""
        for key, nbytes in self.source.list(self.source_path):
            if key.rpartition("/")[2] not in DOCUMENT_NAMES and not self._is_rewritten(key):
                yield key, nbytes

    def _is_rewritten(self, key: str) -> bool:
        if not self.rewrites:
            return False
        if "" in self.rewrites:
            return True
        while "/" in key:
            key = key.rpartition("/")[0]
            if key in self.rewrites:
                return True
        return False

    def run(self, progress: Progress | None) -> CopyReport:
        """Copies data, then documents."""
        planned = {path: (rewrite, *rewrite.boxes()) for path, rewrite in self.rewrites.items()}
        steps = Steps(self.nobjects + sum(n for _, n, _ in planned.values()), progress)
        near = self.source.local and self.target.local
        self._carry_objects(steps, settings.threads if near else settings.fetch_concurrency)
        rechunked = []
        for rewrite, nboxes, boxes in planned.values():

            def work(coords: tuple[int, ...], rewrite: Rewrite = rewrite) -> None:
                rewrite.copy_box(coords)
                steps.step()

            units = ((rewrite.held, coords) for coords in boxes)
            run_bounded(units, work, budget=self.budget, width=rewrite.width)
            rechunked.append(rewrite.report(nboxes))
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
            if path in self.rewrites:
                changed = format_node(self.rewrites[path].target.metadata).get(name)
                if changed is not None:
                    self.target.put(self._moved(key), format_json(changed))
            elif self.rewrites and name in self.groups.get(path, ()):
                bare = {**self.groups[path][name]}
                bare.pop(_CONSOLIDATED, None)
                self.target.put(self._moved(key), format_json(bare))
            elif not (self.rewrites and name == v2.CONSOLIDATED):
                carry(self.source, key, self.target, self._moved(key))
        self.written = self.target.objects_written, self.target.nbytes_written
        if self.rewrites:
            # a path is longer than those above it
            for path in sorted(self.groups, key=len, reverse=True):
                if self._is_consolidated(path):
                    consolidate(self.target, self._moved(path), format_of(self.groups[path]))

    def _is_consolidated(self, path: str) -> bool:
        document = self.groups[path].get(v3.DOCUMENT)
        if document is not None:
            return document.get(_CONSOLIDATED) is not None
        return self.source.nbytes(join(path, v2.CONSOLIDATED)) is not None
