"""`zlab demo DIR`: writes the demo stores."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from zlab.tools.demo import CUBE_NBYTES, NBYTES_PER_DAY, write_demo
from zlab.tools.nbytes import format_nbytes, parse_nbytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zlab.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "demo",
        help="write demo stores from real data",
        description="Writes demo stores from real data: digits.zarr, photo.zarr, climate.zarr. "
        "Stores that are there already are kept.",
    )
    parser.add_argument("directory", metavar="DIR", help="where; made where it is missing")
    parser.add_argument(
        "--size",
        type=_nbytes,
        default=CUBE_NBYTES,
        help="size of the climate cube in memory, such as 64MB (the default) or 2GiB",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace demo stores that were written with other settings",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Iterator[str]:
    """One line a store."""
    stores = write_demo(options.directory, cube_nbytes=options.size, overwrite=options.overwrite)
    for store in stores:
        yield f"{'wrote' if store.written else 'kept '} {store.path}"


def _nbytes(text: str) -> int:
    try:
        nbytes = parse_nbytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if nbytes < NBYTES_PER_DAY:
        msg = f"{text!r} is too small: one day of the cube has {format_nbytes(NBYTES_PER_DAY)}"
        raise argparse.ArgumentTypeError(msg)
    return nbytes
