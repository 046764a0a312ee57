"""What was counted, for people: rates and quantiles for each store, codec and array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zlab.telemetry.aggregate import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zlab.telemetry.aggregate import Aggregator, Subject, Totals
    from zlab.telemetry.quantiles import Quantiles


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """What was counted for one store, codec chain or array.

    Attributes:
        name: Which one; of an array the store's name and the path.
        chunks_read: Chunks that were there and were read.
        chunks_absent: Chunks that are not stored, so that the fill value stands for them.
        chunks_written: Chunks that were stored.
        nbytes_fetched: Bytes read from the store.
        nbytes_decoded: Bytes that they decoded to.
        nbytes_encoded: Bytes of written chunks before they were encoded.
        nbytes_stored: Bytes written to the store.
        fetch: How long fetching a chunk took.
        decode: How long decoding one took.
        encode: How long encoding one took.
        store: How long storing one took.
    """

    name: str
    chunks_read: int
    chunks_absent: int
    chunks_written: int
    nbytes_fetched: int
    nbytes_decoded: int
    nbytes_encoded: int
    nbytes_stored: int
    fetch: Quantiles
    decode: Quantiles
    encode: Quantiles
    store: Quantiles


@dataclass(frozen=True, slots=True)
class Summary:
    """What happened since counting began.

    Attributes:
        seconds: For so long it was counted.
        totals: Of the process.
        stores: A line for each store, most bytes first, as in the other two.
        codecs: A line for each chain of codecs.
        arrays: A line for each array; of very many, the busiest and one for the others.
    """

    seconds: float
    totals: Totals
    stores: tuple[SummaryLine, ...]
    codecs: tuple[SummaryLine, ...]
    arrays: tuple[SummaryLine, ...]

    @property
    def chunks_per_s(self) -> float:
        """Chunks read and written in a second."""
        return (self.totals.chunks_read + self.totals.chunks_written) / self.seconds

    @property
    def fetched_nbytes_per_s(self) -> float:
        """Bytes read from stores in a second."""
        return self.totals.nbytes_fetched / self.seconds

    @property
    def decoded_nbytes_per_s(self) -> float:
        """Bytes decoded in a second."""
        return self.totals.nbytes_decoded / self.seconds

    @property
    def stored_nbytes_per_s(self) -> float:
        """Bytes written to stores in a second."""
        return self.totals.nbytes_stored / self.seconds

    def __str__(self) -> str:
        totals, rate = self.totals, format_nbytes(self.decoded_nbytes_per_s)
        fetched, decoded = (
            format_nbytes(totals.nbytes_fetched),
            format_nbytes(totals.nbytes_decoded),
        )
        read = f"{totals.chunks_read} chunks read, {fetched} stored, {decoded} decoded, {rate}/s"
        written = f"{totals.chunks_written} written, {format_nbytes(totals.nbytes_stored)} stored"
        cache = f"cache: {totals.cache_hits} hits, {totals.cache_misses} misses"
        lines = [
            f"{self.seconds:.1f} s: {read}; {totals.chunks_absent} filled in; {written}",
            f"{cache}; {totals.retries} retries; {totals.errors} errors",
        ]
        for title, rows in (
            ("store", self.stores),
            ("codecs", self.codecs),
            ("array", self.arrays),
        ):
            if rows:
                lines += ["", *_table(title, rows)]
        return "\n".join(lines)


def summarize(aggregator: Aggregator) -> Summary:
    """What an aggregator has counted."""
    seconds, totals, traffic = aggregator.traffic()
    return Summary(
        seconds,
        totals,
        _lines(traffic, lambda subject: subject.store),
        _lines(traffic, lambda subject: subject.codecs),
        _lines(traffic, lambda subject: f"{subject.store}/{subject.path}".rstrip("/")),
    )


def _lines(
    traffic: Iterable[tuple[Subject, Traffic]], name_of: Callable[[Subject], str]
) -> tuple[SummaryLine, ...]:
    merged: dict[str, Traffic] = {}
    for subject, counted in traffic:
        merged.setdefault(name_of(subject), Traffic()).merge(counted)
    busiest = sorted(merged.items(), key=lambda item: item[1].nbytes, reverse=True)
    return tuple(_line(name, counted) for name, counted in busiest)


def _line(name: str, counted: Traffic) -> SummaryLine:
    counts = {key: value for key, value in counted.totals.items() if not key.endswith("_s")}
    fetch, decode, encode, store = (h.quantiles() for h in counted.histograms)
    return SummaryLine(name, **counts, fetch=fetch, decode=decode, encode=encode, store=store)


_HEADINGS = ("read", "filled", "written", "stored bytes", "fetch p50/p99", "decode p50/p99")


def _table(title: str, lines: tuple[SummaryLine, ...]) -> list[str]:
    rows = [(title, *_HEADINGS)]
    rows += [
        (
            line.name,
            str(line.chunks_read),
            str(line.chunks_absent),
            str(line.chunks_written),
            format_nbytes(line.nbytes_fetched + line.nbytes_stored),
            f"{format_seconds(line.fetch.p50_s)} / {format_seconds(line.fetch.p99_s)}",
            f"{format_seconds(line.decode.p50_s)} / {format_seconds(line.decode.p99_s)}",
        )
        for line in lines
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in rows
    ]


def format_nbytes(nbytes: float) -> str:
    """Bytes for people, three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 1000:  # noqa: PLR2004  the step between units
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:.3g} TB"


def format_seconds(seconds: float) -> str:
    """A duration for people, three digits."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
