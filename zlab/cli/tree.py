"""`zlab tree STORE`: the hierarchy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zlab import group
from zlab.array import Array
from zlab.cli.arguments import add_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from zlab.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "tree",
        help="show the groups and arrays of a store",
        description="Shows the groups and arrays of a store, one line each.",
    )
    add_store(parser)
    parser.add_argument(
        "--level", type=int, metavar="N", help="show N levels below the root; all by default"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Iterator[str]:
    """The lines of the tree."""
    root = group.open(options.store)
    if isinstance(root, Array):
        yield f"/ {root.shape} {root.dtype}"
    else:
        yield from str(root.tree(level=options.level)).splitlines()
