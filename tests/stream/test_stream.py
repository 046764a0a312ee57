"""What all streams have: `async for`, interrupts, other threads, forks."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import zlab
from zlab.errors import ChunkReadError
from zlab.samples import stream_samples
from zlab.stores.memory import MemoryStore
from zlab.stream.budget import process_held
from zlab.telemetry import capture
from zlab.testing import InterposedStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from zlab.testing import Call

    Wait = Callable[[Callable[[], object]], None]


class Gate(InterposedStore):
    """A store that answers for chunks when it is opened."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.asked = 0
        self.open = threading.Event()

    def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """Does the call, if it is for a chunk when the gate is open."""
        if call.operation == "get" and call.key.startswith("c/"):
            self.asked += 1
            assert self.open.wait(60)
        return proceed(call)


@pytest.fixture
def gated() -> tuple[zlab.Array, Gate]:
    gate = Gate()
    gate.open.set()
    array = zlab.create_array(gate, data=list(range(100)), dtype="int32", chunks=5)
    gate.asked = 0
    return array, gate


def test_async_for_gives_what_for_gives(counted: Callable[..., Any]) -> None:
    made = counted((40, 3), chunks=(4, 3))

    async def read() -> list[Any]:
        chunks = [chunk async for chunk in made.array.stream_chunks()]
        return chunks + [part async for part in made.array.stream_slices(length=7)]

    items = asyncio.run(read())
    assert [item.data.tolist() for item in items] == [
        *(chunk.data.tolist() for chunk in made.array.stream_chunks()),
        *(part.data.tolist() for part in made.array.stream_slices(length=7)),
    ]


def test_the_event_loop_is_free_while_a_chunk_is_read(gated: tuple[zlab.Array, Gate]) -> None:
    array, gate = gated
    gate.open.clear()

    async def read() -> list[Any]:
        async def open_gate() -> None:
            while not gate.asked:  # noqa: ASYNC110  the store knows no event of asyncio
                await asyncio.sleep(0)
            gate.open.set()

        # were the loop blocked, the gate would never open
        opener = asyncio.create_task(open_gate())
        coords = [chunk.coords async for chunk in array.stream_chunks()]
        await opener
        return coords

    assert asyncio.run(read()) == [(n,) for n in range(20)]


def test_a_cancelled_task_ends_its_stream(gated: tuple[zlab.Array, Gate], wait_until: Wait) -> None:
    array, gate = gated
    gate.open.clear()

    async def read() -> None:
        async for _ in array.stream_chunks():
            pytest.fail("the gate is closed")

    async def cancel() -> None:
        task = asyncio.create_task(read())
        while not gate.asked:  # noqa: ASYNC110  the store knows no event of asyncio
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with capture("stream.st*") as captured:
        asyncio.run(cancel())
    assert captured.events[-1].outcome == "closed"
    gate.open.set()
    wait_until(lambda: process_held() == 0)


def test_an_error_after_the_task_was_cancelled_is_not_reported(
    gated: tuple[zlab.Array, Gate], wait_until: Wait
) -> None:
    array, gate = gated
    gate.store.put("c/0", b"not zstd")
    gate.open.clear()
    reported: list[Any] = []

    async def read() -> None:
        async for _ in array.stream_slices(length=5):
            pytest.fail("the first chunk is corrupt")

    async def cancel() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(context)
        )
        task = asyncio.create_task(read())
        while not gate.asked:  # noqa: ASYNC110  the store knows no event of asyncio
            await asyncio.sleep(0)
        gate.open.set()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    gc.collect()
    assert reported == []
    wait_until(lambda: process_held() == 0)


def test_breaking_out_of_async_for_ends_the_stream(counted: Callable[..., Any]) -> None:
    made = counted((400,), chunks=1)

    async def read() -> None:
        async for _ in made.array.stream_chunks():
            break

    with capture("stream.stop") as captured:
        asyncio.run(read())
    assert [event.outcome for event in captured.events] == ["closed"]


def test_an_error_comes_through_async_for(counted: Callable[..., Any]) -> None:
    made = counted((40,), chunks=4)
    made.store.put("c/3", b"not zstd")

    async def read() -> list[Any]:
        coords = []
        with pytest.raises(ChunkReadError) as caught:  # noqa: PT012  the loop is what raises
            async for chunk in made.array.stream_chunks():
                coords.append(chunk.coords)  # noqa: PERF401  what came before the error counts
        assert caught.value.coords == (3,)
        return coords

    assert asyncio.run(read()) == [(0,), (1,), (2,)]


def test_a_with_block_ends_an_iteration_that_another_thread_waits_in(
    gated: tuple[zlab.Array, Gate], wait_until: Wait
) -> None:
    array, gate = gated
    gate.open.clear()
    got: list[Any] = []
    with array.stream_chunks() as stream:
        thread = threading.Thread(target=lambda: got.extend(stream))
        thread.start()
        wait_until(lambda: gate.asked)
    thread.join(60)
    assert not thread.is_alive()
    assert got == []
    gate.open.set()


INTERRUPTED = """
import signal, threading, time
import zlab
from zlab.stores.memory import MemoryStore
from zlab.stream.budget import process_held
from zlab.telemetry import capture
from zlab.testing import InterposedStore

opened = threading.Event()
main = threading.main_thread().ident

class Slow(InterposedStore):
    def around(self, call, proceed):
        if call.operation == "get" and call.key.startswith("c/") and not opened.is_set():
            signal.pthread_kill(main, signal.SIGINT)
            opened.wait(60)
        return proceed(call)

memory = MemoryStore()
zlab.create_array(memory, data=range(100), dtype="int32", chunks=5)
array = zlab.open_array(Slow(memory))
with capture("stream.stop") as captured:
    try:
        for chunk in array.stream_chunks(concurrency=1):
            print("a chunk")
    except KeyboardInterrupt:
        print("interrupted")
print([event.outcome for event in captured.events])
opened.set()
while process_held():
    time.sleep(0.001)
print("all given back")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals to threads are POSIX's")
def test_an_interrupt_reaches_a_consumer_that_waits() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", INTERRUPTED],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.splitlines() == ["interrupted", "['closed']", "all given back"], done.stderr


FORKED = """
import os
import zlab
from zlab.stream.budget import process_held

array = zlab.create_array("memory://", data=range(1000), dtype="int32", chunks=5)
chunks = iter(array.stream_chunks())
next(chunks)
child = os.fork()
if not child:
    assert process_held() == 0
    total = sum(int(chunk.data.sum()) for chunk in array.stream_chunks())
    os._exit(0 if total == 499500 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(sum(int(chunk.data.sum()) for chunk in chunks))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_streams_for_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.splitlines() == ["0", str(499500 - 10)], done.stderr


def test_a_description_travels_to_another_process(counted: Callable[..., Any]) -> None:
    array = counted((40, 3), chunks=(4, 3), shards=(8, 3)).array
    array = zlab.Array(array.store.store, array.path, array.metadata)
    for stream in (
        array.stream_chunks(region=slice(3, 20), concurrency=3, ordered=True),
        array.stream_slices(1, length=2),
    ):
        begun = iter(stream)
        next(begun)
        other = pickle.loads(pickle.dumps(stream))  # noqa: S301  our own
        assert repr(other).split(">")[0].split("[")[1] == repr(stream).split(">")[0].split("[")[1]
        assert [item.data.tolist() for item in other] == [item.data.tolist() for item in stream]
        begun.close()
    samples = stream_samples([array.layout], 16, shuffle="window", seed=4)
    other = pickle.loads(pickle.dumps(samples))  # noqa: S301  our own
    assert [batch.arrays[0].tolist() for batch in other] == [
        batch.arrays[0].tolist() for batch in samples
    ]
