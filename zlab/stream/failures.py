"""What becomes of a chunk that cannot be read: `on_error`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

from zlab.errors import ChunkReadError
from zlab.stream.ahead import raise_in_turn

if TYPE_CHECKING:
    from zlab.stream.tally import Tally

OnError: TypeAlias = Literal["raise", "skip"] | Callable[[ChunkReadError], object]

_LISTED = 10

_log = logging.getLogger("zlab.stream")


def parse_on_error(value: object) -> OnError:
    """Returns what was passed, if it is one of the three.

    Raises:
        ValueError: It is not.

    Example:
        >>> parse_on_error("skip")
        'skip'
    """
    if value == "raise":
        return "raise"
    if value == "skip":
        return "skip"
    if callable(value):
        return value
    msg = f"on_error must be 'raise', 'skip' or a function of a ChunkReadError, not {value!r:.80}"
    raise ValueError(msg)


def fail(on_error: OnError, tally: Tally, error: ChunkReadError, nchunks: int = 1) -> None:
    """Does what was asked for when a chunk cannot be read: goes on without it, or raises."""
    if on_error == "raise":
        raise_in_turn(error)
    if callable(on_error):
        on_error(error)
    # what it keeps alive through its tracebacks would be much, for many
    cause: BaseException | None = error
    while cause is not None:
        cause.__traceback__ = None
        cause = cause.__cause__
    tally.skip(error, nchunks)


def tell(tally: Tally, place: str) -> None:
    """Logs what was left out, at the end of a stream."""
    report = tally.report()
    if not report.nskipped:
        return
    listed = "; ".join(str(error) for error in report.skipped[:_LISTED])
    more = f"; and {report.nskipped - _LISTED} more" if report.nskipped > _LISTED else ""
    _log.warning("%s: %d left out that failed: %s%s", place, report.nskipped, listed, more)
