"""The `bytes` codec: an array as its elements in C order.

Source: Zarr v3 specification, "Bytes codec"; the registry's pages of the small data types say
that the upper bits of their bytes are ignored on reading.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np

from zlab.codecs.parameters import Parameters
from zlab.codecs.sizes import check_size
from zlab.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array, ChunkSpec
    from zlab.memory import Buffer

SMALL_BITS = {
    "int2": 2,
    "uint2": 2,
    "int4": 4,
    "uint4": 4,
    "float4_e2m1fn": 4,
    "float6_e2m3fn": 6,
    "float6_e3m2fn": 6,
}
"""Bits of the data types that fill only a part of their byte in memory."""

# what `dtype.isbuiltin` is for the types of ml_dtypes
_OF_A_LIBRARY = 2


@final
class BytesCodec:
    """Elements in C order, little-endian or big-endian.

    Example:
        >>> import numpy as np
        >>> from zlab.codecs.base import ChunkSpec
        >>> chunk = ChunkSpec((2,), np.dtype("uint16"), 0)
        >>> codec = BytesCodec.from_config({"endian": "big"}, chunk)
        >>> bytes(codec.encode(np.array([1, 2], "uint16"))).hex()
        '00010002'
    """

    name: ClassVar[str] = "bytes"
    kind: ClassVar[Literal["array-bytes"]] = "array-bytes"

    def __init__(self, endian: str | None, chunk: ChunkSpec) -> None:
        self.endian = endian
        self.encoded_nbytes: int | None = chunk.nbytes
        self._shape = chunk.shape
        self._dtype = chunk.dtype
        self._plain = plain_dtype(chunk.dtype)
        self._stored = self._plain
        if endian is not None and endian != sys.byteorder:
            self._stored = self._plain.newbyteorder()
        self._masked = _has_small(chunk.dtype)
        self.in_place = self._stored == self._plain and not self._masked

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: The elements have no fixed size, or more than one byte and no `endian`.
        """
        parameters = Parameters(cls.name, configuration)
        endian = parameters.choice("endian", ("little", "big", None), None)
        parameters.close()
        if not chunk.has_fixed_size:
            msg = (
                f"codec 'bytes' cannot hold {chunk.dtype}, whose elements differ in size; "
                "use 'vlen-utf8' for strings and 'vlen-bytes' for bytes"
            )
            raise MetadataError(msg)
        if endian is None and _is_ordered(chunk.dtype):
            if chunk.dtype.fields is None:
                msg = f"codec 'bytes' needs the parameter 'endian' for {chunk.dtype}"
                raise MetadataError(msg)
            # what the legacy documents of structured types leave out
            endian = "little"
        return cls(endian, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """The byte order, for elements that have one."""
        return {} if self.endian is None else {"endian": self.endian}

    def encode(self, array: Array) -> Buffer:
        """The array's own memory where that is what is stored, else a copy."""
        contiguous = np.ascontiguousarray(array, self._dtype).reshape(-1).view(self._plain)
        if self._masked:
            contiguous = contiguous.copy()
            _mask(contiguous, self._dtype)
        stored = contiguous.astype(self._stored, copy=False)
        return stored.view(np.uint8).data

    def decode(self, data: Buffer) -> Array:
        """An array over the bytes, copied only where they must be swapped or masked."""
        if self.encoded_nbytes is not None:
            check_size(self.name, self.encoded_nbytes, len(data))
        if self.in_place:
            return np.frombuffer(data, self._dtype).reshape(self._shape)
        stored = np.frombuffer(data, self._stored)
        if self._masked:
            stored = stored.astype(self._plain, copy=True)
            _mask(stored, self._dtype)
        native = stored.astype(self._plain, copy=False)
        return native.view(self._dtype).reshape(self._shape)


def plain_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the same bytes whose byte order NumPy can name and whose buffer it can lend.

    NumPy neither swaps the types of `ml_dtypes` nor lends the memory of datetimes.
    """
    if dtype.fields is not None:
        return np.dtype(
            {
                "names": list(dtype.fields),
                "formats": [plain_dtype(member[0]) for member in dtype.fields.values()],
                "offsets": [member[1] for member in dtype.fields.values()],
                "itemsize": dtype.itemsize,
            }
        )
    if dtype.subdtype is not None:
        return np.dtype((plain_dtype(dtype.subdtype[0]), dtype.subdtype[1]))
    if dtype.kind in "Mm" or dtype.isbuiltin == _OF_A_LIBRARY:
        return np.dtype(f"u{dtype.itemsize}")
    return dtype


def _is_ordered(dtype: np.dtype[Any]) -> bool:
    """Whether an element's bytes have an order."""
    if dtype.fields is not None:
        return any(_is_ordered(member[0]) for member in dtype.fields.values())
    if dtype.kind == "U":
        return dtype.itemsize > 0
    if dtype.kind == "S" or dtype.type is np.void:
        return False
    return dtype.itemsize > 1


def _has_small(dtype: np.dtype[Any]) -> bool:
    if dtype.fields is not None:
        return any(_has_small(member[0]) for member in dtype.fields.values())
    # a name takes longer to make than all else here
    return dtype.itemsize == 1 and dtype.name in SMALL_BITS


def _mask(plain: Array, dtype: np.dtype[Any]) -> None:
    """Clears the bits that the small types ignore: `ml_dtypes` computes with them."""
    if dtype.fields is not None:
        for name, member in dtype.fields.items():
            _mask(plain[name], member[0])
    elif dtype.name in SMALL_BITS:
        plain &= np.uint8((1 << SMALL_BITS[dtype.name]) - 1)
