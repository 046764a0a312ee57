"""The attribute `_FillValue` of Zarr v3 arrays, which JSON cannot hold as a number exactly.

Source: xarray's "Zarr encoding specification"; a float is the base64 of its eight bytes.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import TYPE_CHECKING, Any, cast

from zlab.errors import DataTypeError, MetadataError

if TYPE_CHECKING:
    import numpy as np

    from zlab.metadata import DataType


def parse_fill_value(value: object, data_type: DataType) -> Any:
    """The value that `_FillValue` stands for.

    Args:
        value: As it stands in the attributes.
        data_type: Of the array.

    Raises:
        MetadataError: It is not of the form that the data type asks for.

    Example:
        >>> from zlab.metadata import data_type_of
        >>> parse_fill_value("AAAAAAAA+H8=", data_type_of("float32"))
        nan
    """
    kind = data_type.dtype.kind
    try:
        if data_type.family == "string" or kind == "U":
            return str(value)
        if data_type.family == "bytes" or kind == "S":
            return base64.b64decode(_text(value), validate=True)
        if kind == "f":
            return _parse_float(value)
        if kind == "c":
            real, imag = cast("Any", value)
            return complex(_parse_float(real), _parse_float(imag))
        if kind == "b":
            return bool(value)
        if kind in "iu":
            return int(cast("Any", value))
    except (TypeError, ValueError, binascii.Error, struct.error) as error:
        raise MetadataError(
            f"_FillValue is {value!r:.60}, which stands for no {data_type.name}",
            hint="Floats and bytes are base64, as xarray writes them; or open with "
            "mask_and_scale=False and drop the variable",
        ) from error
    raise MetadataError(f"an array of {data_type.name} has no _FillValue")


def format_fill_value(value: Any, dtype: np.dtype[Any]) -> Any:
    """How `_FillValue` is stored in the attributes of an array of the dtype.

    Raises:
        DataTypeError: The value is of another kind, or there is no form for it.

    Example:
        >>> import numpy as np
        >>> format_fill_value(-9999, np.dtype("int16"))
        -9999
    """
    try:
        if dtype.kind in "UT":
            return str(value)
        if dtype.kind == "S":
            return base64.b64encode(bytes(value)).decode()
        if dtype.kind == "f":
            return _format_float(value)
        if dtype.kind == "c":
            number = complex(value)
            return [_format_float(number.real), _format_float(number.imag)]
        if dtype.kind == "b":
            return bool(value)
        if dtype.kind in "iu":
            return int(value)
    except (TypeError, ValueError) as error:
        msg = f"_FillValue {value!r:.60} is no value of dtype {dtype}"
        raise DataTypeError(msg) from error
    msg = f"a _FillValue of dtype {dtype} cannot be stored"
    raise DataTypeError(msg, hint="Remove it from the encoding")


def _text(value: object) -> str:
    if not isinstance(value, str):
        msg = f"{value!r:.60} is no text"
        raise TypeError(msg)
    return value


def _parse_float(value: object) -> float:
    return float(struct.unpack("<d", base64.b64decode(_text(value), validate=True))[0])


def _format_float(value: Any) -> str:
    return base64.b64encode(struct.pack("<d", float(value))).decode()
