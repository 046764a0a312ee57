"""Chunk keys: from chunk coordinates to the last part of a key, and back.

Source: Zarr v3 core specification, section "Chunk key encoding".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from zlab.errors import MetadataError, UnknownExtensionError
from zlab.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zlab.metadata.extension import NamedConfig


@runtime_checkable
class KeyEncoding(Protocol):
    """From a chunk's coordinates to its key, relative to the array, and back."""

    def encode(self, coords: Iterable[int]) -> str:
        """The key of a chunk; no two chunks have the same."""
        ...

    def decode(self, key: str) -> tuple[int, ...] | None:
        """The coordinates that a key stands for, or `None` where it is no chunk's key."""
        ...


@dataclass(frozen=True, slots=True)
class ChunkKeys:
    """The `default` encoding (`c/0/1`) or `v2` (`0.1`).

    Attributes:
        separator: Between coordinates, `/` or `.`.
        prefix: `"c"` for `default`, empty for `v2`.
        ndim: Dimensions of the array.
    """

    separator: str
    prefix: str
    ndim: int

    @classmethod
    def parse(cls, encoding: NamedConfig, ndim: int) -> KeyEncoding:
        """Resolves the encoding of a metadata document.

        Raises:
            UnknownExtensionError: The encoding is not known.
            MetadataError: Its configuration is wrong.
        """
        name, configuration = encoding.name, encoding.configuration
        if name not in _DEFAULTS:
            found = key_encodings.make(name, configuration, ndim)
            if found is None:
                raise UnknownExtensionError(
                    f"unknown chunk key encoding {name!r:.80}", hint=key_encodings.hint
                )
            return found
        separator, prefix = _DEFAULTS[name]
        separator = configuration.get("separator", separator)
        if separator not in ("/", ".") or set(configuration) - {"separator"}:
            msg = f"chunk key encoding: bad configuration {dict(configuration)!r:.80}"
            raise MetadataError(msg)
        return cls(separator, prefix, ndim)

    def encode(self, coords: Iterable[int]) -> str:
        """The key of a chunk, relative to the array."""
        numbers = self.separator.join(map(str, coords))
        if not numbers:
            return self.prefix or "0"
        return f"{self.prefix}{self.separator}{numbers}" if self.prefix else numbers

    def decode(self, key: str) -> tuple[int, ...] | None:
        """The coordinates that a key stands for, or `None` where it is no chunk's key."""
        if self.ndim == 0:
            return () if key == (self.prefix or "0") else None
        parts = key.split(self.separator)
        if self.prefix:
            if parts[0] != self.prefix:
                return None
            del parts[0]
        if len(parts) != self.ndim or not all(_is_number(part) for part in parts):
            return None
        return tuple(map(int, parts))


_DEFAULTS = {"default": ("/", "c"), "v2": (".", "")}

key_encodings: Registry[KeyEncoding] = Registry(
    "chunk key encoding",
    "zlab.chunk_key_encodings",
    KeyEncoding,  # type: ignore[type-abstract]  # it is only checked against
    UnknownExtensionError,
    _DEFAULTS.__contains__,
)
"""Chunk key encodings of other packages: `(configuration, ndim) -> KeyEncoding`."""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")
