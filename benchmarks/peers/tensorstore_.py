"""tensorstore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorstore

from benchmarks.peers import Library, Opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.datasets import Dataset
    from benchmarks.peers import Setting


class _Tensorstore(Library):
    statement = "import tensorstore"

    def open(self, place: Path, setting: Setting) -> Opened:
        if setting.latency_s:
            self.cannot("reads from its own stores, which cannot be slowed")
        context: dict[str, Any] = {}
        if setting.threads is not None:
            for pool in ("data_copy_concurrency", "file_io_concurrency"):
                context[pool] = {"limit": setting.threads}
        if setting.cache_nbytes:
            context["cache_pool"] = {"total_bytes_limit": setting.cache_nbytes}
        spec = {**_spec(place), "context": context}
        array = tensorstore.open(spec, open=True, read=True).result()
        return Opened(lambda selection: array[selection].read().result())

    def create(self, dataset: Dataset, place: Path) -> Callable[[Any, Any], object]:
        whole = dataset.document()
        given = ("shape", "data_type", "chunk_grid", "codecs", "fill_value")
        metadata = {name: whole[name] for name in given}
        array = tensorstore.open({**_spec(place), "metadata": metadata}, create=True).result()
        return lambda selection, values: array[selection].write(values).result()


def _spec(place: Path) -> dict[str, Any]:
    return {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{place}/"}}


def library(_variant: str) -> Library:
    """Makes it."""
    return _Tensorstore()
