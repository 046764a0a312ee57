"""The one thread of a process that sends frames of telemetry to those who look.

It starts with the first outlet and ends with the last, so that a kernel that nobody looks at has
no thread.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import uuid
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zlab import telemetry
from zlab.kernel.cadence import Attention, is_due, period_s
from zlab.kernel.messages import format_frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from zlab.telemetry import Snapshot

_log = logging.getLogger("zlab.kernel")


@dataclass(slots=True)
class Outlet:
    """One who looks: a page's comm, or a widget.

    Attributes:
        send: Takes a frame.
        hz: The rate that is asked for.
        context: In which `send` is called. With ipykernel 7 it names the subshell that the page
            talks to; sent from another context, what the page says next would wait for the cell.
    """

    send: Callable[[dict[str, Any]], object]
    hz: float
    context: Context = field(default_factory=copy_context)


class Sender:
    """Sends cumulative totals to all outlets, in one cadence.

    Args:
        snapshot: Takes the totals.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot] = telemetry.snapshot,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._snapshot = snapshot
        self._clock = clock
        self._restart()

    def _restart(self) -> None:
        self.session = uuid.uuid4().hex
        self._start = self._clock()
        self._lock = threading.Lock()
        self._outlets: dict[str, Outlet] = {}
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._greet = False
        self._seq = 0
        self._cells = 0
        self._last_sign = self._start

    def add(self, key: str, send: Callable[[dict[str, Any]], object], hz: float) -> None:
        """Adds one who looks; it gets a frame at once, in the context of this call."""
        with self._lock:
            self._last_sign = self._clock()
            self._outlets[key] = Outlet(send, hz)
            self._greet = True
            self._wake.set()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="zlab-telemetry", daemon=True
                )
                self._thread.start()

    def renew(self, key: str, hz: float | None = None) -> None:
        """Notes a sign of one who looks, and the rate that it asks for."""
        with self._lock:
            self._last_sign = self._clock()
            outlet = self._outlets.get(key)
            if outlet is not None:
                outlet.context = copy_context()
                outlet.hz = outlet.hz if hz is None else hz
            self._wake.set()

    def remove(self, key: str) -> None:
        """Forgets one who looks; the thread ends with the last."""
        with self._lock:
            self._outlets.pop(key, None)
            self._wake.set()

    def cell_started(self) -> None:
        """A cell runs from now on."""
        with self._lock:
            self._cells += 1
            self._wake.set()

    def cell_ended(self) -> None:
        """One cell less runs; one that nobody saw starting does not count."""
        with self._lock:
            self._cells = max(0, self._cells - 1)

    def frame(self) -> dict[str, Any]:
        """Makes the next frame."""
        return self._frame(self._snapshot())

    def _frame(self, snapshot: Snapshot) -> dict[str, Any]:
        with self._lock:
            self._seq += 1
            seq = self._seq
        return format_frame(snapshot, self.session, seq, self._clock() - self._start)

    def close(self) -> None:
        """Lets everybody go and waits for the thread, which is at most one frame away."""
        with self._lock:
            thread = self._thread
            self._outlets.clear()
            self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=1)

    def _run(self) -> None:
        sent_at = -float("inf")
        sent: object = None
        while True:
            with self._lock:
                self._wake.clear()
                if not self._outlets:
                    self._thread = None
                    return
                greet, self._greet = self._greet, False
                attention = self._attention()
            snapshot = self._snapshot()
            counters = (snapshot.totals, snapshot.in_flight)
            now = self._clock()
            if greet or is_due(attention, now - sent_at, changed=counters != sent):
                self._broadcast(self._frame(snapshot))
                sent_at, sent = now, counters
            self._wake.wait(period_s(attention))

    def _attention(self) -> Attention:
        return Attention(
            hz=max(outlet.hz for outlet in self._outlets.values()),
            unseen_s=self._clock() - self._last_sign,
            cell_runs=self._cells > 0,
        )

    def _broadcast(self, frame: dict[str, Any]) -> None:
        with self._lock:
            outlets = list(self._outlets.items())
        for key, outlet in outlets:
            try:
                outlet.context.run(outlet.send, frame)
            except Exception:  # noqa: BLE001 - this one's channel is broken; the others still look
                _log.debug("a telemetry outlet failed and was dropped", exc_info=True)
                self.remove(key)


sender = Sender()
atexit.register(sender.close)

if hasattr(os, "register_at_fork"):  # not on Windows
    # a child has no thread, talks to no page, and must not wait for a lock that the parent held
    os.register_at_fork(after_in_child=sender._restart)  # noqa: SLF001
