"""Results as a Markdown table and as JSON."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.compare import compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchmarks.measure import Result

NEWEST = (3, 4)
"""The zarr-python from which on a comparison may be quoted."""


def environment(measured: Mapping[str, str]) -> dict[str, Any]:
    """What the figures depend on; `measured` are the peers' versions."""
    return {
        "versions": {**measured, "numpy": version("numpy")},
        "revision": _revision(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def old_peers(measured: Mapping[str, str]) -> bool:
    """Whether the peers are too old, or absent, for a claim."""
    numbers = tuple(int(n) for n in re.findall(r"\d+", measured.get("zarr", "0"))[:2])
    return numbers < NEWEST


def heading(about: Mapping[str, Any]) -> Iterator[str]:
    """The lines above the table."""
    yield ", ".join(f"{name} {number}" for name, number in about["versions"].items()) + (
        f"; zlab at {about['revision']}" if about["revision"] else ""
    )
    yield (
        f"Python {about['python']}; {about['processor']}, {about['cores']} cores, "
        f"{about['machine']}, {about['system']}, load {about['load']} at the start; warm page cache"
    )
    if old_peers(about["versions"]):
        newest = ".".join(map(str, NEWEST))
        yield f"Old peers: without zarr-python {newest} or newer these figures claim nothing."


def summary(results: Iterable[Result]) -> Iterator[str]:
    """A line for each row: zlab, the fastest peer, the ratios."""
    yield "| row | zlab | fastest peer | ratio | least CPU of a peer | ratio | to the floor |"
    yield "|---|--:|---|--:|---|--:|--:|"
    for found in compare(results):
        fastest, thriftiest = found.fastest, found.thriftiest
        by_clock = fastest and f"{fastest.contender}, {seconds(fastest.median_s)}"
        by_cpu = thriftiest and f"{thriftiest.contender}, {seconds(thriftiest.cpu_s)}"
        yield (
            f"| {found.zlab.row} | {seconds(found.zlab.median_s)} "
            f"| {by_clock or ''} | {_ratio(found.ratio)} "
            f"| {by_cpu or ''} | {_ratio(found.cpu_ratio)} | {_ratio(found.floor_ratio)} |"
        )


def lines(results: Iterable[Result]) -> Iterator[str]:
    """All contenders of all rows."""
    yield "| row | | median | spread | to zlab | CPU | to zlab | memory | read |"
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|"
    for _, group in groupby(results, key=attrgetter("row")):
        zlab, *others = group
        yield row_line(zlab.row, zlab, zlab)
        yield from (row_line("", other, zlab) for other in others)


def row_line(title: str, result: Result, zlab: Result) -> str:
    """One line of the table."""
    if result.cannot is not None:
        return f"| {title} | {result.contender} | {result.cannot} | | | | | | |"
    low, high = min(result.rounds_s), max(result.rounds_s)
    able = zlab.cannot is None
    by_clock = _ratio(result.median_s / zlab.median_s if able else None)
    by_cpu = _ratio(result.cpu_s / zlab.cpu_s if able else None)
    return (
        f"| {title} | {result.contender} | {seconds(result.median_s)}{_rate(result)} "
        f"| {seconds(low)} to {seconds(high)} | {by_clock} "
        f"| {seconds(result.cpu_s)} | {by_cpu} | {_memory(result)} "
        f"| {_read(result)} |"
    )


def _rate(result: Result) -> str:
    return "" if result.unit is None else f", {1 / result.median_s:,.0f} {result.unit}/s"


def _read(result: Result) -> str:
    return "" if result.read_nbytes is None else f"{result.read_nbytes / 1e6:.1f} MB"


def _memory(result: Result) -> str:
    if result.held_nbytes is None:
        return ""
    held = f"{result.held_nbytes / 1e6:.0f}"
    bound = "" if result.bound_nbytes is None else f" of {result.bound_nbytes / 1e6:.0f}"
    return f"{held}{bound} MB"


def document(about: Mapping[str, Any], results: Sequence[Result]) -> dict[str, Any]:
    """Everything, as JSON values."""
    return {
        "environment": dict(about),
        "old_peers": old_peers(about["versions"]),
        "results": [
            asdict(result)
            | ({} if result.cannot else {"median_s": result.median_s, "cpu_s": result.cpu_s})
            for result in results
        ],
    }


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def seconds(value: float) -> str:
    """A duration with the unit that suits it, to three digits.

    Example:
        >>> seconds(0.0000345), seconds(1.5)
        ('34.5 µs', '1.50 s')
    """
    scaled = ((value * 1e6, "µs"), (value * 1e3, "ms"), (value, "s"))
    number, unit = next((pair for pair in scaled if pair[0] < 1000), scaled[-1])  # noqa: PLR2004
    digits = 2 if number < 10 else 1 if number < 100 else 0  # noqa: PLR2004  three in all
    return f"{number:.{digits}f} {unit}"


def _revision() -> str | None:
    """The commit that is measured, `None` where it is no checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown processor"
    match = re.search(r"model name\s*:\s*(.+)", text)
    return match[1].strip() if match else platform.processor() or "unknown processor"
