"""Checks of decoded sizes, before memory is taken and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zlab.config import settings
from zlab.errors import CodecError, DecodedSizeError

if TYPE_CHECKING:
    from zlab.memory import Buffer


def check_size(codec: str, expected: int, actual: int) -> None:
    """Raises `DecodedSizeError` where the decoded bytes are not as many as the chunk needs."""
    if actual != expected:
        raise DecodedSizeError(
            f"codec {codec!r}: expected {expected} decoded bytes, got {actual}",
            hint="The stored bytes are corrupt, or were written with another shape or data type",
        )


def limit() -> int:
    """The most decoded bytes that a chunk of unknown size may have."""
    return settings.max_chunk_bytes


def check_limit(codec: str, most: int, claimed: int) -> None:
    """Raises `CodecError` where a chunk of unknown size claims more bytes than one may have."""
    if claimed > most:
        raise CodecError(
            f"codec {codec!r}: the chunk claims {claimed} decoded bytes, more than the {most} "
            "that settings.max_chunk_bytes allows",
            hint="If you trust the data, raise zlab.settings.max_chunk_bytes and open it again",
        )


def deliver(codec: str, data: Buffer, out: memoryview | None) -> Buffer:
    """Decoded bytes, copied into `out` where there is one."""
    if out is None:
        return data
    check_size(codec, len(out), len(data))
    out[:] = data
    return out
