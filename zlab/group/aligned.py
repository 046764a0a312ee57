"""Aligned arrays in whatever structure their user thinks of them: each sample looks like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, final

from zlab.array import Array
from zlab.group.group import Group

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")

Arrays: TypeAlias = "Array | Group | tuple[Any, ...] | list[Any] | Mapping[str, Any]"
"""An array, a group for the arrays in it, or tuples, lists and mappings of such."""


@final
@dataclass(frozen=True, slots=True)
class Aligned:
    """Arrays and the structure that they stand in.

    Attributes:
        arrays: The arrays, in the order of the structure.
        names: Of each, as an error message calls it.

    Example:
        >>> import zlab
        >>> image = zlab.create_array({}, shape=(4, 8, 8), dtype="uint8")
        >>> label = zlab.create_array({}, shape=(4,), dtype="int32")
        >>> aligned = Aligned.of({"image": image, "label": label}, "x")
        >>> aligned.names
        ("x['image']", "x['label']")
        >>> aligned.build([1, 2])
        {'image': 1, 'label': 2}
    """

    arrays: tuple[Array, ...]
    names: tuple[str, ...]
    _structure: object

    @classmethod
    def of(cls, arrays: Arrays, what: str = "arrays") -> Self:
        """The arrays in a structure.

        Args:
            arrays: The structure. Of a group, the arrays that are its members.
            what: The argument's name.

        Raises:
            TypeError: Something in it is none of what it may be.
            ValueError: There is no array in it.
        """
        found: list[tuple[str, Array]] = []
        structure = _structure(arrays, what, found)
        if not found:
            msg = f"{what} holds no arrays"
            raise ValueError(msg)
        names, several = zip(*found, strict=True)
        return cls(several, names, structure)

    def build(self, parts: Iterable[object]) -> Any:
        """The same structure, with something else in the place of each array."""
        return _built(self._structure, iter(parts))


class _Leaf:
    """The place of an array."""


_LEAF = _Leaf()


def _structure(node: object, name: str, found: list[tuple[str, Array]]) -> object:
    if isinstance(node, Array):
        found.append((name, node))
        return _LEAF
    if isinstance(node, Group):
        node = dict(node.arrays())
    if isinstance(node, Mapping):
        return {key: _structure(child, f"{name}[{key!r}]", found) for key, child in node.items()}
    if isinstance(node, (tuple, list)):
        children = [_structure(child, f"{name}[{i}]", found) for i, child in enumerate(node)]
        return _like(node, children)
    msg = (
        f"{name} must be a zlab.Array, a group of them, or a tuple, list or mapping of such, "
        f"not {type(node).__name__}"
    )
    raise TypeError(msg)


def _built(node: Any, parts: Iterator[object]) -> Any:
    if isinstance(node, _Leaf):
        return next(parts)
    if isinstance(node, dict):
        return {key: _built(child, parts) for key, child in node.items()}
    return _like(node, [_built(child, parts) for child in node])


def _like(node: Any, children: list[object]) -> object:
    # a named tuple takes its fields one by one
    return type(node)(*children) if hasattr(node, "_fields") else type(node)(children)
