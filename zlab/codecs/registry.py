"""Codec names to classes, each imported when an array first uses it.

A codec that cannot be imported fails only the arrays that need it.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any

from zlab.errors import UnknownCodecError
from zlab.plugins import Registry

_PLACES: dict[str, str] = {
    # registered with Zarr v3
    "bitround": "bitround:BitroundCodec",
    "blosc": "blosc:BloscCodec",
    "bytes": "bytes:BytesCodec",
    "cast_value": "cast_value:CastValueCodec",
    "conditional": "conditional:ConditionalCodec",
    "crc32c": "crc32c:Crc32cCodec",
    "gzip": "deflate:GzipCodec",
    "n5_default": "n5:N5DefaultCodec",
    "packbits": "packbits:PackBitsCodec",
    "reshape": "reshape:ReshapeCodec",
    "scale_offset": "scale_offset:ScaleOffsetCodec",
    "sharding_indexed": "sharding:ShardingCodec",
    "transpose": "transpose:TransposeCodec",
    "vlen-bytes": "vlen:VLenBytesCodec",
    "vlen-utf8": "vlen:VLenUtf8Codec",
    "zfp": "zfp:ZfpCodec",
    "zstd": "zstd:ZstdCodec",
    # of numcodecs, in v2 documents and by these names in v3 ones
    "numcodecs.adler32": "checksums:Adler32Codec",
    "numcodecs.astype": "astype:AsTypeCodec",
    "numcodecs.base64": "base64:Base64Codec",
    "numcodecs.bz2": "bz2:Bz2Codec",
    "numcodecs.crc32": "checksums:Crc32Codec",
    "numcodecs.crc32c": "checksums:NumcodecsCrc32cCodec",
    "numcodecs.delta": "delta:DeltaCodec",
    "numcodecs.fixedscaleoffset": "fixed_scale_offset:FixedScaleOffsetCodec",
    "numcodecs.fletcher32": "checksums:Fletcher32Codec",
    "numcodecs.jenkins_lookup3": "checksums:JenkinsLookup3Codec",
    "numcodecs.json2": "objects:JsonCodec",
    "numcodecs.lz4": "lz4:Lz4Codec",
    "numcodecs.lzma": "lzma:LzmaCodec",
    "numcodecs.msgpack2": "objects:MsgPackCodec",
    "numcodecs.packbits": "numcodecs_packbits:NumcodecsPackBitsCodec",
    "numcodecs.pcodec": "pcodec:PcodecCodec",
    "numcodecs.quantize": "quantize:QuantizeCodec",
    "numcodecs.shuffle": "shuffle:ShuffleCodec",
    "numcodecs.snappy": "snappy:SnappyCodec",
    "numcodecs.vlen-array": "vlen:VLenArrayCodec",
    "numcodecs.zfpy": "zfp:NumcodecsZfpyCodec",
    "numcodecs.zlib": "deflate:ZlibCodec",
    # of zlab
    "categorize": "categorize:CategorizeCodec",
}

_ALIASES: dict[str, str] = {
    "endian": "bytes",
    "numcodecs.bitround": "bitround",
    "numcodecs.blosc": "blosc",
    "numcodecs.categorize": "categorize",
    "numcodecs.gzip": "gzip",
    "numcodecs.vlen-bytes": "vlen-bytes",
    "numcodecs.vlen-utf8": "vlen-utf8",
    "numcodecs.zstd": "zstd",
    # ids that ExZarr wrote into v2 documents, and names that it wrote into v3 ones
    "bz2": "numcodecs.bz2",
    "bzip2": "numcodecs.bz2",
    "lz4": "numcodecs.lz4",
    "numcodecs.bzip2": "numcodecs.bz2",
    # names of before the registry
    "zarrs.zfp": "zfp",
}

# packages of the extra `codecs`, by the codecs that need them
_PACKAGES: dict[str, str] = {
    "numcodecs.msgpack2": "msgpack",
    "numcodecs.pcodec": "pcodec",
    "numcodecs.snappy": "cramjam",
    "numcodecs.zfpy": "zfpy",
    "zfp": "zfpy",
}

_HINTS: dict[str, str] = {
    "numcodecs.pickle": (
        "Reading a pickle runs code out of the store. If you trust it: "
        "zlab.codecs.registry.register(zlab.codecs.pickle.PickleCodec)"
    ),
}

_packages: Registry[type[Any]] = Registry("codec", "zlab.codecs", type, UnknownCodecError)
_loaded: dict[str, type[Any]] = {}
_lock = threading.Lock()


def register(codec_class: type[Any], *aliases: str) -> None:
    """Adds a codec for the length of this process, under its `name` and other names.

    Args:
        codec_class: Implements one of the protocols of `zlab.codecs.base`.
        aliases: More names that documents may call it by.

    Raises:
        ValueError: A name belongs to another codec, or the class lacks `name` or `kind`.

    Example:
        >>> register(MyCodec, "my-codec.v0")  # doctest: +SKIP
    """
    name = getattr(codec_class, "name", None)
    kind = getattr(codec_class, "kind", None)
    if not isinstance(name, str) or kind not in ("array-array", "array-bytes", "bytes-bytes"):
        msg = f"{codec_class!r} must have a name and a kind to be registered as a codec"
        raise ValueError(msg)
    with _lock:
        for each in (name, *aliases):
            taken = each in _PLACES or each in _ALIASES
            if taken or _loaded.get(each, codec_class) is not codec_class:
                msg = f"the codec name {each!r} is taken"
                raise ValueError(msg)
        _loaded.update(dict.fromkeys((name, *aliases), codec_class))


def get(name: str) -> type[Any]:
    """The codec class of a name.

    Args:
        name: As it stands in a metadata document; known aliases are followed.

    Raises:
        UnknownCodecError: No codec has the name, or the package that brings it is not
            installed or cannot be imported.

    Example:
        >>> get("zstd").kind
        'bytes-bytes'
    """
    found = _loaded.get(name)
    if found is not None:
        return found
    target = _ALIASES.get(name, name)
    codec = _from_place(target) if target in _PLACES else _from_package(name)
    with _lock:
        return _loaded.setdefault(name, codec)


def _from_place(name: str) -> type[Any]:
    module, _, attribute = _PLACES[name].partition(":")
    try:
        codec: type[Any] = getattr(import_module(f"zlab.codecs.{module}"), attribute)
    except Exception as error:
        # an optional library may break in any way when it is imported
        package = _PACKAGES.get(name)
        hint = f"It needs {package}: pip install 'zlab[codecs]'" if package else None
        reason = f"{type(error).__name__}: {error}"
        raise UnknownCodecError(f"codec {name!r} cannot be loaded: {reason}", hint=hint) from error
    return codec


def _from_package(name: str) -> type[Any]:
    codec: type[Any] | None = _packages.find(name)
    if codec is None:
        hint = _HINTS.get(name, _packages.hint)
        raise UnknownCodecError(f"unknown codec {name!r:.80}", hint=hint)
    return codec


def names() -> list[str]:
    """All names that are known without looking at other packages, sorted."""
    return sorted({*_PLACES, *_ALIASES, *_loaded})
