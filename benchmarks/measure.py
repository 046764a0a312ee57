"""Rounds: the contenders of a row take turns, each in a process of its own.

A figure of one process measured after another's would count whatever the machine did meanwhile
against one of them; with turns it disturbs all alike, and the spread shows it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from benchmarks.rows import Contender, Row


@dataclass(frozen=True)
class Result:
    """What one contender needed for one row.

    Attributes:
        row: The row's title.
        contender: The contender's name.
        rounds_s: The best seconds of each round.
        ratio: Its median to that of the row's first contender.
        peak_nbytes: The process's peak memory, the library itself and the check included.
    """

    row: str
    contender: str
    rounds_s: list[float]
    ratio: float
    peak_nbytes: int | None

    @property
    def median_s(self) -> float:
        """The figure."""
        return statistics.median(self.rounds_s)


def measure(
    row: Row, place: Path, peers: Collection[str], *, rounds: int, repeats: int, quick: bool
) -> list[Result]:
    """Measures a row.

    Args:
        row: Which.
        place: The array's directory.
        peers: The libraries that are there; the contenders of others are left out.
        rounds: How often each contender has its turn.
        repeats: How often it runs in a turn, of which the best counts.
        quick: The data sets are the small ones.

    Returns:
        A result for each contender, in the row's order.
    """
    contenders = [contender for contender in row.contenders if contender.peer in peers]
    with ExitStack() as stack:
        workers = [
            stack.enter_context(_worker(contender, row.dataset, place, quick=quick))
            for contender in contenders
        ]
        seconds: list[list[float]] = [[] for _ in workers]
        for turn in range(rounds):
            for offset in range(len(workers)):
                # each has every place in the order
                which = (turn + offset) % len(workers)
                seconds[which].append(workers[which].run(repeats))
        peaks = [worker.end() for worker in workers]
    base = statistics.median(seconds[0])
    return [
        Result(row.title, contender.name, times, statistics.median(times) / base, peak)
        for contender, times, peak in zip(contenders, seconds, peaks, strict=True)
    ]


@contextmanager
def _worker(contender: Contender, dataset: str, place: Path, *, quick: bool) -> Iterator[_Worker]:
    """A process that is set up and waits for its turns."""
    arguments = [contender.peer, contender.operation, dataset, str(place), str(int(quick))]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.worker", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        pipes = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)
        worker = _Worker(contender.name, *pipes)
        try:
            worker.answer()
            yield worker
        except BaseException:
            process.kill()
            raise


@dataclass(frozen=True)
class _Worker:
    name: str
    stdin: IO[str]
    stdout: IO[str]

    def run(self, repeats: int) -> float:
        """A turn; the best of its seconds."""
        print(repeats, file=self.stdin, flush=True)
        return float(self.answer()["best_s"])

    def end(self) -> int | None:
        """Ends it; its peak memory."""
        self.stdin.close()
        peak: int | None = self.answer()["peak_nbytes"]
        return peak

    def answer(self) -> dict[str, Any]:
        line = self.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended early; what it said stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer
