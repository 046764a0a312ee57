"""`zlab doctor [DIR]`: what this installation can do, and what killed writers left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zlab.cli.reports import add_json, report_lines
from zlab.tools.doctor import diagnose

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from zlab.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "doctor",
        help="show versions, codecs, stores, settings and leftovers",
        description="Shows versions, codecs, stores and settings; and temporary files that killed "
        "writers left below a directory.",
    )
    parser.add_argument("directory", metavar="DIR", nargs="?", help="look for leftovers here")
    parser.add_argument(
        "--clean", action="store_true", help="remove leftovers that nobody can be using"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Iterator[str]:
    """The report."""
    return report_lines(diagnose(options.directory, clean=options.clean), as_json=options.json)
