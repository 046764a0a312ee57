"""What an iteration has done so far, and the report that is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zlab.stream.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Callable

    from zlab.errors import ChunkReadError
    from zlab.stream.budget import Account

MAX_LISTED = 10_000
"""Skipped chunks that a report lists; of more it tells the number."""


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What an iteration of a stream has done, so far or in all.

    Attributes:
        nchunks: Chunks that were handed on, or that what was handed on is made of.
        nbytes: Their decoded bytes.
        nskipped: Chunks, or slices, that failed and were left out as `on_error` has it.
        skipped: Their errors, each with its `coords`; of more than 10,000 the first ones.
        oversized: How often a chunk that is larger than the whole budget was held, alone.
        redecoded: Chunks that were decoded once more because a slab of them may not be held.
        finished: The iteration came to its end.
    """

    nchunks: int
    nbytes: int
    nskipped: int
    skipped: tuple[ChunkReadError, ...]
    oversized: int
    redecoded: int
    finished: bool


class Tally:
    """What one iteration has done so far. Only the consumer's thread changes it.

    Args:
        done: Numbers of the chunks that earlier iterations have handed on.
        watch: Called after each item that is counted.

    Attributes:
        nchunks: As in the report.
        nbytes: As in the report.
        visited: Chunks that lie behind the stream: handed on, skipped, or not stored.
        redecoded: As in the report.
        finished: As in the report.
        done: Numbers of the chunks that need not come again, as far as they were settled by whole
            runs.
        open: The first number of the run that is being handed on, and its chunk that was handed
            on last.
        accounts: What the iteration holds its bytes by.
    """

    __slots__ = (
        "_skipped",
        "accounts",
        "done",
        "finished",
        "nbytes",
        "nchunks",
        "nskipped",
        "open",
        "redecoded",
        "visited",
        "watch",
    )

    def __init__(
        self, done: Ranges | None = None, watch: Callable[[], object] | None = None
    ) -> None:
        self.done = Ranges() if done is None else done.copy()
        self.watch = watch
        self.nchunks = 0
        self.nbytes = 0
        self.visited = self.done.count
        self.redecoded = 0
        self.finished = False
        self.open: tuple[int, tuple[int, ...]] | None = None
        self.accounts: list[Account] = []
        self.nskipped = 0
        self._skipped: list[ChunkReadError] = []

    def visit(self, nchunks: int) -> None:
        """So many chunks were read, of which items will be made."""
        self.nchunks += nchunks
        self.visited += nchunks

    def add(self, nchunks: int, nbytes: int) -> None:
        """An item of so many chunks, not counted before, and so many bytes is handed on."""
        self.nchunks += nchunks
        self.visited += nchunks
        self.nbytes += nbytes
        if self.watch is not None:
            self.watch()

    def skip(self, error: ChunkReadError, nchunks: int = 1) -> None:
        """What failed is left out."""
        self.nskipped += 1
        self.visited += nchunks
        if len(self._skipped) < MAX_LISTED:
            self._skipped.append(error)

    @property
    def nbytes_held(self) -> int:
        """Bytes that are in flight or wait for the consumer."""
        return sum(account.held for account in self.accounts)

    def report(self) -> StreamReport:
        """The report, as of now."""
        return StreamReport(
            self.nchunks,
            self.nbytes,
            self.nskipped,
            tuple(self._skipped),
            sum(account.oversized for account in self.accounts),
            self.redecoded,
            self.finished,
        )
