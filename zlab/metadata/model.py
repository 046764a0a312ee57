"""The model: what a node is, whatever version its documents have, in v3 terms.

Only `metadata.v2` and `metadata.v3` know how a version writes it down.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.metadata.datatypes import DataType
    from zlab.metadata.extension import NamedConfig

ZarrFormat: TypeAlias = Literal[2, 3]


@dataclass(frozen=True, slots=True, eq=False)
class ArrayMetadata:
    """An array. Two are equal whose fields are; fill values are compared bit for bit.

    Attributes:
        zarr_format: The version that its document is written in.
        shape: In elements.
        data_type: What one element is.
        chunk_grid: `regular` or another registered grid; of a sharded array, the shards' grid.
        chunk_key_encoding: How chunk coordinates become a key.
        codecs: The pipeline, in the order of encoding.
        fill_value: A scalar, or `None` where the document has none (v2 `null`).
        attributes: The user's, JSON values.
        dimension_names: One name or `None` for each axis, or `None` for no names at all.
        storage_transformers: What stands between the array's chunks and the store.
        extra: Fields that this version of zlab does not know and need not, kept as they are.
    """

    zarr_format: ZarrFormat
    shape: tuple[int, ...]
    data_type: DataType
    chunk_grid: NamedConfig
    chunk_key_encoding: NamedConfig
    codecs: tuple[NamedConfig, ...]
    fill_value: Any
    attributes: Mapping[str, Any] = field(default_factory=dict)
    dimension_names: tuple[str | None, ...] | None = None
    storage_transformers: tuple[NamedConfig, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ArrayMetadata):
            return NotImplemented
        return _is_same(self.fill_value, other.fill_value) and all(
            getattr(self, one.name) == getattr(other, one.name)
            for one in fields(self)
            if one.name != "fill_value"
        )

    # attributes are mappings, which have none
    __hash__ = None  # type: ignore[assignment]

    def with_attributes(self, attributes: Mapping[str, Any]) -> ArrayMetadata:
        """The same array with other attributes."""
        return replace(self, attributes=attributes)


def _is_same(one: Any, other: Any) -> bool:
    # not-a-number and not-a-time are not equal to themselves
    if isinstance(one, np.generic) and isinstance(other, np.generic) and not one.dtype.hasobject:
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    return bool(one == other)


@dataclass(frozen=True, slots=True)
class GroupMetadata:
    """A group.

    Attributes:
        zarr_format: The version that its document is written in.
        attributes: The user's, JSON values.
        consolidated: Documents of the nodes below, by path relative to this group, as they are
            written; `None` where the group is not consolidated.
        extra: Fields that this version of zlab does not know and need not, kept as they are.
    """

    zarr_format: ZarrFormat
    attributes: Mapping[str, Any] = field(default_factory=dict)
    consolidated: Mapping[str, NodeDocuments] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def with_attributes(self, attributes: Mapping[str, Any]) -> GroupMetadata:
        """The same group with other attributes."""
        return replace(self, attributes=attributes)


NodeMetadata: TypeAlias = ArrayMetadata | GroupMetadata
NodeDocuments: TypeAlias = "Mapping[str, Any]"
"""The parsed JSON documents of one node by file name: `zarr.json`, or `.zarray` and `.zattrs`."""
