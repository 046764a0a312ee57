"""`zlab consolidate STORE [PATH]`: the documents of a whole group in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zlab import group
from zlab.cli.arguments import add_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from zlab.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "consolidate",
        help="write or remove consolidated metadata",
        description="Writes the documents of all nodes below a group into one, which is then read "
        "at once. After a change of a node it has to be written anew.",
    )
    add_store(parser)
    parser.add_argument(
        "path", metavar="PATH", nargs="?", default="", help="of the group; the root by default"
    )
    parser.add_argument("--remove", action="store_true", help="remove them instead")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Iterator[str]:
    """What was done."""
    with group.open_group(
        options.store, mode="r+", path=options.path.strip("/"), consolidated=False
    ) as root:
        place = f"{root.store.name}/{root.path}".rstrip("/")
        if options.remove:
            root.remove_consolidated()
            yield f"{place}: no consolidated metadata any more"
        else:
            root.consolidate()
            yield f"{place}: consolidated"
