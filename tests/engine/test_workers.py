"""Teams of workers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from zlab.engine.workers import Team, shared_cores

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("caller_works", [True, False])
@pytest.mark.parametrize("width", [1, 2, 7])
def test_every_unit_is_done_once(width: int, caller_works: bool) -> None:
    done: list[int] = []
    Team(range(1000), done.append).run(width, caller_works=caller_works)
    assert sorted(done) == list(range(1000))


def test_all_members_work_at_the_same_time() -> None:
    barrier = threading.Barrier(4, timeout=30)

    def work(_: int) -> None:
        barrier.wait()

    Team(range(4), work).run(4, caller_works=True)
    assert barrier.broken is False


@pytest.mark.parametrize("caller_works", [True, False])
def test_the_first_failure_stops_the_team(caller_works: bool) -> None:
    begun: list[int] = []

    def work(unit: int) -> None:
        begun.append(unit)
        if unit == 3:
            msg = "unit 3"
            raise ValueError(msg)

    with pytest.raises(ValueError, match="unit 3"):
        Team(range(10**9), work).run(2, caller_works=caller_works)
    assert len(begun) < 10**6


def test_a_failing_plan_is_raised() -> None:
    def units() -> Iterator[int]:
        yield 1
        msg = "the plan"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="the plan"):
        Team(units(), lambda _: None).run(2, caller_works=False)


def test_an_interrupt_of_the_caller_begins_no_further_unit() -> None:
    begun = 0

    def work(_: int) -> None:
        nonlocal begun
        begun += 1
        if begun == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Team(range(10**9), work).run(1, caller_works=True)
    assert begun == 5


def test_a_team_may_wait_for_another() -> None:
    done: list[int] = []

    def outer(unit: int) -> None:
        Team(range(unit * 10, unit * 10 + 10), done.append).run(3, caller_works=False)

    Team(range(20), outer).run(8, caller_works=False)
    assert sorted(done) == list(range(200))


def test_calls_at_once_know_of_each_other() -> None:
    with shared_cores() as first:
        with shared_cores() as second:
            assert (first, second) == (0, 1)
        with pytest.raises(KeyError), shared_cores():
            raise KeyError
        with shared_cores() as fourth:
            assert fourth == 1
    with shared_cores() as last:
        assert last == 0
