"""Tables of what the tests of clouds have seen, for the documentation: `python tables.py REPORT`.

The report is pytest's, of `--junitxml`. What became of a read under a fault is a property of its
test; of the other tests it is told whether they have passed.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from typing import NamedTuple
from xml.etree import ElementTree as ET

SCHEMES = ("s3", "gs", "az", "http")
CLIENTS = {
    ("test_faults", "s3"): "S3",
    ("test_faults", "gs"): "Google",
    ("test_faults", "az"): "Azure",
    ("test_faults", "http"): "HTTP",
    ("test_fsspec_faults", "s3"): "s3fs",
    ("test_fsspec_faults", "http"): "fsspec's HTTP",
}
SERVERS = {"s3": "moto", "gs": "the double", "az": "Azurite", "http": "nginx"}
OPERATIONS = ("test_operations", "test_writers", "test_killed_writes")
OF_THE_WEB = re.compile("web_server")
HEAD = """\
# Clouds, as tested

What the tests of zlab have seen, with servers of their own on one machine:
[moto](https://docs.getmoto.org) for S3, [Azurite](https://github.com/Azure/Azurite) for Azure,
nginx for HTTP, and for Google a double that turns its XML API into moto's. No cloud was asked.
`make docs-cloud` makes this page.

## Faults

A proxy before the server spoils the requests for one object, which is read with 4 attempts at
most. A cell says what came of it, and how many requests were made. In brackets stands a number
that is the client's: it makes requests of its own beside those that it is asked for. The first
columns are zlab's own stores, by obstore; the last two are `engine="fsspec"`. Nothing was ever
read as fill.
"""
EACH = """\
### Each with a test

An empty cell: the client or the server does not have this, or its test stands elsewhere.
"""


class Case(NamedTuple):
    """A test that was run.

    Attributes:
        module: Of the test.
        name: Without "test", as words.
        scheme: Of the server.
        rest: Of its parameters.
        result: `"yes"`, `"FAILED"` or `"not run"`.
        outcome: What came of it, where the test tells.
    """

    module: str
    name: str
    scheme: str
    rest: str
    result: str
    outcome: str | None


def cases_of(report: str) -> list[Case]:
    """The tests of a report."""
    found = []
    for one in ET.parse(report).iter("testcase"):  # noqa: S314  made by the recipe
        name, _, parameters = one.attrib["name"].partition("[")
        tokens = parameters.rstrip("]").split("-") if parameters else []
        scheme = next((token for token in tokens if token in SCHEMES), None)
        if scheme is None:
            scheme = "http" if OF_THE_WEB.search(one.attrib["name"]) else "s3"
        else:
            tokens.remove(scheme)
        bad = one.find("failure") is not None or one.find("error") is not None
        skipped = one.find("skipped") is not None
        told = {p.attrib["name"]: p.attrib["value"] for p in one.iter("property")}
        found.append(
            Case(
                one.attrib["classname"].rpartition(".")[2],
                name.removeprefix("test_").replace("_", " "),
                scheme,
                "-".join(tokens),
                "FAILED" if bad else "not run" if skipped else "yes",
                told.get("outcome"),
            )
        )
    return found


def table(head: list[str], rows: dict[str, dict[str, str]]) -> str:
    """A table in Markdown: a row for each key, a column for each of the head's but the first."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for name, cells in rows.items():
        lines.append(f"| {' | '.join([name, *(cells.get(one, '') for one in head[1:])])} |")
    return "\n".join(lines)


def page_of(cases: list[Case]) -> str:
    """The page."""
    faults: dict[str, dict[str, str]] = defaultdict(dict)
    others: dict[str, dict[str, str]] = defaultdict(dict)
    operations: dict[str, dict[str, str]] = defaultdict(dict)
    for case in cases:
        client = CLIENTS.get((case.module, case.scheme))
        words = f"{case.name}: {case.rest}" if case.rest else case.name
        if client is not None and case.outcome is not None:
            faults[case.rest][client] = case.outcome
        elif client is not None:
            others[words][client] = case.result
        elif case.module in OPERATIONS:
            operations[words][SERVERS[case.scheme]] = case.result
    clients = list(CLIENTS.values())
    return "\n\n".join(
        [
            HEAD + "\n" + table(["fault", *clients], faults),
            EACH + "\n" + table(["", *clients], others),
            "## Operations\n\n" + table(["", *SERVERS.values()], operations),
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(page_of(cases_of(sys.argv[1])) + "\n")
