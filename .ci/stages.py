"""Runs make targets one after the other, all of them, and ends with what each had to say.

The closing lines of the runners ("812 passed, 3 skipped in 95.1s") come last, so that the end
of a log tells what happened. The exit status is 1 where any target failed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from time import monotonic

ANSI = re.compile(r"\x1b\[[0-9;]*m")
CLOSING = re.compile(r"\b\d+ (passed|failed|errors?|skipped|flaky|did not run|kept)\b|^not run: ")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a target went."""

    target: str
    passed: bool
    seconds: float
    closing: list[str]


def run(target: str) -> Outcome:
    """Runs one make target; its output passes through."""
    start = monotonic()
    print(f"\n── make {target}", flush=True)
    last = ""
    closing = []
    with subprocess.Popen(
        ["make", target],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            text = ANSI.sub("", line).strip()
            # make's own word on a failure says less than the line before it
            last = last if text.startswith("make[") else text or last
            if CLOSING.search(text):
                closing.append(text)
    return Outcome(target, process.returncode == 0, monotonic() - start, closing or [last])


def main(targets: list[str]) -> int:
    """Runs the targets; returns the exit status."""
    outcomes = [run(target) for target in targets]
    print("\n── all stages")
    for outcome in outcomes:
        verdict = "ok    " if outcome.passed else "FAILED"
        print(f"{verdict} {outcome.seconds:6.1f} s  {outcome.target}")
        for line in outcome.closing:
            print(f"         {line}")
    failed = [outcome.target for outcome in outcomes if not outcome.passed]
    print(f"\n{len(outcomes)} stages, {len(failed)} failed", *failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
