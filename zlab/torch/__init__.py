"""Aligned arrays in a store as PyTorch datasets, whose tensors are the memory that zlab read into.

`Dataset` reads batches in order or shuffled, each chunk once an epoch, and needs no worker
processes; `MapDataset` gives single samples to PyTorch's own samplers.

Example:
    >>> import numpy as np, zlab
    >>> images = zlab.create_array({}, data=np.zeros((10, 8, 8), "float32"))
    >>> labels = zlab.create_array({}, data=np.arange(10))
    >>> dataset = zlab.torch.Dataset(images, labels, batch_size=4, shuffle="window", seed=0)
    >>> for x, y in torch.utils.data.DataLoader(dataset, batch_size=None):
    ...     print(tuple(x.shape), tuple(y.shape))
    (4, 8, 8) (4,)
    (4, 8, 8) (4,)
    (2, 8, 8) (2,)
"""

from zlab.errors import MissingExtraError

try:
    import torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("torch", "torch", "zlab.torch") from error

from zlab.torch.dataset import Dataset
from zlab.torch.map_dataset import MapDataset
from zlab.torch.tensors import to_tensor

__all__ = ["Dataset", "MapDataset", "to_tensor"]
