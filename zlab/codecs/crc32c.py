"""The `crc32c` codec: the bytes, then their checksum in four little-endian bytes.

google-crc32c is what zarr-python and numcodecs use: hardware instructions, an Apache licence, and
wheels for the Python versions and platforms that zlab supports.

Source: Zarr v3 specification, "CRC32C checksum codec"; RFC 3720, appendix B.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

import google_crc32c
import numpy as np

from zlab.codecs.bytewise import BytewiseCodec
from zlab.codecs.sizes import check_size, deliver
from zlab.errors import CodecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zlab.memory import Buffer

CHECKSUM_NBYTES = 4


@final
class Crc32cCodec(BytewiseCodec):
    """A checksum behind the bytes, verified on every read.

    Example:
        >>> codec = Crc32cCodec.from_config({}, nbytes=9, itemsize=1)
        >>> bytes(codec.encode(b"123456789"))[-4:].hex()
        '839206e3'
    """

    name: ClassVar[str] = "crc32c"

    def __init__(self, nbytes: int | None) -> None:
        super().__init__(nbytes)
        self.encoded_nbytes = None if nbytes is None else nbytes + CHECKSUM_NBYTES

    def encode(self, data: Buffer) -> Buffer:
        """The bytes and their checksum."""
        checksum = crc32c(np.frombuffer(data, np.uint8))
        return b"".join((data, checksum.to_bytes(CHECKSUM_NBYTES, "little")))

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """The bytes without their checksum.

        Raises:
            CodecError: The bytes are not those that were written.
        """
        end = len(data) - CHECKSUM_NBYTES
        if end < 0:
            raise CodecError(f"codec 'crc32c': {len(data)} bytes are too few for a checksum")
        if self._nbytes is not None:
            check_size(self.name, self._nbytes, end)
        stored = int.from_bytes(data[end:], "little")
        computed = crc32c(np.frombuffer(data, np.uint8, end))
        if stored != computed:
            raise CodecError(
                f"codec 'crc32c': the checksum is {computed:08x}, but {stored:08x} is stored",
                hint="The stored bytes are corrupt",
            )
        return deliver(self.name, memoryview(data)[:end], out)


def crc32c(data: NDArray[np.uint8]) -> int:
    """The checksum of bytes; google-crc32c takes the memory of an array, not of a memoryview."""
    checksum: int = google_crc32c.value(data)
    return checksum
