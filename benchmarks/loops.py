"""The loops that users of a library without loaders write around its reads."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH = 64
"""Samples of a batch, along the first axis."""

WINDOW_NCHUNKS = 32
"""Chunks whose samples such a loop shuffles together."""


def in_order(read: Callable[[Any], Any], n: int) -> Iterator[Any]:
    """Batches of `n` samples, one slice each."""
    for start in range(0, n, BATCH):
        yield read(slice(start, min(start + BATCH, n)))


def in_windows(
    read: Callable[[Any], Any], n: int, chunk: int, random: np.random.Generator
) -> Iterator[Any]:
    """Batches from a permuted order of chunks, shuffled some chunks at a time."""
    starts = random.permutation(np.arange(0, n, chunk)).tolist()
    for window in _parts(starts, WINDOW_NCHUNKS):
        samples = np.concatenate(
            [np.asarray(read(slice(start, min(start + chunk, n)))) for start in window]
        )
        for picked in _parts(random.permutation(len(samples)), BATCH):
            yield samples[picked]


def at_random(
    read_samples: Callable[[Any], Any], n: int, random: np.random.Generator
) -> Iterator[Any]:
    """Batches of samples from everywhere, read by their indices."""
    for picked in _parts(random.permutation(n), BATCH):
        # in ascending order, which readers like; what is in a batch has no order
        yield read_samples(np.sort(picked))


@dataclass(frozen=True)
class Patches:
    """Windows that overlap along all axes.

    Attributes:
        sizes: Of a patch, axis by axis.
        overlaps: Elements that neighbours share, axis by axis.
        batch_size: Patches of a batch.
    """

    sizes: tuple[int, ...] = (3, 48, 48)
    overlaps: tuple[int, ...] = (2, 32, 32)
    batch_size: int = 4

    def places(self, shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
        """All patches of an array, in C order; none sticks out."""
        starts = (
            range(0, n - size + 1, size - overlap)
            for n, size, overlap in zip(shape, self.sizes, self.overlaps, strict=True)
        )
        corners = (zip(corner, self.sizes, strict=True) for corner in product(*starts))
        return [tuple(slice(start, start + size) for start, size in corner) for corner in corners]

    def loop(self, read: Callable[[Any], Any], shape: tuple[int, ...]) -> Iterator[Any]:
        """Batches of them, each patch by a read of its own."""
        for places in _parts(self.places(shape), self.batch_size):
            yield np.stack([np.asarray(read(place)) for place in places])


PATCHES = Patches()
"""Those of Earthmover's loop."""


def _parts(whole: Any, n: int) -> Iterator[Any]:
    """So many at a time."""
    return (whole[start : start + n] for start in range(0, len(whole), n))
