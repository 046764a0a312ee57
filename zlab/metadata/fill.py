"""Fill values: from a document to a scalar and back, exactly.

Source: Zarr v3 core specification, section "Fill value"; Zarr v2 specification, section
"Fill value encoding" (v2 differs in bytes-like types and in `null`, see `metadata.v2`).
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from zlab.errors import MetadataError

if TYPE_CHECKING:
    from zlab.metadata.datatypes import DataType

_FLOAT_NAMES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def default_fill(data_type: DataType) -> Any:
    """Zero, false, empty, `None`: what an array is filled with when nothing else was said."""
    match data_type.family:
        case "string":
            return ""
        case "bytes":
            return b""
        case "object":
            return None
        case "datetime" | "timedelta":
            return np.array("NaT", data_type.dtype)[()]
        case _:
            return np.zeros((), data_type.dtype)[()]


def parse_fill(data_type: DataType, value: object) -> Any:
    """A scalar of the type from its JSON form.

    Raises:
        MetadataError: The value is not one that this type has.
    """
    try:
        if data_type.fill_form is not None:
            return data_type.fill_form.parse(value)
        return _parse(data_type, value)
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise MetadataError(
            f"fill_value {value!r:.80} is not a value of data type {data_type.name!r}"
        ) from error


def _parse(data_type: DataType, value: object) -> Any:
    dtype = data_type.dtype
    match data_type.family:
        case "bool":
            if not isinstance(value, bool):
                raise TypeError
            return np.bool_(value)
        case "int" | "uint":
            return _parse_integer(dtype, value)
        case "float":
            return _parse_float(dtype, value)
        case "complex":
            return _parse_complex(dtype, value)
        case "datetime" | "timedelta":
            number = np.iinfo(np.int64).min if value == "NaT" else value
            return _parse_integer(np.dtype(np.int64), number).view(dtype)
        case "utf32" | "string":
            return _parse_text(data_type, value)
        case "bytes":
            return _parse_bytes(value)
        case "null_terminated" | "raw":
            return _from_bytes(dtype, _parse_bytes(value))
        case "struct":
            return _parse_struct(data_type, value)


def _parse_integer(dtype: np.dtype[Any], value: object) -> Any:
    # some writers give an integral float, such as 0.0
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    array = np.array(value, object).astype(dtype)
    if int(array[()]) != value:
        raise OverflowError
    return array[()]


def _parse_float(dtype: np.dtype[Any], value: object) -> Any:
    if isinstance(value, str):
        if value in _FLOAT_NAMES:
            return np.array(_FLOAT_NAMES[value]).astype(dtype)[()]
        if not value.startswith("0x") or len(value) != 2 + 2 * dtype.itemsize:
            raise ValueError
        bits = np.frombuffer(bytes.fromhex(value[2:]), np.uint8)
        return np.ascontiguousarray(bits[::-1] if np.little_endian else bits).view(dtype)[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    with np.errstate(over="ignore"):
        return np.array(float(value)).astype(dtype)[()]


def _parse_complex(dtype: np.dtype[Any], value: object) -> Any:
    real, imag = _pair(value)
    if dtype.fields is not None:
        member = dtype.fields["real"][0]
        return np.array((_parse_float(member, real), _parse_float(member, imag)), dtype)[()]
    parts = np.empty(2, dtype.type(0).real.dtype)
    parts[:] = _parse_float(parts.dtype, real), _parse_float(parts.dtype, imag)
    return parts.view(dtype)[0]


def _parse_text(data_type: DataType, value: object) -> Any:
    if not isinstance(value, str):
        raise TypeError
    if data_type.family == "string":
        return value
    if len(value) > data_type.dtype.itemsize // 4:
        raise ValueError
    return np.array(value, data_type.dtype)[()]


def _pair(value: object) -> tuple[object, object]:
    if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004  real and imaginary
        raise TypeError
    return value[0], value[1]


def _parse_bytes(value: object) -> bytes:
    if isinstance(value, str):
        return base64.b64decode(value, validate=True)
    if isinstance(value, list):
        return bytes(value)
    raise TypeError


def _from_bytes(dtype: np.dtype[Any], data: bytes) -> Any:
    if len(data) > dtype.itemsize:
        raise ValueError
    return np.frombuffer(data.ljust(dtype.itemsize, b"\0"), dtype)[0]


def _parse_struct(data_type: DataType, value: object) -> Any:
    if isinstance(value, dict):
        if set(value) != {name for name, _ in data_type.fields}:
            raise ValueError
        members = tuple(_parse(kind, value[name]) for name, kind in data_type.fields)
        return np.array(members, data_type.dtype)[()]
    if value == 0 and not isinstance(value, bool):
        return np.zeros((), data_type.dtype)[()]
    return _from_bytes(data_type.dtype, _parse_bytes(value))


def format_fill(data_type: DataType, value: Any) -> Any:
    """The JSON form of a scalar of the type; the inverse of `parse_fill`, bit for bit."""
    if data_type.fill_form is not None:
        return data_type.fill_form.format(value)
    dtype = data_type.dtype
    match data_type.family:
        case "bool":
            return bool(value)
        case "int" | "uint":
            return int(value)
        case "float":
            return _format_float(np.asarray(value, dtype))
        case "complex":
            if dtype.fields is not None:
                return [_format_float(np.asarray(value[part])) for part in ("real", "imag")]
            return [_format_float(np.asarray(part)) for part in (value.real, value.imag)]
        case "datetime" | "timedelta":
            return int(np.asarray(value, dtype).view(np.int64)[()])
        case "utf32" | "string":
            return str(value)
        case "bytes" | "null_terminated":
            return base64.b64encode(bytes(value)).decode()
        case "raw":
            data = np.asarray(value, dtype).tobytes()
            # `raw_bytes` is zarr-python's, which reads nothing but base64
            return list(data) if data_type.name != "raw_bytes" else base64.b64encode(data).decode()
        case "struct":
            return {name: format_fill(kind, value[name]) for name, kind in data_type.fields}


def _format_float(value: np.ndarray[Any, np.dtype[Any]]) -> float | str:
    number = float(value[()])
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if math.isnan(number):
        canonical = np.array(math.nan).astype(value.dtype)
        if value.tobytes() == canonical.tobytes():
            return "NaN"
        bits = value.tobytes()
        return "0x" + (bits[::-1] if np.little_endian else bits).hex()
    return number


def scalar_of(data_type: DataType, value: object) -> Any:
    """The scalar that a user means by a fill value, checked to be exact.

    Args:
        data_type: The array's type.
        value: A Python or NumPy scalar, of a structured type a tuple too, or `None` for the
            default.

    Raises:
        MetadataError: The type has no such value (300 for uint8, 0.5 for int32, ...).
    """
    if value is None:
        return default_fill(data_type)
    if data_type.fill_form is not None and not isinstance(value, np.generic):
        return parse_fill(data_type, value)
    if data_type.family == "string":
        return str(value)
    if data_type.family == "bytes":
        if not isinstance(value, bytes):
            msg = f"fill_value {value!r:.80} of data type 'bytes' must be bytes"
            raise MetadataError(msg)
        return value
    if isinstance(value, np.generic) and value.dtype == data_type.dtype:
        return value
    msg = f"fill_value {value!r:.80} is not a value of data type {data_type.name!r}"
    if data_type.family == "struct" and isinstance(value, tuple):
        if len(value) != len(data_type.fields):
            raise MetadataError(msg)
        return _record_of(data_type, value)
    scalar = _cast(data_type, value, msg)
    # a wider float may be rounded, as NumPy does; anything else has to come back unchanged
    rounds = data_type.family in ("float", "complex")
    is_nat = data_type.family in ("datetime", "timedelta") and bool(np.isnat(scalar).all())
    if scalar.ndim or not (rounds or is_nat or np.all(scalar == value)):
        raise MetadataError(msg)
    return scalar[()]


def _record_of(data_type: DataType, members: tuple[object, ...]) -> Any:
    record = np.zeros((), data_type.dtype)
    for (name, kind), member in zip(data_type.fields, members, strict=True):
        record[name] = scalar_of(kind, member)
    return record[()]


def _cast(data_type: DataType, value: object, msg: str) -> np.ndarray[Any, np.dtype[Any]]:
    try:
        if data_type.family in ("int", "uint") and not isinstance(value, np.generic):
            return np.asarray(_parse_integer(data_type.dtype, value))
        with np.errstate(over="ignore"):
            return np.asarray(value).astype(data_type.dtype, casting="unsafe")
    except (ValueError, TypeError, OverflowError) as error:
        raise MetadataError(msg) from error
