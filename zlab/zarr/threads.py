"""The engine's threads, awaited from an event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from zlab.engine.workers import submit

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def in_thread(call: Callable[[], T]) -> T:
    """Has one of the engine's threads make a call."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def work() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001  raised again by who awaits
            tell(_fail, error)
        else:
            tell(_finish, result)

    def tell(how: Callable[..., None], outcome: object) -> None:
        try:
            loop.call_soon_threadsafe(how, done, outcome)
        except RuntimeError:
            return  # the loop has ended, and nobody waits any more

    submit(work)
    return await done


def _finish(done: asyncio.Future[T], result: T) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[Any], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
