"""Hostile shards: any bytes for an index or a chunk give values or a typed error, never more."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.errors import ZlabError
from zlab.stores.memory import MemoryStore

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


@given(data=st.data(), compressed=st.booleans(), at_start=st.booleans())
def test_a_damaged_shard(data: st.DataObject, compressed: bool, at_start: bool) -> None:
    store = MemoryStore()
    array = zlab.create_array(
        store,
        data=np.arange(1, 65, dtype="i4"),
        chunks=8,
        serializer={
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": [4],
                "codecs": [LITTLE, "zstd"] if compressed else [LITTLE],
                # without a checksum, so that damage to the index gets through to the reader
                "index_codecs": [LITTLE],
                "index_location": "start" if at_start else "end",
            },
        },
        compressors=None,
    )
    assert array.chunks == (4,)
    shard = bytearray(store.get("c/3") or b"")
    for _ in range(data.draw(st.integers(1, 4))):
        if not shard:
            break
        place = data.draw(st.integers(0, len(shard) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "word"])):
            case "flip":
                shard[place] ^= data.draw(st.integers(1, 255))
            case "cut":
                del shard[place:]
            case "insert":
                shard[place:place] = data.draw(st.binary(max_size=40))
            case _:
                word = data.draw(st.sampled_from([0, 1, 2**31, 2**62, 2**63, 2**64 - 1]))
                shard[place : place + 8] = word.to_bytes(8, "little")
    store.put("c/3", bytes(shard))
    try:
        assert array[24:32].shape == (8,)
    except ZlabError as error:
        assert error.store == store.name  # noqa: PT017  either outcome is right
    try:
        array.stored_sizes()
        array[27] = 5
    except ZlabError as error:
        assert error.what  # noqa: PT017  either outcome is right
    # the neighbours are as they were
    assert array[:24].tolist() == list(range(1, 25))
