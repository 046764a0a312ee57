"""Numbers of things, as people write them."""

from __future__ import annotations


def counted(n: int, what: str) -> str:
    """A number and what it counts.

    Example:
        >>> counted(1, "chunk"), counted(1200, "chunk")
        ('1 chunk', '1,200 chunks')
    """
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"
