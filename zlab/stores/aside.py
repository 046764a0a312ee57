"""Calls that may take long, made so that they can be left at once.

A call into a client library cannot be interrupted, and Python delivers Ctrl-C to the main thread
alone: so the main thread never makes such a call, it waits for another thread that does. Threads
that work for a read or a stream have an owner who may leave; they ask whether it has before they
try again.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from zlab.stores.lent import lend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_WAKE_S = 0.5  # a wait without a limit cannot be interrupted on Windows


class _Owner(threading.local):
    has_left: Callable[[], bool] | None = None


_owner = _Owner()


@contextmanager
def working_for(has_left: Callable[[], bool]) -> Iterator[None]:
    """A context in which this thread works for somebody.

    Args:
        has_left: Whether nobody waits for the result any more.
    """
    before, _owner.has_left = _owner.has_left, has_left
    try:
        yield
    finally:
        _owner.has_left = before


def is_abandoned() -> bool:
    """Whether nobody waits for what this thread does."""
    has_left = _owner.has_left
    return has_left is not None and has_left()


def wait_s(seconds: float) -> bool:
    """Waits, unless nobody waits for what this thread does.

    Returns:
        Whether somebody still does.
    """
    has_left = _owner.has_left
    if has_left is None:
        threading.Event().wait(seconds)
        return True
    left = seconds
    while left > 0 and not has_left():
        threading.Event().wait(min(left, _WAKE_S))
        left -= _WAKE_S
    return not has_left()


def interruptible(call: Callable[[], T]) -> T:
    """Calls, in another thread where this is the main one.

    Raises:
        KeyboardInterrupt: Ctrl-C; what the other thread does is dropped, and tried no more.
    """
    if threading.get_ident() != threading.main_thread().ident:
        return call()
    outcome: list[tuple[T | None, BaseException | None]] = []
    finished, left = threading.Event(), threading.Event()

    def work() -> None:
        try:
            with working_for(left.is_set):
                outcome.append((call(), None))
        except BaseException as error:  # noqa: BLE001  raised again by the caller
            outcome.append((None, error))
        finished.set()

    lend(work)
    try:
        while not finished.wait(_WAKE_S):
            pass
    finally:
        left.set()
    value, error = outcome.pop()
    try:
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # there is one where there is no error
    finally:
        # else the error, its traceback and this frame keep each other alive
        del error
