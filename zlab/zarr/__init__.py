"""Bridges to zarr-python: each library's stores for the other, and the engine below its arrays.

`zarr.config.set({"codec_pipeline.path": "zlab.zarr.CodecPipeline"})` lets every array of
zarr-python, and with it of xarray, be read and written by zlab's engine. `Store` makes any store
of zlab one of zarr-python's; the other way round, `zlab.open` takes zarr-python's stores as they
are.

Example:
    >>> import zarr, zlab
    >>> import zlab.zarr
    >>> store = zlab.create_array("memory://", shape=(4,), dtype="int8").store
    >>> zarr.open_array(zlab.zarr.Store(store), mode="r").shape
    (4,)
"""

from __future__ import annotations

from zlab.errors import MissingExtraError

try:
    from zarr.registry import register_pipeline
except ImportError as error:
    raise MissingExtraError("zarr", "zarr", "zlab.zarr") from error

from zlab.zarr.adapt import ZarrStore
from zlab.zarr.model import FallbackWarning
from zlab.zarr.pipeline import CodecPipeline
from zlab.zarr.store import Store

__all__ = ["CodecPipeline", "FallbackWarning", "Store", "ZarrStore"]

# zarr-python finds a pipeline by the module and name of its class
CodecPipeline.__module__ = __name__
register_pipeline(CodecPipeline)
