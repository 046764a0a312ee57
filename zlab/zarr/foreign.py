"""Codecs of zarr-python as codecs of zlab's, for what only zarr-python has.

They are registered under a name of their own, `zarr:<name>`, so that what zlab by itself can read
does not depend on what was read before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec
from zarr.buffer.cpu import Buffer as CpuBuffer
from zarr.buffer.cpu import NDBuffer, buffer_prototype
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.dtype import get_data_type_from_native_dtype
from zarr.core.sync import sync
from zarr.registry import get_codec_class

from zlab.codecs import registry
from zlab.codecs.base import ChunkSpec
from zlab.errors import CodecError, UnknownCodecError
from zlab.metadata import NamedConfig
from zlab.zarr.buffers import bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from zarr.abc.codec import Codec

    from zlab.codecs.base import Array
    from zlab.memory import Buffer

PREFIX = "zarr:"
_SHARDING = "sharding_indexed"


def with_foreign(
    codecs: Iterable[NamedConfig], found: Callable[[str], None]
) -> tuple[NamedConfig, ...]:
    """The codecs, with those that zlab has not replaced by zarr-python's.

    Args:
        codecs: As a document names them.
        found: Told the name of each that was replaced.

    Raises:
        UnknownCodecError: Neither library has one of them.
    """
    return tuple(_known(codec, found) for codec in codecs)


def _known(codec: NamedConfig, found: Callable[[str], None]) -> NamedConfig:
    configuration = codec.configuration
    if codec.name == _SHARDING:
        inner = {
            part: [
                _known(NamedConfig.parse(item, part), found).format()
                for item in configuration[part]
            ]
            for part in ("codecs", "index_codecs")
            if part in configuration
        }
        return NamedConfig(codec.name, {**configuration, **inner})
    try:
        registry.get(codec.name)
    except UnknownCodecError as error:
        name = _register(codec.name)
        if name is None:
            raise error from None
        found(codec.name)
        return NamedConfig(name, configuration)
    return codec


def _register(name: str) -> str | None:
    try:
        codec_class = get_codec_class(name)
    except KeyError:
        return None
    for kind, base in _KINDS.items():
        if issubclass(codec_class, kind):
            own = f"{PREFIX}{name}"
            if own not in registry.names():
                attributes = {"name": own, "zarr_name": name, "zarr_class": codec_class}
                registry.register(type(codec_class.__name__, (base,), attributes))
            return own
    return None


class _Foreign:
    """What the three kinds share."""

    name: ClassVar[str]
    zarr_name: ClassVar[str]
    zarr_class: ClassVar[type[Codec]]

    def __init__(self, configuration: Mapping[str, Any], spec: ArraySpec) -> None:
        self.configuration = dict(configuration)
        document: dict[str, Any] = {"name": self.zarr_name, "configuration": self.configuration}
        codec = self.zarr_class.from_dict(document)
        self._codec: Any = codec.evolve_from_array_spec(spec)
        self._spec = spec

    def _encoded(self, chunk: NDBuffer | CpuBuffer) -> Any:
        if hasattr(self._codec, "_encode_sync"):
            encoded = self._codec._encode_sync(chunk, self._spec)  # noqa: SLF001
        else:
            (encoded,) = sync(self._codec.encode([(chunk, self._spec)]))
        if encoded is None:
            raise CodecError(f"codec {self.name!r} has no bytes for a chunk")
        return encoded

    def _decoded(self, chunk: NDBuffer | CpuBuffer) -> Any:
        if hasattr(self._codec, "_decode_sync"):
            return self._codec._decode_sync(chunk, self._spec)  # noqa: SLF001
        (decoded,) = sync(self._codec.decode([(chunk, self._spec)]))
        return decoded


class _ForeignArrayArray(_Foreign):
    kind: ClassVar[Literal["array-array"]] = "array-array"

    def __init__(self, configuration: Mapping[str, Any], spec: ArraySpec) -> None:
        super().__init__(configuration, spec)
        encoded = self._codec.resolve_metadata(spec)
        dtype = encoded.dtype.to_native_dtype()
        self.encoded = ChunkSpec(encoded.shape, dtype.newbyteorder("="), encoded.fill_value)

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        return cls(configuration, _spec_of(chunk))

    def encode(self, array: Array) -> Array:
        encoded = self._encoded(NDBuffer.from_numpy_array(array))
        return np.asarray(encoded.as_numpy_array(), self.encoded.dtype)

    def decode(self, array: Array) -> Array:
        return np.asarray(self._decoded(NDBuffer.from_numpy_array(array)).as_numpy_array())

    def encoded_view(self, out: Array) -> None:
        """None: what it does to values is not known."""
        del out


class _ForeignArrayBytes(_Foreign):
    kind: ClassVar[Literal["array-bytes"]] = "array-bytes"
    encoded_nbytes: int | None = None
    in_place = False

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        return cls(configuration, _spec_of(chunk))

    def encode(self, array: Array) -> Buffer:
        return bytes_of(self._encoded(NDBuffer.from_numpy_array(array)))

    def decode(self, data: Buffer) -> Array:
        decoded = self._decoded(CpuBuffer.from_bytes(data)).as_numpy_array()
        return np.asarray(decoded).reshape(self._spec.shape)


class _ForeignBytesBytes(_Foreign):
    kind: ClassVar[Literal["bytes-bytes"]] = "bytes-bytes"
    encoded_nbytes: int | None = None

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        item = np.dtype(f"u{itemsize}" if itemsize in (1, 2, 4, 8) else f"V{itemsize}")
        count = 1 if nbytes is None else nbytes // item.itemsize
        return cls(configuration, _spec_of(ChunkSpec((count,), item, None)))

    def encode(self, data: Buffer) -> Buffer:
        return bytes_of(self._encoded(CpuBuffer.from_bytes(data)))

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        decoded = bytes_of(self._decoded(CpuBuffer.from_bytes(data)))
        if out is None:
            return decoded
        if len(decoded) != len(out):
            raise CodecError(
                f"codec {self.name!r}: {len(decoded)} bytes where the chunk has {len(out)}"
            )
        out[:] = decoded
        return out


_KINDS: dict[type[Codec], type[_Foreign]] = {
    ArrayArrayCodec: _ForeignArrayArray,
    ArrayBytesCodec: _ForeignArrayBytes,
    BytesBytesCodec: _ForeignBytesBytes,
}


def _spec_of(chunk: ChunkSpec) -> ArraySpec:
    dtype = get_data_type_from_native_dtype(chunk.dtype)
    fill = dtype.default_scalar() if chunk.fill_value is None else chunk.fill_value
    return ArraySpec(chunk.shape, dtype, fill, ArrayConfig.from_dict({}), buffer_prototype)
