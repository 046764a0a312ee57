from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from zlab.telemetry.events import (
    EVENT_TYPES,
    ChunkFailed,
    ChunkRead,
    ChunkRun,
    ChunkWrite,
    StreamStart,
    StreamStop,
    event_types,
)


def test_names() -> None:
    assert {kind: kind.name for kind in EVENT_TYPES} == {
        ChunkRead: "chunk.read",
        ChunkWrite: "chunk.write",
        ChunkFailed: "chunk.failed",
        StreamStart: "stream.start",
        StreamStop: "stream.stop",
        ChunkRun: "chunk.run",
    }


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
