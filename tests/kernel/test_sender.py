from __future__ import annotations

import contextvars
import itertools
import os
import queue
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from zlab.kernel import sender as module
from zlab.kernel.sender import Sender
from zlab.telemetry import Snapshot, Totals

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 60
EMPTY = Snapshot(t=0.0, totals=Totals(), in_flight=0, latency=(0,) * 24, top=())


class Outbox:
    """Takes frames, and waits for them."""

    def __init__(self) -> None:
        self._frames: queue.Queue[dict[str, Any]] = queue.Queue()
        self.threads: set[str] = set()

    def __call__(self, frame: dict[str, Any]) -> None:
        self.threads.add(threading.current_thread().name)
        self._frames.put(frame)

    def next(self) -> dict[str, Any]:
        return self._frames.get(timeout=PATIENCE_S)

    def empty(self) -> bool:
        return self._frames.empty()


@pytest.fixture
def busy() -> Iterator[Sender]:
    """A sender of counters that change at each look."""
    counter = itertools.count(1)
    sender = Sender(lambda: replace(EMPTY, totals=Totals(chunks_read=next(counter))))
    yield sender
    sender.close()


@pytest.fixture
def still() -> Iterator[Sender]:
    """A sender of counters that never change, with a clock that stands still."""
    sender = Sender(lambda: EMPTY, clock=lambda: 0.0)
    yield sender
    sender.close()


def thread_of(sender: Sender) -> threading.Thread:
    thread = sender._thread
    assert thread is not None
    return thread


def test_frames_count_up_and_are_cumulative(busy: Sender) -> None:
    outbox = Outbox()
    busy.add("a", outbox, 10)
    frames = [outbox.next() for _ in range(3)]
    assert [frame["seq"] for frame in frames] == [1, 2, 3]
    assert {frame["session"] for frame in frames} == {busy.session}
    read = [frame["totals"]["chunks_read"] for frame in frames]
    assert read == sorted(set(read))
    assert [frame["t"] for frame in frames] == sorted(frame["t"] for frame in frames)
    assert outbox.threads == {"zlab-telemetry"}


def test_all_who_look_get_the_same_frames(busy: Sender) -> None:
    first, second = Outbox(), Outbox()
    busy.add("a", first, 10)
    first.next()
    busy.add("b", second, 0.2)
    seen = second.next()
    while (frame := first.next())["seq"] < seen["seq"]:
        pass
    assert frame == seen
    assert second.next() == first.next()


def test_one_who_comes_gets_a_frame_at_once_though_nothing_changes(still: Sender) -> None:
    first, second = Outbox(), Outbox()
    still.add("a", first, 0.2)
    assert first.next()["seq"] == 1
    still.add("b", second, 0.2)
    assert second.next()["seq"] == first.next()["seq"] == 2
    assert first.empty()


def test_the_thread_ends_with_the_last_and_starts_again(busy: Sender) -> None:
    outbox = Outbox()
    busy.add("a", outbox, 0.2)
    outbox.next()
    thread = thread_of(busy)
    assert thread.daemon
    busy.remove("a")
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    busy.add("a", outbox, 0.2)
    assert outbox.next()["seq"] == 2


def test_an_outlet_that_fails_is_dropped_and_the_others_go_on(busy: Sender) -> None:
    def fail(frame: object) -> None:
        raise BrokenPipeError

    outbox = Outbox()
    busy.add("broken", fail, 10)
    busy.add("whole", outbox, 10)
    outbox.next()
    outbox.next()
    assert list(busy._outlets) == ["whole"]


def test_frames_are_sent_in_the_context_of_the_latest_sign(still: Sender) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    seen: queue.Queue[str] = queue.Queue()

    def send(frame: object) -> None:
        seen.put(variable.get())

    token = variable.set("opened")
    still.add("a", send, 0.2)
    assert seen.get(timeout=PATIENCE_S) == "opened"
    variable.set("renewed")
    still.renew("a")
    variable.reset(token)
    still.add("b", Outbox(), 0.2)
    assert seen.get(timeout=PATIENCE_S) == "renewed"


def test_what_steers_the_cadence() -> None:
    now = 0.0
    sender = Sender(lambda: EMPTY, clock=lambda: now)
    sender.add("a", Outbox(), 5)
    sender.add("b", Outbox(), 2)
    assert sender._attention().hz == 5
    sender.renew("a", 1)
    assert sender._attention().hz == 2
    sender.renew("nobody", 10)
    assert sender._attention().hz == 2
    now = 70.0
    assert sender._attention().unseen_s == 70
    sender.renew("b")
    assert sender._attention().unseen_s == 0
    sender.cell_ended()
    assert not sender._attention().cell_runs
    sender.cell_started()
    sender.cell_started()
    sender.cell_ended()
    assert sender._attention().cell_runs
    sender.cell_ended()
    assert not sender._attention().cell_runs
    sender.close()


def test_close_lets_everybody_go(busy: Sender) -> None:
    outbox = Outbox()
    busy.add("a", outbox, 0.2)
    outbox.next()
    thread = thread_of(busy)
    busy.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    busy.close()


def test_one_who_looks_may_leave_while_it_is_told(busy: Sender) -> None:
    left = threading.Event()

    def send(frame: object) -> None:
        busy.close()
        left.set()

    busy.add("a", send, 10)
    assert left.wait(PATIENCE_S)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_sends_nothing() -> None:
    code = """
import os, queue, sys
from zlab.kernel.sender import sender

frames = queue.Queue()
sender.add("a", frames.put, 0.2)
frames.get()
before = sender.session
with sender._lock:  # as another thread may hold it
    child = os.fork()
if not child:
    own = sender.session != before and not sender._outlets and sender._thread is None
    frames = queue.Queue()
    sender.add("b", frames.put, 10)
    os._exit(0 if own and frames.get()["seq"] == 1 else 1)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status) or int(sender.session != before))
"""
    run = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code]
    assert subprocess.run(run, check=False, timeout=PATIENCE_S).returncode == 0


def test_an_interpreter_that_ends_does_not_wait_for_the_next_frame() -> None:
    code = """
import queue
from zlab.kernel.sender import sender

frames = queue.Queue()
sender.add("a", frames.put, 0.0001)
frames.get()
"""
    # the next frame would come in three hours
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE_S)


def test_the_process_has_one_sender_that_ends_with_it() -> None:
    assert isinstance(module.sender, Sender)
    assert module.sender.frame()["session"] == module.sender.session
