"""Reads run in threads: a few at a time for each user, each with a deadline."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from zlab.errors import ZlabError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_THREADS = 32


class TooSlowError(ZlabError):
    """A request did not end in the time that one may take."""


class Readers:
    """Runs functions in threads, for many users.

    A thread cannot be stopped, so one that is past its deadline keeps its place until it ends: a
    slow store takes up its own user's places, and no more.

    Args:
        concurrency: Reads of one user that run at a time; others wait.
        seconds: Time that a request may take, the waiting included.
    """

    def __init__(self, concurrency: int, seconds: float) -> None:
        self._concurrency = concurrency
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="zlab-lab")
        self._places: dict[str, asyncio.Semaphore] = {}
        self._interest: Counter[str] = Counter()

    async def run(self, user: str, function: Callable[[], T]) -> T:
        """Calls `function` in a thread, and returns what it returns.

        Raises:
            TooSlowError: The time is over.
        """
        place = self._places.setdefault(user, asyncio.Semaphore(self._concurrency))
        self._interest[user] += 1
        work: asyncio.Future[T] | None = None
        deadline = asyncio.timeout(self._seconds)
        try:
            async with deadline:
                await place.acquire()
                loop = asyncio.get_running_loop()
                work = loop.run_in_executor(self._threads, function)
                # the place is free when the thread is, whoever still waits for it
                work.add_done_callback(lambda _done: self._leave(user, place))
                return await asyncio.shield(work)
        except TimeoutError as error:
            if not deadline.expired():  # the storage's own
                raise
            raise TooSlowError(
                f"no answer within {self._seconds:g} seconds",
                hint="c.ZLabApp.max_seconds sets how long a request may take",
            ) from error
        finally:
            if work is None:
                self._forget(user)

    def close(self) -> None:
        """Takes no more work; what runs is left to end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _leave(self, user: str, place: asyncio.Semaphore) -> None:
        place.release()
        self._forget(user)

    def _forget(self, user: str) -> None:
        self._interest[user] -= 1
        if not self._interest[user]:
            del self._interest[user], self._places[user]
