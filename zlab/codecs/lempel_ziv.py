"""v2's `lz4`, `bz2` and `lzma`, which zarr-python calls `numcodecs.lz4` and so on in v3.

Source: numcodecs, modules `lz4`, `bz2`, `lzma`.
"""

from __future__ import annotations

import bz2
import lzma
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

from zlab.codecs.native import lz4
from zlab.codecs.parameters import Parameters
from zlab.codecs.sizes import check_limit, check_size, deliver, limit
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zlab.memory import Buffer

_LZ4_PREFIX = 4
_LZ4_MAX_NBYTES = 0x7E000000
_MEMORY_OF_PRESET_9 = 128 << 20


@final
class Lz4Codec:
    """An LZ4 block behind its decoded size in four little-endian bytes.

    Example:
        >>> codec = Lz4Codec.from_config({}, nbytes=100, itemsize=1)
        >>> bytes(codec.encode(bytes(100)))[:4].hex()
        '64000000'
    """

    name: ClassVar[str] = "numcodecs.lz4"
    kind: ClassVar[Literal["bytes-bytes"]] = "bytes-bytes"
    encoded_nbytes: int | None = None

    def __init__(self, acceleration: int, nbytes: int | None) -> None:
        self.acceleration = acceleration
        self._nbytes = nbytes
        self._limit = limit()

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec; an acceleration below 1 is LZ4's default."""
        del itemsize
        parameters = Parameters(cls.name, configuration)
        acceleration = parameters.integer("acceleration", -(1 << 31), (1 << 31) - 1, 1)
        parameters.close()
        return cls(acceleration, nbytes)

    @property
    def configuration(self) -> dict[str, Any]:
        """The acceleration."""
        return {"acceleration": self.acceleration}

    def encode(self, data: Buffer) -> Buffer:
        """The size and one block."""
        if len(data) > _LZ4_MAX_NBYTES:
            raise CodecError(
                f"codec 'lz4' cannot encode {len(data)} bytes at once, at most {_LZ4_MAX_NBYTES}",
                hint="Choose smaller chunks or another codec",
            )
        encoded: bytes = lz4.compress(data, self.acceleration)
        return encoded

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Decodes the block, whose size is checked first."""
        if len(data) < _LZ4_PREFIX:
            raise CodecError(f"codec 'lz4': {len(data)} bytes are too few for a size")
        nbytes = int.from_bytes(data[:_LZ4_PREFIX], "little")
        if self._nbytes is None:
            check_limit(self.name, self._limit, nbytes)
        elif nbytes != self._nbytes:
            self._refuse_long_prefix(data)
            check_size(self.name, self._nbytes, nbytes)
        if not nbytes:
            return b"" if out is None else out
        try:
            decoded: Buffer = lz4.decompress(data, out)
        except (RuntimeError, ValueError):
            self._refuse_long_prefix(data)
            raise
        return decoded

    def _refuse_long_prefix(self, data: Buffer) -> None:
        sizes = (int.from_bytes(data[:8], "little"), int.from_bytes(data[:8], "big"))
        if self._nbytes in sizes:
            raise CodecError(
                "codec 'lz4': the chunk starts with its size in 8 bytes, not in 4",
                hint="ExZarr up to 1.1 wrote it; rewrite the array with ExZarr 1.2 or later",
            )


@final
class Bz2Codec:
    """A bzip2 stream.

    Example:
        >>> codec = Bz2Codec.from_config({"level": 9}, nbytes=5, itemsize=1)
        >>> bytes(codec.encode(b"hello"))[:4]
        b'BZh9'
    """

    name: ClassVar[str] = "numcodecs.bz2"
    kind: ClassVar[Literal["bytes-bytes"]] = "bytes-bytes"
    encoded_nbytes: int | None = None

    def __init__(self, level: int, nbytes: int | None) -> None:
        self.level = level
        self._nbytes = nbytes
        self._limit = limit()

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec."""
        del itemsize
        parameters = Parameters(cls.name, configuration)
        level = parameters.integer("level", 1, 9, 1)
        parameters.close()
        return cls(level, nbytes)

    @property
    def configuration(self) -> dict[str, Any]:
        """The level."""
        return {"level": self.level}

    def encode(self, data: Buffer) -> Buffer:
        """One stream."""
        return bz2.compress(data, self.level)

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Decodes all streams."""
        return _decompress(self.name, bz2.BZ2Decompressor, data, out, self._nbytes, self._limit)


@final
class LzmaCodec:
    """An xz stream, or one of the other forms of the `lzma` module.

    Example:
        >>> codec = LzmaCodec.from_config({}, nbytes=5, itemsize=1)
        >>> bytes(codec.encode(b"hello"))[1:5]
        b'7zXZ'
    """

    name: ClassVar[str] = "numcodecs.lzma"
    kind: ClassVar[Literal["bytes-bytes"]] = "bytes-bytes"
    encoded_nbytes: int | None = None

    def __init__(
        self,
        form: int,
        check: int,
        preset: int | None,
        filters: list[dict[str, Any]] | None,
        nbytes: int | None,
    ) -> None:
        self.form = form
        self.check = check
        self.preset = preset
        self.filters = filters
        self._nbytes = nbytes
        self._limit = limit()

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec; the numbers are the constants of the `lzma` module.

        Raises:
            MetadataError: The parameters do not go together.
        """
        del itemsize
        parameters = Parameters(cls.name, configuration)
        form = parameters.integer("format", lzma.FORMAT_XZ, lzma.FORMAT_RAW, lzma.FORMAT_XZ)
        check = parameters.integer("check", -1, 15, -1)
        preset = parameters.take("preset", None)
        if preset is not None and (type(preset) is not int or preset < 0):
            raise parameters.fail("preset", preset, "a whole number or null")
        filters = parameters.take("filters", None)
        parameters.close()
        codec = cls(form, check, preset, filters, nbytes)
        try:
            codec.encode(b"")
        except (lzma.LZMAError, ValueError, TypeError) as error:
            msg = f"codec {cls.name!r}: bad parameters {dict(configuration)!r:.120}: {error}"
            raise MetadataError(msg) from error
        return codec

    @property
    def configuration(self) -> dict[str, Any]:
        """All four parameters."""
        return {
            "format": self.form,
            "check": self.check,
            "preset": self.preset,
            "filters": self.filters,
        }

    def encode(self, data: Buffer) -> Buffer:
        """One stream."""
        return lzma.compress(data, self.form, self.check, self.preset, self.filters)

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Decodes all streams."""
        return _decompress(self.name, self._open, data, out, self._nbytes, self._limit)

    def _open(self) -> lzma.LZMADecompressor:
        if self.form == lzma.FORMAT_RAW:
            return lzma.LZMADecompressor(self.form, filters=self.filters)
        # the header names the size of the dictionary, which is taken at once
        return lzma.LZMADecompressor(self.form, memlimit=max(self._limit, _MEMORY_OF_PRESET_9))


def _decompress(
    name: str,
    open_stream: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor],
    data: Buffer,
    out: memoryview | None,
    nbytes: int | None,
    most: int,
) -> Buffer:
    """Decodes one stream after the other, and never more than is expected by more than a byte."""
    room = most if nbytes is None else nbytes
    parts: list[bytes] = []
    size = 0
    rest: Buffer = data
    while True:
        stream = open_stream()
        # a decompressor may return less than it could: ask until it has nothing more to give
        part = stream.decompress(rest, room + 1 - size)
        while part:
            parts.append(part)
            size += len(part)
            if size > room or stream.eof:
                break
            part = stream.decompress(b"", room + 1 - size)
        if size > room or not stream.eof or not stream.unused_data:
            break
        rest = stream.unused_data
    if nbytes is None:
        check_limit(name, most, size)
    elif size > nbytes:
        raise CodecError(f"codec {name!r}: expected {nbytes} decoded bytes, got more")
    if not stream.eof:
        raise CodecError(f"codec {name!r}: the stream is truncated after {size} decoded bytes")
    if nbytes is not None:
        check_size(name, nbytes, size)
    return deliver(name, parts[0] if len(parts) == 1 else b"".join(parts), out)
