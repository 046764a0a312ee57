"""The `scale_offset` codec: `(x - offset) * scale`, in the arithmetic of the chunk's data type.

Source: the registry's page of `scale_offset`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np

from zlab.codecs.base import ChunkSpec
from zlab.codecs.numbers import IntegerKind, number_kind, to_wide
from zlab.codecs.parameters import Parameters
from zlab.errors import CodecError, MetadataError
from zlab.metadata.datatypes import data_type_of
from zlab.metadata.fill import parse_fill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array


@final
class ScaleOffsetCodec:
    """Subtracts an offset and multiplies by a scale.

    Of integers every step must be exact: a result out of range, or a quotient with a rest, is an
    error. Floating-point numbers follow IEEE 754.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((2,), np.dtype("uint16"), np.uint16(1000))
        >>> codec = ScaleOffsetCodec.from_config({"offset": 1000}, chunk)
        >>> codec.encode(np.array([1000, 1255], "uint16")).tolist()
        [0, 255]
    """

    name: ClassVar[str] = "scale_offset"
    kind: ClassVar[Literal["array-array"]] = "array-array"

    def __init__(self, configuration: dict[str, Any], chunk: ChunkSpec) -> None:
        self._configuration = configuration
        kind = number_kind(chunk.dtype)
        if kind is None:
            msg = f"codec {self.name!r} scales real numbers, not {chunk.dtype}"
            raise MetadataError(msg)
        data_type = data_type_of(chunk.dtype)
        self._offset = parse_fill(data_type, configuration.get("offset", 0))
        self._scale = parse_fill(data_type, configuration.get("scale", 1))
        self._integers = kind if isinstance(kind, IntegerKind) else None
        if not self._scale:
            msg = f"codec {self.name!r}: a scale of 0 cannot be undone"
            raise MetadataError(msg)
        fill_value = chunk.fill_value
        if fill_value is not None:
            try:
                fill_value = self.encode(np.array([fill_value], chunk.dtype))[0]
            except CodecError as error:
                msg = f"codec {self.name!r}: the fill value {fill_value!r} cannot be scaled"
                raise MetadataError(msg) from error
        self.encoded = ChunkSpec(chunk.shape, chunk.dtype, fill_value)

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: Offset or scale are no values of the chunk's type, or the fill value
                cannot be scaled.
        """
        parameters = Parameters(cls.name, configuration)
        complete = {
            "offset": parameters.take("offset", 0),
            "scale": parameters.take("scale", 1),
        }
        parameters.close()
        return cls(complete, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """Offset and scale."""
        return self._configuration

    def encode(self, array: Array) -> Array:
        """Scaled values.

        Raises:
            CodecError: A result is not in the range of the type.
        """
        if self._integers is None:
            with np.errstate(all="ignore"):
                scaled: Array = (array - self._offset) * self._scale
            return scaled.astype(array.dtype, copy=False)
        low, high = self._integers.low, self._integers.high
        offset, scale = int(self._offset), int(self._scale)
        values = to_wide(array, self._integers)
        # limits in Python's integers, so that nothing overflows before it is compared
        first, last = sorted((_towards_zero(low, scale), _towards_zero(high, scale)))
        self._check(values, max(low, first) + offset, min(high, last) + offset)
        scaled = (values - values.dtype.type(offset)) * values.dtype.type(scale)
        return scaled.astype(array.dtype)

    def decode(self, array: Array) -> Array:
        """Values scaled back.

        Raises:
            CodecError: A quotient is no integer, or a result is not in the range of the type.
        """
        if self._integers is None:
            with np.errstate(all="ignore"):
                values: Array = array / self._scale + self._offset
            return values.astype(array.dtype, copy=False)
        low, high = self._integers.low, self._integers.high
        offset, scale = int(self._offset), int(self._scale)
        values = to_wide(array, self._integers)
        if scale == -1:
            self._check(values, -high, -low)
        quotient = values if scale == 1 else values // values.dtype.type(scale)
        if scale != 1 and (quotient * values.dtype.type(scale) != values).any():
            raise CodecError(f"codec {self.name!r}: a value is no multiple of the scale {scale}")
        self._check(quotient, low - offset, high - offset)
        shifted: Array = quotient + values.dtype.type(offset)
        return shifted.astype(array.dtype)

    def encoded_view(self, out: Array) -> Array | None:
        """None: the values change."""
        del out
        return None

    def _check(self, values: Array, low: int, high: int) -> None:
        outside = (values < low) | (values > high)
        if outside.any():
            raise CodecError(
                f"codec {self.name!r}: {values[outside][0]} cannot be scaled in {values.dtype}"
            )


def _towards_zero(limit: int, scale: int) -> int:
    """The greatest magnitude whose product with the scale stays within a limit."""
    magnitude = abs(limit) // abs(scale)
    return magnitude if (limit < 0) == (scale < 0) else -magnitude
