"""Pytrees of arrays in a store: what a batch is made of, and what is said for each of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
from jax.tree_util import treedef_tuple

from zlab.array import Array
from zlab.group import Group
from zlab.stream.arguments import check_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class ArrayTree(NamedTuple):
    """Arrays, and the pytree that a batch of them is.

    Attributes:
        arrays: Its leaves.
        names: What errors call them.
        structure: The rest.
    """

    arrays: tuple[Array, ...]
    names: tuple[str, ...]
    structure: Any

    @classmethod
    def parse(cls, tree: object, what: str) -> ArrayTree:
        """Arrays, groups of arrays (as dicts) and containers of both.

        Args:
            tree: What was passed.
            what: The argument's name.

        Raises:
            TypeError: A leaf is something else.
            ValueError: There is no array.
        """
        opened = jax.tree.map(_opened, tree, is_leaf=_is_node)
        leaves, structure = jax.tree_util.tree_flatten_with_path(opened, is_leaf=_is_node)
        if not leaves:
            msg = f"{what} has no arrays"
            raise ValueError(msg)
        names = tuple(what + jax.tree_util.keystr(path) for path, _ in leaves)
        arrays = tuple(array for _, array in leaves)
        for name, array in zip(names, arrays, strict=True):
            check_kind(array, Array, name, "a zlab.Array")
        described = (
            f"array {array.path!r}" if array.path else name
            for name, array in zip(names, arrays, strict=True)
        )
        return cls(arrays, tuple(described), structure)

    def paired(self, other: ArrayTree) -> ArrayTree:
        """The tuple of both."""
        return ArrayTree(
            self.arrays + other.arrays,
            self.names + other.names,
            treedef_tuple((self.structure, other.structure)),
        )

    def spread(
        self, values: object, what: str, *, is_leaf: Callable[[Any], bool] | None = None
    ) -> list[Any]:
        """One value for each array, of one for all or of a pytree like that of the arrays.

        Args:
            values: What was passed: the pytree may end earlier, with one value for all below.
            what: The argument's name.
            is_leaf: What is a value though JAX has it for a container, such as `None`.

        Raises:
            ValueError: It is another pytree.
        """
        return spread(self.structure, values, what, is_leaf=is_leaf)


def spread(
    structure: Any,
    values: object,
    what: str,
    *,
    is_leaf: Callable[[Any], bool] | None = None,
) -> list[Any]:
    """One value for each leaf of a pytree; see `ArrayTree.spread`."""
    several: list[Any] = []
    numbers = structure.unflatten(range(structure.num_leaves))

    def repeat(value: object, below: object) -> None:
        several.extend([value] * len(jax.tree.leaves(below)))

    try:
        jax.tree.map(repeat, values, numbers, is_leaf=is_leaf)
    except ValueError as error:
        given = jax.tree.structure(values, is_leaf=is_leaf)
        msg = (
            f"{what} must be one value for all, or a pytree like the batch, which is "
            f"{_drawn(structure)}, not {_drawn(given)}"
        )
        raise ValueError(msg) from error
    return several


def _drawn(structure: Any) -> str:
    return str(structure).removeprefix("PyTreeDef(").removesuffix(")")


def _is_node(value: object) -> bool:
    return isinstance(value, Array | Group)


def _opened(value: object) -> object:
    if isinstance(value, Group):
        return {name: value.array(name) for name in value.array_keys()}
    return value


def leaf_names(tree: object, what: str) -> Sequence[str]:
    """What errors call the leaves of a pytree."""
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [what + jax.tree_util.keystr(path) for path, _ in paths]
