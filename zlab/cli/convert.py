"""`zlab convert SOURCE TARGET`: the same in the other version of Zarr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zlab import group
from zlab.cli.reports import add_json, add_memory, add_target, report_lines
from zlab.tools.convert import convert

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from zlab.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "convert",
        help="convert between Zarr v2 and v3",
        description="Converts an array, or a group with everything below it, to the other version "
        "of Zarr, and compares a hash of the decoded chunks on both sides.",
    )
    add_target(parser)
    parser.add_argument(
        "--zarr-format", type=int, choices=(2, 3), required=True, help="the version to write"
    )
    parser.add_argument(
        "--no-strict",
        action="store_true",
        help="go on where the version cannot say something, and list what is lost",
    )
    parser.add_argument("--no-verify", action="store_true", help="do not read the result")
    add_memory(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Iterator[str]:
    """The report."""
    report = convert(
        group.open(options.source, path=options.path.strip("/")),
        options.target,
        path=options.to,
        zarr_format=options.zarr_format,
        strict=not options.no_strict,
        verify=not options.no_verify,
        overwrite=options.overwrite,
        memory=options.memory,
    )
    return report_lines(report, as_json=options.json)
