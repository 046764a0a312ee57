"""The arrays in a store that variables are read from, found behind what xarray wraps them in."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, final

from xarray.backends import BackendArray
from xarray.core import indexing

from zlab.xarray.lazy import LazyArray

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from numpy.typing import NDArray
    from xarray import Variable

    from zlab.array import Array
    from zlab.grid import Grid
    from zlab.xarray.variables import By


@final
@dataclass(frozen=True, slots=True)
class Source:
    """What a variable is read from.

    Attributes:
        array: The array.
        positions: For each axis of the array the positions that were selected, or one of them
            where the axis is gone.
        decoding: Functions of values, element by element, that xarray applies to what is read.
    """

    array: Array
    positions: tuple[range | int, ...]
    decoding: tuple[Callable[[NDArray[Any]], NDArray[Any]], ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing was selected."""
        whole = [range(n) for n in self.array.shape]
        return list(self.positions) == whole

    def decoded(self, values: NDArray[Any]) -> NDArray[Any]:
        """What xarray makes of values that were read."""
        for function in self.decoding:
            values = function(values)
        return values

    def edges(self, by: By) -> list[set[int]]:
        """For each axis that is left, where its chunks begin, and its end."""
        layout = self.array.layout
        grid = layout.objects if by == "shard" else layout.chunks
        return [
            _edges(grid, axis, along)
            for axis, along in enumerate(self.positions)
            if isinstance(along, range)
        ]


def _edges(grid: Grid, axis: int, along: range) -> set[int]:
    if along.step != 1 or not along:
        # what is read of a chunk are single elements: nothing is won by keeping to it
        return {0, len(along)}
    chunks = grid.axes[axis]
    first, last = chunks.chunk_at(along.start), chunks.chunk_at(along.stop - 1)
    starts = (chunks.start(number) - along.start for number in range(first + 1, last + 1))
    return {0, *starts, len(along)}


class NoSourceError(LookupError):
    """A variable is not read from an array by zlab, or not as it is stored; says why."""


def source_of(variable: Variable) -> Source:
    """The array that a lazy variable is read from.

    Raises:
        NoSourceError: Its values are in memory, computed, read by another engine, or selected in
            a way that cannot be told by slices.
    """
    data: Any = variable._data  # noqa: SLF001  `data` reads
    decoding: list[Callable[[NDArray[Any]], NDArray[Any]]] = []
    keys: list[tuple[Any, ...]] = []
    while not isinstance(data, LazyArray):
        if isinstance(data, indexing.LazilyIndexedArray):
            keys.append(data.key.tuple)
        elif callable(function := getattr(data, "func", None)):
            decoding.append(function)
        elif not isinstance(data, (indexing.CopyOnWriteArray, indexing.MemoryCachedArray)):
            raise NoSourceError(_reason(data))
        data = data.array
    positions: list[range | int] = [range(n) for n in data.shape]
    for key in reversed(keys):
        positions = _selected(positions, key)
    return Source(data.source, tuple(positions), tuple(reversed(decoding)))


def _selected(positions: list[range | int], key: tuple[Any, ...]) -> list[range | int]:
    indices = iter(key)
    selected: list[range | int] = []
    for along in positions:
        if isinstance(along, int):
            selected.append(along)
            continue
        index = next(indices)
        if getattr(index, "ndim", 0):
            msg = "it was selected by positions that are no slice"
            raise NoSourceError(msg)
        selected.append(along[index if isinstance(index, slice) else int(index)])
    return selected


def _reason(data: Any) -> str:
    if hasattr(data, "__dask_graph__"):
        return "it is a dask array: open the dataset without chunks="
    if isinstance(data, BackendArray):
        return "it is read by another engine: open the dataset with engine='zlab'"
    if isinstance(data, indexing.ExplicitlyIndexed) and not isinstance(
        data, indexing.IndexingAdapter
    ):
        return f"it was selected or decoded in a way ({type(data).__name__}) that is not undone"
    return (
        "its values are in memory: open the dataset anew, or with cache=False, which keeps no "
        "values that were looked at"
    )


def dimension_edges(variable: Variable, by: By) -> dict[Hashable, set[int]]:
    """Where the chunks behind a variable begin along its dimensions, and the ends of these.

    Raises:
        NoSourceError: It is not known.
    """
    if variable.chunks is not None:
        return {
            dim: {0, *accumulate(lengths)}
            for dim, lengths in zip(variable.dims, variable.chunks, strict=True)
        }
    return dict(zip(variable.dims, source_of(variable).edges(by), strict=True))


def whole_source(name: Hashable, variable: Variable, what: str) -> Source:
    """The array behind a variable of which nothing was selected.

    Args:
        name: The variable's name.
        variable: The variable.
        what: What is to be made of it, as the beginning of a sentence.

    Raises:
        ValueError: There is none, or a part was selected.
    """
    try:
        source = source_of(variable)
    except NoSourceError as error:
        msg = f"{what} read from arrays in a store, and {name!r} is none: {error}"
        raise ValueError(msg) from error
    if not source.is_whole:
        msg = (
            f"{what} made of whole arrays, and a part of {name!r} was selected; "
            "Dataset.zlab.stream reads parts"
        )
        raise ValueError(msg)
    return source
