"""zarr-python's own hypothesis strategies and state machines, run against zlab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

pytest.importorskip("zarr")

import zarr
from zarr.testing.stateful import (
    ZarrHierarchyStateMachine,
    ZarrStoreStateMachine,
)
from zarr.testing.strategies import (
    basic_indices,
    numpy_arrays,
    orthogonal_indices,
    simple_arrays,
)

import zlab
from zlab.stores.local import LocalStore
from zlab.stores.memory import MemoryStore
from zlab.zarr import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = [
    pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning"),
    pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
PLAIN = "zarr.core.codec_pipeline.BatchedCodecPipeline"
OURS = "zlab.zarr.CodecPipeline"


def same(one: Any, other: Any) -> bool:
    """Equal, a NaN and a NaT to themselves too."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        assert one.dtype.newbyteorder("=") == other.dtype.newbyteorder("=")
    one, other = np.asarray(one), np.asarray(other)
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fcmM"))


def opened(array: Any, pipeline: str, mode: str = "r+") -> Any:
    """The same array, with another pipeline."""
    with zarr.config.set({"codec_pipeline.path": pipeline}):
        path = array.store_path
        return zarr.open_array(path.store, path=path.path, mode=mode)


@pytest.mark.parametrize(("writer", "reader"), [(OURS, PLAIN), (PLAIN, OURS), (OURS, OURS)])
@settings(max_examples=25)
@given(data=st.data())
def test_what_one_pipeline_writes_the_other_reads(
    writer: str, reader: str, data: st.DataObject
) -> None:
    with zarr.config.set({"codec_pipeline.path": writer}):
        written = data.draw(simple_arrays())
    whole = written[:]
    read = opened(written, reader)
    assert same(read[:], whole)
    index = data.draw(basic_indices(shape=read.shape))
    assert same(read[index], whole[index])
    of_zarr, of_numpy = data.draw(orthogonal_indices(shape=read.shape))
    assert same(read.oindex[of_zarr], whole[of_numpy])
    if read.size:
        points = tuple(
            data.draw(st.lists(st.integers(-n, n - 1), min_size=4, max_size=4)) for n in read.shape
        )
        assert same(read.vindex[tuple(map(np.array, points))], whole[tuple(map(np.array, points))])


@settings(max_examples=25)
@given(data=st.data())
def test_a_part_that_one_pipeline_replaces_is_the_others(data: st.DataObject) -> None:
    with zarr.config.set({"codec_pipeline.path": OURS}):
        array = data.draw(simple_arrays())
    expected: NDArray[Any] = np.array(array[:])
    index = data.draw(basic_indices(shape=array.shape))
    value = data.draw(
        numpy_arrays(shapes=st.just(expected[index].shape), dtype=expected.dtype), label="value"
    )
    if expected[index].ndim == 0:
        value = value[()]
    expected[index] = value
    array[index] = value
    assert same(array[:], expected)
    assert same(opened(array, PLAIN)[:], expected)


@settings(max_examples=25)
@given(data=st.data())
def test_zlab_opens_what_zarr_python_makes(data: st.DataObject) -> None:
    store = MemoryStore()
    array = data.draw(simple_arrays_in(Store(store)))
    mine = zlab.open_array(store, path=array.path)
    assert mine.shape == array.shape
    assert mine.chunks == tuple(max(n, 1) for n in array.chunks)
    assert same(mine[...], array[:])
    index = data.draw(basic_indices(shape=array.shape))
    assert same(mine[index], array[:][index])
    of_zarr, of_numpy = data.draw(orthogonal_indices(shape=array.shape))
    assert same(mine.oindex[of_zarr], array[:][of_numpy])


def simple_arrays_in(store: Any) -> st.SearchStrategy[Any]:
    from zarr.testing.strategies import arrays, paths, short_node_names

    return arrays(
        stores=st.just(store),
        paths=paths(max_num_nodes=2),
        array_names=short_node_names,
        attrs=st.none(),
    )


def _memory(_: Path) -> Store:
    return Store(MemoryStore())


def _local(where: Path) -> Store:
    return Store(LocalStore(where))


@pytest.mark.parametrize("make", [_memory, _local])
@pytest.mark.parametrize("machine", [ZarrHierarchyStateMachine, ZarrStoreStateMachine])
@pytest.mark.parametrize("pipeline", [PLAIN, OURS])
def test_zarr_pythons_state_machines(
    machine: Any, make: Callable[[Path], Store], pipeline: str, tmp_path: Path
) -> None:
    def start() -> Any:
        return machine(make(tmp_path))

    with zarr.config.set({"codec_pipeline.path": pipeline}):
        run_state_machine_as_test(
            start,  # type: ignore[arg-type]  # what makes one will do
            settings=settings(max_examples=5, stateful_step_count=20, deadline=None),
        )
