"""`batches`: the simple door to a `Loader`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zlab.jax.loader import Loader

if TYPE_CHECKING:
    from zlab.samples import Shuffle


def batches(
    x: object, batch_size: int, *, shuffle: bool | Shuffle = False, **options: Any
) -> Loader:
    """Batches of samples for a training loop.

    On the CPU a batch is the buffer that zlab read into: JAX takes it over without a copy.

    Args:
        x: An array, or several with as many samples each, such as `(images, labels)`; then a batch
            is a tuple of as many. A group, a dict or another pytree of arrays gives batches like
            it.
        batch_size: Samples of a batch; the last one may have fewer.
        shuffle: `True` for `"window"`: chunks in a random order, and samples in a random order
            within a window of chunks, so that each chunk is decoded once an epoch. `"global"`: as
            random as can be.
        **options: All others of a `Loader`, such as `seed`, `drop_remainder`, `dtype`, `transform`
            and `sharding`.

    Returns:
        A loader. Each iteration of it is an epoch, with an order of its own; `seed=` determines
        them.

    Raises:
        DataTypeError: JAX has no such type, or would cast it: 64 bits with x64 off.
        TypeError: An argument is not what its name says, such as a NumPy array for `x`.
        ValueError: The arrays have different numbers of samples, or a number is out of range.
        MemoryBudgetError: More must be held at once than `max_bytes`.
        ChunkReadError: Raised by the iteration.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array("memory://", data=np.arange(10, dtype="int32"))
        >>> [batch.tolist() for batch in zlab.jax.batches(array, 4)]
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    """
    if isinstance(shuffle, bool):
        shuffle = "window" if shuffle else "none"
    return Loader(x, batch_size=batch_size, shuffle=shuffle, **options)
