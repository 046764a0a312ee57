"""How many threads a read takes: as many as what is decoded is worth, however little is kept."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab
from zlab.engine.workers import shared_cores
from zlab.stores.memory import MemoryStore
from zlab.testing import InterposedStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from zlab.testing.stores import Call


class Meeting(InterposedStore):
    """A store in which the first reads of two threads wait for each other."""

    def __init__(self, parties: int) -> None:
        super().__init__(MemoryStore())
        self.barrier = threading.Barrier(parties, timeout=30)
        self.threads: set[int] = set()
        self.watches = False

    def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        me = threading.get_ident()
        if self.watches and me not in self.threads:
            self.threads.add(me)
            # where nobody else comes, the assertion tells
            with suppress(threading.BrokenBarrierError):
                self.barrier.wait()
        return proceed(call)


def test_one_row_across_many_chunks_is_decoded_by_several_threads() -> None:
    store = Meeting(2)
    array = zlab.create_array(store, data=np.ones((64, 4096), "i4"), chunks=(64, 256))
    store.watches = True
    with zlab.settings.override(threads=2):
        assert array[5].sum() == 4096
    assert len(store.threads) == 2


@pytest.mark.parametrize("selection", [np.s_[...], np.s_[3]])
def test_what_is_soon_decoded_is_decoded_by_the_caller(selection: Any) -> None:
    store = Meeting(1)
    array = zlab.create_array(store, data=np.ones((4, 64), "i4"), chunks=(4, 8))
    store.watches = True
    with zlab.settings.override(threads=2):
        assert (array[selection] == 1).all()
    assert store.threads == {threading.get_ident()}


def test_a_read_beside_others_takes_no_more_threads_than_there_are_cores() -> None:
    store = Meeting(1)
    array = zlab.create_array(store, data=np.ones((64, 4096), "i4"), chunks=(64, 256))
    store.watches = True
    with zlab.settings.override(threads=2), shared_cores(), shared_cores():
        assert array[5].sum() == 4096
    assert store.threads == {threading.get_ident()}


def test_a_read_that_waits_for_a_network_keeps_no_core_busy() -> None:
    others: set[int] = set()

    class Far(InterposedStore):
        def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
            if call.key.startswith("c/"):
                with shared_cores() as busy:
                    others.add(busy)
            return proceed(call)

    zlab.create_array(memory := MemoryStore(), data=np.ones((64, 4096), "i4"), chunks=(64, 256))
    with zlab.settings.override(fetch_concurrency=1):
        assert zlab.open_array(Far(memory, local=False))[5].sum() == 4096
    assert others == {0}
