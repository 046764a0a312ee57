"""The rows of the table."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchmarks.peers import Setting

if TYPE_CHECKING:
    from benchmarks.peers import Shuffle

FLOOR, READ, STEP = "codec floor", "read at once", "step alone"
FLOORS = (FLOOR, READ, STEP)
"""No contenders: what the others cannot be faster than."""


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
        setting: What is asked for beside the array.
    """

    title: str
    dataset: str
    contenders: tuple[Contender, ...]
    setting: Setting = field(default_factory=Setting)


PEERS = (
    "zlab",
    "zarr-python",
    "zarr-python, fused",
    "zarr-python on zlab",
    "zarrs",
    "zarrista",
    "tensorstore",
)
STREAMERS = (*PEERS, "dask")
# one pipeline of zarr-python's for all of them, where no chunk is read
MODULES = ("zlab", "zarr-python", "zarrista", "tensorstore")
LOADERS = ("zarr-python", "zarrs", "tensorstore", "xbatcher", "grain", "annbatch", "PyTorch")
TABLES = ("rainbear", "xarray-sql", "duckdb", "xarray")


def _row(
    title: str,
    dataset: str,
    operation: str,
    peers: tuple[str, ...] = PEERS,
    setting: Setting = Setting(),  # noqa: B008  it is frozen
) -> Row:
    """A row in which every peer does the same."""
    return Row(title, dataset, tuple(Contender(name, name, operation) for name in peers), setting)


def _against_reading(title: str, dataset: str) -> Row:
    """The sum of all values: read at once, by a stream, and by the peers chunk by chunk."""
    return Row(
        title,
        dataset,
        (
            Contender("zlab, stream", "zlab", "stream"),
            Contender("zlab, async for", "zlab", "stream_async"),
            Contender("zlab, pipeline", "zlab", "pipeline"),
            Contender("zlab, read at once", "zlab", "read_and_sum"),
            *(Contender(name, name, "stream") for name in STREAMERS[1:]),
        ),
    )


_CORES = os.cpu_count() or 1
_WITH_FLOOR = (*PEERS, FLOOR)

ENGINE = (
    _row("read all, raw, 1 MiB chunks", "raw", "read_all"),
    _row("read all, zstd, 1 MiB chunks", "zstd", "read_all", _WITH_FLOOR),
    _row("read all, blosc, 1 MiB chunks", "blosc", "read_all", _WITH_FLOOR),
    _row("read all, gzip, 1 MiB chunks", "gzip", "read_all", _WITH_FLOOR),
    _row("read all, zstd, 32 kB chunks", "small", "read_all", _WITH_FLOOR),
    _row("read all, zstd, sharded, 64 kB inner chunks", "sharded", "read_all", _WITH_FLOOR),
    _row("read all, 65,536 inner chunks of 4 kB", "tiny", "read_all", _WITH_FLOOR),
    _row("read all, 400 x 400 in 16 chunks", "plane", "read_all", _WITH_FLOOR),
    *(
        _row(
            f"read all, zstd, {n} thread{'s'[: n > 1]}", "zstd", "read_all", _WITH_FLOOR, Setting(n)
        )
        for n in (1, 2, 4, 8, 16)
        if n <= _CORES
    ),
    _row("one inner chunk of 64 kB", "sharded", "read_chunks", _WITH_FLOOR),
    _row("one chunk of 32 kB", "small", "read_chunks", _WITH_FLOOR),
    _row("one row across 64 chunks", "line", "read_line"),
    _row("8 user threads on one array", "zstd", "read_by_threads"),
    _row(
        "second read of a window, cached",
        "zstd",
        "read_again",
        setting=Setting(cache_nbytes=1 << 28),
    ),
    _row("open an array", "zstd", "open_array", (*MODULES, "zarrs")),
    _row("list 10,000 arrays", "group", "list_members", MODULES),
    _row("write all, zstd, 1 MiB chunks", "zstd", "write_all"),
    _row("write all, zstd, 32 kB chunks", "small", "write_all"),
    _row("write all, zstd, sharded", "sharded", "write_all"),
    _row("round trip through shards", "sharded", "round_trip"),
    _row("row by row into a shard", "rows", "write_rows"),
    _row("import", "zstd", "import_library", (*MODULES, "zarrs")),
)
STREAMS = (
    _against_reading("sum, 1 MiB chunks", "zstd"),
    _against_reading("sum, 32 kB chunks", "small"),
    _against_reading("sum, sharded", "sharded"),
    _row("sum, one position of the first axis at a time", "zstd", "stream_slices", STREAMERS),
    _row("write chunk by chunk, 1 MiB chunks", "zstd", "write_chunks"),
    _row("write chunk by chunk, sharded", "sharded", "write_chunks"),
    _row("sum, ten times the budget", "long", "stream", STREAMERS, Setting(max_nbytes=27_000_000)),
    *(
        _row(
            f"read all, store of {ms} ms, 64 requests at once",
            "zstd",
            "read_all",
            (*PEERS, "dask"),
            Setting(latency_s=ms / 1000, in_flight=64),
        )
        for ms in (5, 30, 100)
    ),
    _row(
        "sum, store of 30 ms, 64 requests at once",
        "zstd",
        "stream",
        STREAMERS,
        Setting(latency_s=0.03, in_flight=64),
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


def _epoch(title: str, dataset: str, setting: Setting) -> Row:
    """An epoch of samples, with the bare read as its floor."""
    shuffled = setting.shuffle != "none"
    return Row(
        title,
        dataset,
        (
            Contender("zlab", "zlab", "train"),
            *([Contender("zlab, in order", "zlab", "train_in_order")] if shuffled else []),
            *(Contender(name, name, "train") for name in LOADERS),
            Contender(READ, "zlab", "read_samples"),
        ),
        setting,
    )


_LOCAL, _FAR = Setting(), Setting(latency_s=0.03, in_flight=64)
_ORDERS: dict[Shuffle, str] = {
    "none": "in order",
    "window": "shuffled in windows",
    "global": "shuffled globally",
}
_FIRST_BATCHES: tuple[tuple[Shuffle, str, Setting], ...] = (
    ("none", "zstd", _LOCAL),
    ("window", "zstd", _LOCAL),
    ("window", "store of 30 ms", _FAR),
)
TRAINING = (
    *(
        _epoch(f"samples {order}, {place}", dataset, replace(setting, shuffle=shuffle))
        for shuffle, order in _ORDERS.items()
        for place, dataset, setting in (
            ("zstd", "samples/x", _LOCAL),
            ("sharded", "sharded-samples/x", _LOCAL),
            ("store of 30 ms", "samples/x", _FAR),
        )
    ),
    *(
        _row(
            f"first batch {_ORDERS[shuffle]}, {place}",
            "samples/x",
            "first_batch",
            ("zlab", *LOADERS),
            replace(setting, shuffle=shuffle),
        )
        for shuffle, place, setting in _FIRST_BATCHES
    ),
    *(
        Row(
            f"patches for a step of 100 ms, store of {ms} ms",
            "patches/x",
            (
                Contender("zlab", "zlab", "train_on_patches"),
                Contender("zarr-python", "zarr-python", "train_on_some_patches"),
                Contender("xbatcher", "xbatcher", "train_on_some_patches"),
                Contender(STEP, "zlab", "step_alone"),
            ),
            Setting(latency_s=ms / 1000, in_flight=64, step_s=0.1),
        )
        for ms in (30, 100)
    ),
)
FRAMES = tuple(
    Row(
        title,
        "weather",
        (
            Contender("zlab", "zlab", "query"),
            Contender("zlab, statistics", "zlab", "query_by_statistics"),
            *(Contender(name, name, "query") for name in TABLES),
        ),
        Setting(query=query),
    )
    for title, query in (
        ("mean above 285 K between 50 and 80 degrees north, 1 GB", "north"),
        ("mean above 315.5 K anywhere, 1 GB", "hot"),
    )
)
GROUPS: dict[str, tuple[Row, ...]] = {
    "arrays": ENGINE,
    "streams": STREAMS,
    "training": TRAINING,
    "frames": FRAMES,
}
"""Rows that are measured, and published, together."""
ROWS = tuple(row for rows in GROUPS.values() for row in rows)
