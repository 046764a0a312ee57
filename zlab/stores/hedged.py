"""Reads that take long, asked for a second time: the first answer is taken, the other dropped.

Of many reads that are made at once a few take many times as long as the rest, and all wait for
them. Asking again costs a request; a budget bounds how many, and a slot has to be free, so that a
storage that is slow because it has too much to do is not given more.

Source: Dean and Barroso, "The Tail at Scale", Communications of the ACM 56 (2), 2013.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar, final

from zlab.errors import StoreTransientError
from zlab.stores.lent import lend
from zlab.telemetry.events import StoreHedge
from zlab.telemetry.hub import hub

if TYPE_CHECKING:
    from collections.abc import Callable

    from zlab.stores.limits import Limiter

T = TypeVar("T")

HedgeAfter: TypeAlias = float | str
"""Seconds, or such as `"p95"`: as long as 95 of 100 reads take."""

_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")
_SHARE = 0.05
_MOST_SAVED = 10.0
_REMEMBERED = 256
_LEAST_KNOWN = 32
_LEARN_EVERY = 16


@dataclass(frozen=True, slots=True)
class HedgeInfo:
    """What was hedged so far.

    Attributes:
        reads: Reads that could have been.
        sent: Second requests.
        won: Those of them that answered first.
        after_s: Seconds until a second request is sent now; `None` where it is not known yet.
    """

    reads: int
    sent: int
    won: int
    after_s: float | None


class _Answer(NamedTuple):
    is_second: bool
    value: Any
    error: BaseException | None


@final
class Hedges:
    """Second requests of one store.

    Args:
        after: When a second request is sent: seconds, or a quantile such as `"p95"`, which is known
            from 32 reads on.
        limiter: Whose slots are taken.
        store: The store's name.

    Attributes:
        after: As given.

    Raises:
        TypeError: `after` is neither.
        ValueError: It is out of range.
    """

    def __init__(self, after: HedgeAfter, limiter: Limiter, store: str) -> None:
        self.after = check_after(after)
        self._limiter = limiter
        self._store = store
        found = _QUANTILE.fullmatch(after) if isinstance(after, str) else None
        self._quantile = None if found is None else float(found[1]) / 100.0
        self._after_s = None if isinstance(after, str) else float(after)
        self._lock = threading.Lock()
        self._durations: deque[float] = deque(maxlen=_REMEMBERED)
        self._saved = 1.0
        self._reads = self._sent = self._won = 0

    def info(self) -> HedgeInfo:
        """What was hedged so far."""
        with self._lock:
            return HedgeInfo(self._reads, self._sent, self._won, self._after_s)

    def first_answer(self, key: str, call: Callable[[], T], nbytes: int) -> T:
        """What a call gives, or a second one like it, whichever is there first.

        The caller holds a slot for the first. The one that is dropped goes on in its thread until
        the storage answers or its time is up; as long, two slots are taken.

        Args:
            key: Of the object.
            call: Makes one request.
            nbytes: Bytes that will come, as far as it is known.

        Raises:
            StoreError: Of the first request, where neither brings anything.
        """
        with self._lock:
            self._reads += 1
            self._saved = min(_MOST_SAVED, self._saved + _SHARE)
            after_s = self._after_s
        answers: SimpleQueue[_Answer] = SimpleQueue()
        pair = _Pair(self._limiter, nbytes)
        began = monotonic()
        lend(lambda: answers.put(pair.ask(call, is_second=False)))
        try:
            answer = answers.get(timeout=after_s)
        except Empty:
            if self._may_send(nbytes):
                lend(lambda: answers.put(pair.ask(call, is_second=True)))
                answer = answers.get()
                if isinstance(answer.error, StoreTransientError):
                    other = answers.get()
                    answer = other if other.error is None or answer.is_second else answer
                self._tell(key, after_s or 0.0, monotonic() - began, won=answer.is_second)
            else:
                answer = answers.get()
        try:
            if answer.error is not None:
                raise answer.error
            self._learn(monotonic() - began)
            return answer.value  # type: ignore[no-any-return]
        finally:
            # else the error, its traceback and this frame keep each other alive
            del answer

    def _may_send(self, nbytes: int) -> bool:
        with self._lock:
            if self._saved < 1.0 or not self._limiter.take_free(nbytes):
                return False
            self._saved -= 1.0
            self._sent += 1
        return True

    def _tell(self, key: str, wait_s: float, duration_s: float, *, won: bool) -> None:
        if won:
            with self._lock:
                self._won += 1
        if hub.wants(StoreHedge):
            hub.emit(StoreHedge(self._store, key, wait_s, duration_s, won))

    def _learn(self, duration_s: float) -> None:
        if self._quantile is None:
            return
        with self._lock:
            known = self._durations
            known.append(duration_s)
            if len(known) >= _LEAST_KNOWN and self._reads % _LEARN_EVERY == 0:
                self._after_s = sorted(known)[int(self._quantile * len(known))]


class _Pair:
    """The one or two requests of a read."""

    def __init__(self, limiter: Limiter, nbytes: int) -> None:
        self._limiter = limiter
        self._nbytes = nbytes
        self._ended = 0
        self._lock = threading.Lock()

    def ask(self, call: Callable[[], Any], *, is_second: bool) -> _Answer:
        """Makes one of them."""
        try:
            if is_second:
                self._limiter.pace()
            answer = _Answer(is_second, call(), None)
        except BaseException as error:  # noqa: BLE001  raised again by the reader
            answer = _Answer(is_second, None, error)
        with self._lock:
            self._ended += 1
            are_two = self._ended == 2  # noqa: PLR2004
        # the reader gives back one slot, when it has its answer; the other is held by who is left
        if are_two:
            self._limiter.give_back(self._nbytes)
        return answer


def check_after(after: HedgeAfter) -> HedgeAfter:
    """A time that is one.

    Raises:
        TypeError: It is neither a number nor a text.
        ValueError: It is out of range.

    Example:
        >>> check_after("p95"), check_after(0.2)
        ('p95', 0.2)
    """
    if isinstance(after, str):
        if _QUANTILE.fullmatch(after) is None or after in ("p0", "p00"):
            msg = f"hedge_s must be seconds or such as 'p95', not {after!r}"
            raise ValueError(msg)
        return after
    if isinstance(after, bool) or not isinstance(after, (int, float)):
        msg = f"hedge_s must be seconds or such as 'p95', not {type(after).__name__}"
        raise TypeError(msg)
    if not after >= 0:
        msg = f"hedge_s must be a number of seconds, not {after!r}"
        raise ValueError(msg)
    return after
