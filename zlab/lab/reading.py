"""Reads run in threads: a few at a time for each user, each with a deadline and one who waits."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar, final

from zlab.errors import ZlabError
from zlab.stores.aside import is_abandoned, working_for

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_THREADS = 32


class TooSlowError(ZlabError):
    """A request did not end in the time that one may take."""


class TooManyRequestsError(ZlabError):
    """A user has more requests waiting than one may have."""


class AbandonedError(ZlabError):
    """Nobody waits for the answer any more."""


def check_wanted() -> None:
    """Whether somebody still waits for what this thread does.

    Raises:
        AbandonedError: Nobody does.
    """
    if is_abandoned():
        raise AbandonedError("nobody waits for the answer any more")


@final
class Errand:
    """The work for one request: whether it is still wanted, and what ends with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = False
        self._closing: list[Callable[[], None]] = []

    def has_ended(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._ended

    def at_end(self, close: Callable[[], None]) -> None:
        """Has something called when it ends, or at once where it has."""
        with self._lock:
            if not self._ended:
                self._closing.append(close)
                return
        close()

    def end(self) -> None:
        """Ends it: it is done, past its deadline, or its client has gone."""
        with self._lock:
            self._ended = True
            closing, self._closing = self._closing, []
        for close in closing:
            close()


class Readers:
    """Runs functions in threads, for many users.

    A thread cannot be stopped, so one that is past its deadline keeps its place until it ends: a
    slow store takes up its own user's places, and no more. What it does next it does not begin,
    and connections that it waits for are ended with its errand.

    Args:
        concurrency: Reads of one user that run at a time; others wait.
        seconds: Time that a request may take, the waiting included.
        waiting: Reads of one user that may wait.
    """

    def __init__(self, concurrency: int, seconds: float, waiting: int = 1000) -> None:
        self._concurrency = concurrency
        self._seconds = seconds
        self._most = concurrency + waiting
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="zlab-lab")
        self._places: dict[str, asyncio.Semaphore] = {}
        self._interest: Counter[str] = Counter()

    async def run(self, user: str, function: Callable[[], T], errand: Errand | None = None) -> T:
        """Calls `function` in a thread, and returns what it returns.

        Args:
            user: For whom.
            function: What is to be done.
            errand: Ended when this returns, however it does.

        Raises:
            TooSlowError: The time is over.
            TooManyRequestsError: Too many of the user's wait already.
        """
        wanted = errand or Errand()
        if self._interest[user] >= self._most:
            raise TooManyRequestsError(
                f"{self._interest[user]} requests are waiting already",
                hint="c.ZLabApp.max_waiting sets how many may wait",
            )
        place = self._places.setdefault(user, asyncio.Semaphore(self._concurrency))
        self._interest[user] += 1
        work: asyncio.Future[T] | None = None
        deadline = asyncio.timeout(self._seconds)

        def call() -> T:
            with working_for(wanted.has_ended):
                return function()

        try:
            async with deadline:
                await place.acquire()
                loop = asyncio.get_running_loop()
                work = loop.run_in_executor(self._threads, call)
                # the place is free when the thread is, whoever still waits for it
                work.add_done_callback(lambda done: self._leave(user, place, done))
                return await asyncio.shield(work)
        except TimeoutError as error:
            if not deadline.expired():  # the storage's own
                raise
            raise TooSlowError(
                f"no answer within {self._seconds:g} seconds",
                hint="c.ZLabApp.max_seconds sets how long a request may take",
            ) from error
        finally:
            wanted.end()
            if work is None:
                self._forget(user)

    def close(self) -> None:
        """Takes no more work; what runs is left to end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _leave(self, user: str, place: asyncio.Semaphore, done: asyncio.Future[T]) -> None:
        if not done.cancelled():
            done.exception()  # asked for, since nobody may be left to
        place.release()
        self._forget(user)

    def _forget(self, user: str) -> None:
        self._interest[user] -= 1
        if not self._interest[user]:
            del self._interest[user], self._places[user]
