"""A table of temperatures by time and place, and what is asked of it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import zlab

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ZSTD: dict[str, Any] = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}

STATISTICS = "-statistics"
"""Ends the name of the same group with statistics of its chunks beside it."""

SMALL = "-small"
"""Ends the name of a group of the same kind on which libraries warm up."""
_SMALL_SIDE = 16


class Answer(NamedTuple):
    """What a query gives.

    Attributes:
        mean: Of the temperatures that are left.
        n: Of them.
    """

    mean: float
    n: int


@dataclass(frozen=True)
class Query:
    """The mean and the number of temperatures, after a filter.

    Attributes:
        above: What a temperature must be above, in K.
        south, north: Latitudes, both included.
    """

    above: float
    south: float = -90.0
    north: float = 90.0

    @property
    def anywhere(self) -> bool:
        """Whether no latitude is left out."""
        return (self.south, self.north) == (-90.0, 90.0)

    @property
    def condition(self) -> str:
        """As SQL, which all of the libraries understand that understand SQL."""
        where = "" if self.anywhere else f"lat >= {self.south} and lat <= {self.north} and "
        return f"{where}t > {self.above}"

    def answer(self, t: NDArray[np.float64], lat: NDArray[np.float64]) -> Answer:
        """The answer, by NumPy."""
        band = t[:, (lat >= self.south) & (lat <= self.north)]
        left = band[band > self.above]
        return Answer(float(left.mean()), len(left))


QUERIES = {
    "north": Query(above=285.0, south=50.0, north=80.0),
    "hot": Query(above=315.5),
}


@dataclass(frozen=True)
class Weather:
    """A group of temperatures `t` and their coordinates, in chunks of 1 MiB.

    Attributes:
        name: Its directory.
        side: Of the places; there are eight times as many times. Temperatures have `64 * side**3`
            bytes.
    """

    name: str
    side: int

    def answers(self, place: Path) -> dict[str, Answer]:
        """What the queries give."""
        text = (place.parent / f"{self.name}-answers.json").read_text(encoding="utf-8")
        return {name: Answer(*answer) for name, answer in json.loads(text).items()}

    def write(self, root: Path) -> Path:
        """The group's place below `root`, written where it is not there.

        Beside it stand the same group, of which zlab keeps statistics, and a small one.
        """
        place = root / self.name
        if not place.exists():
            small = Weather(f"{self.name}{SMALL}", _SMALL_SIDE)
            small._write(zlab.create_group(root / small.name), root / small.name)
            self._write(zlab.create_group(place), place)
            twin = root / f"{self.name}{STATISTICS}"
            shutil.copytree(place, twin, copy_function=os.link)
            if hasattr(zlab, "stats"):
                zlab.stats.build(zlab.open_array(twin / "t", mode="r+"))
        return place

    def _write(self, group: zlab.Group, place: Path) -> None:
        side = self.side
        lat = np.linspace(-90, 90, side)
        coordinates = {
            "time": np.arange(8 * side),
            "lat": lat,
            "lon": np.linspace(0, 360, side, endpoint=False),
        }
        for name, values in coordinates.items():
            group.create_array(name, data=values, chunks=values.shape, dimension_names=(name,))
        t = self.temperatures(lat)
        group.create_array(
            "t",
            data=t,
            chunks=(32, min(side, 64), min(side, 64)),
            compressors=ZSTD,
            dimension_names=tuple(coordinates),
        )
        answers = {name: query.answer(t, lat) for name, query in QUERIES.items()}
        (place.parent / f"{self.name}-answers.json").write_text(json.dumps(answers))

    def temperatures(self, lat: NDArray[np.float64]) -> NDArray[np.float64]:
        """In K, by time, latitude and longitude: warm at the equator, with seasons and weather."""
        side = self.side
        season = 15 * np.sin(np.arange(8 * side) * (4 * np.pi / (8 * side)))
        zone = 310 - 50 * np.sin(np.radians(lat)) ** 2
        noise = np.random.default_rng(0).integers(-50, 51, (side, side, side)) / 10
        t = np.empty((8 * side, side, side))
        for start in range(0, len(t), side):
            part = t[start : start + side]
            np.add(noise, zone[:, None], out=part)
            part += (season[start : start + side, None] * np.sin(np.radians(lat)))[:, :, None]
            np.round(part, 1, out=part)
        return t
