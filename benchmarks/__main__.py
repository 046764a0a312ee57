"""`python -m benchmarks`: measures and prints."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.datasets import datasets
from benchmarks.measure import measure
from benchmarks.peers import available, versions
from benchmarks.report import Report, dump, load_reports, merge, page
from benchmarks.rows import GROUPS
from benchmarks.table import environment, heading, lines, old_peers, summary

_SIDE, _QUICK_SIDE = 256, 128  # arrays of 67 and 8 MB
_SECONDS, _QUICK_SECONDS = 0.6, 0.3  # for all turns of a contender in a row
_HERE = Path(__file__).parent
PUBLISHED = {
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
    parser.add_argument(
        "--group", action="append", choices=[*GROUPS], help="these rows; may be given again"
    )
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
        "--publish",
        action="store_true",
        help="write all three to where the docs take them from; groups that are not measured stay",
    )
    options = parser.parse_args()
    if options.publish and (options.only or options.quick):
        parser.error("--publish takes whole groups (--group) at full size: no --only, no --quick")
    if options.publish:
        for name, path in PUBLISHED.items():
            setattr(options, name, getattr(options, name) or path)
    return options


def main() -> int:
    """Measures the rows; returns the exit status."""
    options = _arguments()
    wanted = {
        name: [row for row in GROUPS[name] if options.only in row.title]
        for name in options.group or GROUPS
    }
    if not any(wanted.values()):
        titles = "\n".join(f"  {row.title}" for name in wanted for row in GROUPS[name])
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
    reports: dict[str, Report] = {}
    print(*heading(about), "", sep="\n", flush=True)
    if options.quick:
        print("Taken with `--quick`: an eighth of the bytes, half of the arrays to list.\n")
    with ExitStack() as stack:
        if options.data is None:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zlab-bench-")))
        else:
            root = options.data / str(side)
        for name, rows in wanted.items():
            for row in rows:
                print(f"measuring: {row.title}", file=sys.stderr, flush=True)
                place = datasets(side)[row.dataset].write(root)
                results = measure(
                    row, place, available(), rounds=rounds, seconds=seconds, side=side
                )
                print(*list(summary(results))[2:], sep="\n", file=sys.stderr, flush=True)
                reports.setdefault(name, Report(about, [])).results.extend(results)
    measured_results = [result for report in reports.values() for result in report.results]
    print(*summary(measured_results), "", *lines(measured_results), sep="\n")
    if options.publish:
        reports = merge(load_reports(PUBLISHED["json"]), reports)
    if options.markdown is not None:
        options.markdown.write_text(page(reports), encoding="utf-8")
    if options.json is not None:
        options.json.write_text(dump(reports), encoding="utf-8")
    if options.chart is not None:
        from benchmarks.chart import draw

        draw([result for report in reports.values() for result in report.results], options.chart)
    return 0


if __name__ == "__main__":
    sys.exit(main())
