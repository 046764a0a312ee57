"""What the commands that work on whole stores share: their options, and reports as JSON."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from zlab.tools.nbytes import parse_nbytes

if TYPE_CHECKING:
    from collections.abc import Iterator


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds `--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def add_memory(parser: argparse.ArgumentParser) -> None:
    """Adds `--memory`."""
    parser.add_argument(
        "--memory",
        type=_nbytes,
        metavar="SIZE",
        help="bytes that may be held, such as 500MB or 2GiB; 1 GiB by default",
    )


def add_target(parser: argparse.ArgumentParser) -> None:
    """Adds SOURCE and TARGET, and what to do where they are."""
    parser.add_argument("source", metavar="SOURCE", help="a directory, a .zip or a URL")
    parser.add_argument("target", metavar="TARGET", help="a directory, a .zip or a URL")
    parser.add_argument(
        "--path", default="", help="of the node in SOURCE; everything by default", metavar="PATH"
    )
    parser.add_argument(
        "--to", default="", help="path in TARGET; its root by default", metavar="PATH"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace everything that is at TARGET"
    )


def report_lines(report: Any, *, as_json: bool) -> Iterator[str]:
    """A report, for people or for programs."""
    if as_json:
        yield json.dumps(asdict(report), allow_nan=False)
    else:
        yield from str(report).splitlines()


def _nbytes(text: str) -> int:
    try:
        return parse_nbytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
