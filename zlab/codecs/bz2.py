"""v2's `bz2`, which zarr-python calls `numcodecs.bz2` in v3.

Source: numcodecs, module `bz2`.
"""

from __future__ import annotations

import bz2
from typing import TYPE_CHECKING, ClassVar, final

from zlab.codecs.bytewise import LevelCodec
from zlab.codecs.streams import decompress

if TYPE_CHECKING:
    from zlab.memory import Buffer


@final
class Bz2Codec(LevelCodec):
    """A bzip2 stream.

    Example:
        >>> codec = Bz2Codec.from_config({"level": 9}, nbytes=5, itemsize=1)
        >>> bytes(codec.encode(b"hello"))[:4]
        b'BZh9'
    """

    name: ClassVar[str] = "numcodecs.bz2"
    levels: ClassVar[tuple[int, int, int]] = (1, 9, 1)

    def encode(self, data: Buffer) -> Buffer:
        """One stream."""
        return bz2.compress(data, self.level)

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Decodes all streams."""
        return decompress(self.name, bz2.BZ2Decompressor, data, out, self._nbytes, self._limit)
