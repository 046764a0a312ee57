"""The telemetry plot: what zlab reads and writes in this process, while it does."""

from __future__ import annotations

import math
from numbers import Real

import anywidget
import traitlets

from zlab.kernel.messages import MAX_HZ, MIN_HZ
from zlab.kernel.sender import sender
from zlab.stream.arguments import check_kind
from zlab.widgets.bundles import read_bundle


class Telemetry(anywidget.AnyWidget):
    """Plots zlab's traffic in this process, live.

    It begins to count when it is made, moves while a cell runs, and costs the cell nothing that
    can be measured. `close()` ends it.

    Args:
        window_s: Seconds drawn.
        hz: Updates a second while something happens.

    Raises:
        TypeError: `window_s` or `hz` is not a number.
        ValueError: A number out of bounds.

    Example:
        >>> import zlab
        >>> plot = zlab.widgets.Telemetry(window_s=30)
        >>> plot
        Telemetry(window_s=30, hz=5)
        >>> plot.close()
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _frame = traitlets.Dict().tag(sync=True)
    window_s = traitlets.Float().tag(sync=True)

    def __init__(self, window_s: float = 60, hz: float = 5) -> None:
        check_kind(window_s, Real, "window_s", "a number")
        check_kind(hz, Real, "hz", "a number")
        if not 0 < window_s < math.inf:
            raise ValueError(f"window_s must be above 0 and finite, not {window_s!r}")
        if not MIN_HZ <= hz <= MAX_HZ:
            raise ValueError(f"hz must be between {MIN_HZ} and {MAX_HZ}, not {hz!r}")
        self._hz = hz
        super().__init__(_esm=read_bundle("telemetry"), _frame=sender.frame(), window_s=window_s)
        sender.add(self.model_id, self._show, hz)

    def close(self) -> None:
        """Stops the updates and takes the plot away."""
        if self.comm is not None:
            sender.remove(self.model_id)
        super().close()

    def __repr__(self) -> str:
        return f"Telemetry(window_s={self.window_s:g}, hz={self._hz:g})"

    def _show(self, frame: dict[str, object]) -> None:
        self._frame = frame
