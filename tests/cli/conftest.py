from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import zlab

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A v3 store with a sharded array of which half is stored, and a v2 array beside it."""
    group = zlab.create_group(tmp_path / "a.zarr", attributes={"title": "é"})
    array = group.create_array(
        "air/temperature",
        shape=(8, 6),
        dtype="float32",
        chunks=(2, 3),
        shards=(4, 6),
        compressors=None,
        fill_value=np.nan,
        dimension_names=["time", "x"],
        attributes={"units": "K"},
    )
    array[:4] = np.arange(24).reshape(4, 6)
    zlab.create_array(
        tmp_path / "b.zarr", data=np.arange(6).reshape(2, 3), zarr_format=2, order="F"
    )
    return tmp_path / "a.zarr"
