"""`numcodecs.shuffle`: all first bytes of the elements, then all second bytes, and so on.

Source: numcodecs, module `shuffle`; HDF5's shuffle filter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

from zlab.codecs.native import Shuffle
from zlab.codecs.parameters import Parameters
from zlab.codecs.sizes import check_size
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.memory import Buffer


@final
class ShuffleCodec:
    """Bytes of equal significance brought together, so that a compressor finds more.

    Example:
        >>> codec = ShuffleCodec.from_config({"elementsize": 2}, nbytes=6, itemsize=2)
        >>> bytes(codec.encode(b"aAbBcC"))
        b'abcABC'
    """

    name: ClassVar[str] = "numcodecs.shuffle"
    kind: ClassVar[Literal["bytes-bytes"]] = "bytes-bytes"

    def __init__(self, elementsize: int, nbytes: int | None) -> None:
        self.elementsize = elementsize
        self.encoded_nbytes: int | None = nbytes
        self._nbytes = nbytes
        self._codec = Shuffle(elementsize)

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec; the size of an element is the data type's unless it is stated.

        Raises:
            MetadataError: The chunk is not a whole number of elements.
        """
        parameters = Parameters(cls.name, configuration)
        elementsize = parameters.take("elementsize", None)
        parameters.close()
        if elementsize is None:
            elementsize = itemsize
        if type(elementsize) is not int or elementsize < 0:
            raise parameters.fail("elementsize", elementsize, "a whole number")
        if nbytes is not None and elementsize > 1 and nbytes % elementsize:
            msg = f"codec {cls.name!r}: {nbytes} bytes are no multiple of {elementsize}"
            raise MetadataError(msg)
        return cls(elementsize, nbytes)

    @property
    def configuration(self) -> dict[str, Any]:
        """The size of an element."""
        return {"elementsize": self.elementsize}

    def encode(self, data: Buffer) -> Buffer:
        """Byte planes."""
        return self._turn(data, None, encoding=True)

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Elements."""
        return self._turn(data, out, encoding=False)

    def _turn(self, data: Buffer, out: memoryview | None, *, encoding: bool) -> Buffer:
        nbytes = len(data)
        if self._nbytes is not None:
            check_size(self.name, self._nbytes, nbytes)
        size = max(self.elementsize, 1)
        if nbytes % size:
            raise CodecError(f"codec {self.name!r}: {nbytes} bytes are no multiple of {size}")
        target = memoryview(bytearray(nbytes)) if out is None else out
        if nbytes:
            turn = self._codec.encode if encoding else self._codec.decode
            turn(data, target)
        return target
