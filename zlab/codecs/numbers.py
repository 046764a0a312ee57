"""What the numeric data types can hold, from 2-bit integers to 64-bit floats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from zlab.codecs.base import Array

_SMALL_INTEGERS = {"int2": (-2, 1), "int4": (-8, 7), "uint2": (0, 3), "uint4": (0, 15)}
# what `dtype.isbuiltin` is for the types of ml_dtypes
_OF_A_LIBRARY = 2


@dataclass(frozen=True, slots=True)
class IntegerKind:
    """An integer type.

    Attributes:
        dtype: In memory.
        low: The least value.
        high: The greatest value.
    """

    dtype: np.dtype[Any]
    low: int
    high: int

    @property
    def wide(self) -> np.dtype[Any]:
        """A NumPy integer of the same size, in which NumPy computes."""
        return self.dtype if self.dtype.kind in "iu" else np.dtype("i1" if self.low else "u1")


@dataclass(frozen=True, slots=True)
class FloatKind:
    """A floating-point type.

    Attributes:
        dtype: In memory.
        digits: Bits of the significand, the leading one included.
        least_exponent: The exponent of the smallest step between two values.
        least: The smallest value above 0.
        high: The greatest finite value.
        has_nan: Whether there is a NaN.
        has_infinity: Whether there are infinities.
        is_positive: Whether there are neither negative values nor a zero (`float8_e8m0fnu`).
    """

    dtype: np.dtype[Any]
    digits: int
    least_exponent: int
    least: float
    high: float
    has_nan: bool
    has_infinity: bool
    is_positive: bool


def number_kind(dtype: np.dtype[Any]) -> IntegerKind | FloatKind | None:
    """What a dtype holds; `None` where it does not hold real numbers."""
    if dtype.name in _SMALL_INTEGERS:
        return IntegerKind(dtype, *_SMALL_INTEGERS[dtype.name])
    if dtype.isbuiltin == _OF_A_LIBRARY:
        import ml_dtypes  # noqa: PLC0415  an array of its types exists: it is loaded

        return _float_kind(dtype, ml_dtypes.finfo(dtype))  # type: ignore[no-untyped-call]
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return IntegerKind(dtype, int(limits.min), int(limits.max))
    if dtype.kind == "f":
        if dtype.itemsize > 8:  # noqa: PLR2004  long doubles are no Zarr type
            return None
        return _float_kind(dtype, np.finfo(dtype))
    return None


def _float_kind(dtype: np.dtype[Any], limits: Any) -> FloatKind:
    least = float(limits.smallest_subnormal)
    with np.errstate(all="ignore"):
        specials = to_float(np.array([math.nan, math.inf, -1.0]).astype(dtype))
    return FloatKind(
        dtype,
        int(limits.nmant) + 1,
        math.frexp(least)[1] - 1,
        least,
        float(limits.max),
        has_nan=bool(np.isnan(specials[0])),
        has_infinity=bool(np.isinf(specials[1])),
        is_positive=bool(specials[2] != -1.0),
    )


def to_float(array: Array) -> Array:
    """Values of any floating-point type of at most 64 bits, exactly."""
    return array.astype(np.float64)


def to_wide(array: Array, kind: IntegerKind) -> Array:
    """Values of an integer type, in the one in which NumPy computes."""
    return array.astype(kind.wide)
