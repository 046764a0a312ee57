"""Writes the table of telemetry's events into the reference, from the code.

`python .ci/event_table.py` writes it; with `--check` it says whether that is needed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from zlab.telemetry import event_types

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "telemetry.md"
BEGIN = "<!-- from here on written by .ci/event_table.py -->\n"
END = "<!-- up to here -->\n"


def table() -> str:
    """The table, in Markdown."""
    lines = ["| event | type | when | fields |", "| --- | --- | --- | --- |"]
    for event in event_types():
        fields = ", ".join(f"`{field.name}`" for field in event.fields)
        lines.append(f"| `{event.name}` | `{event.type.__name__}` | {event.doc} | {fields} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """The page with the table as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    wanted = page()
    if "--check" not in sys.argv:
        PAGE.write_text(wanted, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != wanted:
        sys.exit(f"{PAGE.name} is not what the code says: run `python .ci/event_table.py`")
