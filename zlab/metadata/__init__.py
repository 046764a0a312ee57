"""The documents: v2 and v3, parsed into one version-free model."""

from zlab.metadata.datatypes import DataType, data_type_of, parse_data_type
from zlab.metadata.extension import NamedConfig
from zlab.metadata.model import ArrayMetadata, GroupMetadata, NodeMetadata, ZarrFormat

__all__ = [
    "ArrayMetadata",
    "DataType",
    "GroupMetadata",
    "NamedConfig",
    "NodeMetadata",
    "ZarrFormat",
    "data_type_of",
    "parse_data_type",
]
