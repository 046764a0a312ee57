"""The handle on a group, and the doors that open either kind of node."""

from zlab.group.group import Group, create_group, open, open_group  # noqa: A004  zarr names it so

__all__ = ["Group", "create_group", "open", "open_group"]
