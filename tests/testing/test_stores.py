from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from zlab.errors import ReadOnlyError, StoreError
from zlab.stores.base import Entry, Listing, Range, Store, Suffix
from zlab.stores.memory import MemoryStore
from zlab.testing import Call, CountingStore, Counts, Fault, FaultStore, LatencyStore

if TYPE_CHECKING:
    from collections.abc import Callable


def inside() -> MemoryStore:
    return MemoryStore({"a/zarr.json": b"{}", "a/c/0": b"0123456789", "a/c/1": b"abcdef"})


WRAPPERS: list[Callable[[Store], Store]] = [
    CountingStore,
    lambda store: FaultStore(store, []),
    lambda store: LatencyStore(store, 0.0),
]


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_a_wrapper_is_a_store_that_does_the_same(wrap: Callable[[Store], Store]) -> None:
    within = inside()
    store = wrap(within)
    assert isinstance(store, Store)
    assert (store.name, store.read_only) == (within.name, False)
    assert store.get("a/c/0") == b"0123456789"
    assert store.get("a/c/0", Range(2, 3)) == b"234"
    assert store.get("a/c/0", Suffix(2)) == b"89"
    assert store.get("nothing") is None
    store.put("b", b"xy")
    assert within.get("b") == b"xy"
    assert store.nbytes("b") == 2
    assert store.version("b") == within.version("b")
    assert store.list_dir("a/c") == Listing([Entry("a/c/0", 10), Entry("a/c/1", 6)], [])
    store.delete("b")
    store.delete_prefix("a/c")
    assert list(store.list()) == [Entry("a/zarr.json", 2)]
    assert repr(within) in repr(store)


def test_wrappers_stack_and_pass_errors_on() -> None:
    counting = CountingStore(MemoryStore({}, read_only=True))
    store = LatencyStore(FaultStore(counting, [Fault("get", "x")]), 0.0)
    assert (store.read_only, store.local) == (True, False)
    with pytest.raises(ReadOnlyError):
        store.put("a", b"x")
    with pytest.raises(StoreError, match="injected fault"):
        store.get("x")
    assert counting.counts == Counts(puts=1, nbytes_written=1, max_in_flight=1)


def test_the_nth_call_fails() -> None:
    store = FaultStore(inside(), [Fault("get", "a/c/*", nth=2)])
    assert store.get("a/zarr.json") == b"{}"  # matches no pattern
    assert store.get("a/c/0") == b"0123456789"
    with pytest.raises(StoreError) as caught:
        store.get("a/c/1")
    assert (caught.value.store, caught.value.key) == (store.name, "a/c/1")
    assert store.get("a/c/1") == b"abcdef"
    assert store.fired == [Call("get", "a/c/1")]


def test_every_call_fails() -> None:
    store = FaultStore(inside(), [Fault("get", "a/c/0", error=TimeoutError)])
    for _ in range(3):
        with pytest.raises(TimeoutError):
            store.get("a/c/0")
    assert store.get("a/c/1") == b"abcdef"
    assert len(store.fired) == 3


@pytest.mark.parametrize(
    "operation", ["get", "put", "delete", "delete_prefix", "list", "list_dir", "nbytes"]
)
def test_each_method_can_fail(operation: Any) -> None:
    error = ConnectionResetError("gone")
    store = FaultStore(inside(), [Fault(operation, error=error)])
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: store.get("a/c/0"),
        "put": lambda: store.put("a/c/0", b"x"),
        "delete": lambda: store.delete("a/c/0"),
        "delete_prefix": lambda: store.delete_prefix("a"),
        "list": lambda: store.list("a"),
        "list_dir": lambda: store.list_dir("a"),
        "nbytes": lambda: store.nbytes("a/c/0"),
    }
    for name, call in calls.items():
        if name == operation:
            with pytest.raises(ConnectionResetError) as caught:
                call()
            assert caught.value is error


def test_bytes_are_spoiled_on_the_way_out() -> None:
    store = FaultStore(
        inside(),
        [
            Fault("get", "a/c/0", nth=1, corrupt_at=0),
            Fault("get", "a/c/0", nth=1, truncate_to=4),
            Fault("get", "a/c/0", nth=1, truncate_to=4, corrupt_at=-1),
        ],
    )
    assert store.get("a/c/0") == b"\xcf123456789"
    assert store.get("a/c/0") == b"0123"
    assert store.get("a/c/0", Range(5, 5)) == b"567\xc7"
    assert store.get("a/c/0") == b"0123456789"
    assert store.get("nothing") is None


def test_bytes_are_spoiled_on_the_way_in() -> None:
    within = inside()
    store = FaultStore(within, [Fault("put", "a/*", truncate_to=2, corrupt_at=1)])
    store.put("a/c/0", b"abcdef")
    assert within.get("a/c/0") == b"a\x9d"


def test_an_acknowledgement_is_lost() -> None:
    within = inside()
    store = FaultStore(within, [Fault("put", error=ConnectionResetError, after=True)])
    with pytest.raises(ConnectionResetError):
        store.put("b", b"stored")
    assert within.get("b") == b"stored"


def test_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    store = FaultStore(inside(), [Fault("get", nth=1, delay_s=0.5)])
    assert store.get("a/c/0") == b"0123456789"
    assert store.get("a/c/0") == b"0123456789"
    assert waited == [0.5]
    waited.clear()
    slow = LatencyStore(inside(), 0.25, nbytes_per_s=20)
    assert not slow.local
    slow.get("a/c/0")
    slow.put("b", b"12345")
    slow.nbytes("b")
    assert waited == [0.75, 0.5, 0.25]
    assert LatencyStore(inside(), 0.25, local=True).local


def test_counts_are_exact() -> None:
    store = CountingStore(inside())
    store.get("a/c/0")
    store.get("a/c/0", Range(0, 4))
    store.get("a/c/1", Suffix(3))
    store.get("nothing")
    store.put("b", b"12345")
    store.delete("b")
    store.delete_prefix("b")
    list(store.list())
    store.list_dir()
    store.nbytes("a/c/0")
    store.version("a/c/0")
    counts = store.reset()
    assert counts == Counts(
        gets=2,
        ranges=2,
        absent=1,
        nbytes_read=17,
        puts=1,
        nbytes_written=5,
        deletes=2,
        lists=2,
        lookups=1,
        max_in_flight=1,
        keys=counts.keys,
    )
    assert counts.keys == {"a/c/0": 2, "a/c/1": 1, "nothing": 1}
    assert store.counts == Counts()


def test_a_get_that_fails_is_counted_and_no_longer_in_flight() -> None:
    store = CountingStore(FaultStore(inside(), [Fault("get")]))
    for _ in range(2):
        with pytest.raises(StoreError):
            store.get("a/c/0")
    assert (store.counts.gets, store.counts.max_in_flight) == (2, 1)


def test_how_many_calls_are_under_way_at_once() -> None:
    together = threading.Barrier(4)

    class Meeting(MemoryStore):
        def get(self, key: str, byte_range: Any = None) -> Any:
            together.wait(30)
            return super().get(key, byte_range)

    store = CountingStore(Meeting({"a": b"x"}))
    threads = [threading.Thread(target=store.get, args=("a",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.counts.max_in_flight == 4
    assert store.counts.gets == 4


def test_faults_are_counted_exactly_among_threads() -> None:
    store = FaultStore(inside(), [Fault("get", nth=100)])
    failures: list[BaseException] = []

    def work() -> None:
        for _ in range(100):
            try:
                store.get("a/c/0")
            except StoreError as error:
                failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 1
