"""Results as a picture: each contender's time as a multiple of zlab's, row by row."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.rows import FLOORS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.measure import Result

COLOURS = {
    "zarr-python": "#7a7a7a",
    "zarr-python, fused": "#222222",
    "zarr-python on zlab": "#e8a33d",
    "zarrs": "#c1443c",
    "zarrista": "#8a4fb0",
    "tensorstore": "#2f7dc4",
    "dask": "#c79a7b",
    "xbatcher": "#5c8a3a",
    "grain": "#d36ba6",
    "annbatch": "#3aa6a6",
    "PyTorch": "#b5462a",
    "rainbear": "#8c6d1f",
    "xarray-sql": "#6b7fd1",
    "duckdb": "#d9c22e",
    "xarray": "#4d6b8a",
    **dict.fromkeys(FLOORS, "#2e9e6b"),
}
"""Of contenders, in the legend's order."""
_MARKERS = {**dict.fromkeys(FLOORS, "|"), "zarr-python on zlab": "D"}
_ROW_HEIGHT, _WIDTH = 0.29, 9.5  # inches


def draw(results: Sequence[Result], path: Path) -> None:
    """Writes the chart as SVG."""
    drawn = {result.row for result in results if result.contender in COLOURS}
    rows = {
        title: list(group)
        for title, group in groupby(results, key=attrgetter("row"))
        if title in drawn
    }
    # the text stays text, and the same results give the same file
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "zlab", "font.size": 9}):
        figure = Figure(figsize=(_WIDTH, 1.2 + _ROW_HEIGHT * len(rows)), layout="constrained")
        axes = figure.subplots()
        for name, colour in COLOURS.items():
            points = [
                (result.median_s / group[0].median_s, row)
                for row, group in enumerate(rows.values())
                for result in group
                if result.contender == name and result.cannot is None
            ]
            if points:
                ratios, places = zip(*points, strict=True)
                axes.scatter(
                    ratios,
                    places,
                    s=60 if name in _MARKERS else 30,
                    c=colour,
                    marker=_MARKERS.get(name, "o"),
                    label=name,
                    alpha=0.9,
                    zorder=3,
                )
        axes.axvline(1, color="#e8743d", linewidth=2, zorder=2, label="zlab")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("time, as a multiple of zlab's: right of the line is slower than zlab")
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(color="#e4e4e4", zorder=0)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        figure.legend(loc="outside upper center", ncols=5, frameon=False)
        figure.savefig(path, metadata={"Date": None}, facecolor="white")
