"""How many requests a place gets at once: as many as it takes, found out by asking.

The number grows by one with each success until the place throttles, is then cut to 0.7 of itself,
and grows by one in as many successes as it is large ("additive increase, multiplicative decrease").
A request that was throttled keeps its slot while it waits, and for a moment nobody starts: else
those that wait their turn would only take its place in the queue that is too long.

Source: Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in
Computer Networks", 1989.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from time import monotonic, sleep
from typing import TYPE_CHECKING, final

from zlab.stores.retry import RetryBudget

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST = 32.0
_LEAST = 1.0
_MOST = 512.0
_CUT = 0.7
_CUT_EVERY_S = 0.25  # those that were under way when it was cut tell nothing new
_STEADY_S = 0.5  # without growth after a cut
_GATE_S = 0.02
_WAKE_S = 0.5  # a wait without a limit cannot be interrupted on Windows


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds that a user sets; the number of requests at once adapts itself below them.

    Attributes:
        requests: At once.
        requests_per_s: Begun in a second, on average.
        nbytes: Asked for and not yet there, as far as that is known before.
    """

    requests: int | None = None
    requests_per_s: float | None = None
    nbytes: int | None = None

    def __post_init__(self) -> None:
        for name in ("requests", "requests_per_s", "nbytes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                msg = f"{name} must be more than 0, not {value!r}"
                raise ValueError(msg)


@final
class Limiter:
    """Slots for the requests to one place.

    Args:
        limits: The bounds.

    Attributes:
        limits: The bounds; they can be replaced at any time.
        in_flight: Slots that are taken.
        throttled: How often the place has throttled.
        budget: Retries that the place allows.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.in_flight = 0
        self.throttled = 0
        self.budget = RetryBudget()
        self._nbytes = 0
        self._allowed = _FIRST
        self._cut_at = -inf
        self._gate_until = -inf
        self._next_start = -inf
        self._waiting = 0
        # taken directly where nobody is to be woken: a condition's own methods cost more
        self._lock = threading.Lock()
        self._turn = threading.Condition(self._lock)

    @property
    def allowed(self) -> float:
        """Requests at once that it allows now."""
        return min(self._allowed, self.limits.requests or inf)

    @contextmanager
    def slot(self, nbytes: int = 0) -> Iterator[None]:
        """Waits for a slot, and holds it.

        Args:
            nbytes: Bytes that will come, as far as it is known.
        """
        self.take(nbytes)
        try:
            yield
        finally:
            self.give_back(nbytes)

    def take(self, nbytes: int = 0) -> None:
        """Waits for a slot and takes it, until it is given back."""
        with self._lock:
            self._waiting += 1
            try:
                while not self._has_room(nbytes):
                    self._turn.wait(_WAKE_S)
            finally:
                self._waiting -= 1
            self.in_flight += 1
            self._nbytes += nbytes

    def take_free(self, nbytes: int = 0) -> bool:
        """Takes a slot if one is free that nobody waits for; whether it did."""
        with self._lock:
            if self._waiting or not self._has_room(nbytes):
                return False
            self.in_flight += 1
            self._nbytes += nbytes
            return True

    def give_back(self, nbytes: int = 0) -> None:
        """Gives back a slot that was taken for so many bytes."""
        with self._lock:
            self.in_flight -= 1
            self._nbytes -= nbytes
            if self._waiting:
                # growth may have made room for one more
                self._turn.notify(2)

    def pace(self) -> None:
        """Waits until a request may begin; called by who holds a slot, before each request."""
        rate = self.limits.requests_per_s
        if rate is not None:
            with self._lock:
                start = max(monotonic(), self._next_start)
                self._next_start = start + 1.0 / rate
            self._sleep_until(start)
        if self._gate_until != -inf:
            self._sleep_until(self._gate_until)

    def succeed(self) -> None:
        """A request has succeeded."""
        if self._allowed >= _MOST:
            return
        if self._cut_at == -inf and self.in_flight < self._allowed - 1.0:
            return  # seen without the lock: what is missed is made good by the next
        with self._lock:
            if self._cut_at == -inf:
                # only where it is the bound: growing on while few ask would say nothing
                if self.in_flight >= self._allowed - 1.0:
                    self._allowed = min(_MOST, self._allowed + 1.0)
            elif monotonic() - self._cut_at > _STEADY_S:
                self._allowed = min(_MOST, self._allowed + 1.0 / self._allowed)

    def throttle(self, retry_after_s: float | None = None) -> None:
        """The place has throttled.

        Args:
            retry_after_s: How long it wants to be left alone.
        """
        with self._lock:
            self.throttled += 1
            now = monotonic()
            if now - self._cut_at > _CUT_EVERY_S:
                self._allowed = max(_LEAST, self._allowed * _CUT)
                self._cut_at = now
                self._gate_until = max(self._gate_until, now + _GATE_S)
            if retry_after_s is not None:
                self._gate_until = max(self._gate_until, now + retry_after_s)

    def _has_room(self, nbytes: int) -> bool:
        if self.in_flight == 0:
            return True
        most = self.limits.nbytes
        fits = most is None or self._nbytes + nbytes <= most
        return fits and self.in_flight < int(self.allowed)

    @staticmethod
    def _sleep_until(moment: float) -> None:
        left = moment - monotonic()
        if left > 0:
            sleep(left)


_limiters: dict[str, Limiter] = {}
_lock = threading.Lock()


def limiter_of(place: str, limits: Limits | None = None) -> Limiter:
    """The one limiter of a place in this process.

    Args:
        place: Scheme, host and bucket.
        limits: Replace its bounds, where given.
    """
    with _lock:
        limiter = _limiters.get(place)
        if limiter is None:
            limiter = _limiters[place] = Limiter()
        if limits is not None:
            limiter.limits = limits
        return limiter
