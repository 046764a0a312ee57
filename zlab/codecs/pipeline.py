"""A chain of codecs, resolved once for one chunk shape and data type.

Encoding runs the codecs in the document's order: array to array, array to bytes, bytes to bytes.
Decoding runs them backwards, and the last step writes straight into the output where the output's
memory, seen through the array-to-array codecs, lies as the bytes do.

Source: Zarr v3 core specification, section "Codecs".
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self, cast, final

import numpy as np

from zlab.codecs import registry
from zlab.config import settings
from zlab.errors import CodecError, MetadataError, ZlabError
from zlab.metadata.extension import NamedConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zlab.codecs.base import (
        Array,
        ArrayArrayCodec,
        ArrayBytesCodec,
        BytesBytesCodec,
        ChunkSpec,
    )
    from zlab.codecs.sharding import ShardingCodec
    from zlab.memory import Buffer

_SHARDING = "sharding_indexed"

# a decoder takes longer to look at an output than a chunk of this many bytes takes to copy
_COPIED_NBYTES = 32 << 10

# decoded bytes, and chunks, of a batch: enough that threads seldom wait for each other where a
# codec decodes them at one go, few enough to stay in a core's cache until they are placed
_BATCH_NBYTES = 256 << 10
_BATCH_LENGTH = 64


@final
class Pipeline:
    """The codecs of one array.

    Attributes:
        chunk: What is encoded and decoded.
        array_codecs: The array-to-array codecs, in the order of encoding.
        serializer: The array-to-bytes codec.
        bytes_codecs: The bytes-to-bytes codecs, in the order of encoding.
        encoded_nbytes: Bytes of every encoded chunk, or `None` where that depends on the values.
        label: The names of the codecs, for people.
        sharding: The sharding codec, where it stands alone, so that an inner chunk can be read
            by its range of bytes.
        batch_length: Chunks that should be fetched, and then decoded, together.

    Example:
        >>> import numpy as np
        >>> from zlab.codecs.base import ChunkSpec
        >>> from zlab.metadata import NamedConfig
        >>> codecs = [NamedConfig("bytes", {"endian": "little"}), NamedConfig("zstd", {"level": 3})]
        >>> pipeline = Pipeline.resolve(codecs, ChunkSpec((4,), np.dtype("int16"), 0))
        >>> out = np.empty(4, "int16")
        >>> pipeline.decode(pipeline.encode(np.arange(4, dtype="int16")), out)
        >>> out.tolist()
        [0, 1, 2, 3]
    """

    def __init__(
        self,
        chunk: ChunkSpec,
        array_codecs: Sequence[ArrayArrayCodec],
        serializer: ArrayBytesCodec,
        bytes_codecs: Sequence[BytesBytesCodec],
    ) -> None:
        self.chunk = chunk
        self.array_codecs = tuple(array_codecs)
        self.serializer = serializer
        self.bytes_codecs = tuple(bytes_codecs)
        codecs = (*self.array_codecs, serializer, *self.bytes_codecs)
        self.label = " ".join([codec.name for codec in codecs])
        last = self.bytes_codecs[-1] if self.bytes_codecs else serializer
        self.encoded_nbytes: int | None = last.encoded_nbytes
        alone = not self.array_codecs and not self.bytes_codecs
        self.sharding: ShardingCodec | None = (
            cast("ShardingCodec", serializer) if alone and serializer.name == _SHARDING else None
        )
        # what the chunk loop needs, in the order of decoding
        self._decoders = self.bytes_codecs[::-1]
        self._first_decoders = self._decoders[:-1]
        direct = serializer.in_place and chunk.nbytes > _COPIED_NBYTES
        self._final = self._decoders[-1] if direct and self._decoders else None
        self._undo = self.array_codecs[::-1]
        self._decode_into = getattr(serializer, "decode_into", None)
        self._decode_many: Callable[[Sequence[Buffer]], Sequence[Buffer] | None] | None = None
        if len(self._decoders) == 1 and chunk.nbytes:
            self._decode_many = getattr(self._decoders[0], "decode_many", None)
        self.batch_length = max(1, min(_BATCH_LENGTH, _BATCH_NBYTES // max(chunk.nbytes, 1)))
        self._largest = max(chunk.nbytes, *(codec.encoded.nbytes for codec in self.array_codecs), 0)
        # where shards stand alone, their inner chunks are looked at one by one
        self._too_large = self.sharding is None and self._largest > settings.max_chunk_bytes

    @classmethod
    def resolve(cls, codecs: Sequence[NamedConfig], chunk: ChunkSpec) -> Self:
        """Makes the codecs of a metadata document.

        Args:
            codecs: In the document's order.
            chunk: The chunk that goes into the first of them.

        Raises:
            UnknownCodecError: A name is not known, or its library is missing.
            MetadataError: The order is wrong, or a configuration does not fit.
        """
        try:
            return cls._resolve(codecs, chunk)
        except RecursionError as error:
            raise MetadataError("codecs are nested too deeply") from error

    @classmethod
    def _resolve(cls, codecs: Sequence[NamedConfig], chunk: ChunkSpec) -> Self:
        kinds = [registry.get(codec.name) for codec in codecs]
        _check_order([(codec.name, kind.kind) for codec, kind in zip(codecs, kinds, strict=True)])
        array_codecs: list[ArrayArrayCodec] = []
        bytes_codecs: list[BytesBytesCodec] = []
        serializer: ArrayBytesCodec | None = None
        spec = chunk
        nbytes: int | None = None
        itemsize = 1
        for codec, kind in zip(codecs, kinds, strict=True):
            match kind.kind:
                case "array-array":
                    array_codec: ArrayArrayCodec = make_codec(kind, codec, spec)
                    spec = array_codec.encoded
                    array_codecs.append(array_codec)
                case "array-bytes":
                    serializer = make_codec(kind, codec, spec)
                    nbytes = serializer.encoded_nbytes
                    itemsize = spec.dtype.itemsize if spec.has_fixed_size else 1
                case _:
                    bytes_codec: BytesBytesCodec = make_codec(kind, codec, nbytes, itemsize)
                    nbytes = bytes_codec.encoded_nbytes
                    bytes_codecs.append(bytes_codec)
        return cls(chunk, array_codecs, cast("ArrayBytesCodec", serializer), bytes_codecs)

    @property
    def is_fixed_size(self) -> bool:
        """Whether every chunk encodes to the same number of bytes."""
        return self.encoded_nbytes is not None

    @property
    def configs(self) -> tuple[NamedConfig, ...]:
        """The codecs with all their parameters, as a metadata document records them."""
        codecs = (*self.array_codecs, self.serializer, *self.bytes_codecs)
        return tuple(NamedConfig(codec.name, codec.configuration) for codec in codecs)

    def encode(self, array: Array) -> Buffer:
        """Encodes one chunk.

        Args:
            array: Of the chunk's shape and dtype, with any strides.

        Returns:
            The bytes to store. Without a compressor they may be the array's own memory.

        Raises:
            CodecError: A codec cannot encode the values, or the array is not a chunk.
        """
        chunk = self.chunk
        if array.shape != chunk.shape or array.dtype != chunk.dtype:
            raise CodecError(
                f"a chunk is {chunk.shape} of {chunk.dtype}, not {array.shape} of {array.dtype}"
            )
        name = ""
        try:
            for array_codec in self.array_codecs:
                name = array_codec.name
                array = array_codec.encode(array)
            name = self.serializer.name
            data = self.serializer.encode(array)
            for bytes_codec in self.bytes_codecs:
                name = bytes_codec.name
                data = bytes_codec.encode(data)
        except (ZlabError, MemoryError):
            raise
        except Exception as error:
            # whatever a codec of another package raises
            raise CodecError(f"codec {name!r} cannot encode the chunk: {error}") from error
        return data

    def decode(self, data: Buffer, out: Array) -> None:
        """Decodes one chunk into `out`.

        Args:
            data: The stored bytes.
            out: Writable, of the chunk's shape and dtype, with any strides. After an error its
                values are undefined.

        Raises:
            CodecError: The bytes are corrupt, or are not as many as the chunk needs.
        """
        if self._too_large:
            self.check_limit()
        codec: Any = None
        try:
            view: Array | None = out
            for codec in self.array_codecs:
                view = codec.encoded_view(view)
                if view is None:
                    break
            last = self._final
            if last is not None and view is not None and view.flags.c_contiguous:
                for codec in self._first_decoders:
                    data = codec.decode(data)
                codec = last
                codec.decode(data, view.reshape(-1).view(np.uint8).data)
                return
            for codec in self._decoders:
                data = codec.decode(data)
            codec = self.serializer
            if view is None:
                array = codec.decode(data)
                for codec in self._undo:
                    array = codec.decode(array)
                np.copyto(out, array)
            elif self._decode_into is not None:
                self._decode_into(data, view)
            else:
                np.copyto(view, codec.decode(data))
        except (ZlabError, MemoryError):
            raise
        except Exception as error:
            # whatever a codec of another package raises
            name = getattr(codec, "name", "?")
            raise CodecError(
                f"codec {name!r} cannot decode the chunk: {error}",
                hint="The stored bytes are corrupt, or were written with other codecs",
            ) from error

    def decode_batch(self, data: Sequence[Buffer]) -> list[Array] | None:
        """Decodes small chunks at one go, into memory of their own.

        Returns:
            One array for each, or `None` where that cannot be done, or one of them is corrupt:
            then `decode`, one by one, tells which.
        """
        if self._decode_many is None or self._too_large:
            return None
        try:
            decoded = self._decode_many(data)
            if decoded is None:
                return None
            arrays = [self.serializer.decode(one) for one in decoded]
            for codec in self._undo:
                arrays = [codec.decode(array) for array in arrays]
        except CodecError:
            return None
        return arrays

    def check_limit(self) -> None:
        """Raises `CodecError` where a chunk has more bytes than the settings allow.

        `decode` does this too; whoever makes room for a chunk before that asks first.
        """
        if self._too_large and self._largest > settings.max_chunk_bytes:
            raise CodecError(
                f"a chunk has {self._largest} bytes, more than the "
                f"{settings.max_chunk_bytes} that settings.max_chunk_bytes allows",
                hint="If you trust the data, raise zlab.settings.max_chunk_bytes",
            )


def make_codec(kind: type[Any], codec: NamedConfig, *chunk: object) -> Any:
    """A codec of a class of the registry.

    Args:
        kind: The class.
        codec: Its configuration, as a document has it.
        *chunk: What its `from_config` takes besides.

    Raises:
        MetadataError: The configuration does not fit, whatever the codec raises.
    """
    try:
        return kind.from_config(codec.configuration, *chunk)
    except (ZlabError, MemoryError, RecursionError):
        raise
    except Exception as error:
        # whatever a codec of another package raises
        raise MetadataError(
            f"codec {codec.name!r} of {kind.__module__!r} cannot be made: "
            f"{type(error).__name__}: {error}"
        ) from error


def _check_order(codecs: list[tuple[str, str]]) -> None:
    """Raises `MetadataError` where the codecs cannot be chained."""
    serializers = [name for name, kind in codecs if kind == "array-bytes"]
    if len(serializers) != 1:
        have = ", ".join(map(repr, serializers)) or "none"
        raise MetadataError(
            f"exactly one codec must turn the array into bytes, and there are {len(serializers)} "
            f"({have}) among {[name for name, _ in codecs]!r:.160}",
            hint="The usual one is {'name': 'bytes', 'configuration': {'endian': 'little'}}",
        )
    ranks = {"array-array": 0, "array-bytes": 1, "bytes-bytes": 2}
    for (before, kind), (after, next_kind) in pairwise(codecs):
        if ranks[kind] > ranks[next_kind]:
            raise MetadataError(
                f"codec {after!r} ({next_kind}) cannot follow {before!r} ({kind}): array-array "
                "codecs come first, then one array-bytes codec, then bytes-bytes codecs"
            )
