"""`zlab copy SOURCE TARGET`: a store, or a node of it, copied or rechunked."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from zlab import group
from zlab.cli.reports import add_json, add_memory, add_target, report_lines
from zlab.tools.copy import copy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zlab.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "copy",
        help="copy an array or group, rechunk it on the way",
        description="Copies an array, or a group with everything below it: byte for byte where "
        "nothing changes, else in boxes of whole chunks that fit into memory.",
    )
    add_target(parser)
    parser.add_argument(
        "--chunks",
        type=_lengths,
        default=...,
        metavar="N,M,...",
        help="the shape of a chunk: lengths, one for all axes, 'auto', or time=N,x=M by name",
    )
    shards = parser.add_mutually_exclusive_group()
    shards.add_argument(
        "--shards",
        type=_shard_lengths,
        default=...,
        metavar="N,M,...",
        help="the shape of a shard, in the same forms",
    )
    shards.add_argument(
        "--no-shards", action="store_const", const=None, dest="shards", help="without shards"
    )
    parser.add_argument(
        "--compressors",
        type=_codecs,
        default=...,
        metavar="CODECS",
        help='a name, \'none\', or JSON such as \'{"name": "zstd", "configuration": {...}}\'',
    )
    add_memory(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Iterator[str]:
    """The report."""
    report = copy(
        group.open(options.source, path=options.path.strip("/")),
        options.target,
        path=options.to,
        chunks=options.chunks,
        shards=options.shards,
        compressors=options.compressors,
        overwrite=options.overwrite,
        memory=options.memory,
    )
    return report_lines(report, as_json=options.json)


def _lengths(text: str) -> Any:
    return "auto" if text == "auto" else _shard_lengths(text)


def _shard_lengths(text: str) -> Any:
    parts = [part.strip() for part in text.split(",")]
    try:
        if "=" in text:
            pairs = [part.split("=") for part in parts]
            return {name.strip(): int(length) for name, length in pairs}
        lengths = [int(part) for part in parts]
    except ValueError as error:
        msg = f"{text!r:.60} is not a shape: write lengths, such as 100,200 or time=100"
        raise argparse.ArgumentTypeError(msg) from error
    return lengths[0] if len(lengths) == 1 else lengths


def _codecs(text: str) -> Any:
    if text == "none":
        return None
    if not text.startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        msg = f"{text!r:.60} is not JSON: {error}"
        raise argparse.ArgumentTypeError(msg) from error
