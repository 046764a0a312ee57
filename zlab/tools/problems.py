"""What can be wrong in a store, and how it is said."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, final, get_args

from zlab.tools.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind: TypeAlias = Literal[
    "metadata", "unreadable", "chunk", "torn", "overlap", "outside", "stale", "stray", "leftover"
]
"""What is wrong.

- `metadata`: a document that cannot be understood, or a codec that is not there
- `unreadable`: the store failed, or the object is too large for the memory that is allowed;
  whether it is whole is not known
- `chunk`: a chunk that cannot be decoded, or whose size is wrong
- `torn`: a shard that is truncated, or whose index is corrupt
- `overlap`: inner chunks of a shard that share bytes
- `outside`: a chunk with coordinates outside the array, as a careless shrink leaves it
- `stale`: consolidated metadata that are not what the nodes say
- `stray`: an object that belongs to nothing (harmless)
- `leftover`: a temporary file of a writer that was killed (harmless)
"""

KEPT = 1000
"""Problems of one kind that a report names; all are counted."""

_HARMLESS = ("stray", "leftover")
_NAMED = 8  # things that one line names


@final
@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong.

    Attributes:
        kind: What it is.
        key: The object or node, or the file of a leftover.
        what: What was found.
        coords: Of the chunk; of a sharded array, of the inner chunk, or `None` for all of a shard.
        lost: Coordinates of inner chunks that are gone.
        repaired: Whether it was put right as far as it can be; what is `lost` stays lost.
    """

    kind: Kind
    key: str
    what: str
    coords: tuple[int, ...] | None = None
    lost: tuple[tuple[int, ...], ...] = ()
    repaired: bool = False

    @property
    def harmless(self) -> bool:
        """Whether all data can be read in spite of it."""
        return self.kind in _HARMLESS

    def __str__(self) -> str:
        where = self.key or "/"
        if self.coords is not None:
            where += f" chunk {self.coords}"
        lost = ""
        if self.lost:
            lost = f"; lost: {counted(len(self.lost), 'chunk')}: {listed(self.lost)}"
        return f"{self.kind}: {where}: {self.what}{lost}{' (repaired)' if self.repaired else ''}"


def listed(things: Sequence[object]) -> str:
    """The first few of them, in a line."""
    more = ", ..." if len(things) > _NAMED else ""
    return ", ".join(map(str, things[:_NAMED])) + more


class Problems:
    """The problems that a check found so far, from whichever thread."""

    def __init__(self) -> None:
        self.counts: Counter[Kind] = Counter()
        self.harmful = 0
        self._kept: list[Problem] = []
        self._lock = threading.Lock()

    def add(self, problem: Problem) -> None:
        """One more."""
        with self._lock:
            self.counts[problem.kind] += 1
            self.harmful += not (problem.harmless or problem.repaired)
            if self.counts[problem.kind] <= KEPT:
                self._kept.append(problem)

    def in_order(self) -> tuple[Problem, ...]:
        """Those that are kept, by kind, key and coordinates."""
        order = get_args(Kind)
        return tuple(sorted(self._kept, key=lambda p: (order.index(p.kind), p.key, p.coords or ())))
