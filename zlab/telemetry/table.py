"""A table of what is read and written, redrawn in the terminal while it happens, through rich."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zlab.errors import MissingExtraError
from zlab.telemetry.aggregate import Aggregator
from zlab.telemetry.hub import hub
from zlab.telemetry.report import format_nbytes, format_seconds, summarize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zlab.telemetry.report import Summary

_COLUMNS = ("array", "read", "filled", "written", "stored", "fetch", "decode")
_ROWS = 12
_NAME_LENGTH = 20  # so that the table fits into 80 columns


@contextmanager
def live_table(console: Any = None, *, hz: float = 4.0) -> Iterator[None]:
    """Shows a table of the busiest arrays in the terminal, with medians, while a `with` block runs.

    Args:
        console: A `rich.console.Console`; the standard error by default. Where that is no
            terminal, the table is printed once, at the end.
        hz: How often it is drawn in a second.

    Raises:
        MissingExtraError: rich is not installed.

    Example:
        >>> import zlab
        >>> with zlab.telemetry.live_table():  # doctest: +SKIP
        ...     zlab.copy("source.zarr", "target.zarr")
    """
    try:
        from rich.console import Console  # noqa: PLC0415  optional, and slow to load
        from rich.live import Live  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("rich", "progress", "A live table") from error
    aggregator = Aggregator(hub)
    console = console or Console(stderr=True)
    try:
        with Live(
            console=console,
            get_renderable=lambda: _table(summarize(aggregator)),
            refresh_per_second=hz,
            # lines for a file or another program are not the console's
            redirect_stdout=sys.stdout.isatty(),
        ):
            yield
    finally:
        aggregator.close()
        if not console.is_terminal:
            # rich ends the line in a terminal alone
            console.line()


def _table(summary: Summary) -> Any:
    from rich.table import Table  # noqa: PLC0415  as above
    from rich.text import Text  # noqa: PLC0415

    totals = summary.totals
    caption = (
        f"{summary.seconds:.1f} s, {format_nbytes(summary.decoded_nbytes_per_s)}/s decoded, "
        f"{format_nbytes(summary.stored_nbytes_per_s)}/s stored\n"
        f"{totals.cache_hits} cache hits, {totals.retries} retries, {totals.errors} errors"
    )
    table = Table(caption=caption)
    for number, heading in enumerate(_COLUMNS):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for line in summary.arrays[:_ROWS]:
        table.add_row(
            # names are whatever a stranger wrote: no markup
            Text(_tail(line.name)),
            str(line.chunks_read),
            str(line.chunks_absent),
            str(line.chunks_written),
            format_nbytes(line.nbytes_fetched + line.nbytes_stored),
            format_seconds(line.fetch.p50_s),
            format_seconds(line.decode.p50_s),
        )
    return table


def _tail(name: str) -> str:
    # where it lies begins alike for all
    return name if len(name) <= _NAME_LENGTH else "…" + name[1 - _NAME_LENGTH :]
