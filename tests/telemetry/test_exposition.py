from __future__ import annotations

import pytest

pytest.importorskip("prometheus_client")
from prometheus_client.parser import text_string_to_metric_families

import zlab
from zlab.telemetry import ChunkFailed, ChunkRun
from zlab.telemetry.aggregate import Aggregator
from zlab.telemetry.exposition import exposition
from zlab.telemetry.hub import Hub


def test_prometheus_reads_it() -> None:
    hub = Hub()
    aggregator = Aggregator(hub)
    name = 'a "b"\\\n'
    hub.record(
        ChunkRun(
            "read",
            "s",
            name,
            coords=[(0,), (1,), (2,)],
            nbytes_stored=[10, -1, 30],
            nbytes=[80] * 3,
            fetch_s=[0.25, 0.5, 3.0],
            decode_s=[0.5] * 3,
            t=7.0,
            codecs="bytes zstd",
        )
    )
    hub.emit(ChunkFailed("s", name, (0,), "read", "OSError: gone"))
    families = {each.name: each for each in text_string_to_metric_families(exposition(aggregator))}
    labels = {"store": "s", "path": name, "codecs": "bytes zstd"}
    for metric, value in {
        "zlab_chunks_read": 2,
        "zlab_chunks_absent": 1,
        "zlab_fetched_bytes": 40,
        "zlab_decoded_bytes": 160,
    }.items():
        (sample,) = families[metric].samples
        assert (families[metric].type, sample.labels, sample.value) == ("counter", labels, value)
    (errors,) = families["zlab_errors"].samples
    assert (errors.labels, errors.value) == ({}, 1)
    fetch = families["zlab_chunk_fetch_seconds"]
    assert fetch.type == "histogram"
    by_name: dict[str, list[float]] = {}
    for sample in fetch.samples:
        by_name.setdefault(sample.name.rpartition("_")[2], []).append(sample.value)
    assert (by_name["count"], by_name["sum"]) == ([2], [3.25])
    assert by_name["bucket"] == sorted(by_name["bucket"])
    at = {s.labels["le"]: s.value for s in fetch.samples if "le" in s.labels}
    assert (at["0.25"], at["0.5"], at["2.0"], at["4.0"], at["+Inf"]) == (0, 1, 1, 2, 2)
    assert families["zlab_chunk_store_seconds"].samples == []
    assert all(family.documentation.endswith(".") for family in families.values())


def test_the_process_is_exposed() -> None:
    try:
        zlab.telemetry.prometheus()
        zlab.create_array({}, data=[1, 2, 3])[...]
        names = {each.name for each in text_string_to_metric_families(zlab.telemetry.prometheus())}
        assert {"zlab_chunks_read", "zlab_chunks_written", "zlab_cache_hits"} <= names
    finally:
        zlab.telemetry.disable()
