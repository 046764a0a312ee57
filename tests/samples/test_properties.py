"""Whatever a sample is, and however the arrays are cut: each comes once, on every way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import zlab
from zlab.errors import MemoryBudgetError
from zlab.samples import Share, State, stream_samples
from zlab.stores.memory import MemoryStore
from zlab.telemetry import capture
from zlab.testing import LatencyStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from zlab.samples import SampleStream

    Oracle = Callable[[np.ndarray[Any, Any], SampleStream], np.ndarray[Any, Any]]


class Case(NamedTuple):
    """An array, and what a sample of it is."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...] | list[list[int]]
    shards: tuple[int, ...] | None
    axis: tuple[int, ...]
    windows: dict[int, int]
    overlap: dict[int, int]
    far: bool

    def create(self) -> tuple[zlab.Array, np.ndarray[Any, Any]]:
        values = np.arange(np.prod(self.shape, dtype=int), dtype="int32").reshape(self.shape)
        store = MemoryStore()
        array = zlab.create_array(
            LatencyStore(store, 0) if self.far else store,
            shape=self.shape,
            dtype="int32",
            chunks=self.chunks,
            shards=self.shards,
            fill_value=7,
        )
        array.write(..., values, write_empty_chunks=True)
        return array, values

    def stream(self, array: zlab.Array, batch_size: int, **kwargs: Any) -> SampleStream:
        return stream_samples(
            [array.layout],
            batch_size,
            axis=self.axis,
            windows=self.windows,
            overlap=self.overlap,
            **kwargs,
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    ndim = draw(st.integers(1, 3))
    shape = tuple(draw(st.integers(1, 9 if ndim > 1 else 40)) for _ in range(ndim))
    kinds = draw(
        st.lists(st.sampled_from(["point", "window", "rest"]), min_size=ndim, max_size=ndim).filter(
            lambda kinds: set(kinds) != {"rest"}
        )
    )
    windows = {a: draw(st.integers(1, shape[a])) for a, k in enumerate(kinds) if k == "window"}
    overlap = {a: draw(st.integers(0, n - 1)) for a, n in windows.items()}
    chunks: Any = tuple(draw(st.integers(1, n + 2)) for n in shape)
    shards = None
    cut = draw(st.sampled_from(["chunks", "shards", "rectilinear"]))
    if cut == "shards":
        shards = tuple(c * draw(st.integers(1, 3)) for c in chunks)
    elif cut == "rectilinear":
        chunks = []
        for n in shape:
            sizes: list[int] = []
            while sum(sizes) < n:
                sizes.append(draw(st.integers(1, min(5, n - sum(sizes)))))
            chunks.append(sizes)
    axis = tuple(a for a, k in enumerate(kinds) if k == "point")
    return Case(shape, chunks, shards, axis, windows, overlap, draw(st.booleans()))


shuffles = st.sampled_from(["none", "window", "global"])


@given(
    case=cases(),
    batch_size=st.integers(1, 12),
    shuffle=shuffles,
    seed=st.integers(0, 3),
    tight=st.booleans(),
)
def test_samples_are_what_numpy_cuts(
    oracle: Oracle, case: Case, batch_size: int, shuffle: Any, seed: int, tight: bool
) -> None:
    array, values = case.create()
    stream = case.stream(array, batch_size, shuffle=shuffle, seed=seed)
    if tight:
        try:
            stream = case.stream(
                array, batch_size, shuffle=shuffle, seed=seed, max_bytes=stream.least_nbytes
            )
        except MemoryBudgetError:  # the lanes are fewer then
            stream = case.stream(array, batch_size, shuffle=shuffle, lanes=1, seed=seed)
    expected = oracle(values, stream)
    assert stream.nsamples == len(expected)
    seen = []
    for batch in stream:
        (part,) = batch.arrays
        assert part.shape == (len(batch.indices), *stream.sample_shapes[0])
        assert (part == expected[batch.indices]).all()
        assert part.ctypes.data % 64 == 0
        seen += batch.indices.tolist()
    assert sorted(seen) == list(range(len(expected)))
    if shuffle == "none":
        assert seen == sorted(seen)


@given(case=cases(), shuffle=shuffles, data=st.data())
def test_a_crop_is_a_part_of_the_samples(
    oracle: Oracle, case: Case, shuffle: Any, data: st.DataObject
) -> None:
    array, values = case.create()
    (shape,) = case.stream(array, 4).sample_shapes
    crop = []
    for n in shape:
        start = data.draw(st.integers(0, n - 1))
        crop.append(slice(start, data.draw(st.integers(start + 1, n))))
    stream = case.stream(array, 4, shuffle=shuffle, seed=0, crops=[crop])
    expected = oracle(values, stream)
    assert stream.sample_shapes == (expected.shape[1:],)
    seen = []
    for batch in stream:
        assert (batch.arrays[0] == expected[batch.indices]).all()
        seen += batch.indices.tolist()
    assert sorted(seen) == list(range(len(expected)))


@given(
    case=cases(),
    size=st.integers(1, 4),
    shuffle=shuffles,
    hosts=st.sampled_from([1, 2, 4, 8]),
    drop_remainder=st.booleans(),
    epochs=st.integers(1, 2),
    tight=st.booleans(),
)
@example(
    case=Case((3, 3), (1, 1), None, (0, 1), {}, {}, far=False),
    size=1,
    shuffle="none",
    hosts=8,
    drop_remainder=False,
    epochs=2,
    tight=False,
)
@example(
    # between the batches of a host are slabs that only begin windows
    case=Case((40, 2, 5), (4, 1, 1), None, (), {0: 17, 1: 2, 2: 1}, {0: 14}, far=False),
    size=3,
    shuffle="none",
    hosts=4,
    drop_remainder=False,
    epochs=1,
    tight=True,
)
def test_hosts_share_all_samples(
    oracle: Oracle,
    case: Case,
    size: int,
    shuffle: Any,
    hosts: int,
    drop_remainder: bool,
    epochs: int,
    tight: bool,
) -> None:
    array, values = case.create()
    drop = drop_remainder or (shuffle == "window" and hosts > 1)
    kwargs: Any = {"shuffle": shuffle, "seed": 1, "drop_remainder": drop, "epochs": epochs}
    if shuffle == "window":
        kwargs["lanes"] = 8
    elif tight:
        kwargs["max_bytes"] = case.stream(array, size * hosts, **kwargs).least_nbytes
    shares = [
        case.stream(array, size * hosts, share=Share(host, hosts), **kwargs)
        for host in range(hosts)
    ]
    expected = oracle(values, shares[0])
    own = [list(stream) for stream in shares]
    assert len({len(batches) for batches in own}) == 1
    for batches in own:
        for batch in batches:
            assert (batch.arrays[0] == expected[batch.indices]).all()
    done = 0
    for epoch in range(epochs):
        # how long the lanes are differs a little from epoch to epoch
        start = shares[0].start.moved(epoch, (0,) * shares[0].lanes)
        stream = shares[0].at(start)
        n = stream.nbatches
        seen = [
            int(index)
            for batches in own
            for batch in batches[done : done + n]
            for index in batch.indices
        ]
        done += n
        assert len(seen) == len(set(seen)) == stream.nsamples
        if not drop:
            assert len(seen) == len(expected)
        elif shuffle != "window":
            assert len(expected) - len(seen) < size * hosts
    assert done == len(own[0])


@given(case=cases(), size=st.integers(1, 3), hosts=st.sampled_from([2, 4, 8]))
def test_hosts_that_need_not_agree_leave_nothing_out(case: Case, size: int, hosts: int) -> None:
    array, _ = case.create()
    seen: list[int] = []
    streams = [
        case.stream(
            array, size * hosts, shuffle="window", seed=1, lanes=8, share=Share(host, hosts)
        )
        for host in range(hosts)
    ]
    for stream in streams:
        batches = list(stream)
        assert len(batches) == stream.nbatches
        assert all(len(batch.indices) == size for batch in batches[:-1])
        seen += [index for batch in batches for index in batch.indices.tolist()]
    assert sorted(seen) == list(range(streams[0].grid.nsamples))


@given(
    case=cases(),
    size=st.integers(1, 3),
    shuffle=shuffles,
    before=st.sampled_from([1, 2, 4, 8]),
    after=st.sampled_from([1, 2, 4, 8]),
    data=st.data(),
)
def test_whatever_hosts_go_on_read_exactly_the_rest(
    case: Case, size: int, shuffle: Any, before: int, after: int, data: st.DataObject
) -> None:
    array, _ = case.create()
    kwargs: Any = {"shuffle": shuffle, "seed": 2, "drop_remainder": True, "epochs": 2}
    if shuffle == "window":
        kwargs["lanes"] = 8

    def streams(hosts: int) -> list[SampleStream]:
        return [
            case.stream(array, 8 * size, share=Share(host, hosts), **kwargs)
            for host in range(hosts)
        ]

    first = streams(before)
    second_epoch = first[0].start.moved(1, (0,) * first[0].lanes)
    epochs = [first[0].nbatches, first[0].at(second_epoch).nbatches]
    n = data.draw(st.integers(0, sum(epochs)))
    states = {stream.after(n) for stream in first}
    assert len(states) == 1
    state = State.from_json(states.pop().to_json())
    whole = [[batch.indices.tolist() for batch in stream] for stream in first]
    rest = [[batch.indices.tolist() for batch in stream.at(state)] for stream in streams(after)]
    if before == after:
        assert rest == [batches[n:] for batches in whole]
    if state.epoch == 2:
        assert not any(rest)
        return
    done = n - sum(epochs[: state.epoch])
    seen = [i for batches in whole for batch in batches[n - done : n] for i in batch]
    left = streams(after)[0].at(state)._epochs.nbatches
    seen += [i for batches in rest for batch in batches[:left] for i in batch]
    assert len(seen) == len(set(seen))
    # but for what the end of an epoch drops, with either number of hosts
    if shuffle != "window":
        assert len(seen) == first[0].nsamples
    elif after == 1:
        assert first[0].grid.nsamples - len(seen) < 8 * size


@pytest.mark.parametrize("shuffle", ["none", "window", "global"])
@pytest.mark.parametrize("nbatches", [0, 1, 5, 13, 14, 20, 26])
def test_a_stream_goes_on_over_epochs(shuffle: Any, nbatches: int) -> None:
    array = zlab.create_array({}, data=np.arange(100), chunks=7)
    stream = stream_samples([array.layout], 8, shuffle=shuffle, seed=3, epochs=2)
    whole = [batch.indices.tolist() for batch in stream]
    assert len(whole) == 26
    state = stream.after(nbatches)
    assert state.epoch == nbatches // 13
    rest = stream.at(state)
    assert [batch.indices.tolist() for batch in rest] == whole[nbatches:]
    assert rest.after(26 - nbatches) == stream.after(26)


@given(case=cases(), shuffle=st.sampled_from(["none", "window"]), batch_size=st.integers(1, 9))
def test_each_chunk_is_decoded_once_where_samples_do_not_share_them(
    case: Case, shuffle: Any, batch_size: int
) -> None:
    points = tuple(case.axis) + tuple(case.windows)
    case = case._replace(axis=points, windows={}, overlap={})
    array, _ = case.create()
    stream = case.stream(array, batch_size, shuffle=shuffle, seed=0)
    with capture("chunk.read") as captured:
        for _ in stream:
            pass
    assert sorted(event.coords for event in captured.events) == sorted(array.layout.chunks.coords())


@given(case=cases(), batch_size=st.integers(1, 9))
def test_in_order_each_chunk_is_decoded_once_also_where_windows_overlap(
    case: Case, batch_size: int
) -> None:
    array, _ = case.create()
    stream = case.stream(array, batch_size)
    with capture("chunk.read") as captured:
        for _ in stream:
            pass
    coords = [event.coords for event in captured.events]
    assert len(coords) == len(set(coords)) <= array.nchunks
