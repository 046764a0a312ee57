"""The `transpose` codec: the axes in another order. It moves no byte by itself.

Source: Zarr v3 specification, "Transpose codec".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

from zlab.codecs.base import ChunkSpec
from zlab.codecs.parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array


@final
class TransposeCodec:
    """Axis `i` of the encoded chunk is axis `order[i]` of the chunk.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((2, 3), np.dtype("int8"), 0)
        >>> TransposeCodec.from_config({"order": [1, 0]}, chunk).encoded.shape
        (3, 2)
    """

    name: ClassVar[str] = "transpose"
    kind: ClassVar[Literal["array-array"]] = "array-array"

    def __init__(self, order: tuple[int, ...], chunk: ChunkSpec) -> None:
        self.order = order
        self.encoded = ChunkSpec(
            tuple(chunk.shape[axis] for axis in order), chunk.dtype, chunk.fill_value
        )
        self._inverse = tuple(order.index(axis) for axis in range(len(order)))

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: `order` is not a permutation of the chunk's axes.
        """
        parameters = Parameters(cls.name, configuration)
        value = parameters.take("order")
        parameters.close()
        axes = list(range(len(chunk.shape)))
        # the two words come from documents of before the specification was final
        order = {"C": axes, "F": axes[::-1]}.get(value) if isinstance(value, str) else value
        integers = isinstance(order, list | tuple) and all(type(axis) is int for axis in order)
        if order is None or not integers or sorted(order) != axes:
            raise parameters.fail("order", value, f"a permutation of the {len(axes)} axes")
        return cls(tuple(order), chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """The order of the axes."""
        return {"order": list(self.order)}

    def encode(self, array: Array) -> Array:
        """A transposed view."""
        return array.transpose(self.order)

    def decode(self, array: Array) -> Array:
        """A view with the axes put back."""
        return array.transpose(self._inverse)

    def encoded_view(self, out: Array) -> Array | None:
        """The transposed view of the output."""
        return out.transpose(self.order)
