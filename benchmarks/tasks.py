"""A task: something that is run again and again, and says how long it took each time."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TypeAlias

Task: TypeAlias = Callable[[], float]
"""Runs once and returns seconds. What it does before and after is not counted."""


def timed(run: Callable[[], object]) -> Task:
    """A task that is `run`, all of it."""

    def task() -> float:
        begun = perf_counter()
        run()
        return perf_counter() - begun

    return task
