"""Arrays to stream, and stores that count."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

import zlab
from zlab.stores.memory import MemoryStore
from zlab.stream.budget import process_held
from zlab.testing import CountingStore, InterposedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from zlab.stores.base import Store
    from zlab.testing import Call


class Counted(NamedTuple):
    """An array in a store that counts, and its values."""

    array: zlab.Array
    values: NDArray[Any]
    store: CountingStore

    def chunk_gets(self) -> dict[str, int]:
        """How often each chunk or shard was asked for."""
        return {key: n for key, n in self.store.counts.keys.items() if "zarr.json" not in key}


class _Together(InterposedStore):
    """A store that answers for no chunk before eight were asked for at once."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, local=False)
        self._lock = threading.Lock()
        self._asked = 0
        self._eight = threading.Event()

    def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """Does the call, when there are eight."""
        if call.operation == "get" and call.key.startswith("c/"):
            with self._lock:
                self._asked += 1
                if self._asked == 8:
                    self._eight.set()
            assert self._eight.wait(60)
        return proceed(call)


@pytest.fixture
def together() -> Callable[[Store], InterposedStore]:
    """Makes a store that answers for no chunk before eight were asked for at once."""
    return _Together


@pytest.fixture
def counted() -> Callable[..., Counted]:
    """Makes an array of 0, 1, 2, ... whose store counts from then on."""

    def make(shape: tuple[int, ...], **kwargs: Any) -> Counted:
        store = CountingStore(MemoryStore())
        dtype = np.dtype(kwargs.pop("dtype", "int32"))
        values = np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape)
        array = zlab.create_array(store, shape=shape, dtype=dtype, **kwargs)
        array.write(..., values, write_empty_chunks=True)
        store.reset()
        return Counted(array, values, store)

    return make


@pytest.fixture(autouse=True)
def _gives_everything_back(wait_until: Callable[[Callable[[], object]], None]) -> Iterator[None]:
    yield
    # what is being loaded when a stream is closed is given back when it is there
    wait_until(lambda: process_held() == 0)
