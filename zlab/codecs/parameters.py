"""Reads the configuration of one codec, strictly: what is missing, wrong or left over is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, final

from zlab.errors import MetadataError
from zlab.metadata.extension import NamedConfig

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

T = TypeVar("T")

REQUIRED: Any = object()


@final
class Parameters:
    """The parameters of one codec, taken key by key.

    Example:
        >>> parameters = Parameters("gzip", {"level": 5})
        >>> parameters.integer("level", 0, 9)
        5
        >>> parameters.close()
    """

    def __init__(self, codec: str, configuration: Mapping[str, Any]) -> None:
        self._codec = codec
        self._left = dict(configuration)

    def take(self, key: str, default: Any = REQUIRED) -> Any:
        """The value of a key as it stands in the document."""
        if key in self._left:
            return self._left.pop(key)
        if default is REQUIRED:
            raise MetadataError(f"codec {self._codec!r} needs the parameter {key!r}")
        return default

    def fail(self, key: str, value: object, wanted: str) -> MetadataError:
        """The error for a value that is not what is wanted."""
        return MetadataError(f"codec {self._codec!r}: {key} must be {wanted}, not {value!r:.80}")

    def integer(self, key: str, low: int, high: int, default: Any = REQUIRED) -> int:
        """A whole number in `[low, high]`; one written as `5.0` counts."""
        value = self.take(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.fail(key, value, f"a whole number from {low} to {high}")
        return value

    def number(self, key: str, default: Any = REQUIRED) -> float:
        """A number."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(key, value, "a number")
        return value

    def boolean(self, key: str, default: Any = REQUIRED) -> bool:
        """True or false."""
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise self.fail(key, value, "true or false")
        return value

    def choice(self, key: str, choices: Collection[T], default: Any = REQUIRED) -> T:
        """One of the choices."""
        value = self.take(key, default)
        for choice in choices:
            # 1 and True are equal in Python, and not in JSON
            if type(value) is type(choice) and value == choice:
                return choice
        raise self.fail(key, value, f"one of {list(choices)}")

    def integers(self, key: str, low: int, default: Any = REQUIRED) -> tuple[int, ...]:
        """A list of whole numbers, each at least `low`."""
        value = self.take(key, default)
        if not isinstance(value, list | tuple):
            raise self.fail(key, value, "a list of whole numbers")
        for item in value:
            if isinstance(item, bool) or not isinstance(item, int) or item < low:
                raise self.fail(key, value, f"a list of whole numbers of at least {low}")
        return tuple(value)

    def codecs(self, key: str, default: Any = REQUIRED) -> list[NamedConfig]:
        """A list of codecs."""
        value = self.take(key, default)
        if not isinstance(value, list | tuple):
            raise self.fail(key, value, "a list of codecs")
        return [
            item
            if isinstance(item, NamedConfig)
            else NamedConfig.parse(item, f"{key}[{position}] of codec {self._codec!r}")
            for position, item in enumerate(value)
        ]

    def close(self) -> None:
        """Raises `MetadataError` where a parameter was not taken: it might change the bytes."""
        if self._left:
            raise MetadataError(
                f"codec {self._codec!r} has unknown parameters {sorted(map(str, self._left))}"
            )
