"""`zlab verify STORE [PATH]`: every object checked, and repaired on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zlab.cli.arguments import add_store
from zlab.cli.reports import add_json, add_memory, report_lines
from zlab.errors import ZlabError
from zlab.tools.verify import verify
from zlab.tools.words import counted

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from zlab.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "verify",
        help="check every object of a store",
        description="Checks an array, or a group with everything below it, object by object. The "
        "exit status is 1 where something cannot be read.",
    )
    add_store(parser)
    parser.add_argument(
        "path", metavar="PATH", nargs="?", default="", help="of the node; the root by default"
    )
    parser.add_argument(
        "--shallow", action="store_true", help="look at sizes and headers, decode nothing"
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="remove leftovers, consolidate anew, rewrite torn shards with what is whole of them",
    )
    add_memory(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Iterator[str]:
    """The report.

    Raises:
        ZlabError: Something cannot be read.
    """
    report = verify(
        options.store,
        options.path.strip("/"),
        deep=not options.shallow,
        repair=options.repair,
        memory=options.memory,
    )
    yield from report_lines(report, as_json=options.json)
    if not report.ok:
        raise ZlabError(f"{counted(report.harmful, 'problem')} found", store=report.node)
