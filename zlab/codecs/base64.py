"""`numcodecs.base64`: bytes as text.

Source: numcodecs, module `base64`; RFC 4648.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, ClassVar, final

from zlab.codecs.bytewise import BytewiseCodec
from zlab.codecs.sizes import check_size, deliver

if TYPE_CHECKING:
    from zlab.memory import Buffer


@final
class Base64Codec(BytewiseCodec):
    """The standard alphabet, padded.

    Example:
        >>> codec = Base64Codec.from_config({}, nbytes=2, itemsize=1)
        >>> bytes(codec.encode(b"hi"))
        b'aGk='
    """

    name: ClassVar[str] = "numcodecs.base64"

    def __init__(self, nbytes: int | None) -> None:
        super().__init__(nbytes)
        self.encoded_nbytes = None if nbytes is None else -(-nbytes // 3) * 4

    def encode(self, data: Buffer) -> Buffer:
        """Text, four characters for three bytes."""
        return base64.b64encode(data)

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Bytes; a character that is not of the alphabet is an error."""
        decoded = base64.b64decode(data, validate=True)
        if self._nbytes is not None:
            check_size(self.name, self._nbytes, len(decoded))
        return deliver(self.name, decoded, out)
