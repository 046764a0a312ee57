"""Which JAX dtype holds a Zarr data type, and which data type stores a JAX dtype.

Nothing is cast unasked. What JAX does not have, or would cast without a word, is an error that
names the way out, before anything is read.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from zlab.array import Array
from zlab.errors import DataTypeError
from zlab.memory import aligned_empty
from zlab.metadata import data_type_of as stored_type_of
from zlab.metadata.datatypes import DataType

if TYPE_CHECKING:
    from numpy.typing import NDArray


def dtype_of(data_type: object) -> np.dtype[Any]:
    """The dtype of the `jax.Array` that holds a Zarr data type as it is.

    Args:
        data_type: A `zlab.Array`, the name of a data type, an object with a name and a
            configuration as it stands in a document, or a NumPy dtype.

    Raises:
        DataTypeError: JAX has no such type, or would cast it: 64 bits with x64 off.

    Example:
        >>> import zlab
        >>> zlab.jax.dtype_of("complex_float32")
        dtype('complex64')
    """
    if isinstance(data_type, Array):
        return checked_dtype(data_type.dtype, title_of(data_type))
    found = data_type if isinstance(data_type, DataType) else stored_type_of(data_type)
    return checked_dtype(found.dtype, found.name)


def data_type_of(dtype: object) -> DataType:
    """The Zarr data type that stores a JAX dtype.

    Args:
        dtype: A dtype, or anything that has one, such as a `jax.Array`.

    Raises:
        DataTypeError: No registered data type stores it.

    Example:
        >>> import jax.numpy as jnp, zlab
        >>> zlab.jax.data_type_of(jnp.bfloat16).name
        'bfloat16'
    """
    given: Any = dtype.dtype if isinstance(dtype, jax.Array | np.ndarray) else dtype
    try:
        return stored_type_of(given)
    except DataTypeError as error:
        found = _only_in_jax(given)
        if found is None:
            raise
        name, hint = found
        raise DataTypeError(f"no Zarr data type holds {name}", hint=hint) from error


def _only_in_jax(dtype: Any) -> tuple[str, str] | None:
    """The name of a dtype that only JAX has, and what to do with it; `None` for others."""
    if not isinstance(dtype, str) and jnp.issubdtype(dtype, jax.dtypes.extended):
        return str(dtype), "Keys of random numbers are stored as jax.random.key_data(keys)"
    try:
        native = np.dtype(dtype)
    except TypeError:
        return None
    if not is_number(native):
        return None
    return native.name, f"Cast it to {_wide_enough(native)}, which has all its values"


def title_of(array: Array) -> str:
    """What messages call an array."""
    return f"array {array.path!r}" if array.path else "the array"


def chosen_dtype(dtype: np.dtype[Any], wanted: object, what: str) -> np.dtype[Any]:
    """The dtype in JAX: what was asked for, which asks for a cast, or else the array's own.

    Args:
        dtype: Of the array.
        wanted: What was passed as `dtype=`; `None` for no cast.
        what: The array, in words.

    Raises:
        DataTypeError: JAX does not have it, or there is no cast to it.
    """
    if wanted is None:
        return checked_dtype(dtype, what)
    target = checked_dtype(np.dtype(wanted), f"dtype= for {what}")  # type: ignore[call-overload]
    if dtype.kind == "c" and target.kind != "c":
        msg = f"{what} is {dtype}, and dtype={target.name!r} has no imaginary part"
        raise DataTypeError(msg, hint="Take it in a transform=: batch.real, or abs(batch)")
    if (
        is_number(dtype)
        or (dtype.kind in "Mm" and target.kind in "iu")
        or (_is_pair(dtype) and target.kind == "c")
    ):
        return target
    raise _no_number(dtype, what)


def checked_dtype(dtype: np.dtype[Any], what: str) -> np.dtype[Any]:
    """Returns a dtype that JAX has.

    Raises:
        DataTypeError: It would be cast, or does not exist there.
    """
    if not is_number(dtype):
        raise _no_number(dtype, what)
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise too_wide(dtype, what)
    platform = jax.default_backend()
    if dtype.isbuiltin == _USER_DEFINED and not _is_held(dtype, platform):
        wide = _wide_enough(dtype)
        hint = f"Ask for dtype={wide!r}, which has all its values"
        name = what if what.endswith(dtype.name) else f"{what} is {dtype}"
        raise DataTypeError(f"{name}: JAX cannot hold it on the {platform}", hint=hint)
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
    return dtype.kind in "biufc" or dtype.isbuiltin == _USER_DEFINED


def converted(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array cast as NumPy does, in memory that JAX takes over without a copy.

    Args:
        array: Numbers, times or pairs of small floats.
        dtype: From `chosen_dtype`.

    Returns:
        The array itself where there is nothing to cast.
    """
    if array.dtype == dtype:
        return array
    out = aligned_empty(array.shape, dtype)
    convert_into(out, array)
    return out


def convert_into(out: NDArray[Any], array: NDArray[Any]) -> None:
    """Casts an array as NumPy does.

    Args:
        out: Written to; of the array's shape and a dtype from `chosen_dtype`.
        array: Numbers, times or pairs of small floats.

    Raises:
        DataTypeError: Times are outside the range of the whole numbers. NumPy would wrap them, and
            have a missing one be 0.
    """
    if array.dtype.kind in "Mm" and array.size and out.dtype != np.int64:
        _check_times(array.astype(np.int64), out.dtype, array.dtype)
    if _is_pair(array.dtype):
        np.copyto(out.real, array["real"], casting="unsafe")
        np.copyto(out.imag, array["imag"], casting="unsafe")
    else:
        np.copyto(out, array, casting="unsafe")


def _check_times(numbers: NDArray[np.int64], target: np.dtype[Any], dtype: np.dtype[Any]) -> None:
    low, high = int(numbers.min()), int(numbers.max())
    limits: Any = jnp.iinfo(target)  # type: ignore[no-untyped-call]
    if limits.min <= low and high <= limits.max:
        return
    missing = np.iinfo(np.int64).min
    worst = "NaT" if low == missing else f"{low if low < limits.min else high}"
    raise DataTypeError(
        f"{target.name} cannot hold {worst} of {dtype}",
        hint="Ask for dtype='int64' with 64 bits switched on, or use a transform=",
    )


_USER_DEFINED = 2  # what NumPy calls the small floats and integers of ml_dtypes


@cache
def _is_held(dtype: np.dtype[Any], platform: str) -> bool:  # noqa: ARG001  a part of the key
    """Whether the devices take it: of the small types, some are only names in `jax.numpy`."""
    try:
        jax.device_put(np.zeros(1, dtype))
    except (RuntimeError, TypeError, ValueError):
        return False
    return True


def _is_pair(dtype: np.dtype[Any]) -> bool:
    """Whether it is a complex number of two small floats, which NumPy has as a struct."""
    return dtype.names == ("real", "imag") and is_number(dtype["real"])


def _wide_enough(dtype: np.dtype[Any]) -> str:
    """What holds all values of a small float or integer."""
    if "int" not in dtype.name:
        return "bfloat16"
    return "uint8" if dtype.name.startswith("u") else "int8"


def _no_number(dtype: np.dtype[Any], what: str) -> DataTypeError:
    if _is_pair(dtype):
        return DataTypeError(
            f"{what} is complex, of two {dtype['real']}, and JAX has complex64 and complex128 only",
            hint="Ask for dtype='complex64', which has all its values",
        )
    if dtype.kind in "Mm":
        hint = "Ask for whole numbers of its unit: dtype='int64', with 64 bits switched on"
    elif dtype.names is not None:
        hint = "Make an array of each field: array[...]['field']"
    elif dtype.kind == "V":
        hint = "Make an array of its bytes: array[...].view('uint8')"
    else:
        hint = "Make an array of codes: numpy.unique(array[...], return_inverse=True)"
    return DataTypeError(f"{what} is {dtype}, and JAX has numbers only", hint=hint)
