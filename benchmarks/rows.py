"""The rows of the table."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.peers import DISTRIBUTIONS


@dataclass(frozen=True)
class Contender:
    """One way to do a row's work.

    Attributes:
        name: As it is printed.
        peer: The library, a name of `benchmarks.peers`.
        operation: A name of `benchmarks.operations`.
    """

    name: str
    peer: str
    operation: str


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        title: As it is printed.
        dataset: A name of `benchmarks.datasets`.
        contenders: Those who do it; ratios are to the first.
    """

    title: str
    dataset: str
    contenders: tuple[Contender, ...]


def _by_all(title: str, dataset: str, operation: str) -> Row:
    """A row in which every peer does the same."""
    contenders = tuple(Contender(name, name, operation) for name in DISTRIBUTIONS)
    return Row(title, dataset, contenders)


ROWS = (
    _by_all("read all, raw, 1 MiB chunks", "raw", "read_all"),
    _by_all("read all, zstd, 1 MiB chunks", "zstd", "read_all"),
    _by_all("read all, blosc, 1 MiB chunks", "blosc", "read_all"),
    _by_all("read all, gzip, 1 MiB chunks", "gzip", "read_all"),
    _by_all("read all, raw, 32 kB chunks", "small-raw", "read_all"),
    _by_all("read all, zstd, 32 kB chunks", "small", "read_all"),
    _by_all("read all, zstd, sharded", "sharded", "read_all"),
    _by_all("one inner chunk of a shard", "sharded", "read_chunks"),
    _by_all("one chunk of 32 kB", "small", "read_chunks"),
    _by_all("write all, zstd, 1 MiB chunks", "zstd", "write_all"),
    _by_all("write all, zstd, 32 kB chunks", "small", "write_all"),
    _by_all("write all, zstd, sharded", "sharded", "write_all"),
    _by_all("open an array", "zstd", "open_array"),
    _by_all("import", "zstd", "import_library"),
    Row(
        "stream against read, 1 MiB chunks",
        "zstd",
        (Contender("zlab", "zlab", "read_all"), Contender("zlab, stream", "zlab", "stream")),
    ),
    Row(
        "stream against read, 32 kB chunks",
        "small",
        (Contender("zlab", "zlab", "read_all"), Contender("zlab, stream", "zlab", "stream")),
    ),
    Row(
        "what telemetry costs, 32 kB chunks",
        "small",
        (
            Contender("zlab", "zlab", "read_all"),
            Contender("zlab, aggregator", "zlab", "read_all_aggregated"),
            Contender("zlab, subscriber", "zlab", "read_all_subscribed"),
        ),
    ),
)
