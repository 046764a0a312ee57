from __future__ import annotations

from itertools import product
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.errors import MetadataError
from zlab.grid import Grid
from zlab.metadata import NamedConfig
from zlab.tools.rechunk import plan_rechunk


def grid_of(length: int, chunks: int | list[int]) -> Grid:
    """A grid of one axis, of one length of chunks or of many."""
    if isinstance(chunks, int):
        return Grid.regular((length,), (chunks,))
    config = NamedConfig("rectilinear", {"kind": "inline", "chunk_shapes": [chunks]})
    return Grid.parse(config, (length,))


def joined(*grids: Grid) -> Grid:
    """The grid whose axes are those of some grids."""
    shapes = [grid.chunk_shape for grid in grids]
    regular = tuple(n for shape in shapes if shape for n in shape)
    axes = tuple(axis for grid in grids for axis in grid.axes)
    return Grid(axes, regular if None not in shapes else None)


def edges(grid: Grid, axis: int) -> set[int]:
    part = grid.axes[axis]
    return {part.start(c) for c in range(part.nchunks)} | {part.length}


def touched(source: Grid, boxes: Grid) -> dict[tuple[int, ...], int]:
    """By brute force: how many boxes each source chunk lies in."""
    counts = dict.fromkeys(source.coords(), 0)
    for box in boxes.coords():
        ranges = [
            range(axis.chunk_at(part.start), axis.chunk_at(part.stop - 1) + 1)
            for axis, part in zip(source.axes, boxes.region(box), strict=True)
        ]
        for coords in product(*ranges):
            counts[coords] += 1
    return counts


@st.composite
def axes(draw: st.DrawFn) -> tuple[Grid, Grid]:
    length = draw(st.integers(0, 30))

    def chunks() -> int | list[int]:
        if draw(st.booleans()):
            return draw(st.integers(1, 12))
        sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=8))
        return [*sizes, max(length - sum(sizes), 1)]

    return grid_of(length, chunks()), grid_of(length, chunks())


@given(st.lists(axes(), min_size=1, max_size=3), st.integers(1, 8), st.integers(1, 4000))
def test_a_plan_covers_the_array_with_whole_objects(
    pairs: list[tuple[Grid, Grid]], itemsize: int, limit: int
) -> None:
    source, target = (joined(*grids) for grids in zip(*pairs, strict=True))
    plan = plan_rechunk(source, target, itemsize=itemsize, limit=limit)
    for axis in range(len(pairs)):
        # no object of the target lies in two boxes
        assert edges(plan.boxes, axis) <= edges(target, axis)
    sizes = [
        itemsize * prod(part.stop - part.start for part in plan.boxes.region(box))
        for box in plan.boxes.coords()
    ]
    assert max(sizes, default=0) <= plan.nbytes
    largest_object = itemsize * max(
        (
            prod(part.stop - part.start for part in target.region(coords))
            for coords in target.coords()
        ),
        default=1,
    )
    assert plan.nbytes <= max(limit, largest_object)
    counts = touched(source, plan.boxes)
    assert plan.reads == sum(counts.values())
    assert max(counts.values(), default=1) <= plan.reads_per_chunk


def test_rows_become_columns_in_one_pass_where_they_fit() -> None:
    rows, columns = Grid.regular((100, 100), (1, 100)), Grid.regular((100, 100), (100, 1))
    plan = plan_rechunk(rows, columns, itemsize=8, limit=80_000)
    assert (plan.boxes.shape, plan.reads, plan.reads_per_chunk) == ((1, 1), 100, 1)


@pytest.mark.parametrize(("limit", "times"), [(40_000, 2), (20_000, 4), (8_000, 10), (1, 100)])
def test_less_memory_costs_more_reads(limit: int, times: int) -> None:
    rows, columns = Grid.regular((100, 100), (1, 100)), Grid.regular((100, 100), (100, 1))
    plan = plan_rechunk(rows, columns, itemsize=8, limit=limit)
    assert (plan.reads, plan.reads_per_chunk) == (100 * times, times)
    assert plan.nbytes == max(80_000 // times, 800)


def test_boxes_end_where_chunks_of_both_end() -> None:
    plan = plan_rechunk(
        Grid.regular((1000,), (10,)), Grid.regular((1000,), (4,)), itemsize=1, limit=50
    )
    assert plan.boxes.chunk_shape == (40,)
    assert (plan.reads, plan.reads_per_chunk) == (100, 1)


def test_the_same_chunks_are_read_once_and_handed_over_in_batches() -> None:
    grid = Grid.regular((1 << 20,), (1 << 10,))
    plan = plan_rechunk(grid, grid, itemsize=1, limit=1 << 30)
    assert (plan.reads, plan.nbytes, plan.boxes.shape) == (1024, 1 << 20, (1,))
    plan = plan_rechunk(grid, grid, itemsize=4, limit=1 << 30)
    assert (plan.reads, plan.nbytes, plan.boxes.shape) == (1024, 1 << 20, (4,))


def test_an_array_of_a_million_million_chunks_is_planned_at_once() -> None:
    plan = plan_rechunk(
        Grid.regular((10**13,), (3,)), Grid.regular((10**13,), (7,)), itemsize=1, limit=1 << 20
    )
    assert plan.reads_per_chunk == 1
    assert plan.reads == Grid.regular((10**13,), (3,)).nchunks


def test_an_array_without_axes_is_one_box() -> None:
    plan = plan_rechunk(Grid.regular((), ()), Grid.regular((), ()), itemsize=8, limit=1)
    assert (list(plan.boxes.coords()), plan.reads, plan.nbytes) == ([()], 1, 8)


def test_an_axis_too_long_to_be_planned_is_told_at_once() -> None:
    runs = [[1, 5 * 10**8], [2, 25 * 10**7]]
    config = NamedConfig("rectilinear", {"kind": "inline", "chunk_shapes": [runs]})
    grid = Grid.parse(config, (10**9,))
    with pytest.raises(MetadataError, match="750000000 chunks of several sizes"):
        plan_rechunk(grid, Grid.regular((10**9,), (100,)), itemsize=4, limit=1 << 20)


def test_a_billion_equal_chunks_are_planned_at_once() -> None:
    config = NamedConfig("rectilinear", {"kind": "inline", "chunk_shapes": [[[1, 10**9]]]})
    plan = plan_rechunk(
        Grid.parse(config, (10**9,)), Grid.regular((10**9,), (100,)), itemsize=4, limit=1 << 20
    )
    assert plan.reads_per_chunk == 1
