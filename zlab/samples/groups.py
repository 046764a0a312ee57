"""Batches of samples from anywhere: several are read together, each chunk of theirs once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zlab.engine.plan import Run
from zlab.engine.read import load_run
from zlab.memory import ALIGNMENT, aligned_empty
from zlab.samples.blocks import longest_chunk
from zlab.samples.gather import split
from zlab.stream.ahead import Unit
from zlab.stream.loader import filled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from zlab.engine.plan import ChunkJob
    from zlab.samples.gather import Across, Pieces, Scatter
    from zlab.samples.grid import Placement

RUN_NBYTES = 1 << 18
"""Decoded bytes of the chunks that a thread reads in one go, of a local store."""


class Task(NamedTuple):
    """A chunk to read for some samples.

    Attributes:
        batch: The first batch of the group that needs it.
        array: Which of the arrays.
        number: Its place in the pieces of the array.
        chunk: Its coordinates along the sampled axes.
        job: How it is read.
        across: What it is along the other axes.
    """

    batch: int
    array: int
    number: int
    chunk: tuple[int, ...]
    job: ChunkJob
    across: tuple[Across, ...]


class Part(NamedTuple):
    """Some chunks of a group were read.

    Attributes:
        group: Which it is.
        ready: Batches of the group that have all of their samples now.
        nchunks: Chunks that were read.
    """

    group: Group
    ready: int
    nchunks: int


class Group:
    """Batches that are read together.

    Args:
        scatters: For each array, how its samples are put together.
        batches: The samples of each batch.
    """

    def __init__(self, scatters: Sequence[Scatter], batches: Sequence[NDArray[np.int64]]) -> None:
        self.batches = batches
        self._scatters = scatters
        self._bounds = np.cumsum([0, *map(len, batches)])
        indices = np.concatenate(batches)
        self._pieces: list[Pieces] = [split(s.placement, indices) for s in scatters]
        self._arrays: list[NDArray[Any]] = []

    def tasks(self) -> list[Task]:
        """What is read, in the order in which the batches need it."""
        tasks = []
        for array, (scatter, pieces) in enumerate(zip(self._scatters, self._pieces, strict=True)):
            # the pieces of a chunk are in the order of their samples
            firsts = pieces.places[pieces.bounds[:-1]]
            needed_by = (np.searchsorted(self._bounds, firsts, side="right") - 1).tolist()
            for number, chunk in enumerate(map(tuple, pieces.chunks.tolist())):
                tasks += [
                    Task(needed_by[number], array, number, chunk, job, across)
                    for job, across in scatter.jobs(chunk)
                ]
        tasks.sort(key=lambda task: task[:3])
        return tasks

    def allocate(self, rooms: Sequence[Callable[..., NDArray[Any]]]) -> None:
        """Makes the memory of the batches."""
        for scatter, room in zip(self._scatters, rooms, strict=True):
            placement = scatter.placement
            shape = (int(self._bounds[-1]), *placement.sample_shape)
            self._arrays.append(room(shape, placement.layout.dtype))

    def put(self, task: Task, data: NDArray[Any]) -> None:
        """Copies the samples of a chunk."""
        pieces = self._pieces[task.array]
        mine = slice(*pieces.bounds[task.number : task.number + 2].tolist())
        starts = tuple(start[mine] for start in pieces.starts)
        self._scatters[task.array](
            data, task.chunk, task.across, starts, pieces.places[mine], self._arrays[task.array]
        )

    def batch(self, number: int) -> tuple[NDArray[Any], ...]:
        """The samples of a batch, of each array."""
        start, stop = self._bounds[number : number + 2].tolist()
        parts = []
        for array in self._arrays:
            part = array[start:stop]
            if part.ctypes.data % ALIGNMENT and not part.dtype.hasobject:
                copy = aligned_empty(part.shape, part.dtype)
                copy[...] = part
                part = copy
            parts.append(part)
        return tuple(parts)


@dataclass(frozen=True)
class GroupReader:
    """Reads groups of batches.

    Attributes:
        scatters: For each array, how its samples are put together.
        group_size: Batches of a group.
        turn: Entered while chunks are decoded, where many threads wait for a store.
        empties: For each array, what makes the memory of a chunk.
        rooms: For each array, what makes the memory of a group.
    """

    scatters: tuple[Scatter, ...]
    group_size: int
    turn: AbstractContextManager[object] | None
    empties: tuple[Callable[..., NDArray[Any]], ...]
    rooms: tuple[Callable[..., NDArray[Any]], ...]

    def units(self, batches: Iterator[NDArray[np.int64]]) -> Iterator[Unit[Part]]:
        """What is read for some batches: runs of chunks, group after group."""
        while chosen := list(islice(batches, self.group_size)):
            group = Group(self.scatters, chosen)
            nbytes = sum(map(len, chosen)) * sum(s.placement.sample_nbytes for s in self.scatters)
            runs = list(_runs(self.scatters, group.tasks()))
            group.allocate(self.rooms)
            for place, tasks in enumerate(runs):
                # what the next run is the first to bring is not there yet
                last = place + 1 == len(runs)
                ready = len(chosen) if last else runs[place + 1][0].batch
                yield Unit(nbytes, partial(self._load, group, tasks, ready))
                nbytes = 0
            if not runs:
                yield Unit(nbytes, partial(Part, group, len(chosen), 0))

    def _load(self, group: Group, tasks: list[Task], ready: int) -> Part:
        placement = self.scatters[tasks[0].array].placement
        layout, empty = placement.layout, self.empties[tasks[0].array]
        by_coords = {task.job.coords: task for task in tasks}
        shard = None if layout.sharding is None else layout.shard_of(tasks[0].job.coords)
        run = Run(shard, [task.job for task in tasks])
        for job, data, _ in load_run(layout, run, self.turn, empty):
            group.put(by_coords[job.coords], filled(layout, job, empty) if data is None else data)
        return Part(group, ready, len(tasks))


def _runs(scatters: Sequence[Scatter], tasks: list[Task]) -> Iterator[list[Task]]:
    """Tasks that one thread does in one go: of one array, one shard, and needed at one time."""
    run: list[Task] = []
    key: object = None
    nbytes = 0
    for task in tasks:
        layout = scatters[task.array].placement.layout
        shard = None if layout.sharding is None else layout.shard_of(task.job.coords)
        alone = shard is None and not layout.store.local
        now = task.batch, task.array, shard
        if run and (alone or now != key or nbytes >= RUN_NBYTES):
            yield run
            run, nbytes = [], 0
        key = now
        run.append(task)
        nbytes += chunk_nbytes(scatters[task.array].placement)
    if run:
        yield run


def chunk_nbytes(placement: Placement) -> int:
    """Decoded bytes of the largest chunk."""
    layout = placement.layout
    n = max(layout.dtype.itemsize, 1)
    for axis in layout.chunks.axes:
        n *= longest_chunk(axis)
    return n
