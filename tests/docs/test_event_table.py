"""The table of events in the reference is what the code says."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

from zlab.telemetry.events import EVENT_TYPES

SCRIPT = Path(__file__).parents[2] / ".ci" / "event_table.py"


def test_the_page_is_up_to_date() -> None:
    subprocess.run([sys.executable, SCRIPT, "--check"], check=True)


def test_the_table_names_every_event_and_field() -> None:
    rows = runpy.run_path(str(SCRIPT))["table"]().splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == [f"`{kind.name}`" for kind in EVENT_TYPES]
    for row, kind in zip(rows, EVENT_TYPES, strict=True):
        *_, fields, _ = row.split("|")
        assert [name.strip(" `") for name in fields.split(",")] == list(kind.__match_args__)
