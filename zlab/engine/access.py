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
        read_only: Refuse every write, also where the store would take it.
    """

    cache: Cache | None = None
    missing: Missing = "fill"
    locks: Locks = threads
    aligned: bool = False
    read_only: bool = False

    def __post_init__(self) -> None:
        if self.missing not in get_args(Missing):
            msg = f"missing must be 'fill' or 'raise', not {self.missing!r:.40}"
            raise ValueError(msg)

    @classmethod
    def of(
        cls,
        *,
        cache: object,
        missing: Missing,
        locks: Locks | None,
        aligned: bool,
        read_only: bool,
    ) -> Access:
        """From what a user says; a number of bytes makes a cache of that size.

        Raises:
            TypeError: `cache` is something else.
            ValueError: An option has no such value.
        """
        if isinstance(cache, int):
            cache = Cache(cache)
        elif cache is not None and not isinstance(cache, Cache):
            msg = f"cache must be a zlab.Cache or a number of bytes, not {type(cache).__name__}"
            raise TypeError(msg)
        return cls(cache, missing, locks or threads, aligned, read_only)
