"""Reading ahead: some threads load units while the consumer works on earlier ones.

The consumer's thread never loads, so an interrupt reaches it at once. No thread waits for the
consumer either: one that finds no room for the next unit ends, and the consumer starts another as
it makes room.
"""

from __future__ import annotations

import threading
from functools import partial
from math import inf
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar, cast

from zlab.engine.workers import submit
from zlab.stores.aside import working_for
from zlab.stream.budget import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

T = TypeVar("T")

_WAKE_S = 0.5  # a wait without a limit cannot be interrupted on Windows


class Halt:
    """Ends an iteration at once, from whichever thread."""

    def __init__(self) -> None:
        self._set = False
        self._waited_for: list[SimpleQueue[Any]] = []

    def is_set(self) -> bool:
        """Whether the iteration is to end."""
        return self._set

    def set(self) -> None:
        """Has the iteration end."""
        self._set = True
        for queue in self._waited_for:
            queue.put(None)

    def wakes(self, queue: SimpleQueue[Any]) -> None:
        """Puts `None` into a queue when it is set."""
        self._waited_for.append(queue)


class Unit(NamedTuple, Generic[T]):
    """Something that a thread loads in one go.

    Attributes:
        nbytes: Bytes that it holds when it is loaded.
        load: Loads it.
        give_up: Called when it takes too long, for what is handed on in its stead. What `load`
            returns later is dropped.
        since: The time (of `time.monotonic`) at which the loading proper began, `None` as long as
            it waits for its turn. By default it begins with the call of `load`.
        holds_on: When it is given up, its bytes are held until `load` has returned all the same.
    """

    nbytes: int
    load: Callable[[], T]
    give_up: Callable[[], T] | None = None
    since: Callable[[], float | None] | None = None
    holds_on: bool = False


class _Loaded(NamedTuple, Generic[T]):
    number: int
    nbytes: int
    value: T | None
    error: BaseException | None


class ReadAhead(Generic[T]):
    """Loads units ahead of an iteration, in bounded memory.

    Args:
        units: What is loaded; asked for the next one by one thread at a time, never by the
            consumer's.
        account: Each unit's bytes are taken from it before it is loaded. The consumer gives them
            back with `release` as it hands the value on; what is left at the end is given back
            then. It is this iteration's alone.
        width: Units that are loaded at once.
        depth: Units that are loaded or wait for the consumer, at most.
        ordered: Hand on in the order of `units`, else as they come.
        halt: Ends the iteration when it is set. Several may share it.
        timeout: Seconds after which a unit is given up, while the consumer waits.
    """

    def __init__(
        self,
        units: Iterator[Unit[T]],
        account: Account,
        *,
        width: int,
        depth: int,
        ordered: bool,
        halt: Halt,
        timeout: float | None = None,
    ) -> None:
        self._units = units
        self._account = account
        self._width = width
        self._depth = depth
        self._ordered = ordered
        self._halt = halt
        self._timeout = timeout
        self._arrived: SimpleQueue[_Loaded[T] | None] = SimpleQueue()
        halt.wakes(self._arrived)
        # the consumer's alone: what came before its turn
        self._early: dict[int, _Loaded[T]] = {}
        # held while the next unit is planned, which may take long; never by the consumer
        self._planning = threading.Lock()
        # held for a moment, to look at what follows or to change it
        self._lock = threading.Lock()
        self._waiting: Unit[T] | None = None
        # what is being loaded and was not given up, and since when
        self._loading: dict[int, tuple[Unit[T], float]] = {}
        self._workers = 0
        self._taken = 0
        self._handed_on = 0
        self._nbytes_loading = 0
        self._exhausted = False
        self._closed = False

    def __iter__(self) -> Generator[tuple[int, T]]:
        """The loaded values with their bytes.

        Raises:
            BaseException: What `units` or a `load` raised, in its turn.
        """
        try:
            while (loaded := self._next()) is not None:
                error = loaded.error
                nbytes, value = loaded.nbytes, cast("T", loaded.value)
                # what the consumer lets go of must not live on here
                del loaded
                if error is not None:
                    raise_in_turn(error)
                yield nbytes, value
                del value
        finally:
            self._close()

    def release(self, nbytes: int) -> None:
        """The consumer no longer holds so many bytes: there is room for more."""
        with self._lock:
            if self._closed:
                return
            self._account.release(nbytes)
        self._start_worker()

    def _next(self) -> _Loaded[T] | None:
        while not self._halt.is_set():
            loaded = self._early.pop(self._handed_on, None)
            if loaded is None:
                self._start_worker()
                with self._lock:
                    if self._exhausted and self._handed_on == self._taken:
                        return None
                try:
                    loaded = self._arrived.get(timeout=self._patience())
                except Empty:
                    loaded = self._give_up()
                if loaded is None:
                    continue
                if self._ordered and loaded.number != self._handed_on:
                    self._early[loaded.number] = loaded
                    continue
            with self._lock:
                self._handed_on += 1
            self._start_worker()
            return loaded
        return None

    def _due(self) -> tuple[float, int] | None:
        """When, and which, unit is to be given up first.

        Of any that are loading: also one that comes later may keep the next one from the store.
        """
        return min(((self._deadline(number), number) for number in self._loading), default=None)

    def _deadline(self, number: int) -> float:
        unit, since = self._loading[number]
        begun = since if unit.since is None else unit.since()
        return inf if begun is None or self._timeout is None else begun + self._timeout

    def _patience(self) -> float:
        """Seconds until a unit may be given up, or less."""
        if self._timeout is None:
            return _WAKE_S
        with self._lock:
            due = self._due()
        if due is None:
            return min(_WAKE_S, self._timeout)
        return min(_WAKE_S, self._timeout, max(0.0, due[0] - monotonic()))

    def _give_up(self) -> _Loaded[T] | None:
        """What is handed on instead of a unit that took too long."""
        if self._timeout is None:
            return None
        with self._lock:
            at, number = self._due() or (inf, 0)
            if monotonic() < at:
                return None
            unit, _ = self._loading.pop(number)
            # whoever loads it is on its own from here: another worker takes its place
            self._workers -= 1
            if not unit.holds_on:
                self._nbytes_loading -= unit.nbytes
                self._account.release(unit.nbytes)
        instead = None if unit.give_up is None else unit.give_up()
        return _Loaded(number, 0, instead, None)

    @property
    def _ended(self) -> bool:
        return self._closed or self._halt.is_set()

    def _is_left(self) -> bool:
        return self._ended

    @property
    def _has_room(self) -> bool:
        return not self._ended and self._taken - self._handed_on < self._depth

    def _is_staffed(self) -> bool:
        return self._exhausted or self._workers == self._width

    def _start_worker(self) -> None:
        """Starts a worker if there is room for a unit; it starts the next one in its turn."""
        if self._is_staffed():
            return  # mostly, and seen without the lock
        with self._lock:
            waiting = self._waiting
            if (
                self._is_staffed()
                or not self._has_room
                or (waiting is not None and not self._account.fits(waiting.nbytes))
            ):
                return
            self._workers += 1
        submit(self._work)

    def _work(self) -> None:
        """Loads units as long as there are some and room for them."""
        while (taken := self._take()) is not None:
            self._start_worker()
            number, unit = taken
            value, error = None, None
            try:
                with working_for(self._is_left):
                    value = unit.load()
            except BaseException as failure:  # noqa: BLE001  raised again by the consumer
                error = failure
            with self._lock:
                if self._loading.pop(number, None) is None:  # given up
                    if unit.holds_on:
                        self._nbytes_loading -= unit.nbytes
                        self._account.release(unit.nbytes)
                        self._arrived.put(None)
                    return
                self._nbytes_loading -= unit.nbytes
                if self._closed:
                    self._account.release(unit.nbytes)
                else:
                    self._arrived.put(_Loaded(number, unit.nbytes, value, error))
            # a worker that waits must not keep alive what the consumer lets go of
            del taken, unit, value, error

    def _take(self) -> tuple[int, Unit[T]] | None:
        with self._planning:
            unit = self._peek() if self._has_room else None
            with self._lock:
                if unit is None or self._ended or not self._account.admit(unit.nbytes):
                    self._workers -= 1
                    if self._exhausted:
                        # the consumer may wait for a unit that will never come
                        self._arrived.put(None)
                    return None
                self._waiting = None
                self._nbytes_loading += unit.nbytes
                number = self._taken
                self._taken += 1
                self._loading[number] = unit, monotonic()
                return number, unit

    def _peek(self) -> Unit[T] | None:
        if self._waiting is None and not self._exhausted:
            try:
                self._waiting = next(self._units, None)
            except BaseException as failure:  # noqa: BLE001  raised again by the consumer
                self._waiting = Unit(0, partial(raise_in_turn, failure))
                self._units = iter(())
            self._exhausted = self._waiting is None
        return self._waiting

    def _close(self) -> None:
        """Lets go of all but what is being loaded, which is dropped when it is there."""
        with self._lock:
            self._closed = True
            self._account.release(self._account.held - self._nbytes_loading)
        self._early.clear()
        self._arrived = SimpleQueue()


def raise_in_turn(error: BaseException) -> NoReturn:
    """Raises an error that happened in another thread."""
    try:
        raise error
    finally:
        # else the error, its traceback and this frame keep each other alive, and much besides
        del error


def prefetched(items: Iterator[T], *, nbytes: int, depth: int, halt: Halt) -> Iterator[T]:
    """Has another thread make the next items of an iterator while the consumer works.

    Args:
        items: The iterator; all of its work is done by one thread at a time.
        nbytes: Bytes of one.
        depth: Items that are made ahead at most; with 0 the consumer's thread makes them.
        halt: Ends the iteration when it is set.
    """
    if depth == 0:
        yield from items
        return
    ended = False

    def load() -> T | _End:
        nonlocal ended
        item = next(items, _END)
        ended = item is _END
        return item

    ahead = ReadAhead(
        iter(lambda: None if ended else Unit(nbytes, load), None),
        Account(depth * nbytes),
        width=1,
        depth=depth,
        ordered=True,
        halt=halt,
    )
    for size, item in ahead:
        ahead.release(size)
        if isinstance(item, _End):
            return
        yield item
        del item


class _End:
    """Stands behind the last item."""


_END = _End()
