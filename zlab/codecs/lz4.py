"""v2's `lz4`, which zarr-python calls `numcodecs.lz4` in v3.

Source: numcodecs, module `lz4`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from zlab.codecs.bytewise import LevelCodec
from zlab.codecs.native import lz4
from zlab.codecs.sizes import check_limit, check_size
from zlab.errors import CodecError

if TYPE_CHECKING:
    from zlab.memory import Buffer

_PREFIX = 4
_MAX_NBYTES = 0x7E000000


@final
class Lz4Codec(LevelCodec):
    """An LZ4 block behind its decoded size in four little-endian bytes.

    Its level is an acceleration: the greater, the faster; below 1 it is LZ4's default.

    Example:
        >>> codec = Lz4Codec.from_config({}, nbytes=100, itemsize=1)
        >>> bytes(codec.encode(bytes(100)))[:4].hex()
        '64000000'
    """

    name: ClassVar[str] = "numcodecs.lz4"
    parameter: ClassVar[str] = "acceleration"
    levels: ClassVar[tuple[int, int, int]] = (-(1 << 31), (1 << 31) - 1, 1)

    def encode(self, data: Buffer) -> Buffer:
        """The size and one block."""
        if len(data) > _MAX_NBYTES:
            raise CodecError(
                f"codec 'lz4' cannot encode {len(data)} bytes at once, at most {_MAX_NBYTES}",
                hint="Choose smaller chunks or another codec",
            )
        encoded: bytes = lz4.compress(data, self.level)
        return encoded

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Decodes the block, whose size is checked first."""
        if len(data) < _PREFIX:
            raise CodecError(f"codec 'lz4': {len(data)} bytes are too few for a size")
        nbytes = int.from_bytes(data[:_PREFIX], "little")
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
