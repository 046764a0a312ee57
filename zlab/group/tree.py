"""A hierarchy as text, and as HTML whose branches can be folded."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from math import prod
from typing import TYPE_CHECKING, final

from zlab.array.html import (
    attribute_rows,
    chunking,
    format_nbytes,
    metadata_rows,
    page,
    shortened,
    table,
)
from zlab.engine.nodes import join
from zlab.errors import MetadataError
from zlab.metadata import ArrayMetadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zlab.group.group import Group
    from zlab.group.members import Found

_SHOWN_NODES = 200
_SHOWN_MEMBERS = 100
"""Of one group, in what a notebook shows: one that has thousands leaves room for the others."""
_OPEN_LEVELS = 1
_OPEN_MEMBERS = 20

_GROUP_ICON = (
    '<svg class="zlab-group-icon" viewBox="0 0 16 16" aria-hidden="true">'
    '<path d="M1.5 3h5l1.5 2h6.5v8.5h-13z"/></svg>'
)
_ARRAY_ICON = (
    '<svg class="zlab-array-icon" viewBox="0 0 16 16" aria-hidden="true">'
    '<path fill-rule="evenodd" d="M1.5 1.5h13v13h-13zM3 3v4.2h4.2V3zM8.8 3v4.2H13V3z'
    'M3 8.8V13h4.2V8.8zM8.8 8.8V13H13V8.8z"/></svg>'
)


@dataclass(slots=True)
class Branch:
    """A node with what is shown below it.

    Attributes:
        name: The last part of its path.
        path: Its path in the store.
        found: Its model, or why there is none.
        members: What is shown below it.
        hidden: How many more members there are.
        listed: Whether its members were looked for.
    """

    name: str
    path: str
    found: Found
    members: list[Branch] = field(default_factory=list)
    hidden: int = 0
    listed: bool = False


def grow(
    group: Group,
    *,
    level: int | None = None,
    max_nodes: int | None = None,
    max_members: int | None = None,
) -> Branch:
    """The hierarchy below a group, level by level: where not all are shown, the upper ones are.

    Args:
        group: The root.
        level: How many levels below it; all by default.
        max_nodes: How many nodes are looked at, the root not counted.
        max_members: How many of one group are.

    Raises:
        StoreError: The store failed.
    """
    root = Branch(group.name, group.path, group.metadata)
    left = max_nodes
    rows, depth = [root], 0
    while rows and (level is None or depth < level):
        listed = group.list_members([row.path for row in rows])
        wanted: list[tuple[Branch, str]] = []
        for row, names in zip(rows, listed, strict=True):
            limits = [n for n in (left, max_members) if n is not None]
            shown = names[: min(limits)] if limits else names
            row.listed, row.hidden = True, len(names) - len(shown)
            left = None if left is None else left - len(shown)
            wanted += [(row, name) for name in shown]
        found = group.read_members([join(row.path, name) for row, name in wanted])
        rows, depth = [], depth + 1
        for (row, name), node in zip(wanted, found, strict=True):
            if node is None:  # a directory, and no node
                continue
            branch = Branch(name, join(row.path, name), node)
            row.members.append(branch)
            if not isinstance(node, ArrayMetadata | MetadataError):
                rows.append(branch)
    return root


@final
class Tree:
    """The hierarchy below a group: `print` shows it as text, a notebook as a tree to unfold.

    It is read when it is shown. What a notebook or a prompt shows by itself is bounded; `str` is
    not, unless `max_nodes` is given.

    Args:
        group: The root.
        level: How many levels below it; all by default.
        max_nodes: How many nodes are shown at most.
    """

    def __init__(
        self, group: Group, *, level: int | None = None, max_nodes: int | None = None
    ) -> None:
        self._group = group
        self._level = level
        self._max_nodes = max_nodes

    def __str__(self) -> str:
        return self._text(grow(self._group, level=self._level, max_nodes=self._max_nodes))

    def __repr__(self) -> str:
        return self._text(self.bounded())

    def _repr_html_(self) -> str:
        return page(tree_html(self.bounded()))

    def bounded(self) -> Branch:
        """What is shown where nobody has asked for all."""
        nodes = _SHOWN_NODES if self._max_nodes is None else min(self._max_nodes, _SHOWN_NODES)
        return grow(self._group, level=self._level, max_nodes=nodes, max_members=_SHOWN_MEMBERS)

    def _text(self, root: Branch) -> str:
        return "\n".join([f"/{root.path}", *_lines(root, "")])


def _lines(branch: Branch, indent: str) -> Iterator[str]:
    last = len(branch.members) - (0 if branch.hidden else 1)
    for place, member in enumerate(branch.members):
        mark, below = ("└── ", "    ") if place == last else ("├── ", "│   ")
        yield f"{indent}{mark}{_line(member)}"
        yield from _lines(member, indent + below)
    if branch.hidden:
        yield f"{indent}└── ... {_more(branch)}"


def _line(branch: Branch) -> str:
    found = branch.found
    if isinstance(found, MetadataError):
        return f"{branch.name} cannot be opened: {found.what}"
    if isinstance(found, ArrayMetadata):
        return f"{branch.name} {found.shape} {found.data_type.dtype}"
    return branch.name


def _more(branch: Branch) -> str:
    return f"{'and ' if branch.members else ''}{branch.hidden:,} more"


def tree_html(root: Branch) -> str:
    """The tree as nested lists, its upper levels open."""
    title = f'<div class="zlab-title">{_GROUP_ICON}<b>/{escape(root.path)}</b>{_count(root)}</div>'
    return title + _list(root, 0)


def _list(branch: Branch, depth: int) -> str:
    items = [f"<li>{_item(member, depth)}</li>" for member in branch.members]
    if branch.hidden:
        items.append(f'<li class="zlab-leaf zlab-dim">… {_more(branch)}</li>')
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _item(branch: Branch, depth: int) -> str:
    name = escape(branch.name)
    found = branch.found
    if isinstance(found, MetadataError):
        why = escape(shortened(found.what))
        return f'<div class="zlab-leaf zlab-error">{name} cannot be opened: {why}</div>'
    if isinstance(found, ArrayMetadata):
        summary = f"{_ARRAY_ICON}{name}{_array_words(found)}"
        return f"<details><summary>{summary}</summary>{table(metadata_rows(found))}</details>"
    summary = f"{_GROUP_ICON}{name}{_count(branch)}"
    attributes = attribute_rows(found.attributes)
    body = (table(attributes) if attributes else "") + _list(branch, depth + 1)
    if not body:
        return f'<div class="zlab-leaf">{summary}</div>'
    is_open = depth < _OPEN_LEVELS and len(branch.members) <= _OPEN_MEMBERS
    state = " open" if is_open else ""
    return f"<details{state}><summary>{summary}</summary>{body}</details>"


def _count(branch: Branch) -> str:
    if not branch.listed:
        return ""
    n = len(branch.members) + branch.hidden
    return f' <span class="zlab-dim">{n:,} member{"" if n == 1 else "s"}</span>'


def _array_words(metadata: ArrayMetadata) -> str:
    names = metadata.dimension_names or (None,) * len(metadata.shape)
    lengths = [
        f"{'' if name is None else f'{name} '}{n:,}"
        for name, n in zip(names, metadata.shape, strict=True)
    ]
    itemsize = metadata.data_type.dtype.itemsize
    words = [format_nbytes(prod(metadata.shape) * itemsize)]
    chunks, shards, _ = chunking(metadata)
    if chunks is not None:
        words.append(f"chunks {_times(chunks)}")
    if shards is not None:
        words.append(f"shards {_times(shards)}")
    return (
        f" ({escape(', '.join(lengths))})"
        f'<span class="zlab-badge">{escape(metadata.data_type.name)}</span>'
        f'<span class="zlab-dim">{escape(" · ".join(words))}</span>'
    )


def _times(lengths: tuple[int, ...]) -> str:
    return " \u00d7 ".join(map(str, lengths))
