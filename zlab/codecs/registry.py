"""Codec names to classes, each imported when an array first uses it.

A codec that cannot be imported fails only the arrays that need it.
"""

from __future__ import annotations

import threading
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from zlab.errors import MissingExtraError, UnknownCodecError

ENTRY_POINTS = "zlab.codecs"

_PLACES: dict[str, str] = {
    "blosc": "blosc:BloscCodec",
    "bytes": "bytes:BytesCodec",
    "crc32c": "crc32c:Crc32cCodec",
    "gzip": "deflate:GzipCodec",
    "numcodecs.bz2": "lempel_ziv:Bz2Codec",
    "numcodecs.delta": "filters:DeltaCodec",
    "numcodecs.lz4": "lempel_ziv:Lz4Codec",
    "numcodecs.lzma": "lempel_ziv:LzmaCodec",
    "numcodecs.shuffle": "shuffle:ShuffleCodec",
    "numcodecs.zlib": "deflate:ZlibCodec",
    "sharding_indexed": "sharding:ShardingCodec",
    "transpose": "transpose:TransposeCodec",
    "zstd": "zstd:ZstdCodec",
}

_ALIASES: dict[str, str] = {
    "endian": "bytes",
    "numcodecs.blosc": "blosc",
    "numcodecs.gzip": "gzip",
    "numcodecs.zstd": "zstd",
}

# what a name that zlab does not know may need: shown in the message
_KNOWN_ELSEWHERE: dict[str, str] = {}

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
    if target in _PLACES:
        module, _, attribute = _PLACES[target].partition(":")
        try:
            codec: type[Any] = getattr(import_module(f"zlab.codecs.{module}"), attribute)
        except MissingExtraError:
            raise
        except Exception as error:
            # an optional library may break in any way when it is imported
            raise UnknownCodecError(
                f"codec {name!r} cannot be loaded: {type(error).__name__}: {error}"
            ) from error
    else:
        codec = _from_entry_point(name)
    with _lock:
        return _loaded.setdefault(name, codec)


def _from_entry_point(name: str) -> type[Any]:
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        try:
            codec: type[Any] = entry.load()
        except Exception as error:
            package = entry.dist.name if entry.dist else entry.value
            raise UnknownCodecError(
                f"codec {name!r} of the package {package!r} cannot be loaded: "
                f"{type(error).__name__}: {error}"
            ) from error
        return codec
    hint = _KNOWN_ELSEWHERE.get(
        name, f"A package may bring it through the entry point group {ENTRY_POINTS!r}"
    )
    raise UnknownCodecError(f"unknown codec {name!r:.80}", hint=hint)


def names() -> list[str]:
    """All names that are known without looking at other packages, sorted."""
    return sorted({*_PLACES, *_ALIASES, *_loaded})
