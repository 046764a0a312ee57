"""No stage hides another, and the last lines tell what happened."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STAGES = Path(__file__).parents[2] / ".ci" / "stages.py"
MAKEFILE = """
good:
\t@echo "collecting"
\t@echo "==== 3 passed, 1 skipped in 0.10s ===="
\t@echo "not run: 1 browser (apt-get install chromium)"
bad:
\t@printf '\\033[31m1 failed\\033[0m, 2 passed\\n'; exit 1
quiet:
\t@echo "All checks passed!"
empty:
\t@exit 5
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def stages(path: Path, *targets: str) -> tuple[int, str]:
    (path / "Makefile").write_text(MAKEFILE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, STAGES, *targets],
        cwd=path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stdout


def closing(printed: str) -> list[str]:
    """The lines of the summary, without times."""
    summary = printed.partition("── all stages\n")[2]
    return [line.partition(" s  ")[2] or line.strip() for line in summary.splitlines() if line]


def test_the_closing_lines_come_last(tmp_path: Path) -> None:
    status, printed = stages(tmp_path, "good", "quiet")
    assert status == 0
    assert closing(printed) == [
        "good",
        "==== 3 passed, 1 skipped in 0.10s ====",
        "not run: 1 browser (apt-get install chromium)",
        "quiet",
        "All checks passed!",
        "2 stages, 0 failed",
    ]


def test_a_failure_hides_no_other_stage(tmp_path: Path) -> None:
    status, printed = stages(tmp_path, "bad", "good", "empty")
    assert status == 1
    assert closing(printed)[:2] == ["bad", "1 failed, 2 passed"]
    assert "==== 3 passed, 1 skipped in 0.10s ====" in closing(printed)
    assert closing(printed)[-1] == "3 stages, 2 failed bad empty"


def test_a_stage_that_finds_no_tests_fails(tmp_path: Path) -> None:
    assert stages(tmp_path, "empty")[0] == 1
