"""What a worker process does, and how it is talked to: messages with their length before them."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_LENGTH = 8


def send(pipe: IO[bytes] | None, data: bytes) -> None:
    """Sends a message.

    Raises:
        OSError: Nobody reads any more.
    """
    if pipe is not None:
        pipe.write(len(data).to_bytes(_LENGTH, "little"))
        pipe.write(data)
        pipe.flush()


def receive(pipe: IO[bytes] | None) -> bytes:
    """Waits for a message.

    Raises:
        EOFError: Nobody writes any more.
    """
    if pipe is None:
        raise EOFError
    return _read(pipe, int.from_bytes(_read(pipe, _LENGTH), "little"))


def _read(pipe: IO[bytes], nbytes: int) -> bytes:
    data = pipe.read(nbytes)
    if len(data) < nbytes:
        raise EOFError
    return data


def serve() -> None:
    """The other process: takes the function, then answers until its input ends."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # what the function reads and prints is no message
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    fn: Callable[[Any], Any] | None = None
    with suppress(EOFError, OSError):
        packed = receive(questions)
        while True:
            data = receive(questions)
            try:
                if fn is None:  # its module may fail to import, which each item is told
                    fn = pickle.loads(packed)  # noqa: S301  the pipeline's process packed it
                answer = (True, fn(pickle.loads(data)))  # noqa: S301  the same
            except Exception as error:  # noqa: BLE001  raised again in the pipeline's process
                error.add_note(f"In the worker process:\n{traceback.format_exc()}")
                answer = (False, error)
            sys.stdout.flush()
            send(answers, _pack(answer))


def _pack(answer: tuple[bool, Any]) -> bytes:
    done, value = answer
    try:
        packed = pickle.dumps(answer, protocol=5)
        if not done:
            pickle.loads(packed)  # noqa: S301  some exceptions can be packed and not unpacked
    except Exception as error:  # noqa: BLE001  whatever an object's own pickling raises
        what = "the result" if done else f"{type(value).__name__}: {value}, which"
        told = RuntimeError(f"{what} cannot be pickled: {error}")
        return pickle.dumps((False, told), protocol=5)
    return packed
