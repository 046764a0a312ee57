"""What each codec of a pipeline does, in a few words for the details panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zlab.codecs import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from zlab.metadata import NamedConfig


def describe_codecs(codecs: Iterable[NamedConfig]) -> list[dict[str, Any]]:
    """The codecs of an array that was opened, in the order of encoding, as the wire has them."""
    return [
        {
            "name": codec.name,
            "kind": registry.get(codec.name).kind,
            "configuration": dict(codec.configuration),
            "summary": summarise(codec.name, codec.configuration),
        }
        for codec in codecs
    ]


def summarise(name: str, configuration: Mapping[str, Any]) -> str:
    """What a codec does; of one that is not known here, its configuration.

    Example:
        >>> summarise("zstd", {"level": 5, "checksum": True})
        'Zstandard, level 5, with checksum'
    """
    summary = _SUMMARIES.get(name.removeprefix("numcodecs."))
    if summary is not None:
        return summary(configuration)
    values = ", ".join(f"{key} {value}" for key, value in configuration.items())
    return values[:_MAX_LENGTH] or name


def _bytes(configuration: Mapping[str, Any]) -> str:
    endian = configuration.get("endian")
    return f"{endian}-endian bytes" if endian else "bytes as they are"


def _transpose(configuration: Mapping[str, Any]) -> str:
    order = configuration.get("order")
    return f"axes in the order {_joined(order, ', ')}"


def _sharding(configuration: Mapping[str, Any]) -> str:
    shape = _joined(configuration.get("chunk_shape"), " x ")
    inner = _names(configuration.get("codecs"))
    index = _names(configuration.get("index_codecs"))
    where = configuration.get("index_location", "end")
    return f"shards of chunks of {shape}, each by {inner}; index at the {where}, by {index}"


def _blosc(configuration: Mapping[str, Any]) -> str:
    shuffle = configuration.get("shuffle")
    shuffled = "" if shuffle in (None, "noshuffle") else f", {shuffle}"
    inner = configuration.get("cname", "blosc")
    return f"Blosc with {inner}, level {configuration.get('clevel')}{shuffled}"


def _zstd(configuration: Mapping[str, Any]) -> str:
    checksum = ", with checksum" if configuration.get("checksum") else ""
    return f"Zstandard{_level(configuration)}{checksum}"


def _delta(configuration: Mapping[str, Any]) -> str:
    return f"differences between neighbours, as {configuration.get('dtype')}"


def _shuffle(configuration: Mapping[str, Any]) -> str:
    return f"bytes sorted by their place in elements of {configuration.get('elementsize')}"


def _compressor(title: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda configuration: f"{title}{_level(configuration)}"


def _level(configuration: Mapping[str, Any]) -> str:
    level = configuration.get("level")
    return "" if level is None else f", level {level}"


def _joined(values: object, separator: str) -> str:
    return separator.join(map(str, values)) if isinstance(values, list | tuple) else str(values)


def _names(codecs: object) -> str:
    names = [
        codec["name"] if isinstance(codec, dict) else str(codec)
        for codec in (codecs if isinstance(codecs, list | tuple) else ())
    ]
    return ", ".join(names)


_MAX_LENGTH = 200

_SUMMARIES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "blosc": _blosc,
    "bytes": _bytes,
    "bz2": _compressor("bzip2"),
    "crc32c": lambda _: "CRC-32C checksum, verified at each read",
    "delta": _delta,
    "gzip": _compressor("gzip"),
    "lz4": lambda configuration: f"LZ4, acceleration {configuration.get('acceleration', 1)}",
    "lzma": lambda _: "LZMA",
    "sharding_indexed": _sharding,
    "shuffle": _shuffle,
    "transpose": _transpose,
    "zlib": _compressor("zlib"),
    "zstd": _zstd,
}
