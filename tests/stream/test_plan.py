from __future__ import annotations

from itertools import islice, product
from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.stream.plan import c_order
from zlab.stream.ranges import Ranges


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4)), max_size=4))
def test_c_order_is_the_product_of_the_ranges(bounds: list[tuple[int, int]]) -> None:
    ranges = tuple(range(start, start + n) for start, n in bounds)
    assert list(c_order(ranges)) == list(product(*ranges))


def test_c_order_makes_no_list_of_a_long_axis() -> None:
    ranges = (range(1 << 70), range(1 << 70))
    assert list(islice(c_order(ranges), 3)) == [(0, 0), (0, 1), (0, 2)]


def test_the_plan_of_10_to_the_12_chunks_is_there_at_once() -> None:
    array = zlab.create_array("memory://", shape=(10**6, 10**6), chunks=(1, 1), dtype="int8")
    plan = array.stream_chunks().plan
    assert plan.nchunks == 10**12
    assert list(islice(plan, 2)) == [(0, 0), (0, 1)]


def test_a_plan_says_what_it_is() -> None:
    array = zlab.create_array(
        "memory://", shape=(10, 8), chunks=(2, 2), shards=(4, 4), dtype="int8"
    )
    assert repr(array.stream_chunks(region=slice(2, 9)).plan) == (
        "<StreamPlan of 16 chunks in 6 objects, shard by shard>"
    )
    assert repr(array.stream_chunks(ordered=False).plan) == (
        "<StreamPlan of 20 chunks in 6 objects, in any order>"
    )


def test_the_plan_of_more_chunks_than_64_bits_can_count() -> None:
    array = zlab.create_array("memory://", shape=(2**40, 2**40), chunks=(1, 1), dtype="int8")
    array[2**39, 5] = 1
    stream = array.stream_chunks()
    assert stream.plan.nchunks == 2**80
    assert [chunk.coords for chunk in stream] == [(2**39, 5)]


@given(st.data())
def test_jobs_cover_the_region_exactly_once(data: st.DataObject) -> None:
    ndim = data.draw(st.integers(0, 3))
    shape = tuple(data.draw(st.integers(1, 9)) for _ in range(ndim))
    chunks = tuple(data.draw(st.integers(1, 4)) for _ in range(ndim))
    shards = tuple(c * data.draw(st.integers(1, 3)) for c in chunks)
    bounds = [sorted((data.draw(st.integers(0, n)), data.draw(st.integers(0, n)))) for n in shape]
    region = tuple(slice(*pair) for pair in bounds)
    sharded = data.draw(st.booleans())
    array = zlab.create_array(
        "memory://", shape=shape, chunks=chunks, dtype="int8", shards=shards if sharded else None
    )
    plan = array.stream_chunks(
        region=region, ordered=data.draw(st.sampled_from([None, True, False]))
    ).plan
    seen = np.zeros(shape, int)
    coords = list(plan)
    for c in coords:
        seen[plan.region_of(c)] += 1
        job = plan.job(c)
        size = [part.stop - part.start for part in plan.region_of(c)]
        assert [part.stop - part.start for part in job.source] == size
        assert [part.stop - part.start for part in job.target] == size
        assert job.whole == (tuple(size) == chunks)
    inside = np.zeros(shape, int)
    inside[region] = 1
    assert (seen == inside).all()
    assert len(coords) == len(set(coords)) == plan.nchunks == prod(map(len, plan.chunk_ranges))
    # each has its number, which leads back to it, and the plan goes on from any of them
    assert [plan.number(c) for c in coords] == list(range(plan.nchunks))
    assert [plan.at(n) for n in range(plan.nchunks)] == coords
    done = Ranges()
    for _ in range(data.draw(st.integers(0, 3))):
        first = data.draw(st.integers(0, plan.nchunks))
        done.add(first, data.draw(st.integers(first, plan.nchunks)))
    left = [c for n, c in enumerate(coords) if n not in done]
    assert [c for _, c in plan.walk(skip=done)] == left
    objects = sorted({plan.object_of(c) for c in coords})
    assert [c for _, c in plan.walk(iter(objects), skip=done)] == left
    assert all(plan.object_of(c) == (shard or c) for shard, c in plan.walk())
    sizes = [prod(part.stop - part.start for part in plan.region_of(c)) for c in coords]
    assert plan.largest == max(sizes, default=0)


def test_a_plan_goes_on_in_the_middle_of_10_to_the_12_chunks() -> None:
    array = zlab.create_array(
        "memory://", shape=(10**6, 10**6), chunks=(1, 1), shards=(1000, 1000), dtype="int8"
    )
    for ordered in (None, True):
        plan = array.stream_chunks(ordered=ordered).plan
        middle = 10**11 + 12_345
        assert plan.number(plan.at(middle)) == middle
        walked = plan.walk(skip=Ranges([(0, middle)]))
        assert [c for _, c in islice(walked, 3)] == [plan.at(middle + n) for n in range(3)]


def in_runs(runs: list[tuple[int, int]]) -> zlab.Array:
    """An array whose chunks have several sizes: each run is a size, and how often it comes."""
    grid = {
        "name": "rectilinear",
        "configuration": {"kind": "inline", "chunk_shapes": [[list(run) for run in runs]]},
    }
    n = sum(size * count for size, count in runs)
    return zlab.create_array("memory://", shape=(n,), chunks=grid, dtype="int8")


def test_the_largest_chunk_of_long_runs_is_found_without_a_look_at_each() -> None:
    array = in_runs([(2, 10**9), (3, 10**9)])
    assert array.stream_chunks().plan.largest == 3
    assert array.stream_chunks(region=slice(2 * 10**9 + 1)).plan.largest == 2
    coords = (chunk.coords for chunk in array.stream_chunks(include_missing=True))
    assert list(islice(coords, 2)) == [(0,), (1,)]


@given(st.data())
def test_the_largest_chunk_of_a_region(data: st.DataObject) -> None:
    runs = data.draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1))
    n = sum(size * count for size, count in runs)
    start = data.draw(st.integers(0, n - 1))
    stop = data.draw(st.integers(start + 1, n))
    array = in_runs(runs)
    plan = array.stream_chunks(region=slice(start, stop)).plan
    parts = [plan.region_of(coords)[0] for coords in plan]
    assert plan.largest == max(part.stop - part.start for part in parts)
