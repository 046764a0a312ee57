from __future__ import annotations

import errno
import gc
import tempfile
import threading
import weakref
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import zlab
from zlab.errors import (
    ChunkReadError,
    ChunkWriteError,
    EntryError,
    ReadOnlyError,
    StoreError,
    ZlabError,
)
from zlab.stores.base import storage_error
from zlab.stores.local import LocalStore
from zlab.stores.memory import MemoryStore
from zlab.stream.budget import process_held
from zlab.stream.spill import Shelf
from zlab.telemetry import ChunkWrite, StreamStart, StreamStop, capture
from zlab.testing import CountingStore, Fault, FaultStore, InterposedStore, LatencyStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from zlab.telemetry import StreamProgress
    from zlab.testing import Call

Box = tuple[slice, ...]


def make(shape: tuple[int, ...], store: Any = None, **kwargs: Any) -> zlab.Array:
    kwargs.setdefault("dtype", "int32")
    target = MemoryStore() if store is None else store
    return zlab.create_array(target, shape=shape, **kwargs)


def numbers(shape: tuple[int, ...], dtype: str = "int32") -> NDArray[Any]:
    return np.arange(1, int(np.prod(shape)) + 1).reshape(shape).astype(dtype)


def by_chunk(array: zlab.Array, values: NDArray[Any]) -> Iterator[tuple[Any, NDArray[Any]]]:
    for coords in array.layout.chunks.coords():
        yield coords, values[array.layout.chunks.region(coords)]


def boxes_of(shape: tuple[int, ...], cuts: list[list[int]]) -> list[Box]:
    """The boxes that an array is cut into."""
    parts = []
    for n, places in zip(shape, cuts, strict=True):
        bounds = sorted({0, n, *(place for place in places if place < n)})
        parts.append([slice(a, b) for a, b in pairwise(bounds)])
    return list(product(*parts))


shapes = st.lists(st.integers(1, 9), max_size=3).map(tuple)


@st.composite
def layouts(draw: st.DrawFn, ndim: int) -> dict[str, Any]:
    chunks = tuple(draw(st.integers(1, 4)) for _ in range(ndim))
    options: dict[str, Any] = {"chunks": chunks, "order": draw(st.sampled_from("CF"))}
    kind = draw(st.sampled_from(["v2", "v3", "shards", "shards at the start"]))
    if kind == "v2":
        options["zarr_format"] = 2
    elif kind != "v3":
        options["shards"] = tuple(c * draw(st.integers(1, 3)) for c in chunks)
    return options


DTYPES = ["bool", "u1", "i2", "f2", "f4", "f8", "c8", "c16", "M8[ns]", "m8[s]", "S3", "U2"]


@given(st.data(), shapes, st.sampled_from([*DTYPES, "bfloat16", "float8_e5m2"]))
def test_what_is_streamed_and_written_again_is_equal_bit_for_bit(
    data: st.DataObject, shape: tuple[int, ...], name: str
) -> None:
    # whatever the bytes, NaN payloads and negative zeros among them
    first = make(shape, dtype=name if name.startswith(("bf", "float8")) else np.dtype(name))
    itemsize = first.dtype.itemsize
    size = int(np.prod(shape)) * itemsize
    raw: NDArray[Any] = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), np.uint8)
    if name == "bool":
        raw = raw & 1
    if name.startswith("U"):  # NumPy itself refuses code points that there are not
        raw = (raw.view("u4") % 0xD000).astype("u4").view("u1")
    values = raw.view(first.dtype).reshape(shape)
    v3_only = name.startswith(("bf", "float8"))
    arrays = []
    for _ in range(2):
        options = data.draw(layouts(len(shape)))
        if v3_only:
            options.pop("zarr_format", None)
        arrays.append(make(shape, dtype=first.dtype, **options))
    arrays[0][...] = values
    arrays[1].write_stream(
        arrays[0].stream_chunks(include_missing=True, ordered=data.draw(st.booleans())),
        max_bytes=data.draw(st.sampled_from([1, 100, 10_000])),
    )
    assert arrays[1][...].tobytes() == values.tobytes()


@pytest.mark.needs("jax")
@pytest.mark.parametrize("shards", [None, (4, 4)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
def test_chunks_that_went_through_jax_are_equal_bit_for_bit(
    dtype: str, shards: tuple[int, int] | None
) -> None:
    import jax

    words = np.random.default_rng(0).integers(0, 1 << 16, (6, 10), np.uint16)
    source = make((6, 10), chunks=(2, 3), dtype=dtype)
    values = np.repeat(words, source.dtype.itemsize // 2, axis=1).view(source.dtype)
    source[...] = values
    target = make((6, 10), chunks=(2, 2), shards=shards, dtype=dtype)
    report = target.write_stream(
        (chunk.region, jax.device_put(chunk.data)) for chunk in source.stream_chunks()
    )
    assert target[...].tobytes() == values.tobytes()
    assert report.nentries == 12


@given(st.data(), shapes)
def test_regions_in_any_order_are_assembled_and_each_object_is_put_once(
    data: st.DataObject, shape: tuple[int, ...]
) -> None:
    store = CountingStore(MemoryStore(), local=data.draw(st.booleans()))
    array = make(shape, store, **data.draw(layouts(len(shape))))
    values = numbers(shape)
    cuts = [data.draw(st.lists(st.integers(1, 8), max_size=4)) for _ in shape]
    boxes = data.draw(st.permutations(boxes_of(shape, cuts)))
    store.reset()
    report = array.write_stream(
        ((box, values[box]) for box in boxes),
        max_bytes=data.draw(st.sampled_from([1, 64, 10_000])),
        concurrency=data.draw(st.integers(1, 4)),
    )
    counts = store.reset()
    assert_array_equal(array[...], values)
    nobjects = array.layout.objects.nchunks
    assert (counts.puts, counts.gets, counts.ranges) == (nobjects, 0, 0)
    assert (report.written, report.nentries, report.nchunks) == (
        nobjects,
        len(boxes),
        array.nchunks,
    )
    assert (report.nbytes, report.nbytes_stored) == (values.nbytes, array.nbytes_stored())
    assert report.failed == ()


@given(st.data(), shapes)
def test_the_stored_bytes_are_those_of_an_assignment(
    data: st.DataObject, shape: tuple[int, ...]
) -> None:
    options = data.draw(layouts(len(shape)))
    streamed, assigned = MemoryStore(), MemoryStore()
    values = data.draw(st.sampled_from([0, 1])) * numbers(shape)
    array = make(shape, streamed, **options)
    array.write_stream(data.draw(st.permutations(list(by_chunk(array, values)))))
    make(shape, assigned, **options)[...] = values
    assert {e.key: streamed.get(e.key) for e in streamed.list()} == {
        e.key: assigned.get(e.key) for e in assigned.list()
    }


@pytest.mark.parametrize("chunk_shapes", [[[2, 3, 4], [5]], [[4, 5], [1, 2, 2]]])
def test_chunks_of_different_sizes(chunk_shapes: list[list[int]]) -> None:
    array = make((9, 5), chunks=chunk_shapes)
    values = numbers((9, 5))
    array.write_stream(((slice(row, row + 1),), values[row : row + 1]) for row in range(9))
    assert_array_equal(array[...], values)


def test_strings_in_pieces_that_were_spilled() -> None:
    values = np.array([f"number {n}" * n for n in range(12)]).astype("T")
    array = zlab.create_array({}, shape=(12,), chunks=(4,), shards=(8,), dtype="string")
    report = array.write_stream(
        ((slice(n, n + 1), values[n : n + 1]) for n in reversed(range(12))), max_bytes=1
    )
    assert array[...].tolist() == values.tolist()
    assert report.nbytes_spilled > 0


def test_values_of_slice_streams_and_of_whole_shards() -> None:
    values = numbers((8, 6))
    source = make((8, 6), chunks=(3, 2))
    source[...] = values
    target = make((8, 6), chunks=(2, 2), shards=(4, 6))
    assert target.write_stream(source.stream_slices(length=3)).written == 2
    shards = [((slice(0, 4),), values[:4] * 2), ((slice(4, 8), ...), values[4:] * 2)]
    assert target.write_stream(shards).nchunks == 12
    assert_array_equal(target[...], values * 2)


@pytest.mark.parametrize("shards", [None, (4,)])
def test_a_source_may_use_its_memory_again(shards: tuple[int] | None) -> None:
    array = make((64,), chunks=(2,), shards=shards)
    buffer = np.empty(2, "int32")

    def source() -> Iterator[tuple[tuple[int], NDArray[Any]]]:
        for n in range(32):
            buffer[:] = n
            yield (n,), buffer

    array.write_stream(source())
    assert_array_equal(array[...], np.repeat(np.arange(32), 2))


def test_an_empty_source_and_empty_arrays() -> None:
    assert make((4,), chunks=(2,)).write_stream([]).written == 0
    empty = make((0, 3), chunks=(2, 3))
    assert empty.write_stream([((slice(0, 0),), np.empty((0, 3), "int32"))]).nentries == 1
    scalar = make(())
    assert scalar.write_stream([((), np.int32(7))]).written == 1
    assert scalar[()] == 7


# -- what does not fit


BAD: dict[str, tuple[Any, str]] = {
    "no pair": (3, "int is no entry"),
    "outside the grid": (((3, 0), np.zeros((2, 3), "int32")), "the grid of (2, 2) chunks has no"),
    "negative coordinates": (((-1, 0), np.zeros((2, 3), "int32")), "the grid of (2, 2) chunks"),
    "too few coordinates": (((0,), np.zeros((2, 3), "int32")), "the grid of (2, 2) chunks"),
    "shape": (((0, 0), np.zeros((2, 2), "int32")), "data of shape (2, 2), where the array has"),
    "padded": (((1, 1), np.zeros((2, 3), "int32")), "data of shape (2, 3)"),
    "dtype": (((0, 0), np.zeros((2, 3), "int64")), "data of dtype int64"),
    "region outside": (((slice(0, 9),), np.zeros((9, 5), "int32")), "region 0:9 is not inside"),
    "region with a step": (((slice(0, 4, 2),), np.zeros((2, 5), "int32")), "without a step"),
    "no place": ((None, np.zeros((3, 5), "int64")), "data of dtype int64"),
    "words": ((("a", "b"), np.zeros((2, 3), "int32")), "a region is made of slices"),
}


@pytest.mark.parametrize(("entry", "message"), BAD.values(), ids=BAD)
def test_an_entry_that_does_not_fit_is_named(entry: Any, message: str) -> None:
    array = make((3, 5), chunks=(2, 3))
    good = ((0, 1), np.ones((2, 2), "int32"))
    with pytest.raises(EntryError) as caught:
        array.write_stream([good, entry])
    assert message in str(caught.value)
    assert "entry 1" in str(caught.value)
    assert caught.value.entry == 1
    # those before it are written
    assert array[:2, 3:].tolist() == [[1, 1], [1, 1]]


def test_an_entry_that_does_not_fit_tells_its_chunk() -> None:
    with pytest.raises(EntryError) as caught:
        make((3, 5), chunks=(2, 3)).write_stream([((slice(2, 3),), np.zeros((1, 4), "int32"))])
    assert caught.value.coords == (1, 0)


@pytest.mark.parametrize("shards", [None, (4, 6)])
def test_nothing_may_come_twice(shards: tuple[int, int] | None) -> None:
    array = make((8, 6), chunks=(2, 3), shards=shards)
    values = numbers((8, 6))
    region: Box = (slice(1, 3), slice(0, 3))
    twice: list[list[Any]] = [
        [((0, 0), values[:2, :3])] * 2,
        [(region, values[region])] * 2,
        [((0, 0), values[:2, :3]), (region, values[region])],
        [(region, values[region]), ((1, 0), values[2:4, :3])],
        [*by_chunk(array, values), ((2, 1), values[4:6, 3:])],
    ]
    for entries in twice:
        with pytest.raises(EntryError, match="an earlier entry wrote this chunk") as caught:
            array.write_stream(entries)
        assert caught.value.entry == len(entries) - 1
        assert caught.value.coords in {(0, 0), (1, 0), (2, 1)}


def test_without_validation_values_are_cast_and_broadcast() -> None:
    array = make((3, 4), chunks=(2, 2), dtype="int16")
    entries: list[Any] = [
        ((0, 0), 7),
        ((0, 1), [[1, 2]]),
        ((slice(2, 3),), np.array([1.0, 2.0, 3.0, 4.0])),
    ]
    array.write_stream(entries, validate=False)
    assert array[...].tolist() == [[7, 7, 1, 2], [7, 7, 1, 2], [1, 2, 3, 4]]
    with pytest.raises(EntryError, match="does not fit") as caught:
        array.write_stream([((0, 0), np.zeros((3, 3)))], validate=False)
    assert caught.value.entry == 0


def test_bytes_in_the_other_order_are_the_same_values() -> None:
    array = make((4,), chunks=(2,))
    array.write_stream([((slice(0, 4),), np.arange(4, dtype=">i4"))])
    assert array[...].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "bad",
    [
        {"batch_size": 0},
        {"concurrency": 0},
        {"max_bytes": 0},
        {"on_error": "ignore"},
        {"incomplete": "fill"},
    ],
)
def test_arguments_are_checked_before_the_source_is_asked(bad: dict[str, Any]) -> None:
    source = iter([((0,), np.zeros(2, "int32"))])
    with pytest.raises(ValueError, match=next(iter(bad))):
        make((4,), chunks=(2,)).write_stream(source, **bad)
    assert next(source)


async def later() -> AsyncIterator[object]:
    yield (0,), np.zeros(2)


@pytest.mark.parametrize(("source", "name"), [(3, "int"), (later(), "async_generator")])
def test_a_source_that_cannot_be_iterated(source: Any, name: str, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.json"
    with pytest.raises(TypeError, match=f"with `for`, and {name} cannot be"):
        make((4,), chunks=(2,)).write_stream(source, checkpoint=checkpoint)
    assert not checkpoint.exists()


def test_an_array_that_was_opened_for_reading() -> None:
    store = MemoryStore()
    make((4,), store, chunks=(2,))
    with pytest.raises(ReadOnlyError):
        zlab.open_array(store, mode="r").write_stream([])


# -- chunks of fill, and what is incomplete


@pytest.mark.parametrize("shards", [None, (4,)])
def test_chunks_of_fill_are_left_out_or_written_as_asked(shards: tuple[int] | None) -> None:
    store = MemoryStore()
    array = make((8,), store, chunks=(2,), shards=shards)
    array[...] = 5
    values = np.array([0, 0, 0, 0, 1, 2, 0, 0], "int32")
    report = array.write_stream(by_chunk(array, values))
    # what was stored before is gone
    assert_array_equal(array[...], values)
    assert array.nchunks_initialized == 1
    assert (report.written, report.empty) == ((1, 1) if shards else (1, 3))
    report = array.write_stream(by_chunk(array, values), write_empty_chunks=True)
    assert_array_equal(array[...], values)
    assert array.nchunks_initialized == 4
    assert (report.written, report.empty) == ((2, 0) if shards else (4, 0))


def test_negative_zeros_are_no_fill() -> None:
    array = make((2,), chunks=(2,), dtype="f8")
    assert array.write_stream([((0,), np.array([-0.0, 0.0]))]).written == 1
    assert np.signbit(array[...]).tolist() == [True, False]


@pytest.mark.parametrize("shards", [None, (4, 4)])
def test_what_is_incomplete_at_the_end_is_an_error_that_says_so(
    shards: tuple[int, int] | None,
) -> None:
    store = CountingStore(MemoryStore())
    array = make((8, 8), store, chunks=(2, 2), shards=shards)
    values = numbers((8, 8))
    store.reset()
    whole, part = (slice(0, 4), slice(0, 8)), (slice(4, 5), slice(0, 8))
    with pytest.raises(EntryError, match="incomplete, and not written") as caught:
        array.write_stream([(whole, values[whole]), (part, values[part])])
    assert (caught.value.entry, caught.value.coords) == (1, (2, 0))
    # what is complete is written, and of the rest nothing
    counts = store.reset()
    assert (counts.puts, counts.gets) == (2 if shards else 8, 0)
    assert_array_equal(array[:4], values[:4])
    assert not array[4:].any()


@pytest.mark.parametrize("shards", [None, (4, 4)])
@pytest.mark.parametrize("stored", [True, False])
def test_what_is_incomplete_is_merged_where_asked(
    *, stored: bool, shards: tuple[int, int] | None
) -> None:
    store = CountingStore(MemoryStore())
    array = make((7, 8), store, chunks=(2, 2), shards=shards)
    expected = np.full((7, 8), 9 if stored else 0, "int32")
    if stored:
        array[...] = expected
    values = -numbers((7, 8))
    entries = []
    for box in [(slice(0, 2), slice(0, 2)), (slice(1, 3), slice(3, 7)), (slice(6, 7), slice(0, 1))]:
        expected[box] = values[box]
        entries.append((box, values[box]))
    store.reset()
    report = array.write_stream(entries, incomplete="merge", max_bytes=50)
    counts = store.reset()
    assert_array_equal(array[...], expected)
    assert counts.puts == report.written == (3 if shards else 8)


def test_a_merge_with_a_chunk_that_cannot_be_read_leaves_it() -> None:
    inside = MemoryStore()
    make((4,), inside, chunks=(2,))[...] = 5
    before = inside.get("c/0")
    store = FaultStore(inside, [Fault("get", "c/0")])
    array = zlab.open_array(store, mode="r+")
    with pytest.raises(ChunkReadError):
        array.write_stream([(slice(0, 1), np.ones(1, "int32"))], incomplete="merge")
    assert inside.get("c/0") == before


@pytest.mark.needs("lock")
def test_a_merge_takes_turns_with_other_processes(tmp_path: Path) -> None:
    array = zlab.create_array({}, data=np.arange(6), chunks=3)
    locked = zlab.open_array(array.store, mode="r+", locks=zlab.FileLocks(tmp_path))
    locked.write_stream([(slice(1, 2), np.array([9]))], incomplete="merge")
    assert locked[...].tolist() == [0, 9, 2, 3, 4, 5]
    assert list(tmp_path.iterdir())


def test_a_handle_for_whole_chunks_merges_nothing() -> None:
    array = zlab.create_array({}, data=np.arange(6), chunks=3)
    aligned = zlab.open_array(array.store, mode="r+", aligned=True)
    with pytest.raises(EntryError, match="incomplete"):
        aligned.write_stream([(slice(1, 2), np.array([9]))], incomplete="merge")


# -- failures


def failing(faults: list[Fault], **options: Any) -> tuple[zlab.Array, MemoryStore]:
    inside = MemoryStore()
    make((8,), inside, chunks=(2,), **options)
    return zlab.open_array(FaultStore(inside, faults), mode="r+"), inside


@pytest.mark.parametrize("shards", [None, (4,)])
@pytest.mark.parametrize("effect", [{"error": OSError(errno.ENOSPC, "full")}, {}])
def test_a_store_that_fails_leaves_the_others_and_is_listed(
    shards: tuple[int] | None, effect: dict[str, Any]
) -> None:
    if effect:
        effect = {"error": storage_error(effect["error"], "cannot write", "there", "c/1")}
    array, inside = failing([Fault("put", "c/1", **effect)], shards=shards)
    report = array.write_stream(by_chunk(array, numbers((8,))), on_error="skip")
    (error,) = report.failed
    assert isinstance(error, ChunkWriteError)
    assert isinstance(error.__cause__, StoreError)
    assert error.key == "c/1"
    assert error.coords in ([(1,)] if shards is None else [(2,), (3,)])
    assert report.written == (3 if shards is None else 1)
    assert inside.get("c/1") is None
    assert inside.get("c/0") is not None


def test_a_failure_ends_the_write_by_default() -> None:
    array, inside = failing([Fault("put", "c/2")])
    asked: list[int] = []

    def source() -> Iterator[tuple[tuple[int], NDArray[Any]]]:
        try:
            for n, data in by_chunk(array, numbers((8,))):
                asked.append(n[0])
                yield n, data
        finally:
            asked.append(-1)

    class Source:
        def __iter__(self) -> Iterator[tuple[tuple[int], NDArray[Any]]]:
            return source()

    with pytest.raises(ChunkWriteError) as caught:
        array.write_stream(Source(), concurrency=1)
    assert caught.value.coords == (2,)
    assert "were put as a whole" in "".join(caught.value.__notes__)
    assert inside.get("c/2") is None
    # an iteration that was begun here is ended here
    assert asked[-1] == -1


def test_a_function_is_called_with_each_error() -> None:
    array, _ = failing([Fault("put", "c/1")])
    errors: list[ZlabError] = []
    entries: list[Any] = [*by_chunk(array, numbers((8,))), ((9,), np.zeros(2, "int32"))]
    report = array.write_stream(entries, on_error=errors.append)
    assert sorted(error.coords or () for error in errors) == [(1,), (9,)]  # type: ignore[attr-defined]
    assert set(report.failed) == set(errors)
    assert report.written == 3
    # they hold none of the arrays that they passed through
    assert all(error.__traceback__ is None for error in errors)


def test_what_a_function_raises_ends_the_write() -> None:
    array, _ = failing([Fault("put", "c/1")])

    def refuse(error: ZlabError) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        array.write_stream(by_chunk(array, numbers((8,))), on_error=refuse)


def test_a_source_that_raises() -> None:
    array = make((8,), chunks=(2,))

    def source() -> Iterator[tuple[tuple[int], NDArray[Any]]]:
        yield (0,), np.ones(2, "int32")
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        array.write_stream(source())
    assert array[:2].tolist() == [1, 1]


def test_an_interrupt_lets_nothing_further_begin() -> None:
    array = make((8,), chunks=(2,))

    def source() -> Iterator[tuple[tuple[int], NDArray[Any]]]:
        yield (0,), np.ones(2, "int32")
        raise KeyboardInterrupt

    with capture(StreamStop) as captured, pytest.raises(KeyboardInterrupt):
        array.write_stream(source())
    assert [event.outcome for event in captured.events] == ["closed"]


# -- bounds


class Gate(InterposedStore):
    """A store whose puts wait until the gate is opened."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(), local=False)
        self.open = threading.Event()
        self.reached = threading.Event()

    def around(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        if call.operation == "put" and call.key.startswith("c/"):
            self.reached.set()
            assert self.open.wait(60)
        return proceed(call)


def test_an_interrupt_does_not_wait_for_a_put_that_hangs(
    wait_until: Callable[..., None], tmp_path: Path
) -> None:
    gate = Gate()
    array = make((8,), gate, chunks=(2,))
    path = tmp_path / "checkpoint.json"

    def source() -> Iterator[Any]:
        yield (0,), np.ones(2, "int32")
        assert gate.reached.wait(60)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        array.write_stream(source(), checkpoint=path)
    assert process_held() == 16
    gate.open.set()
    # the thread that was at work has the last word
    wait_until(lambda: process_held() == 0)
    wait_until(path.exists)
    assert array.write_stream([((0,), np.ones(2, "int32"))], checkpoint=path).skipped == 1


def test_the_source_waits_for_a_slow_store(wait_until: Callable[..., None]) -> None:
    gate = Gate()
    array = make((100, 256), gate, chunks=(1, 256))
    pulled = 0

    def source() -> Iterator[tuple[tuple[int, int], NDArray[Any]]]:
        nonlocal pulled
        for n in range(100):
            pulled += 1
            yield (n, 0), np.full((1, 256), n + 1, "int32")

    reports: list[Any] = []
    writer = threading.Thread(
        target=lambda: reports.append(array.write_stream(source(), max_bytes=20 << 10))
    )
    writer.start()
    # a chunk of 1 KiB counts twice while it is encoded: there is room for ten
    wait_until(lambda: pulled == 11)
    assert process_held() <= 20 << 10
    gate.open.set()
    writer.join()
    assert reports[0].written == 100
    assert array[...].sum() == 256 * sum(range(101))


def test_what_is_held_never_exceeds_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    array = make((64, 64), chunks=(4, 4), shards=(16, 64), compressors=None)
    values = numbers((64, 64))
    most = 0
    keep = Shelf.keep

    def watched(self: Shelf, data: Any) -> int:
        nonlocal most
        most = max(most, process_held())
        return keep(self, data)

    monkeypatch.setattr(Shelf, "keep", watched)
    # all shards are open at once: 16 KiB of values in 8 KiB
    columns = ((slice(0, 64), slice(n, n + 4)) for n in range(0, 64, 4))
    report = array.write_stream(((box, values[box]) for box in columns), max_bytes=8 << 10)
    assert 0 < most <= 8 << 10
    assert report.nbytes_spilled >= 8 << 10
    assert_array_equal(array[...], values)


def test_chunks_that_are_written_are_let_go_of() -> None:
    array = make((1000, 64), chunks=(1, 64))
    alive = most = 0

    def source() -> Iterator[tuple[tuple[int, int], NDArray[Any]]]:
        nonlocal alive, most

        def gone() -> None:
            nonlocal alive
            alive -= 1

        for n in range(1000):
            data = np.full((1, 64), n, "int32")
            weakref.finalize(data, gone)
            alive += 1
            most = max(most, alive)
            yield (n, 0), data
            del data

    array.write_stream(source(), max_bytes=16 << 10)
    gc.collect()
    assert alive == 0
    assert most <= 2


def test_a_temporary_file_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    array = make((8,), chunks=(2,), shards=(4,))
    with pytest.raises(ZlabError, match="TMPDIR"):
        array.write_stream(by_chunk(array, numbers((8,))), max_bytes=1)
    assert process_held() == 0


def test_many_puts_are_under_way_to_a_store_that_is_far(
    together: Callable[..., InterposedStore],
) -> None:
    counting = CountingStore(LatencyStore(MemoryStore(), 0.01))
    array = make((64,), counting, chunks=(2,))
    array.write_stream(by_chunk(array, numbers((64,))), concurrency=8)
    assert 2 <= counting.counts.max_in_flight <= 8
    assert_array_equal(array[...], numbers((64,)))


# -- what others see


@pytest.mark.parametrize("shards", [None, (4,)])
def test_telemetry(shards: tuple[int] | None) -> None:
    array = make((8,), chunks=(2,), shards=shards)
    with capture() as captured:
        array.write_stream(by_chunk(array, numbers((8,))))
    events = captured.events
    (start,) = [event for event in events if isinstance(event, StreamStart)]
    (stop,) = [event for event in events if isinstance(event, StreamStop)]
    assert (start.kind, start.nchunks) == ("write", 4)
    assert (stop.kind, stop.nchunks, stop.nbytes, stop.outcome) == ("write", 4, 32, "exhausted")
    assert stop.stream == start.stream
    written = [event for event in events if isinstance(event, ChunkWrite)]
    assert sorted(event.coords for event in written) == [(0,), (1,), (2,), (3,)]
    assert {event.nbytes for event in written} == {8}


def test_telemetry_of_a_failure() -> None:
    array, _ = failing([Fault("put", "c/1")])
    with capture("stream.stop") as captured, pytest.raises(ChunkWriteError):
        array.write_stream(by_chunk(array, numbers((8,))))
    (stop,) = captured.events
    assert stop.outcome == "failed"
    assert stop.error.startswith("ChunkWriteError: ")


@pytest.mark.parametrize("shards", [None, (4,)])
def test_progress_grows_to_the_total(shards: tuple[int] | None) -> None:
    array = make((32,), chunks=(2,), shards=shards)
    told: list[StreamProgress] = []
    array.write_stream(by_chunk(array, numbers((32,))), progress=told.append)
    done = [event.nchunks for event in told]
    assert done == sorted(set(done))
    assert done[-1] == told[-1].max_nchunks == 16


def test_a_local_store_has_nothing_but_the_array(tmp_path: Path) -> None:
    array = make((8,), LocalStore(tmp_path), chunks=(2,), shards=(4,))
    array.write_stream(by_chunk(array, numbers((8,))), max_bytes=1)
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"zarr.json", "c/0", "c/1"}
