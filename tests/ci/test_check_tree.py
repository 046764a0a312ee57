"""The tree names no registry and no machine, and has one version."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[2] / ".ci" / "check_tree.py"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for name in ("package.json", "package-lock.json"):
        (tmp_path / name).write_text(json.dumps({"version": version("zlab")}), encoding="utf-8")
    return tmp_path


def check(tree: Path) -> tuple[int, str]:
    subprocess.run(["git", "add", "--all"], cwd=tree, check=True)
    done = subprocess.run(
        [sys.executable, CHECK], cwd=tree, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_clean_tree(tree: Path) -> None:
    assert check(tree) == (0, "tree: clean, one version\n")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("resolved https://registry." + "npmjs.org/a", "a registry: registry." + "npmjs"),
        ("--index-url https://py" + "pi.org/simple", "a registry: py" + "pi.org"),
        ("cd /ho" + "me/me/zlab", "a path of one machine: /ho" + "me/m"),
        ("cd /ro" + "ot/zlab", "a path of one machine: /ro" + "ot/z"),
        ("cd C:\\Us" + "ers\\me", "a path of one machine: C:\\Us" + "ers\\"),
    ],
)
def test_traces_of_a_machine(tree: Path, line: str, what: str) -> None:
    (tree / "notes.md").write_text(f"first\n{line}\n", encoding="utf-8")
    assert check(tree) == (1, f"notes.md:2: {what}\ntree: 1 faults\n")


def test_versions_that_differ(tree: Path) -> None:
    (tree / "package-lock.json").write_text('{"version": "9.9.9"}', encoding="utf-8")
    status, printed = check(tree)
    assert status == 1
    assert printed.startswith(f"package.json says {version('zlab')}, package-lock.json says 9.9.9")
