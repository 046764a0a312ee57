"""What does not fit is refused before anything is read."""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np
import pytest

import zlab
from zlab.errors import MemoryBudgetError
from zlab.samples import Share, stream_samples
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore


@pytest.fixture
def counted() -> tuple[zlab.Array, CountingStore]:
    """An array of 20 x 12 with names, in a store that counts."""
    store = CountingStore(MemoryStore())
    array = zlab.create_array(
        store,
        data=np.arange(240, dtype="int32").reshape(20, 12),
        chunks=(5, 4),
        dimension_names=["time", "x"],
    )
    store.reset()
    return array, store


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, not 0"),
        ({"batch_size": 2.5}, TypeError, "batch_size must be a whole number, not 2.5"),
        ({"axis": 2}, ValueError, "array '' of 2 dimensions has no axis 2"),
        ({"axis": -3}, ValueError, "array '' of 2 dimensions has no axis -3"),
        ({"axis": "lat"}, ValueError, "array '' has no dimension 'lat'; its names: 'time', 'x'"),
        ({"axis": (0, "time")}, ValueError, "axis 'time' of array '' is named twice"),
        ({"axis": 0, "windows": {"time": 2}}, ValueError, "axis 'time' of array '' is named twice"),
        ({"axis": ()}, ValueError, "no axis along which there could be samples"),
        ({"axis": 1.5}, TypeError, "an axis of axis must be a whole number, not 1.5"),
        ({"windows": {"time": 21}}, ValueError, "a window of 21 is longer than axis 'time'"),
        ({"windows": {"time": 0}}, ValueError, "windows\\['time'\\] must be at least 1, not 0"),
        ({"windows": 3}, TypeError, "windows must be a mapping from axes to lengths, not int"),
        (
            {"windows": {"time": 4}, "overlap": {"time": 4}},
            ValueError,
            "windows of 4 along axis 'time' cannot overlap by 4",
        ),
        (
            {"windows": {"time": 4}, "overlap": {"x": 1}},
            ValueError,
            "overlap names axis 'x', and there are no windows along it",
        ),
        ({"overlap": {"time": -1}}, ValueError, "overlap\\['time'\\] must be at least 0, not -1"),
        ({"shuffle": True}, ValueError, "shuffle must be one of 'none', 'window', 'global'"),
        ({"seed": "5"}, TypeError, "seed must be a whole number, not '5'"),
        ({"seed": -1}, ValueError, "seed must be at least 0, not -1"),
        ({"seed": [1, 0.5]}, TypeError, "every part of seed must be a whole number, not 0.5"),
        ({"drop_remainder": "no"}, TypeError, "drop_remainder must be True or False, not 'no'"),
        ({"epochs": -1}, ValueError, "epochs must be at least 0, not -1"),
        ({"lanes": 4}, ValueError, "lanes= is for shuffle='window', and not for 'none'"),
        ({"lanes": 0, "shuffle": "window"}, ValueError, "lanes must be at least 1, not 0"),
        ({"share": Share(2, 2)}, ValueError, "there is no share 2 of 2"),
        ({"share": (0, 3)}, ValueError, "3 hosts do not divide a batch of 4"),
        (
            {"share": (0, 2), "shuffle": "window", "drop_remainder": True, "lanes": 3},
            ValueError,
            "2 hosts do not divide the 3 lanes",
        ),
        ({"crops": []}, ValueError, "0 crops for 1 arrays"),
        ({"crops": [[slice(0, 3), slice(0, 3)]]}, ValueError, "2 slices for samples of 1 axes"),
        ({"crops": [[slice(0, 13)]]}, ValueError, "is not inside a sample of array ''"),
        ({"crops": [[3]]}, TypeError, "a crop is made of slices, not 3"),
        ({"max_bytes": 0}, ValueError, "max_bytes must be at least 1, not 0"),
    ],
)
def test_what_does_not_fit_is_refused(
    counted: tuple[zlab.Array, CountingStore],
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    array, store = counted
    with pytest.raises(error, match=message):
        stream_samples([array.layout], **{"batch_size": 4, **options})
    assert not any(key.startswith("c/") for key in store.counts.keys)


def test_different_numbers_of_samples_are_an_error_that_names_both() -> None:
    group = zlab.create_group({})
    x = group.create_array("x", shape=(10, 2), dtype="int8")
    y = group.create_array("y", shape=9, dtype="int8")
    with pytest.raises(ValueError, match="different numbers of samples: 'x' has 10, 'y' has 9"):
        stream_samples([x.layout, y.layout], 2)


def test_an_array_without_axes_has_no_samples() -> None:
    array = zlab.create_array({}, shape=(), dtype="int8")
    with pytest.raises(ValueError, match="no axis along which there could be samples"):
        stream_samples([array.layout], 1)
    with pytest.raises(ValueError, match="samples of no arrays"):
        stream_samples([], 1)


@pytest.mark.parametrize(
    "seed", [0, 2**80, np.uint64(3), (1, 2), [3, 2**70], np.arange(3), np.array(7), range(2)]
)
def test_every_seed_of_numpy_gives_its_order(seed: Any) -> None:
    layout = zlab.create_array({}, data=np.arange(40), chunks=4).layout
    for shuffle in ("window", "global"):
        stream = stream_samples([layout], 8, shuffle=shuffle, seed=seed)
        orders = [[b.indices.tolist() for b in stream] for _ in range(2)]
        assert orders[0] == orders[1]
        assert sorted(functools.reduce(operator.iadd, orders[0], [])) == list(range(40))


def test_axes_go_by_name_in_arrays_of_other_orders() -> None:
    values = np.arange(6 * 4 * 5).reshape(6, 4, 5)
    group = zlab.create_group({})
    x = group.create_array("x", data=values, chunks=(2, 3, 5), dimension_names=["t", "y", "c"])
    y = group.create_array(
        "y", data=values[:, :, 0].T.copy(), chunks=(4, 3), dimension_names=["y", "t"]
    )
    stream = stream_samples([x.layout, y.layout], 5, axis=("y", "t"))
    assert stream.grid.shape == (6, 4)
    assert stream.sample_shapes == ((5,), ())
    for batch in stream:
        assert (batch.arrays[0] == values.reshape(24, 5)[batch.indices]).all()
        assert (batch.arrays[1] == batch.arrays[0][:, 0]).all()


def test_a_budget_that_is_too_small_says_what_is_needed() -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, data=np.zeros((100, 4), "int32"), chunks=(50, 4))
    store.reset()
    # a block of 50 samples and the order of its samples; a batch and a chunk
    for shuffle, needed in (("none", 800), ("window", 50 * (16 + 8)), ("global", 160 + 800)):
        kwargs: Any = {"shuffle": shuffle, "seed": 0}
        with pytest.raises(MemoryBudgetError, match="more than the 700 that they may hold") as e:
            stream_samples([array.layout], 10, max_bytes=700, **kwargs)
        assert e.value.needed == needed
        assert not any(key.startswith("c/") for key in store.counts.keys)
        stream = stream_samples([array.layout], 10, max_bytes=needed, **kwargs)
        assert sum(len(batch.indices) for batch in stream) == 100
        store.reset()


def test_states_that_do_not_fit_are_refused() -> None:
    layout = zlab.create_array({}, data=np.arange(60), chunks=5).layout
    other = zlab.create_array({}, data=np.arange(61), chunks=5).layout
    recut = zlab.create_array({}, data=np.arange(60), chunks=6).layout

    def stream(layout: Any = layout, **kwargs: Any) -> Any:
        given: dict[str, Any] = {"shuffle": "window", "seed": 1, "drop_remainder": True, "lanes": 4}
        return stream_samples([layout], 12, **{**given, **kwargs})

    state = stream().after(2)
    for one in (other, recut):
        with pytest.raises(ValueError, match="the state is of other samples"):
            stream(one).at(state)
    with pytest.raises(ValueError, match="of shuffle='window', and this stream has 'global'"):
        stream(shuffle="global", lanes=None).at(state)
    with pytest.raises(ValueError, match="the state is of seed 1, and this stream has 2"):
        stream(seed=2).at(state)
    with pytest.raises(ValueError, match="3 hosts do not divide the 4 lanes"):
        stream(share=(0, 3), lanes=6).at(state)
    with pytest.raises(TypeError, match=r"state must be a zlab\.samples\.State, not dict"):
        stream().at(state.to_json())
    assert stream(seed=None, lanes=2).at(state).start == state


def test_there_are_no_batches_behind_the_last() -> None:
    layout = zlab.create_array({}, data=np.arange(10), chunks=5).layout
    stream = stream_samples([layout], 4, epochs=2)
    assert stream.after(6).epoch == 2
    with pytest.raises(ValueError, match="the stream has 6 batches, not 7"):
        stream.after(7)
    assert stream_samples([layout], 4, epochs=None).after(300).epoch == 100


@pytest.mark.parametrize("shuffle", ["none", "window", "global"])
def test_a_state_behind_the_end_of_an_epoch_is_refused(shuffle: Any) -> None:
    array = zlab.create_array({}, data=np.arange(30), chunks=5)
    stream = stream_samples([array.layout], 4, shuffle=shuffle, seed=0)
    state = stream.start.moved(1, (31,) * stream.lanes)
    with pytest.raises(ValueError, match="the state is behind the end of its epoch"):
        stream.at(state)


def test_more_samples_than_64_bits_count_are_refused() -> None:
    array = zlab.create_array({}, shape=(2**43, 2**20), chunks=(1, 2**20), dtype="uint8")
    assert stream_samples([array.layout], 4).nsamples == 2**43
    with pytest.raises(ValueError, match="8796093022208 x 1048576 samples are more than 64 bits"):
        stream_samples([array.layout], 4, axis=(0, 1))
