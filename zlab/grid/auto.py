"""A chunk shape for those who do not say one."""

from __future__ import annotations

from math import prod

TARGET_BYTES = 1 << 20
"""Decoded bytes of an automatic chunk at most: large enough that codecs and requests pay, small
enough that a slice across many chunks does not read the whole array."""


def auto_chunks(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """A chunk shape of at most 1 MiB that is as near to a cube as the array allows.

    Args:
        shape: Of the array.
        itemsize: Bytes of one element.

    Returns:
        One length for each axis, each at least 1.

    Example:
        >>> auto_chunks((365, 721, 1440), 4)
        (46, 46, 90)
    """
    chunks = [max(n, 1) for n in shape]
    while prod(chunks) * max(itemsize, 1) > TARGET_BYTES:
        longest = max(range(len(chunks)), key=chunks.__getitem__)
        if chunks[longest] == 1:
            break
        chunks[longest] = -(-chunks[longest] // 2)
    return tuple(chunks)
