"""From a node of one version to the same node of the other, and what is lost on the way. Pure.

Values are never lost: chunks are decoded and encoded again, so a codec that the other version does
not have can be left out. What is lost is what a document says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from zlab.codecs import registry
from zlab.errors import DataTypeError, MetadataError
from zlab.metadata import ArrayMetadata, GroupMetadata, NamedConfig, v2
from zlab.metadata.fill import default_fill
from zlab.metadata.node import format_node, parse_node

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zlab.engine.layout import ArrayLayout
    from zlab.metadata import DataType, ZarrFormat

_DIMENSIONS = "_ARRAY_DIMENSIONS"

# by zarr-python's registry; the others of numcodecs have no name in v3 that a second library knows
_NUMCODECS_IN_V3 = frozenset(
    f"numcodecs.{name}"
    for name in (
        "adler32",
        "astype",
        "bz2",
        "crc32",
        "crc32c",
        "delta",
        "fixedscaleoffset",
        "fletcher32",
        "jenkins_lookup3",
        "lz4",
        "lzma",
        "packbits",
        "pcodec",
        "quantize",
        "shuffle",
        "zfpy",
        "zlib",
    )
)
_V2_NAMES = {"crc32c": "numcodecs.crc32c", "packbits": "numcodecs.packbits"}
_OF_OBJECTS = frozenset({"numcodecs.json2", "numcodecs.msgpack2"})
_IN_BOTH = frozenset(
    {"bitround", "blosc", "bytes", "categorize", "gzip", "vlen-bytes", "vlen-utf8", "zstd"}
)


@final
@dataclass(frozen=True, slots=True)
class Loss:
    """Something that a node has and the other version cannot say.

    Attributes:
        path: Of the node.
        what: What is lost, such as `"shards"` or `"codec 'zfp'"`.
        why: The reason, and what comes in its place.
        blocks: Whether the conversion cannot be made at all.
    """

    path: str
    what: str
    why: str
    blocks: bool = False

    def __str__(self) -> str:
        return f"{self.path or '/'}: {self.what}: {self.why}"


class Translation:
    """One node in the other version.

    Args:
        path: Of the node.
        target: The other version.

    Attributes:
        losses: What was lost so far.
    """

    def __init__(self, path: str, target: ZarrFormat) -> None:
        self.path = path
        self.target: ZarrFormat = target
        self.losses: list[Loss] = []

    def _lose(self, what: str, why: str, *, blocks: bool = False) -> None:
        self.losses.append(Loss(self.path, what, why, blocks))

    def group(self, metadata: GroupMetadata) -> GroupMetadata:
        """The group in the other version, not consolidated."""
        self._drop_fields(metadata.extra)
        return GroupMetadata(self.target, self._finite(metadata.attributes))

    def array(self, layout: ArrayLayout) -> ArrayMetadata | None:
        """The array in the other version, its chunks of the same shape.

        Args:
            layout: Of the array; of a sharded one, inner chunks become chunks.

        Returns:
            The metadata, or `None` where a loss blocks the conversion.
        """
        translated = self._to_v3(layout) if self.target == 3 else self._to_v2(layout)  # noqa: PLR2004  it is what is asked for
        metadata = replace(
            translated,
            zarr_format=self.target,
            attributes=self._finite(translated.attributes),
            codecs=tuple(self._codecs(layout)),
            extra={},
        )
        self._drop_fields(layout.metadata.extra)
        if any(loss.blocks for loss in self.losses):
            return None
        try:
            written = parse_node(format_node(metadata), store=layout.store.name, path=layout.path)
        except (MetadataError, DataTypeError) as error:
            self._lose("the array", error.what, blocks=True)
            return None
        if not isinstance(written, ArrayMetadata):
            return None
        return written

    def _to_v3(self, layout: ArrayLayout) -> ArrayMetadata:
        metadata = layout.metadata
        attributes = dict(metadata.attributes)
        if metadata.dimension_names is not None:
            del attributes[_DIMENSIONS]
        kind = metadata.data_type
        if kind.family == "object":
            self._lose("data type 'object'", "v3 has none for objects of Python", blocks=True)
        elif _has_sub_arrays(kind):
            self._lose(f"data type {kind.dtype}", "a field in v3 holds one element", blocks=True)
        if metadata.fill_value is None:
            self._lose("fill_value", f"null has no form in v3; it becomes {layout.fill!r}")
        return replace(
            metadata,
            attributes=attributes,
            fill_value=layout.fill,
            chunk_key_encoding=NamedConfig("default", {"separator": "/"}),
        )

    def _to_v2(self, layout: ArrayLayout) -> ArrayMetadata:
        metadata = layout.metadata
        chunks = layout.chunks.chunk_shape
        if layout.sharding is not None:
            self._lose("shards", "v2 has none; their inner chunks become chunks")
        if chunks is None:
            hint = "zlab.copy(..., chunks=) makes them equal"
            self._lose("chunk grid", f"v2 has chunks of one shape only; {hint}", blocks=True)
            chunks = ()
        data_type = metadata.data_type
        if data_type.dtype.names and not data_type.fields:
            # a pair of small floats, which v2 would take for so many bytes
            self._lose(f"data type {data_type.name!r}", "v2 has none", blocks=True)
        for transformer in metadata.storage_transformers:
            self._lose(f"storage transformer {transformer.name!r}", "v2 has none")
        fill = self._v2_fill(data_type, layout.fill)
        encoding = metadata.chunk_key_encoding
        default = "/" if encoding.name == "default" else "."
        separator = encoding.configuration.get("separator", default)
        return replace(
            metadata,
            attributes=self._with_dimensions(metadata),
            fill_value=fill,
            chunk_grid=NamedConfig("regular", {"chunk_shape": list(chunks)}),
            chunk_key_encoding=NamedConfig("v2", {"separator": separator}),
            storage_transformers=(),
        )

    def _v2_fill(self, data_type: DataType, fill: Any) -> Any:
        try:
            written = v2.canonical_fill(data_type, fill)
        except MetadataError as error:
            self._lose("fill_value", error.what, blocks=True)
            return default_fill(data_type)
        before, after = (np.asarray(value, data_type.dtype) for value in (fill, written))
        if not before.dtype.hasobject and before.tobytes() != after.tobytes():
            self._lose("fill_value", f"v2 has one NaN only; the bits of {fill!r} become its bits")
        return written

    def _with_dimensions(self, metadata: ArrayMetadata) -> dict[str, Any]:
        """The attributes with xarray's convention for dimension names."""
        attributes = dict(metadata.attributes)
        names = metadata.dimension_names
        if names is None:
            return attributes
        if None in names:
            why = "an axis without a name has no form in _ARRAY_DIMENSIONS; none is named"
            self._lose("dimension_names", why)
            return attributes
        if attributes.get(_DIMENSIONS, list(names)) != list(names):
            self._lose(f"attribute {_DIMENSIONS!r}", "the dimension names take its place")
        attributes[_DIMENSIONS] = list(names)
        return attributes

    def _codecs(self, layout: ArrayLayout) -> Iterable[NamedConfig]:
        """The codecs of a chunk that the other version has; the others are left out."""
        ndim = len(layout.metadata.shape)
        for codec in layout.chunk_pipeline((0,) * ndim).configs:
            found = self._counterpart(codec, layout)
            if found is not None:
                yield found
                continue
            self._lose(f"codec {codec.name!r}", f"v{self.target} has none; it is left out")
            if registry.get(codec.name).kind == "array-bytes":
                yield _serializer(layout.metadata.data_type)

    def _counterpart(self, codec: NamedConfig, layout: ArrayLayout) -> NamedConfig | None:
        name = codec.name
        if self.target == 3:  # noqa: PLR2004  it is what is asked for
            known = name in _IN_BOTH or name in _NUMCODECS_IN_V3 or name == "transpose"
            return codec if known else None
        if name == "transpose":
            ndim = len(layout.metadata.shape)
            reverses = list(codec.configuration["order"]) == [*range(ndim)][::-1]
            return codec if reverses else None
        if name == "bitround" and layout.dtype.name not in ("float16", "float32", "float64"):
            return None  # numcodecs rounds nothing else
        if name == "packbits" and layout.dtype != bool:
            return None  # the same
        if name in _OF_OBJECTS and layout.dtype.kind == "T":
            return None  # v2 would make objects of the texts
        if name in _V2_NAMES:
            return NamedConfig(_V2_NAMES[name])
        return codec if name in _IN_BOTH or name.startswith("numcodecs.") else None

    def _drop_fields(self, extra: Mapping[str, Any]) -> None:
        for name in extra:
            self._lose(f"field {name!r}", f"it means nothing in v{self.target}; it is left out")

    def _finite(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes as both versions can write them."""
        clean: dict[str, Any] = {}
        for name, value in attributes.items():
            clean[name] = _as_text(value)
            if clean[name] is not value:
                self._lose(
                    f"attribute {name!r}", "JSON has no NaN and no infinity; they become text"
                )
        return clean


def _has_sub_arrays(kind: DataType) -> bool:
    return kind.dtype.subdtype is not None or any(_has_sub_arrays(part) for _, part in kind.fields)


def _as_text(value: Any) -> Any:
    """The same value where it is JSON; NaN and infinities become their names."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case list():
            parts = [_as_text(part) for part in value]
            same = all(new is old for new, old in zip(parts, value, strict=True))
            return value if same else parts
        case dict():
            members = {name: _as_text(part) for name, part in value.items()}
            return value if all(members[name] is value[name] for name in value) else members
        case _:
            return value


def _serializer(data_type: DataType) -> NamedConfig:
    match data_type.family:
        case "string":
            return NamedConfig("vlen-utf8")
        case "bytes":
            return NamedConfig("vlen-bytes")
        case _:
            return NamedConfig("bytes", {"endian": "little"})
