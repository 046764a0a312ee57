"""A task: something that is run again and again, and says each time what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter, process_time
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable


class Cost(NamedTuple):
    """Seconds.

    Attributes:
        wall_s: By the clock.
        cpu_s: Of all threads of the process. A busy machine does not change it much.
    """

    wall_s: float
    cpu_s: float

    @classmethod
    def now(cls) -> Self:
        """What the clocks say."""
        return cls(perf_counter(), process_time())

    def since(self) -> Cost:
        """From then until now."""
        wall_s, cpu_s = Cost.now()
        return Cost(wall_s - self.wall_s, cpu_s - self.cpu_s)


@dataclass(frozen=True)
class Task:
    """What is timed.

    Attributes:
        run: Runs once and returns its cost; what it does before and after is not counted.
        times: How often a run does what the row is about, such as reading one chunk.
        bound_nbytes: The memory that zlab promises to keep to, if it promises any.
        unit: What is counted by `times`, where it is told by the second: "samples".
    """

    run: Callable[[], Cost]
    times: int = 1
    bound_nbytes: int | None = None
    unit: str | None = None


def timed(work: Callable[[], object], times: int = 1, *, bound_nbytes: int | None = None) -> Task:
    """A task that is `work`, all of it."""

    def run() -> Cost:
        begun = Cost.now()
        work()
        return begun.since()

    return Task(run, times, bound_nbytes)
