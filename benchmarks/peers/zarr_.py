"""zarr-python, with each of its codec pipelines: batched, fused, zarrs's and zlab's."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

import zarr
import zarr.registry
from zarr.storage import LocalStore, WrapperStore

from benchmarks.peers import CannotDoError, Library, Opened

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from benchmarks.datasets import Dataset
    from benchmarks.peers import Setting

_PIPELINES = {
    "batched": "zarr.core.codec_pipeline.BatchedCodecPipeline",
    "fused": "zarr.core.codec_pipeline.FusedCodecPipeline",
    "zlab": "zlab.zarr.CodecPipeline",
    "zarrs": "zarrs.ZarrsCodecPipeline",
}


class _Slow(WrapperStore[LocalStore]):
    """A store that answers later, as `zlab.testing.LatencyStore` does."""

    def __init__(self, store: LocalStore, latency_s: float) -> None:
        super().__init__(store)
        self.latency_s = latency_s

    def _with_store(self, store: LocalStore) -> _Slow:
        return type(self)(store, self.latency_s)

    # as of a store that is far away: what reads without a loop would pass by `get`
    _supports_sync_io = False

    async def get(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(self.latency_s)
        return await super().get(*args, **kwargs)


class _Zarr(Library):
    def __init__(self, pipeline: str) -> None:
        self.statement = "import zarr, zarrs" if pipeline == "zarrs" else "import zarr"
        self.pipeline = pipeline

    def open(self, place: Path, setting: Setting) -> Opened:
        if setting.cache_nbytes:
            self.cannot("keeps no decoded chunks")
        if setting.latency_s and self.pipeline == "zarrs":
            self.cannot("reads from its own stores, which cannot be slowed")
        array = open_array(place, setting)
        return Opened(array.__getitem__, read_samples=array.oindex.__getitem__)

    def create(self, dataset: Dataset, place: Path) -> Callable[[Any, Any], object]:
        array = zarr.create_array(
            place,
            shape=dataset.shape,
            dtype="uint16",
            chunks=dataset.chunks,
            shards=dataset.shards,
            compressors=None if dataset.compressor is None else [dict(dataset.compressor)],
        )
        return array.__setitem__

    def members(self, place: Path) -> Collection[str]:
        return list(zarr.open_group(place, mode="r").array_keys())


def open_array(place: Path, setting: Setting) -> Any:
    """An array of zarr-python's."""
    return zarr.open_array(open_store(place, setting), mode="r")


def open_store(place: Path, setting: Setting) -> LocalStore | _Slow:
    """A store of zarr-python's, as slow and as parallel as asked for."""
    if setting.threads is not None:
        pools = ("threading.max_workers", "codec_pipeline.max_workers")
        zarr.config.set(dict.fromkeys(pools, setting.threads))
    if setting.in_flight is not None:
        zarr.config.set({"async.concurrency": setting.in_flight})
    store = LocalStore(place)
    return _Slow(store, setting.latency_s) if setting.latency_s else store


def library(variant: str) -> Library:
    """zarr-python with that pipeline."""
    path = _PIPELINES[variant]
    module, _, name = path.rpartition(".")
    pipeline = getattr(importlib.import_module(module), name, None)
    if pipeline is None:
        raise CannotDoError(f"zarr-python {zarr.__version__} has no {name}")
    zarr.registry.register_pipeline(pipeline)
    zarr.config.set({"codec_pipeline.path": path})
    return _Zarr(variant)
