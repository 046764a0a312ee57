"""What the two versions call the same things: their documents, and where chunks lie by default.

Whoever writes documents back asks here instead of comparing numbers of versions.

Source: Zarr v2 specification; Zarr v3.1 core specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from zlab.metadata import v2, v3

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.metadata.model import NodeDocuments, ZarrFormat


@final
@dataclass(frozen=True, slots=True)
class Version:
    """One version of Zarr.

    Attributes:
        zarr_format: Its number.
        array: The file name of an array's document.
        group: That of a group's.
        attributes: That of the attributes, `None` where they stand in the node's own document.
        consolidated: That of consolidated metadata, `None` where they stand in the group's own.
        key_encoding: The name of the chunk key encoding that an array gets by default.
        separator: Between the parts of its keys.
    """

    zarr_format: ZarrFormat
    array: str
    group: str
    attributes: str | None
    consolidated: str | None
    key_encoding: str
    separator: str


VERSIONS: Mapping[ZarrFormat, Version] = {
    2: Version(2, v2.ARRAY, v2.GROUP, v2.ATTRIBUTES, v2.CONSOLIDATED, "v2", "."),
    3: Version(3, v3.DOCUMENT, v3.DOCUMENT, None, None, "default", "/"),
}
"""Each by its number."""


def format_of(documents: NodeDocuments) -> ZarrFormat:
    """The version of a node, by the documents that it has."""
    return 3 if v3.DOCUMENT in documents else 2
