"""rainbear."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NoReturn

from benchmarks.peers import Library
from benchmarks.peers.polars_ import answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.peers import Setting
    from benchmarks.weather import Answer, Query

# `make setup` need not have it, nor a type checker
rainbear: Any = importlib.import_module("rainbear")


class _Rainbear(Library):
    statement = "import rainbear"

    def open(self, place: Path, setting: Setting) -> NoReturn:  # noqa: ARG002
        self.cannot("scans groups only")

    def query(self, place: Path, query: Query) -> Callable[[], Answer]:
        return lambda: answer(rainbear.scan_zarr(str(place)), query)


def library(_variant: str) -> Library:
    """Makes it."""
    return _Rainbear()
