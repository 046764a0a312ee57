"""What the server answers (`docs/wire.md`): strict JSON, and one form for every error."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from zlab.errors import (
    NodeNotFoundError,
    SelectionError,
    StoreError,
    StoreNotFoundError,
    ZlabError,
)
from zlab.lab.paths import (
    DocumentTooLargeError,
    HiddenPathError,
    KernelOnlyError,
    OutsideRootError,
    PrivateAddressError,
    UrlNotAllowedError,
)
from zlab.lab.query import QueryError
from zlab.lab.reading import AbandonedError, TooManyRequestsError, TooSlowError

VERSION = 1

_MAX_SAFE_INTEGER = 2**53 - 1

# the first that fits
_STATUS: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    ((QueryError, SelectionError), 400),
    (
        (
            HiddenPathError,
            KernelOnlyError,
            OutsideRootError,
            PrivateAddressError,
            UrlNotAllowedError,
        ),
        403,
    ),
    ((NodeNotFoundError, StoreNotFoundError), 404),
    ((TooManyRequestsError,), 429),
    ((TooSlowError, AbandonedError), 504),
    ((StoreError,), 502),
    ((ZlabError, RecursionError), 422),
)


def format_json(value: dict[str, Any], max_nbytes: int) -> bytes:
    """A reply's bytes.

    Raises:
        DocumentTooLargeError: They are more than `max_nbytes`.
        RecursionError: The value is nested deeper than JSON can be written.
    """
    data = json.dumps({"v": VERSION, **value}, allow_nan=False, separators=(",", ":")).encode()
    if len(data) > max_nbytes:
        raise DocumentTooLargeError(
            f"a reply of {len(data)} bytes", hint="Open the node in a notebook to see all of it"
        )
    return data


def exact(value: Any) -> Any:
    """The user's JSON values, with what a browser's numbers cannot hold as text.

    That is NaN and the infinities, which v2 attributes hold, and integers beyond 2**53.

    Example:
        >>> exact({"valid_max": [2**53, 1.5, float("inf")]})
        {'valid_max': ['9007199254740992', 1.5, 'Infinity']}
    """
    if isinstance(value, Mapping):
        return {name: exact(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [exact(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    if isinstance(value, int) and abs(value) > _MAX_SAFE_INTEGER:
        return str(value)
    return value


def format_error(error: BaseException) -> dict[str, Any]:
    """The body that tells of an error; what it says names no place outside the store."""
    if isinstance(error, ZlabError):
        where = f" ({error.key})" if error.key else ""
        return _error(f"{error.what}{where}", type(error).__name__, error.hint)
    if isinstance(error, RecursionError):
        return _error("the document is nested too deeply", "RecursionError", None)
    return _error(
        "the server failed", type(error).__name__, "The log of the Jupyter server has the details"
    )


def format_refusal(message: str, reason: str) -> dict[str, Any]:
    """The body of a status that Jupyter itself decided on."""
    return _error(message, reason, None)


def status_of(error: BaseException) -> int:
    """The HTTP status that fits an error."""
    for kinds, status in _STATUS:
        if isinstance(error, kinds):
            return status
    return 500


def _error(message: str, reason: str, hint: str | None) -> dict[str, Any]:
    return {"v": VERSION, "message": message, "reason": reason, "hint": hint}
