"""From arrays to tensors: the same memory, the same values, or an error before anything is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from zlab.errors import DataTypeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from zlab.array import Array
    from zlab.engine.selection import BasicSelection

# dtypes of ml_dtypes that PyTorch has too, under the same names, if it is new enough: NumPy's view
# of the bits is what can be handed over
_BITS = {
    "bfloat16": "int16",
    "float8_e4m3fn": "uint8",
    "float8_e4m3fnuz": "uint8",
    "float8_e5m2": "uint8",
    "float8_e5m2fnuz": "uint8",
    "float8_e8m0fnu": "uint8",
}


def to_tensor(array: Array, selection: BasicSelection = ...) -> torch.Tensor:
    """Reads a selection of an array; the tensor is the memory that was read into.

    Args:
        array: The array.
        selection: Integers, slices with steps, an ellipsis; the whole array by default.

    Raises:
        DataTypeError: PyTorch has no such data type. Nothing was read.
        SelectionError: The selection does not fit the array.
        ChunkReadError: A chunk that is there could not be read or decoded.

    Example:
        >>> import ml_dtypes, numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(4).astype(ml_dtypes.bfloat16))
        >>> zlab.torch.to_tensor(array, slice(1, 3))
        tensor([1., 2.], dtype=torch.bfloat16)
    """
    check_dtype(array.dtype, f"array {array.path!r}")
    return tensor_of(array.read(selection))


def check_dtype(dtype: np.dtype[Any], what: str) -> None:
    """Refuses a dtype that no tensor has.

    Raises:
        DataTypeError: PyTorch has no such data type.
    """
    if _is_native(dtype) or _named_alike(dtype) is not None:
        return
    number = dtype.isbuiltin != 1 and dtype.kind == "V" and dtype.names is None
    raise DataTypeError(
        f"{what} is {dtype}, which PyTorch {torch.__version__} does not have",
        hint="Store it as a wider type, such as float32 or int8"
        if number
        else "Make an array of each field"
        if dtype.names is not None
        else "Store numbers: codes for text, int64 for times",
    )


def tensor_of(array: NDArray[Any]) -> torch.Tensor:
    """A tensor that shares an array's memory; `check_dtype` has let its dtype pass."""
    alike = _named_alike(array.dtype)
    if alike is None:
        return torch.from_numpy(array)  # type: ignore[no-any-return, unused-ignore]
    return torch.from_numpy(array.view(_BITS[array.dtype.name])).view(alike)  # type: ignore[no-any-return, unused-ignore]


def _is_native(dtype: np.dtype[Any]) -> bool:
    return dtype.isbuiltin == 1 and dtype.kind in "biufc"


def _named_alike(dtype: np.dtype[Any]) -> torch.dtype | None:
    return getattr(torch, dtype.name, None) if dtype.name in _BITS else None
