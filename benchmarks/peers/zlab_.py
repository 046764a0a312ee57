"""zlab."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np

import zlab
from benchmarks.loops import BATCH, PATCHES
from benchmarks.peers import Library, Opened
from zlab.stores.local import LocalStore
from zlab.testing import LatencyStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from benchmarks.datasets import Dataset
    from benchmarks.peers import Entries, Setting
    from benchmarks.weather import Answer, Query
    from zlab.stream import Chunk, Slice


class _Zlab(Library):
    statement = "from zlab import open_array"

    def open(self, place: Path, setting: Setting) -> Opened:
        return Opened(_open(place, setting).__getitem__)

    def create(self, dataset: Dataset, place: Path) -> Callable[[Any, Any], object]:
        return dataset.create(place).__setitem__

    def members(self, place: Path) -> Collection[str]:
        return list(zlab.open_group(place).array_keys())

    def total(self, _dataset: Dataset, place: Path, setting: Setting) -> Callable[[], int]:
        array = _open(place, setting)
        stream = array.stream_chunks(max_bytes=setting.max_nbytes)
        return lambda: sum(_sum(chunk) for chunk in stream)

    def total_by_slices(
        self, _dataset: Dataset, place: Path, setting: Setting
    ) -> Callable[[], int]:
        stream = _open(place, setting).stream_slices(0)
        return lambda: sum(_sum(part) for part in stream)

    def total_async(self, _dataset: Dataset, place: Path, setting: Setting) -> Callable[[], int]:
        stream = _open(place, setting).stream_chunks()

        async def total() -> int:
            return sum([_sum(chunk) async for chunk in stream])

        return lambda: asyncio.run(total())

    def total_of_pipeline(
        self, _dataset: Dataset, place: Path, setting: Setting
    ) -> Callable[[], int]:
        stream = _open(place, setting).stream_chunks()
        return lambda: sum(zlab.pipeline(stream, _sum, workers=zlab.settings.threads))

    def create_for_chunks(self, dataset: Dataset, place: Path) -> Callable[[Entries], object]:
        return dataset.create(place).write_stream

    def batches(
        self, _dataset: Dataset, place: Path, setting: Setting
    ) -> Callable[[], Iterator[Any]]:
        array = _open(place, setting)
        # a loader goes on where it was left; each epoch here is a first one
        return lambda: iter(
            zlab.jax.Loader(array, batch_size=BATCH, shuffle=setting.shuffle, seed=0)
        )

    def patches(
        self, dataset: Dataset, place: Path, setting: Setting
    ) -> Callable[[], Iterator[Any]]:
        array, names = _open(place, setting), dataset.dimension_names or ()
        sizes: dict[int | str, int] = dict(zip(names, PATCHES.sizes, strict=True))
        overlaps: dict[int | str, int] = dict(zip(names, PATCHES.overlaps, strict=True))
        return lambda: iter(
            zlab.jax.Loader(array, batch_size=PATCHES.batch_size, windows=sizes, overlap=overlaps)
        )

    def query(self, place: Path, query: Query) -> Callable[[], Answer]:
        try:
            from benchmarks.peers.polars_ import answer
        except ImportError:
            self.cannot("no Polars is there to scan with")
        return lambda: answer(zlab.polars.scan(zlab.open_group(place)), query)


def _sum(part: Chunk | Slice) -> int:
    return int(part.data.sum(dtype=np.uint64))


def _open(place: Path, setting: Setting) -> zlab.Array:
    if setting.threads is not None:
        zlab.settings.threads = setting.threads
    if setting.in_flight is not None:
        zlab.settings.fetch_concurrency = setting.in_flight
    if setting.latency_s:
        return zlab.open_array(LatencyStore(LocalStore(place), setting.latency_s))
    return zlab.open_array(place, cache=setting.cache_nbytes or None)


def library(_variant: str) -> Library:
    """Makes it."""
    return _Zlab()
