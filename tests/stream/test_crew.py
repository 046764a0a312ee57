from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from zlab.stream.crew import Crew

if TYPE_CHECKING:
    from collections.abc import Callable


def test_small_items_are_put_together_while_all_are_busy() -> None:
    go_on = threading.Event()
    runs: list[list[int]] = []

    def work(run: list[int]) -> None:
        runs.append(run)
        assert go_on.wait(60)

    crew = Crew(work, 1, 10**6)
    for number in range(10):
        crew.give(number, 1)
    go_on.set()
    crew.drain()
    assert runs == [[0], list(range(1, 10))]


@pytest.mark.parametrize("nbytes", [0, 1, 100])
def test_everything_is_done_once(nbytes: int) -> None:
    done: list[int] = []
    lock = threading.Lock()

    def work(run: list[int]) -> None:
        with lock:
            done.extend(run)

    crew = Crew(work, 3, nbytes)
    for number in range(1000):
        crew.give(number, 10)
    crew.drain()
    assert sorted(done) == list(range(1000))


def test_a_failure_ends_the_work() -> None:
    def work(run: list[int]) -> None:
        raise LookupError

    crew = Crew(work, 2, 0)
    for number in range(50):
        crew.give(number, 1)
    crew.drain()
    assert isinstance(crew.failure, LookupError)


def test_stopped_it_forgets_what_is_not_begun() -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[int] = []

    def work(run: list[int]) -> None:
        begun.set()
        assert go_on.wait(60)
        done.extend(run)

    crew = Crew(work, 1, 0)
    crew.give(0, 1)
    assert begun.wait(60)
    crew.give(1, 1)
    threading.Timer(0.01, go_on.set).start()
    crew.stop(lambda: done.append(-1))
    assert done == [0, -1]


def test_left_alone_the_last_thread_cleans_up(wait_until: Callable[..., None]) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()
    done: list[int] = []

    def work(run: list[int]) -> None:
        begun.release()
        assert go_on.wait(60)
        done.extend(run)

    crew = Crew(work, 2, 0)
    crew.give(0, 1)
    crew.give(1, 1)
    assert begun.acquire(timeout=60)
    assert begun.acquire(timeout=60)
    crew.leave(lambda: done.append(-1))
    assert done == []
    go_on.set()
    wait_until(lambda: -1 in done)
    assert sorted(done) == [-1, 0, 1]
    crew.leave(lambda: done.append(-2))
    assert done[-1] == -2
