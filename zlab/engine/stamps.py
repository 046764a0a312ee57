"""Which version of an object was read, as far as the store and this process know.

A store that cannot tell versions without a request is written by this process too, and what it
does itself it knows. A stamp is taken before an object is read; it is equal to a later one only if
the object is the same and nobody here was writing it in between.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zlab.stores.base import Store

# objects share slots, so that the tables have one size; two in one slot cost a second read
_SLOTS = 4096


class _Writes:
    """What this process is writing, and how often it has."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.done = [0] * _SLOTS
        self.under_way = [0] * _SLOTS
        self.sweeps = 0


_writes = _Writes()


def stamp(store: Store, key: str) -> object:
    """What an object is known by now; equal to nothing while it is being written."""
    slot = hash((store, key)) % _SLOTS
    writes = _writes
    if writes.under_way[slot] or writes.sweeps:
        return object()
    return store.version(key), writes.done[slot]


@contextmanager
def written(store: Store, key: str) -> Iterator[None]:
    """A context in which this process replaces or deletes an object."""
    slot = hash((store, key)) % _SLOTS
    writes = _writes
    with writes.lock:
        writes.under_way[slot] += 1
    try:
        yield
    finally:
        with writes.lock:
            writes.done[slot] += 1
            writes.under_way[slot] -= 1


def delete_below(store: Store, prefix: str) -> None:
    """Deletes every object below a prefix: nothing that was read of them is believed afterwards."""
    writes = _writes
    with writes.lock:
        writes.sweeps += 1
    try:
        store.delete_prefix(prefix)
    finally:
        with writes.lock:
            writes.done = [number + 1 for number in writes.done]
            writes.sweeps -= 1


def _after_fork() -> None:
    global _writes  # noqa: PLW0603  threads that the child does not have may be writing in it
    _writes = _Writes()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
