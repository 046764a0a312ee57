"""Zarr stores as xarray's datasets: `engine="zlab"`, the accessor `.zlab`, and a way back.

`xarray.open_dataset(..., engine="zlab")` needs no import of zlab: the engine is registered by the
installation.

Example:
    >>> import numpy as np, xarray as xr, zlab
    >>> group = zlab.create_group({})
    >>> _ = group.create_array("t", data=np.arange(4.0), chunks=2, dimension_names=["time"])
    >>> dataset = xr.open_dataset(group, engine="zlab")
    >>> dataset.t[1:3].values
    array([1., 2.])
"""

from zlab.errors import MissingExtraError

try:
    import xarray as _xarray  # noqa: F401
except ImportError as error:
    raise MissingExtraError("xarray", "xarray", "zlab.xarray") from error

from zlab.xarray.accessors import DataArrayAccessor, DatasetAccessor
from zlab.xarray.backend import DatasetNotFoundError, ZlabBackendEntrypoint
from zlab.xarray.blocks import Blocks
from zlab.xarray.write import write

__all__ = [
    "Blocks",
    "DataArrayAccessor",
    "DatasetAccessor",
    "DatasetNotFoundError",
    "ZlabBackendEntrypoint",
    "write",
]
