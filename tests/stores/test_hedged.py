"""Second requests, over a backend whose answers come when the test lets them."""

from __future__ import annotations

import pickle
import threading
from itertools import count
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import pytest

import zlab
from zlab.errors import StorePermissionError, StoreTransientError
from zlab.stores import lent
from zlab.stores.cloud import Cloud
from zlab.stores.hedged import Hedges, check_after
from zlab.stores.limits import Limiter, Limits
from zlab.stores.remote import RemoteStore
from zlab.stores.retry import RetryPolicy
from zlab.telemetry import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zlab.errors import StoreError

_numbers = count()


class Slow:
    """A backend whose answers wait for an event each; what has none answers at once."""

    name = "test://slow"
    conditional = False

    def __init__(
        self, *waits: threading.Event | None, errors: dict[int, StoreError] | None = None
    ) -> None:
        self.place = f"test://slow/{next(_numbers)}"
        self.waits = list(waits)
        self.errors = errors or {}
        self.calls = 0
        self.ended = 0
        self.lock = threading.Lock()

    def get(self, key: str, byte_range: Any) -> bytes:
        del key, byte_range
        with self.lock:
            number = self.calls
            self.calls += 1
            wait = self.waits[number] if number < len(self.waits) else None
        if wait is not None:
            wait.wait(30)
        with self.lock:
            self.ended += 1
        if number in self.errors:
            raise self.errors[number]
        return b"%d" % number

    def nbytes(self, key: str) -> int:
        del key
        self.calls += 1
        return 1

    def put(self, key: str, value: bytes) -> None:
        del key, value
        self.calls += 1
        sleep(0.05)


def until(condition: Callable[[], bool]) -> None:
    ends = monotonic() + 30
    while not condition():
        assert monotonic() < ends
        sleep(0.001)


def set_when(event: threading.Event, condition: Callable[[], bool]) -> None:
    def work() -> None:
        until(condition)
        event.set()

    threading.Thread(target=work).start()


@pytest.fixture
def event() -> Iterator[threading.Event]:
    made = threading.Event()
    yield made
    made.set()


def store_of(backend: Any, hedge_s: Any = 0.01, **options: Any) -> RemoteStore:
    return RemoteStore(backend, hedge_s=hedge_s, retry=RetryPolicy(attempts=1), **options)


def test_a_late_answer_is_overtaken_and_both_slots_come_back(event: threading.Event) -> None:
    backend = Slow(event)
    store = store_of(backend)
    with capture("store.hedge") as captured:
        assert store.get("k") == b"1"
    (told,) = captured.events
    assert (told.store, told.key, told.won) == (store.name, "k", True)
    assert told.wait_s == 0.01 <= told.duration_s
    # the first one is still on its way, and counted
    assert (backend.calls, backend.ended, store.limiter.in_flight) == (2, 1, 1)
    event.set()
    until(lambda: store.limiter.in_flight == 0)
    assert store.hedges is not None
    info = store.hedges.info()
    assert (info.reads, info.sent, info.won) == (1, 1, 1)


def test_the_first_may_still_win(event: threading.Event) -> None:
    first, second = threading.Event(), event
    backend = Slow(first, second)
    store = store_of(backend)
    set_when(first, lambda: backend.calls == 2)
    assert store.get("k") == b"0"
    second.set()
    until(lambda: store.limiter.in_flight == 0)
    assert store.hedges is not None
    assert (store.hedges.info().sent, store.hedges.info().won) == (1, 0)


def test_what_comes_in_time_is_asked_for_once() -> None:
    backend = Slow()
    store = store_of(backend, 30.0)
    assert [store.get("k") for _ in range(50)] == [b"%d" % n for n in range(50)]
    assert (backend.calls, store.limiter.in_flight) == (50, 0)


def test_a_failure_waits_for_the_other_answer(event: threading.Event) -> None:
    backend = Slow(event, None, errors={1: StoreTransientError("the second")})
    store = store_of(backend)
    set_when(event, lambda: backend.ended == 1)
    assert store.get("k") == b"0"


def test_where_both_fail_it_is_the_first_that_is_told(event: threading.Event) -> None:
    errors: dict[int, StoreError] = {n: StoreTransientError(f"number {n}") for n in (0, 1)}
    backend = Slow(event, None, errors=errors)
    store = store_of(backend)
    set_when(event, lambda: backend.ended == 1)
    with pytest.raises(StoreTransientError, match="number 0"):
        store.get("k")
    until(lambda: store.limiter.in_flight == 0)


def test_a_refusal_is_told_at_once(event: threading.Event) -> None:
    backend = Slow(event, None, errors={1: StorePermissionError("no")})
    with pytest.raises(StorePermissionError, match="no"):
        store_of(backend).get("k")
    assert backend.ended == 1


def test_what_failed_is_tried_again_without_a_second_request(event: threading.Event) -> None:
    event.set()
    backend = Slow(errors={0: StoreTransientError("once")})
    retry = RetryPolicy(attempts=2, base_s=0.0)
    store = RemoteStore(backend, hedge_s=30.0, retry=retry)  # type: ignore[arg-type]
    assert store.get("k") == b"1"
    assert backend.calls == 2


def test_a_twentieth_of_the_reads_is_asked_for_twice_at_most() -> None:
    backend = Slow()
    hedges = Hedges(0.0, Limiter(), "test://budget")

    def late() -> bytes:
        sleep(0.001)
        return backend.get("k", None)

    for _ in range(200):
        hedges.first_answer("k", late, 0)
    assert hedges.info().reads == 200
    assert 1 <= hedges.info().sent <= 1 + 200 * 0.05


def test_no_second_request_is_made_without_a_free_slot(event: threading.Event) -> None:
    backend = Slow(event)
    store = store_of(backend, 0.001, limits=Limits(requests=1))
    threading.Timer(0.05, event.set).start()
    assert store.get("k") == b"0"
    assert backend.calls == 1
    assert store.hedges is not None
    assert store.hedges.info().sent == 0


def test_writes_and_look_ups_are_never_asked_twice() -> None:
    backend = Slow()
    store = store_of(backend, 0.0)
    store.put("k", b"")
    store.nbytes("k")
    assert backend.calls == 2


def test_a_quantile_is_learned() -> None:
    limiter = Limiter(Limits(requests=1))
    limiter.take()  # so that none is sent
    hedges = Hedges("p90", limiter, "test://learn")
    waits = iter([0.0] * 43 + [0.05] * 5)
    for _ in range(48):
        hedges.first_answer("k", lambda: sleep(next(waits)), 0)
    after_s = hedges.info().after_s
    assert after_s is not None
    assert after_s >= 0.05
    assert hedges.info().sent == 0


def test_threads_are_used_again() -> None:
    names = set[int]()
    store = store_of(Slow(), 30.0)
    inner = store.backend.get

    def get(key: str, byte_range: Any) -> Any:
        names.add(threading.get_ident())
        return inner(key, byte_range)

    store.backend.get = get  # type: ignore[method-assign]

    def read() -> None:
        for _ in range(100):
            store.get("k")

    reader = threading.Thread(target=read)
    reader.start()
    reader.join()
    assert len(names) <= 3


def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lent, "_IDLE_S", 0.01)
    monkeypatch.setattr(lent, "_idle", [])
    lending: list[threading.Thread] = []
    for _ in range(5):
        lent.lend(lambda: lending.append(threading.current_thread()))
    until(lambda: len(lending) == 5)
    until(lambda: not any(thread.is_alive() for thread in lending))
    assert lent._idle == []


def test_options_are_checked_and_travel() -> None:
    for wrong in ("95", "p", "p100", -1.0):
        with pytest.raises(ValueError, match="hedge_s"):
            check_after(wrong)
    for odd in (True, [1]):
        with pytest.raises(TypeError, match="hedge_s"):
            check_after(odd)  # type: ignore[arg-type]
    cloud = Cloud.parse("s3://bucket/a", {"hedge_s": "p95"})
    assert cloud.options.hedge_s == "p95"
    with pytest.raises(ValueError, match="hedge_s"):
        zlab.open("s3://bucket/a", storage_options={"hedge_s": "soon"})
    pytest.importorskip("obstore")
    store, _ = zlab.stores.open.store_from("https://127.0.0.1:1", storage_options={"hedge_s": 0.2})
    again = pickle.loads(pickle.dumps(store))  # noqa: S301
    assert again.hedges.after == 0.2
