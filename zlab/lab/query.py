"""The parameters of a request, parsed once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from zlab.errors import ZlabError
from zlab.stores.base import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAX_AXES = 64
_MAX_DIGITS = 18
_MAX_TEXTS = 100
_STORE = re.compile(r"(?<=[?&]store=)[^&]*")


class QueryError(ZlabError):
    """A request whose parameters do not make sense."""


class Query:
    """The parameters of a request.

    Jupyter's own accessors strip spaces and replace control characters, so that a name could
    become another one; here it stays as it is.

    Args:
        arguments: By name, all values as raw bytes.
    """

    def __init__(self, arguments: Mapping[str, Sequence[bytes]]) -> None:
        self._arguments = arguments

    def text(self, name: str, default: str | None = None) -> str:
        """A text.

        Raises:
            QueryError: It is missing and has no default, comes twice, or is not UTF-8.
        """
        values = self._arguments.get(name, ())
        if len(values) > 1:
            raise QueryError(f"the parameter {name!r} comes {len(values)} times")
        if not values:
            if default is None:
                raise QueryError(f"the parameter {name!r} is missing")
            return default
        try:
            return values[0].decode()
        except UnicodeDecodeError as error:
            raise QueryError(f"the parameter {name!r} is not UTF-8") from error

    def texts(self, name: str) -> list[str]:
        """All values of a parameter.

        Raises:
            QueryError: They are too many, or not UTF-8.
        """
        values = self._arguments.get(name, ())
        if len(values) > _MAX_TEXTS:
            raise QueryError(f"the parameter {name!r} comes {len(values)} times")
        return [Query({name: [value]}).text(name) for value in values]

    def whole(self, name: str, default: int) -> int:
        """A whole number, 0 or more.

        Raises:
            QueryError: It is something else.
        """
        text = self.text(name, "")
        return _parse_whole(text, name) if text else default

    def wholes(self, name: str) -> list[int] | None:
        """Whole numbers joined by commas; `None` where the parameter is missing.

        Raises:
            QueryError: It is something else.
        """
        if name not in self._arguments:
            return None
        text = self.text(name)
        parts = text.split(",") if text else []
        if len(parts) > _MAX_AXES:
            raise QueryError(f"the parameter {name!r} has {len(parts)} numbers")
        return [_parse_whole(part, name) for part in parts]


def _parse_whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise QueryError(f"the parameter {name!r} must be a whole number, not {text!r:.40}")
    return int(text)


def without_secrets(uri: str) -> str:
    """A request's address, without what a URL of a store in it may hold of secrets.

    Example:
        >>> without_secrets("/zlab/api/node?store=https%3A%2F%2Fme%3Apw%40host%2Fa%3Fsig%3Dx&path=")
        '/zlab/api/node?store=https%3A%2F%2Fhost%2Fa&path='
    """

    def clean(found: re.Match[str]) -> str:
        store = unquote(found[0].replace("+", " "))
        kept = redact(store)
        return found[0] if kept == store else quote(kept, safe="")

    return _STORE.sub(clean, uri)
