"""Values: columns of a frame as NumPy's, to be stored as an array each.

What `zlab.polars.columns` reads back as the same column. Zarr has no nulls: of times they are NaT,
of categories the code -1, and of everything else a value that the user names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np
import polars as pl

from zlab.errors import ConversionError, DataTypeError
from zlab.metadata.datatypes import data_type_of
from zlab.polars.nulls import ATTRIBUTE, format_null

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBERS: dict[Any, str] = {
    pl.Boolean: "bool",
    **{getattr(pl, f"Int{bits}"): f"int{bits}" for bits in (8, 16, 32, 64)},
    **{getattr(pl, f"UInt{bits}"): f"uint{bits}" for bits in (8, 16, 32, 64)},
    **{getattr(pl, f"Float{bits}"): f"float{bits}" for bits in (16, 32, 64)},
}
_CODES = (("int8", 1 << 7), ("int16", 1 << 15))
_VARIABLE_NBYTES = 32
_NAT = np.iinfo(np.int64).min
_NEXT: dict[Any, str] = {
    pl.List: "Explode it, or store its values and its lengths as tables of their own",
    pl.Array: "Store it as an array of two axes with zlab.create_array, or unpack it into columns",
    pl.Decimal: "Cast it to Float64, to String, or to Int64 of its smallest unit",
    pl.Time: "Cast it to Duration",
    pl.Null: "Cast it to the type that its values would have",
    pl.Int128: "Cast it to Int64 or String",
    pl.Object: "Make text, bytes or numbers of it",
}


@final
class ColumnValues:
    """How a column is stored.

    Args:
        name: The column's.
        dtype: Its Polars type.
        null: The value that is stored for null, where the user named one.

    Attributes:
        name: The column's.
        dtype: Its Polars type.
        data_type: The dtype that its array has, as `zlab.create_array` takes it.
        fill: The fill value of its array; `None` for the default.

    Raises:
        DataTypeError: Zarr has nothing that holds the values, or `null` is none of them.
        ValueError: The type has a null of its own.
    """

    def __init__(self, name: str, dtype: pl.DataType, null: Any = None) -> None:
        self.name = name
        self.dtype = dtype
        self.data_type: Any = _data_type(dtype, f"column {name!r}")
        self.fill: Any = None
        # of a Categorical: what came so far, in the order of its codes
        self._labels: list[str] = []
        self._null: pl.Series | None = None
        if isinstance(dtype, (pl.Enum, pl.Categorical)):
            self.fill = -1
        elif dtype.is_temporal():
            self.fill = np.array(_NAT).view(self.data_type)[()]
        if null is not None:
            self._null = self._checked_null(null)
            self.fill = self._null[0]

    def _checked_null(self, null: Any) -> pl.Series:
        if self.fill is not None or isinstance(self.dtype, pl.Struct):
            msg = f"null_value names {self.name!r}, but a null of {self.dtype} "
            msg += "has no value" if self.fill is None else "is stored as it is"
            raise ValueError(msg)
        try:
            if isinstance(null, bool) and self.dtype != pl.Boolean:
                # to Polars it is a number too
                raise TypeError(null)
            return pl.Series(self.name, [null], self.dtype, strict=True)
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
            raise DataTypeError(
                f"null_value of {self.name!r} is {null!r:.80}, no value of {self.dtype}"
            ) from error

    def attributes(self) -> dict[str, Any]:
        """What the array's attributes have to say, so that the column is read back as it was."""
        if isinstance(self.dtype, pl.Enum):
            return {"categories": self.dtype.categories.to_list(), "ordered": True}
        if isinstance(self.dtype, pl.Categorical):
            return {"categories": list(self._labels), "ordered": False}
        if isinstance(self.dtype, pl.Datetime) and self.dtype.time_zone is not None:
            return {"time_zone": self.dtype.time_zone}
        if self._null is not None:
            return {ATTRIBUTE: format_null(self.fill, data_type_of(self.data_type).dtype)}
        return {}

    def go_on(self, attributes: dict[str, Any]) -> None:
        """Takes over what the attributes of an array say that this column is appended to.

        Raises:
            ValueError: They say that its values mean something else.
        """
        if isinstance(self.dtype, pl.Categorical):
            labels = attributes.get("categories")
            self._labels = list(labels) if isinstance(labels, list) else []
        for name in ("categories", "ordered", "time_zone", ATTRIBUTE):
            there, here = attributes.get(name), self.attributes().get(name)
            if there != here:
                msg = (
                    f"column {self.name!r} cannot be appended: its array has {name}={there!r:.80}, "
                    f"and the frame {here!r:.80}"
                )
                raise ValueError(msg)

    @property
    def row_nbytes(self) -> int:
        """Bytes of one value; of text and bytes a guess."""
        size: int = data_type_of(self.data_type).dtype.itemsize
        return _VARIABLE_NBYTES if isinstance(self.dtype, (pl.String, pl.Binary)) else size

    def check(self, values: pl.Series) -> None:
        """Raises an error where nulls would be lost, or made.

        Raises:
            ConversionError: There are nulls and no value for them, or the value that stands for
                null is among the others.
        """
        if self._null is None:
            if values.null_count() and (self.fill is None):
                raise ConversionError(
                    f"column {self.name!r} holds {values.null_count()} nulls, and Zarr has none",
                    hint=f"Name a value that it does not hold with null_value={{{self.name!r}: "
                    "...}, replace them with fill_null, or store where they are as a column",
                )
            return
        null = self._null[0]
        is_nan = isinstance(null, float) and null != null  # noqa: PLR0124  NaN alone differs
        found = values.is_nan() if is_nan else values == self._null
        if found.any():
            raise ConversionError(
                f"column {self.name!r} holds {null!r:.80}, which stands for null there",
                hint="Name another value with null_value=",
            )

    def encode(self, values: pl.Series) -> NDArray[Any]:
        """The values as they are stored; numbers that lie one behind another are not copied.

        Raises:
            ConversionError: As for `check`.
        """
        self.check(values)
        if isinstance(self.dtype, pl.Enum):
            return self._codes(values)
        if isinstance(self.dtype, pl.Categorical):
            text = values.cast(pl.String)
            known = set(self._labels)
            new = text.unique(maintain_order=True).drop_nulls().to_list()
            self._labels += [label for label in new if label not in known]
            return self._codes(text.cast(pl.Enum(self._labels)))
        if self._null is not None:
            values = values.fill_null(pl.lit(self._null))
        return _numpy(values, self.dtype, self.data_type, f"column {self.name!r}")

    def _codes(self, values: pl.Series) -> NDArray[Any]:
        codes = values.to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
        return codes.astype(self.data_type)


def _data_type(dtype: pl.DataType, what: str) -> Any:
    """The dtype of an array that holds a column."""
    kind = type(dtype)
    if kind in _NUMBERS:
        return np.dtype(_NUMBERS[kind])
    if isinstance(dtype, pl.String):
        return "string"
    if isinstance(dtype, pl.Binary):
        return "bytes"
    if isinstance(dtype, pl.Date):
        return np.dtype("M8[D]")
    if isinstance(dtype, (pl.Datetime, pl.Duration)):
        code = "M8" if isinstance(dtype, pl.Datetime) else "m8"
        return np.dtype(f"{code}[{dtype.time_unit}]")
    if isinstance(dtype, pl.Enum):
        n = len(dtype.categories)
        return np.dtype(next((code for code, limit in _CODES if n <= limit), "int32"))
    if isinstance(dtype, pl.Categorical):
        # how many there will be is not known
        return np.dtype("int32")
    if isinstance(dtype, pl.Struct):
        return np.dtype([(f.name, _member_dtype(f, what)) for f in dtype.fields])
    hint = next((text for known, text in _NEXT.items() if kind is known), "Cast or drop it")
    raise DataTypeError(f"{what} is {dtype}, for which Zarr has no data type", hint=hint)


def _member_dtype(field: pl.Field, what: str) -> np.dtype[Any]:
    dtype: Any = field.dtype
    zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    if zoned or isinstance(dtype, (pl.String, pl.Binary, pl.Enum, pl.Categorical)):
        raise DataTypeError(
            f"{what} is a struct with {field.name!r} of {dtype}, and members of a struct of Zarr "
            "have a fixed size and no attributes",
            hint="Unnest it: struct.unnest makes a column of each member",
        )
    member: np.dtype[Any] = _data_type(dtype, f"{what}, {field.name!r},")
    return member


def _numpy(values: pl.Series, dtype: Any, target: Any, what: str) -> NDArray[Any]:
    if isinstance(dtype, pl.String):
        return np.array(values.to_list(), np.dtypes.StringDType())
    if isinstance(dtype, pl.Binary):
        made = np.empty(len(values), object)
        made[:] = values.to_list()
        return made
    if isinstance(dtype, pl.Struct):
        return _records(values, dtype, target, what)
    if dtype.is_temporal():
        counts = values.to_physical().cast(pl.Int64)
        if (counts == _NAT).any():
            raise ConversionError(f"{what} holds the one time that NumPy takes for NaT")
        if counts.null_count():
            counts = counts.fill_null(_NAT)
        return counts.to_numpy().view(target)
    return values.to_numpy()


def _records(values: pl.Series, dtype: pl.Struct, target: Any, what: str) -> NDArray[Any]:
    records = np.empty(len(values), target)
    for field in dtype.fields:
        member, kind = values.struct.field(field.name), field.dtype
        if member.null_count() and not kind.is_temporal():
            raise ConversionError(
                f"{what} holds nulls in {field.name!r}, and Zarr has none",
                hint="Unnest it, and name a value for them with null_value=",
            )
        records[field.name] = _numpy(member, kind, target[field.name], what)
    return records
