"""A made-up climate: smooth, seasonal, noisy, and the same whenever it is asked for again.

Every day is a function of its number and the seed alone, so that a cube of any length can be
computed in pieces of any length, and a test can compute a day again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WAVES = 10
_YEAR = 365.25
_WARMEST_DAY = 200  # of a northern year: the middle of July
_SEA_FREEZES = -1.8  # degrees Celsius


@dataclass(frozen=True)
class Climate:
    """Daily fields on a regular grid of latitudes and longitudes.

    Args:
        nlat: Latitudes, from south to north; they are the centres of bands of equal width.
        nlon: Longitudes, eastward from 0.
        seed: Of the continents, the weather and the noise.

    Example:
        >>> climate = Climate(nlat=6, nlon=12)
        >>> climate.temperature(0, 3).shape
        (3, 6, 12)
    """

    nlat: int
    nlon: int
    seed: int = 0

    @cached_property
    def lat(self) -> NDArray[np.float32]:
        """Degrees north."""
        step = 180 / self.nlat
        return np.linspace(-90 + step / 2, 90 - step / 2, self.nlat, dtype=np.float32)

    @cached_property
    def lon(self) -> NDArray[np.float32]:
        """Degrees east."""
        return np.linspace(0, 360, self.nlon, endpoint=False, dtype=np.float32)

    def temperature(self, start: int, stop: int) -> NDArray[np.float32]:
        """Air temperature of the days `start` to `stop`, in degrees Celsius, to two decimals.

        Returns:
            An array of (day, latitude, longitude).
        """
        days = np.arange(start, stop)
        season = np.cos(2 * np.pi * (days - _WARMEST_DAY) / _YEAR).astype(np.float32)
        field: NDArray[np.float32] = self._weather(days)
        field += self._mean
        field += season[:, None, None] * self._swing
        for place, day in enumerate(days.tolist()):
            rng = np.random.default_rng((self.seed, day))
            field[place] += 0.5 * rng.standard_normal(self._mean.shape, np.float32)
        return field.round(2)

    def ice(self, temperature: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Sea ice at a temperature: the percentage of each cell that is covered."""
        cover = np.clip((_SEA_FREEZES - temperature) * 10, 0, 100) * (1 - self._land)
        percent: NDArray[np.uint8] = cover.round().astype(np.uint8)
        return percent

    @cached_property
    def _land(self) -> NDArray[np.float32]:
        """How much of each cell is land, 0 to 1: a few long waves, cut off softly."""
        rng = np.random.default_rng((self.seed, 1 << 32))  # no day has this number
        lat, lon = np.deg2rad(self.lat), np.deg2rad(self.lon)
        height = np.zeros((self.nlat, self.nlon))
        for wave in range(1, _WAVES):
            across, along = rng.integers(1, 5, 2)
            phase, tilt = rng.uniform(0, 2 * np.pi, 2)
            height += np.outer(np.cos(across * lat + tilt), np.cos(along * lon + phase)) / wave
        return (0.5 + 0.5 * np.tanh(4 * height)).astype(np.float32)

    @cached_property
    def _mean(self) -> NDArray[np.float32]:
        sunlight = 29 - 48 * np.sin(np.deg2rad(self.lat)) ** 2
        return (sunlight[:, None] - 3 * self._land).astype(np.float32)

    @cached_property
    def _swing(self) -> NDArray[np.float32]:
        """Half of what lies between summer and winter: more over land, reversed in the south."""
        tilt = np.sin(np.deg2rad(self.lat))
        return (tilt[:, None] * (4 + 14 * self._land)).astype(np.float32)

    def _weather(self, days: NDArray[np.int64]) -> NDArray[np.float32]:
        """Waves that travel along the latitudes, strongest between the poles and the tropics."""
        rng = np.random.default_rng((self.seed, 1 << 33))
        number = rng.integers(3, 9, _WAVES)
        period = rng.uniform(4, 20, _WAVES)  # days
        phase = rng.uniform(0, 2 * np.pi, _WAVES)
        place = rng.uniform(30, 65, _WAVES) * rng.choice((-1, 1), _WAVES)
        breadth = rng.uniform(10, 20, _WAVES)
        angle = (
            number * np.deg2rad(self.lon)[None, :, None]
            - 2 * np.pi * days[:, None, None] / period
            + phase
        )
        profile = 3 * np.exp(-(((self.lat[None, :] - place[:, None]) / breadth[:, None]) ** 2))
        waves = np.cos(angle).astype(np.float32)  # (day, longitude, wave)
        weather: NDArray[np.float32] = np.einsum(
            "wy,txw->tyx", profile.astype(np.float32), waves, optimize=True
        )
        return weather
