"""What the kernel and the page say to each other (`docs/wire.md`), as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from zlab.telemetry import Snapshot

VERSION = 1
HELLO_TARGET = "zlab.hello"
TELEMETRY_TARGET = "zlab.telemetry"

MIN_HZ = 0.2
MAX_HZ = 10.0


@dataclass(frozen=True, slots=True)
class Open:
    """A page asks for frames, at most `hz` a second."""

    hz: float


@dataclass(frozen=True, slots=True)
class Renew:
    """A page is still there."""


@dataclass(frozen=True, slots=True)
class SetRate:
    """A page asks for another rate."""

    hz: float


PageMessage: TypeAlias = Open | Renew | SetRate


def parse_page_message(data: object) -> PageMessage:
    """Parses what a page sent. A rate is brought into the bounds that a kernel keeps.

    Raises:
        ValueError: It is not a message of this version.

    Example:
        >>> parse_page_message({"zlab": "set", "v": 1, "hz": 100})
        SetRate(hz=10.0)
    """
    if not isinstance(data, dict):
        raise ValueError(f"a message is an object, not {data!r:.80}")  # noqa: TRY004 - refused as one
    if data.get("v") != VERSION:
        raise ValueError(f"version {data.get('v')!r:.80} of a message; this is version {VERSION}")
    match data.get("zlab"):
        case "open":
            return Open(_parse_hz(data))
        case "renew":
            return Renew()
        case "set":
            return SetRate(_parse_hz(data))
        case other:
            raise ValueError(f"an unknown message, {other!r:.80}")


def _parse_hz(data: dict[str, Any]) -> float:
    hz = data.get("hz")
    if isinstance(hz, bool) or not isinstance(hz, int | float) or not hz > 0:
        raise ValueError(f"hz must be a number above 0, not {hz!r:.80}")
    return min(max(float(hz), MIN_HZ), MAX_HZ)


def format_hello(session: str) -> dict[str, Any]:
    """The data with which the kernel opens `zlab.hello`."""
    return {"v": VERSION, "session": session}


def format_frame(snapshot: Snapshot, session: str, seq: int, t: float) -> dict[str, Any]:
    """One frame of telemetry.

    Args:
        snapshot: The totals.
        session: The kernel process's id.
        seq: Counts up.
        t: Seconds since the session began.
    """
    return {
        "zlab": "frame",
        "v": VERSION,
        "session": session,
        "seq": seq,
        "t": t,
        "source": "kernel",
        "totals": asdict(snapshot.totals),
        "in_flight": snapshot.in_flight,
        "latency": list(snapshot.latency),
        "top": [asdict(traffic) for traffic in snapshot.top],
    }
