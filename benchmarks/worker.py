"""The process of one contender for one row; `benchmarks.measure` talks to it.

It sets up, says that it is ready or why it cannot, and then runs its task for as many seconds as
each line on stdin says and prints the best cost. When stdin ends it prints what memory it took.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.datasets import datasets
from benchmarks.operations import OPERATIONS
from benchmarks.peers import CannotDoError, Setting, load
from benchmarks.tasks import Cost

if TYPE_CHECKING:
    from benchmarks.tasks import Task


_LEAST_S = 0.02  # a shorter task is run again, and its mean counts


def main() -> None:
    """Serves rounds until stdin ends."""
    ask = json.loads(sys.argv[1])
    setting = Setting(**ask["setting"])
    if setting.threads is not None:
        # the Rust libraries read it when they are loaded
        os.environ["RAYON_NUM_THREADS"] = str(setting.threads)
    try:
        library = load(ask["peer"])
        what = datasets(ask["side"])[ask["dataset"]]
        task = OPERATIONS[ask["operation"]](library, what, Path(ask["place"]), setting)
    except CannotDoError as error:
        print(json.dumps({"cannot": str(error)}))
        return
    idle_nbytes = _restart_peak()
    print(json.dumps({"cannot": None}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_turn(task, float(line))), flush=True)
    held = None if idle_nbytes is None else _memory("VmHWM") - idle_nbytes
    told = {"held_nbytes": held, "bound_nbytes": task.bound_nbytes, "unit": task.unit}
    print(json.dumps(told), flush=True)


def _turn(task: Task, seconds: float) -> dict[str, float | None]:
    """The best of what was run in so many seconds, once at least; the mean of what was read."""
    begun, before, n = perf_counter(), _read_nbytes(), 0
    runs: list[Cost] = []
    while not runs or perf_counter() - begun < seconds:
        cost, times = _run(task)
        runs.append(cost)
        n += times
    after = _read_nbytes()
    return {
        "wall_s": min(c.wall_s for c in runs),
        "cpu_s": min(c.cpu_s for c in runs),
        "read_nbytes": None if before is None or after is None else (after - before) / n,
    }


def _run(task: Task) -> tuple[Cost, int]:
    """The cost of one time, and how often the task was run for it."""
    wall_s = cpu_s = 0.0
    n = 0
    while wall_s < _LEAST_S:
        cost = task.run()
        wall_s += cost.wall_s
        cpu_s += cost.cpu_s
        n += 1
    return Cost(wall_s / n / task.times, cpu_s / n / task.times), n


def _restart_peak() -> int | None:
    """Has Linux forget the peak of the set-up; the memory held now, `None` elsewhere."""
    with suppress(AttributeError, OSError):  # where it is not glibc's
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _memory("VmRSS")
    except OSError:
        return None


def _read_nbytes() -> int | None:
    """Bytes that the process has read from files by system calls; `None` where none are counted.

    From the page cache too; what it maps into its memory is not among them.
    """
    try:
        text = Path("/proc/self/io").read_text(encoding="ascii")
    except OSError:
        return None
    return int(text.partition("rchar:")[2].split()[0])


def _memory(field: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main()
