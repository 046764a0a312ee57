"""Notebook widgets: the chunk heatmap and the telemetry plot, live in a cell's output.

They are anywidgets, so they work in JupyterLab, Notebook, VS Code and wherever else anywidget does.
"""

from __future__ import annotations

from zlab.errors import MissingExtraError

try:
    import anywidget  # noqa: F401 - asked for here, so that a missing one is said in words
except ImportError as error:
    raise MissingExtraError("anywidget", "lab", "zlab.widgets") from error

from zlab.widgets.chunk_heatmap import ChunkHeatmap
from zlab.widgets.telemetry import Telemetry

__all__ = ["ChunkHeatmap", "Telemetry"]
