"""`numcodecs.base64`: bytes as text.

Source: numcodecs, module `base64`; RFC 4648.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

from zlab.codecs.parameters import Parameters
from zlab.codecs.sizes import check_size, deliver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.memory import Buffer


@final
class Base64Codec:
    """The standard alphabet, padded.

    Example:
        >>> codec = Base64Codec.from_config({}, nbytes=2, itemsize=1)
        >>> bytes(codec.encode(b"hi"))
        b'aGk='
    """

    name: ClassVar[str] = "numcodecs.base64"
    kind: ClassVar[Literal["bytes-bytes"]] = "bytes-bytes"

    def __init__(self, nbytes: int | None) -> None:
        self.encoded_nbytes: int | None = None if nbytes is None else -(-nbytes // 3) * 4
        self._nbytes = nbytes

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec, which has no parameters."""
        del itemsize
        Parameters(cls.name, configuration).close()
        return cls(nbytes)

    @property
    def configuration(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def encode(self, data: Buffer) -> Buffer:
        """Text, four characters for three bytes."""
        return base64.b64encode(data)

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Bytes; a character that is not of the alphabet is an error."""
        decoded = base64.b64decode(data, validate=True)
        if self._nbytes is not None:
            check_size(self.name, self._nbytes, len(decoded))
        return deliver(self.name, decoded, out)
