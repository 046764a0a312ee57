"""A process that calls a function, and is replaced when it dies."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, final

from zlab.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

_LEAVES_S = 5.0  # seconds that a process has to leave after it was told to


class WorkerDiedError(RuntimeError):
    """A worker process ended while it worked on an item.

    Attributes:
        exitcode: As `multiprocessing` tells it, negative for a signal.
    """

    def __init__(self, exitcode: int | None) -> None:
        self.exitcode = exitcode
        how = f"exit code {exitcode}"
        if exitcode is not None and exitcode < 0:
            with suppress(ValueError):
                how = signal.Signals(-exitcode).name
        super().__init__(f"the worker process died: {how}")


@final
class ProcessCaller:
    """Calls a function in another process, one item at a time.

    One thread owns it, so it is known which item a process that dies worked on.

    Args:
        packed: The function, from `pack`.
    """

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self._process: BaseProcess | None = None
        self._line: Connection[Any, Any] | None = None

    def __call__(self, value: Any) -> Any:
        """What the function returns.

        Raises:
            WorkerDiedError: The process ended; the next call starts another.
            BaseException: What the function raised.
        """
        line = self._started()
        # what cannot be pickled is told before anything is sent
        data = pickle.dumps(value, protocol=5)
        try:
            line.send_bytes(data)
            answer = line.recv_bytes()
        except (EOFError, OSError) as error:
            raise WorkerDiedError(self._reap()) from error
        done, result = pickle.loads(answer)  # noqa: S301  our own process packed it
        if done:
            return result
        raise result

    def close(self) -> None:
        """Has the process leave."""
        if self._line is not None:
            self._line.close()  # which it takes for the end
        if self._process is not None:
            self._process.join(_LEAVES_S)
            self.kill()

    def kill(self) -> None:
        """Ends the process at once, also from another thread: a call that waits for it fails."""
        process = self._process
        if process is not None and process.is_alive():
            process.kill()

    def _started(self) -> Connection[Any, Any]:
        if self._line is None:
            # fork would copy the locks of threads that do not exist in the child
            method = "forkserver" if sys.platform == "linux" else "spawn"
            context: Any = multiprocessing.get_context(method)
            self._line, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, self._packed), name="zlab-worker", daemon=True
            )
            process.start()
            self._process = process
            # else the process's own end would not be the last one, and its death not be seen
            theirs.close()
        return self._line

    def _reap(self) -> int | None:
        process, self._process = self._process, None
        if self._line is not None:
            self._line.close()
            self._line = None
        if process is None:
            return None
        process.join(_LEAVES_S)
        return process.exitcode


def pack(fn: Callable[[Any], Any]) -> bytes:
    """A function as bytes, for another process.

    Raises:
        MissingExtraError: It was defined in a notebook, a script or another function, which only
            the library cloudpickle can send, and that is not installed.
    """
    # of a functools.partial, the function inside
    if getattr(getattr(fn, "func", fn), "__module__", None) != "__main__":
        with suppress(pickle.PicklingError, AttributeError, TypeError):
            return pickle.dumps(fn, protocol=5)
    try:
        import cloudpickle  # noqa: PLC0415  only such functions need it
    except ImportError as error:
        raise MissingExtraError(
            "cloudpickle", "processes", f"Sending {getattr(fn, '__name__', fn)!s} to a process"
        ) from error
    packed: bytes = cloudpickle.dumps(fn)
    return packed


def _serve(line: Connection[Any, Any], packed: bytes) -> None:
    """The other process: answers until the line is closed."""
    # Ctrl-C reaches every process of a terminal; the pipeline's owner says what becomes of it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    fn = _unpacked(packed)
    with suppress(EOFError, OSError):
        while True:
            data = line.recv_bytes()
            try:
                answer = (True, fn(pickle.loads(data)))  # noqa: S301  our own process packed it
            except Exception as error:  # noqa: BLE001  raised again in the pipeline's process
                error.add_note(f"In the worker process:\n{traceback.format_exc()}")
                answer = (False, error)
            line.send_bytes(_pack_answer(answer))


def _unpacked(packed: bytes) -> Callable[[Any], Any]:
    try:
        fn: Callable[[Any], Any] = pickle.loads(packed)  # noqa: S301  our own process packed it
    except Exception as failure:  # noqa: BLE001  whatever its module raises, told for each item
        error = failure

        def fn(_: Any) -> Any:
            raise error

    return fn


def _pack_answer(answer: tuple[bool, Any]) -> bytes:
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
