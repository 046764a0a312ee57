"""JSON documents as bytes: read strictly, written readably.

Zarr v3 forbids NaN and Infinity as JSON tokens; attributes of v2 stores hold them all the same
(xarray and zarr-python 2 wrote them), so they are read everywhere and never written.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from zlab.errors import MetadataError

if TYPE_CHECKING:
    from zlab.memory import Buffer

_MAX_BYTES = 1 << 28


def parse_json(data: Buffer, *, key: str, store: str) -> dict[str, Any]:
    """Parses a metadata document, which is a JSON object.

    Raises:
        MetadataError: Not JSON in UTF-8, not an object, a name that stands twice in one, or far
            larger than metadata are.
    """
    hint = "The document may be truncated or overwritten; `zlab verify` shows what is left"
    if len(data) > _MAX_BYTES:
        raise MetadataError(f"a metadata document of {len(data)} bytes", store=store, key=key)
    try:
        # a byte order mark, which some editors write, says nothing in UTF-8
        document = _decode(str(data, "utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        start = bytes(data[:20])
        what = f"not a JSON document, {len(data)} bytes that start with {start!r}: {reason:.160}"
        raise MetadataError(what, store=store, key=key, hint=hint) from error
    if not isinstance(document, dict):
        what = f"a metadata document must be a JSON object, not {type(document).__name__}"
        raise MetadataError(what, store=store, key=key, hint=hint)
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, whose names differ: readers would not agree on which of two values counts."""
    members = dict(pairs)
    if len(members) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        msg = f"the name {twice!r:.80} stands twice in one object"
        raise ValueError(msg)
    return members


# made once: the decoder costs as much as a small document
_decode = json.JSONDecoder(object_pairs_hook=_object).decode


def format_json(document: dict[str, Any]) -> bytes:
    """The document's bytes.

    Raises:
        MetadataError: A value that JSON does not have: NaN, bytes, an object of Python.
    """
    try:
        return json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise MetadataError(
            f"metadata that cannot be written as JSON: {error}",
            hint="Attributes hold text, numbers, booleans, None, and lists and dicts of them; "
            "write NaN and infinities as text",
        ) from error
