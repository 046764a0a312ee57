from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from zlab.lab.reading import (
    AbandonedError,
    Errand,
    Readers,
    TooManyRequestsError,
    TooSlowError,
    check_wanted,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FOREVER = 1e6
AT_ONCE = 0.001


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


async def test_runs_in_a_thread() -> None:
    readers = Readers(1, FOREVER)
    name = await readers.run("ada", lambda: threading.current_thread().name)
    assert name.startswith("zlab-lab")
    readers.close()


async def test_what_is_raised_arrives() -> None:
    readers = Readers(1, FOREVER)
    for error in (ValueError("x"), TimeoutError("the storage's own")):

        def fail(error: Exception = error) -> None:
            raise error

        with pytest.raises(type(error), match=str(error)):
            await readers.run("ada", fail)
    assert await readers.run("ada", lambda: 1) == 1
    readers.close()


async def test_too_slow(gate: threading.Event) -> None:
    readers = Readers(1, AT_ONCE)
    with pytest.raises(TooSlowError, match="max_seconds"):
        await readers.run("ada", gate.wait)
    readers.close()


async def test_a_user_has_so_many_places(gate: threading.Event) -> None:
    readers = Readers(2, FOREVER)
    running: list[str] = []
    started = threading.Semaphore(0)

    def work() -> None:
        running.append(threading.current_thread().name)
        started.release()
        gate.wait()

    tasks = [asyncio.create_task(readers.run("ada", work)) for _ in range(5)]
    await asyncio.to_thread(started.acquire)
    await asyncio.to_thread(started.acquire)
    # another user's request goes through all the same, and by then a third would have begun
    assert await readers.run("bob", lambda: 1) == 1
    assert len(running) == 2
    gate.set()
    await asyncio.gather(*tasks)
    assert len(running) == 5
    readers.close()


async def test_one_that_is_given_up_keeps_its_place_until_it_ends(gate: threading.Event) -> None:
    readers = Readers(1, FOREVER)
    started = threading.Event()

    def work() -> None:
        started.set()
        gate.wait()

    first = asyncio.create_task(readers.run("ada", work))
    await asyncio.to_thread(started.wait)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(readers.run("ada", lambda: "done"))
    await readers.run("bob", lambda: None)
    assert not second.done()
    gate.set()
    assert await second == "done"
    readers.close()


async def test_one_that_waits_and_is_given_up_never_runs(gate: threading.Event) -> None:
    readers = Readers(1, FOREVER)
    ran: list[int] = []
    first = asyncio.create_task(readers.run("ada", gate.wait))
    await asyncio.sleep(0)
    second = asyncio.create_task(readers.run("ada", lambda: ran.append(2)))
    await asyncio.sleep(0)
    second.cancel()
    gate.set()
    await first
    await readers.run("ada", lambda: ran.append(3))
    assert ran == [3]
    readers.close()


async def test_users_who_are_gone_leave_nothing() -> None:
    readers = Readers(1, FOREVER)
    for number in range(100):
        await readers.run(f"user {number}", lambda: None)
    await asyncio.sleep(0)
    assert not readers._places
    assert not readers._interest
    readers.close()


async def test_so_many_requests_may_wait(gate: threading.Event) -> None:
    readers = Readers(1, FOREVER, waiting=1)
    tasks = [asyncio.create_task(readers.run("ada", gate.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequestsError, match="max_waiting"):
        await readers.run("ada", lambda: None)
    # they are one user's
    assert await readers.run("bob", lambda: 1) == 1
    gate.set()
    await asyncio.gather(*tasks)
    assert await readers.run("ada", lambda: 2) == 2
    readers.close()


async def test_work_is_told_that_nobody_waits(gate: threading.Event) -> None:
    readers = Readers(1, FOREVER)
    started, told = threading.Event(), threading.Event()

    def work() -> None:
        check_wanted()
        started.set()
        gate.wait()
        try:
            check_wanted()
        except AbandonedError:
            told.set()
            raise

    task = asyncio.create_task(readers.run("ada", work))
    await asyncio.to_thread(started.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    assert await asyncio.to_thread(told.wait, 20)
    readers.close()


async def test_what_an_errand_holds_ends_with_it() -> None:
    readers = Readers(1, FOREVER)
    errand = Errand()
    closed: list[int] = []

    def work() -> bool:
        errand.at_end(lambda: closed.append(1))
        return errand.has_ended()

    assert await readers.run("ada", work, errand) is False
    assert errand.has_ended()
    assert closed == [1]
    errand.at_end(lambda: closed.append(2))
    errand.end()
    assert closed == [1, 2]
    readers.close()
