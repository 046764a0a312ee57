"""Elements of different sizes: `vlen-utf8`, `vlen-bytes`, and v2's `vlen-array`.

The number of elements, then for each its size and its bytes; numbers are 32-bit little-endian.

Source: the registry's pages of `vlen-utf8` and `vlen-bytes`; numcodecs, module `vlen`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np

from zlab.codecs.native import VLenArray, VLenBytes, VLenUTF8
from zlab.codecs.parameters import Parameters
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array, ChunkSpec
    from zlab.memory import Buffer

_COUNT_NBYTES = 4


class VLenCodec(ABC):
    """What the three share: the count is checked before anything is made of it."""

    name: ClassVar[str]
    kind: ClassVar[Literal["array-bytes"]] = "array-bytes"
    kinds: ClassVar[str] = "O"
    """Kinds of NumPy dtype that the elements may have."""
    encoded_nbytes: int | None = None
    in_place = False

    def __init__(self, chunk: ChunkSpec) -> None:
        self._chunk = chunk

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec, which has no parameters.

        Raises:
            MetadataError: The chunk's elements are of another kind.
        """
        Parameters(cls.name, configuration).close()
        cls._check(chunk)
        return cls(chunk)

    @classmethod
    def _check(cls, chunk: ChunkSpec) -> None:
        if chunk.dtype.kind not in cls.kinds:
            raise MetadataError(f"codec {cls.name!r} does not hold {chunk.dtype}")

    @property
    def configuration(self) -> dict[str, Any]:
        """Empty."""
        return {}

    @abstractmethod
    def _codec(self) -> Any:
        """The codec of numcodecs."""

    def encode(self, array: Array) -> Buffer:
        """Elements in C order."""
        encoded: bytearray = self._codec().encode(array.astype(object).reshape(-1))
        return encoded

    def decode(self, data: Buffer) -> Array:
        """Elements.

        Raises:
            CodecError: The count is not that of the chunk's elements, or the bytes end early.
        """
        count = int.from_bytes(data[:_COUNT_NBYTES], "little")
        if len(data) < _COUNT_NBYTES or count != self._chunk.size:
            raise CodecError(
                f"codec {self.name!r}: expected {self._chunk.size} elements, the chunk has {count}"
            )
        elements: Array = self._codec().decode(data)
        return elements.astype(self._chunk.dtype, copy=False).reshape(self._chunk.shape)


@final
class VLenUtf8Codec(VLenCodec):
    """Text.

    Example:
        >>> import numpy as np
        >>> from zlab.codecs.base import ChunkSpec
        >>> chunk = ChunkSpec((1,), np.dtypes.StringDType(), "")
        >>> codec = VLenUtf8Codec.from_config({}, chunk)
        >>> bytes(codec.encode(np.array(["hi"], np.dtypes.StringDType()))).hex()
        '01000000020000006869'
    """

    name: ClassVar[str] = "vlen-utf8"
    kinds: ClassVar[str] = "TUO"

    def _codec(self) -> Any:
        return VLenUTF8()


@final
class VLenBytesCodec(VLenCodec):
    """Strings of bytes."""

    name: ClassVar[str] = "vlen-bytes"
    kinds: ClassVar[str] = "SO"

    def _codec(self) -> Any:
        return VLenBytes()


@final
class VLenArrayCodec(VLenCodec):
    """One-dimensional arrays of one dtype."""

    name: ClassVar[str] = "numcodecs.vlen-array"

    def __init__(self, dtype: np.dtype[Any], chunk: ChunkSpec) -> None:
        super().__init__(chunk)
        self.dtype = dtype

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: `dtype` is missing or of no fixed size, or the chunk's elements are
                not objects.
        """
        parameters = Parameters(cls.name, configuration)
        value = parameters.take("dtype")
        parameters.close()
        cls._check(chunk)
        try:
            dtype = np.dtype(value)
        except TypeError as error:
            raise parameters.fail("dtype", value, "the name of a NumPy data type") from error
        if dtype.hasobject or not dtype.itemsize:
            raise parameters.fail("dtype", value, "a data type of fixed size")
        return cls(dtype, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """The dtype of the arrays."""
        return {"dtype": self.dtype.str}

    def _codec(self) -> Any:
        return VLenArray(self.dtype)

    def encode(self, array: Array) -> Buffer:
        """Arrays in C order."""
        # numcodecs asks for memory that it may write, of the elements and of each array
        elements = array.astype(object).reshape(-1)
        for place, element in enumerate(elements):
            if isinstance(element, np.ndarray) and not element.flags.writeable:
                elements[place] = element.copy()
        encoded: bytearray = self._codec().encode(elements)
        return encoded
