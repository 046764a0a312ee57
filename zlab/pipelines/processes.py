"""A process that calls a function, and is replaced when it dies.

It is a fresh interpreter that talks over its standard input and output. So, unlike one of
`multiprocessing`, it does not import the program's main module: scripts need no guard, functions of
notebooks can be sent, and no lock of a thread is copied.
"""

from __future__ import annotations

import atexit
import json
import pickle
import signal
import subprocess
import sys
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, final

from zlab.errors import MissingExtraError
from zlab.pipelines.worker import receive, send

if TYPE_CHECKING:
    from collections.abc import Callable

_LEAVES_S = 5.0  # seconds that a process has to leave after it was told to

_PROGRAM = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from zlab.pipelines.worker import serve
serve()
"""

# a terminal sends Ctrl-C to all processes of a group; the pipeline's owner says what becomes of it
if sys.platform == "win32":
    _FLAGS = subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _FLAGS = 0

_processes: weakref.WeakSet[subprocess.Popen[bytes]] = weakref.WeakSet()


class WorkerDiedError(RuntimeError):
    """A worker process ended while it worked on an item.

    Attributes:
        exitcode: Of the process, negative for a signal; `None` if it is not known.
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
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    def __call__(self, value: Any) -> Any:
        """What the function returns.

        Raises:
            WorkerDiedError: The process ended; the next call starts another.
            BaseException: What the function raised.
        """
        # what cannot be pickled is told before anything is sent
        data = pickle.dumps(value, protocol=5)
        try:
            process = self._process or self._start()
            send(process.stdin, data)
            answer = receive(process.stdout)
        except (EOFError, OSError) as error:
            raise WorkerDiedError(self._reap()) from error
        done, result = pickle.loads(answer)  # noqa: S301  our own process packed it
        if done:
            return result
        raise result

    def close(self) -> None:
        """Has the process leave."""
        process = self._process
        if process is None:
            return
        with suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()  # which it takes for the end
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LEAVES_S)
        self._reap()

    def kill(self) -> None:
        """Ends the process at once, also from another thread: a call that waits for it fails."""
        self._ended = True
        process = self._process
        if process is not None:
            process.kill()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603  this interpreter, with a program of our own
            [sys.executable, "-c", _PROGRAM, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            creationflags=_FLAGS,
            start_new_session=True,
        )
        _processes.add(process)
        self._process = process
        if self._ended:  # told so while it was started
            process.kill()
        send(process.stdin, self._packed)
        return process

    def _reap(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        with suppress(subprocess.TimeoutExpired):
            # one that has closed its output is about to end
            process.wait(_LEAVES_S)
        process.kill()
        exitcode = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was not sent
                    pipe.close()
        return exitcode


@atexit.register
def _end_all() -> None:
    for process in list(_processes):
        process.kill()


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
