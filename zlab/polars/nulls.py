"""Which value of an array stands for a missing one, and where it stands.

Zarr has no nulls. The attribute `_FillValue` of CF and xarray names a value for them; xarray writes
it as `zarr.json` does not: floating-point numbers as the base64 of eight bytes. Where there is no
such attribute the array's fill value is taken.

Source: CF conventions, section 2.5.1; xarray's `FillValueCoder`.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from zlab.errors import MetadataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zlab.metadata import ArrayMetadata

ATTRIBUTE = "_FillValue"


def null_of(metadata: ArrayMetadata) -> Any:
    """The value that stands for a missing one, a scalar of the array's dtype.

    Raises:
        MetadataError: The attribute `_FillValue` is no value of the array's dtype.
    """
    if ATTRIBUTE not in metadata.attributes:
        return metadata.fill_value
    value, dtype = metadata.attributes[ATTRIBUTE], metadata.data_type.dtype
    try:
        return _parse(value, dtype)
    except (ValueError, TypeError, OverflowError, struct.error, binascii.Error) as error:
        raise MetadataError(
            f"the attribute {ATTRIBUTE!r} is {value!r:.80}, no value of {dtype}",
            hint="Correct or delete it; then the array's fill value stands for nulls",
        ) from error


def format_null(value: Any, dtype: np.dtype[Any]) -> Any:
    """The JSON form of a value as xarray writes the attribute."""
    if dtype.kind == "f":
        return base64.standard_b64encode(struct.pack("<d", float(value))).decode()
    if dtype.kind in "SO":
        return base64.standard_b64encode(bytes(value)).decode()
    return value.item() if isinstance(value, np.generic) else value


def is_null(values: NDArray[Any], null: Any) -> NDArray[np.bool_]:
    """Where a value stands; NaN and NaT are equal to themselves here."""
    if values.dtype.kind == "V" and values.dtype.isbuiltin != 2:  # noqa: PLR2004  of ml_dtypes
        # structs and raw bytes: the same bits
        wanted = np.zeros(1, values.dtype)
        wanted[0] = null
        bits = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
        same: NDArray[np.bool_] = (bits == wanted.view(np.uint8)).all(axis=1)
        return same
    if values.dtype.kind not in "TO" and null != null:  # noqa: PLR0124
        null = None
    # signalling NaN are no reason to warn
    with np.errstate(invalid="ignore"):
        # NaN and NaT alone differ from themselves
        found = values != values if null is None else values == null  # noqa: PLR0124
    return np.asarray(found, bool)


def _parse(value: Any, dtype: np.dtype[Any]) -> Any:
    if dtype.kind in "SO" and isinstance(value, str):
        data = base64.standard_b64decode(value)
        return np.bytes_(data) if dtype.kind == "S" else data
    if dtype.kind == "f" and isinstance(value, str) and value not in ("NaN", "Infinity"):
        (value,) = struct.unpack("<d", base64.b64decode(value, validate=True))
    if dtype.kind in "iub" and isinstance(value, bool) != (dtype.kind == "b"):
        raise TypeError(value)
    if dtype.kind in "UT":
        if not isinstance(value, str):
            raise TypeError(value)
        return value
    if dtype.kind in "iu" and value != int(value):
        raise ValueError(value)
    with np.errstate(over="raise"):
        return np.asarray(value).astype(dtype)[()] if dtype.kind == "f" else dtype.type(value)
