"""Attributes of a node: a dictionary that is stored as it changes."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Attributes(MutableMapping[str, Any]):
    """The user's attributes of an array or group.

    Each assignment stores all of them; to set several, `update` stores once.

    Args:
        values: As they are stored.
        store: Stores new values, and raises where it cannot.

    Example:
        >>> import zlab
        >>> array = zlab.create_array("memory://", shape=(2,), dtype="int8")
        >>> array.attrs["units"] = "m"
        >>> dict(array.attrs)
        {'units': 'm'}
    """

    def __init__(
        self, values: Mapping[str, Any], store: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self._values = dict(values)
        self._store = store

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __setitem__(self, name: str, value: Any) -> None:
        self._replace({**self._values, name: value})

    def __delitem__(self, name: str) -> None:
        if name not in self._values:
            raise KeyError(name)
        self._replace({key: value for key, value in self._values.items() if key != name})

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Sets several attributes and stores them at once."""
        self._replace({**self._values, **dict(*args, **kwargs)})

    def clear(self) -> None:
        """Removes all attributes."""
        self._replace({})

    def asdict(self) -> dict[str, Any]:
        """A copy."""
        return dict(self._values)

    def __repr__(self) -> str:
        return f"Attributes({self._values!r})"

    def _replace(self, values: dict[str, Any]) -> None:
        self._store(values)
        self._values = values
