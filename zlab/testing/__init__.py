"""For tests of what is built on zlab: stores that fail, are slow, or count.

Nothing in zlab imports this.
"""

from __future__ import annotations

from zlab.testing.stores import (
    Call,
    CountingStore,
    Counts,
    Fault,
    FaultStore,
    InterposedStore,
    LatencyStore,
)

__all__ = [
    "Call",
    "CountingStore",
    "Counts",
    "Fault",
    "FaultStore",
    "InterposedStore",
    "LatencyStore",
]
