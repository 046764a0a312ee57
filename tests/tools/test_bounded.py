from __future__ import annotations

import threading

import pytest

from zlab.errors import MemoryBudgetError
from zlab.stores.memory import MemoryStore
from zlab.tools.bounded import MeteredStore, Steps, budget_of, run_bounded


def test_units_in_work_never_hold_more_than_the_budget() -> None:
    lock = threading.Lock()
    held: list[int] = [0]
    most: list[int] = [0]

    def work(nbytes: int) -> None:
        with lock:
            held[0] += nbytes
            most[0] = max(most[0], held[0])
        with lock:
            held[0] -= nbytes

    sizes = [1 + n * 7 % 100 for n in range(2000)]
    run_bounded(((n, n) for n in sizes), work, budget=100, width=8)
    assert held == [0]
    assert most[0] <= 100


def test_as_many_units_are_in_work_as_fit() -> None:
    # three of them wait for each other: this ends only if they are let in together
    together = threading.Barrier(3, timeout=60)

    def work(_: int) -> None:
        together.wait()

    run_bounded(((30, n) for n in range(3)), work, budget=99, width=8)


def test_one_unit_that_does_not_fit_is_an_error() -> None:
    done: list[int] = []
    with pytest.raises(MemoryBudgetError) as caught:
        run_bounded(((n, n) for n in (1, 101)), done.append, budget=100, width=1)
    assert (caught.value.needed, caught.value.budget, done) == (101, 100, [1])
    assert "memory='1MB'" in str(caught.value)


def test_the_first_failure_ends_the_work() -> None:
    begun: list[int] = []

    def work(n: int) -> None:
        begun.append(n)
        if n == 5:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run_bounded(((10, n) for n in range(1000)), work, budget=10, width=2)
    assert len(begun) < 1000


def test_a_failure_lets_those_go_that_wait_for_room() -> None:
    entered = threading.Event()

    def work(n: int) -> None:
        if n:
            return
        # the second unit waits for the bytes of this one
        entered.set()
        raise RuntimeError

    def units() -> object:
        yield 10, 0
        assert entered.wait(60)
        yield 10, 1

    with pytest.raises(RuntimeError):
        run_bounded(units(), work, budget=10, width=2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("memory", "nbytes"), [(None, 7), (5, 5), ("2kB", 2000), ("1 MiB", 1 << 20)]
)
def test_a_budget_is_a_number_or_a_size(memory: int | str | None, nbytes: int) -> None:
    assert budget_of(memory, 7) == nbytes


@pytest.mark.parametrize("memory", [0, -1, "0B", "much"])
def test_a_budget_is_positive(memory: int | str) -> None:
    with pytest.raises(ValueError, match=r"at least 1 byte|not a size"):
        budget_of(memory, 7)


def test_steps_are_told_one_by_one() -> None:
    told: list[tuple[int, int]] = []
    steps = Steps(3, lambda done, total: told.append((done, total)))
    for _ in range(3):
        steps.step()
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_metered_store_counts_what_passes() -> None:
    store = MeteredStore(MemoryStore())
    store.put("a/b", b"12345")
    store.put("a/c", b"67")
    assert store.get("a/b") == b"12345"
    assert store.get("a/nothing") is None
    store.delete("a/c")
    assert [entry.key for entry in store.list("a")] == ["a/b"]
    assert (store.objects_written, store.nbytes_written) == (2, 7)
    assert (store.objects_read, store.nbytes_read) == (1, 5)
