"""The Python in the readme and the documentation runs, page by page, from top to bottom."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [
    page.relative_to(ROOT).as_posix()
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if BLOCK.search(page.read_text(encoding="utf-8"))
    # these have buckets: tests/cloud/test_guides.py
    and not re.match("cloud|failures", page.name)
]

pytestmark = pytest.mark.needs("dask", "demo", "grain", "jax", "lab", "polars", "xarray")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo stores that `make lab` shows, with a small cube."""
    path = tmp_path_factory.mktemp("stores") / "demo"
    command = [sys.executable, "-m", "zlab", "demo", str(path), "--size", "16MB"]
    subprocess.run(command, check=True)
    return path


def code_of(page: str) -> str:
    """A page's blocks as one program, each on the lines where it stands in the page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [""] * (text.count("\n") + 1)
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        for number, line in enumerate(block[1].splitlines(), start=first):
            lines[number] = line
    return "\n".join(lines)


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page: str, demo: Path, tmp_path: Path) -> None:
    # a copy for each page: it may write there
    shutil.copytree(demo, tmp_path / "demo")
    program = tmp_path / Path(page).name
    program.write_text(code_of(page), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_names_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^make [a-z]+", readme, re.MULTILINE) == ["make lab", "make test"]
