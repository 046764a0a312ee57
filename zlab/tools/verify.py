"""Checking a store: every document, every object, every chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final, get_args

from zlab.config import settings
from zlab.engine.layout import ArrayLayout
from zlab.engine.nodes import check_writable, join, read_document, read_documents
from zlab.errors import MetadataError, NodeNotFoundError, StoreError
from zlab.grid import ChunkKeys
from zlab.group.hierarchy import consolidate, stale_nodes
from zlab.metadata import ArrayMetadata, v2
from zlab.metadata.node import DOCUMENT_NAMES, parse_node
from zlab.metadata.version import VERSIONS
from zlab.stats import KEY as STATS
from zlab.stores.local import LocalStore
from zlab.tools.bounded import Steps, budget_of, run_bounded
from zlab.tools.chunk_check import ArrayCheck, StoredObject
from zlab.tools.leftovers import find_leftovers, remove
from zlab.tools.nbytes import format_nbytes
from zlab.tools.problems import KEPT, Kind, Problem, Problems, listed
from zlab.tools.transfer import name_of, opened
from zlab.tools.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zlab.metadata import GroupMetadata
    from zlab.stores.base import Entry, Store
    from zlab.tools.bounded import Progress
    from zlab.tools.transfer import NodeLike

__all__ = ["Kind", "Problem", "VerifyReport", "verify"]


@final
@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a check found.

    Attributes:
        node: What was checked.
        deep: Whether chunks were decoded, and not only measured.
        arrays: Arrays that were checked.
        groups: Groups that were checked.
        objects: Objects that were looked at, documents included.
        nbytes: Their bytes.
        chunks: Chunks that are stored; of sharded arrays, inner chunks.
        missing: Chunks that are not stored, which is no error: they read as fill.
        counts: How many problems there are of each kind.
        harmful: How many of them keep data from being read, and were not repaired.
        problems: The problems; of each kind the first thousand.
    """

    node: str
    deep: bool
    arrays: int
    groups: int
    objects: int
    nbytes: int
    chunks: int
    missing: int
    counts: dict[Kind, int]
    harmful: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether everything that is left can be read."""
        return self.harmful == 0

    def __str__(self) -> str:
        parts = (
            counted(self.arrays, "array"),
            counted(self.groups, "group"),
            counted(self.objects, "object"),
            format_nbytes(self.nbytes),
        )
        how = "decoded" if self.deep else "measured"
        lines = [
            f"{self.node}: {', '.join(parts)}",
            f"  {counted(self.chunks, 'chunk')} {how}, {self.missing:,} not stored",
            *(f"  {problem}" for problem in self.problems),
            *(f"  {kind}: {n - KEPT:,} more" for kind, n in self.counts.items() if n > KEPT),
        ]
        lines.append("  everything can be read" if self.ok else "  NOT everything can be read")
        return "\n".join(lines)


def verify(
    store: NodeLike,
    path: str = "",
    *,
    deep: bool = True,
    repair: bool = False,
    memory: int | str | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Checks an array, or a group with everything below it, object by object.

    Chunks that are not stored are counted; they are no error. With `repair`, leftovers of killed
    writers are removed, stale consolidated metadata are written anew, and a torn shard whose
    index is whole is replaced by one with the inner chunks that are; those that are lost are
    named. Nothing else is changed: data that cannot be read are never deleted.

    Args:
        store: An array, a group, or what `zlab.open` takes.
        path: The node's path in it.
        deep: Decode every chunk. Otherwise sizes and headers are looked at, and the indices of
            shards, which is far faster and misses what is wrong inside.
        repair: Put right what can be.
        memory: Bytes that the check may hold, a number or a text such as `"2GB"`;
            `zlab.settings.memory_budget` by default.
        progress: Called with the objects that are done and their total so far.

    Returns:
        What was checked and what is wrong, counted.

    Raises:
        NodeNotFoundError: There is no node.
        ReadOnlyError: `repair` on a store that was opened for reading.
        StoreError: The node cannot be listed. What cannot be below it is a problem in the report.

    Example:
        >>> import numpy as np, zlab
        >>> store = {}
        >>> _ = zlab.create_array(store, data=np.arange(8), chunks=4)
        >>> store["c/1"] = store["c/1"][:-1]
        >>> report = zlab.verify(store)
        >>> report.ok, [(problem.kind, problem.coords) for problem in report.problems]
        (False, [('chunk', (1,))])
    """
    budget = budget_of(memory, settings.memory_budget)
    with opened(store, path, "r+" if repair else "r") as (place, where):
        if repair:
            check_writable(place, where)
        check = _Check(place, deep=deep, repair=repair, budget=budget, progress=progress)
        if not check.node(where):
            raise NodeNotFoundError(
                "there is no array or group to check",
                store=place.name,
                key=where or None,
                hint="A node has a zarr.json (v3), .zarray or .zgroup (v2) at its path",
            )
        if isinstance(place, LocalStore):
            check.leftovers(place, where)
        return check.report(where)


class _Check:
    """One check, and what it saw so far."""

    def __init__(
        self, store: Store, *, deep: bool, repair: bool, budget: int, progress: Progress | None
    ) -> None:
        self.store = store
        self.deep = deep
        self.repair = repair
        self.budget = budget
        self.steps = Steps(0, progress)
        self.problems = Problems()
        self.narrays = self.ngroups = self.nobjects = self.nbytes = 0
        self.nchunks = self.nmissing = 0

    def found(self, kind: Kind, key: str, what: str, *, repaired: bool = False) -> None:
        self.problems.add(Problem(kind, key, what, repaired=repaired))

    def seen(self, entry: Entry) -> None:
        self.nobjects += 1
        self.nbytes += entry.nbytes

    def report(self, where: str) -> VerifyReport:
        counts = self.problems.counts
        return VerifyReport(
            name_of(self.store, where),
            self.deep,
            self.narrays,
            self.ngroups,
            self.nobjects,
            self.nbytes,
            self.nchunks,
            self.nmissing,
            {kind: counts[kind] for kind in get_args(Kind) if counts[kind]},
            self.problems.harmful,
            self.problems.in_order(),
        )

    def node(self, path: str) -> bool:
        """Checks what is at a path, with everything below it.

        Returns:
            Whether there is a node, be it broken.
        """
        try:
            documents = read_documents(self.store, path)
            if documents is None:
                return False
            metadata = parse_node(documents, store=self.store.name, path=path)
            if isinstance(metadata, ArrayMetadata):
                self.array(ArrayLayout(self.store, path, metadata))
                return True
        except MetadataError as error:
            self.found("metadata", error.key or path, error.what)
            # what lies below may be whole, and which of it is stray cannot be told
            self.members(path, strays=False)
            return True
        self.ngroups += 1
        self.members(path, strays=True)
        self.consolidated(path, metadata)
        return True

    def members(self, path: str, *, strays: bool) -> None:
        """Checks what lies below a group."""
        listing = self.store.list_dir(path)
        for entry in listing.entries:
            self.seen(entry)
            if strays and entry.key.rpartition("/")[2] not in DOCUMENT_NAMES:
                self.stray(entry.key)
        for prefix in listing.prefixes:
            try:
                if not self.node(prefix) and strays:
                    self.strays(prefix)
            except StoreError as error:  # it hides nothing beside it
                self.found("unreadable", error.key or prefix, error.what)

    def stray(self, key: str) -> None:
        """Reports an object that is no document; as a link that leads nowhere it may be a node."""
        try:
            self.store.nbytes(key)
        except StoreError as error:
            self.found("unreadable", key, error.what)
        else:
            self.found("stray", key, "belongs to no array or group")

    def strays(self, prefix: str) -> None:
        """Reports what lies below a prefix that is no node, all at once."""
        n = 0
        for entry in self.store.list(prefix):
            self.seen(entry)
            n += 1
        if n:
            self.found(
                "stray", f"{prefix}/", f"{counted(n, 'object')} below what is no array or group"
            )

    def consolidated(self, path: str, metadata: GroupMetadata) -> None:
        """Compares consolidated metadata with the nodes."""
        zarr_format = metadata.zarr_format
        key = path
        try:
            apart = VERSIONS[zarr_format].consolidated
            if apart is None:
                known = metadata.consolidated
            else:
                key = join(path, apart)
                document = read_document(self.store, path, apart)
                known = None if document is None else v2.parse_consolidated(document)
            if known is None:
                return
            nodes = {name: documents for name, documents in known.items() if name}
            stale = stale_nodes(self.store, path, zarr_format, nodes)
        except (MetadataError, StoreError) as error:
            self.found("stale", key, f"cannot be compared with the nodes: {error.what}")
            return
        if stale:
            if self.repair:
                consolidate(self.store, path, zarr_format)
            what = f"consolidated metadata are not what the nodes say: {listed(stale)}"
            self.found("stale", key, what, repaired=self.repair)

    def leftovers(self, store: LocalStore, where: str) -> None:
        """Finds what killed writers left in a directory."""
        directory = store.path / where
        if not directory.is_dir():
            return
        for leftover in find_leftovers(directory):
            repaired = self.repair and remove(leftover)
            what = "may be in use" if leftover.in_use else "a killed writer left it"
            size = format_nbytes(leftover.nbytes)
            self.found("leftover", leftover.path, f"{what}, {size}", repaired=repaired)

    def array(self, layout: ArrayLayout) -> None:
        """Checks the objects of an array."""
        self.narrays += 1
        check = ArrayCheck(layout, self.problems, deep=self.deep, repair=self.repair)

        def work(item: StoredObject) -> None:
            check.object(item)
            self.steps.step()

        units = self.units(check)
        near = self.store.local
        width = settings.threads if near else settings.fetch_concurrency
        run_bounded(units, work, budget=self.budget, width=width)
        self.nchunks += check.nchunks
        self.nmissing += check.chunks.nchunks - check.nchunks - check.nlost

    def units(self, check: ArrayCheck) -> Iterator[tuple[int, StoredObject]]:
        """The objects of an array that can be checked in the memory that there is."""
        for item in self.objects(check.layout):
            held = check.held(item)
            if held > self.budget:
                needed, allowed = format_nbytes(held), format_nbytes(self.budget)
                what = f"not checked: that needs {needed} at once, and {allowed} are allowed"
                self.problems.add(Problem("unreadable", item.key, what, item.coords))
            else:
                self.steps.total += 1
                yield held, item

    def objects(self, layout: ArrayLayout) -> Iterator[StoredObject]:
        """The chunks or shards of an array; what else lies there is reported."""
        metadata = layout.metadata
        keys = ChunkKeys.parse(metadata.chunk_key_encoding, len(metadata.shape))
        start = len(layout.path) + 1 if layout.path else 0
        for entry in layout.store.list(layout.path):
            self.seen(entry)
            name = entry.key[start:]
            if name in DOCUMENT_NAMES or name == STATS:
                continue
            coords = keys.decode(name)
            if coords is None:
                self.found("stray", entry.key, "is neither a chunk nor a document of the array")
            elif not layout.objects.contains(coords):
                what = f"lies outside the array, which has {layout.objects.shape}"
                self.problems.add(Problem("outside", entry.key, what, coords))
            else:
                yield StoredObject(coords, entry.key, entry.nbytes)
