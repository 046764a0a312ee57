"""From host memory to the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax

from zlab.jax.dtypes import too_wide

if TYPE_CHECKING:
    from jax import Device
    from jax.sharding import Sharding
    from numpy.typing import NDArray


def to_device(
    array: NDArray[Any], device: Device | Sharding | None = None, what: str = "a batch"
) -> jax.Array:
    """Puts an array on a device; the CPU takes over aligned memory as it is.

    Args:
        array: Nobody writes to it any more.
        device: The default one by default.
        what: The array, in words.

    Raises:
        DataTypeError: JAX would cast it.
    """
    on_device: jax.Array
    on_device = jax.device_put(array) if device is None else jax.device_put(array, device)
    if on_device.dtype != array.dtype:
        raise too_wide(array.dtype, what)
    return on_device
