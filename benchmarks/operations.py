"""What is measured: from a library and an array to a task.

An operation is set up once in a process, checks what it read or wrote against the array's values,
and then hands back the task that is timed.
"""

from __future__ import annotations

import atexit
import os
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import training
from benchmarks.tasks import Cost, Task, timed
from benchmarks.weather import QUERIES, SMALL, STATISTICS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.datasets import Dataset, Members
    from benchmarks.peers import Library, Setting
    from benchmarks.weather import Weather

_BESIDE_OUTPUT = 64 << 20
"""Bytes that a full read may take beside its output and the chunks in its threads."""


def read_all(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """The whole array into memory."""
    array = library.open(place, setting)
    _check(array.read(...), dataset, place)
    threads = setting.threads or os.cpu_count() or 1
    bound = dataset.nbytes + _BESIDE_OUTPUT + 2 * threads * dataset.chunk_nbytes
    return timed(lambda: array.read(...), bound_nbytes=bound)


def read_chunks(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """Every chunk (of a sharded array, inner chunk) by a read of its own, in a mixed order."""
    array = library.open(place, setting)
    places = list(dataset.places())
    random.Random(0).shuffle(places)  # noqa: S311  an order, no secret
    expected = dataset.expected(place)
    for coords, selection in places:
        np.testing.assert_array_equal(array.read_chunk(coords, selection), expected[selection])

    def run() -> None:
        for coords, selection in places:
            array.read_chunk(coords, selection)

    return timed(run, times=len(places))


def read_line(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """One row of elements along the last axis, across all chunks there."""
    array = library.open(place, setting)
    line = (slice(5, 6), slice(7, 8), slice(None))
    _check(array.read(line), dataset, place, line)
    return timed(lambda: array.read(line))


def read_by_threads(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """All chunks, each by a call of its own, by eight threads that share the handle."""
    array = library.open(place, setting)
    places = list(dataset.places())
    pool = ThreadPoolExecutor(8)

    def read(chunk: tuple[tuple[int, ...], tuple[slice, ...]]) -> Any:
        return array.read_chunk(*chunk)

    expected = dataset.expected(place)
    for (_, selection), values in zip(places, pool.map(read, places), strict=True):
        np.testing.assert_array_equal(values, expected[selection])
    return timed(lambda: [None for _ in pool.map(read, places)])


def read_again(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """A window that lies across chunks, when it was read before."""
    array = library.open(place, setting)
    window = tuple(slice(n // 8, n * 5 // 8) for n in dataset.shape)
    for _ in range(2):
        _check(array.read(window), dataset, place, window)
    return timed(lambda: array.read(window))


def stream(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """The sum of all values, chunk by chunk."""
    total = library.total(dataset, place, setting)
    np.testing.assert_equal(total(), int(dataset.expected(place).sum(dtype=np.uint64)))
    return timed(total, bound_nbytes=setting.max_nbytes)


def stream_slices(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """The sum of all values, one position of the first axis after the other."""
    return _summed(library.total_by_slices(dataset, place, setting), dataset, place)


def stream_async(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """The sum of all values, chunk by chunk with `async for`."""
    return _summed(library.total_async(dataset, place, setting), dataset, place)


def pipeline(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """The sum of all values, chunk by chunk through a pipeline."""
    return _summed(library.total_of_pipeline(dataset, place, setting), dataset, place)


def read_and_sum(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """The sum of all values, of the whole array in memory."""
    array = library.open(place, setting)
    _check(array.read(...), dataset, place)
    return timed(lambda: array.read(...).sum(dtype=np.uint64))


def open_array(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """From a path to an array that can be read."""
    array = library.open(place, setting)  # what is imported at first use is another row's
    _check(array.read(...), dataset, place)
    return timed(lambda: library.open(place, setting))


def list_members(library: Library, members: Members, place: Path, _setting: Setting) -> Task:
    """The names of all arrays of a group."""
    names = sorted(name.strip("/") for name in library.members(place))
    np.testing.assert_equal(names, [f"{number:05}" for number in range(members.count)])
    return timed(lambda: library.members(place))


def write_all(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """A new array, all of it written; creating it is not counted."""
    return _written(library, dataset, place, setting, lambda put, values: put(..., values))


def write_chunks(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """A new array, written chunk by chunk."""
    places = [region for _, region in dataset.places()]

    def fill(write: Callable[[Any], object], values: Any) -> None:
        # in memory of their own, as what is computed or received
        write((region, np.ascontiguousarray(values[region])) for region in places)

    return _written(library, dataset, place, setting, fill, library.create_for_chunks)


def write_rows(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """A new array, written one position of the first axis after the other."""

    def fill(put: Callable[[Any, Any], object], values: Any) -> None:
        for row in range(len(values)):
            put(slice(row, row + 1), values[row : row + 1])

    return _written(library, dataset, place, setting, fill)


def round_trip(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """A new array, all of it written, opened again and read."""
    target = _target(place)

    def fill(put: Callable[[Any, Any], object], values: Any) -> None:
        put(..., values)
        library.open(target, setting).read(...)

    return _written(library, dataset, place, setting, fill)


def import_library(library: Library, _dataset: Dataset, _place: Path, _setting: Setting) -> Task:
    """Its import in a fresh interpreter, less the interpreter's own start."""
    code = (
        "from time import perf_counter as w, process_time as c; "
        f"b = w(), c(); {library.statement}; print(w() - b[0], c() - b[1])"
    )

    def run() -> Cost:
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
        return Cost(*map(float, done.stdout.split()))

    return Task(run)


def read_all_aggregated(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """`read_all` while zlab's aggregator counts, as in every notebook."""
    import zlab

    zlab.telemetry.enable()
    return read_all(library, dataset, place, setting)


def read_all_subscribed(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """`read_all` while somebody is told of each chunk."""
    import zlab

    seen = 0

    def listen(_event: Any) -> None:
        nonlocal seen
        seen += 1

    zlab.telemetry.subscribe("chunk.read", listen)
    task = read_all(library, dataset, place, setting)
    np.testing.assert_equal(seen, dataset.nchunks)
    return task


def query(library: Library, weather: Weather, place: Path, setting: Setting) -> Task:
    """An answer about a group, from opening it on.

    Each is checked when it was given, not once before: what a library keeps from a first time
    would be missing in the memory that is measured. It warms up on a small group, so that what it
    imports at first use is not counted.
    """
    wanted = QUERIES[setting.query]
    library.query(place.with_name(f"{weather.name}{SMALL}"), wanted)()
    expected = weather.answers(place)[setting.query]
    ask = library.query(place, wanted)

    def run() -> Cost:
        begun = Cost.now()
        answer = ask()
        cost = begun.since()
        np.testing.assert_allclose([*answer], [*expected], rtol=1e-9)
        return cost

    return Task(run)


def query_by_statistics(library: Library, weather: Weather, place: Path, setting: Setting) -> Task:
    """The same where zlab keeps statistics of the chunks."""
    return query(library, weather, place.with_name(f"{weather.name}{STATISTICS}"), setting)


OPERATIONS: dict[str, Callable[[Library, Any, Path, Setting], Task]] = {
    operation.__name__: operation
    for operation in (
        read_all,
        read_chunks,
        read_line,
        read_by_threads,
        read_again,
        stream,
        stream_slices,
        stream_async,
        pipeline,
        read_and_sum,
        open_array,
        list_members,
        write_all,
        write_chunks,
        write_rows,
        round_trip,
        import_library,
        read_all_aggregated,
        read_all_subscribed,
        query,
        query_by_statistics,
        training.train,
        training.train_in_order,
        training.train_on_patches,
        training.train_on_some_patches,
        training.read_samples,
        training.first_batch,
        training.step_alone,
    )
}


def _written(
    library: Library,
    dataset: Dataset,
    place: Path,
    setting: Setting,
    fill: Callable[[Any, Any], object],
    create: Callable[[Dataset, Path], object] | None = None,
) -> Task:
    target = _target(place)
    values = np.array(dataset.expected(place))
    create = create or library.create

    def run() -> Cost:
        shutil.rmtree(target, ignore_errors=True)
        write = create(dataset, target)
        begun = Cost.now()
        fill(write, values)
        return begun.since()

    run()
    _check(library.open(target, setting).read(...), dataset, place)
    return Task(run)


def _summed(total: Callable[[], int], dataset: Dataset, place: Path) -> Task:
    np.testing.assert_equal(total(), int(dataset.expected(place).sum(dtype=np.uint64)))
    return timed(total)


def _target(place: Path) -> Path:
    """Where it writes, until the process ends; contenders of a row write side by side."""
    target = place.parent / f"{place.name}.written-{os.getpid()}"
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    return target


def _check(values: Any, dataset: Dataset, place: Path, selection: Any = ...) -> None:
    np.testing.assert_array_equal(np.asarray(values), dataset.expected(place)[selection])
