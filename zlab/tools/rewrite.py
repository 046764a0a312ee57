"""Writing one array anew: in boxes of whole target objects, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, final

import numpy as np

from zlab.config import settings
from zlab.engine.inventory import stored_objects
from zlab.engine.read import plan, read_runs
from zlab.engine.selection import parse_region
from zlab.engine.write import write_runs
from zlab.memory import aligned_empty
from zlab.tools.bounded import MeteredStore, check_budget
from zlab.tools.rechunk import largest_chunk, plan_rechunk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zlab.engine.layout import ArrayLayout
    from zlab.grid import Grid
    from zlab.tools.rechunk import RechunkPlan

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
class Rewrite:
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
    def fit(cls, source: ArrayLayout, target: ArrayLayout, budget: int) -> Rewrite:
        """Chooses boxes for a budget: those that are read most seldom, then most at once.

        Raises:
            MemoryBudgetError: Not even one target object fits.
        """
        itemsize = max(source.dtype.itemsize, 1)
        smallest = _nbytes(target.objects, target, cropped=True)
        is_near = source.store.local and target.store.local
        width = settings.threads
        requests = 1 if is_near else max(1, settings.fetch_concurrency // width)
        best: Rewrite | None = None
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

    def report(self, nboxes: int) -> RechunkedArray:
        """What was done, once all boxes are copied; the stores of both layouts count."""
        source, target = self.source.node_store, self.target.node_store
        assert isinstance(source, MeteredStore)  # noqa: S101
        assert isinstance(target, MeteredStore)  # noqa: S101
        return RechunkedArray(
            self.target.path,
            nboxes,
            self.plan.reads_per_chunk,
            source.objects_read,
            target.objects_written,
            source.nbytes_read,
            target.nbytes_written,
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
