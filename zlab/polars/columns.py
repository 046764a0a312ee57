"""Columns: values of an array as Polars', and how the types of both answer each other.

| Zarr | Polars |
| --- | --- |
| `bool`, `int8` to `int64`, `uint8` to `uint64`, `float16` to `float64` | the same |
| `int2`, `int4`, `uint2`, `uint4` | `Int8`, `UInt8` |
| `bfloat16`, the small floats | `Float32`, which holds each of their values |
| complex | `Struct` of `real` and `imag` |
| `string`, `fixed_length_utf32` | `String` |
| `bytes`, `null_terminated_bytes`, `r*` | `Binary` |
| `numpy.datetime64`, `numpy.timedelta64` | `Datetime`, `Date`, `Duration`; NaT is null |
| `struct` | `Struct`, nested ones too |
| signed integers with the attributes `categories` and `ordered` | `Enum`, or `Categorical` |

Numbers of the same width are not copied. What is wider on the right is so exactly. Times are
counted in ns, us, ms or days: coarser units are converted, and a time that does not fit is an
error. Where Polars has nothing that holds the values (times in ps, fs, as or no unit, Python
objects of Zarr v2), that is one error before any read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import polars as pl

from zlab.array import Array
from zlab.errors import DataTypeError, MetadataError
from zlab.polars.nulls import is_null, null_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

# NumPy's units of time that Polars has, and those that it can hold exactly in a finer one
_UNITS = {"ns": "ns", "us": "us", "ms": "ms", "s": "ms", "m": "ms", "h": "ms"}
_DATES = ("D", "W", "M", "Y")
_DAY_LIMITS = (-(1 << 31), (1 << 31) - 1)  # Polars counts days in 32 bits
_BUILT_BY_OTHERS = 2  # `numpy.dtype.isbuiltin` of the types of ml_dtypes


@final
@dataclass(frozen=True, slots=True)
class ColumnType:
    """How the values of an array become a column; known before any of them is read.

    Attributes:
        dtype: The Polars type of the column.
        categories: Of an array of codes, what each of them stands for.
        null: The value of the array that becomes null; `None` where none does.
    """

    dtype: pl.DataType
    categories: pl.Series | None = None
    null: Any = None

    @property
    def plain(self) -> bool:
        """Whether the column's values are the array's, so that their statistics are the same."""
        return self.categories is None and self.null is None


def column_type(
    values: Array | NDArray[Any], what: str, *, fill_to_null: bool = False
) -> ColumnType:
    """How an array, in a store or in memory, becomes a column.

    Args:
        values: The array; nothing of it is read.
        what: What it is, for the error.
        fill_to_null: Make the value that stands for missing ones null: what the attribute
            `_FillValue` says, else the fill value.

    Raises:
        DataTypeError: Polars has nothing that holds the values exactly.
        MetadataError: An attribute that says what values mean, cannot be understood.
    """
    target = target_dtype(values.dtype, what)
    if not isinstance(values, Array):
        return ColumnType(
            _object_dtype(values, what) if target.kind == "O" else _polars_dtype(target)
        )
    metadata = values.metadata
    if metadata.data_type.family == "object":
        raise _refusal(what, values.dtype, "Its elements are Python objects.")
    categories = _categories(metadata.attributes, target)
    null = null_of(metadata) if fill_to_null else None
    if categories is not None:
        return ColumnType(categories.dtype, categories, null)
    zone = metadata.attributes.get("time_zone")
    if target.kind == "M" and target != np.dtype("M8[D]") and isinstance(zone, str):
        return ColumnType(_zoned(np.datetime_data(target)[0], zone, what), None, null)
    return ColumnType(_polars_dtype(target), None, null)


def schema_of(columns: Iterable[str], kinds: Mapping[str, ColumnType]) -> pl.Schema:
    """The schema of a table, in which columns without a type hold positions."""
    return pl.Schema({name: kinds[name].dtype if name in kinds else pl.Int64() for name in columns})


def _zoned(unit: Any, zone: str, what: str) -> pl.DataType:
    try:
        # a column knows whether there is the zone, and may have another name for it
        return pl.Series(dtype=pl.Datetime(unit, zone)).dtype
    except pl.exceptions.PolarsError as error:
        raise MetadataError(
            f"the attribute 'time_zone' of {what} is {zone!r:.80}, no time zone that Polars knows",
            hint="Correct or delete it; then the times are without a zone",
        ) from error


def column(name: str, values: NDArray[Any], kind: ColumnType | None = None) -> pl.Series:
    """A column of one-dimensional values; numbers that lie one behind another are not copied.

    Args:
        name: The column's.
        values: One-dimensional.
        kind: How they become a column; by their dtype alone where it is not given.

    Raises:
        DataTypeError: A value is none that the column can hold: a time that is too far away, or a
            code without a category.
    """
    target = target_dtype(values.dtype, f"column {name!r}")
    if kind is None:
        return _series(name, values, target)
    if kind.categories is not None:
        made = _decoded(name, values, kind.categories)
    elif values.dtype.kind == "O":
        made = pl.Series(name, values.tolist(), dtype=kind.dtype)
    else:
        made = _series(name, values, target)
        if made.dtype != kind.dtype:
            # a time zone: what is stored is UTC
            made = made.to_physical().cast(kind.dtype)
    if kind.null is None:
        return made
    missing = is_null(values, kind.null)
    return _masked(made, missing) if missing.any() else made


def target_dtype(dtype: np.dtype[Any], what: str) -> np.dtype[Any]:
    """The NumPy dtype that Polars takes for values of a dtype; often the same.

    Raises:
        DataTypeError: Polars has nothing that holds the values exactly.
    """
    if dtype.fields is not None:
        members = {name: member[0] for name, member in dtype.fields.items()}
        return np.dtype(
            [(name, target_dtype(member, f"{what}, {name!r},")) for name, member in members.items()]
        )
    if dtype.isbuiltin == _BUILT_BY_OTHERS and dtype.kind != "T":
        return np.dtype(_widened(dtype.name))
    if dtype.kind in "mM":
        return _time_dtype(dtype, what)
    if dtype.kind == "c":
        part = f"f{dtype.itemsize // 2}"
        return np.dtype([("real", part), ("imag", part)])
    if dtype.kind in "biufUSTO" or (dtype.kind == "V" and dtype.subdtype is None):
        return dtype
    raise _refusal(what, dtype, "Its elements are arrays.")


def _widened(name: str) -> str:
    return "u1" if name.startswith("uint") else "i1" if name.startswith("int") else "f4"


def _time_dtype(dtype: np.dtype[Any], what: str) -> np.dtype[Any]:
    unit, scale = np.datetime_data(dtype)
    exact = "D" if dtype.kind == "M" and unit in _DATES else _UNITS.get(unit)
    if dtype.kind == "m" and unit in ("D", "W"):
        exact = "ms"
    if exact is None:
        why = f"Polars counts time in ns, us, ms or days, not in {scale} {unit}."
        raise _refusal(what, dtype, why)
    return np.dtype(f"{dtype.kind}8[{exact}]")


def _refusal(what: str, dtype: np.dtype[Any], why: str) -> DataTypeError:
    return DataTypeError(
        f"{what} is {dtype}, for which there is no Polars column",
        hint=f"{why} Leave it out with columns=",
    )


def _object_dtype(values: NDArray[Any], what: str) -> pl.DataType:
    """The type of Python objects in memory: text, as pandas and xarray have it, or bytes."""
    for kind, dtype in ((str, pl.String()), (bytes, pl.Binary())):
        if all(isinstance(value, kind) for value in values.flat):
            return dtype
    raise _refusal(what, values.dtype, "Its elements are neither all text nor all bytes.")


def _categories(attributes: Mapping[str, Any], target: np.dtype[Any]) -> pl.Series | None:
    """What codes stand for, as `pandas.Categorical` and AnnData have it: -1 stands for nothing."""
    labels, ordered = attributes.get("categories"), attributes.get("ordered")
    if (
        target.kind != "i"
        or not isinstance(ordered, bool)
        or not isinstance(labels, list)
        or not all(isinstance(label, str) for label in labels)
        or len(set(labels)) != len(labels)
    ):
        return None
    return pl.Series(labels, dtype=pl.Enum(labels) if ordered else pl.Categorical())


def _polars_dtype(target: np.dtype[Any]) -> pl.DataType:
    return _series("", np.empty(0, target), target).dtype


def _series(name: str, values: NDArray[Any], target: np.dtype[Any]) -> pl.Series:
    if target.fields is not None:
        parts = (
            {"real": values.real, "imag": values.imag}
            if values.dtype.kind == "c"
            else {field: values[field] for field in target.names or ()}
        )
        members = [
            _series(field, np.ascontiguousarray(part), target[field])
            for field, part in parts.items()
        ]
        return pl.DataFrame(members).to_struct(name)
    if target.kind in "mM":
        return pl.Series(name, _exact_times(name, values, target))
    if target.kind in "SOV":
        return pl.Series(name, values.tolist(), dtype=pl.Binary)
    if target.kind in "UT":
        return pl.Series(name, values.tolist(), dtype=pl.String)
    with np.errstate(invalid="ignore"):
        # a signalling NaN becomes a quiet one
        return pl.Series(name, values.astype(target, copy=False))


def _exact_times(name: str, values: NDArray[Any], target: np.dtype[Any]) -> NDArray[Any]:
    """Times in another unit, each the same."""
    try:
        exact = values.astype(target, copy=False)
        fits = bool(((exact.astype(values.dtype) == values) | np.isnat(values)).all())
    except OverflowError:
        # from NumPy 2.5 on; before, numbers that are too large wrap around
        fits, exact = False, values
    if fits and np.datetime_data(target)[0] == "D":
        days = exact.view(np.int64)[~np.isnat(exact)]
        low, high = _DAY_LIMITS
        fits = not len(days) or (low <= int(days.min()) and int(days.max()) <= high)
    if not fits:
        raise DataTypeError(
            f"column {name!r} holds times that {target} of Polars cannot hold",
            hint="Leave it out with columns=",
        )
    return exact


def _decoded(name: str, codes: NDArray[Any], categories: pl.Series) -> pl.Series:
    n = len(categories)
    if len(codes) and not -1 <= int(codes.min()) <= int(codes.max()) < n:
        raise DataTypeError(
            f"column {name!r} holds codes beyond its {n} categories",
            hint="Delete the array's attribute 'categories' to read the codes themselves",
        )
    places = codes.astype(np.int64)
    absent = places < 0
    indices = pl.Series(places)
    decoded = categories.gather(_masked(indices, absent) if absent.any() else indices)
    return decoded.alias(name)


def _masked(values: pl.Series, missing: NDArray[np.bool_]) -> pl.Series:
    keep = pl.lit(pl.Series(~missing))
    return pl.select(pl.when(keep).then(pl.lit(values)).alias(values.name)).to_series()
