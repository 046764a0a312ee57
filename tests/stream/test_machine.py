"""However a stream is pulled, left, resumed and disturbed, each chunk comes exactly once."""

from __future__ import annotations

import json
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from numpy.testing import assert_array_equal

import zlab
from zlab.stores.memory import MemoryStore
from zlab.testing import LatencyStore

if TYPE_CHECKING:
    from collections.abc import Generator

    from zlab.stream import Chunk, ChunkStream

widths = st.sampled_from([1, 2, 7, 128])
budgets = st.sampled_from([None, 1, 70, 1000])


class StreamMachine(RuleBasedStateMachine):
    """A consumer that stops and goes on, and a store whose objects break and are mended."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = MemoryStore()
        self.seen: list[tuple[int, ...]] = []
        self.objects: dict[str, bytes] = {}

    @initialize(
        shape=st.lists(st.integers(1, 9), min_size=1, max_size=2),
        sharded=st.booleans(),
        ordered=st.sampled_from([None, True, False]),
        local=st.booleans(),
    )
    def create(self, shape: list[int], sharded: bool, ordered: bool | None, local: bool) -> None:
        self.values = np.arange(1, prod(shape) + 1).reshape(shape)
        zlab.create_array(
            self.memory,
            data=self.values,
            chunks=(2,) * len(shape),
            shards=(4,) * len(shape) if sharded else None,
        )
        for key, _ in self.memory.list("c"):
            data = self.memory.get(key)
            assert data is not None
            self.objects[key] = bytes(data)
        self.array = zlab.open_array(LatencyStore(self.memory, 0, local=local))
        self.ordered = ordered
        self.begin(None, 2, None)

    def begin(self, state: Any, concurrency: int, max_bytes: int | None) -> None:
        self.stream: ChunkStream = self.array.stream_chunks(
            state=state,
            ordered=self.ordered,
            concurrency=concurrency,
            max_bytes=max_bytes,
            on_error="skip",
        )
        self.chunks: Generator[Chunk] = iter(self.stream)

    def take(self, chunk: Chunk) -> None:
        assert chunk.coords not in self.seen
        assert_array_equal(chunk.data, self.values[chunk.region])
        self.seen.append(chunk.coords)

    @rule(n=st.integers(1, 6))
    def pull(self, n: int) -> None:
        for _, chunk in zip(range(n), self.chunks, strict=False):
            self.take(chunk)

    @rule(concurrency=widths, max_bytes=budgets)
    def stop_and_go_on(self, concurrency: int, max_bytes: int | None) -> None:
        self.chunks.close()
        self.begin(json.loads(json.dumps(self.stream.state())), concurrency, max_bytes)

    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        self.memory.put(data.draw(st.sampled_from(sorted(self.objects))), b"\0")

    @rule()
    def mend(self) -> None:
        for key, value in self.objects.items():
            self.memory.put(key, value)

    def teardown(self) -> None:
        if not self.objects:
            return
        self.mend()
        self.stop_and_go_on(3, None)
        for chunk in self.chunks:
            self.take(chunk)
        assert not self.stream.report().skipped
        assert sorted(self.seen) == sorted(self.stream.plan)


def test_each_chunk_comes_once_however_often_a_stream_is_left() -> None:
    run_state_machine_as_test(StreamMachine)
