"""What a notebook shows of an array or group: a small table, in the colours of the page."""

from __future__ import annotations

from html import escape
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zlab.array.array import Array

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_TEXT = 10
_STYLE = "border-collapse:collapse;font-size:0.9em;text-align:left"
_CELL = "padding:1px 12px 1px 0;text-align:left;vertical-align:top"


def format_nbytes(nbytes: float) -> str:
    """A size for people.

    Example:
        >>> format_nbytes(1536)
        '1.5 KiB'
    """
    for unit in _UNITS[:-1]:
        if nbytes < _STEP:
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= _STEP
    return f"{nbytes:.1f} {_UNITS[-1]}"


def table(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """A table of names and values, everything escaped."""
    body = "".join(
        f'<tr><th style="{_CELL};font-weight:600">{escape(name)}</th>'
        f'<td style="{_CELL};font-family:monospace">{escape(str(value))}</td></tr>'
        for name, value in rows
    )
    return f'<div><b>{escape(title)}</b><table style="{_STYLE}">{body}</table></div>'


def array_rows(array: Array) -> list[tuple[str, object]]:
    """What there is to say about an array without reading it."""
    rows: list[tuple[str, object]] = [
        ("store", array.store.name),
        ("path", f"/{array.path}"),
        ("shape", array.shape),
        ("dtype", array.metadata.data_type.name),
        ("chunks", f"{array.chunks}, {array.nchunks} in all"),
    ]
    if array.shards is not None:
        rows.append(("shards", array.shards))
    chunk_nbytes = prod(array.chunks) * array.itemsize
    rows += [
        ("codecs", " → ".join(codec.name for codec in array.metadata.codecs)),
        ("fill value", array.fill_value),
        ("size", f"{format_nbytes(array.nbytes)}, {format_nbytes(chunk_nbytes)} a chunk"),
        ("format", f"Zarr v{array.zarr_format}"),
    ]
    if array.dimension_names is not None:
        names = ", ".join("none" if name is None else name for name in array.dimension_names)
        rows.append(("dimensions", names))
    if array.attrs:
        shown = ", ".join(list(array.attrs)[:_TEXT])
        rows.append(("attributes", shown + (", ..." if len(array.attrs) > _TEXT else "")))
    return rows
