"""`zlab cat STORE PATH [SELECTION]`: values of an array."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from zlab.array import Array
from zlab.cli.arguments import add_store, open_node, parse_selection
from zlab.config import settings
from zlab.engine.selection import parse_basic
from zlab.errors import MemoryBudgetError, NodeNotFoundError
from zlab.tools.nbytes import format_nbytes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from zlab.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "cat",
        help="print values of an array",
        description="Prints values of an array; of more than a thousand, the first and the last.",
    )
    add_store(parser)
    parser.add_argument("path", metavar="PATH", help="of the array in the store; / for its root")
    parser.add_argument(
        "selection",
        metavar="SELECTION",
        nargs="?",
        type=parse_selection,
        default=(...,),
        help="as in brackets, such as 0,:10,... (after -- where it starts with a minus)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Iterator[str]:
    """The values, as NumPy prints them."""
    array = open_node(options)
    if not isinstance(array, Array):
        raise NodeNotFoundError(
            "this is a group, not an array",
            store=array.store.name,
            key=array.path or None,
            hint="`zlab tree` shows its arrays",
        )
    needed = prod(parse_basic(options.selection, array.shape).shape) * array.itemsize
    if needed > settings.memory_budget:
        raise MemoryBudgetError(
            f"the selection has {format_nbytes(needed)}",
            needed=needed,
            budget=settings.memory_budget,
            hint="Select less, such as 0,:10,...",
        )
    yield from np.array2string(np.asarray(array[options.selection])).splitlines()
