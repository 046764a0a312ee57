"""What becomes of a request that failed: tried again, when, and how often. Pure but for dice.

The waits are drawn evenly between nothing and a bound that doubles ("full jitter"), so that many
clients that failed together do not come back together. What the server asks for is a lower bound.
A budget for the whole place keeps retries from multiplying the load of a storage that is down.

Source: Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015; RFC 9110, section
10.2.3 for `Retry-After`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self, final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a request is made, and how long it is waited in between.

    Args:
        attempts: Requests for one operation at most; 1 for no retries.
        base_s: Bound of the first wait, in seconds; that of each further one is twice as long.
        cap_s: Bound of every wait, in seconds.
        deadline_s: Seconds after which an operation is given up, waits included.

    Raises:
        ValueError: A number is out of range.

    Example:
        >>> RetryPolicy(attempts=3).wait_s(1, draw=lambda low, high: high)
        0.1
        >>> RetryPolicy().wait_s(1, retry_after_s=2.0) >= 2.0
        True
        >>> RetryPolicy.parse("off").attempts
        1
    """

    attempts: int = 8
    base_s: float = 0.1
    cap_s: float = 20.0
    deadline_s: float = 60.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            msg = f"attempts must be at least 1, not {self.attempts!r}"
            raise ValueError(msg)
        for name in ("base_s", "cap_s", "deadline_s"):
            value = getattr(self, name)
            if not value >= 0:
                msg = f"{name} must be a number of seconds, not {value!r}"
                raise ValueError(msg)

    @classmethod
    def parse(cls, value: object) -> Self:
        """The policy that a user asks for.

        Args:
            value: A policy, a mapping of its arguments, `None` for the usual one, or `"off"`.

        Raises:
            TypeError: It is none of these.
            ValueError: A number is out of range, or there is no such argument.
        """
        if value is None:
            return cls()
        if isinstance(value, cls):
            return value
        if value == "off" or value is False:
            return cls(attempts=1)
        if isinstance(value, Mapping):
            known = [field.name for field in fields(cls)]
            unknown = sorted(set(value) - set(known))
            if unknown:
                msg = f"retry has no {unknown[0]!r}; there are {', '.join(known)}"
                raise ValueError(msg)
            return cls(**value)
        msg = f"retry must be 'off', {{'attempts': 3}} or the like, not {type(value).__name__}"
        raise TypeError(msg)

    def wait_s(
        self,
        attempt: int,
        *,
        retry_after_s: float | None = None,
        draw: Any = random.uniform,
    ) -> float:
        """Seconds to wait after a failed attempt.

        Args:
            attempt: Its number, from 1.
            retry_after_s: What the server asked for.
            draw: A number between two others.
        """
        bound = min(self.cap_s, self.base_s * 2.0 ** min(attempt - 1, 60))
        return float(draw(0.0, bound)) + (retry_after_s or 0.0)


@final
class RetryBudget:
    """Retries that a place allows: each costs one, and each success gives back a fifth.

    So a storage that fails for all is asked a fifth more often at most, and not eight times.
    Being throttled costs nothing: the limiter slows down for that.

    Args:
        most: What it holds at first and at most.
    """

    __slots__ = ("_left", "_lock", "_most")

    GIVEN_BACK = 0.2

    def __init__(self, most: float = 100.0) -> None:
        self._most = self._left = most
        self._lock = threading.Lock()

    def give_back(self) -> None:
        """An operation has succeeded."""
        # full nearly always: a race loses a fifth of a retry, and a lock costs each request
        if self._left < self._most:
            with self._lock:
                self._left = min(self._most, self._left + self.GIVEN_BACK)

    def take(self) -> bool:
        """Whether there is one more retry."""
        with self._lock:
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """The seconds of a `Retry-After` header, a number or a date; `None` where it says nothing.

    Example:
        >>> parse_retry_after("2")
        2.0
        >>> now = datetime(2025, 10, 21, 7, 28, tzinfo=UTC)
        >>> parse_retry_after("Tue, 21 Oct 2025 07:28:30 GMT", now)
        30.0
    """
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - (now or datetime.now(UTC))).total_seconds())
