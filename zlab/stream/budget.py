"""Bytes that streams hold: at most so many each, and so many in the process."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zlab.config import settings

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Process:
    """What all streams of the process hold together."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.lock = threading.Lock()
        self.held = 0


_process = _Process()


if hasattr(os, "register_at_fork"):  # not on Windows
    # the streams of the parent do not exist in the child
    os.register_at_fork(after_in_child=_process.reset)


class Account:
    """What one stream holds.

    A stream that holds nothing is always let have its next unit, however large: else two streams
    that are read in step could wait for each other for ever. So nobody has to wait for the
    account of another stream.

    Args:
        limit: Bytes that the stream may hold.
        counted: The process counts these bytes already: they are parts of what another account
            holds.

    Attributes:
        held: Bytes that it holds.
        oversized: How often it was let have more at once than it may hold at all.

    Example:
        >>> account = Account(100)
        >>> account.admit(400), account.admit(1)
        (True, False)
        >>> account.release(400)
        >>> account.admit(60), account.admit(40), account.admit(1)
        (True, True, False)
    """

    def __init__(self, limit: int, *, counted: bool = False) -> None:
        self.limit = limit
        self.counted = counted
        self.held = 0
        self.oversized = 0

    def fits(self, nbytes: int) -> bool:
        """Whether so many bytes may be held now."""
        return (
            not nbytes
            or not self.held
            or (
                self.held + nbytes <= self.limit
                and (self.counted or _process.held + nbytes <= settings.memory_budget)
            )
        )

    def admit(self, nbytes: int) -> bool:
        """Takes so many bytes if they may be held now."""
        with _process.lock:
            if not self.fits(nbytes):
                return False
            if nbytes > min(self.limit, settings.memory_budget):
                self.oversized += 1
            self.held += nbytes
            if not self.counted:
                _process.held += nbytes
            return True

    def release(self, nbytes: int) -> None:
        """Gives so many bytes back."""
        with _process.lock:
            self.held -= nbytes
            if not self.counted:
                _process.held -= nbytes

    @contextmanager
    def holding(self, nbytes: int) -> Iterator[None]:
        """Takes so many bytes for the length of a `with` block."""
        self.admit(nbytes)
        try:
            yield
        finally:
            self.release(nbytes)


def process_held() -> int:
    """Bytes that the streams of this process hold now."""
    return _process.held
