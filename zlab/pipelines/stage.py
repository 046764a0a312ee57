"""What is done with each item, and by how many threads or processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Callable


@final
@dataclass(frozen=True, slots=True)
class Stage:
    """A function, and how a pipeline calls it.

    Args:
        fn: Takes an item, or with `batch` a list of items, and returns what goes to the next stage.
        workers: Threads, or processes, that call it at once; the pipeline's number by default.
        processes: Call it in processes of their own: for code that holds Python's lock, or that may
            crash. The function, the items and the results are pickled; a function of a notebook or
            a script needs the library cloudpickle. What it prints goes to the standard error.
        batch: Items that are handed over together. There may be fewer, where no more can come.
        name: What messages call it; the function's name by default.

    Raises:
        TypeError: `fn` cannot be called, or a number is none.
        ValueError: `workers` or `batch` is less than 1.

    Example:
        >>> Stage(sum, batch=3)
        Stage(sum, batch=3)
    """

    fn: Callable[[Any], Any]
    workers: int | None = None
    processes: bool = False
    batch: int | None = None
    name: str = ""

    def __post_init__(self) -> None:
        fn: object = self.fn
        if not callable(fn):
            msg = f"a stage is a function of an item, not {fn!r:.80}"
            raise TypeError(msg)
        for what in ("workers", "batch"):
            check_count(getattr(self, what), what)
        if not self.name:
            fn = getattr(self.fn, "func", self.fn)  # of a functools.partial
            object.__setattr__(self, "name", getattr(fn, "__name__", type(fn).__name__))

    def __repr__(self) -> str:
        said = [self.name]
        if self.workers is not None:
            said.append(f"workers={self.workers}")
        if self.processes:
            said.append("processes=True")
        if self.batch is not None:
            said.append(f"batch={self.batch}")
        return f"Stage({', '.join(said)})"


def check_count(value: object, what: str, *, least: int = 1) -> None:
    """Raises an error where a number is less than it may be; `None` is always allowed.

    Raises:
        TypeError: It is not a whole number.
        ValueError: It is less than `least`.
    """
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        msg = f"{what} must be a whole number, not {value!r:.80}"
        raise TypeError(msg)
    if value < least:
        msg = f"{what} must be at least {least}, not {value}"
        raise ValueError(msg)
