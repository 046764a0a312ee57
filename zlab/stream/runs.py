"""From a plan to the runs of chunks that threads load, without those that are not stored.

Chunks are probed one after another until many in a row turn out to be absent. Then the stored ones
are listed, unless that takes longer than to probe the rest. So a dense array is never listed, and
three chunks of 10^12 are found at once.
"""

from __future__ import annotations

import sys
from itertools import islice
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from zlab.engine.inventory import stored_objects
from zlab.engine.plan import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.engine.plan import ChunkJob
    from zlab.stream.ahead import Halt
    from zlab.stream.plan import Coords, StreamPlan

ABSENT_IN_A_ROW = 64
"""Absent objects in a row after which the stored ones are listed."""

LISTED_FOR_A_PROBE = 16
"""Entries of a listing that cost about as much as to look for one object."""


class Runs:
    """The runs of one iteration.

    Args:
        layout: Of the array.
        plan: What is visited.
        halt: Ends the iteration when it is set.
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
        stored_only: bool,
        max_chunks: int,
        max_bytes: int,
    ) -> None:
        self._layout = layout
        self._plan = plan
        self._halt = halt
        self._may_list = stored_only
        self._max_chunks = max_chunks
        self._max_bytes = max_bytes
        self._absent = 0

    def saw(self, *, present: int, absent: int) -> None:
        """The next objects in the stream's order were there, or were not.

        Threads may count past each other: then the listing comes a little later.
        """
        self._absent = 0 if present else self._absent + absent

    def __iter__(self) -> Iterator[tuple[int, Run]]:
        """Bytes and run, one after another.

        Raises:
            StoreError: The store could not be listed.
        """
        last: Coords | None = None
        for nbytes, run in self._batched(self._plan.walk()):
            yield nbytes, run
            last = run.jobs[-1].coords
            if self._may_list and self._absent >= ABSENT_IN_A_ROW:
                self._may_list = False
                stored = self._list()
                if stored is not None:
                    break
        else:
            return
        objects = _coords(stored, self._plan.object_ranges)
        yield from self._batched(self._plan.walk(objects, after=last))

    def _batched(self, pairs: Iterator[tuple[Coords | None, Coords]]) -> Iterator[tuple[int, Run]]:
        itemsize = self._layout.dtype.itemsize
        shard: Coords | None = None
        jobs: list[ChunkJob] = []
        held = 0
        for home, coords in pairs:
            if self._halt.is_set():
                return
            if not self._plan.wants(coords):
                continue
            job = self._plan.job(coords)
            nbytes = itemsize * prod([part.stop - part.start for part in job.target])
            full = len(jobs) >= self._max_chunks or held + nbytes > self._max_bytes
            if jobs and (full or home != shard):
                yield held, Run(shard, jobs)
                jobs, held = [], 0
            shard = home
            jobs.append(job)
            held += nbytes
        if jobs:
            yield held, Run(shard, jobs)

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
                _place(coords, ranges)
                for coords, _ in islice(entries, min(limit, sys.maxsize))
                if all(number in r for number, r in zip(coords, ranges, strict=True))
            ),
            dtype,
        )
        if next(entries, None) is not None:
            return None
        places.sort()
        return places


def _place(coords: Coords, ranges: tuple[range, ...]) -> int:
    place = 0
    for number, r in zip(coords, ranges, strict=True):
        place = place * (r.stop - r.start) + number - r.start
    return place


def _coords(places: NDArray[Any], ranges: tuple[range, ...]) -> Iterator[Coords]:
    for place in places:
        rest, numbers = int(place), []
        for r in reversed(ranges):
            rest, number = divmod(rest, r.stop - r.start)
            numbers.append(number + r.start)
        yield tuple(reversed(numbers))
