"""What each process needs of a batch, told from where the devices of all of them stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from zlab.jax.hosts import Need

jax = pytest.importorskip("jax")

from zlab.jax.hosts import need_of  # noqa: E402  not without jax
from zlab.samples import Share  # noqa: E402


@dataclass(frozen=True)
class Device:
    process_index: int
    number: int


class Cut:
    """As a `jax.sharding.Sharding`: `parts[i, j]` holds the processes of block (i, j), or of more.

    A cell names the processes whose devices hold that block.
    """

    def __init__(self, parts: Any) -> None:
        self.parts = np.asarray(parts, object)

    def devices_indices_map(self, shape: tuple[int, ...]) -> dict[Device, tuple[slice, ...]]:
        indices: dict[Device, tuple[slice, ...]] = {}
        for number, cell in np.ndenumerate(self.parts):
            index = []
            for n, length, many in zip(number, shape, self.parts.shape, strict=False):
                size = length // many
                whole = slice(None)
                index.append(slice(n * size, (n + 1) * size) if many > 1 else whole)
            index += [slice(None)] * (len(shape) - len(index))
            for process in cell if isinstance(cell, (tuple, list, set)) else [cell]:
                indices[Device(process, len(indices))] = tuple(index)
        return indices


def needs(
    processes: int, cuts: list[Any], shapes: list[tuple[int, ...]], names: str = "xyz"
) -> list[Need]:
    names_of = [f"array {name!r}" for name in names[: len(cuts)]]
    shardings: list[Any] = [Cut(cut) for cut in cuts]
    return [need_of(shardings, shapes, names_of, p) for p in range(processes)]


def test_rows_over_processes_are_shares() -> None:
    # two devices each
    first, second = needs(2, [[0, 0, 1, 1]], [(8, 5, 6)])
    assert first == (Share(0, 2), ((slice(0, 5), slice(0, 6)),))
    assert second == (Share(1, 2), ((slice(0, 5), slice(0, 6)),))


def test_one_process_needs_all() -> None:
    (need,) = needs(1, [[[0, 0], [0, 0]]], [(8, 6)])
    assert (need.share, need.crops) == (Share(0, 1), ((slice(0, 6),),))
    assert not need.crops_samples([(6,)])


def test_replicated_batches_are_one_share() -> None:
    assert [need.share for need in needs(3, [[(0, 1, 2)]], [(8, 6)])] == [Share(0, 1)] * 3


def test_processes_along_another_axis_share_the_samples_and_have_a_crop_each() -> None:
    found = needs(4, [[[0, 1], [2, 3]]], [(8, 6)])
    assert [need.share for need in found] == [Share(0, 2), Share(0, 2), Share(1, 2), Share(1, 2)]
    assert [need.crops[0] for need in found] == [(slice(0, 3),), (slice(3, 6),)] * 2
    assert all(need.crops_samples([(6,)]) for need in found)


def test_arrays_may_be_cut_otherwise_where_processes_have_the_same_samples() -> None:
    # images over rows and columns, labels over all devices, in the same processes
    images, labels = [[0, 0], [0, 0], [1, 1], [1, 1]], [0, 0, 0, 0, 1, 1, 1, 1]
    found = needs(2, [images, labels], [(8, 6), (8,)])
    assert [need.share for need in found] == [Share(0, 2), Share(1, 2)]
    assert found[0].crops == ((slice(0, 6),), ())


def test_rows_that_lie_apart_are_one_share_too() -> None:
    found = needs(2, [[0, 1, 0, 1]], [(8,)])
    assert [need.share for need in found] == [Share(0, 2), Share(1, 2)]


def test_columns_that_lie_apart_are_read_with_what_is_between_them() -> None:
    found = needs(2, [[[0, 1, 0, 1]]], [(8, 8)])
    assert [need.crops[0] for need in found] == [(slice(0, 8),)] * 2


def test_samples_that_some_share_and_others_do_not_are_an_error() -> None:
    with pytest.raises(ValueError, match="has samples 0:4 of a batch and another 2:4") as caught:
        needs(2, [[(0,), (0, 1)]], [(4,)])
    assert "Order the devices of the mesh by process" in str(caught.value)


def test_processes_with_more_devices_than_others_are_an_error() -> None:
    with pytest.raises(ValueError, match="processes have 2 to 6 samples of a batch"):
        needs(2, [[0, 0, 0, 1]], [(8,)])


def test_arrays_with_other_samples_in_a_process_are_an_error() -> None:
    says = "process 0 has samples 0:2 of array 'x' and 0:4 of array 'y'"
    with pytest.raises(ValueError, match=says):
        needs(2, [[0, 1], [(0, 1)]], [(4,), (4, 2)])


def test_a_process_without_a_device_is_told_so() -> None:
    with pytest.raises(ValueError, match=r"no device of this process: 2, .* are of 0, 1"):
        needs(3, [[0, 1]], [(4,)])


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 3),
    devices=st.integers(1, 3),
    data=st.data(),
)
def test_any_grid_of_processes_is_divided_without_gaps_or_overlap(
    rows: int, columns: int, devices: int, data: st.DataObject
) -> None:
    """Processes in any order on a grid: together they read each element of a batch once."""
    numbers = data.draw(st.permutations(range(rows * columns)))
    processes = np.asarray(numbers).reshape(rows, columns)
    cut = np.repeat(processes, devices, axis=0)
    shape = (rows * devices * 2, columns * 3)
    found = needs(rows * columns, [cut.tolist()], [shape])
    seen = np.zeros((rows, shape[1]), int)
    for need in found:
        assert need.share.count == rows
        seen[need.share.index][need.crops[0][0]] += 1
    assert (seen == 1).all()
    for row, some in enumerate(processes):
        assert {found[process].share.index for process in some} == {row}
