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
from benchmarks.peers import available, versions
from benchmarks.rows import ROWS
from benchmarks.table import document, environment, heading, lines, old_peers, summary

if TYPE_CHECKING:
    from benchmarks.measure import Result

_SIDE, _QUICK_SIDE = 256, 128  # arrays of 67 and 8 MB
_SECONDS, _QUICK_SECONDS = 0.6, 0.3  # for all turns of a contender in a row
_HERE = Path(__file__).parent
_PUBLISHED = {
    "markdown": _HERE / "results.md",
    "json": _HERE / "results.json",
    "chart": _HERE.parent / "docs" / "images" / "bench.svg",
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measures zlab and its peers in one run."
    )
    parser.add_argument("--quick", action="store_true", help="small arrays and short turns")
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose title has this text")
    parser.add_argument("--rounds", metavar="N", type=int, help="turns of each contender")
    parser.add_argument(
        "--seconds", metavar="S", type=float, help="for all turns of a contender in a row"
    )
    parser.add_argument(
        "--data", metavar="DIR", type=Path, help="keep the arrays here and use them again"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every round to a file")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the tables to a file")
    parser.add_argument("--chart", metavar="FILE", type=Path, help="draw the chart, as SVG")
    parser.add_argument(
        "--publish", action="store_true", help="write all three to where the docs take them from"
    )
    options = parser.parse_args()
    if options.publish:
        for name, path in _PUBLISHED.items():
            setattr(options, name, getattr(options, name) or path)
    return options


def main() -> int:
    """Measures the rows; returns the exit status."""
    options = _arguments()
    rows = [row for row in ROWS if options.only in row.title]
    if not rows:
        titles = "\n".join(f"  {row.title}" for row in ROWS)
        print(f"no row has {options.only!r} in its title:\n{titles}", file=sys.stderr)
        return 2
    measured = versions()
    if options.publish and old_peers(measured):
        print("old peers: there is nothing to publish", file=sys.stderr)
        return 2
    rounds = options.rounds or (3 if options.quick else 5)
    seconds = options.seconds or (_QUICK_SECONDS if options.quick else _SECONDS)
    side = _QUICK_SIDE if options.quick else _SIDE
    about = environment(measured)
    results: list[Result] = []
    above = list(heading(about))
    if options.quick:
        above.append("Taken with `--quick`: an eighth of the bytes, half of the arrays to list.")
    print(*above, "", sep="\n", flush=True)
    with ExitStack() as stack:
        if options.data is None:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zlab-bench-")))
        else:
            root = options.data / str(side)
        for row in rows:
            print(f"measuring: {row.title}", file=sys.stderr, flush=True)
            place = datasets(side)[row.dataset].write(root)
            results += measure(row, place, available(), rounds=rounds, seconds=seconds, side=side)
    tables = ["\n".join(summary(results)), "\n".join(lines(results))]
    print(*tables, sep="\n\n")
    if options.markdown is not None:
        options.markdown.write_text("\n\n".join([*above, *tables]) + "\n", encoding="utf-8")
    if options.json is not None:
        text = json.dumps(document(about, results), indent=1)
        options.json.write_text(text + "\n", encoding="utf-8")
    if options.chart is not None:
        from benchmarks.chart import draw

        draw(results, options.chart)
    return 0


if __name__ == "__main__":
    sys.exit(main())
