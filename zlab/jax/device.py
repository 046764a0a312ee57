"""From host memory to the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax

from zlab.jax.dtypes import too_wide

if TYPE_CHECKING:
    from numpy.typing import NDArray


def to_device(array: NDArray[Any]) -> jax.Array:
    """Puts an array on the default device; the CPU takes over aligned memory as it is.

    Raises:
        DataTypeError: JAX would cast it.
    """
    on_device: jax.Array = jax.device_put(array)
    if on_device.dtype != array.dtype:
        raise too_wide(array.dtype, "a batch")
    return on_device
