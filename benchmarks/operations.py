"""What is measured: from a library and an array to a task.

An operation is set up once in a process, checks what it read against the array's values, and then
hands back the task that is timed.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.tasks import Cost, Task, timed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.datasets import Dataset
    from benchmarks.peers import Library


def read_all(library: Library, dataset: Dataset, place: Path) -> Task:
    """The whole array into memory."""
    array = library.open(place)
    _check(array.read(), dataset)
    return timed(array.read)


def read_chunks(library: Library, dataset: Dataset, place: Path) -> Task:
    """Every chunk (of a sharded array, inner chunk) by a read of its own, in a mixed order."""
    array = library.open(place)
    starts = list(product(*map(range, (0,) * 3, dataset.shape, dataset.chunks)))
    selections = [
        tuple(slice(at, at + n) for at, n in zip(start, dataset.chunks, strict=True))
        for start in starts
    ]
    random.Random(0).shuffle(selections)  # noqa: S311  an order, no secret
    values = dataset.values()
    for selection in selections[:20]:
        np.testing.assert_array_equal(array.read(selection), values[selection])

    def run() -> None:
        for selection in selections:
            array.read(selection)

    return timed(run, times=len(selections))


def write_all(library: Library, dataset: Dataset, place: Path) -> Task:
    """A new array, all of it written; creating it is not counted."""
    target = place.parent / f"{place.name}.written-by-{library.module}"
    values = dataset.values()

    def run() -> Cost:
        shutil.rmtree(target, ignore_errors=True)
        write = library.writer(dataset, target)
        begun = Cost.now()
        write(values)
        return begun.since()

    run()
    _check(library.open(target).read(), dataset)
    return Task(run)


def open_array(library: Library, _dataset: Dataset, place: Path) -> Task:
    """From a path to an array that can be read."""
    return timed(lambda: library.open(place))


def import_library(library: Library, _dataset: Dataset, _place: Path) -> Task:
    """`import` in a fresh interpreter, less the interpreter's own start."""
    code = (
        "from time import perf_counter as w, process_time as c; "
        f"b = w(), c(); import {library.module}; print(w() - b[0], c() - b[1])"
    )

    def run() -> Cost:
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
        return Cost(*map(float, done.stdout.split()))

    return Task(run)


def stream(_library: Library, dataset: Dataset, place: Path) -> Task:
    """All chunks by zlab's stream, each dropped at once."""
    import zlab

    array = zlab.open_array(place)
    out = np.empty(dataset.shape, np.uint16)
    for chunk in array.stream_chunks():
        out[chunk.region] = chunk.data
    _check(out, dataset)

    def run() -> None:
        for _ in array.stream_chunks():
            pass

    return timed(run)


def read_all_aggregated(library: Library, dataset: Dataset, place: Path) -> Task:
    """`read_all` while zlab's aggregator counts, as in every notebook."""
    import zlab

    zlab.telemetry.enable()
    return read_all(library, dataset, place)


def read_all_subscribed(library: Library, dataset: Dataset, place: Path) -> Task:
    """`read_all` while somebody is told of each chunk."""
    import zlab

    seen = 0

    def listen(_event: Any) -> None:
        nonlocal seen
        seen += 1

    zlab.telemetry.subscribe("chunk.read", listen)
    task = read_all(library, dataset, place)
    np.testing.assert_equal(seen, dataset.nchunks)
    return task


OPERATIONS: dict[str, Callable[[Library, Dataset, Path], Task]] = {
    operation.__name__: operation
    for operation in (
        read_all,
        read_chunks,
        write_all,
        open_array,
        import_library,
        stream,
        read_all_aggregated,
        read_all_subscribed,
    )
}


def _check(values: NDArray[Any], dataset: Dataset) -> None:
    np.testing.assert_array_equal(values, dataset.values())
