"""The `cast_value` codec: numbers as numbers of another data type.

Each value is mapped by the scalar map, or else is exact in the other type, or else is rounded and
put in range as the configuration says; a value that none of this fits is an error.

Source: the registry's page of `cast_value`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias, final

import numpy as np

from zlab.codecs.base import ChunkSpec
from zlab.codecs.numbers import FloatKind, IntegerKind, number_kind, to_float, to_wide
from zlab.codecs.parameters import Parameters
from zlab.errors import CodecError, MetadataError
from zlab.metadata.datatypes import data_type_of, parse_data_type
from zlab.metadata.fill import parse_fill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array
    from zlab.metadata.datatypes import DataType

_Kind: TypeAlias = IntegerKind | FloatKind
_Map: TypeAlias = list[tuple[Any, Any]]

_ROUNDINGS = (
    "nearest-even",
    "towards-zero",
    "towards-positive",
    "towards-negative",
    "nearest-away",
)
_OUT_OF_RANGE = ("clamp", "wrap", None)
_EXACT_IN_FLOAT64 = 1 << 53


@final
class CastValueCodec:
    """Casts by value.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((2,), np.dtype("float64"), 0.0)
        >>> codec = CastValueCodec.from_config({"data_type": "int8"}, chunk)
        >>> codec.encode(np.array([2.5, -1.0])).tolist()
        [2, -1]
    """

    name: ClassVar[str] = "cast_value"
    kind: ClassVar[Literal["array-array"]] = "array-array"

    def __init__(self, configuration: dict[str, Any], chunk: ChunkSpec, target: DataType) -> None:
        self._configuration = configuration
        self._chunk = chunk
        source_kind, target_kind = number_kind(chunk.dtype), number_kind(target.dtype)
        if source_kind is None or target_kind is None:
            msg = f"codec {self.name!r} casts real numbers, not {chunk.dtype} to {target.name}"
            raise MetadataError(msg)
        rounding = configuration["rounding"]
        out_of_range = configuration.get("out_of_range")
        if out_of_range == "wrap" and isinstance(target_kind, FloatKind):
            msg = f"codec {self.name!r}: values of {target.name} cannot be wrapped"
            raise MetadataError(msg)
        source = data_type_of(chunk.dtype)
        maps = configuration.get("scalar_map", {})
        encode_map = _parse_map(maps.get("encode", []), source, target)
        decode_map = _parse_map(maps.get("decode", []), target, source)
        self._encoder = _Cast(source_kind, target_kind, rounding, out_of_range, encode_map)
        self._decoder = _Cast(target_kind, source_kind, rounding, out_of_range, decode_map)
        self.encoded = ChunkSpec(chunk.shape, target.dtype, self._encode_fill(chunk))

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: A type does not model real numbers, the map holds values that its
                types lack, or the fill value does not come back from the cast.
        """
        parameters = Parameters(cls.name, configuration)
        data_type = parameters.take("data_type")
        rounding = parameters.choice("rounding", _ROUNDINGS, "nearest-even")
        out_of_range = parameters.choice("out_of_range", _OUT_OF_RANGE, None)
        scalar_map = parameters.take("scalar_map", {})
        parameters.close()
        if not isinstance(scalar_map, dict) or set(scalar_map) - {"encode", "decode"}:
            raise parameters.fail("scalar_map", scalar_map, "an object with encode and decode")
        complete: dict[str, Any] = {"data_type": data_type, "rounding": rounding}
        if out_of_range is not None:
            complete["out_of_range"] = out_of_range
        if scalar_map:
            complete["scalar_map"] = scalar_map
        return cls(complete, chunk, parse_data_type(data_type))

    @property
    def configuration(self) -> dict[str, Any]:
        """Type, rounding, and what was given of the rest."""
        return self._configuration

    def encode(self, array: Array) -> Array:
        """Values of the other type.

        Raises:
            CodecError: A value cannot be cast.
        """
        return self._encoder(array)

    def decode(self, array: Array) -> Array:
        """Values of the chunk's type.

        Raises:
            CodecError: A value cannot be cast.
        """
        return self._decoder(array)

    def encoded_view(self, out: Array) -> Array | None:
        """None: the values change."""
        del out
        return None

    def _encode_fill(self, chunk: ChunkSpec) -> Any:
        if chunk.fill_value is None:
            return None
        fill = np.array([chunk.fill_value], chunk.dtype)
        try:
            encoded = self._encoder(fill)
            decoded = self._decoder(encoded)
        except CodecError as error:
            msg = f"codec {self.name!r}: the fill value {chunk.fill_value!r} cannot be cast"
            raise MetadataError(msg) from error
        back, there = decoded[0], fill[0]
        if not (back == there or (back != back and there != there)):  # noqa: PLR0124  NaN
            msg = f"codec {self.name!r}: the fill value {there!r} comes back as {back!r}"
            raise MetadataError(msg)
        return encoded[0]


def _parse_map(entries: object, source: DataType, target: DataType) -> _Map:
    """The pairs of a scalar map; of equal keys the first holds."""
    if not isinstance(entries, list) or not all(
        isinstance(entry, list | tuple) and len(entry) == 2  # noqa: PLR2004  a pair
        for entry in entries
    ):
        msg = f"codec 'cast_value': a scalar map must be a list of pairs, not {entries!r:.80}"
        raise MetadataError(msg)
    # the registry's own example spells infinity with a sign
    signed = {"+Infinity": "Infinity"}
    return [
        (
            parse_fill(source, signed.get(key, key) if isinstance(key, str) else key),
            parse_fill(target, signed.get(value, value) if isinstance(value, str) else value),
        )
        for key, value in entries
    ]


@final
class _Cast:
    """One direction."""

    def __init__(
        self,
        source: _Kind,
        target: _Kind,
        rounding: str,
        out_of_range: str | None,
        scalar_map: _Map,
    ) -> None:
        self._source = source
        self._target = target
        self._rounding = rounding
        self._out_of_range = out_of_range
        self._map = scalar_map

    def __call__(self, array: Array) -> Array:
        """Casts an array of any shape."""
        mapped: list[tuple[Array, Any]] = []
        if self._map:
            left = np.ones(array.shape, bool)
            for key, value in self._map:
                found = left & ((array == key) if key == key else (array != array))  # noqa: PLR0124
                left &= ~found
                mapped.append((found, value))
            # what is mapped must not fail the cast: 1 is a value of every type
            array = np.where(left, array, np.array(1).astype(array.dtype))
        cast = self._cast(array)
        for found, value in mapped:
            cast[found] = value
        return cast

    def _cast(self, array: Array) -> Array:
        source, target = self._source, self._target
        if isinstance(source, IntegerKind):
            integers = to_wide(array, source)
            if isinstance(target, IntegerKind):
                return self._integers(integers, target)
            return self._floats(_integers_to_float(integers, target, self._rounding), target)
        floats = to_float(array)
        if isinstance(target, IntegerKind):
            return self._floats_to_integers(floats, target)
        return self._floats(floats, target)

    def _integers(self, values: Array, target: IntegerKind) -> Array:
        """Integers, put in range."""
        # comparisons of a NumPy integer with a Python one are exact, whatever their sizes
        outside = (values < target.low) | (values > target.high)
        if outside.any():
            if self._out_of_range is None:
                raise self._out_of_range_error(values[outside][0])
            if self._out_of_range == "clamp":
                low = values.dtype.type(max(target.low, int(np.iinfo(values.dtype).min)))
                high = values.dtype.type(min(target.high, int(np.iinfo(values.dtype).max)))
                values = np.clip(values, low, high)
            else:
                values = _wrap(values, target)
        return values.astype(target.wide).astype(target.dtype)

    def _floats_to_integers(self, values: Array, target: IntegerKind) -> Array:
        """Rounds to whole numbers, then puts them in range."""
        if not np.isfinite(values).all():
            raise CodecError(
                "codec 'cast_value': NaN and infinity are no integers",
                hint="Map them with scalar_map",
            )
        whole = _round(values, self._rounding)
        # as floats the limits of 64 bits are powers of two, one above the greatest integer
        outside = (whole < float(target.low)) | (whole >= float(target.high + 1))
        if outside.any():
            if self._out_of_range is None:
                raise self._out_of_range_error(values[outside][0])
            if self._out_of_range == "clamp":
                below = whole < float(target.low)
                above = whole >= float(target.high + 1)
                integers = np.where(outside, 0.0, whole).astype(target.wide)
                integers[below] = target.low
                integers[above] = target.high
                return integers.astype(target.dtype)
            # exact, and below 2**64
            rest = np.fmod(whole, float(target.high - target.low + 1))
            magnitude = np.abs(rest).astype(np.uint64)
            signed = np.where(rest < 0, ~magnitude + np.uint64(1), magnitude)
            return _wrap(signed, target).astype(target.wide).astype(target.dtype)
        return whole.astype(target.wide).astype(target.dtype)

    def _floats(self, values: Array, target: FloatKind) -> Array:
        """Rounds to the steps of a floating-point type, then puts the values in range."""
        nan, infinite = np.isnan(values), np.isinf(values)
        if (nan.any() and not target.has_nan) or (infinite.any() and not target.has_infinity):
            raise CodecError(
                f"codec 'cast_value': {target.dtype.name} has no NaN or no infinity, but the "
                "chunk does",
                hint="Map them with scalar_map",
            )
        finite = ~(nan | infinite)
        rounded = _round_to(values, target, self._rounding)
        outside = finite & (np.abs(rounded) > target.high)
        if target.is_positive:
            outside |= finite & (rounded < target.least)
        if outside.any():
            if self._out_of_range != "clamp":
                raise self._out_of_range_error(values[outside][0])
            ends = np.where(rounded < 0, -target.high, target.high)
            if target.has_infinity:
                ends = np.copysign(np.inf, rounded)
            elif target.is_positive:
                ends = np.where(rounded < target.least, target.least, target.high)
            rounded = np.where(outside, ends, rounded)
        return rounded.astype(target.dtype)

    def _out_of_range_error(self, value: Any) -> CodecError:
        return CodecError(
            f"codec 'cast_value': {value} is not in the range of {self._target.dtype.name}",
            hint="Set out_of_range, or map the value with scalar_map",
        )


def _wrap(values: Array, target: IntegerKind) -> Array:
    """Integers modulo the size of the target's range."""
    bits = (target.high - target.low).bit_length()
    pattern = values.astype(np.uint64) & np.uint64((1 << bits) - 1)
    shift = np.uint64(64 - bits)
    if target.low:
        return (pattern << shift).view(np.int64) >> shift.astype(np.int64)
    return pattern


def _round(values: Array, rounding: str) -> Array:
    """Whole numbers, as floats."""
    match rounding:
        case "nearest-even":
            return np.rint(values)
        case "towards-zero":
            return np.trunc(values)
        case "towards-positive":
            return np.ceil(values)
        case "towards-negative":
            return np.floor(values)
        case _:
            whole = np.trunc(values)
            # the difference is exact, which a sum with 0.5 is not
            away = np.abs(values - whole) >= 0.5  # noqa: PLR2004  a half
            return np.where(away, whole + np.copysign(1.0, values), whole)


def _round_to(values: Array, target: FloatKind, rounding: str) -> Array:
    """Finite values at a floating-point type's steps, as if its exponents had no upper end."""
    _, exponent = np.frexp(values)
    step = np.maximum(exponent - target.digits, target.least_exponent)
    if target.is_positive:
        # it has no values below the least: let them stay small, to be found out of range
        step = exponent - target.digits
    # a value rounded up beyond the last float64 is infinite, and so found out of range
    with np.errstate(invalid="ignore", over="ignore"):
        whole = _round(np.ldexp(values, -step), rounding)
        rounded = np.ldexp(whole, step)
    return np.where(np.isfinite(values), rounded, values)


def _integers_to_float(values: Array, target: FloatKind, rounding: str) -> Array:
    """Integers as 64-bit floats; those that these cannot hold are rounded for the target."""
    if values.dtype.itemsize < 8:  # noqa: PLR2004  64 bits
        return values.astype(np.float64)
    negative = values < 0
    magnitude = values.astype(np.uint64)
    magnitude = np.where(negative, ~magnitude + np.uint64(1), magnitude)
    floats = magnitude.astype(np.float64)
    large = magnitude > _EXACT_IN_FLOAT64
    if large.any():
        rounded = _round_magnitude(magnitude, target.digits, rounding, negative)
        floats = np.where(large, rounded, floats)
    return np.where(negative, -floats, floats)


def _round_magnitude(magnitude: Array, digits: int, rounding: str, negative: Array) -> Array:
    """Unsigned 64-bit integers at the steps of a significand of `digits` bits, as floats."""
    ones = magnitude.copy()
    for shift in (1, 2, 4, 8, 16, 32):
        ones |= ones >> np.uint64(shift)
    dropped = ones >> np.uint64(digits)
    step = dropped + np.uint64(1)
    rest = magnitude & dropped
    kept = magnitude - rest
    half = step >> np.uint64(1)
    match rounding:
        case "nearest-even":
            up = (rest > half) | ((rest == half) & ((magnitude & step) != 0))
        case "nearest-away":
            up = rest >= half
        case "towards-zero":
            up = np.zeros(rest.shape, bool)
        case "towards-positive":
            up = ~negative
        case _:
            up = negative.copy()
    up &= rest != 0
    rounded: Array = kept.astype(np.float64) + np.where(up, step.astype(np.float64), 0.0)
    return rounded
