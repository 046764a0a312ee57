"""How a handle reads and writes, beyond what the metadata say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from zlab.engine.cache import Cache
from zlab.engine.locks import threads

if TYPE_CHECKING:
    from zlab.engine.locks import Locks

Missing: TypeAlias = Literal["fill", "raise"]


@dataclass(frozen=True, slots=True)
class Access:
    """The options of an open array or group, which its members inherit.

    Attributes:
        cache: Where decoded chunks are kept, `None` for nowhere.
        missing: What an absent chunk is: the fill value, or an error.
        locks: What keeps writers of one object apart.
        aligned: Refuse writes that do not cover whole stored objects.
    """

    cache: Cache | None = None
    missing: Missing = "fill"
    locks: Locks = threads
    aligned: bool = False

    def __post_init__(self) -> None:
        if self.missing not in get_args(Missing):
            msg = f"missing must be 'fill' or 'raise', not {self.missing!r:.40}"
            raise ValueError(msg)

    @classmethod
    def of(
        cls,
        *,
        cache: Cache | int | None,
        missing: Missing,
        locks: Locks | None,
        aligned: bool,
    ) -> Access:
        """From what a user says; a number of bytes makes a cache of that size."""
        return cls(
            Cache(cache) if isinstance(cache, int) else cache, missing, locks or threads, aligned
        )
