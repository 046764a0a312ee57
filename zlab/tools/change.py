"""What a copy is to have otherwise: chunks, shards and compressors of an array. Pure."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import EllipsisType
from typing import TYPE_CHECKING, Literal, TypeAlias, final

from zlab.array.plan import compressors_of, sharding_of
from zlab.codecs import registry
from zlab.errors import MetadataError
from zlab.grid.auto import auto_chunks
from zlab.metadata import NamedConfig

if TYPE_CHECKING:
    from zlab.array.plan import CodecsLike
    from zlab.engine.layout import ArrayLayout
    from zlab.metadata import ArrayMetadata

Lengths: TypeAlias = int | Sequence[int] | Mapping[str, int]
"""One length for every axis, one for each, or some by dimension name; others stay as they are."""


@final
@dataclass(frozen=True, slots=True)
class Change:
    """What a user wants otherwise; `...` for what stays as it is.

    Attributes:
        chunks: The shape of a chunk.
        shards: The shape of a shard, `None` for no shards.
        compressors: Codecs on bytes, `None` for none.
    """

    chunks: Lengths | Literal["auto"] | EllipsisType
    shards: Lengths | EllipsisType | None
    compressors: CodecsLike | Literal["auto"] | EllipsisType

    @property
    def is_none(self) -> bool:
        """Whether all stays as it is."""
        return self.chunks is ... and self.shards is ... and self.compressors is ...

    def applied(self, layout: ArrayLayout) -> ArrayMetadata:
        """The metadata that an array gets.

        Raises:
            MetadataError: It cannot be changed so.
        """
        metadata, sharding = layout.metadata, layout.sharding
        codecs = layout.chunk_pipeline((0,) * len(metadata.shape)).configs
        if self.compressors is not ...:
            kept = (c for c in codecs if registry.get(c.name).kind != "bytes-bytes")
            codecs = (*kept, *compressors_of(self.compressors))
        if self.chunks is ... and self.shards is ...:  # chunks that differ in shape stay so
            if sharding is not None:
                shape = sharding.innermost.chunk.shape
                codecs = (_sharded(layout, codecs, shape, None),)
            return replace(metadata, codecs=codecs)
        chunks = layout.chunks.chunk_shape
        if isinstance(self.chunks, str):
            chunks = auto_chunks(metadata.shape, layout.dtype.itemsize)
        elif not isinstance(self.chunks, EllipsisType):
            chunks = _lengths(self.chunks, chunks, metadata, "chunks")
        if chunks is None:
            raise MetadataError(
                "the array's chunks differ in shape", hint="Give chunks= along with shards="
            )
        shards = None if sharding is None else layout.objects.chunk_shape
        if self.shards is None:
            shards = None
        elif not isinstance(self.shards, EllipsisType):
            shards = _lengths(self.shards, shards or chunks, metadata, "shards")
        if shards is not None:
            codecs = (_sharded(layout, codecs, chunks, shards),)
        grid = NamedConfig("regular", {"chunk_shape": list(shards or chunks)})
        return replace(metadata, chunk_grid=grid, codecs=codecs)


def _lengths(
    value: Lengths, before: tuple[int, ...] | None, metadata: ArrayMetadata, what: str
) -> tuple[int, ...]:
    ndim = len(metadata.shape)
    if isinstance(value, Mapping):
        if before is None:
            msg = f"{what} by name: the array's chunks differ in shape; give a length for each axis"
            raise MetadataError(msg)
        names = metadata.dimension_names or (None,) * ndim
        lengths = tuple(
            n if name is None else value.get(name, n) for name, n in zip(names, before, strict=True)
        )
    else:
        lengths = (value,) * ndim if isinstance(value, int) else tuple(value)
    if len(lengths) != ndim:
        msg = f"{what} {lengths} has {len(lengths)} lengths for {ndim} dimensions"
        raise MetadataError(msg)
    if any(n < 1 for n in lengths):
        msg = f"every length of {what} must be at least 1, got {lengths}"
        raise MetadataError(msg)
    return tuple(map(operator.index, lengths))


def _sharded(
    layout: ArrayLayout,
    codecs: tuple[NamedConfig, ...],
    chunks: tuple[int, ...],
    shards: tuple[int, ...] | None,
) -> NamedConfig:
    if layout.metadata.zarr_format == 2:  # noqa: PLR2004  it has no name for them
        raise MetadataError("Zarr v2 has no shards", hint="Convert to v3 first: zlab.convert")
    if shards is not None and any(s % c for s, c in zip(shards, chunks, strict=True)):
        raise MetadataError(
            f"shards {shards} are not multiples of chunks {chunks}",
            hint="Give both chunks= and shards=, or shards=None",
        )
    if layout.sharding is None:
        return sharding_of(codecs, chunks)
    return sharding_of(codecs, chunks, layout.sharding.configuration)
