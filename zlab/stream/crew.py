"""Threads that work on what one caller hands over, and make it wait where they are behind."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from zlab.engine.workers import submit

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_WAKE_S = 0.5  # a wait without a limit cannot be interrupted on Windows
_RUN_LENGTH = 64


class Crew(Generic[T]):
    """Threads that take items in runs, since handing over a small one costs more than its work.

    While a thread is idle, an item is handed over at once; else they are put together.

    Args:
        work: Does a run. What it raises ends the crew's work, and is kept as `failure`.
        width: Threads that work at once.
        run_nbytes: Bytes after which a run is handed over.

    Attributes:
        failure: What a thread raised first.
        stopped: What is left of a run need not be done.

    Example:
        >>> done = []
        >>> crew = Crew(done.extend, 2, 100)
        >>> for number in range(5):
        ...     crew.give(number, 40)
        >>> crew.drain()
        >>> sorted(done)
        [0, 1, 2, 3, 4]
    """

    def __init__(self, work: Callable[[list[T]], None], width: int, run_nbytes: int) -> None:
        self.failure: BaseException | None = None
        self.stopped = False
        self._work = work
        self._width = width
        self._run_nbytes = run_nbytes
        self._changed = threading.Condition()
        self._waiting: deque[list[T]] = deque()
        self._busy = 0
        self._then: Callable[[], None] | None = None
        # the caller's alone
        self._filling: list[T] = []
        self._filling_nbytes = 0

    def give(self, item: T, nbytes: int) -> None:
        """Hands an item over; waits while as many runs as there are threads have to wait."""
        self._filling.append(item)
        self._filling_nbytes += nbytes
        if (
            self._busy < self._width
            or self._filling_nbytes >= self._run_nbytes
            or len(self._filling) >= _RUN_LENGTH
        ):
            self.flush()

    def flush(self) -> None:
        """Hands over what was put together."""
        if not self._filling:
            return
        run, self._filling, self._filling_nbytes = self._filling, [], 0
        with self._changed:
            while len(self._waiting) >= self._width and self.failure is None:
                self._changed.wait(_WAKE_S)
            self._waiting.append(run)
            if self._busy < self._width:
                self._busy += 1
                submit(self._member)

    def wait(self) -> bool:
        """Waits until a run is done; returns whether there was any to wait for."""
        self.flush()
        with self._changed:
            if not self._busy:
                return False
            self._changed.wait(_WAKE_S)
            return True

    def drain(self) -> None:
        """Waits until everything is done."""
        while self.wait():
            pass

    def stop(self, then: Callable[[], None]) -> None:
        """Forgets what is not begun, waits for what is, and calls `then`."""
        self._forget()
        try:
            self.drain()
        except BaseException:
            self.leave(then)
            raise
        then()

    def leave(self, then: Callable[[], None]) -> None:
        """Forgets what is not begun; the last thread at work calls `then`, which must not raise."""
        self._forget()
        with self._changed:
            if self._busy:
                self._then = then
                return
        then()

    def _forget(self) -> None:
        self.stopped = True
        self._filling.clear()
        with self._changed:
            self._waiting.clear()

    def _member(self) -> None:
        while (run := self._next()) is not None:
            try:
                self._work(run)
            except BaseException as error:  # noqa: BLE001  raised again by the caller
                with self._changed:
                    self.failure = self.failure or error
            # a thread that waits must not keep alive what is done
            del run
        with self._changed:
            then = None
            if not self._busy:
                then, self._then = self._then, None
        if then is not None:
            then()

    def _next(self) -> list[T] | None:
        """The next run; with `None` the thread is no longer at work."""
        with self._changed:
            self._changed.notify_all()
            if self._waiting and self.failure is None:
                return self._waiting.popleft()
            self._busy -= 1
            return None
