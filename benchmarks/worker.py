"""The process of one contender for one row; `benchmarks.measure` talks to it.

It sets up, says that it is ready, and then for each line on stdin runs its task as often as the
line says and prints the best of the seconds. When stdin ends it prints its peak memory and ends.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.datasets import datasets
from benchmarks.operations import OPERATIONS
from benchmarks.peers import load

if TYPE_CHECKING:
    from benchmarks.tasks import Task

_LEAST_S = 0.02  # a shorter task is run again, and its mean counts


def main() -> None:
    """Serves rounds until stdin ends."""
    peer, operation, dataset, place, quick = sys.argv[1:]
    library = load(peer)
    what = datasets(quick=bool(int(quick)))[dataset]
    task = OPERATIONS[operation](library, what, Path(place))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"best_s": min(_run(task) for _ in range(int(line)))}), flush=True)
    print(json.dumps({"peak_nbytes": _peak_nbytes()}), flush=True)


def _run(task: Task) -> float:
    total, n = 0.0, 0
    while total < _LEAST_S and n < 1000:  # noqa: PLR2004  enough of the shortest
        total += task()
        n += 1
    return total / n


def _peak_nbytes() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
