"""The `gzip` codec and v2's `zlib`: DEFLATE with one wrapper or the other.

Decoding runs on ISA-L, which is about twice as fast as zlib. Its levels are other ones than those
that documents record, so encoding runs on zlib at the recorded level.

Source: Zarr v3 specification, "Gzip codec"; RFC 1950 and RFC 1952.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, ClassVar, final

from zlab.codecs.bytewise import LevelCodec
from zlab.codecs.sizes import check_limit, check_size, deliver
from zlab.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable

    from zlab.memory import Buffer

_decompressor: Callable[..., Any]
try:
    from isal import isal_zlib
except Exception:  # noqa: BLE001  it has no wheels for some platforms, and may be broken
    _decompressor = zlib.decompressobj
else:
    _decompressor = isal_zlib.decompressobj

# -1 is zlib's own default, which v2 documents may record
_LEVELS = (-1, 9)
_ZLIB_WRAPPER = 15
_GZIP_WRAPPER = 31


@final
class GzipCodec(LevelCodec):
    """DEFLATE in gzip members, without a time stamp: the same bytes for the same chunk.

    Example:
        >>> codec = GzipCodec.from_config({"level": 5}, nbytes=5, itemsize=1)
        >>> bytes(codec.encode(b"hello"))[:2].hex()
        '1f8b'
    """

    name: ClassVar[str] = "gzip"
    levels: ClassVar[tuple[int, int, int]] = (*_LEVELS, 5)

    def encode(self, data: Buffer) -> Buffer:
        """One gzip member."""
        return zlib.compress(data, self.level, _GZIP_WRAPPER)

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Decodes all members."""
        return _inflate(self.name, data, out, _GZIP_WRAPPER, self._nbytes, self._limit)


@final
class ZlibCodec(LevelCodec):
    """DEFLATE in a zlib stream.

    Example:
        >>> codec = ZlibCodec.from_config({"level": 1}, nbytes=5, itemsize=1)
        >>> bytes(codec.encode(b"hello"))[:1].hex()
        '78'
    """

    name: ClassVar[str] = "numcodecs.zlib"
    levels: ClassVar[tuple[int, int, int]] = (*_LEVELS, 1)

    def encode(self, data: Buffer) -> Buffer:
        """One zlib stream."""
        return zlib.compress(data, self.level, _ZLIB_WRAPPER)

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Decodes the stream."""
        return _inflate(self.name, data, out, _ZLIB_WRAPPER, self._nbytes, self._limit)


def _inflate(
    name: str, data: Buffer, out: memoryview | None, wrapper: int, nbytes: int | None, most: int
) -> Buffer:
    """Decodes one stream after the other, and never more than is expected by more than a byte."""
    room = most if nbytes is None else nbytes
    stream = _decompressor(wbits=wrapper)
    decoded: bytes = stream.decompress(data, room + 1)
    rest = stream.unused_data
    if rest and wrapper == _GZIP_WRAPPER:
        parts = [decoded]
        size = len(decoded)
        # gzip files may be padded with zeros, and go on with another member
        while stream.eof and (rest := bytes(rest).lstrip(b"\0")) and size <= room:
            stream = _decompressor(wbits=wrapper)
            parts.append(stream.decompress(rest, room + 1 - size))
            size += len(parts[-1])
            rest = stream.unused_data
        decoded = b"".join(parts)
    if nbytes is None:
        check_limit(name, most, len(decoded))
    elif len(decoded) > nbytes:
        raise CodecError(f"codec {name!r}: expected {nbytes} decoded bytes, got more")
    if not stream.eof:
        raise CodecError(
            f"codec {name!r}: the stream is truncated after {len(decoded)} decoded bytes"
        )
    if nbytes is not None:
        check_size(name, nbytes, len(decoded))
    return deliver(name, decoded, out)
