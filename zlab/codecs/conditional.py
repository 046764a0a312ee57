"""The `conditional` codec: a chain of codecs that a chunk goes through only where it pays.

A bit field before the bytes says which codecs were applied: bit 0 of the first byte is the first
codec's. zlab applies all of them where the result is smaller, and none otherwise; it reads any
combination.

Source: the registry's page of `conditional`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

from zlab.codecs import registry
from zlab.codecs.parameters import Parameters
from zlab.codecs.sizes import check_limit, check_size, deliver, limit
from zlab.errors import CodecError, MetadataError
from zlab.metadata.extension import NamedConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import BytesBytesCodec
    from zlab.memory import Buffer

_BYTE = 8


@final
class ConditionalCodec:
    """Codecs that are applied or skipped, chunk by chunk.

    Example:
        >>> codec = ConditionalCodec.from_config(
        ...     {"codecs": [{"name": "zstd", "configuration": {"level": 3}}]}, 1000, 1
        ... )
        >>> bytes(codec.encode(bytes(1000)))[:1].hex()
        '01'
    """

    name: ClassVar[str] = "conditional"
    kind: ClassVar[Literal["bytes-bytes"]] = "bytes-bytes"
    encoded_nbytes: int | None = None

    def __init__(self, codecs: list[BytesBytesCodec], header_bits: int, nbytes: int | None) -> None:
        self.codecs = codecs
        self.header_bits = header_bits
        self._header_nbytes = header_bits // _BYTE
        self._nbytes = nbytes
        self._limit = limit()

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec and those in it.

        Raises:
            MetadataError: One of them is not from bytes to bytes, or the header is too short.
        """
        parameters = Parameters(cls.name, configuration)
        configs = parameters.codecs("codecs")
        least = -(-len(configs) // _BYTE) * _BYTE
        header_bits = parameters.integer("header_bits", least, 1 << 16, least)
        parameters.close()
        if header_bits % _BYTE:
            raise parameters.fail("header_bits", header_bits, "a multiple of 8")
        codecs: list[BytesBytesCodec] = []
        known = nbytes
        for config in configs:
            kind = registry.get(config.name)
            if kind.kind != "bytes-bytes":
                msg = f"codec {cls.name!r} cannot hold {config.name!r}, which is {kind.kind}"
                raise MetadataError(msg)
            codec: BytesBytesCodec = kind.from_config(config.configuration, known, itemsize)
            if codec.encoded_nbytes != known:
                # what comes next depends on whether this one was applied
                known = None
            codecs.append(codec)
        return cls(codecs, header_bits, nbytes)

    @property
    def configuration(self) -> dict[str, Any]:
        """The codecs and the header's length."""
        codecs = [NamedConfig(codec.name, codec.configuration).format() for codec in self.codecs]
        return {"codecs": codecs, "header_bits": self.header_bits}

    def encode(self, data: Buffer) -> Buffer:
        """The bytes through all codecs or, where that is not smaller, as they are."""
        encoded = data
        for codec in self.codecs:
            encoded = codec.encode(encoded)
        applied = (1 << len(self.codecs)) - 1
        if len(encoded) >= len(data):
            applied, encoded = 0, data
        return b"".join((applied.to_bytes(self._header_nbytes, "little"), encoded))

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Undoes the codecs whose bits are set.

        Raises:
            CodecError: The header is cut short, or names codecs that are not there.
        """
        if len(data) < self._header_nbytes:
            raise CodecError(f"codec {self.name!r}: {len(data)} bytes are too few for the header")
        applied = int.from_bytes(data[: self._header_nbytes], "little")
        if applied >> len(self.codecs):
            raise CodecError(
                f"codec {self.name!r}: the header {applied:#x} names more codecs than the "
                f"{len(self.codecs)} there are"
            )
        decoded: Buffer = memoryview(data)[self._header_nbytes :]
        for position in reversed(range(len(self.codecs))):
            if applied >> position & 1:
                decoded = self.codecs[position].decode(decoded)
        if self._nbytes is None:
            check_limit(self.name, self._limit, len(decoded))
        else:
            check_size(self.name, self._nbytes, len(decoded))
        return deliver(self.name, decoded, out)
