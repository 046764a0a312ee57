"""Functions that worker processes import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, NoReturn


def negative(number: int) -> int:
    return -number


def pid_of(item: Any) -> tuple[int, Any]:
    return os.getpid(), item


def die_once(item: tuple[str, int]) -> int:
    """Kills its process with the first item of a folder that says so, and not again."""
    folder, number = item
    mark = Path(folder, "died")
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(number: int) -> int:
    if number == 3:
        os._exit(7)
    return number


def refuse(number: int) -> NoReturn:
    raise LookupError(number)


def unpicklable(number: int) -> Any:
    return lambda: number


def sleep_for_ever(path: str) -> str:
    """Says which process it is, and never returns; with no path it does at once."""
    if not path:
        return path
    Path(path).write_text(str(os.getpid()))
    while True:
        time.sleep(60)
