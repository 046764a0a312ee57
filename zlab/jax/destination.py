"""Batches of host memory as global arrays over the devices of one or many processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias, final

import jax
import numpy as np

from zlab.jax.device import to_device
from zlab.jax.dtypes import checked_dtype, too_wide
from zlab.jax.hosts import Need, need_of
from zlab.jax.trees import leaf_names, spread
from zlab.samples import Share

if TYPE_CHECKING:
    from jax.sharding import Sharding
    from numpy.typing import NDArray

    from zlab.jax.trees import ArrayTree
    from zlab.samples import SampleStream

    Shape: TypeAlias = tuple[int, ...]


@final
@dataclass(frozen=True, eq=False)
class Destination:
    """Where the parts of a batch go.

    Attributes:
        sharding: What was passed: one sharding or a pytree of them; `None` for the default device.
        structure: Of the batches that are read.
        shardings: Of their parts; empty for the default device.
        sample_shapes: Of whole samples.
        need: What this process has of a batch.
    """

    sharding: object
    structure: Any
    shardings: tuple[Sharding, ...]
    sample_shapes: tuple[Shape, ...]
    need: Need

    @classmethod
    def parse(cls, sharding: object, tree: ArrayTree, samples: SampleStream) -> Self:
        """What `sharding=` asks for.

        Args:
            sharding: What was passed.
            tree: The arrays.
            samples: Whole batches of them.

        Raises:
            TypeError: It is not made of shardings and devices.
            ValueError: It is another pytree, a batch cannot be divided as it says, or this process
                has no definite part of a batch.
        """
        shapes = samples.sample_shapes
        if sharding is None:
            whole = tuple(tuple(slice(0, n) for n in shape) for shape in shapes)
            return cls(None, tree.structure, (), shapes, Need(Share(), whole))
        parsed = jax.tree.map(_parsed, sharding)
        shardings = tuple(tree.spread(parsed, "sharding"))
        batches = [(samples.batch_size, *shape) for shape in shapes]
        remainder = 0 if samples.drop_remainder else samples.nsamples % samples.batch_size
        for one, shape, name in zip(shardings, batches, tree.names, strict=True):
            _check_divides(one, shape, name)
            if remainder:
                _check_remainder(one, (remainder, *shape[1:]), name)
        need = need_of(shardings, batches, tree.names, jax.process_index())
        return cls(parsed, tree.structure, shardings, shapes, need)

    @property
    def spans_processes(self) -> bool:
        """Whether a batch is on the devices of several processes."""
        return not all(sharding.is_fully_addressable for sharding in self.shardings)

    def is_host(self, default: object) -> bool:
        """Whether batches stay in the memory of this process.

        Args:
            default: The default device, `None` for JAX's choice.
        """
        if not self.shardings:
            platform = jax.default_backend() if default is None else default
            return getattr(platform, "platform", platform) == "cpu"
        devices: set[Any] = set().union(*(sharding.device_set for sharding in self.shardings))
        return all(device.platform == "cpu" for device in devices)

    def put(self, batch: Any) -> Any:
        """Puts a batch, or what a transform made of it, on the devices.

        Memory that starts at a multiple of 64 bytes is taken over by CPU devices without a copy,
        each part of a row-wise cut too. Other devices copy it while the caller goes on. JAX refers
        to it as long as it needs it.

        Args:
            batch: A pytree of NumPy arrays: this process's part.

        Raises:
            DataTypeError: JAX would cast it.
            ValueError: It cannot be divided as the sharding says.
        """
        structure: Any
        leaves, structure = jax.tree.flatten(batch)
        if not self.shardings:
            return structure.unflatten(map(to_device, leaves))
        same = structure == self.structure
        shardings = self.shardings if same else spread(structure, self.sharding, "sharding")
        names = leaf_names(batch, "batch")
        several = zip(leaves, shardings, names, strict=True)
        return structure.unflatten(
            [
                _put(leaf, sharding, self._global_shape(leaf, place if same else None, name), name)
                for place, (leaf, sharding, name) in enumerate(several)
            ]
        )

    def _global_shape(self, leaf: NDArray[Any], place: int | None, name: str) -> Shape:
        if not leaf.ndim:
            msg = f"{name} has no axis of samples, along which sharding= could cut it"
            raise ValueError(msg)
        n = leaf.shape[0] * self.need.share.count
        if place is not None:
            crop = tuple(part.stop - part.start for part in self.need.crops[place])
            if leaf.shape[1:] == crop:
                return (n, *self.sample_shapes[place])
        if self.need.crops_samples(self.sample_shapes):
            msg = (
                f"{name} has samples of {leaf.shape[1:]} after transform=, and its shape over all "
                "processes cannot be known, since each reads a part of the samples. Keep the "
                "shapes, or use a function wrapped by jax.jit"
            )
            raise ValueError(msg)
        return (n, *leaf.shape[1:])


def _parsed(value: object) -> Sharding:
    if isinstance(value, jax.Device):
        return jax.sharding.SingleDeviceSharding(value)
    if isinstance(value, jax.sharding.Sharding):
        return value
    msg = f"sharding must be a jax.sharding.Sharding or a jax.Device, not {type(value).__name__}"
    raise TypeError(msg)


def _check_divides(sharding: Sharding, shape: Shape, name: str) -> None:
    try:
        sharding.shard_shape(shape)
    except (IndexError, ValueError) as error:
        msg = f"sharding= does not divide {name}: a batch of it is {shape}, and {sharding}"
        raise ValueError(msg) from error


def _check_remainder(sharding: Sharding, shape: Shape, name: str) -> None:
    try:
        sharding.shard_shape(shape)
    except ValueError as error:
        msg = (
            f"the last batch of an epoch has {shape[0]} samples, which sharding= does not divide "
            f"({name}). Pass drop_remainder=True to leave it out"
        )
        raise ValueError(msg) from error


def _put(leaf: NDArray[Any], sharding: Sharding, shape: Shape, name: str) -> jax.Array:
    _check_divides(sharding, shape, name)
    if sharding.is_fully_addressable:
        return to_device(leaf, sharding)
    make: Any = jax.make_array_from_process_local_data  # untyped
    array: jax.Array = make(sharding, leaf, shape)
    if array.dtype != leaf.dtype:
        raise too_wide(leaf.dtype, "a batch")
    return array


def check_leaves(batch: object) -> None:
    """Whether what a transform made is arrays that JAX takes as they are.

    Raises:
        DataTypeError: JAX has no such type, or would cast it.
        TypeError: A leaf is something else.
    """
    for name, leaf in zip(leaf_names(batch, "batch"), jax.tree.leaves(batch), strict=True):
        if isinstance(leaf, jax.Array):
            msg = (
                f"transform= made a jax.Array of {name}: wrap it by jax.jit, to have it called "
                "with the batch on the device, or return NumPy arrays"
            )
            raise TypeError(msg)
        if not isinstance(leaf, np.ndarray):
            msg = f"transform= must return NumPy arrays, and {name} is {type(leaf).__name__}"
            raise TypeError(msg)
        checked_dtype(leaf.dtype, f"{name}, as transform= made it,")
