"""The page of attacks names tests that exist, and the limits that the extension has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("lab")

HERE = Path(__file__).parent
GUIDE = HERE.parent.parent / "docs" / "guide"


def test_each_row_names_tests_that_exist() -> None:
    sources = {path.stem: path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py")}
    page = (GUIDE / "lab-security.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if "---" not in row and not row.startswith("| attack")]
    assert len(rows) > 30
    for row in rows:
        named = re.findall(r"`((?:test_|Test)[\w:…]+)`", row.split(" | ")[-1])
        assert named, row
        file = ""
        for name in named:
            first, _, rest = name.partition("::")
            if first in sources:
                file, parts = first, rest.split("::") if rest else []
            else:
                parts = name.split("::")
            for part in parts:
                if part != "…":
                    assert re.search(rf"(?:def|class) {part}\b", sources[file]), (row, name)


def test_each_limit_is_in_the_guide(jp_serverapp: Any) -> None:
    app = jp_serverapp.web_app.settings["zlab"]
    page = (GUIDE / "lab.md").read_text(encoding="utf-8")
    own = {name for name in app.class_own_traits(config=True) if name in vars(type(app))}
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == own
