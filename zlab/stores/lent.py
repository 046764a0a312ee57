"""Threads that are lent for one call, and again for another: starting one costs several times more.

They are daemons: leaving the interpreter waits for none of them.
"""

from __future__ import annotations

import os
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

_Inbox: TypeAlias = "SimpleQueue[Callable[[], None]]"

_IDLE_S = 5.0

# the last that came back goes first, so that those that are too many end
_idle: list[_Inbox] = []


def lend(call: Callable[[], None]) -> None:
    """Calls in another thread, at once.

    Args:
        call: It raises nothing: there is nobody to raise it to.
    """
    try:
        inbox = _idle.pop()
    except IndexError:
        inbox = SimpleQueue()
        threading.Thread(target=_serve, args=(inbox,), name="zlab-lent", daemon=True).start()
    inbox.put(call)


def _serve(inbox: _Inbox) -> None:
    while True:
        try:
            call = inbox.get(timeout=_IDLE_S)
        except Empty:
            try:
                _idle.remove(inbox)
            except ValueError:
                continue  # somebody has just taken it, and is about to call
            return
        call()
        # what it holds is not kept until the next one
        del call
        _idle.append(inbox)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_idle.clear)
