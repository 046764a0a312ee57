from __future__ import annotations

import errno
import itertools
import json
import os
from typing import TYPE_CHECKING

import pytest

from zlab.lab.find import Bounds, FoundStore, find_stores

if TYPE_CHECKING:
    from pathlib import Path

BOUNDS = Bounds(depth=5, directories=1000, stores=100, seconds=1e9)


def make(path: Path, document: str = "zarr.json", content: str | None = None) -> None:
    path.mkdir(parents=True, exist_ok=True)
    if content is None:
        content = json.dumps({"zarr_format": 3, "node_type": "group"})
    (path / document).write_text(content)


def paths(root: Path, bounds: Bounds = BOUNDS, *, allow_hidden: bool = False) -> list[str]:
    return [store.path for store in find_stores(root, bounds, allow_hidden=allow_hidden)[0]]


def test_each_kind_of_root(tmp_path: Path) -> None:
    make(tmp_path / "group3")
    make(tmp_path / "array3", content='{"zarr_format": 3, "node_type": "array"}')
    make(tmp_path / "group2", ".zgroup", "{}")
    make(tmp_path / "array2", ".zarray", "{}")
    make(tmp_path / "consolidated2", ".zmetadata", "{}")
    make(tmp_path / "both", ".zgroup", "{}")
    make(tmp_path / "both")
    make(tmp_path / "broken", content="{")
    make(tmp_path / "deep", content="[" * 100_000)
    make(tmp_path / "no_store", "readme.md", "")
    assert find_stores(tmp_path, BOUNDS) == (
        [
            FoundStore("array2", "array", 2),
            FoundStore("array3", "array", 3),
            FoundStore("both", "group", 3),
            FoundStore("broken", "group", 3),
            FoundStore("consolidated2", "group", 2),
            FoundStore("deep", "group", 3),
            FoundStore("group2", "group", 2),
            FoundStore("group3", "group", 3),
        ],
        False,
    )


def test_the_root_itself(tmp_path: Path) -> None:
    make(tmp_path)
    make(tmp_path / "below")
    assert paths(tmp_path) == [""]


def test_stores_are_not_searched(tmp_path: Path) -> None:
    make(tmp_path / "a" / "b")
    make(tmp_path / "a" / "b" / "c")
    assert paths(tmp_path) == ["a/b"]


def test_what_is_passed_by(tmp_path: Path) -> None:
    for name in (".git", ".venv", "node_modules", "__pycache__", "site-packages"):
        make(tmp_path / name / "x.zarr")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    make(outside / "y.zarr")
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert paths(tmp_path) == []
    assert paths(tmp_path, allow_hidden=True) == [".git/x.zarr", ".venv/x.zarr"]


def test_documents_that_are_no_plain_files_are_not_opened(tmp_path: Path) -> None:
    secret = tmp_path.parent / f"{tmp_path.name}-secret"
    secret.write_text('{"zarr_format": 3, "node_type": "array"}')
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "zarr.json").symlink_to(secret)
    (tmp_path / "folder" / "zarr.json").mkdir(parents=True)
    expected = [FoundStore("folder", "group", 3), FoundStore("linked", "group", 3)]
    if hasattr(os, "mkfifo"):
        (tmp_path / "pipe").mkdir()
        os.mkfifo(tmp_path / "pipe" / "zarr.json")
        expected.append(FoundStore("pipe", "group", 3))
    assert find_stores(tmp_path, BOUNDS) == (expected, False)


def test_depth(tmp_path: Path) -> None:
    make(tmp_path / "a" / "b" / "c.zarr")
    assert find_stores(tmp_path, Bounds(2, 1000, 100, 1e9)) == ([], True)
    assert find_stores(tmp_path, Bounds(3, 1000, 100, 1e9))[0][0].path == "a/b/c.zarr"
    assert not find_stores(tmp_path, Bounds(3, 1000, 100, 1e9))[1]


def test_count_of_stores_and_directories(tmp_path: Path) -> None:
    for number in range(10):
        make(tmp_path / f"{number}.zarr")
    found, truncated = find_stores(tmp_path, Bounds(5, 1000, 3, 1e9))
    assert [store.path for store in found] == ["0.zarr", "1.zarr", "2.zarr"]
    assert truncated
    found, truncated = find_stores(tmp_path, Bounds(5, 5, 100, 1e9))
    assert len(found) == 4
    assert truncated
    assert not find_stores(tmp_path, Bounds(5, 11, 10, 1e9))[1]


def test_shallow_stores_first(tmp_path: Path) -> None:
    make(tmp_path / "a" / "deep.zarr")
    make(tmp_path / "z.zarr")
    found, truncated = find_stores(tmp_path, Bounds(5, 1000, 1, 1e9))
    assert [store.path for store in found] == ["z.zarr"]
    assert truncated


def test_time(tmp_path: Path) -> None:
    make(tmp_path / "a.zarr")
    ticks = itertools.count()
    found, truncated = find_stores(tmp_path, Bounds(5, 1000, 100, 1), clock=lambda: next(ticks))
    assert (found, truncated) == ([], True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_what_cannot_be_listed_is_passed_by(tmp_path: Path) -> None:
    make(tmp_path / "a.zarr")
    (tmp_path / "closed").mkdir(mode=0)
    assert paths(tmp_path) == ["a.zarr"]


def test_a_root_that_is_gone(tmp_path: Path) -> None:
    assert find_stores(tmp_path / "gone", BOUNDS) == ([], True)


def test_a_directory_that_fails_cuts_the_search_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "a.zarr")
    (tmp_path / "broken").mkdir()
    scan = os.scandir

    def failing(path: Path) -> object:
        if path.name == "broken":
            raise OSError(errno.EIO, "Input/output error")
        return scan(path)

    monkeypatch.setattr(os, "scandir", failing)
    found, truncated = find_stores(tmp_path, BOUNDS)
    assert [store.path for store in found] == ["a.zarr"]
    assert truncated
