"""Sizes in bytes, as people write them."""

from __future__ import annotations

import re

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*)", re.IGNORECASE)


def parse_nbytes(text: str) -> int:
    """Bytes from a number and a unit.

    Args:
        text: Such as `64MB` (10**6 bytes each), `1.5 GiB` (2**30 each), `4096`.

    Raises:
        ValueError: It is not a size.

    Example:
        >>> parse_nbytes("64MB"), parse_nbytes("1.5 KiB")
        (64000000, 1536)
    """
    match = _SIZE.fullmatch(text.strip())
    unit = None if match is None else _UNITS.get(match[2].lower())
    if match is None or unit is None:
        msg = f"{text!r:.40} is not a size: write a number and a unit, such as 64MB or 1.5GiB"
        raise ValueError(msg)
    return round(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def format_nbytes(nbytes: int) -> str:
    """Bytes with the largest unit that leaves a whole part, to three digits.

    Example:
        >>> format_nbytes(999), format_nbytes(65_016_000)
        ('999 B', '65.0 MB')
    """
    number, unit = float(nbytes), "B"
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        # what would be rounded up to 1000 belongs to the next unit
        if number < 999.5 or unit == "PB":  # noqa: PLR2004
            break
        number /= 1000
    if unit == "B":
        return f"{nbytes} B"
    digits = 2 if number < 9.995 else 1 if number < 99.95 else 0  # noqa: PLR2004  three in all
    return f"{number:.{digits}f} {unit}"
