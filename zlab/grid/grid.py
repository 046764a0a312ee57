"""Chunk grids: where chunks begin and end along each axis. Pure.

Source: Zarr v3 core specification, section "Regular grids"; `rectilinear` in zarr-extensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np

from zlab.errors import MetadataError, UnknownExtensionError
from zlab.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from zlab.metadata.extension import NamedConfig


class Axis(Protocol):
    """How one axis of an array is cut."""

    @property
    def length(self) -> int:
        """Elements of the array along the axis."""
        ...

    @property
    def nchunks(self) -> int:
        """Chunks along the axis."""
        ...

    def start(self, chunk: int) -> int:
        """The first element of a chunk."""
        ...

    def size(self, chunk: int) -> int:
        """The elements that a chunk is stored with; at the edge some lie outside the array."""
        ...

    def chunk_at(self, index: int) -> int:
        """The chunk that holds an element."""
        ...

    def chunks_at(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """The chunks that hold some elements."""
        ...


@dataclass(frozen=True, slots=True)
class RegularAxis:
    """Chunks of one size."""

    length: int
    chunk: int

    @property
    def nchunks(self) -> int:
        """Chunks along the axis."""
        return -(-self.length // self.chunk)

    def start(self, chunk: int) -> int:
        """The first element of a chunk."""
        return chunk * self.chunk

    def size(self, chunk: int) -> int:  # noqa: ARG002  all are the same
        """The elements that a chunk is stored with."""
        return self.chunk

    def chunk_at(self, index: int) -> int:
        """The chunk that holds an element."""
        return index // self.chunk

    def chunks_at(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """The chunks that hold some elements."""
        return indices // self.chunk


class VariableAxis:
    """Chunks of several sizes, held as runs of equal ones.

    Args:
        length: Elements of the array along the axis.
        runs: Sizes, and how many chunks in a row have each.

    Raises:
        MetadataError: The chunks do not cover the axis.
    """

    __slots__ = ("_firsts", "_sizes", "_starts", "length", "nchunks")

    def __init__(self, length: int, runs: Iterable[tuple[int, int]]) -> None:
        starts, firsts, sizes = [], [], []
        start = first = 0
        for size, count in runs:
            if start >= length:  # chunks that lie wholly behind the array are never read
                break
            starts.append(start)
            firsts.append(first)
            sizes.append(size)
            used = min(count, -(-(length - start) // size))
            start += size * used
            first += used
        if start < length:
            msg = f"the chunks cover {start} of {length} elements along an axis"
            raise MetadataError(msg)
        self.length = length
        self.nchunks = first
        self._starts = np.array(starts, np.int64)
        self._firsts = np.array(firsts, np.int64)
        self._sizes = np.array(sizes, np.int64)

    @property
    def largest(self) -> int:
        """The most elements that a chunk is stored with."""
        return int(self._sizes.max(initial=1))

    def start(self, chunk: int) -> int:
        """The first element of a chunk."""
        run = int(np.searchsorted(self._firsts, chunk, side="right")) - 1
        inside = chunk - int(self._firsts[run])
        return int(self._starts[run]) + inside * int(self._sizes[run])

    def size(self, chunk: int) -> int:
        """The elements that a chunk is stored with."""
        return int(self._sizes[np.searchsorted(self._firsts, chunk, side="right") - 1])

    def chunk_at(self, index: int) -> int:
        """The chunk that holds an element."""
        run = int(np.searchsorted(self._starts, index, side="right")) - 1
        inside = index - int(self._starts[run])
        return int(self._firsts[run]) + inside // int(self._sizes[run])

    def chunks_at(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """The chunks that hold some elements."""
        runs = np.searchsorted(self._starts, indices, side="right") - 1
        inside = indices - self._starts[runs]
        return self._firsts[runs] + inside // self._sizes[runs]

    def runs(self, chunks: range) -> Iterator[range]:
        """The parts of a range of chunks that are stored with one size each."""
        firsts = [*self._firsts.tolist(), self.nchunks]
        for first, behind in pairwise(firsts):
            part = range(max(first, chunks.start), min(behind, chunks.stop))
            if part.start < part.stop:
                yield part


@dataclass(frozen=True, slots=True)
class Grid:
    """How an array is cut into chunks: one axis each, independent of each other.

    Attributes:
        axes: How each axis is cut.
        chunk_shape: Of a regular grid, the shape of every chunk; else `None`.
    """

    axes: tuple[Axis, ...]
    chunk_shape: tuple[int, ...] | None

    @classmethod
    def regular(cls, shape: tuple[int, ...], chunk_shape: tuple[int, ...]) -> Grid:
        """The grid with chunks of one shape."""
        axes = tuple(RegularAxis(n, c) for n, c in zip(shape, chunk_shape, strict=True))
        return cls(axes, chunk_shape)

    @classmethod
    def parse(cls, grid: NamedConfig, shape: tuple[int, ...]) -> Grid:
        """Resolves the grid of a metadata document.

        Raises:
            UnknownExtensionError: The grid is not known.
            MetadataError: Its configuration does not fit the shape.
        """
        configuration = grid.configuration
        match grid.name:
            case "regular":
                return cls.regular(shape, _parse_chunk_shape(configuration, shape))
            case "rectilinear":
                return cls(_parse_rectilinear(configuration, shape), None)
            case name:
                found = grids.make(name, configuration, shape)
                if found is None:
                    raise UnknownExtensionError(f"unknown chunk grid {name!r:.80}", hint=grids.hint)
                return found

    @property
    def shape(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return tuple(axis.nchunks for axis in self.axes)

    @property
    def nchunks(self) -> int:
        """Chunks in all."""
        return prod(self.shape)

    def contains(self, coords: tuple[int, ...]) -> bool:
        """Whether there is a chunk at these coordinates."""
        return len(coords) == len(self.axes) and all(
            0 <= c < axis.nchunks for c, axis in zip(coords, self.axes, strict=True)
        )

    def stored_shape(self, coords: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that a chunk is stored with."""
        if self.chunk_shape is not None:
            return self.chunk_shape
        return tuple(axis.size(c) for axis, c in zip(self.axes, coords, strict=True))

    def region(self, coords: tuple[int, ...]) -> tuple[slice, ...]:
        """Where a chunk lies in the array, cropped to it."""
        region = []
        for axis, c in zip(self.axes, coords, strict=True):
            start = axis.start(c)
            region.append(slice(start, min(start + axis.size(c), axis.length)))
        return tuple(region)

    def coords(self) -> Iterator[tuple[int, ...]]:
        """All chunk coordinates in C order, made one at a time."""
        shape = self.shape
        if 0 in shape:
            return
        current = [0] * len(shape)
        while True:
            yield tuple(current)
            for axis in reversed(range(len(shape))):
                current[axis] += 1
                if current[axis] < shape[axis]:
                    break
                current[axis] = 0
            else:
                return


grids: Registry[Grid] = Registry(
    "chunk grid",
    "zlab.chunk_grids",
    Grid,
    UnknownExtensionError,
    {"regular", "rectilinear"}.__contains__,
)
"""Chunk grids of other packages: `(configuration, shape) -> Grid`."""


def _parse_chunk_shape(configuration: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    chunk_shape = configuration.get("chunk_shape")
    if (
        not isinstance(chunk_shape, list)
        or len(chunk_shape) != len(shape)
        or set(configuration) != {"chunk_shape"}
        or not all(isinstance(n, int) and not isinstance(n, bool) for n in chunk_shape)
    ):
        msg = f"chunk grid: chunk_shape must have a length for each of the {len(shape)} dimensions"
        raise MetadataError(f"{msg}, got {dict(configuration)!r:.80}")
    # v2 writers gave chunks of 0 to axes of 0
    lengths = tuple(1 if c == n == 0 else c for c, n in zip(chunk_shape, shape, strict=True))
    if any(n < 1 or n >= 1 << 63 for n in lengths):
        msg = f"chunk grid: every chunk length must be at least 1, got {chunk_shape!r:.80}"
        raise MetadataError(msg)
    return lengths


def _parse_rectilinear(configuration: Any, shape: tuple[int, ...]) -> tuple[Axis, ...]:
    sizes = configuration.get("chunk_shapes")
    if configuration.get("kind") != "inline" or not isinstance(sizes, list):
        msg = "chunk grid 'rectilinear' needs kind 'inline' and a list of chunk_shapes"
        raise MetadataError(msg)
    if len(sizes) != len(shape):
        msg = f"chunk grid 'rectilinear' has {len(sizes)} axes for {len(shape)} dimensions"
        raise MetadataError(msg)
    return tuple(_parse_axis(n, item) for n, item in zip(shape, sizes, strict=True))


def _parse_axis(length: int, value: object) -> Axis:
    if _is_size(value):
        return RegularAxis(length, value)
    if not isinstance(value, list):
        msg = f"chunk grid 'rectilinear': sizes must be a number or a list, not {value!r:.80}"
        raise MetadataError(msg)
    runs: list[tuple[int, int]] = []
    for item in value:
        size, count = item if isinstance(item, list) and len(item) == 2 else (item, 1)  # noqa: PLR2004
        if not _is_size(size) or not _is_size(count):
            msg = f"chunk grid 'rectilinear': sizes must be whole numbers above 0, got {item!r:.80}"
            raise MetadataError(msg)
        runs.append((size, count))
    if len({size for size, _ in runs}) == 1 and sum(size * count for size, count in runs) >= length:
        return RegularAxis(length, runs[0][0])
    axis = VariableAxis(length, runs)
    # an axis of length 0 has no chunk, but codecs are resolved for the shape that one would have
    return axis if axis.nchunks else RegularAxis(length, 1)


def _is_size(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63
