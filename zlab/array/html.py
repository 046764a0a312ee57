"""What a notebook shows of a node: tables in the colours of the page, light or dark."""

from __future__ import annotations

from html import escape
from math import prod
from typing import TYPE_CHECKING, Any

from zlab.errors import MetadataError
from zlab.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from zlab.array.array import Array
    from zlab.metadata import ArrayMetadata, NamedConfig

Row = tuple[str, object]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_MAX_ATTRIBUTES = 10
_MAX_TEXT = 2000
_MAX_VALUE = 80
_SHARDING = "sharding_indexed"

# JupyterLab's variables where there are some; elsewhere what the page has. Greys are half
# transparent, so that they fit a light page and a dark one
STYLE = """<style>
.zlab{color:var(--jp-content-font-color1,inherit);font-size:13px;line-height:1.5;
font-family:var(--jp-ui-font-family,system-ui,sans-serif)}
.zlab-title{padding:2px 0 6px}
.zlab-title b{font-weight:600}
.zlab-dim{opacity:.65}
.zlab table{border-collapse:collapse;border:0;margin:0;font-size:12px}
.zlab tr{background:none!important}
.zlab th,.zlab td{border:0;padding:1px 16px 1px 0;text-align:left;vertical-align:top}
.zlab th{font-weight:400;opacity:.65}
.zlab td,.zlab code{font-family:var(--jp-code-font-family,ui-monospace,monospace);
color:inherit;background:none}
.zlab td{max-width:60em;overflow-wrap:anywhere;white-space:normal}
.zlab ul{list-style:none;margin:0 0 0 8px!important;padding:0 0 0 12px!important;
border-left:1px solid rgba(128,128,128,.35)}
.zlab li{margin:0}
.zlab summary{cursor:pointer;padding:1px 4px;border-radius:3px;list-style:none}
.zlab summary::-webkit-details-marker{display:none}
.zlab summary:hover{background:rgba(128,128,128,.15)}
.zlab summary::before{content:"";display:inline-block;margin:0 7px 1px 1px;
border:4px solid transparent;border-left-color:currentColor;border-right:0;opacity:.55}
.zlab details[open]>summary::before{transform:rotate(90deg)}
.zlab .zlab-leaf{padding:1px 4px 1px 16px}
.zlab details>table{margin:2px 0 6px 34px}
.zlab svg{width:14px;height:14px;vertical-align:-2px;margin-right:6px;fill:currentColor}
.zlab .zlab-group-icon{color:var(--jp-warn-color1,#d9822b)}
.zlab .zlab-array-icon{color:var(--jp-brand-color1,#2b83d9)}
.zlab .zlab-error{color:var(--jp-error-color1,#d64545)}
.zlab .zlab-badge{font:11px var(--jp-code-font-family,ui-monospace,monospace);padding:0 5px;
border:1px solid rgba(128,128,128,.5);border-radius:8px;margin:0 4px}
</style>"""


class Info:
    """What there is to say about a node, as text, and as a table in a notebook.

    Args:
        title: What the node is.
        rows: Names and values.
    """

    def __init__(self, title: str, rows: Sequence[Row]) -> None:
        self.title = title
        self._rows = rows

    def asdict(self) -> dict[str, object]:
        """The values by name."""
        return dict(self._rows)

    def __repr__(self) -> str:
        width = max((len(name) for name, _ in self._rows), default=0)
        return "\n".join([self.title, *(f"{name:{width}} : {value}" for name, value in self._rows)])

    def _repr_html_(self) -> str:
        return page(f'<div class="zlab-title"><b>{escape(self.title)}</b></div>{table(self._rows)}')


def page(body: str) -> str:
    """HTML of zlab's, with its style."""
    return f'{STYLE}<div class="zlab">{body}</div>'


def gone_html(node: object, error: Exception) -> str:
    """What a notebook shows of a node that is no longer there, or cannot be looked at."""
    return page(f'<div class="zlab-title">{escape(repr(node))}</div><p>{escape(str(error))}</p>')


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


def table(rows: Iterable[Row]) -> str:
    """A table of names and values, everything escaped."""
    body = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(shortened(value))}</td></tr>"
        for name, value in rows
    )
    return f"<table>{body}</table>"


def shortened(value: object, limit: int = _MAX_TEXT) -> str:
    """A value as text that is not too long to be looked at."""
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def array_html(array: Array) -> str:
    """What a notebook shows of an array."""
    return array.info._repr_html_()


def array_rows(array: Array) -> list[Row]:
    """What there is to say about an array without reading it."""
    return [
        ("store", array.store.name),
        ("path", f"/{array.path}"),
        *metadata_rows(array.metadata),
        ("format", f"Zarr v{array.zarr_format}"),
        ("opened for", "reading" if array.read_only else "reading and writing"),
    ]


def metadata_rows(metadata: ArrayMetadata) -> list[Row]:
    """What an array's metadata say."""
    rows: list[Row] = [("shape", metadata.shape), ("dtype", metadata.data_type.name)]
    if metadata.dimension_names is not None:
        names = ", ".join("none" if name is None else name for name in metadata.dimension_names)
        rows.append(("dimensions", names))
    itemsize = metadata.data_type.dtype.itemsize
    size = format_nbytes(prod(metadata.shape) * itemsize)
    chunks, shards, nchunks = chunking(metadata)
    if chunks is not None:
        rows.append(("chunks", f"{chunks}, {nchunks:,} in all"))
        size += f", {format_nbytes(prod(chunks) * itemsize)} a chunk"
    if shards is not None:
        rows.append(("shards", shards))
    return [
        *rows,
        ("codecs", _codec_words(metadata.codecs)),
        ("fill value", metadata.fill_value),
        ("size", size),
        *attribute_rows(metadata.attributes),
    ]


def _codec_words(codecs: Sequence[NamedConfig]) -> str:
    words = []
    for codec in codecs:
        inner = codec.configuration.get("codecs") if codec.name == _SHARDING else None
        names = [item.get("name") for item in inner or () if isinstance(item, dict)]
        words.append(f"{codec.name} ({' → '.join(map(str, names))})" if names else codec.name)
    return " → ".join(words)


def attribute_rows(attributes: Mapping[str, Any]) -> list[Row]:
    """The names of a node's attributes, where it has some."""
    if not attributes:
        return []
    more = len(attributes) - _MAX_ATTRIBUTES
    shown = [
        f"{shortened(f'{name}: {attributes[name]}', _MAX_VALUE)}"
        for name in list(attributes)[:_MAX_ATTRIBUTES]
    ]
    return [("attributes", ", ".join([*shown, *([f"and {more} more"] if more > 0 else [])]))]


def chunking(
    metadata: ArrayMetadata,
) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None, int]:
    """The shapes of a chunk and of a shard, as far as there are such, and how many chunks."""
    first = (0,) * len(metadata.shape)
    try:
        objects = Grid.parse(metadata.chunk_grid, metadata.shape)
        outer = metadata.codecs[0]
        if outer.name != _SHARDING:
            return objects.stored_shape(first), None, objects.nchunks
        inner = tuple(outer.configuration["chunk_shape"])
        chunks = Grid.regular(metadata.shape, inner)
        return inner, objects.stored_shape(first), chunks.nchunks
    except (MetadataError, KeyError, TypeError, ValueError):
        # it is shown all the same; opening the array says what is wrong
        return None, None, 0
