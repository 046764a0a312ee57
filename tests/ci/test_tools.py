"""What the set-up cannot install by itself is named, with the command that brings it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / ".ci" / "tools"
BASH = shutil.which("bash") or ""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="make is for Unix")


def tools(path: Path, **commands: str) -> subprocess.CompletedProcess[str]:
    """Runs the check where only these commands exist, each a line of shell."""
    for name, line in commands.items():
        command = path / name
        command.write_text(f"#!{BASH}\n{line}\n", encoding="utf-8")
        command.chmod(0o755)
    (path / "sed").symlink_to(shutil.which("sed") or "")
    return subprocess.run(
        [BASH, TOOLS],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


PYTHON = f'exec {sys.executable} "$@"'


def test_a_machine_with_everything(tmp_path: Path) -> None:
    done = tools(tmp_path, python3=PYTHON, node="echo v20.1.0", npm="", git="")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{sys.executable}\n"


def test_a_newer_python_under_its_own_name_is_found(tmp_path: Path) -> None:
    done = tools(
        tmp_path, python3="exit 1", **{"python3.12": PYTHON}, node="echo v22.0.0", npm="", git=""
    )
    assert done.stdout == f"{sys.executable}\n"


def test_all_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    done = tools(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    for line in ("apt-get install python3 python3-venv", "Node.js 20 or newer", "npm", "git"):
        assert line in done.stderr


def test_an_old_node_is_named(tmp_path: Path) -> None:
    done = tools(tmp_path, python3=PYTHON, node="echo v18.19.0", npm="", git="")
    assert done.returncode == 1
    assert "Node.js 20 or newer, not v18.19.0" in done.stderr


def test_a_python_without_venv_is_named(tmp_path: Path) -> None:
    no_venv = 'case "$*" in *ensurepip*) exit 1;; esac; ' + PYTHON
    done = tools(tmp_path, python3=no_venv, node="echo v20.1.0", npm="", git="")
    assert done.returncode == 1
    assert "apt-get install python3-venv" in done.stderr
