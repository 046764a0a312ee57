"""From the arguments to a command, from its lines to the terminal, from errors to exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import nullcontext
from importlib.metadata import version
from typing import TYPE_CHECKING

from zlab.cli import cat, consolidate, convert, copy, demo, doctor, info, tree, verify
from zlab.errors import MissingExtraError, ZlabError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

_FAILED = 1
_INTERRUPTED = 130  # 128 + SIGINT, as shells count
_COMMANDS = (info, tree, cat, copy, convert, consolidate, verify, doctor, demo)


class _Version(argparse.Action):
    """Prints the version; reading it costs more than parsing, so it is read when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_args: object) -> None:
        print(f"zlab {version('zlab')}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    parser = argparse.ArgumentParser(
        prog="zlab", description="Zarr stores on the command line: look into them, read from them."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    parser.add_argument(
        "--progress",
        action="store_true",
        help="show on stderr, while the command runs, what is read and written",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: What stands behind the program's name; `sys.argv` by default.

    Returns:
        The exit status: 0; 1 where the command failed, with one line on stderr that says why.

    Raises:
        SystemExit: With 2 where the arguments are wrong, with 0 after `--help` and `--version`.
    """
    options = build_parser().parse_args(arguments)
    try:
        with _table() if options.progress else nullcontext():
            for line in options.run(options):
                print(_printable(line))
            sys.stdout.flush()
    except BrokenPipeError:
        # the reader (`zlab cat ... | head`) has had enough; the interpreter must not flush again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except (ZlabError, MissingExtraError) as error:
        text = " ".join(str(error).split())
        print(f"zlab: {_printable(text)}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _table() -> AbstractContextManager[None]:
    from zlab.telemetry import live_table

    return live_table()


def _printable(text: str) -> str:
    """Without what steers a terminal: names and attributes are whatever a stranger wrote."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
