"""What the curriculum promises of every livebook; `make test` runs the cells themselves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

LIVEBOOKS = sorted((Path(__file__).parents[2] / "livebooks").glob("*.ipynb"))
MACHINE = re.compile(r"/(home|Users|root|tmp|work)/|[A-Z]:\\\\|0x[0-9a-f]{6,}")


def _load(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def _text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


@pytest.fixture(params=LIVEBOOKS, ids=lambda path: path.stem)
def cells(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = _load(request.param)["cells"]
    return cells


def test_they_are_there() -> None:
    names = [path.stem for path in LIVEBOOKS]
    assert {
        "00_01_welcome",
        "01_01_first_zarr_array",
        "03_01_zarr_to_jax",
        "03_03_training_from_zarr",
        "05_01_tick_data_cube",
    } <= set(names)
    assert all(re.fullmatch(r"(\d\d|cb)_\d\d[a-z]?_[a-z0-9_]+", name) for name in names)


@pytest.mark.parametrize("path", LIVEBOOKS, ids=lambda path: path.stem)
def test_metadata_are_of_no_machine(path: Path) -> None:
    notebook = _load(path)
    assert notebook["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert all(cell["metadata"] == {} for cell in notebook["cells"])


def test_concepts_come_before_code_and_questions_last(cells: list[dict[str, Any]]) -> None:
    prose = [(place, _text(cell)) for place, cell in enumerate(cells)]
    headings = {
        heading: place
        for place, text in prose
        if cells[place]["cell_type"] == "markdown"
        for heading in re.findall(r"(?m)^##+ (.+)$", text)
    }
    first_code = next(place for place, cell in enumerate(cells) if cell["cell_type"] == "code")
    assert headings["Why this matters"] < first_code
    assert any(heading in headings for heading in ("Concepts", "The idea"))
    assert any(heading.startswith("Inspect: ") for heading in headings)
    assert "Change a parameter" in headings
    assert headings["Change a parameter"] < headings["Recap"] <= headings["Open questions"]


def test_outputs_are_stored_without_traces_of_a_machine(cells: list[dict[str, Any]]) -> None:
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            assert output.get("name") != "stderr"
            data = output.get("data", {})
            # a widget's model lives in a kernel that is gone
            assert "application/vnd.jupyter.widget-view+json" not in data
            shown = "".join(output.get("text", data.get("text/plain", "")))
            assert not MACHINE.search(shown), shown


def test_what_is_not_compared_is_asserted(cells: list[dict[str, Any]]) -> None:
    code = [_text(cell) for cell in cells if cell["cell_type"] == "code"]
    for text, following in zip(code, [*code[1:], ""], strict=True):
        if "NBVAL" in text:
            assert text.startswith("# NBVAL_IGNORE_OUTPUT\n")
            assert "assert " in following
