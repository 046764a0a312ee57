"""Where chunks lie, and what their keys are. Pure: no store, no bytes."""

from zlab.grid.grid import Axis, Grid
from zlab.grid.keys import ChunkKeys

__all__ = ["Axis", "ChunkKeys", "Grid"]
