"""Plans take each element of a box once, from the chunk that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zlab.engine.plan import plan_one, plan_runs, plan_shard_runs, run_length, split_axis
from zlab.engine.selection import Picks, Span
from zlab.grid import Grid
from zlab.metadata.extension import NamedConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    Draw = Callable[[st.SearchStrategy[int]], int]


@st.composite
def _spans(draw: Draw, length: int) -> Span:
    start = draw(st.integers(0, length - 1))
    step = draw(st.integers(1, 5))
    return Span(start, step, draw(st.integers(0, (length - start - 1) // step + 1)))


@given(data=st.data(), length=st.integers(1, 40), chunk=st.integers(1, 50))
def test_pieces_of_an_axis(data: st.DataObject, length: int, chunk: int) -> None:
    axis = Grid.regular((length,), (chunk,)).axes[0]
    span = data.draw(_spans(length))
    wanted = [span.start + k * span.step for k in range(span.count)]
    taken: list[int] = []
    for piece in split_axis(axis, span):
        first = axis.start(piece.chunk)
        assert isinstance(piece.source, slice)
        elements = [first + i for i in range(piece.source.start, piece.source.stop, span.step)]
        inside = min(first + chunk, length) - first
        assert piece.whole == (len(elements) == chunk)
        assert piece.covers == (len(elements) == inside)
        assert piece.target == slice(len(taken), len(taken) + len(elements))
        taken += elements
    assert taken == wanted


@given(data=st.data(), width=st.integers(1, 8))
def test_runs_visit_every_chunk_of_a_box_once(data: st.DataObject, width: int) -> None:
    shape = data.draw(st.lists(st.integers(1, 20), min_size=0, max_size=3).map(tuple))
    chunk = tuple(data.draw(st.integers(1, 7)) for _ in shape)
    factor = tuple(data.draw(st.integers(1, 3)) for _ in shape)
    spans = tuple(data.draw(_spans(n)) for n in shape)
    chunks = Grid.regular(shape, chunk)
    shards = Grid.regular(shape, tuple(c * f for c, f in zip(chunk, factor, strict=True)))
    source = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    expected = source[tuple(slice(a, a + n * s, s) for a, s, n in spans)]
    for njobs, runs in (
        plan_runs(chunks, spans, width=width),
        plan_shard_runs(shards, chunks, spans, width=width),
    ):
        out = np.full(expected.shape, -1)
        seen = []
        for run in runs:
            for job in run.jobs:
                seen.append(job.coords)
                if run.shard is not None:
                    inside = zip(job.coords, factor, strict=True)
                    assert run.shard == tuple(c // f for c, f in inside)
                block = np.full(chunk, -2)
                region = chunks.region(job.coords)
                block[tuple(slice(0, part.stop - part.start) for part in region)] = source[region]
                out[job.target] = block[job.source]
        assert len(seen) == len(set(seen)) == njobs
        np.testing.assert_array_equal(out, expected)


def test_runs_are_long_enough_to_pay_and_short_enough_to_share() -> None:
    assert run_length(1, 2) == 1
    assert run_length(100, 2) == 12
    assert run_length(10**6, 2) == 64


@given(data=st.data())
def test_one_chunk_is_planned_as_a_plan_of_one(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 20), max_size=3)))
    sizes = [data.draw(st.integers(1, 12)) for _ in shape]
    edges = [data.draw(st.booleans()) for _ in shape]
    # an axis of a rectilinear grid, too
    chunks = [
        [size] * -(-n // size) if edge else size
        for n, size, edge in zip(shape, sizes, edges, strict=True)
    ]
    config = NamedConfig("rectilinear", {"kind": "inline", "chunk_shapes": chunks})
    grid = Grid.parse(config, shape)
    spans = [data.draw(_spans(n)) for n in shape]
    _, runs = plan_runs(grid, spans, width=1)
    jobs = [job for run in runs for job in run.jobs]
    assert plan_one(grid, spans) == (jobs[0] if len(jobs) == 1 else None)


def test_picks_are_not_planned_as_one_chunk() -> None:
    grid = Grid.regular((4,), (4,))
    assert plan_one(grid, [Picks(np.array([1, 2]))]) is None
