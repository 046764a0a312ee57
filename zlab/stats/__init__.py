"""Least and greatest value of each chunk, kept beside the array, so that scans leave chunks out.

`build` reads an array once and puts one object beside its metadata document, under the key `KEY`.
Other readers of Zarr take no notice of it. What it says of a chunk is tied to the stored object
that it was read from, so that a chunk that anybody wrote since is a chunk without statistics, and
not one with wrong ones.

Example:
    >>> import numpy as np, zlab
    >>> array = zlab.create_array({}, data=np.arange(6.0), chunks=2)
    >>> zlab.stats.build(array)
    <ChunkStats of 3 chunks of float64, 0 of them changed since>
    >>> zlab.stats.read(array).max
    array([1., 3., 5.])
"""

from zlab.stats.build import build, drop, read
from zlab.stats.table import KEY, ChunkStats

__all__ = ["KEY", "ChunkStats", "build", "drop", "read"]
