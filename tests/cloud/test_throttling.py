"""A server that takes so many requests in a second, and refuses the others."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import TYPE_CHECKING

import pytest
from emulation.faultproxy import FaultProxy, Limit, Rule

from zlab.stores.base import Range
from zlab.stores.open import store_from
from zlab.stores.remote import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("cloud")

THREADS = 64
ROUND_TRIP_S = 0.02


@pytest.fixture
def server() -> Iterator[FaultProxy]:
    """A server of its own, so that what is measured is the limit: every object is one page."""
    with FaultProxy(0, delay_s=ROUND_TRIP_S) as proxy:
        proxy.fail(Rule("page"))
        yield proxy


def store_of(server: FaultProxy, **options: object) -> RemoteStore:
    store, _ = store_from(f"{server.url}/place", storage_options=options)
    assert isinstance(store, RemoteStore)
    return store


@dataclass
class Load:
    """Many threads that ask for one object after the other.

    Attributes:
        errors: What was raised.
    """

    store: RemoteStore
    errors: list[Exception] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> None:
        self._threads = [threading.Thread(target=self._ask) for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._ended.is_set():
            try:
                self.store.get("c/0")
            except Exception as error:  # noqa: BLE001  told by the test
                self.errors.append(error)


@pytest.mark.parametrize("per_s", [600, 100])
@pytest.mark.parametrize(
    ("seconds", "least", "most"),
    [
        # the way down from 64 to two at once takes these two seconds, and the machine may be busy
        pytest.param(2.0, 0.6, 0.4, id="short"),
        pytest.param(20.0, 0.9, 0.15, id="long", marks=pytest.mark.long),
    ],
)
def test_what_a_server_takes_is_used_and_little_is_refused(
    server: FaultProxy, per_s: int, seconds: float, least: float, most: float
) -> None:
    limit = server.limit = Limit(per_s, burst=per_s / 10)
    load = Load(store_of(server))
    with load:
        while not limit.refused:
            sleep(0.001)
        sleep(0.3)  # the first ones were under way before it was known
        served, refused, begun = limit.served, limit.refused, monotonic()
        sleep(seconds)
        served, refused = limit.served - served, limit.refused - refused
        goodput = served / per_s / (monotonic() - begun)
    assert load.errors == []
    assert refused / (served + refused) < most
    assert goodput >= least


def test_no_more_than_the_fixed_cap_are_asked_for_at_once(server: FaultProxy) -> None:
    load = Load(store_of(server, requests=5))
    with load:
        while len(server.seen) < 200:
            sleep(0.01)
    assert load.errors == []
    assert server.most_in_flight <= 5


def test_no_more_are_begun_in_a_second_than_was_said(server: FaultProxy) -> None:
    load = Load(store_of(server, requests_per_s=100.0))
    with load:
        while len(server.seen) < 100:
            sleep(0.01)
    assert load.errors == []
    # requests may be delayed on their way, but not all of them by more and more
    assert server.seen[99].at - server.seen[0].at >= 0.8


def test_no_more_bytes_are_asked_for_than_may_be_in_flight(server: FaultProxy) -> None:
    store = store_of(server, nbytes=100)
    server.most_in_flight = 0

    def ask() -> None:
        for _ in range(10):
            store.get("c/0", Range(0, 30))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= server.most_in_flight <= 3
