"""What a stream's items can be put through: each stage takes an iterator and gives one.

Stages hold no more than they are given room for, see `Derived`, and run in the consumer's thread
unless they have workers of their own.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from zlab.stream.ahead import ReadAhead, Unit
from zlab.stream.budget import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from zlab.stream.ahead import Halt

T = TypeVar("T")
U = TypeVar("U")


def mapped(items: Iterator[T], halt: Halt, *, fn: Callable[[T], U], workers: int) -> Iterator[U]:
    """The results of a function, in order; with workers, which are threads, several at once.

    It holds at most `2 * workers` items, those that wait for a worker or for the consumer.
    """
    if not workers:
        for item in items:
            result = _call(fn, item)
            del item
            yield result
            del result
        return
    ahead = ReadAhead(
        (Unit(0, partial(_call, fn, item)) for item in items),
        # the whole stage is accounted for at once
        Account(1),
        width=workers,
        depth=max(1, 2 * workers - 1),
        ordered=True,
        halt=halt,
    )
    for _, result in ahead:
        yield result
        del result


def _call(fn: Callable[[T], U], item: T) -> U:
    try:
        return fn(item)
    except Exception as error:
        error.add_note(f"while {getattr(fn, '__qualname__', fn)!s} was called with {item!r:.200}")
        raise


def filtered(items: Iterator[T], halt: Halt, *, fn: Callable[[T], object]) -> Iterator[T]:  # noqa: ARG001  all stages take it
    """The items for which a function returns something true."""
    for item in items:
        if _call(fn, item):
            yield item
        del item


def batched(
    items: Iterator[T],
    halt: Halt,  # noqa: ARG001  all stages take it
    *,
    n: int,
    drop_remainder: bool,
) -> Iterator[tuple[T, ...]]:
    """So many items at a time; the last time there may be fewer."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        del item
        if len(batch) == n:
            full, batch = tuple(batch), []
            yield full
            del full
    if batch and not drop_remainder:
        yield tuple(batch)


def windowed(items: Iterator[T], halt: Halt, *, n: int) -> Generator[tuple[T, ...]]:  # noqa: ARG001  all stages take it
    """Each item with those before it, so many in all; nothing where there are fewer."""
    window: deque[Any] = deque(maxlen=n)
    for item in items:
        window.append(item)
        del item
        if len(window) == n:
            yield tuple(window)
