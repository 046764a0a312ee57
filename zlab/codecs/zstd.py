"""The `zstd` codec: small chunks on `zstandard`, whose contexts are reused, others on numcodecs.

Making a context takes as long as a chunk of a few kilobytes; numcodecs makes one for each, but
decodes straight into an output.

Source: the registry's page of `zstd`; RFC 8878 for the frame header.
"""

from __future__ import annotations

import struct
import threading
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import zstandard

from zlab.codecs.bytewise import BytewiseCodec
from zlab.codecs.native import zstd
from zlab.codecs.parameters import Parameters
from zlab.codecs.sizes import check_limit, check_size, deliver
from zlab.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zlab.memory import Buffer

_MAGIC = b"\x28\xb5\x2f\xfd"
_MAGIC_NUMBER = 0xFD2FB528
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_MAX_BLOCK = 128 << 10
_LAST_REPEATED = 0b011

# up to here a context costs more than a copy of the result
_SMALL_NBYTES = 64 << 10


class _Contexts(threading.local):
    """This thread's contexts."""

    def __init__(self) -> None:
        decompressor = zstandard.ZstdDecompressor()
        self.decompress = decompressor.decompress
        # some backends of zstandard have none
        self.decompress_many = getattr(decompressor, "multi_decompress_to_buffer", None)
        self._compressors: dict[tuple[int, bool], zstandard.ZstdCompressor] = {}

    def compressor(self, level: int, *, checksum: bool) -> zstandard.ZstdCompressor:
        compressor = self._compressors.get((level, checksum))
        if compressor is None:
            compressor = self._compressors[level, checksum] = zstandard.ZstdCompressor(
                level, write_checksum=checksum
            )
        return compressor


_contexts = _Contexts()


@final
class ZstdCodec(BytewiseCodec):
    """Zstandard, with the level and the checksum flag of the document.

    Example:
        >>> codec = ZstdCodec.from_config({"level": 3}, nbytes=5, itemsize=1)
        >>> bytes(codec.decode(codec.encode(b"hello")))
        b'hello'
    """

    name: ClassVar[str] = "zstd"

    def __init__(self, level: int, nbytes: int | None, *, checksum: bool) -> None:
        super().__init__(nbytes)
        self.level = level
        self.checksum = checksum

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec; a level of 0 is Zstandard's default."""
        del itemsize
        parameters = Parameters(cls.name, configuration)
        level = parameters.integer("level", -131072, 22, 0)
        checksum = parameters.boolean("checksum", default=False)
        parameters.close()
        return cls(level, nbytes, checksum=checksum)

    @property
    def configuration(self) -> dict[str, Any]:
        """Level and checksum."""
        return {"level": self.level, "checksum": self.checksum}

    def encode(self, data: Buffer) -> Buffer:
        """One frame that records its content size."""
        if len(data) <= _SMALL_NBYTES:
            return _contexts.compressor(self.level, checksum=self.checksum).compress(data)
        encoded: bytes = zstd.compress(data, self.level, self.checksum)
        return encoded

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Decodes all frames; their sizes are read from the headers first."""
        nbytes = self._nbytes
        if nbytes is None or nbytes == 0 or _first_content_size(data) != nbytes:
            return self._decode_unusual(data, out)
        decoded: Buffer
        if nbytes > _SMALL_NBYTES:
            # more frames would make numcodecs refuse `out`, and its result too long without
            decoded = zstd.decompress(data, out)
            if out is None:
                check_size(self.name, nbytes, len(decoded))
            return decoded
        try:
            decoded = _contexts.decompress(data, allow_extra_data=False)
        except zstandard.ZstdError:
            # more frames, which may be empty; numcodecs tells what is wrong otherwise
            return self._decode_unusual(data, out)
        return deliver(self.name, decoded, out)

    def decode_many(self, data: Sequence[Buffer]) -> Sequence[Buffer] | None:
        """Decodes many small chunks without taking the interpreter's lock in between.

        Returns:
            The chunks; `None` where they are not small, or not all of them are what this library
            writes, one frame of one block.
        """
        nbytes, decompress_many = self._nbytes, _contexts.decompress_many
        if not nbytes or nbytes > _SMALL_NBYTES or decompress_many is None or not data:
            return None
        # it would not tell that bytes follow the frame
        if not all(map(_is_one_block, data)):
            return None
        try:
            decoded: Sequence[Buffer] = decompress_many(
                data, decompressed_sizes=struct.pack("Q", nbytes) * len(data), threads=1
            )
        except zstandard.ZstdError:
            return None
        return decoded

    def _decode_unusual(self, data: Buffer, out: memoryview | None) -> Buffer:
        """Several frames, or frames of unknown size, or a size that is not known beforehand."""
        most, exact = frame_sizes(data)
        expected = self._nbytes
        if expected is None:
            check_limit(self.name, self._limit, most)
            decoded: Buffer = b"" if exact and most == 0 else zstd.decompress(data)
            return deliver(self.name, decoded, out)
        if exact or most < expected:
            check_size(self.name, expected, most)
        target = memoryview(bytearray(expected)) if out is None else out
        if expected:
            # of unknown content size: numcodecs fills the whole target, or raises
            zstd.decompress(data, target)
        return target


# by the frame header's descriptor: where the content size stands, how to read it, what to add
_CONTENT_SIZE: list[tuple[int, struct.Struct, int] | None] = []
for _descriptor in range(256):
    _single_segment = _descriptor >> 5 & 1
    _at = 5 + (1 - _single_segment) + (0, 1, 2, 4)[_descriptor & 3]
    _form = (("B" if _single_segment else ""), "<H", "<I", "<Q")[_descriptor >> 6]
    _CONTENT_SIZE.append(
        (_at, struct.Struct(_form), 256 if _form == "<H" else 0) if _form else None
    )


# by the same: where the first block starts, and what follows the last one
_BLOCK_AT = [
    5 + (1 - (descriptor >> 5 & 1)) + (0, 1, 2, 4)[descriptor & 3]
    + (descriptor >> 5 & 1, 2, 4, 8)[descriptor >> 6]
    for descriptor in range(256)
]  # fmt: skip


def _is_one_block(data: Buffer) -> bool:
    """Whether the bytes are one frame of one block, and nothing behind it."""
    try:
        descriptor = data[4]
        at = _BLOCK_AT[descriptor]
        header: int = data[at] | data[at + 1] << 8 | data[at + 2] << 16
    except IndexError:
        return False
    # of a repeated byte the header states how often, and the block is that byte
    size = 1 if header & 7 == _LAST_REPEATED else header >> 3
    return header & 1 == 1 and at + 3 + size + (descriptor & 4) == len(data)


def _first_content_size(data: Buffer) -> int | None:
    """The content size that the first frame's header states, or `None`."""
    if data[:4] != _MAGIC or len(data) < 18:  # noqa: PLR2004  the longest header
        # a short one is rare enough for the slow way
        return None
    place = _CONTENT_SIZE[data[4]]
    if place is None:
        return None
    at, form, add = place
    size: int = form.unpack_from(data, at)[0] + add
    return size


def frame_sizes(data: Buffer) -> tuple[int, bool]:
    """The decoded size of all frames, without decoding.

    Returns:
        The size and `True`; or the most that it can be and `False`, where a frame does not say.

    Raises:
        CodecError: The bytes are not a sequence of whole frames.
    """
    total, exact, at = 0, True, 0
    try:
        while at < len(data):
            (magic,) = struct.unpack_from("<I", data, at)
            if magic in _SKIPPABLE:
                at += 8 + struct.unpack_from("<I", data, at + 4)[0]
                continue
            if magic != _MAGIC_NUMBER:
                raise CodecError("codec 'zstd': the bytes are not a Zstandard frame")
            descriptor = data[at + 4]
            place = _CONTENT_SIZE[descriptor]
            single_segment = descriptor >> 5 & 1
            size_bytes = (single_segment, 2, 4, 8)[descriptor >> 6]
            start = at + 5 + (1 - single_segment) + (0, 1, 2, 4)[descriptor & 3]
            most, start = _blocks(data, start + size_bytes)
            if place is None:
                exact = False
                total += most
            else:
                offset, form, add = place
                total += form.unpack_from(data, at + offset)[0] + add
            at = start + 4 * (descriptor >> 2 & 1)
    except (struct.error, IndexError) as error:
        raise CodecError("codec 'zstd': the frame is truncated") from error
    if at != len(data):
        raise CodecError("codec 'zstd': the frame is truncated")
    return total, exact


def _blocks(data: Buffer, at: int) -> tuple[int, int]:
    """The most bytes that a frame's blocks decode to, and where they end."""
    most = 0
    while True:
        header = data[at] | data[at + 1] << 8 | data[at + 2] << 16
        kind, size = header >> 1 & 3, header >> 3
        at += 3
        match kind:
            case 0:
                most += size
                at += size
            case 1:
                most += size
                at += 1
            case 2:
                most += _MAX_BLOCK
                at += size
            case _:
                raise CodecError("codec 'zstd': the frame has a block of a reserved kind")
        if header & 1:
            return most, at
