"""What a training loop waits for: batches into a small step of JAX's.

Before it is timed, an epoch is checked: each sample is in it once, and in its place where the
order is that of the array.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.loops import PATCHES
from benchmarks.peers import CannotDoError
from benchmarks.tasks import Cost, Task, timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.datasets import Dataset
    from benchmarks.peers import Library, Setting

_PEERS_NBATCHES = 8
"""Batches of patches that a peer reads; of zlab all are measured."""


def train(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """An epoch; the seconds are those of one sample."""
    step = _step(setting)
    epoch = library.batches(dataset, place, setting)
    step([_check_samples(epoch(), dataset, place, in_order=setting.shuffle == "none")])
    return replace(timed(lambda: step(epoch())), times=dataset.shape[0], unit="samples")


def train_in_order(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """The same without shuffling, beside which a shuffled epoch is seen."""
    return train(library, dataset, place, replace(setting, shuffle="none"))


def read_samples(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """The samples into memory, all at once: the least that an epoch takes."""
    array = library.open(place, setting)
    np.testing.assert_array_equal(array.read(...), dataset.expected(place))
    return replace(timed(lambda: array.read(...)), times=dataset.shape[0], unit="samples")


def first_batch(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """From an opened array to the end of the first step of an epoch; the rest is left."""
    step = _step(setting)
    epoch = library.batches(dataset, place, setting)
    step([_check_samples(epoch(), dataset, place, in_order=setting.shuffle == "none")])

    def run() -> Cost:
        begun = Cost.now()
        batches = epoch()
        step(islice(batches, 1))
        cost = begun.since()
        _close(batches)
        return cost

    return Task(run)


def train_on_patches(library: Library, dataset: Dataset, place: Path, setting: Setting) -> Task:
    """All patches of an array; the seconds are those of one step."""
    return _trained_on_patches(library, dataset, place, setting, None)


def train_on_some_patches(
    library: Library, dataset: Dataset, place: Path, setting: Setting
) -> Task:
    """The first of them, for who would need minutes for all."""
    return _trained_on_patches(library, dataset, place, setting, _PEERS_NBATCHES)


def step_alone(_library: Library, dataset: Dataset, _place: Path, setting: Setting) -> Task:
    """The step on a batch that is in memory."""
    batch = np.zeros((PATCHES.batch_size, *PATCHES.sizes), dataset.values().dtype)
    step = _step(setting)
    step([batch])
    work = timed(lambda: step([batch] * _PEERS_NBATCHES))
    return replace(work, times=_PEERS_NBATCHES, unit="steps")


def _trained_on_patches(
    library: Library, dataset: Dataset, place: Path, setting: Setting, most: int | None
) -> Task:
    step = _step(setting)
    epoch = library.patches(dataset, place, setting)
    places, n = PATCHES.places(dataset.shape), PATCHES.batch_size
    expected = dataset.expected(place)
    firsts = range(0, len(places), n)[:most]
    batches = epoch()
    for first, batch in zip(firsts, batches, strict=False):
        wanted = np.stack([expected[place] for place in places[first : first + n]])
        np.testing.assert_array_equal(np.asarray(batch), wanted)
    _close(batches)

    def run() -> Cost:
        begun = Cost.now()
        batches = epoch()
        done = step(islice(batches, most))
        cost = begun.since()
        _close(batches)
        np.testing.assert_equal(done, len(firsts))
        return cost

    return Task(run, times=len(firsts), unit="steps")


def _step(setting: Setting) -> Callable[[Iterable[Any]], int]:
    """Steps on each of some batches, until the last one is done; returns how many."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError as error:
        raise CannotDoError("no JAX is there to do the steps") from error

    @jax.jit
    def update(state: Any, batch: Any) -> Any:
        return state + batch[:, 0].astype(jnp.float32).mean()

    def run(batches: Iterable[Any]) -> int:
        state, done = jnp.zeros(()), 0
        for batch in batches:
            state = update(state, batch)
            done += 1
            if setting.step_s:
                # an accelerator's: the processor has nothing to do with it
                time.sleep(setting.step_s)
        state.block_until_ready()
        return done

    return run


def _check_samples(
    batches: Iterator[Any], dataset: Dataset, place: Path, *, in_order: bool
) -> NDArray[Any]:
    """By the values of each, in an order of its own where it was shuffled; the first batch."""
    first, *others = (np.asarray(batch) for batch in batches)
    samples = np.concatenate([first, *others])
    expected = dataset.expected(place)
    if not in_order:
        np.testing.assert_equal(np.array_equal(samples, expected), False)  # noqa: FBT003
        samples, expected = (values[np.lexsort(values[:, :16].T)] for values in (samples, expected))
    np.testing.assert_array_equal(samples, expected)
    return first


def _close(batches: Any) -> None:
    """Ends what reads ahead, where the loader has a word for it."""
    close = getattr(batches, "close", None)
    if close is not None:
        close()
