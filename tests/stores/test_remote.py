"""The policy, over a backend that fails as it is told to."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from zlab.errors import (
    CorruptObjectError,
    ReadOnlyError,
    StoreConflictError,
    StoreCredentialsError,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
    StoreThrottledError,
    StoreTimeoutError,
    StoreTransientError,
)
from zlab.stores.aside import working_for
from zlab.stores.memory import MemoryStore
from zlab.stores.remote import RemoteStore
from zlab.stores.retry import RetryPolicy
from zlab.telemetry import capture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange, Entry, Listing

QUICK = RetryPolicy(attempts=4, base_s=0.001, cap_s=0.002, deadline_s=5)


class Scripted:
    """A backend in memory that raises what is planned, before or after it does its work."""

    name = "test://scripted"
    conditional = True

    def __init__(self, *plan: StoreError | None, after: bool = False) -> None:
        self.place = f"test://{id(self)}"
        self.plan = list(plan)
        self.after = after
        self.calls = 0
        self.refreshed = 0
        self.store = MemoryStore()
        self.tags: dict[str, int] = {}

    def _fail(self) -> None:
        self.calls += 1
        if self.plan and (error := self.plan.pop(0)) is not None:
            raise error

    def get(self, key: str, byte_range: ByteRange | None) -> Buffer | None:
        self._fail()
        return self.store.get(key, byte_range)

    def get_tagged(self, key: str) -> tuple[Buffer, str] | None:
        self._fail()
        data = self.store.get(key)
        return None if data is None else (data, str(self.tags[key]))

    def put(self, key: str, value: Buffer) -> None:
        self._fail()
        self.store.put(key, value)

    def put_if(self, key: str, value: Buffer, tag: str | None) -> None:
        if not self.after:
            self._fail()
        there = self.tags.get(key)
        if (None if tag is None else int(tag)) != there:
            raise StoreConflictError("another version")
        self.tags[key] = (there or 0) + 1
        self.store.put(key, value)
        if self.after:
            self._fail()

    def delete(self, keys: list[str]) -> None:
        self._fail()
        for key in keys:
            self.store.delete(key)

    def pages(self, prefix: str, after: str | None) -> Iterator[list[Entry]]:
        found = sorted(e for e in self.store.list(prefix) if after is None or e.key > after)
        for start in range(0, len(found), 2):
            self._fail()
            yield found[start : start + 2]

    def list_dir(self, prefix: str) -> Listing:
        self._fail()
        return self.store.list_dir(prefix)

    def list_versions(self, prefix: str) -> list[tuple[str, object]]:
        self._fail()
        return [(key, self.tags.get(key)) for key, _ in self.store.list(prefix)]

    def nbytes(self, key: str) -> int | None:
        self._fail()
        return self.store.nbytes(key)

    def refresh(self) -> None:
        self.refreshed += 1


def test_what_may_pass_is_tried_again() -> None:
    backend = Scripted(StoreTransientError("a"), StoreTimeoutError("b"), StoreThrottledError("c"))
    backend.store.put("k", b"v")
    store = RemoteStore(backend, retry=QUICK)
    with capture("store.retry") as captured:
        assert store.get("k") == b"v"
    assert backend.calls == 4
    assert [(e.operation, e.key, e.attempt) for e in captured.events] == [
        ("get", "k", n) for n in (1, 2, 3)
    ]
    assert store.limiter.throttled == 1


def test_the_last_error_says_how_often_it_was_tried() -> None:
    backend = Scripted(*[StoreTransientError("down", store="s", key="k") for _ in range(9)])
    with pytest.raises(StoreTransientError, match=r"4 attempts in \d+\.\d s") as caught:
        RemoteStore(backend, retry=QUICK).get("k")
    assert caught.value.attempts == backend.calls == 4


@pytest.mark.parametrize(
    "error",
    [
        StorePermissionError("403"),
        StoreNotFoundError("no bucket"),
        StoreConflictError("412"),
        StoreCredentialsError("wrong"),
        StoreError("400"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_does_not_pass_is_not_tried_again(error: StoreError) -> None:
    backend = Scripted(error)
    with pytest.raises(type(error)):
        RemoteStore(backend, retry=QUICK).get("k")
    assert backend.calls == 1


def test_off_is_one_word() -> None:
    backend = Scripted(StoreTransientError("a"))
    with pytest.raises(StoreTransientError):
        RemoteStore(backend, retry=RetryPolicy.parse("off")).get("k")
    assert backend.calls == 1


def test_a_corrupt_answer_is_asked_for_once_more() -> None:
    backend = Scripted(CorruptObjectError("short"))
    backend.store.put("k", b"v")
    assert RemoteStore(backend, retry=QUICK).get("k") == b"v"
    backend = Scripted(CorruptObjectError("short"), CorruptObjectError("short"))
    with pytest.raises(CorruptObjectError):
        RemoteStore(backend, retry=QUICK).get("k")
    assert backend.calls == 2


def test_expired_credentials_are_renewed_once() -> None:
    def expired() -> StoreError:
        error = StoreCredentialsError("expired")
        error.expired = True
        return error

    backend = Scripted(expired())
    assert RemoteStore(backend, retry=QUICK).get("k") is None
    assert backend.refreshed == 1
    backend = Scripted(expired(), expired())
    with pytest.raises(StoreCredentialsError):
        RemoteStore(backend, retry=QUICK).get("k")
    assert (backend.refreshed, backend.calls) == (1, 2)


def test_a_broken_answer_goes_on_where_it_broke() -> None:
    error = StoreTransientError("broken")
    error.resume = lambda: b"all"  # type: ignore[attr-defined]  # as a backend does
    backend = Scripted(error)
    assert RemoteStore(backend, retry=QUICK).get("k") == b"all"
    assert backend.calls == 1


def test_an_error_that_is_raised_holds_nothing_to_go_on_with() -> None:
    def broken() -> StoreError:
        error = StoreTransientError("broken")
        error.resume = lambda: b"all"  # type: ignore[attr-defined]  # as a backend does
        return error

    with pytest.raises(StoreTransientError) as caught:
        RemoteStore(Scripted(broken()), retry=RetryPolicy.parse("off")).get("k")
    assert type(pickle.loads(pickle.dumps(caught.value))) is StoreTransientError  # noqa: S301
    # a write that looks at what is there, and cannot, is no write
    backend = Scripted(broken())
    backend.put_if = _in_conflict  # type: ignore[method-assign,assignment]
    with pytest.raises(StoreConflictError):
        RemoteStore(backend, retry=QUICK).put_if("k", b"v", None)


def _in_conflict(*_: object) -> None:
    raise StoreConflictError("another version")


def test_waits_are_at_least_what_the_server_asks() -> None:
    error = StoreThrottledError("slow down")
    error.retry_after_s = 0.3
    begun = monotonic()
    RemoteStore(Scripted(error), retry=QUICK).get("k")
    assert monotonic() - begun >= 0.3


def test_an_operation_ends_at_its_deadline() -> None:
    error = StoreThrottledError("slow down")
    error.retry_after_s = 60
    backend = Scripted(error)
    with pytest.raises(StoreThrottledError):
        RemoteStore(backend, retry=QUICK).get("k")
    assert backend.calls == 1


def test_a_storage_that_is_down_uses_the_budget_up() -> None:
    backend = Scripted(*[StoreTransientError("down") for _ in range(1000)])
    store = RemoteStore(backend, retry=RetryPolicy(attempts=8, base_s=0, cap_s=0))
    for _ in range(50):
        with pytest.raises(StoreTransientError):
            store.get("k")
    assert backend.calls == 50 + 100  # the budget


def test_a_listing_that_breaks_off_goes_on_behind_the_last_key() -> None:
    backend = Scripted(None, StoreTransientError("a"), None, StoreTransientError("b"))
    keys = [f"c/{n}" for n in range(7)]
    for key in keys:
        backend.store.put(key, b"x")
    store = RemoteStore(backend, retry=QUICK)
    assert [entry.key for entry in store.list()] == keys
    backend.plan = [None, StoreTransientError("a")]
    store.delete_prefix("c")
    assert [*store.list()] == []


@pytest.mark.parametrize("tag", [None, "1"])
def test_a_write_whose_answer_is_lost_is_known_by_its_bytes(tag: str | None) -> None:
    backend = Scripted(StoreTransientError("lost"), after=True)
    store = RemoteStore(backend, retry=QUICK)
    if tag is not None:
        backend.store.put("k", b"old")
        backend.tags["k"] = 1
    store.put_if("k", b"mine", tag)
    assert backend.store.get("k") == b"mine"
    assert backend.tags["k"] == (1 if tag is None else 2)  # written once


def test_a_conflict_with_somebody_else_is_told() -> None:
    backend = Scripted()
    store = RemoteStore(backend, retry=QUICK)
    store.put_if("k", b"a", None)
    with pytest.raises(StoreConflictError):
        store.put_if("k", b"b", None)
    assert store.get_tagged("k") == (b"a", "1")
    # also where both write the same, which may be how they agree on who is first
    with pytest.raises(StoreConflictError):
        store.put_if("k", b"a", None)


def test_who_has_left_causes_no_further_request() -> None:
    backend = Scripted(*[StoreTransientError("down") for _ in range(9)])
    store = RemoteStore(backend, retry=QUICK)
    with working_for(lambda: backend.calls == 2), pytest.raises(StoreTransientError):
        # not on the main thread, which has a thread of its own do it
        _in_thread(lambda: store.get("k"), has_left=lambda: backend.calls == 2)
    assert backend.calls == 2


def _in_thread(call: Any, *, has_left: Any) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with working_for(has_left):
                call()
        except StoreError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    raise errors[0]


def test_writes_to_what_was_opened_for_reading_are_refused() -> None:
    backend = Scripted()
    store = RemoteStore(backend, read_only=True)
    with pytest.raises(ReadOnlyError):
        store.put("k", b"")
    with pytest.raises(ReadOnlyError):
        store.put_if("k", b"", None)
    with pytest.raises(ReadOnlyError):
        store.delete("k")
    with pytest.raises(ReadOnlyError):
        store.delete_prefix("k")
    assert backend.calls == 0


@pytest.mark.needs("cloud")
def test_a_pickle_carries_configuration() -> None:
    from zlab.stores.open import store_from

    store, _ = store_from(
        "s3://bucket/a",
        storage_options={"endpoint": "http://127.0.0.1:9", "retry": {"attempts": 2}, "requests": 5},
    )
    assert isinstance(store, RemoteStore)
    again = pickle.loads(pickle.dumps(store))  # noqa: S301  our own
    assert again == store
    assert again.policy.attempts == 2
    assert again.limiter.allowed == 5


def _read_in_child(store: RemoteStore, answers: Any) -> None:
    try:
        store.get("k")
    except StoreError as error:
        answers.put(str(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_gets_a_clear_error() -> None:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    store = RemoteStore(Scripted())
    child = context.Process(target=_read_in_child, args=(store, answers))
    child.start()
    assert "before this process was forked" in answers.get(timeout=30)
    child.join()


STALLED = """
import socket, sys, zlab
server = socket.create_server(("127.0.0.1", 0))  # it takes connections and says nothing
print("ready", flush=True)
try:
    zlab.open(
        "s3://bucket/a.zarr",
        storage_options={
            "endpoint": f"http://127.0.0.1:{server.getsockname()[1]}",
            "key": "a", "secret": "b", "idle_s": 60, "total_s": 60,
        },
    )
except KeyboardInterrupt:
    print("left", flush=True)
"""


@pytest.mark.needs("cloud")
def test_ctrl_c_returns_and_leaving_does_not_wait() -> None:
    process = subprocess.Popen([sys.executable, "-c", STALLED], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    threading.Event().wait(1.5)  # it has begun to wait for the server
    begun = monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "left\n"
    assert process.wait(30) == 0
    assert monotonic() - begun < 30  # the server would keep it for 60
    process.stdout.close()
