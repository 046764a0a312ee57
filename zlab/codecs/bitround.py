"""The `bitround` codec: numbers with fewer significant bits, which compress better.

Source: the registry's page of `bitround`; Klöwer et al. 2021, doi:10.1038/s43588-021-00156-2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np

from zlab.codecs.base import ChunkSpec
from zlab.codecs.parameters import Parameters
from zlab.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array

# bits of the mantissa behind the point
_MANTISSA = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}


@final
class BitroundCodec:
    """Rounds to the nearest, ties to even, and keeps `keepbits` bits.

    Of a floating-point number these are bits of the mantissa; of an integer, bits from the most
    significant one that is set, its two's complement read as an unsigned number. A NaN stays as
    it is.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((2,), np.dtype("float32"), 0)
        >>> codec = BitroundCodec.from_config({"keepbits": 3}, chunk)
        >>> codec.encode(np.array([1.2345, -9.87], "float32")).tolist()
        [1.25, -10.0]
    """

    name: ClassVar[str] = "bitround"
    kind: ClassVar[Literal["array-array"]] = "array-array"

    def __init__(self, keepbits: int, component: np.dtype[Any], chunk: ChunkSpec) -> None:
        self.keepbits = keepbits
        self._component = component
        self._word: np.dtype[Any] = np.dtype(f"u{component.itemsize}")
        fill_value = chunk.fill_value
        if fill_value is not None:
            fill_value = self.encode(np.asarray(fill_value, chunk.dtype))[()]
        self.encoded = ChunkSpec(chunk.shape, chunk.dtype, fill_value)

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: The chunk's elements are not numbers that can be rounded so.
        """
        parameters = Parameters(cls.name, configuration)
        keepbits = parameters.integer("keepbits", 0, 64)
        parameters.close()
        component = _component(chunk.dtype)
        if component is None:
            msg = f"codec {cls.name!r} does not round {chunk.dtype}"
            raise MetadataError(msg)
        return cls(keepbits, component, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """The bits that are kept."""
        return {"keepbits": self.keepbits}

    def encode(self, array: Array) -> Array:
        """Rounded numbers."""
        flat = array.reshape(-1)
        bits = flat.view(self._word)
        mantissa = _MANTISSA.get(self._component.name)
        if mantissa is None:
            dropped = _ones_below(bits) >> self._word.type(self.keepbits)
            return _round(bits, dropped).view(array.dtype).reshape(array.shape)
        if self.keepbits >= mantissa:
            return array
        dropped = self._word.type((1 << (mantissa - self.keepbits)) - 1)
        rounded = _round(bits, dropped)
        nan = np.isnan(flat.view(self._component))
        if nan.any():
            rounded[nan] = bits[nan]
        return rounded.view(array.dtype).reshape(array.shape)

    def decode(self, array: Array) -> Array:
        """What was stored."""
        return array

    def encoded_view(self, out: Array) -> Array | None:
        """The output itself: decoding changes nothing."""
        return out


def _component(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """The number that an element is, or each of its parts; `None` where it cannot be rounded."""
    if dtype.kind == "c":
        return np.dtype(f"f{dtype.itemsize // 2}")
    if dtype.names == ("real", "imag"):
        return _component(dtype["real"])
    if dtype.name in _MANTISSA:
        return dtype
    if dtype.kind in "Mm":
        return np.dtype(np.int64)
    return dtype if dtype.kind in "iu" else None


def _ones_below(bits: Array) -> Array:
    """Each number with all bits set from its most significant one down."""
    ones = bits.copy()
    shift = 1
    while shift < 8 * bits.dtype.itemsize:
        ones |= ones >> bits.dtype.type(shift)
        shift *= 2
    return ones


def _round(bits: Array, dropped: Any) -> Array:
    """Rounds away the bits of the mask `dropped`, a run of ones at the low end."""
    word = bits.dtype.type
    odd = (bits & (dropped + word(1))) != 0
    half = dropped >> word(1)
    rounded = bits + np.where(dropped != 0, half + odd, word(0)).astype(bits.dtype)
    # rounded up beyond the last number: cut instead
    overflowed = rounded < bits
    if overflowed.any():
        rounded[overflowed] = np.iinfo(bits.dtype).max
    kept: Array = rounded & ~dropped
    return kept
