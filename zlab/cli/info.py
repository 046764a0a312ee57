"""`zlab info STORE [PATH]`: what an array or group is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from zlab.array import Array
from zlab.cli.arguments import add_store, open_node
from zlab.errors import MemoryBudgetError
from zlab.metadata.fill import format_fill
from zlab.tools.chunk_plane import ABSENT, read_sizes
from zlab.tools.nbytes import format_nbytes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from zlab.cli.arguments import Commands

_MAX_CHUNKS = 1 << 24  # of which the stored ones are counted
_MAX_NAMES = 20


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "info",
        help="show what an array or group is",
        description="Shows what an array or group is. Counting what is stored lists the store.",
    )
    add_store(parser)
    parser.add_argument(
        "path",
        metavar="PATH",
        nargs="?",
        default="",
        help="of the node in the store; its root by default",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Iterator[str]:
    """The lines of the description."""
    description = describe(open_node(options))
    if options.json:
        yield json.dumps(description, allow_nan=False)
    else:
        yield from _lines(description)


def describe(node: Any) -> dict[str, Any]:
    """What a node is, as JSON values.

    Args:
        node: A zlab array or group.

    Returns:
        The node's place, kind and attributes; `array` with an array's shape, types and sizes, or
        `members` with a group's names, the other being `None`.
    """
    is_array = isinstance(node, Array)
    return {
        "store": node.store.name,
        "path": node.path,
        "kind": "array" if is_array else "group",
        "zarr_format": node.zarr_format,
        "attributes": dict(node.attrs),
        "array": _describe_array(node) if is_array else None,
        "members": None if is_array else node.keys(),
    }


def _describe_array(array: Array) -> dict[str, Any]:
    metadata = array.metadata
    fill = metadata.fill_value
    return {
        "shape": array.shape,
        "dtype": metadata.data_type.name,
        "chunks": array.chunks,
        "shards": array.shards,
        "order": array.order,
        "dimension_names": array.dimension_names,
        "fill_value": None if fill is None else format_fill(metadata.data_type, fill),
        "codecs": [codec.format() for codec in metadata.codecs],
        "chunk_grid_shape": array.chunk_grid_shape,
        "nchunks": array.nchunks,
        "nchunks_stored": _count_stored(array),
        "nbytes": array.nbytes,
        "nbytes_stored": array.nbytes_stored(),
    }


def _count_stored(array: Array) -> int | None:
    try:
        return int((read_sizes(array, _MAX_CHUNKS) != ABSENT).sum())
    except MemoryBudgetError:
        return None


def _lines(description: Mapping[str, Any]) -> Iterator[str]:
    place = f"{description['store']}/{description['path']}".rstrip("/")
    yield f"{place}: {description['kind']}, Zarr v{description['zarr_format']}"
    members, array = description["members"], description["array"]
    rows = list(_array_rows(array)) if array else [("members", _listed(members) or "none")]
    attributes = description["attributes"]
    for name, text in rows:
        yield f"  {name:<11} {text}"
    if attributes:
        yield "  attributes"
    for name, value in attributes.items():
        yield f"    {name}: {json.dumps(value, ensure_ascii=False)}"


def _array_rows(array: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "shape", _shape(array["shape"])
    if array["dimension_names"]:
        yield "dimensions", ", ".join(name or "(unnamed)" for name in array["dimension_names"])
    yield "dtype", array["dtype"]
    yield "fill value", json.dumps(array["fill_value"])
    if array["order"] != "C":
        yield "order", array["order"]
    yield "chunks", f"{_shape(array['chunks'])}, a grid of {_shape(array['chunk_grid_shape'])}"
    if array["shards"]:
        yield "shards", _shape(array["shards"])
    yield "codecs", " > ".join(_codec(codec) for codec in array["codecs"])
    stored = "not counted" if array["nchunks_stored"] is None else array["nchunks_stored"]
    yield "stored", f"{stored} of {array['nchunks']} chunks"
    yield "size", _sizes(array["nbytes"], array["nbytes_stored"])


def _shape(lengths: Sequence[int]) -> str:
    return " x ".join(map(str, lengths)) or "a scalar"


def _codec(codec: Mapping[str, Any] | str) -> str:
    if isinstance(codec, str):
        return codec
    configuration = codec.get("configuration") or {}
    if "codecs" in configuration:
        return f"{codec['name']}({' > '.join(map(_codec, configuration['codecs']))})"
    values = ", ".join(f"{name} {value}" for name, value in configuration.items())
    return f"{codec['name']}({values})" if values else str(codec["name"])


def _sizes(nbytes: int, nbytes_stored: int) -> str:
    ratio = f", ratio {nbytes / nbytes_stored:.2f}" if nbytes_stored else ""
    return f"{format_nbytes(nbytes)} in memory, {format_nbytes(nbytes_stored)} stored{ratio}"


def _listed(names: Sequence[str]) -> str:
    more = f", and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more
