"""From a plan to the runs of chunks that threads load, without those that are not stored.

Chunks are probed one after another until many in a row turn out to be absent. Then the stored ones
are listed, unless that takes longer than to probe the rest. So a dense array is never listed, and
three chunks of 10^12 are found at once.
"""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zlab.engine.inventory import stored_objects
from zlab.engine.plan import Run
from zlab.stream.plan import coords_in, place_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.engine.plan import ChunkJob
    from zlab.stream.ahead import Halt
    from zlab.stream.plan import Coords, StreamPlan
    from zlab.stream.ranges import Ranges

ABSENT_IN_A_ROW = 64
"""Absent objects in a row after which the stored ones are listed."""

LISTED_FOR_A_PROBE = 16
"""Entries of a listing that cost about as much as to look for one object."""


class PlannedRun(NamedTuple):
    """A run, and what of the plan it settles.

    Attributes:
        run: The chunks to read.
        nbytes: Bytes of theirs, decoded.
        start: The number of the first chunk that is settled by it; what lies between the runs is
            not wanted, or not stored.
        stop: The number of the chunk behind its last one.
    """

    run: Run
    nbytes: int
    start: int
    stop: int


class Runs:
    """The runs of one iteration.

    Args:
        layout: Of the array.
        plan: What is visited.
        halt: Ends the iteration when it is set.
        skip: Numbers of chunks that are left out.
        stored_only: Leave out what a listing does not name.
        max_chunks: Chunks of a run at most.
        max_bytes: Bytes of a run at most, if it has more than one chunk.
    """

    def __init__(
        self,
        layout: ArrayLayout,
        plan: StreamPlan,
        halt: Halt,
        *,
        skip: Ranges,
        stored_only: bool,
        max_chunks: int,
        max_bytes: int,
    ) -> None:
        self._layout = layout
        self._plan = plan
        self._halt = halt
        self._skip = skip
        self._may_list = stored_only
        self._max_chunks = max_chunks
        self._max_bytes = max_bytes
        self._absent = 0

    def saw(self, *, present: int, absent: int) -> None:
        """The next objects in the stream's order were there, or were not.

        Threads may count past each other: then the listing comes a little later.
        """
        self._absent = 0 if present else self._absent + absent

    def __iter__(self) -> Iterator[PlannedRun]:
        """One run after another.

        Raises:
            StoreError: The store could not be listed.
        """
        behind = 0
        for planned in self._batched(self._plan.walk(skip=self._skip), behind):
            yield planned
            behind = planned.stop
            if self._may_list and self._absent >= ABSENT_IN_A_ROW:
                self._may_list = False
                stored = self._list()
                if stored is not None:
                    break
        else:
            return
        skip = self._skip.copy()
        skip.add(0, behind)
        ranges = self._plan.object_ranges
        objects = (coords_in(ranges, int(place)) for place in stored)
        yield from self._batched(self._plan.walk(objects, skip=skip), behind)

    def _batched(
        self, pairs: Iterator[tuple[Coords | None, Coords]], behind: int
    ) -> Iterator[PlannedRun]:
        itemsize = self._layout.dtype.itemsize
        job_of = self._plan.job
        wants = self._plan.wants if self._plan.filters else None
        shard: Coords | None = None
        jobs: list[ChunkJob] = []
        held = 0

        def planned() -> PlannedRun:
            nonlocal behind
            start, behind = behind, self._plan.number(jobs[-1].coords) + 1
            return PlannedRun(Run(shard, jobs), held, start, behind)

        for home, coords in pairs:
            if self._halt.is_set():
                return
            if wants is not None and not wants(coords):
                continue
            job = job_of(coords)
            nbytes = itemsize
            for part in job.target:
                nbytes *= part.stop - part.start
            if jobs and (
                home != shard or len(jobs) >= self._max_chunks or held + nbytes > self._max_bytes
            ):
                yield planned()
                jobs, held = [], 0
            shard = home
            jobs.append(job)
            held += nbytes
        if jobs:
            yield planned()

    def _list(self) -> NDArray[Any] | None:
        """Where the stored objects lie in the plan, sorted; `None` if they are too many to list.

        A stored object is a number here, its place in C order, so that 10^7 fit in 80 MB.
        """
        ranges = self._plan.object_ranges
        limit = self._plan.nobjects * LISTED_FOR_A_PROBE
        # numbers beyond 63 bits stay Python's own
        dtype = np.dtype(np.int64 if self._plan.nobjects < 1 << 63 else object)
        entries = stored_objects(self._layout)
        places = np.fromiter(
            (
                place_in(ranges, coords)
                for coords, _ in islice(entries, min(limit, sys.maxsize))
                if all(number in r for number, r in zip(coords, ranges, strict=True))
            ),
            dtype,
        )
        if next(entries, None) is not None:
            return None
        places.sort()
        return places
