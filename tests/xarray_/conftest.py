"""A dataset with a bit of everything, and the marks of xarray's own tests."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("xarray")

import xarray as xr


def pytest_configure(config: pytest.Config) -> None:
    for mark in ("asyncio", "flaky", "network", "skip_if_param", "skip_with_dask_array"):
        config.addinivalue_line("markers", f"{mark}: of xarray's own tests")


@pytest.fixture
def weather() -> xr.Dataset:
    """Measurements of 30 days at 6 places; some are missing."""
    rng = np.random.default_rng(0)
    warmth = rng.normal(size=(30, 6)).round(2)
    warmth[3, 2] = np.nan
    days = np.datetime64("2000-01-01", "ns") + np.arange(30) * np.timedelta64(1, "D")
    dataset = xr.Dataset(
        {
            "warmth": (("day", "place"), warmth, {"units": "K"}),
            "wind": (("day", "place"), rng.normal(size=(30, 6)).astype("f4")),
            "label": ("day", np.arange(30, dtype="i4")),
            "height": ("place", np.arange(6.0)),
            "sunny": ("day", np.arange(30) % 2 == 0),
            "lag": ("place", np.arange(6) * np.timedelta64(1, "h")),
            "version": ((), 3),
            "nothing": (("day", "none"), np.zeros((30, 0), "f4")),
        },
        {
            "day": days,
            "place": np.arange(6) * 10,
            "name": ("place", np.array(["a", "bb", "ccc", "d", "", "ü"])),
            "run": 7,
        },
        {"title": "weather", "levels": [1, 2]},
    )
    dataset.warmth.encoding = {
        "dtype": "i2",
        "scale_factor": 0.01,
        "add_offset": 1.0,
        "_FillValue": -9999,
        "chunks": (8, 3),
    }
    dataset.wind.encoding = {"chunks": (4, 6)}
    dataset.label.encoding = {"chunks": (8,)}
    return dataset
