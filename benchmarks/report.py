"""What is published: each group of rows with the machine and the versions of its own run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Result
from benchmarks.rows import GROUPS
from benchmarks.table import document, heading, lines, summary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_DERIVED = ("median_s", "cpu_s")
_TITLES = {
    "arrays": "Arrays",
    "streams": "Streams",
    "training": "Training loops",
    "frames": "Tables",
}


@dataclass(frozen=True)
class Report:
    """A group's rows, measured in one run.

    Attributes:
        about: What the figures depend on, see `benchmarks.table.environment`.
        results: Of each contender of each row.
    """

    about: Mapping[str, Any]
    results: list[Result]


def merge(old: Mapping[str, Report], new: Mapping[str, Report]) -> dict[str, Report]:
    """The groups of both, the newer of each, in the order of `GROUPS`."""
    both = {**old, **new}
    return {name: both[name] for name in GROUPS if name in both}


def dump(reports: Mapping[str, Report]) -> str:
    """All groups as JSON."""
    groups = {name: document(report.about, report.results) for name, report in reports.items()}
    return json.dumps(groups, indent=1) + "\n"


def load_reports(path: Path) -> dict[str, Report]:
    """What `dump` has written; nothing where there is no such file."""
    if not path.exists():
        return {}
    groups = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: Report(
            group["environment"],
            [
                Result(**{key: value for key, value in result.items() if key not in _DERIVED})
                for result in group["results"]
            ],
        )
        for name, group in groups.items()
    }


def page(reports: Mapping[str, Report]) -> str:
    """All groups as Markdown; what several of them have in common stands above the first."""
    parts, said = [], ""
    for name, report in reports.items():
        above = "\n".join(heading(report.about))
        parts.append(f"### {_TITLES[name]}")
        if above != said:
            parts.append(above)
        said = above
        parts += ["\n".join(summary(report.results)), "\n".join(lines(report.results))]
    return "\n\n".join(parts) + "\n"
