"""Columns: NumPy's values as Polars' and the types of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from zlab.errors import DataTypeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# NumPy's units of time that Polars has, and those that it can hold exactly in a finer one
_UNITS = {"ns": "ns", "us": "us", "ms": "ms", "s": "ms", "m": "ms", "h": "ms"}
_DATES = ("D", "W", "M", "Y")


def target_dtype(dtype: np.dtype[Any], what: str) -> np.dtype[Any]:
    """The NumPy dtype that Polars takes for values of a dtype; often the same.

    Raises:
        DataTypeError: Polars has nothing that holds the values exactly.
    """
    hint = "Leave it out with columns="
    if dtype.kind in "mM":
        unit, scale = np.datetime_data(dtype)
        exact = "D" if dtype.kind == "M" and unit in _DATES else _UNITS.get(unit)
        if dtype.kind == "m" and unit in ("D", "W"):
            exact = "ms"
        if exact is not None:
            return np.dtype(f"{dtype.kind}8[{exact}]")
        hint = f"Polars counts time in ns, us, ms or days, not in {scale} {unit}. {hint}"
    elif dtype.kind in "biufUSTO":
        return dtype
    elif dtype.kind == "c":
        hint = f"Polars has no complex numbers. {hint}"
    elif dtype.fields is not None:
        hint = f"Polars frames are made of plain columns. {hint}"
    raise DataTypeError(f"{what} is {dtype}, for which there is no Polars column", hint=hint)


def column(name: str, values: NDArray[Any]) -> pl.Series:
    """A column of one-dimensional values; numbers that lie one behind another are not copied."""
    if values.dtype.kind in "mM":
        target = target_dtype(values.dtype, f"column {name!r}")
        if target != values.dtype:
            exact = _exact_times(values, target)
            if exact is None:
                raise DataTypeError(
                    f"column {name!r} holds times that {target} cannot hold",
                    hint="Leave it out with columns=",
                )
            values = exact
    elif values.dtype.kind in "SO":
        return pl.Series(name, values.tolist(), dtype=pl.Binary)
    elif values.dtype.kind in "UT":
        return pl.Series(name, values.tolist(), dtype=pl.String)
    return pl.Series(name, values)


def _exact_times(values: NDArray[Any], target: np.dtype[Any]) -> NDArray[Any] | None:
    """Times in another unit; `None` where it cannot hold one of them."""
    try:
        exact = values.astype(target)
        back = exact.astype(values.dtype)
    except OverflowError:
        # from NumPy 2.5 on; before, numbers that are too large wrap around
        return None
    return exact if ((back == values) | np.isnat(values)).all() else None
