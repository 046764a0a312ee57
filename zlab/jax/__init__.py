"""Arrays in a store as batches of `jax.Array`, without a copy on the CPU and nothing cast unasked.

Example:
    >>> import numpy as np, zlab
    >>> images = zlab.create_array("memory://", data=np.zeros((10, 8, 8), "float32"))
    >>> labels = zlab.create_array("memory://", data=np.arange(10, dtype="int32"))
    >>> for x, y in zlab.jax.batches((images, labels), 4, shuffle=True, seed=0):
    ...     print(x.shape, y.shape)
    (4, 8, 8) (4,)
    (4, 8, 8) (4,)
    (2, 8, 8) (2,)
"""

from zlab.errors import MissingExtraError

try:
    import jax as _jax  # noqa: F401
except ImportError as error:
    raise MissingExtraError("jax", "jax", "zlab.jax") from error

from zlab.jax.arrays import to_array
from zlab.jax.batches import batches
from zlab.jax.chunks import TensorChunk, TensorStream, chunks
from zlab.jax.create import from_array
from zlab.jax.dtypes import data_type_of, dtype_of
from zlab.jax.loader import Loader, LoaderReport
from zlab.jax.write import write

__all__ = [
    "Loader",
    "LoaderReport",
    "TensorChunk",
    "TensorStream",
    "batches",
    "chunks",
    "data_type_of",
    "dtype_of",
    "from_array",
    "to_array",
    "write",
]
