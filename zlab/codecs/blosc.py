"""The `blosc` codec, on numcodecs' Blosc 1.

Source: Zarr v3 specification, "Blosc codec"; c-blosc's README_CHUNK_FORMAT for the header.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

from zlab.codecs.native import blosc
from zlab.codecs.parameters import Parameters
from zlab.codecs.sizes import check_limit, check_size, limit
from zlab.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.memory import Buffer

# chunks are decoded by as many threads as there are cores already; and only Blosc's context
# functions, which this selects, may run in several threads at once
blosc.use_threads = False

_NAMES = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")
_SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")
_HEADER = struct.Struct("<BBBBIII")
_MAX_NBYTES = 0x7FFFFFFF - 16


@final
class BloscCodec:
    """Blosc: a shuffle of bytes or bits, then one of its compressors, by blocks.

    Example:
        >>> codec = BloscCodec.from_config({"cname": "lz4", "shuffle": "noshuffle"}, 5, 1)
        >>> bytes(codec.decode(codec.encode(b"hello")))
        b'hello'
    """

    name: ClassVar[str] = "blosc"
    kind: ClassVar[Literal["bytes-bytes"]] = "bytes-bytes"
    encoded_nbytes: int | None = None

    def __init__(
        self,
        cname: str,
        clevel: int,
        shuffle: str,
        typesize: int,
        blocksize: int,
        nbytes: int | None,
    ) -> None:
        self.cname = cname
        self.clevel = clevel
        self.shuffle = shuffle
        self.typesize = typesize
        self.blocksize = blocksize
        self._cname = cname.encode()
        self._shuffle = _SHUFFLES.index(shuffle)
        self._nbytes = nbytes
        self._limit = limit()

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec.

        The numbers that v2 and numcodecs write for `shuffle` are read too; a missing `typesize`
        is the size of an element.
        """
        parameters = Parameters(cls.name, configuration)
        cname = parameters.choice("cname", _NAMES, "lz4")
        clevel = parameters.integer("clevel", 0, 9, 5)
        automatic = "bitshuffle" if itemsize == 1 else "shuffle"
        shuffle = parameters.take("shuffle", "shuffle")
        if isinstance(shuffle, int) and not isinstance(shuffle, bool) and -1 <= shuffle <= 2:  # noqa: PLR2004
            shuffle = automatic if shuffle == -1 else _SHUFFLES[shuffle]
        if shuffle not in _SHUFFLES:
            raise parameters.fail("shuffle", shuffle, f"one of {list(_SHUFFLES)}")
        typesize = parameters.take("typesize", None)
        if typesize is None:
            typesize = min(itemsize, blosc.MAX_TYPESIZE)
        elif type(typesize) is not int or typesize < 1:
            raise parameters.fail("typesize", typesize, "a whole number of at least 1")
        blocksize = parameters.integer("blocksize", 0, _MAX_NBYTES, 0)
        parameters.close()
        return cls(cname, clevel, shuffle, typesize, blocksize, nbytes)

    @property
    def configuration(self) -> dict[str, Any]:
        """All five parameters."""
        return {
            "cname": self.cname,
            "clevel": self.clevel,
            "shuffle": self.shuffle,
            "typesize": self.typesize,
            "blocksize": self.blocksize,
        }

    def encode(self, data: Buffer) -> Buffer:
        """One Blosc buffer."""
        if len(data) > _MAX_NBYTES:
            raise CodecError(
                f"codec 'blosc' cannot encode {len(data)} bytes at once, at most {_MAX_NBYTES}",
                hint="Choose smaller chunks or another codec",
            )
        encoded: bytes = blosc.compress(
            data, self._cname, self.clevel, self._shuffle, self.blocksize, self.typesize
        )
        return encoded

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Decodes one buffer; its header is checked first, since Blosc trusts it."""
        if len(data) < _HEADER.size:
            raise CodecError(f"codec 'blosc': {len(data)} bytes are too few for a header")
        _, _, _, typesize, nbytes, blocksize, cbytes = _HEADER.unpack_from(data)
        if self._nbytes is None:
            check_limit(self.name, self._limit, nbytes)
        else:
            check_size(self.name, self._nbytes, nbytes)
        if not nbytes:
            return b"" if out is None else out
        if cbytes != len(data) or not typesize or blocksize > nbytes:
            raise CodecError(
                f"codec 'blosc': the header states {cbytes} bytes in blocks of {blocksize}, "
                f"but there are {len(data)}"
            )
        decoded: Buffer = blosc.decompress(data, out)
        return decoded
