"""The `reshape` codec: the same elements in the same order, in another shape.

Source: the registry's page of `reshape`.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

from zlab.codecs.base import ChunkSpec
from zlab.codecs.parameters import Parameters
from zlab.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array


@final
class ReshapeCodec:
    """Another shape; each of its lengths is a number, a list of axes to join, or -1 for the rest.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((100, 50, 64, 3), np.dtype("uint8"), 0)
        >>> ReshapeCodec.from_config({"shape": [[0, 1], [2], 3]}, chunk).encoded.shape
        (5000, 64, 3)
    """

    name: ClassVar[str] = "reshape"
    kind: ClassVar[Literal["array-array"]] = "array-array"

    def __init__(self, lengths: list[Any], shape: tuple[int, ...], chunk: ChunkSpec) -> None:
        self.encoded = ChunkSpec(shape, chunk.dtype, chunk.fill_value)
        self._lengths = lengths
        self._shape = chunk.shape

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: The shape does not hold the chunk's elements, or joins axes that it
                would have to transpose.
        """
        parameters = Parameters(cls.name, configuration)
        lengths = parameters.take("shape")
        parameters.close()
        if not isinstance(lengths, list):
            raise parameters.fail("shape", lengths, "a list")
        shape = [_length(parameters, length, chunk.shape) for length in lengths]
        joined = [axis for length in lengths if isinstance(length, list) for axis in length]
        if joined != sorted(set(joined)):
            raise parameters.fail("shape", lengths, "a list whose axes come in rising order")
        if shape.count(-1) > 1:
            raise parameters.fail("shape", lengths, "a list with one -1 at most")
        if -1 in shape:
            others = -prod(shape)
            if not others or chunk.size % others:
                raise parameters.fail("shape", lengths, f"a shape for {chunk.size} elements")
            shape[shape.index(-1)] = chunk.size // others
        if prod(shape) != chunk.size:
            raise parameters.fail("shape", lengths, f"a shape for {chunk.size} elements")
        for position, length in enumerate(lengths):
            if isinstance(length, list) and length:
                before, after = chunk.shape[: length[0]], chunk.shape[length[-1] + 1 :]
                if prod(shape[:position]) != prod(before) or prod(shape[position + 1 :]) != prod(
                    after
                ):
                    msg = f"codec 'reshape': axis {position} is not made of the axes {length}"
                    raise MetadataError(msg)
        return cls(lengths, tuple(shape), chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """The shape as it was given."""
        return {"shape": self._lengths}

    def encode(self, array: Array) -> Array:
        """A view where the strides allow it."""
        return array.reshape(self.encoded.shape)

    def decode(self, array: Array) -> Array:
        """A view where the strides allow it."""
        return array.reshape(self._shape)

    def encoded_view(self, out: Array) -> Array | None:
        """The output in the other shape, where it lies in one piece."""
        return out.reshape(self.encoded.shape) if out.flags.c_contiguous else None


def _length(parameters: Parameters, value: object, shape: tuple[int, ...]) -> int:
    """One length of the output; -1 where it is to be found."""
    if isinstance(value, list) and all(
        type(axis) is int and 0 <= axis < len(shape) for axis in value
    ):
        return prod(shape[axis] for axis in value)
    if type(value) is int and (value > 0 or value == -1):
        return value
    raise parameters.fail("shape", value, "made of positive numbers, lists of axes and -1")
