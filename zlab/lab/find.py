"""Finding the stores below a directory, within bounds."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zlab.metadata import ZarrFormat

_SKIPPED = frozenset({"node_modules", "__pycache__", "site-packages", "lost+found"})
_READ_NBYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FoundStore:
    """A directory that is the root of a store.

    Attributes:
        path: Relative to where the search began, with `/`; `""` is that directory itself.
        node: What the root is.
        zarr_format: The version of its document.
    """

    path: str
    node: Literal["group", "array"]
    zarr_format: ZarrFormat


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a search goes.

    Attributes:
        depth: Levels of directories below the start.
        directories: Directories looked into.
        stores: Stores listed.
        seconds: Time it may take.
    """

    depth: int
    directories: int
    stores: int
    seconds: float


def find_stores(
    root: Path,
    bounds: Bounds,
    *,
    allow_hidden: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[list[FoundStore], bool]:
    """Looks for stores, the shallow ones first.

    Hidden directories, symbolic links and directories of packages are passed by; a store is not
    searched for stores inside. So is what the user is not allowed to read below the root. A
    directory that fails in another way, and a root that cannot be read, cut the search short.

    Args:
        root: Where to begin.
        bounds: Where to stop.
        allow_hidden: Whether hidden directories are searched.
        clock: Seconds.

    Returns:
        The stores by path, and whether the search was cut short.
    """
    deadline = clock() + bounds.seconds
    found: list[FoundStore] = []
    waiting = deque([("", 0)])
    visited = 0
    truncated = False
    while waiting:
        if visited >= bounds.directories or len(found) >= bounds.stores or clock() > deadline:
            truncated = True
            break
        path, depth = waiting.popleft()
        visited += 1
        directory = root / path
        try:
            names, directories = _scan(directory)
        except (PermissionError, FileNotFoundError, NotADirectoryError):
            truncated = truncated or not path
            continue
        except OSError:
            truncated = True
            continue
        store = _recognise(directory, path, names)
        if store is not None:
            found.append(store)
            continue
        inside = [
            name
            for name in directories
            if name not in _SKIPPED and (allow_hidden or not name.startswith("."))
        ]
        if depth == bounds.depth:
            truncated = truncated or bool(inside)
            continue
        waiting.extend((f"{path}/{name}" if path else name, depth + 1) for name in inside)
    return sorted(found, key=lambda store: store.path), truncated


def _scan(directory: Path) -> tuple[set[str], list[str]]:
    names: set[str] = set()
    directories: list[str] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            names.add(entry.name)
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
    return names, sorted(directories)


def _recognise(directory: Path, path: str, names: set[str]) -> FoundStore | None:
    if "zarr.json" in names:
        return FoundStore(path, _node_type(directory / "zarr.json"), 3)
    if ".zarray" in names:
        return FoundStore(path, "array", 2)
    if ".zgroup" in names or ".zmetadata" in names:
        return FoundStore(path, "group", 2)
    return None


def _node_type(document: Path) -> Literal["group", "array"]:
    # one that cannot be understood counts as a group: the store is listed, and opening it says
    # what is wrong; a link may lead out of the root, and a pipe would never end
    if document.is_symlink() or not document.is_file():
        return "group"
    try:
        with document.open("rb") as file:
            value = json.loads(file.read(_READ_NBYTES))
    except (OSError, ValueError, RecursionError):
        return "group"
    is_array = isinstance(value, dict) and value.get("node_type") == "array"
    return "array" if is_array else "group"
