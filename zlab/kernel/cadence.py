"""When the next frame is due. Pure: the caller has the clock.

The kernel is never asked for a frame, and nothing acknowledges one: either would wait for the cell
that runs. And a Jupyter server without a page keeps all that a kernel sends, without limit, so the
sender slows down by itself when no page gives a sign.
"""

from __future__ import annotations

from dataclasses import dataclass

HEARTBEAT_S = 5.0
UNSEEN_S = 60.0
"""After so long without a sign of a page, frames come each `UNSEEN_PERIOD_S`."""
UNSEEN_PERIOD_S = 1.0
GONE_S = 600.0
"""After so long, and with no cell running, they come each `GONE_PERIOD_S`. A page cannot give a
sign while a cell runs, so a long cell never counts as nobody looking."""
GONE_PERIOD_S = 5.0


@dataclass(frozen=True, slots=True)
class Attention:
    """Who looks.

    Attributes:
        hz: The highest rate that is asked for.
        unseen_s: Seconds since a page last gave a sign.
        cell_runs: Whether a cell is running.
    """

    hz: float
    unseen_s: float
    cell_runs: bool


def period_s(attention: Attention) -> float:
    """Seconds between two frames while the counters change.

    Example:
        >>> period_s(Attention(hz=5, unseen_s=0.0, cell_runs=False))
        0.2
        >>> period_s(Attention(hz=5, unseen_s=1000.0, cell_runs=True))
        1.0
    """
    asked = 1 / attention.hz
    if attention.unseen_s >= GONE_S and not attention.cell_runs:
        return max(asked, GONE_PERIOD_S)
    if attention.unseen_s >= UNSEEN_S:
        return max(asked, UNSEEN_PERIOD_S)
    return asked


def is_due(attention: Attention, since_last_s: float, *, changed: bool) -> bool:
    """Whether a frame is to be sent now.

    Args:
        attention: Who looks.
        since_last_s: Seconds since the last frame.
        changed: Whether the counters changed since then.
    """
    wait_s = period_s(attention)
    # a tick of the clock's own size early is on time: two ticks late would halve the rate
    return since_last_s >= (wait_s * 0.9 if changed else max(wait_s, HEARTBEAT_S))
