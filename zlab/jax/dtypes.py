"""Which NumPy dtypes JAX has, and which it would cast without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax

from zlab.errors import DataTypeError

if TYPE_CHECKING:
    import numpy as np


def checked_dtype(dtype: np.dtype[Any], what: str) -> np.dtype[Any]:
    """Returns a dtype that JAX has.

    Raises:
        DataTypeError: It would be cast, or does not exist there.
    """
    if not is_number(dtype):
        raise DataTypeError(
            f"{what} is {dtype}, and JAX has numbers only",
            hint="Turn it into numbers first, such as codes for text or int64 for times"
            if dtype.kind != "V"
            else "Make an array of each field",
        )
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise too_wide(dtype, what)
    return dtype


def too_wide(dtype: np.dtype[Any], what: str) -> DataTypeError:
    """The error of 64 bits with x64 off."""
    narrow = jax.dtypes.canonicalize_dtype(dtype)
    return DataTypeError(
        f"{what} is {dtype}, which JAX would turn into {narrow} without a word",
        hint="Switch 64 bits on with jax.config.update('jax_enable_x64', True), or ask for the "
        f"cast: dtype={str(narrow)!r}",
    )


def is_number(dtype: np.dtype[Any]) -> bool:
    """Whether values of a dtype are numbers, which may be cast to each other."""
    # the small floats and integers of ml_dtypes are what NumPy calls user-defined: 2
    return dtype.kind in "biufc" or dtype.isbuiltin == 2  # noqa: PLR2004
