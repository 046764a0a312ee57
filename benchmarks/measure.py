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
from dataclasses import asdict, dataclass, field
from time import perf_counter
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
        rounds_s: The best seconds of each round, by the clock; empty where it cannot do the work.
        rounds_cpu_s: The best seconds of all threads, of each round.
        held_nbytes: Peak memory above what the process held when it was set up; `None` where
            the system cannot tell.
        bound_nbytes: What zlab promises to hold at most, in rows about that.
        read_nbytes: What was read of files in a run, in the mean; `None` where the system cannot
            tell.
        unit: What the seconds are those of one of, such as "samples"; `None` for a whole run.
        cannot: Why it cannot do the work.
    """

    row: str
    contender: str
    rounds_s: list[float] = field(default_factory=list)
    rounds_cpu_s: list[float] = field(default_factory=list)
    held_nbytes: int | None = None
    bound_nbytes: int | None = None
    cannot: str | None = None
    read_nbytes: float | None = None
    unit: str | None = None

    @property
    def median_s(self) -> float:
        """The figure by the clock."""
        return statistics.median(self.rounds_s)

    @property
    def cpu_s(self) -> float:
        """The figure of all threads."""
        return statistics.median(self.rounds_cpu_s)


def measure(
    row: Row, place: Path, peers: Collection[str], *, rounds: int, seconds: float, side: int
) -> list[Result]:
    """Measures a row.

    Args:
        row: Which.
        place: The array's directory.
        peers: The libraries that are there.
        rounds: How often each contender has its turn.
        seconds: For the turns of a contender together. Who needs more than twice of that has
            fewer turns, but one at least.
        side: Of the data sets, see `datasets`.

    Returns:
        A result for each contender, in the row's order.
    """
    with ExitStack() as stack:
        workers = [
            stack.enter_context(_worker(contender, row, place, side=side))
            for contender in row.contenders
            if contender.peer in peers
        ]
        for worker in workers:
            worker.cannot = worker.answer()["cannot"]
        able = [worker for worker in workers if worker.cannot is None]
        for turn in range(rounds):
            for offset in range(len(able)):
                # each has every place in the order
                worker = able[(turn + offset) % len(able)]
                if worker.spent_s < 2 * seconds or not worker.turns:
                    worker.run(seconds / rounds)
        results = {worker.name: worker.end(row.title) for worker in workers}
    absent = "not installed"
    return [
        results.get(contender.name, Result(row.title, contender.name, cannot=absent))
        for contender in row.contenders
    ]


@contextmanager
def _worker(contender: Contender, row: Row, place: Path, *, side: int) -> Iterator[_Worker]:
    """A process that sets itself up and waits for its turns."""
    ask = {
        "peer": contender.peer,
        "operation": contender.operation,
        "dataset": row.dataset,
        "place": str(place),
        "setting": asdict(row.setting),
        "side": side,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.worker", json.dumps(ask)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        pipes = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)
        try:
            yield _Worker(contender.name, *pipes)
        except BaseException:
            process.kill()
            raise


@dataclass
class _Worker:
    name: str
    stdin: IO[str]
    stdout: IO[str]
    cannot: str | None = None
    spent_s: float = 0.0
    turns: list[Cost] = field(default_factory=list)
    read_nbytes: list[float | None] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        """A turn of so many seconds."""
        begun = perf_counter()
        print(seconds, file=self.stdin, flush=True)
        turn = self.answer()
        self.read_nbytes.append(turn.pop("read_nbytes"))
        self.turns.append(Cost(**turn))
        self.spent_s += perf_counter() - begun

    def end(self, row: str) -> Result:
        """Ends it; what it needed."""
        self.stdin.close()
        if self.cannot is not None:
            return Result(row, self.name, cannot=self.cannot)
        read = [nbytes for nbytes in self.read_nbytes if nbytes is not None]
        told = self.answer()
        return Result(
            row,
            self.name,
            rounds_s=[cost.wall_s for cost in self.turns],
            rounds_cpu_s=[cost.cpu_s for cost in self.turns],
            read_nbytes=statistics.median(read) if read else None,
            **told,
        )

    def answer(self) -> dict[str, Any]:
        """The next thing that it says."""
        line = self.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended early; what it said stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer
