"""Work that many threads share, and that together never holds more than a budget."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from zlab.engine.cache import replacing
from zlab.engine.stamps import delete_below
from zlab.engine.workers import Team
from zlab.errors import MemoryBudgetError
from zlab.tools.nbytes import format_nbytes, parse_nbytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange, Entry, Listing, Store

T = TypeVar("T")
Progress: TypeAlias = "Callable[[int, int], object]"
"""Called with the steps that are done and their total, by one thread at a time."""


def budget_of(memory: int | str | None, default: int) -> int:
    """The bytes that a caller allows.

    Args:
        memory: A number, a text such as `"2GB"`, or `None` for the default.
        default: Bytes.

    Raises:
        ValueError: It is not a size, or less than 1.
    """
    nbytes = default if memory is None else memory
    nbytes = parse_nbytes(nbytes) if isinstance(nbytes, str) else nbytes
    if nbytes < 1:
        msg = f"memory must be at least 1 byte, not {nbytes}"
        raise ValueError(msg)
    return nbytes


class _Gate:
    """Lets units in as long as their bytes fit into the budget together."""

    def __init__(self, budget: int) -> None:
        self._free = budget
        self._changed = threading.Condition()

    def enter(self, nbytes: int) -> None:
        with self._changed:
            while nbytes > self._free:
                self._changed.wait()
            self._free -= nbytes

    def leave(self, nbytes: int) -> None:
        with self._changed:
            self._free += nbytes
            self._changed.notify_all()


class Steps:
    """Counts what is done and tells it to whoever wants to know.

    Args:
        total: Steps in all.
        progress: Told after each step; may be `None`.
    """

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.done = 0
        self.total = total
        self._progress = progress
        self._lock = threading.Lock()

    def step(self) -> None:
        """One more step is done."""
        with self._lock:
            self.done += 1
            if self._progress is not None:
                self._progress(self.done, self.total)


def run_bounded(
    units: Iterable[tuple[int, T]], work: Callable[[T], None], *, budget: int, width: int
) -> None:
    """Has threads work on units, as many at once as the budget allows.

    Args:
        units: What each holds while it is worked on, in bytes, and the unit.
        work: Does one unit.
        budget: Bytes that all units in work hold together, at most.
        width: Threads at most.

    Raises:
        MemoryBudgetError: One unit alone needs more than the budget.
        Exception: The first failure of `work`; no further unit is begun then.
    """
    gate = _Gate(budget)

    def admitted() -> Iterator[tuple[int, T]]:
        for nbytes, unit in units:
            check_budget(nbytes, budget, "an object")
            gate.enter(nbytes)
            yield nbytes, unit

    def do(admitted_unit: tuple[int, T]) -> None:
        nbytes, unit = admitted_unit
        try:
            work(unit)
        finally:
            gate.leave(nbytes)

    # the caller waits, so that an interrupt reaches it whatever the workers do
    Team(admitted(), do).run(width, caller_works=False)


def check_budget(needed: int, budget: int, what: str) -> None:
    """Raises `MemoryBudgetError` where something does not fit."""
    if needed > budget:
        raise MemoryBudgetError(
            f"{what} needs {format_nbytes(needed)} at once, and {format_nbytes(budget)} are "
            "allowed",
            needed=needed,
            budget=budget,
            hint=f"Pass memory='{-(-needed // 10**6)}MB' or more, if the machine has it",
        )


class MeteredStore:
    """A store that counts what passes.

    Args:
        store: Who does the work.

    Attributes:
        objects_read: Objects, or ranges of them, that were there.
        objects_written: Objects that were put.
        nbytes_read: Their bytes.
        nbytes_written: Their bytes.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.name = store.name
        self.read_only = store.read_only
        self.local = store.local
        self.objects_read = 0
        self.objects_written = 0
        self.nbytes_read = 0
        self.nbytes_written = 0
        self._lock = threading.Lock()

    def __eq__(self, other: object) -> bool:
        return self.store == (other.store if isinstance(other, MeteredStore) else other)

    def __hash__(self) -> int:
        return hash(self.store)

    def get(self, key: str, byte_range: ByteRange | None = None) -> Buffer | None:
        """As `Store.get`."""
        data = self.store.get(key, byte_range)
        if data is not None:
            with self._lock:
                self.objects_read += 1
                self.nbytes_read += len(data)
        return data

    def put(self, key: str, value: Buffer) -> None:
        """As `Store.put`."""
        # caches know the object by the store inside
        with replacing(self.store, key):
            self.store.put(key, value)
        with self._lock:
            self.objects_written += 1
            self.nbytes_written += len(value)

    def delete(self, key: str) -> None:
        """As `Store.delete`."""
        with replacing(self.store, key):
            self.store.delete(key)

    def delete_prefix(self, prefix: str) -> None:
        """As `Store.delete_prefix`."""
        delete_below(self.store, prefix)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """As `Store.list`."""
        return self.store.list(prefix)

    def list_dir(self, prefix: str = "") -> Listing:
        """As `Store.list_dir`."""
        return self.store.list_dir(prefix)

    def nbytes(self, key: str) -> int | None:
        """As `Store.nbytes`."""
        return self.store.nbytes(key)

    def version(self, key: str) -> object:
        """As `Store.version`."""
        return self.store.version(key)
