"""The handle on a group, and the doors that open and create either kind of node."""

from zlab.group.doors import (
    consolidate_metadata,
    create_group,
    create_hierarchy,
    open,  # noqa: A004  zarr names it so
    open_array,
    open_group,
)
from zlab.group.group import Group

__all__ = [
    "Group",
    "consolidate_metadata",
    "create_group",
    "create_hierarchy",
    "open",
    "open_array",
    "open_group",
]
