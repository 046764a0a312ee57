"""What the commands' arguments share: a store, a node in it, a selection."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeAlias

from zlab import group

if TYPE_CHECKING:
    from types import EllipsisType

    from zlab.array import Array

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001
"""What a command adds its parser to, for which argparse has no public name."""

Selection: TypeAlias = "tuple[int | slice | EllipsisType, ...]"


def add_store(parser: argparse.ArgumentParser) -> None:
    """Adds the argument STORE."""
    parser.add_argument("store", metavar="STORE", help="a directory, a .zip or a URL")


def open_node(options: argparse.Namespace) -> Array | group.Group:
    """Opens what STORE and PATH name."""
    return group.open(options.store, path=options.path.strip("/"))


def parse_selection(text: str) -> Selection:
    """A selection as it is written in brackets, with or without them.

    Args:
        text: Whole numbers, slices and `...`, with commas between; all for the empty text.

    Raises:
        argparse.ArgumentTypeError: It is something else.

    Example:
        >>> parse_selection("0, ::2")
        (0, slice(None, None, 2))
    """
    inside = text.strip()
    if inside.startswith("[") and inside.endswith("]"):
        inside = inside[1:-1]
    if not inside.strip():
        return (...,)
    try:
        return tuple(_parse_index(part) for part in inside.removesuffix(",").split(","))
    except ValueError as error:
        msg = f"{text!r:.60} is not a selection: write it as in brackets, such as 0,:10,..."
        raise argparse.ArgumentTypeError(msg) from error


def _parse_index(text: str) -> int | slice | EllipsisType:
    stripped = text.strip()
    if stripped == "...":
        return ...
    if ":" not in stripped:
        return int(stripped)
    parts = [int(part) if part.strip() else None for part in stripped.split(":")]
    if len(parts) > 3:  # noqa: PLR2004  start, stop, step
        msg = "a slice has three parts at most"
        raise ValueError(msg)
    return slice(*parts)
