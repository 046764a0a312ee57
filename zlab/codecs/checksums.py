"""numcodecs' checksums: `numcodecs.crc32`, `numcodecs.adler32` and their like.

Each puts four little-endian bytes before the bytes or behind them, and verifies them on reading.

Source: numcodecs, modules `checksum32` and `fletcher32`; HDF5 for lookup3 and Fletcher's.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np

from zlab.codecs.crc32c import crc32c
from zlab.codecs.native import Fletcher32, jenkins_lookup3
from zlab.codecs.parameters import Parameters
from zlab.codecs.sizes import check_size, deliver
from zlab.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from zlab.memory import Buffer

_NBYTES = 4


class ChecksumCodec(ABC):
    """The bytes and a checksum of 32 bits at one end of them."""

    name: ClassVar[str]
    kind: ClassVar[Literal["bytes-bytes"]] = "bytes-bytes"
    default_location: ClassVar[str] = "end"

    def __init__(self, location: str, nbytes: int | None) -> None:
        self.location = location
        self.encoded_nbytes: int | None = None if nbytes is None else nbytes + _NBYTES
        self._nbytes = nbytes

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec."""
        del itemsize
        parameters = Parameters(cls.name, configuration)
        location = parameters.choice("location", ("start", "end"), cls.default_location)
        parameters.close()
        return cls(location, nbytes)

    @property
    def configuration(self) -> dict[str, Any]:
        """Where the checksum stands."""
        return {"location": self.location}

    @abstractmethod
    def checksum(self, data: NDArray[np.uint8]) -> int:
        """The checksum of the bytes."""

    def encode(self, data: Buffer) -> Buffer:
        """The bytes and their checksum."""
        checksum = self.checksum(np.frombuffer(data, np.uint8)).to_bytes(_NBYTES, "little")
        return b"".join((checksum, data) if self.location == "start" else (data, checksum))

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """The bytes without their checksum.

        Raises:
            CodecError: The bytes are not those that were written.
        """
        nbytes = len(data) - _NBYTES
        if nbytes < 0:
            raise CodecError(f"codec {self.name!r}: {len(data)} bytes are too few for a checksum")
        if self._nbytes is not None:
            check_size(self.name, self._nbytes, nbytes)
        view = memoryview(data)
        if self.location == "start":
            stored, payload = view[:_NBYTES], view[_NBYTES:]
        else:
            stored, payload = view[nbytes:], view[:nbytes]
        computed = self.checksum(np.frombuffer(payload, np.uint8))
        expected = int.from_bytes(stored, "little")
        if computed != expected:
            raise CodecError(
                f"codec {self.name!r}: the checksum is {computed:08x}, but {expected:08x} is "
                "stored",
                hint="The stored bytes are corrupt",
            )
        return deliver(self.name, payload, out)


@final
class Crc32Codec(ChecksumCodec):
    """The CRC-32 of gzip and PNG, before the bytes.

    Example:
        >>> codec = Crc32Codec.from_config({}, nbytes=9, itemsize=1)
        >>> bytes(codec.encode(b"123456789"))[:4].hex()
        '2639f4cb'
    """

    name: ClassVar[str] = "numcodecs.crc32"
    default_location: ClassVar[str] = "start"

    def checksum(self, data: NDArray[np.uint8]) -> int:
        """By zlib."""
        return zlib.crc32(data.data)


@final
class Adler32Codec(ChecksumCodec):
    """The checksum of zlib streams, before the bytes."""

    name: ClassVar[str] = "numcodecs.adler32"
    default_location: ClassVar[str] = "start"

    def checksum(self, data: NDArray[np.uint8]) -> int:
        """By zlib."""
        return zlib.adler32(data.data)


@final
class NumcodecsCrc32cCodec(ChecksumCodec):
    """The CRC-32C of the `crc32c` codec, at either end."""

    name: ClassVar[str] = "numcodecs.crc32c"

    def checksum(self, data: NDArray[np.uint8]) -> int:
        """By google-crc32c."""
        return crc32c(data)


@final
class Fletcher32Codec(ChecksumCodec):
    """HDF5's variant of Fletcher's checksum, behind the bytes."""

    name: ClassVar[str] = "numcodecs.fletcher32"

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec, which has no parameters."""
        del itemsize
        Parameters(cls.name, configuration).close()
        return cls("end", nbytes)

    @property
    def configuration(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def checksum(self, data: NDArray[np.uint8]) -> int:
        """By numcodecs."""
        return int.from_bytes(Fletcher32().encode(data)[-_NBYTES:], "little") if len(data) else 0


@final
class JenkinsLookup3Codec(ChecksumCodec):
    """Bob Jenkins' lookup3, behind the bytes."""

    name: ClassVar[str] = "numcodecs.jenkins_lookup3"

    def __init__(self, initval: int, prefix: list[int] | None, nbytes: int | None) -> None:
        super().__init__("end", nbytes)
        self.initval = initval
        self.prefix = prefix

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec; `prefix` is bytes that are hashed first, as a list of numbers."""
        del itemsize
        parameters = Parameters(cls.name, configuration)
        initval = parameters.integer("initval", 0, 0xFFFFFFFF, 0)
        prefix = parameters.take("prefix", None)
        parameters.close()
        is_bytes = isinstance(prefix, list) and all(
            type(item) is int and item in range(256) for item in prefix
        )
        if prefix is not None and not is_bytes:
            raise parameters.fail("prefix", prefix, "a list of bytes or null")
        return cls(initval, prefix, nbytes)

    @property
    def configuration(self) -> dict[str, Any]:
        """The seed and the prefix."""
        return {"initval": self.initval, "prefix": self.prefix}

    def checksum(self, data: NDArray[np.uint8]) -> int:
        """By numcodecs."""
        if self.prefix:
            data = np.concatenate((np.array(self.prefix, np.uint8), data))
        checksum: int = jenkins_lookup3(np.ascontiguousarray(data), self.initval)
        return checksum
