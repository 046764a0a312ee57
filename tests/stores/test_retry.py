from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.stores.retry import RetryBudget, RetryPolicy, parse_retry_after


@given(st.integers(1, 200), st.floats(0, 10), st.one_of(st.none(), st.floats(0, 100)))
def test_a_wait_is_never_shorter_than_the_server_asks(
    attempt: int, base_s: float, retry_after_s: float | None
) -> None:
    policy = RetryPolicy(base_s=base_s, cap_s=20)
    wait = policy.wait_s(attempt, retry_after_s=retry_after_s)
    least = retry_after_s or 0.0
    assert least <= wait <= least + 20.0


def test_the_bound_of_a_wait_doubles_up_to_the_cap() -> None:
    policy = RetryPolicy(base_s=0.1, cap_s=1.0)
    waits = [policy.wait_s(attempt, draw=lambda _, high: high) for attempt in range(1, 7)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert policy.wait_s(10**6, draw=lambda _, high: high) == 1.0


def test_what_a_user_may_ask_for() -> None:
    assert RetryPolicy.parse(None) == RetryPolicy()
    assert RetryPolicy.parse("off").attempts == 1
    assert RetryPolicy.parse(False).attempts == 1
    assert RetryPolicy.parse({"attempts": 3, "deadline_s": 5}) == RetryPolicy(
        attempts=3, deadline_s=5
    )
    policy = RetryPolicy(attempts=2)
    assert RetryPolicy.parse(policy) is policy
    with pytest.raises(ValueError, match="retry has no 'tries'; there are attempts, base_s"):
        RetryPolicy.parse({"tries": 3})
    with pytest.raises(TypeError, match="retry must be 'off'"):
        RetryPolicy.parse(3)
    with pytest.raises(ValueError, match="attempts must be at least 1"):
        RetryPolicy(attempts=0)
    with pytest.raises(ValueError, match="deadline_s must be a number of seconds"):
        RetryPolicy(deadline_s=float("nan"))


def test_a_storage_that_is_down_is_asked_a_fifth_more_often_at_most() -> None:
    budget = RetryBudget(2)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    for _ in range(4):
        budget.give_back()
    assert not budget.take()
    budget.give_back()
    assert budget.take()
    for _ in range(100):
        budget.give_back()
    assert [budget.take() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("-1", 0.0),
        ("Tue, 21 Oct 2025 07:28:30 GMT", 30.0),
        ("Tue, 21 Oct 2025 07:27:30 GMT", 0.0),
        ("soon", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    now = datetime(2025, 10, 21, 7, 28, tzinfo=UTC)
    assert parse_retry_after(header, now) == seconds
