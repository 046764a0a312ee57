"""The guide's code does what the guide says: `pycon` blocks are doctests, `console` blocks run."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from zlab.cli import main

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
BLOCK = re.compile(r"(?ms)^```(pycon|console)\n(.*?)^```$")


@pytest.mark.needs("demo", "jax")
def test_first_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    session = _Session(GUIDE / "first-steps.md")
    kinds = []
    for kind, text in BLOCK.findall(session.page.read_text(encoding="utf-8")):
        kinds.append(kind)
        if kind == "console":
            _run_console(text, capsys)
        else:
            session.run(text)
    assert kinds.count("pycon") == 6
    assert kinds.count("console") == 2


class _Session:
    """The Python of a page: later blocks see the names of those before."""

    def __init__(self, page: Path) -> None:
        self.page = page
        self.names: dict[str, object] = {}
        self.parser = doctest.DocTestParser()

    def run(self, text: str) -> None:
        test = self.parser.get_doctest(text, self.names, self.page.name, str(self.page), 0)
        report: list[str] = []
        runner = doctest.DocTestRunner()
        result = runner.run(test, out=report.append, clear_globs=False)
        self.names = test.globs
        assert result.attempted > 0
        assert result.failed == 0, "".join(report)


def _run_console(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in text.removeprefix("$ ").split("\n$ "):
        line, _, expected = command.partition("\n")
        program, *arguments = line.split()
        assert program == "zlab"
        main(arguments)
        printed = "".join(capsys.readouterr())
        assert printed.rstrip() == expected.rstrip().replace("…", str(Path.cwd()))
