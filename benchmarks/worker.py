"""The process of one contender for one row; `benchmarks.measure` talks to it.

It sets up, says that it is ready, and then for each line on stdin runs its task as often as the
line says and prints the best of the seconds. When stdin ends it prints what memory it took.
"""

from __future__ import annotations

import ctypes
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.datasets import datasets
from benchmarks.operations import OPERATIONS
from benchmarks.peers import load
from benchmarks.tasks import Cost

if TYPE_CHECKING:
    from benchmarks.tasks import Task


_LEAST_S = 0.02  # a shorter task is run again, and its mean counts


def main() -> None:
    """Serves rounds until stdin ends."""
    peer, operation, dataset, place, side = sys.argv[1:]
    library = load(peer)
    what = datasets(int(side))[dataset]
    task = OPERATIONS[operation](library, what, Path(place))
    idle_nbytes = _restart_peak()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        turn = [_run(task) for _ in range(int(line))]
        best = {"wall_s": min(c.wall_s for c in turn), "cpu_s": min(c.cpu_s for c in turn)}
        print(json.dumps(best), flush=True)
    held = None if idle_nbytes is None else _memory("VmHWM") - idle_nbytes
    print(json.dumps({"held_nbytes": held}), flush=True)


def _run(task: Task) -> Cost:
    wall_s = cpu_s = 0.0
    n = 0
    while wall_s < _LEAST_S:
        cost = task.run()
        wall_s += cost.wall_s
        cpu_s += cost.cpu_s
        n += task.times
    return Cost(wall_s / n, cpu_s / n)


def _restart_peak() -> int | None:
    """Has Linux forget the peak of the set-up; the memory held now, `None` elsewhere."""
    with suppress(AttributeError, OSError):  # where it is not glibc's
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _memory("VmRSS")
    except OSError:
        return None


def _memory(field: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main()
