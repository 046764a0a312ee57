"""Chunk grids and keys."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.errors import MetadataError, UnknownExtensionError
from zlab.grid import ChunkKeys, Grid
from zlab.grid.auto import TARGET_BYTES, auto_chunks
from zlab.grid.grid import VariableAxis
from zlab.metadata import NamedConfig

if TYPE_CHECKING:
    from typing import Any


def test_regular_grid_has_edge_chunks_that_are_cropped() -> None:
    grid = Grid.regular((10, 7), (4, 3))
    assert grid.shape == (3, 3)
    assert grid.nchunks == 9
    assert grid.region((2, 2)) == (slice(8, 10), slice(6, 7))
    assert grid.stored_shape((2, 2)) == (4, 3)
    assert list(grid.coords()) == list(itertools.product(range(3), range(3)))


@pytest.mark.parametrize(
    ("shape", "expected"), [((), [()]), ((0,), []), ((3, 0), []), ((1,), [(0,)])]
)
def test_grids_of_nothing(shape: tuple[int, ...], expected: list[tuple[int, ...]]) -> None:
    grid = Grid.regular(shape, (2,) * len(shape))
    assert list(grid.coords()) == expected
    assert grid.nchunks == len(expected)


def test_a_grid_of_10_to_the_12_chunks_costs_nothing() -> None:
    grid = Grid.regular((10**12,), (1,))
    assert grid.nchunks == 10**12
    assert next(grid.coords()) == (0,)
    assert grid.contains((10**12 - 1,))
    assert not grid.contains((10**12,))


def test_rectilinear_grid_with_run_lengths_and_overflow() -> None:
    document = NamedConfig(
        "rectilinear", {"kind": "inline", "chunk_shapes": [[[4, 2], 5], [3, 3, 3]]}
    )
    grid = Grid.parse(document, (12, 7))
    assert grid.shape == (3, 3)
    assert grid.region((2, 2)) == (slice(8, 12), slice(6, 7))
    assert grid.stored_shape((2, 2)) == (5, 3)
    assert grid.stored_shape((0, 0)) == (4, 3)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=20),
    overflow=st.integers(0, 30),
)
def test_rectilinear_chunks_hold_each_element_once(sizes: list[int], overflow: int) -> None:
    length = max(sum(sizes) - overflow, 1)
    grid = Grid.parse(
        NamedConfig("rectilinear", {"kind": "inline", "chunk_shapes": [sizes]}), (length,)
    )
    axis = grid.axes[0]
    regions = [grid.region((chunk,))[0] for chunk in range(axis.nchunks)]
    elements = [i for part in regions for i in range(part.start, part.stop)]
    assert elements == list(range(length))
    indices = np.arange(length)
    assert axis.chunks_at(indices).tolist() == [axis.chunk_at(i) for i in range(length)]
    assert all(
        regions[axis.chunk_at(i)].start <= i < regions[axis.chunk_at(i)].stop for i in range(length)
    )


@pytest.mark.parametrize(
    ("document", "shape", "error", "words"),
    [
        (NamedConfig("hexagonal"), (4,), UnknownExtensionError, "hexagonal"),
        (NamedConfig("regular", {"chunk_shape": [0]}), (4,), MetadataError, "at least 1"),
        (NamedConfig("regular", {"chunk_shape": [2, 2]}), (4,), MetadataError, "each of the 1"),
        (NamedConfig("regular", {"chunk_shape": [2.5]}), (4,), MetadataError, "chunk_shape"),
        (NamedConfig("regular", {"chunk_shape": [True]}), (4,), MetadataError, "chunk_shape"),
        (NamedConfig("regular", {"chunk_shape": [2], "x": 1}), (4,), MetadataError, "chunk_shape"),
        (
            NamedConfig("rectilinear", {"kind": "inline", "chunk_shapes": [[2, 1]]}),
            (4,),
            MetadataError,
            "cover 3 of 4",
        ),
        (
            NamedConfig("rectilinear", {"kind": "inline", "chunk_shapes": [[2, 0, 3]]}),
            (4,),
            MetadataError,
            "above 0",
        ),
        (
            NamedConfig("rectilinear", {"kind": "url", "chunk_shapes": [[4]]}),
            (4,),
            MetadataError,
            "inline",
        ),
    ],
)
def test_bad_grids_are_refused(
    document: NamedConfig, shape: tuple[int, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Grid.parse(document, shape)


def test_a_huge_run_length_takes_no_memory() -> None:
    document = NamedConfig("rectilinear", {"kind": "inline", "chunk_shapes": [[[5, 10**15]]]})
    assert Grid.parse(document, (12,)).shape == (3,)


def test_a_billion_chunks_of_one_run_take_no_memory() -> None:
    document = NamedConfig("rectilinear", {"kind": "inline", "chunk_shapes": [[[2, 10**12], 5]]})
    axis = Grid.parse(document, (2 * 10**12 + 3,)).axes[0]
    assert axis.nchunks == 10**12 + 1
    assert axis.chunk_at(10**12 + 1) == 5 * 10**11
    assert (axis.start(10**12 - 1), axis.start(10**12)) == (2 * 10**12 - 2, 2 * 10**12)
    assert (axis.size(10**12 - 1), axis.size(10**12)) == (2, 5)
    assert isinstance(axis, VariableAxis)
    assert axis.largest == 5


@pytest.mark.parametrize("size", [1 << 63, [1 << 63, 1], [1, 1 << 63], True])
def test_sizes_that_no_array_has_are_refused(size: object) -> None:
    with pytest.raises(MetadataError, match="rectilinear"):
        Grid.parse(NamedConfig("rectilinear", {"kind": "inline", "chunk_shapes": [[size]]}), (1,))


@given(runs=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=5))
def test_runs_are_the_chunks_that_they_stand_for(runs: list[tuple[int, int]]) -> None:
    sizes = [size for size, count in runs for _ in range(count)]
    grids = [
        Grid.parse(NamedConfig("rectilinear", {"kind": "inline", "chunk_shapes": [shapes]}), (n,))
        for n in (sum(sizes), sum(sizes) - sizes[-1] + 1)
        for shapes in ([list(run) for run in runs], sizes)
    ]
    for by_run, one_by_one in zip(grids[::2], grids[1::2], strict=True):
        chunks = [*by_run.coords()]
        assert chunks == [*one_by_one.coords()]
        assert [*map(by_run.region, chunks)] == [*map(one_by_one.region, chunks)]
        assert [*map(by_run.stored_shape, chunks)] == [*map(one_by_one.stored_shape, chunks)]


@pytest.mark.parametrize(
    ("encoding", "coords", "key"),
    [
        (NamedConfig("default"), (1, 23), "c/1/23"),
        (NamedConfig("default", {"separator": "."}), (1, 23), "c.1.23"),
        (NamedConfig("v2"), (1, 23), "1.23"),
        (NamedConfig("v2", {"separator": "/"}), (1, 23), "1/23"),
        (NamedConfig("default"), (), "c"),
        (NamedConfig("v2"), (), "0"),
    ],
)
def test_keys_there_and_back(encoding: NamedConfig, coords: tuple[int, ...], key: str) -> None:
    keys = ChunkKeys.parse(encoding, len(coords))
    assert keys.encode(coords) == key
    assert keys.decode(key) == coords


@pytest.mark.parametrize(
    "key", ["c/1", "c/1/2/3", "c/01/2", "c/-1/2", "c/1/x", "1/2", "c.1.2", "c/1/²", "", "zarr.json"]
)
def test_what_is_no_chunk_key_has_no_coordinates(key: str) -> None:
    assert ChunkKeys.parse(NamedConfig("default"), 2).decode(key) is None


@pytest.mark.parametrize(
    "document",
    [NamedConfig("default", {"separator": "-"}), NamedConfig("v2", {"seperator": "/"})],
)
def test_bad_key_encodings_are_refused(document: NamedConfig) -> None:
    with pytest.raises(MetadataError, match="configuration"):
        ChunkKeys.parse(document, 1)


def test_unknown_key_encoding_is_refused() -> None:
    with pytest.raises(UnknownExtensionError, match="morton"):
        ChunkKeys.parse(NamedConfig("morton"), 1)


@given(
    shape=st.lists(st.integers(0, 10**6), min_size=1, max_size=5),
    itemsize=st.sampled_from([1, 2, 4, 8, 16]),
)
def test_automatic_chunks_fit(shape: list[int], itemsize: int) -> None:
    chunks = auto_chunks(tuple(shape), itemsize)
    nbytes: Any = itemsize
    for chunk, length in zip(chunks, shape, strict=True):
        assert 1 <= chunk <= max(length, 1)
        nbytes *= chunk
    assert nbytes <= TARGET_BYTES
