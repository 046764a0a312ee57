"""The PyTorch code of the guide and of the docstrings, which other tests leave to these."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "interop.md"

pytestmark = pytest.mark.needs("torch")


@pytest.mark.parametrize("module", ["", ".dataset", ".map_dataset", ".tensors"])
def test_the_examples_of_the_docstrings(module: str) -> None:
    failed, attempted = doctest.testmod(importlib.import_module(f"zlab.torch{module}"))
    assert not failed
    assert attempted


def test_the_code_of_the_guide_runs(tmp_path: Path) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(python|py)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    arrays = next(code for kind, code in blocks if kind == "python")
    recipes = [code for kind, code in blocks if kind == "py"]
    assert len(recipes) == 3
    program = "\n".join([arrays, *recipes])
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
