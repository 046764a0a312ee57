"""Samples of aligned arrays in batches of NumPy arrays, for whatever trains on them.

A sample is what stands at one index of some axes, or a window along them. The samples of an epoch
come in order, shuffled in windows (each chunk is decoded once), or in an order of which every one
is possible. The order takes no memory, and a small state goes on anywhere in it, on another number
of hosts too.

Example:
    >>> import numpy as np, zlab
    >>> group = zlab.create_group("memory://")
    >>> x = group.create_array("x", data=np.arange(60.0).reshape(20, 3), chunks=(4, 3))
    >>> y = group.create_array("y", data=np.arange(20), chunks=10)
    >>> stream = zlab.samples.stream_samples(
    ...     [x.layout, y.layout], 8, shuffle="window", seed=0, drop_remainder=True
    ... )
    >>> for batch in stream:
    ...     images, labels = batch.arrays
    ...     print(images.shape, (images[:, 0] == 3 * labels).all())
    (8, 3) True
    (8, 3) True
    >>> state = stream.after(1)
    >>> [batch.indices.tolist() for batch in stream.at(state)] == [batch.indices.tolist()]
    True
"""

from zlab.samples.describe import stream_samples
from zlab.samples.grid import SampleGrid
from zlab.samples.lanes import Share
from zlab.samples.permutation import Permutation
from zlab.samples.randomness import Randomness
from zlab.samples.state import Shuffle, State
from zlab.samples.stream import SampleBatch, SampleStream

__all__ = [
    "Permutation",
    "Randomness",
    "SampleBatch",
    "SampleGrid",
    "SampleStream",
    "Share",
    "Shuffle",
    "State",
    "stream_samples",
]
