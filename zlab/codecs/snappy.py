"""`numcodecs.snappy`: raw Snappy blocks, as ExZarr writes them to v2 arrays; on cramjam.

Source: google/snappy, `format_description.txt`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

import cramjam

from zlab.codecs.bytewise import BytewiseCodec
from zlab.codecs.sizes import check_limit, check_size, deliver

if TYPE_CHECKING:
    from zlab.memory import Buffer


@final
class SnappyCodec(BytewiseCodec):
    """One Snappy block."""

    name: ClassVar[str] = "numcodecs.snappy"

    def encode(self, data: Buffer) -> Buffer:
        """One block."""
        return bytes(cramjam.snappy.compress_raw(bytes(data)))

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Decodes the block, whose size is checked first."""
        data = bytes(data)
        nbytes = cramjam.snappy.decompress_raw_len(data)
        if self._nbytes is None:
            check_limit(self.name, self._limit, nbytes)
        else:
            check_size(self.name, self._nbytes, nbytes)
        decoded = bytes(cramjam.snappy.decompress_raw(data))
        check_size(self.name, nbytes, len(decoded))
        return deliver(self.name, decoded, out)
