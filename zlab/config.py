"""Settings of the process, `zlab.settings`."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def _from_environment(name: str, default: int) -> int:
    text = os.environ.get(f"ZLAB_{name.upper()}", "")
    try:
        return int(text) if text else default
    except ValueError as error:
        msg = f"the environment variable ZLAB_{name.upper()} must be a whole number, not {text!r}"
        raise ValueError(msg) from error


def _setting(name: str, default: int) -> Any:
    return field(default_factory=lambda: _from_environment(name, default))


_MAY_BE_ZERO = frozenset({"coalesce_gap", "shard_index_age_ms"})


@dataclass(slots=True)
class Settings:
    """What a user may tune; each starts from the environment variable `ZLAB_<NAME>`.

    Attributes:
        threads: Threads that decode and encode; the machine's cores by default.
        fetch_concurrency: Requests in flight to a store that is not local.
        max_chunk_bytes: Decoded bytes that one chunk may have. A chunk that claims more is
            refused before memory is taken.
        memory_budget: Bytes that all streams of the process may hold at once.
        shard_index_cache: Bytes of shard indices that each open array keeps.
        shard_index_age_ms: Milliseconds for which an open array believes the index of a shard in a
            store that tells no versions, as those behind a network; what this process writes it
            sees at once. An array that is opened with a cache believes it always.
        coalesce_gap: Bytes between two inner chunks of a shard that are read along rather than
            asked for apart; with 0 only neighbours share a request.
        coalesce_limit: Bytes of one request for several inner chunks, at most.

    Example:
        >>> import zlab
        >>> with zlab.settings.override(threads=1):
        ...     zlab.settings.threads
        1
    """

    threads: int = _setting("threads", _cores())
    fetch_concurrency: int = _setting("fetch_concurrency", 64)
    max_chunk_bytes: int = _setting("max_chunk_bytes", 1 << 30)
    memory_budget: int = _setting("memory_budget", 1 << 30)
    shard_index_cache: int = _setting("shard_index_cache", 64 << 20)
    shard_index_age_ms: int = _setting("shard_index_age_ms", 1000)
    coalesce_gap: int = _setting("coalesce_gap", 64 << 10)
    coalesce_limit: int = _setting("coalesce_limit", 16 << 20)

    def __setattr__(self, name: str, value: object) -> None:
        least = 0 if name in _MAY_BE_ZERO else 1
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            kind = "a whole number from 0" if least == 0 else "a positive whole number"
            msg = f"settings.{name} must be {kind}, not {value!r}"
            raise ValueError(msg)
        object.__setattr__(self, name, value)

    @contextmanager
    def override(self, **values: int) -> Iterator[Settings]:
        """Changes settings for the length of a `with` block, for all threads.

        Raises:
            ValueError: A value is not a positive whole number, or from 0 where that is allowed.
            AttributeError: There is no such setting.
        """
        before = {name: getattr(self, name) for name in values}
        try:
            for name, value in values.items():
                setattr(self, name, value)
            yield self
        finally:
            for name, value in before.items():
                setattr(self, name, value)


settings = Settings()
