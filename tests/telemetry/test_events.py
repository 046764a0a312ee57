from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

import zlab
from zlab.telemetry.events import (
    EVENT_TYPES,
    CacheHit,
    CacheMiss,
    CacheRun,
    ChunkDecode,
    ChunkEncode,
    ChunkFailed,
    ChunkFetch,
    ChunkRead,
    ChunkRun,
    ChunkStore,
    ChunkWrite,
    event_types,
)


def test_names() -> None:
    assert [kind.name for kind in EVENT_TYPES] == [
        "array.open",
        "array.create",
        "array.read",
        "array.write",
        "chunk.read",
        "chunk.write",
        "chunk.failed",
        "chunk.fetch",
        "chunk.decode",
        "chunk.encode",
        "chunk.store",
        "shard.index",
        "shard.range",
        "cache.hit",
        "cache.miss",
        "cache.evict",
        "store.retry",
        "store.cached",
        "store.hedge",
        "stream.start",
        "stream.progress",
        "stream.stop",
        "pipeline.start",
        "pipeline.progress",
        "pipeline.retry",
        "pipeline.failed",
        "pipeline.worker",
        "pipeline.stop",
        "chunk.run",
        "cache.run",
    ]


def test_every_type_is_public() -> None:
    assert all(getattr(zlab.telemetry, kind.__name__) is kind for kind in EVENT_TYPES)
    assert {kind.__name__ for kind in EVENT_TYPES} < set(zlab.telemetry.__all__)


def test_a_run_of_reads_is_one_event_a_chunk() -> None:
    run = ChunkRun(
        "read", "s", "a", [(0, 1), (2, 3)], [10, -1], [80, 0], [0.5, 0.125], [0.25, 0.0], 7.0
    )
    assert list(run) == [
        ChunkRead("s", "a", (0, 1), 10, 80, 0.5, 0.25, 7.0),
        ChunkRead("s", "a", (2, 3), None, 0, 0.125, 0.0, 7.0),
    ]


def test_a_run_of_writes_has_encode_and_store_in_their_places() -> None:
    run = ChunkRun("write", "s", "a", [(0,)], [10], [80], [0.5], [0.25], 7.0)
    assert list(run) == [
        ChunkWrite("s", "a", (0,), nbytes_stored=10, nbytes=80, encode_s=0.25, store_s=0.5, t=7.0)
    ]


def test_a_run_of_reads_is_told_in_halves_to_those_who_ask() -> None:
    run = ChunkRun(
        "read", "s", "a", [(0, 1), (2, 3)], [10, -1], [80, 0], [0.5, 0.125], [0.25, 0.0], 7.0
    )
    assert list(run.told_as(ChunkFetch)) == [
        ChunkFetch("s", "a", (0, 1), 10, 0.5, 7.0),
        ChunkFetch("s", "a", (2, 3), None, 0.125, 7.0),
    ]
    assert list(run.told_as(ChunkDecode)) == [ChunkDecode("s", "a", (0, 1), 10, 80, 0.25, 7.0)]


def test_a_run_of_writes_is_told_in_halves_to_those_who_ask() -> None:
    run = ChunkRun("write", "s", "a", [(0,)], [-1], [80], [0.5], [0.25], 7.0)
    assert list(run.told_as(ChunkEncode)) == [ChunkEncode("s", "a", (0,), 80, None, 0.25, 7.0)]
    assert list(run.told_as(ChunkStore)) == [ChunkStore("s", "a", (0,), None, 0.5, 7.0)]


def test_a_run_of_look_ups() -> None:
    run = CacheRun("s", "a", "chunk", [(0,), (1,)], [(2,)], 160, 7.0)
    hits, misses = (list(run.told_as(kind)) for kind in run.single)
    assert hits == [CacheHit("s", "a", "chunk", (i,), 7.0) for i in (0, 1)]
    assert misses == [CacheMiss("s", "a", "chunk", (2,), 7.0)]


def test_a_run_of_unequal_lists_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        list(ChunkRun("read", "s", "a", [(0,), (1,)], [10], [80], [0.5], [0.25], 7.0))


def test_events_are_facts() -> None:
    event = ChunkFailed("s", "a", (0,), "read", "OSError: gone")
    with pytest.raises(FrozenInstanceError):
        event.store = "other"  # type: ignore[misc]


@pytest.mark.parametrize("info", event_types(), ids=lambda info: info.name)
def test_every_field_of_every_event_is_described(info: object) -> None:
    kind = info.type  # type: ignore[attr-defined]
    described = info.fields  # type: ignore[attr-defined]
    assert [field.name for field in described] == [field.name for field in fields(kind)]
    assert all(field.doc.endswith(".") for field in described)
    assert info.doc.endswith((".", "lists."))  # type: ignore[attr-defined]


def test_a_description_of_two_lines_is_read_whole() -> None:
    (run,) = (info for info in event_types() if info.type is ChunkRun)
    docs = {field.name: field.doc for field in run.fields}
    assert docs["nbytes_stored"] == (
        "Bytes of each in the store, -1 where it is absent (read) or left out (write)."
    )
