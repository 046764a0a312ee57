"""The `packbits` codec: elements of a few bits, one after the other.

Source: the registry's page of `packbits`. It numbers the bits of a byte from the least
significant one, unlike numcodecs' codec of the same name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np

from zlab.codecs.bytes import SMALL_BITS
from zlab.codecs.parameters import Parameters
from zlab.codecs.sizes import check_size
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array, ChunkSpec
    from zlab.memory import Buffer


@final
class PackBitsCodec:
    """The bits from `first_bit` to `last_bit` of each element (of each part, of complex numbers).

    Example:
        >>> import numpy as np
        >>> from zlab.codecs.base import ChunkSpec
        >>> codec = PackBitsCodec.from_config({}, ChunkSpec((9,), np.dtype("bool"), False))
        >>> bytes(codec.encode(np.array([1, 0, 1, 1, 0, 0, 0, 1, 1], bool))).hex()
        '8d01'
    """

    name: ClassVar[str] = "packbits"
    kind: ClassVar[Literal["array-bytes"]] = "array-bytes"
    in_place = False

    def __init__(
        self,
        padding_encoding: str,
        bits: tuple[int | None, int | None],
        component: np.dtype[Any],
        chunk: ChunkSpec,
    ) -> None:
        self.padding_encoding = padding_encoding
        self._bits = bits
        self._component = component
        self._chunk = chunk
        total = _bits_of(component)
        self._first = 0 if bits[0] is None else bits[0]
        self._last = total - 1 if bits[1] is None else bits[1]
        if not 0 <= self._first <= self._last < total:
            msg = (
                f"codec {self.name!r}: bits {self._first} to {self._last} are no part of the "
                f"{total} bits of {component}"
            )
            raise MetadataError(msg)
        self._width = self._last - self._first + 1
        self._signed = component.kind == "i" or component.name in ("int2", "int4")
        self._count = chunk.size * (chunk.dtype.itemsize // component.itemsize)
        self._padding = -self._count * self._width % 8
        self._packed_nbytes = -(-self._count * self._width // 8)
        self.encoded_nbytes: int | None = self._packed_nbytes + (padding_encoding != "none")

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: The data type is not one of bits, or has not the bits that are named.
        """
        parameters = Parameters(cls.name, configuration)
        padding = parameters.choice("padding_encoding", ("none", "first_byte", "last_byte"), "none")
        bits = parameters.take("first_bit", None), parameters.take("last_bit", None)
        parameters.close()
        for key, value in zip(("first_bit", "last_bit"), bits, strict=True):
            if value is not None and (type(value) is not int or value < 0):
                raise parameters.fail(key, value, "a whole number or null")
        component = _component(chunk.dtype)
        if component is None:
            msg = f"codec {cls.name!r} does not pack {chunk.dtype}"
            raise MetadataError(msg)
        return cls(padding, bits, component, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """How padding is recorded, and the bits that are named."""
        named = {"first_bit": self._bits[0], "last_bit": self._bits[1]}
        bits = {key: value for key, value in named.items() if value is not None}
        return {"padding_encoding": self.padding_encoding, **bits}

    def encode(self, array: Array) -> Buffer:
        """Packed bits, padded with zeros."""
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        nbytes = self._component.itemsize
        if not np.little_endian and nbytes > 1:
            flat = flat.reshape(-1, nbytes)[:, ::-1].reshape(-1)
        if self._width == 8 * nbytes:
            return self._pad(flat.tobytes())
        if self._width == 1 and nbytes == 1:
            bits = (flat >> np.uint8(self._first)) & np.uint8(1)
        else:
            bits = np.unpackbits(flat.reshape(-1, nbytes), axis=1, bitorder="little")
            bits = bits[:, self._first : self._last + 1]
        return self._pad(np.packbits(bits.reshape(-1), bitorder="little").tobytes())

    def _pad(self, packed: bytes) -> bytes:
        padding = bytes([self._padding])
        match self.padding_encoding:
            case "first_byte":
                return padding + packed
            case "last_byte":
                return packed + padding
            case _:
                return packed

    def decode(self, data: Buffer) -> Array:
        """Elements; bits that were not stored are 0, or the sign.

        Raises:
            CodecError: The bytes are too few or too many, or state another padding.
        """
        if self.encoded_nbytes is not None:
            check_size(self.name, self.encoded_nbytes, len(data))
        packed = np.frombuffer(data, np.uint8)
        if self.padding_encoding != "none":
            at_start = self.padding_encoding == "first_byte"
            stated, packed = (packed[0], packed[1:]) if at_start else (packed[-1], packed[:-1])
            if stated != self._padding:
                raise CodecError(
                    f"codec {self.name!r}: the chunk states {stated} bits of padding, "
                    f"expected {self._padding}"
                )
        nbytes, width = self._component.itemsize, self._width
        if width == 8 * nbytes:
            return self._native(packed)
        bits = np.unpackbits(packed, count=self._count * width, bitorder="little")
        if width == 1 and nbytes == 1 and not self._signed:
            flat = bits << np.uint8(self._first)
        else:
            whole = np.zeros((self._count, 8 * nbytes), np.uint8)
            whole[:, self._first : self._last + 1] = bits.reshape(self._count, width)
            if self._signed:
                end = _bits_of(self._component)
                whole[:, self._last + 1 : end] = whole[:, self._last : self._last + 1]
            flat = np.packbits(whole, axis=1, bitorder="little").reshape(-1)
        return self._native(flat)

    def _native(self, flat: Array) -> Array:
        nbytes = self._component.itemsize
        if not np.little_endian and nbytes > 1:
            flat = np.ascontiguousarray(flat.reshape(-1, nbytes)[:, ::-1]).reshape(-1)
        return flat.view(self._chunk.dtype).reshape(self._chunk.shape)


def _bits_of(dtype: np.dtype[Any]) -> int:
    if dtype.kind == "b":
        return 1
    return SMALL_BITS.get(dtype.name, 8 * dtype.itemsize)


def _component(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """The number that an element is, or each of its parts; `None` where it has no such form."""
    if dtype.kind == "c":
        return np.dtype(f"f{dtype.itemsize // 2}")
    if dtype.names == ("real", "imag"):
        return _component(dtype["real"])
    if dtype.kind in "biufMm" or (dtype.kind == "V" and dtype.type is not np.void):
        return None if dtype.fields is not None else dtype
    return None
