"""v2's object codecs that write a text or a message for a whole chunk: `json2` and `msgpack2`.

The elements, the dtype and the shape stand in one list. They are read here, rather than by
numcodecs, so that a shape that is not the chunk's takes no memory.

Source: numcodecs, modules `json` and `msgpacks`.
"""

from __future__ import annotations

import json
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np

from zlab.codecs.native import JSON
from zlab.codecs.parameters import Parameters
from zlab.errors import CodecError, MetadataError, UnknownCodecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array, ChunkSpec
    from zlab.memory import Buffer


@final
class JsonCodec:
    """A JSON list.

    Example:
        >>> import numpy as np
        >>> from zlab.codecs.base import ChunkSpec
        >>> codec = JsonCodec.from_config({}, ChunkSpec((2,), np.dtype(object), None))
        >>> codec.encode(np.array(["a", 1], object))
        b'["a",1,"|O",[2]]'
    """

    name: ClassVar[str] = "numcodecs.json2"
    kind: ClassVar[Literal["array-bytes"]] = "array-bytes"
    encoded_nbytes: int | None = None
    in_place = False

    def __init__(self, codec: Any, encoding: str, chunk: ChunkSpec) -> None:
        self._codec = codec
        self._encoding = encoding
        self._chunk = chunk

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec; the parameters are those of `json.JSONEncoder`.

        Raises:
            MetadataError: There is no such parameter or encoding.
        """
        try:
            codec = JSON(**configuration)
            encoding = codec.get_config()["encoding"]
            "".encode(encoding)
        except (TypeError, ValueError, LookupError) as error:
            msg = f"codec {cls.name!r}: bad parameters {dict(configuration)!r:.120}: {error}"
            raise MetadataError(msg) from error
        return cls(codec, encoding, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """All parameters."""
        complete = dict(self._codec.get_config())
        del complete["id"]
        complete["separators"] = list(complete["separators"])
        return complete

    def encode(self, array: Array) -> Buffer:
        """Text."""
        text: bytes = self._codec.encode(_plain(array))
        return text

    def decode(self, data: Buffer) -> Array:
        """Elements.

        Raises:
            CodecError: It is no such list, or one of another shape.
        """
        return _elements(self.name, json.loads(str(data, self._encoding)), self._chunk)


@final
class MsgPackCodec:
    """A MessagePack list."""

    name: ClassVar[str] = "numcodecs.msgpack2"
    kind: ClassVar[Literal["array-bytes"]] = "array-bytes"
    encoded_nbytes: int | None = None
    in_place = False

    def __init__(
        self, library: Any, *, single: bool, binary: bool, raw: bool, chunk: ChunkSpec
    ) -> None:
        self._library = library
        self._single = single
        self._binary = binary
        self._raw = raw
        self._chunk = chunk

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            UnknownCodecError: The package msgpack is not installed.
        """
        parameters = Parameters(cls.name, configuration)
        single = parameters.boolean("use_single_float", default=False)
        binary = parameters.boolean("use_bin_type", default=True)
        raw = parameters.boolean("raw", default=False)
        parameters.close()
        try:
            import msgpack  # noqa: PLC0415  optional, and this is its one place
        except ImportError as error:
            hint = "Install it with: pip install 'zlab[codecs]'"
            raise UnknownCodecError(f"codec {cls.name!r} needs msgpack", hint=hint) from error
        return cls(msgpack, single=single, binary=binary, raw=raw, chunk=chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """All parameters."""
        return {
            "use_single_float": self._single,
            "use_bin_type": self._binary,
            "raw": self._raw,
        }

    def encode(self, array: Array) -> Buffer:
        """A message."""
        array = _plain(array)
        items = array.tolist() if array.ndim else [array.item()]
        items.extend((array.dtype.str, list(array.shape)))
        message: bytes = self._library.packb(
            items, use_bin_type=self._binary, use_single_float=self._single
        )
        return message

    def decode(self, data: Buffer) -> Array:
        """Elements.

        Raises:
            CodecError: It is no such list, or one of another shape.
        """
        return _elements(self.name, self._library.unpackb(data, raw=self._raw), self._chunk)


def _plain(array: Array) -> Array:
    """Elements of a dtype whose name numcodecs can read back."""
    return array if array.dtype.kind in "biufUO" else array.astype(object)


def _elements(name: str, items: object, chunk: ChunkSpec) -> Array:
    """The array that a list of elements, dtype and shape stands for."""
    whole = items if isinstance(items, list) else []
    shape = whole[-1] if len(whole) > 1 else None
    if not isinstance(shape, list) or not all(type(length) is int for length in shape):
        raise CodecError(f"codec {name!r}: the chunk is no list of elements, dtype and shape")
    # v2 writes chunks in the order of the array, as a list of lists or as a flat one
    if prod(shape) != chunk.size:
        raise CodecError(f"codec {name!r}: expected shape {chunk.shape}, the chunk has {shape}")
    values = whole[:-2]
    for length in shape[1:]:
        if not all(isinstance(value, list) and len(value) == length for value in values):
            raise CodecError(f"codec {name!r}: the elements are not nested as {shape}")
        values = [element for value in values for element in value]
    if len(values) != chunk.size:
        raise CodecError(f"codec {name!r}: expected {chunk.size} elements, got {len(values)}")
    elements = np.empty(chunk.size, object)
    for position, value in enumerate(values):
        elements[position] = value
    return elements.astype(chunk.dtype, copy=False).reshape(chunk.shape)
