"""The threads of the process that fetch, decode and encode.

They are daemons that are started as they are needed and reused, so that leaving the interpreter
never waits for a slow store. A forked child starts with none.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from zlab.stores.aside import working_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Task = Callable[[], None]

T = TypeVar("T")

_WAKE_S = 0.5  # a wait without a limit cannot be interrupted on Windows


class Workers:
    """A pool that grows as long as tasks wait, so that tasks may wait for each other."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Task] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._count = 0

    def submit(self, task: Task) -> None:
        """Has a thread call `task`, which must not raise."""
        self._tasks.put(task)
        if not self._idle.acquire(blocking=False):
            self._count += 1
            threading.Thread(target=self._loop, name=f"zlab-{self._count}", daemon=True).start()

    def _loop(self) -> None:
        while True:
            self._tasks.get()()
            self._idle.release()


class _Callers:
    """Calls that share the machine's cores just now."""

    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()


_workers = Workers()
_callers = _Callers()


def submit(task: Task) -> None:
    """Has a thread of the process call `task`, which must not raise."""
    _workers.submit(task)


@contextmanager
def shared_cores() -> Iterator[int]:
    """A context for a call that keeps cores busy; it gives how many other calls do so already."""
    callers = _callers
    with callers.lock:
        others = callers.count
        callers.count += 1
    try:
        yield others
    finally:
        with callers.lock:
            callers.count -= 1


def _after_fork() -> None:
    global _workers, _callers  # noqa: PLW0603  the threads of the parent do not exist in the child
    _workers = Workers()
    _callers = _Callers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Team:
    """Some workers that share one iterator of units until it ends or one of them fails."""

    def __init__(self, units: Iterable[T], work: Callable[[T], None]) -> None:
        self._units = iter(units)
        self._work = work
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._working = 0
        self._failure: BaseException | None = None
        self.stopped = False

    def run(self, width: int, *, caller_works: bool) -> None:
        """Works until all units are done.

        Args:
            width: Threads that work, the caller included.
            caller_works: Whether the calling thread works too. It should not where a unit may
                wait long for a store, since such a wait cannot be interrupted.

        Raises:
            BaseException: The first failure of a worker, or an interrupt of the caller. No further
                unit is begun then.
        """
        others = width - 1 if caller_works else width
        self._working = others
        try:
            for _ in range(others):
                submit(self._member)
            if caller_works:
                self._loop()
            if others:
                while not self._done.wait(_WAKE_S):
                    pass
        finally:
            self.stopped = True
        if self._failure is not None:
            raise self._failure

    def _member(self) -> None:
        with working_for(lambda: self.stopped):
            self._loop()
        with self._lock:
            self._working -= 1
            if self._working == 0:
                self._done.set()

    def _loop(self) -> None:
        while not self.stopped:
            try:
                with self._lock:
                    unit = next(self._units)
            except StopIteration:
                return
            except Exception as error:  # noqa: BLE001  raised again by the caller
                self._fail(error)
                return
            try:
                self._work(unit)
            except Exception as error:  # noqa: BLE001  raised again by the caller
                self._fail(error)
                return

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or error
        self.stopped = True
