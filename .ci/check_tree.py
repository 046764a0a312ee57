"""Checks the tree as git tracks it: nothing of the machine that wrote it, one version."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

# a package comes from wherever the reader's pip and npm are set to look; put together here so
# that this file does not name them itself
REGISTRIES = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "registry." + "npmjs",
    "registry." + "yarnpkg",
    "npm" + "mirror",
]
FORBIDDEN = {
    "a registry": re.compile("|".join(map(re.escape, REGISTRIES))),
    "a path of one machine": re.compile(r"/(home|Users|work)/\w|/root/\w|[A-Z]:\\\\?Users\\"),
}


def machine_traces() -> list[str]:
    """Lines of tracked files that only make sense on the machine where they were written."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True, text=True)
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = Path(name)
        if not path.is_file():
            continue  # deleted, and not committed yet
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            text = line.decode("utf-8", errors="replace")
            found += [
                f"{name}:{number}: {what}: {match[0]}"
                for what, pattern in FORBIDDEN.items()
                if (match := pattern.search(text))
            ]
    return found


def version_differences() -> list[str]:
    """Versions that differ from package.json's, which is the source of them all."""
    wanted = json.loads(Path("package.json").read_text(encoding="utf-8"))["version"]
    lock = json.loads(Path("package-lock.json").read_text(encoding="utf-8"))
    versions = {
        "package-lock.json": lock["version"],
        "the installed Python package (`make setup` installs it anew)": version("zlab"),
    }
    return [
        f"package.json says {wanted}, {where} says {other}"
        for where, other in versions.items()
        if other != wanted
    ]


def main() -> int:
    """Prints what is wrong; returns the exit status."""
    faults = machine_traces() + version_differences()
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"tree: {len(faults)} faults" if faults else "tree: clean, one version")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
