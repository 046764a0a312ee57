"""The `n5_default` codec: blocks of N5 in its default mode.

A block states its own shape, so that those at the edge of an array may be cut short; it holds
its elements in Fortran order, big-endian.

Source: the registry's page of `n5_default`; N5 specification 4.0.0, "File-system specification".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np

from zlab.codecs.base import ChunkSpec
from zlab.codecs.parameters import Parameters
from zlab.codecs.pipeline import Pipeline
from zlab.codecs.sizes import check_limit, limit
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array
    from zlab.memory import Buffer
    from zlab.metadata.extension import NamedConfig

_MAX_LENGTH = 0xFFFFFFFF
_MAX_CODECS = 3
_DTYPES = frozenset(
    {"uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64"}
)


@final
class N5DefaultCodec:
    """One N5 block.

    Example:
        >>> import numpy as np
        >>> codecs = ["bytes", {"name": "gzip", "configuration": {"level": 1}}]
        >>> transpose = {"name": "transpose", "configuration": {"order": [0]}}
        >>> codec = N5DefaultCodec.from_config(
        ...     {"codecs": [transpose, *codecs]}, ChunkSpec((2,), np.dtype("uint8"), 0)
        ... )
        >>> bytes(codec.encode(np.array([1, 2], "uint8")))[:8].hex()
        '0000000100000002'
    """

    name: ClassVar[str] = "n5_default"
    kind: ClassVar[Literal["array-bytes"]] = "array-bytes"
    in_place = False

    def __init__(self, codecs: list[NamedConfig], inner: Pipeline) -> None:
        self.inner = inner
        self._codecs = codecs
        self._chunk = inner.chunk
        ndim = len(self._chunk.shape)
        self._header = struct.Struct(f">HH{ndim}I")
        self._limit = limit()
        size = inner.encoded_nbytes
        self.encoded_nbytes: int | None = None if size is None else size + self._header.size

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec and those in it.

        Raises:
            MetadataError: They are not a full transpose, big-endian bytes and one codec more at
                the most, or N5 has no such data type or shape.
        """
        parameters = Parameters(cls.name, configuration)
        codecs = parameters.codecs("codecs")
        parameters.close()
        if chunk.dtype.name not in _DTYPES:
            msg = f"codec {cls.name!r}: N5 has no data type {chunk.dtype}"
            raise MetadataError(msg)
        if any(length > _MAX_LENGTH for length in chunk.shape) or len(chunk.shape) > 0xFFFF:  # noqa: PLR2004
            msg = f"codec {cls.name!r}: N5 has no blocks of shape {chunk.shape}"
            raise MetadataError(msg)
        reverse = list(range(len(chunk.shape)))[::-1]
        names = [codec.name for codec in codecs]
        order = codecs[0].configuration.get("order") if codecs else None
        endian = codecs[1].configuration.get("endian") if len(codecs) > 1 else None
        if (
            names[:2] != ["transpose", "bytes"]
            or len(codecs) > _MAX_CODECS
            or order != reverse
            or (endian != "big" and chunk.dtype.itemsize > 1)
        ):
            msg = (
                f"codec {cls.name!r} must hold a transpose by {reverse}, big-endian bytes, and "
                f"one codec from bytes to bytes at most, not {names}"
            )
            raise MetadataError(msg)
        return cls(codecs, Pipeline.resolve(codecs, chunk))

    @property
    def configuration(self) -> dict[str, Any]:
        """The codecs."""
        return {"codecs": [config.format() for config in self.inner.configs]}

    def encode(self, array: Array) -> Buffer:
        """A whole block."""
        shape = self._chunk.shape
        return b"".join((self._header.pack(0, len(shape), *shape), self.inner.encode(array)))

    def decode(self, data: Buffer) -> Array:
        """The block, cut or filled up to the chunk's shape.

        Raises:
            CodecError: It is in another mode, of other dimensions, or too large.
        """
        if len(data) < self._header.size:
            raise CodecError(f"codec {self.name!r}: {len(data)} bytes are too few for the header")
        mode, ndim, *lengths = self._header.unpack_from(data)
        if mode or ndim != len(lengths):
            raise CodecError(
                f"codec {self.name!r}: the block has mode {mode} and {ndim} dimensions, "
                f"expected mode 0 and {len(lengths)}"
            )
        chunk = self._chunk
        shape = tuple(lengths)
        body = memoryview(data)[self._header.size :]
        if shape == chunk.shape:
            block = np.empty(shape, chunk.dtype)
            self.inner.decode(body, block)
            return block
        own = ChunkSpec(shape, chunk.dtype, chunk.fill_value)
        check_limit(self.name, max(self._limit, chunk.nbytes), own.nbytes)
        block = np.empty(shape, chunk.dtype)
        Pipeline.resolve(self._codecs, own).decode(body, block)
        out = np.full(chunk.shape, 0 if chunk.fill_value is None else chunk.fill_value, chunk.dtype)
        both = tuple(slice(min(a, b)) for a, b in zip(shape, chunk.shape, strict=True))
        out[both] = block[both]
        return out
