"""Reading ahead, with units that a test holds back and lets go."""

from __future__ import annotations

import threading
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, NoReturn

import pytest

from zlab.stream.ahead import Halt, ReadAhead, Unit, prefetched
from zlab.stream.budget import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Wait = Callable[[Callable[[], object]], None]


class Source:
    """Numbers as units, each of which loads when it is let go."""

    def __init__(self, n: int | None, *, held: Iterable[int] = (), nbytes: int = 1) -> None:
        self.begun: list[int] = []
        self.loaded: list[int] = []
        self._n = n
        self._nbytes = nbytes
        self._gates = {number: threading.Event() for number in held}

    def has_loaded(self, n: int) -> bool:
        return len(self.loaded) == n

    def let_go(self, number: int) -> None:
        self._gates[number].set()

    def __iter__(self) -> Iterator[Unit[int]]:
        for number in count() if self._n is None else range(self._n):
            yield Unit(self._nbytes, partial(self._load, number))

    def _load(self, number: int) -> int:
        self.begun.append(number)
        if number in self._gates:
            assert self._gates[number].wait(60)
        self.loaded.append(number)
        return number


def ahead_of(
    source: Iterable[Unit[int]],
    *,
    width: int = 2,
    depth: int = 4,
    limit: int = 1000,
    ordered: bool = True,
    halt: Halt | None = None,
) -> ReadAhead[int]:
    return ReadAhead(
        iter(source),
        Account(limit),
        width=width,
        depth=depth,
        ordered=ordered,
        halt=halt or Halt(),
    )


def drained(ahead: ReadAhead[int]) -> list[int]:
    values = []
    for nbytes, value in ahead:
        ahead.release(nbytes)
        values.append(value)
    return values


@pytest.mark.parametrize("width", [1, 2, 7, 32])
@pytest.mark.parametrize("n", [0, 1, 5, 300])
def test_every_unit_comes_once_and_in_order(n: int, width: int) -> None:
    assert drained(ahead_of(Source(n), width=width, depth=2 * width)) == list(range(n))
    assert sorted(drained(ahead_of(Source(n), width=width, ordered=False))) == list(range(n))


def test_nothing_is_loaded_before_the_first_is_asked_for(wait_until: Wait) -> None:
    source = Source(3)
    ahead = ahead_of(source)
    iterator = iter(ahead)
    assert source.begun == []
    nbytes, value = next(iterator)
    assert (nbytes, value) == (1, 0)
    wait_until(lambda: source.loaded == [0, 1, 2])
    ahead.release(nbytes)
    iterator.close()


def test_a_slow_unit_holds_up_only_those_that_must_come_after_it(wait_until: Wait) -> None:
    source = Source(4, held=[0])
    ahead = ahead_of(source, ordered=False)
    iterator = iter(ahead)
    assert {next(iterator)[1] for _ in range(3)} == {1, 2, 3}
    source.let_go(0)
    assert next(iterator)[1] == 0
    assert next(iterator, None) is None
    ahead.release(4)


def test_at_most_depth_units_are_ahead(wait_until: Wait) -> None:
    source = Source(None)
    ahead = ahead_of(source, width=3, depth=5)
    iterator = iter(ahead)
    next(iterator)
    wait_until(lambda: len(source.loaded) == 6)
    assert len(source.begun) == 6
    next(iterator)
    wait_until(lambda: len(source.loaded) == 7)
    ahead.release(2)
    iterator.close()


def test_at_most_the_limit_is_held(wait_until: Wait) -> None:
    source = Source(None, nbytes=10)
    ahead = ahead_of(source, width=8, depth=100, limit=35)
    iterator = iter(ahead)
    for handed_on in range(1, 5):
        nbytes, _ = next(iterator)
        # until it is released, what was handed on counts
        wait_until(partial(source.has_loaded, handed_on + 2))
        assert len(source.begun) == handed_on + 2
        ahead.release(nbytes)
    iterator.close()


def test_a_unit_beyond_the_limit_is_loaded_alone(wait_until: Wait) -> None:
    source = Source(3, nbytes=100)
    ahead = ahead_of(source, limit=10)
    iterator = iter(ahead)
    for number in range(3):
        nbytes, value = next(iterator)
        assert value == number
        assert source.begun == list(range(number + 1))
        ahead.release(nbytes)
    assert next(iterator, None) is None


def test_a_failure_is_raised_in_its_turn() -> None:
    def units() -> Iterator[Unit[int]]:
        yield from Source(3)
        yield Unit(1, fail)
        yield from Source(100)

    def fail() -> NoReturn:
        raise KeyError("three")

    ahead = ahead_of(units())
    iterator = iter(ahead)
    assert [next(iterator)[1] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="three"):
        next(iterator)
    ahead.release(3)


def test_a_failure_to_plan_is_raised_in_its_turn() -> None:
    def units() -> Iterator[Unit[int]]:
        yield from Source(3)
        raise KeyError("plan")

    ahead = ahead_of(units(), limit=1)
    iterator = iter(ahead)
    for number in range(3):
        nbytes, value = next(iterator)
        assert value == number
        ahead.release(nbytes)
    with pytest.raises(KeyError, match="plan"):
        next(iterator)


def test_closing_does_not_wait_for_what_is_being_loaded(wait_until: Wait) -> None:
    source = Source(None, held=[1])
    ahead = ahead_of(source)
    iterator = iter(ahead)
    nbytes, _ = next(iterator)
    wait_until(lambda: 1 in source.begun)
    ahead.release(nbytes)
    iterator.close()
    assert 1 not in source.loaded
    source.let_go(1)


def test_a_halt_ends_a_consumer_that_waits(wait_until: Wait) -> None:
    source, halt = Source(None, held=[0]), Halt()
    ended = threading.Event()

    def consume() -> None:
        assert list(ahead_of(source, halt=halt)) == []
        ended.set()

    thread = threading.Thread(target=consume)
    thread.start()
    wait_until(lambda: 0 in source.begun)
    halt.set()
    thread.join(60)
    assert ended.is_set()
    source.let_go(0)


def test_two_that_share_a_halt_do_not_end_each_other() -> None:
    halt = Halt()
    short, long = ahead_of(Source(1), halt=halt), ahead_of(Source(50), halt=halt)
    iterator = iter(long)
    nbytes, _ = next(iterator)
    long.release(nbytes)
    assert drained(short) == [0]
    for nbytes, _ in iterator:
        long.release(nbytes)
    assert not halt.is_set()


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_prefetched_items_are_the_items(depth: int) -> None:
    halt = Halt()
    assert list(prefetched(iter("abc"), nbytes=1, depth=depth, halt=halt)) == list("abc")


def test_prefetched_items_are_made_by_one_thread_at_a_time() -> None:
    inside = threading.Semaphore(1)

    def items() -> Iterator[int]:
        for number in range(200):
            assert inside.acquire(blocking=False)
            inside.release()
            yield number

    halt = Halt()
    assert list(prefetched(items(), nbytes=1, depth=3, halt=halt)) == list(range(200))
