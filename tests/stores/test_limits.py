from __future__ import annotations

import threading
from time import monotonic, sleep

import pytest

from zlab.stores.limits import Limiter, Limits, limiter_of


def test_requests_at_once_grow_until_the_place_throttles_and_are_cut_then() -> None:
    limiter = Limiter()
    assert limiter.allowed == 32
    held = [limiter.slot() for _ in range(32)]
    for slot in held:
        slot.__enter__()
    limiter.succeed()
    assert limiter.allowed == 33
    limiter.throttle()
    limiter.throttle()  # one that was under way: it tells nothing new
    assert limiter.allowed == pytest.approx(33 * 0.7)
    assert limiter.throttled == 2
    limiter.succeed()  # too soon after the cut
    assert limiter.allowed == pytest.approx(33 * 0.7)
    for slot in held:
        slot.__exit__(None, None, None)
    assert limiter.in_flight == 0


def test_few_requests_say_nothing_of_many() -> None:
    limiter = Limiter()
    for _ in range(1000):
        with limiter.slot():
            limiter.succeed()
    assert limiter.allowed == 32


def test_no_more_than_allowed_are_under_way() -> None:
    limiter = Limiter(Limits(requests=3))
    three = threading.Barrier(3)
    most: list[int] = []

    def work() -> None:
        with limiter.slot():
            three.wait(30)
            most.append(limiter.in_flight)
            three.wait(30)

    threads = [threading.Thread(target=work) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [3] * 9
    assert limiter.in_flight == 0


def test_bytes_in_flight_are_bounded_but_for_one_that_is_larger() -> None:
    limiter = Limiter(Limits(nbytes=100))
    entered = threading.Event()

    def second() -> None:
        with limiter.slot(60):
            entered.set()

    with limiter.slot(1000):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.1)
    assert entered.wait(10)
    thread.join()


def test_requests_per_second_are_spaced() -> None:
    limiter = Limiter(Limits(requests_per_s=100))
    begun = monotonic()
    for _ in range(6):
        with limiter.slot():
            limiter.pace()
    assert monotonic() - begun >= 0.05


def test_the_gate_is_closed_for_as_long_as_the_server_asks() -> None:
    limiter = Limiter()
    begun = monotonic()
    limiter.throttle(0.2)
    limiter.pace()
    assert monotonic() - begun >= 0.2


def test_a_place_has_one_limiter() -> None:
    one = limiter_of("s3://tests-of-limits@here")
    assert limiter_of("s3://tests-of-limits@here", Limits(requests=5)) is one
    assert one.allowed == 5
    assert limiter_of("s3://tests-of-limits@elsewhere") is not one


@pytest.mark.parametrize("name", ["requests", "requests_per_s", "nbytes"])
def test_a_bound_is_more_than_nothing(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be more than 0"):
        Limits(**{name: 0})


def test_a_slot_is_taken_only_if_it_is_free() -> None:
    limiter = Limiter(Limits(requests=2, nbytes=100))
    assert limiter.take_free(90)
    assert not limiter.take_free(11)
    assert limiter.take_free(10)
    assert not limiter.take_free()
    limiter.give_back(90)
    waiting = threading.Thread(target=limiter.take, args=(95,))
    waiting.start()
    while not limiter._waiting:
        sleep(0.001)
    assert not limiter.take_free()  # somebody was here before
    limiter.give_back(10)
    waiting.join()
    assert limiter.in_flight == 1
