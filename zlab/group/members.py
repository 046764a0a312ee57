"""The members of groups: found and read, with many requests in flight where the store is remote."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, get_args

from zlab.config import settings
from zlab.engine.nodes import join, read_node
from zlab.engine.workers import Team
from zlab.errors import MetadataError
from zlab.metadata import NodeMetadata, v2, v3

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zlab.stores.base import Store

T = TypeVar("T")
R = TypeVar("R")

Kind: TypeAlias = Literal["array", "group"]

Found: TypeAlias = NodeMetadata | MetadataError
"""What is known of a member: its model, or why its document cannot be understood."""


def list_members(store: Store, paths: Sequence[str]) -> list[list[str]]:
    """The names of what may be a member, sorted, for each group: one listing a group."""
    return each(
        store,
        paths,
        lambda path: [prefix.rpartition("/")[2] for prefix in store.list_dir(path).prefixes],
    )


def are_nodes(store: Store, paths: Sequence[str]) -> list[bool]:
    """Whether there is an array or group at each path; one with a broken document is one."""
    is_there = _is_listed if store.local else _is_readable
    return each(
        store,
        paths,
        lambda path: any(
            is_there(store, join(path, name)) for name in (v3.DOCUMENT, v2.ARRAY, v2.GROUP)
        ),
    )


def kinds_of(store: Store, paths: Sequence[str]) -> list[Kind | None]:
    """What lies at each path, as far as one look at its document tells.

    The rest of the document is not understood here, which takes several times as long as to read
    it. `None` where there is no node, or its document is no JSON.
    """
    return each(store, paths, lambda path: _kind_of(store, path))


def _kind_of(store: Store, path: str) -> Kind | None:
    data = store.get(join(path, v3.DOCUMENT))
    if data is None:
        is_there = _is_listed if store.local else _is_readable
        if is_there(store, join(path, v2.ARRAY)):
            return "array"
        return "group" if is_there(store, join(path, v2.GROUP)) else None
    try:
        document = json.loads(str(data, "utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    kind = document.get("node_type") if isinstance(document, dict) else None
    return kind if kind in get_args(Kind) else None


def read_members(store: Store, paths: Sequence[str]) -> list[Found | None]:
    """What lies at each path, `None` where there is no node.

    Raises:
        StoreError: The store failed.
    """
    return each(store, paths, lambda path: _read(store, path))


def _read(store: Store, path: str) -> Found | None:
    try:
        return read_node(store, path)
    except MetadataError as error:
        return error


def _is_listed(store: Store, key: str) -> bool:
    return store.nbytes(key) is not None


def _is_readable(store: Store, key: str) -> bool:
    # not every server tells sizes, and a small document costs the same request
    return store.get(key) is not None


def each(store: Store, items: Sequence[T], ask: Callable[[T], R]) -> list[R]:
    """What `ask` answers for each item, in their order."""
    if store.local:  # there is nothing to wait for
        return [ask(item) for item in items]
    answers: dict[int, R] = {}

    def work(unit: tuple[int, T]) -> None:
        place, item = unit
        answers[place] = ask(item)

    width = min(settings.fetch_concurrency, len(items))
    if width:
        Team(enumerate(items), work).run(width, caller_works=False)
    return [answers[place] for place in range(len(items))]
