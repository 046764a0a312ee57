"""The handle on a group, and the doors that open either kind of node."""

from zlab.group.group import (
    Group,
    consolidate_metadata,
    create_group,
    open,  # noqa: A004  zarr names it so
    open_group,
)

__all__ = ["Group", "consolidate_metadata", "create_group", "open", "open_group"]
