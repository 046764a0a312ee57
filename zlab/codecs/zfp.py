"""The `zfp` codec, and numcodecs' `zfpy` with a header of its own; both on the package zfpy.

zfp reads as many bits as its mode lets a block have, and does not look where the bytes end: they
are padded with zeros to the most that the chunk could take.

Source: the registry's page of `zfp`; zfp 1.0, sections "Compression modes" and "Header".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np
import zfpy

from zlab.codecs.bytes import SMALL_BITS
from zlab.codecs.parameters import Parameters
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array, ChunkSpec
    from zlab.memory import Buffer

_MAX_NDIM = 4
_MIN_BITS, _MAX_BITS, _MAX_PREC, _MIN_EXP = 1, 16658, 64, -1074
_MODES = ("reversible", "expert", "fixed_accuracy", "fixed_rate", "fixed_precision")
_TYPES = {
    "int32": zfpy.type_int32,
    "int64": zfpy.type_int64,
    "float32": zfpy.type_float,
    "float64": zfpy.type_double,
}
_HEADER_NBYTES = 32


@final
class ZfpCodec:
    """One zfp stream without a header.

    Integers of fewer than 32 bits and small floats go through 32-bit ones, as zfp promotes them;
    unsigned 32 and 64-bit integers as signed ones, which an encoder refuses above their range.
    """

    name: ClassVar[str] = "zfp"
    kind: ClassVar[Literal["array-bytes"]] = "array-bytes"
    encoded_nbytes: int | None = None
    in_place = False

    def __init__(self, configuration: dict[str, Any], chunk: ChunkSpec) -> None:
        self._configuration = configuration
        self._chunk = chunk
        self._native = _native(chunk.dtype)
        self._shape = chunk.shape or (1,)
        self._options = _options(configuration, len(self._shape))

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: The mode lacks its parameters, or zfp has no such chunks.
        """
        parameters = Parameters(cls.name, configuration)
        complete: dict[str, Any] = {"mode": parameters.choice("mode", _MODES)}
        match complete["mode"]:
            case "expert":
                complete["minbits"] = parameters.integer("minbits", 0, 1 << 15)
                complete["maxbits"] = parameters.integer("maxbits", 1, 1 << 15)
                complete["maxprec"] = parameters.integer("maxprec", 1, 128)
                complete["minexp"] = parameters.integer("minexp", -16495, 16272)
            case "fixed_accuracy":
                complete["tolerance"] = parameters.number("tolerance")
            case "fixed_rate":
                complete["rate"] = parameters.number("rate")
            case "fixed_precision":
                complete["precision"] = parameters.integer("precision", 1, 64)
        parameters.close()
        for key in ("tolerance", "rate"):
            if key in complete and not 0 <= complete[key] < math.inf:
                raise parameters.fail(key, complete[key], "a positive number")
        if len(chunk.shape) > _MAX_NDIM:
            msg = f"codec {cls.name!r} has at most {_MAX_NDIM} axes, not {len(chunk.shape)}"
            raise MetadataError(msg)
        return cls(complete, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """The mode and its parameters."""
        return self._configuration

    def encode(self, array: Array) -> Buffer:
        """A stream.

        Raises:
            CodecError: A value is too large for zfp, or the mode is an `expert` one that zfpy
                cannot write.
        """
        if self._options is None:
            raise CodecError(
                f"codec {self.name!r}: zfpy reads {self._configuration}, but cannot write it",
                hint="Use one of the other modes",
            )
        values = _promote(array, self._native).reshape(self._shape)
        encoded: bytes = zfpy.compress_numpy(values, write_header=False, **self._options)
        return encoded

    def decode(self, data: Buffer) -> Array:
        """Values; a stream that is cut short gives wrong ones, zfp has no checksum."""
        kind = _TYPES[self._native.name]
        if self._options is None:
            header = _header(self._shape, kind, self._configuration)
            bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
            whole = np.packbits(np.concatenate((header, bits)), bitorder="little").tobytes()
            values = zfpy.decompress_numpy(_pad(whole, self._shape))
        else:
            values = zfpy._decompress(  # noqa: SLF001  zfpy documents it for streams without header
                _pad(data, self._shape), kind, self._shape, **self._options
            )
        return _demote(values, self._chunk.dtype).reshape(self._chunk.shape)


@final
class NumcodecsZfpyCodec:
    """A zfp stream with the header that numcodecs writes."""

    name: ClassVar[str] = "numcodecs.zfpy"
    kind: ClassVar[Literal["array-bytes"]] = "array-bytes"
    encoded_nbytes: int | None = None
    in_place = False

    def __init__(self, configuration: dict[str, Any], chunk: ChunkSpec) -> None:
        self._configuration = configuration
        self._chunk = chunk
        names = {
            zfpy.mode_fixed_accuracy: "tolerance",
            zfpy.mode_fixed_rate: "rate",
            zfpy.mode_fixed_precision: "precision",
        }
        key = names[configuration["mode"]]
        self._options = {key: configuration[key]}

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: zfp has no such chunks.
        """
        parameters = Parameters(cls.name, configuration)
        modes = (zfpy.mode_fixed_accuracy, zfpy.mode_fixed_rate, zfpy.mode_fixed_precision)
        complete: dict[str, Any] = {
            "mode": parameters.choice("mode", modes, zfpy.mode_fixed_accuracy),
            "tolerance": parameters.number("tolerance", -1),
            "rate": parameters.number("rate", -1),
            "precision": parameters.integer("precision", -1, 64, -1),
        }
        # numcodecs writes it into documents, and does not read it
        parameters.take("compression_kwargs", None)
        parameters.close()
        if chunk.dtype.name not in _TYPES or not 0 < len(chunk.shape) <= _MAX_NDIM:
            msg = f"codec {cls.name!r} does not hold {len(chunk.shape)} axes of {chunk.dtype}"
            raise MetadataError(msg)
        return cls(complete, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """The mode and all its parameters."""
        return self._configuration

    def encode(self, array: Array) -> Buffer:
        """A header and a stream."""
        values = np.ascontiguousarray(array)
        encoded: bytes = zfpy.compress_numpy(values, write_header=True, **self._options)
        return encoded

    def decode(self, data: Buffer) -> Array:
        """Values, after a look at the header.

        Raises:
            CodecError: The header is of another shape or data type.
        """
        padded = _pad(data, self._chunk.shape)
        header = zfpy.header(padded)
        lengths = [header[axis] for axis in ("nw", "nz", "ny", "nx")]
        size = math.prod(length for length in lengths if length)
        if header["type"] != self._chunk.dtype.type or size != self._chunk.size:
            raise CodecError(
                f"codec {self.name!r}: the header states {lengths} of {header['type']}, expected "
                f"{self._chunk.shape} of {self._chunk.dtype}"
            )
        values: Array = zfpy.decompress_numpy(padded)
        return values.reshape(self._chunk.shape)


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type that zfp sees."""
    if dtype.name in ("float16", "bfloat16"):
        return np.dtype(np.float32)
    if dtype.kind == "f" and dtype.itemsize in (4, 8):
        return dtype
    if dtype.kind in "Mm":
        return np.dtype(np.int64)
    if dtype.kind in "iu":
        return np.dtype(np.int64 if dtype.itemsize == 8 else np.int32)  # noqa: PLR2004
    if dtype.name in ("int2", "int4", "uint2", "uint4"):
        return np.dtype(np.int32)
    msg = f"codec 'zfp' does not hold {dtype}"
    raise MetadataError(msg)


def _bits(dtype: np.dtype[Any]) -> int:
    return SMALL_BITS.get(dtype.name, 8 * dtype.itemsize)


def _is_unsigned(dtype: np.dtype[Any]) -> bool:
    return dtype.name.startswith("uint")


def _promote(array: Array, native: np.dtype[Any]) -> Array:
    dtype = array.dtype
    if native.kind == "f" or dtype.kind in "Mm" or dtype.name in ("int32", "int64"):
        return np.ascontiguousarray(array.astype(native, copy=False))
    if dtype.name in ("uint32", "uint64"):
        if array.size and int(array.max()) > np.iinfo(native).max:
            raise CodecError(f"codec 'zfp': {array.max()} does not fit in {native}")
        return np.ascontiguousarray(array.astype(native))
    bits = _bits(dtype)
    values = array.astype(np.int32)
    if _is_unsigned(dtype):
        values -= np.int32(1 << (bits - 1))
    return np.ascontiguousarray(values << np.int32(31 - bits))


def _demote(values: Array, dtype: np.dtype[Any]) -> Array:
    if values.dtype.kind == "f" or dtype.name in ("int32", "int64"):
        return values.astype(dtype, copy=False)
    if dtype.kind in "Mm":
        return values.view(dtype)
    if dtype.name in ("uint32", "uint64"):
        return np.maximum(values, 0).astype(dtype)
    bits = _bits(dtype)
    half = 1 << (bits - 1)
    demoted: Array = values >> np.int32(31 - bits)
    if _is_unsigned(dtype):
        demoted = np.clip(demoted + np.int32(half), 0, 2 * half - 1)
    else:
        demoted = np.clip(demoted, -half, half - 1)
    # ml_dtypes casts from the small NumPy types
    return demoted.astype(np.uint16 if _is_unsigned(dtype) else np.int16).astype(dtype)


def _options(configuration: Mapping[str, Any], ndim: int) -> dict[str, Any] | None:
    """The mode as zfpy's arguments; `None` for an expert mode that is none of the others."""
    match configuration["mode"]:
        case "reversible":
            return {}
        case "fixed_accuracy":
            return {"tolerance": float(configuration["tolerance"])}
        case "fixed_rate":
            return {"rate": float(configuration["rate"])}
        case "fixed_precision":
            return {"precision": configuration["precision"]}
    low, high = configuration["minbits"], configuration["maxbits"]
    precision, exponent = configuration["maxprec"], configuration["minexp"]
    if low <= _MIN_BITS and high >= _MAX_BITS:
        if exponent < _MIN_EXP and precision >= _MAX_PREC:
            return {}
        if exponent == _MIN_EXP:
            return {"precision": min(precision, _MAX_PREC)}
        if precision >= _MAX_PREC and exponent > _MIN_EXP:
            return {"tolerance": math.ldexp(1.0, exponent)}
    if low == high and precision >= _MAX_PREC and exponent <= _MIN_EXP:
        return {"rate": high / 4**ndim}
    return None


def _header(shape: tuple[int, ...], kind: int, expert: Mapping[str, Any]) -> Array:
    """The bits of a full zfp header for an expert mode, least significant first."""
    width = {1: 48, 2: 24, 3: 16, 4: 12}[len(shape)]
    meta = 0
    for length in shape:
        if length > 1 << width:
            raise CodecError(f"codec 'zfp' cannot read expert chunks of shape {shape}")
        meta = meta << width | (length - 1)
    meta = (meta << 2 | (len(shape) - 1)) << 2 | (kind - 1)
    mode = expert["minexp"] + 16495
    mode = mode << 7 | min(expert["maxprec"] - 1, 0x7F)
    mode = mode << 15 | min(expert["maxbits"] - 1, 0x7FFF)
    mode = mode << 15 | max(0, min(expert["minbits"] - 1, 0x7FFF))
    mode = mode << 12 | 0xFFF
    magic = int.from_bytes(b"zfp\x05", "little")
    number = magic | meta << 32 | mode << (32 + 52)
    nbits = 32 + 52 + 64
    header = np.frombuffer(number.to_bytes((nbits + 7) // 8, "little"), np.uint8)
    return np.unpackbits(header, count=nbits, bitorder="little")


def _pad(data: Buffer, shape: tuple[int, ...]) -> bytes:
    """The bytes with as many zeros behind them as zfp may read at most."""
    blocks = math.prod(-(-length // 4) for length in shape)
    # a 64-bit block of d axes: its exponent, and 64 bit planes with their group tests
    most = _HEADER_NBYTES + blocks * (8 + 4 ** len(shape) * 65 // 8 + 8)
    return bytes(data).ljust(most, b"\0")
