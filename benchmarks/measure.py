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

from benchmarks.tasks import Cost

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
        rounds_s: The best seconds of each round, by the clock.
        cpu_s: The median of the best seconds of all threads.
        ratio: Its median by the clock to that of the row's first contender.
        held_nbytes: Peak memory above what the process held when it was set up; `None` where
            the system cannot tell.
    """

    row: str
    contender: str
    rounds_s: list[float]
    cpu_s: float
    ratio: float
    held_nbytes: int | None

    @property
    def median_s(self) -> float:
        """The figure."""
        return statistics.median(self.rounds_s)


def measure(
    row: Row, place: Path, peers: Collection[str], *, rounds: int, repeats: int, side: int
) -> list[Result]:
    """Measures a row.

    Args:
        row: Which.
        place: The array's directory.
        peers: The libraries that are there; the contenders of others are left out.
        rounds: How often each contender has its turn.
        repeats: How often it runs in a turn, of which the best counts.
        side: Of the data sets, see `datasets`.

    Returns:
        A result for each contender, in the row's order.
    """
    contenders = [contender for contender in row.contenders if contender.peer in peers]
    with ExitStack() as stack:
        workers = [
            stack.enter_context(_worker(contender, row.dataset, place, side=side))
            for contender in contenders
        ]
        costs: list[list[Cost]] = [[] for _ in workers]
        for turn in range(rounds):
            for offset in range(len(workers)):
                # each has every place in the order
                which = (turn + offset) % len(workers)
                costs[which].append(workers[which].run(repeats))
        held = [worker.end() for worker in workers]
    base = statistics.median(cost.wall_s for cost in costs[0])
    return [
        Result(
            row.title,
            contender.name,
            rounds_s=[cost.wall_s for cost in turns],
            cpu_s=statistics.median(cost.cpu_s for cost in turns),
            ratio=statistics.median(cost.wall_s for cost in turns) / base,
            held_nbytes=nbytes,
        )
        for contender, turns, nbytes in zip(contenders, costs, held, strict=True)
    ]


@contextmanager
def _worker(contender: Contender, dataset: str, place: Path, *, side: int) -> Iterator[_Worker]:
    """A process that is set up and waits for its turns."""
    arguments = [contender.peer, contender.operation, dataset, str(place), str(side)]
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

    def run(self, repeats: int) -> Cost:
        """A turn; the best of its costs."""
        print(repeats, file=self.stdin, flush=True)
        return Cost(**self.answer())

    def end(self) -> int | None:
        """Ends it; the memory that it took."""
        self.stdin.close()
        held: int | None = self.answer()["held_nbytes"]
        return held

    def answer(self) -> dict[str, Any]:
        line = self.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended early; what it said stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer
