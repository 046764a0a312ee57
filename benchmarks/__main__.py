"""`python -m benchmarks`: measures and prints."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.datasets import datasets
from benchmarks.measure import measure
from benchmarks.peers import versions
from benchmarks.rows import ROWS
from benchmarks.table import document, environment, heading, lines

if TYPE_CHECKING:
    from benchmarks.measure import Result

_SIDE, _QUICK_SIDE = 512, 256  # arrays of 134 and 17 MB


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measures zlab and its peers in one run."
    )
    parser.add_argument("--quick", action="store_true", help="small arrays and three rounds")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results to a file")
    parser.add_argument(
        "--markdown", metavar="FILE", type=Path, help="write the table to a file, for the docs"
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose title has this text")
    parser.add_argument("--rounds", metavar="N", type=int, help="turns of each contender")
    parser.add_argument(
        "--data", metavar="DIR", type=Path, help="keep the arrays here and use them again"
    )
    return parser.parse_args()


def main() -> int:
    """Measures the rows; returns the exit status."""
    options = _arguments()
    rows = [row for row in ROWS if options.only in row.title]
    if not rows:
        titles = "\n".join(f"  {row.title}" for row in ROWS)
        print(f"no row has {options.only!r} in its title:\n{titles}", file=sys.stderr)
        return 2
    rounds = options.rounds or (3 if options.quick else 5)
    side = _QUICK_SIDE if options.quick else _SIDE
    available = datasets(side)
    peers = versions()
    about = environment(peers)
    results: list[Result] = []
    above = list(heading(about))
    print(*above, "", sep="\n", flush=True)
    with ExitStack() as stack:
        if options.data is None:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zlab-bench-")))
        else:
            root = options.data / str(side)
        for row in rows:
            print(f"measuring: {row.title}", file=sys.stderr, flush=True)
            place = available[row.dataset].write(root)
            results += measure(row, place, peers, rounds=rounds, repeats=3, side=side)
    table = list(lines(results))
    print(*table, sep="\n")
    if options.markdown is not None:
        text = "\n\n".join([*above, "\n".join(table)])
        options.markdown.write_text(text + "\n", encoding="utf-8")
    if options.json is not None:
        text = json.dumps(document(about, results), indent=1)
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
