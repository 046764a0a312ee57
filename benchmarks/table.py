"""Results as a Markdown table and as JSON."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchmarks.measure import Result

NEWEST = (3, 4)
"""The zarr-python from which on a comparison may be quoted."""


def environment(peers: Mapping[str, str]) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "peers": dict(peers),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "numcodecs": version("numcodecs"),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def old_peers(peers: Mapping[str, str]) -> bool:
    """Whether the peers are too old, or absent, for a claim."""
    numbers = tuple(int(n) for n in re.findall(r"\d+", peers.get("zarr", "0"))[:2])
    return numbers < NEWEST


def heading(about: Mapping[str, Any]) -> Iterator[str]:
    """The lines above the table."""
    yield ", ".join(f"{name} {number}" for name, number in about["peers"].items())
    yield (
        f"Python {about['python']}, NumPy {about['numpy']}, numcodecs {about['numcodecs']}; "
        f"{about['processor']}, {about['cores']} cores, {about['system']}; warm page cache"
    )
    if old_peers(about["peers"]):
        newest = ".".join(map(str, NEWEST))
        yield f"Old peers: without zarr-python {newest} or newer these figures claim nothing."


def lines(results: Iterable[Result]) -> Iterator[str]:
    """The table."""
    yield "| row | | median | spread | ratio | CPU | memory |"
    yield "|---|---|--:|--:|--:|--:|--:|"
    last = ""
    for result in results:
        title = "" if result.row == last else result.row
        last = result.row
        yield row_line(title, result)


def row_line(title: str, result: Result) -> str:
    """One line of the table."""
    low, high = min(result.rounds_s), max(result.rounds_s)
    held = "" if result.held_nbytes is None else f"{result.held_nbytes / 1e6:.0f} MB"
    return (
        f"| {title} | {result.contender} | {seconds(result.median_s)} "
        f"| {seconds(low)} to {seconds(high)} | {result.ratio:.2f} "
        f"| {seconds(result.cpu_s)} | {held} |"
    )


def document(about: Mapping[str, Any], results: Sequence[Result]) -> dict[str, Any]:
    """Everything, as JSON values."""
    return {
        "environment": dict(about),
        "old_peers": old_peers(about["peers"]),
        "results": [{**asdict(result), "median_s": result.median_s} for result in results],
    }


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


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown processor"
    match = re.search(r"model name\s*:\s*(.+)", text)
    return match[1].strip() if match else platform.processor() or "unknown processor"
