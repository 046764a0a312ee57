"""What is done on eight devices; run by `test_arrays.py`, since a process has one number of them.

Prints what each function returns, as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import zlab
from zlab.stores.memory import MemoryStore
from zlab.telemetry import capture
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPE = (16, 24)
VALUES = np.arange(384, dtype="f4").reshape(SHAPE)
MESH = Mesh(np.array(jax.devices()).reshape(4, 2), ("y", "x"))


def spread(*spec: Any) -> NamedSharding:
    return NamedSharding(MESH, PartitionSpec(*spec))  # type: ignore[no-untyped-call]


def array_in(chunks: tuple[int, ...], **options: Any) -> tuple[zlab.Array, CountingStore]:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, data=VALUES, chunks=chunks, compressors=None, **options)
    store.reset()
    return array, store


def fetched(store: CountingStore) -> dict[str, int]:
    """How often each chunk was asked for."""
    return {key: n for key, n in sorted(store.counts.keys.items()) if key.startswith("c/")}


def right(tensor: jax.Array, expected: NDArray[Any]) -> bool:
    """Whether each device has its part, and all of it is there."""
    return bool(
        (np.asarray(tensor) == expected).all()
        and all((np.asarray(s.data) == expected[s.index]).all() for s in tensor.addressable_shards)
    )


def each_part_is_read_alone() -> object:
    array, store = array_in((4, 12))
    with capture("chunk.read") as captured:
        tensor = zlab.jax.to_array(array, sharding=spread("y", "x"))
    assert right(tensor, VALUES)
    assert tensor.sharding == spread("y", "x")
    decoded = sorted(event.coords for event in captured.events)
    return [decoded, sorted(set(fetched(store).values())), sum(e.nbytes for e in captured.events)]


def what_several_devices_hold_is_read_once() -> object:
    array, store = array_in((4, 24))
    tensor = zlab.jax.to_array(array, sharding=spread("y"))
    assert right(tensor, VALUES)
    pointers = {s.data.unsafe_buffer_pointer() for s in tensor.addressable_shards}
    whole, again = array_in((4, 24))
    everywhere = zlab.jax.to_array(whole, sharding=spread())
    assert everywhere.is_fully_replicated
    assert right(everywhere, VALUES)
    return [fetched(store), len(pointers), fetched(again)]


def a_part_of_the_array_is_divided() -> object:
    array, store = array_in((4, 24))
    tensor = zlab.jax.to_array(array, slice(8, 16), sharding=spread("y"))
    assert right(tensor, VALUES[8:16])
    return fetched(store)


def only_what_the_devices_at_hand_hold_is_read() -> object:
    """Of a sharding of which this process has two devices, as one of several processes would."""
    array, store = array_in((2, 24))
    mine = Mesh(np.array(jax.devices()[:2]), ("y",))
    sharding = NamedSharding(mine, spread("y").spec)
    tensor = zlab.jax.to_array(array, slice(4, 8), sharding=sharding)
    assert right(tensor, VALUES[4:8])
    return fetched(store)


def a_chunk_that_parts_share_is_decoded_for_each() -> object:
    array, store = array_in((8, 24))
    assert right(zlab.jax.to_array(array, sharding=spread("y")), VALUES)
    cached = zlab.open_array(store, cache=1 << 20)
    counts = fetched(store)
    store.reset()
    assert right(zlab.jax.to_array(cached, sharding=spread("y")), VALUES)
    return [counts, fetched(store)]


def inner_chunks_are_divided() -> object:
    array, _ = array_in((2, 12), shards=(8, 24))
    with capture("chunk.read") as captured:
        assert right(zlab.jax.to_array(array, sharding=spread("y", "x")), VALUES)
    return len(captured.events)


def every_kind_of_selection_is_divided() -> object:
    array, _ = array_in((3, 5), dimension_names=["y", "x"])
    rows, columns = np.array([9, 0, 9, 3]), np.array([1, 2, 3, 23])
    selections: list[tuple[Any, Any]] = [
        ((slice(None, None, -1), slice(None, None, 3)), VALUES[::-1, ::3]),
        (({"x": slice(20, 0, -5)}), VALUES[:, 20:0:-5]),
        ((slice(0, 8), 3), VALUES[0:8, 3]),
        ((rows, slice(2, 6)), VALUES[rows, 2:6]),
        ((rows, columns), VALUES[rows, columns]),
        (VALUES % 12 == 0, VALUES[VALUES % 12 == 0]),
        (slice(0, 0), VALUES[0:0]),
    ]
    for selection, expected in selections:
        sharding = spread("y", *("x",) * (expected.ndim - 1))
        assert right(zlab.jax.to_array(array, selection, sharding=sharding), expected), selection
    assert right(zlab.jax.to_array(array, (1, 1), sharding=spread()), VALUES[1, 1])
    return len(selections)


def memory_is_taken_over_on_every_device() -> object:
    array, _ = array_in((4, 12))
    given = []
    put = jax.device_put

    def record(data: Any, *where: Any) -> Any:
        given.append(data.ctypes.data)
        return put(data, *where)

    with patch("jax.device_put", record):
        tensor = zlab.jax.to_array(array, sharding=spread("y", "x"))
        other = zlab.jax.to_array(array, device=jax.devices()[5])
    assert other.devices() == {jax.devices()[5]}
    taken = [s.data.unsafe_buffer_pointer() for s in tensor.addressable_shards]
    return sorted(given) == sorted([*taken, other.unsafe_buffer_pointer()])


def what_cannot_be_divided_is_told_before_it_is_read() -> object:
    array, store = array_in((4, 12))
    says = []
    for selection, spec in ((slice(0, 10), ("y",)), ((0, 0), ("y",)), (slice(0, 3), (("y", "x"),))):
        try:
            zlab.jax.to_array(array, selection, sharding=spread(*spec))
        except ValueError as error:
            says.append(str(error).split(":")[0])
    return [says, fetched(store)]


def donated_parts_do_not_write_what_others_see() -> object:
    """The devices alias one memory, of which none may write the other's."""
    array, _ = array_in((4, 24))
    tensor = zlab.jax.to_array(array, sharding=spread())
    kept = zlab.jax.to_array(array, sharding=spread()).addressable_shards[0].data
    more = jax.jit(lambda x: x + 1, donate_argnums=0)(tensor)
    return bool((np.asarray(more) == VALUES + 1).all() and (np.asarray(kept) == VALUES).all())


def a_sharded_tensor_is_written_part_by_part() -> object:
    tensor = jax.device_put(VALUES, spread("y", "x"))
    aligned = zlab.jax.from_array(tensor, {}, chunks=(4, 12))
    crossing = zlab.jax.from_array(tensor, {}, chunks=(7, 5))
    sharded = zlab.jax.from_array(tensor, {}, chunks=(2, 2), shards=(6, 10))
    whole = zlab.jax.from_array(jax.device_put(VALUES, spread()), {}, chunks=(16, 5))
    twice = zlab.jax.from_array(jax.device_put(VALUES, spread(None, "x")), {})
    for array in (aligned, crossing, sharded, whole, twice):
        assert (array[...] == VALUES).all()
    parts: list[tuple[int, ...]] = []
    gathered = np.asarray

    def record(data: Any, *more: Any, **options: Any) -> Any:
        if isinstance(data, jax.Array):
            parts.append(data.shape)
        return gathered(data, *more, **options)

    with patch("numpy.asarray", record):
        zlab.jax.from_array(tensor, {}, chunks=(4, 12))
    return sorted(set(parts)), len(parts)


def sharded_batches_are_written_where_they_belong() -> object:
    array = zlab.create_array({}, shape=SHAPE, chunks=(5, 7), dtype="f4")
    batches = [jax.device_put(VALUES[n : n + 8], spread("y", "x")) for n in (0, 8)]
    report = zlab.jax.write(array, batches)
    assert (array[...] == VALUES).all()
    other = zlab.create_array({}, shape=SHAPE, chunks=(5, 7), dtype="f4")
    last = (slice(8, 16), jax.device_put(VALUES[8:], spread("y")))
    zlab.jax.write(other, [last, ((slice(0, 8), slice(0, 24)), batches[0])])
    assert (other[...] == VALUES).all()
    says = ""
    try:
        zlab.jax.write(other, [(slice(0, 4), batches[0])])
    except zlab.errors.EntryError as error:
        says = error.what
    return [report.nentries, report.written, says]


if __name__ == "__main__":
    assert len(jax.devices()) == 8
    done = {
        name: value()
        for name, value in list(globals().items())
        if callable(value)
        and getattr(value, "__module__", "") == "__main__"
        # those that take nothing are the checks
        and value.__code__.co_argcount == 0
        and value.__annotations__["return"] == "object"
    }
    sys.stdout.write(json.dumps(done))
