"""Arrays in a store as Polars frames: one a chunk, with the coordinates as columns.

Example:
    >>> import numpy as np, zlab
    >>> array = zlab.create_array(
    ...     "memory://",
    ...     data=np.arange(6, dtype="float32").reshape(2, 3),
    ...     chunks=(1, 3),
    ...     dimension_names=("row", "column"),
    ... )
    >>> for frame in zlab.polars.frames({"value": array}):
    ...     print(frame.rows())
    [(0, 0, 0.0), (0, 1, 1.0), (0, 2, 2.0)]
    [(1, 0, 3.0), (1, 1, 4.0), (1, 2, 5.0)]
"""

from zlab.errors import MissingExtraError

try:
    import polars as pl  # noqa: F401
except ImportError as error:
    raise MissingExtraError("polars", "polars", "zlab.polars") from error

from zlab.polars.frames import Frames, frames
from zlab.polars.scan import scan
from zlab.polars.write import write

__all__ = ["Frames", "frames", "scan", "write"]
