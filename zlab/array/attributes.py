"""Attributes of a node: a dictionary that is stored as it changes."""

from __future__ import annotations

from collections.abc import MutableMapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Change: TypeAlias = "Callable[[Mapping[str, Any]], Mapping[str, Any]]"
"""From the attributes that are stored to those that shall be."""


class Attributes(MutableMapping[str, Any]):
    """The user's attributes of an array or group.

    They are read from the node's metadata, so that what another handle has changed is seen. Each
    assignment stores all of them; to set several, `update` stores once. A list or dictionary is a
    copy: what is changed in it is stored when it is assigned again.

    Args:
        read: Returns them as the node has them now.
        change: Stores what a function makes of them, and raises where it cannot.

    Example:
        >>> import zlab
        >>> array = zlab.create_array("memory://", shape=(2,), dtype="int8")
        >>> array.attrs["units"] = "m"
        >>> dict(array.attrs)
        {'units': 'm'}
    """

    def __init__(
        self, read: Callable[[], Mapping[str, Any]], change: Callable[[Change], None]
    ) -> None:
        self._read = read
        self._change = change

    def __getitem__(self, name: str) -> Any:
        return _copied(self._read()[name])

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._read()))

    def __len__(self) -> int:
        return len(self._read())

    def __setitem__(self, name: str, value: Any) -> None:
        self._change(lambda stored: {**stored, name: value})

    def __delitem__(self, name: str) -> None:
        def without(stored: Mapping[str, Any]) -> dict[str, Any]:
            if name not in stored:
                raise KeyError(name)
            return {key: value for key, value in stored.items() if key != name}

        self._change(without)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Sets several attributes and stores them at once."""
        values = dict(*args, **kwargs)
        self._change(lambda stored: {**stored, **values})

    def put(self, values: Mapping[str, Any]) -> None:
        """Replaces all attributes, as zarr-python's `put`."""
        replaced = dict(values)
        self._change(lambda _: replaced)

    def clear(self) -> None:
        """Removes all attributes."""
        self._change(lambda _: {})

    def asdict(self) -> dict[str, Any]:
        """A copy."""
        return {name: _copied(value) for name, value in self._read().items()}

    def __repr__(self) -> str:
        return f"Attributes({dict(self._read())!r})"


def _copied(value: Any) -> Any:
    # the model is shared by handles
    return deepcopy(value) if isinstance(value, (list, dict)) else value
