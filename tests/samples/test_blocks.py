from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.samples.blocks import Blocks, Cuts, cut
from zlab.samples.grid import parse_grid


@st.composite
def some_cuts(draw: st.DrawFn) -> Cuts:
    if draw(st.booleans()):
        sizes = draw(st.lists(st.integers(1, 5), max_size=6))
        return Cuts(sum(sizes), np.cumsum([0, *sizes]))
    step = draw(st.integers(1, 4))
    return Cuts(draw(st.integers(0, 30)), None, draw(st.integers(step, 12)), step)


@given(some_cuts())
def test_the_pieces_of_an_axis_follow_each_other(cuts: Cuts) -> None:
    pieces = [cuts.piece(number) for number in range(cuts.npieces)]
    assert [i for start, stop in pieces for i in range(start, stop)] == list(range(cuts.nsamples))
    assert all(start < stop for start, stop in pieces)
    numbers = np.arange(cuts.npieces + 1)
    assert cuts.starts(numbers).tolist() == [start for start, _ in pieces] + [cuts.nsamples]
    sizes = [stop - start for start, stop in pieces]
    assert cuts.longest == max(sizes, default=0)
    unusual = [number for number, size in enumerate(sizes) if size != cuts.usual]
    assert cuts.unusual.tolist() == unusual


@given(st.lists(some_cuts(), min_size=1, max_size=3))
def test_what_is_unusual_is_told_and_nothing_else(axes: list[Cuts]) -> None:
    blocks = Blocks(tuple(axes))
    sizes = [
        int(np.prod([stop - start for start, stop in blocks.box(number)]))
        for number in range(blocks.nblocks)
    ]
    numbers, more = blocks.unusual
    told = dict(zip(numbers.tolist(), more.tolist(), strict=True))
    assert len(told) == len(numbers)
    assert sizes == [blocks.usual + told.get(number, 0) for number in range(blocks.nblocks)]
    assert sum(sizes) == np.prod([cuts.nsamples for cuts in axes])


def test_blocks_are_cut_where_all_arrays_are() -> None:
    group = zlab.create_group({})
    x = group.create_array("x", shape=(24, 3), chunks=(4, 3), dtype="i1")
    y = group.create_array("y", shape=24, chunks=6, dtype="i1")
    z = group.create_array("z", shape=24, chunks=[[5, 7, 12]], dtype="i1")
    assert cut(parse_grid([x.layout, y.layout], 0, None, None, None)[1]).nblocks == 2
    both = cut(parse_grid([y.layout, z.layout], 0, None, None, None)[1])
    assert [both.box(number) for number in range(both.nblocks)] == [((0, 12),), ((12, 24),)]


def test_windows_belong_to_the_block_that_they_begin_in() -> None:
    array = zlab.create_array({}, shape=40, chunks=10, dtype="i1")
    _, placements = parse_grid([array.layout], None, {0: 6}, {0: 2}, None)
    blocks = cut(placements)
    # windows begin at 0, 4, 8 | 12, 16 | 20, 24, 28 | 32
    assert [blocks.box(number) for number in range(blocks.nblocks)] == [
        ((0, 3),),
        ((3, 5),),
        ((5, 8),),
        ((8, 9),),
    ]
