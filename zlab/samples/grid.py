"""What a sample is: some axes of aligned arrays along which samples are counted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import numpy as np

from zlab.engine.selection import Region, Span
from zlab.errors import DataTypeError
from zlab.memory import aligned_empty, strided
from zlab.stream.arguments import whole_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout

AxisKey: TypeAlias = "int | str"

AxisLengths: TypeAlias = "Mapping[AxisKey, int] | Mapping[int, int] | Mapping[str, int]"

Crops: TypeAlias = "Sequence[Sequence[slice] | None]"


class SampledAxis(NamedTuple):
    """An axis along which samples are counted.

    Attributes:
        window: Elements of a sample along it; `None` where a sample is one index, and has no such
            axis.
        step: Elements from one sample to the next.
        nsamples: Samples along it.
    """

    window: int | None
    step: int
    nsamples: int


@dataclass(frozen=True)
class SampleGrid:
    """The samples of aligned arrays, numbered in C order over the sampled axes.

    Attributes:
        axes: The sampled axes, in the order of the first array's axes.
    """

    axes: tuple[SampledAxis, ...]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Samples along each sampled axis."""
        return tuple(axis.nsamples for axis in self.axes)

    @cached_property
    def nsamples(self) -> int:
        """Samples in all."""
        return prod(self.shape)

    @cached_property
    def inner(self) -> int:
        """Samples at one place of the first sampled axis."""
        return prod(self.shape[1:])

    def coords(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Where samples stand along each sampled axis.

        Args:
            indices: Their numbers.

        Example:
            >>> grid = SampleGrid((SampledAxis(None, 1, 2), SampledAxis(4, 2, 3)))
            >>> [along.tolist() for along in grid.coords(np.asarray([0, 4]))]
            [[0, 1], [0, 1]]
        """
        coords: list[NDArray[np.int64]] = []
        for n in reversed(self.shape[1:]):
            # NumPy divides by one number several times faster than it takes remainders
            quotient = indices // n
            coords.append(indices - quotient * n)
            indices = quotient
        return (indices, *reversed(coords))


@dataclass(frozen=True)
class Placement:
    """Where the samples lie in one array.

    Attributes:
        layout: Of the array.
        grid: What a sample is.
        sampled: For each sampled axis, the array's axis.
        crop: What is wanted of a sample: for each of the array's axes the first element, counted
            from where a sample begins, and how many; 0 and 1 along axes that a sample does not
            have.
    """

    layout: ArrayLayout
    grid: SampleGrid
    sampled: tuple[int, ...]
    crop: tuple[tuple[int, int], ...]

    @cached_property
    def dropped(self) -> frozenset[int]:
        """The axes that a sample does not have."""
        pairs = zip(self.sampled, self.grid.axes, strict=True)
        return frozenset(a for a, axis in pairs if axis.window is None)

    @cached_property
    def leads(self) -> bool:
        """Whether the sampled axes are the first ones, in order."""
        return self.sampled == tuple(range(len(self.sampled)))

    @cached_property
    def sample_shape(self) -> tuple[int, ...]:
        """Of what is wanted of a sample."""
        return tuple(n for a, (_, n) in enumerate(self.crop) if a not in self.dropped)

    @cached_property
    def sample_nbytes(self) -> int:
        """Bytes of what is wanted of a sample."""
        return prod(self.sample_shape) * self.layout.dtype.itemsize

    def elements(self, axis: int, start: int, stop: int) -> tuple[int, int]:
        """The elements of some samples along a sampled axis: the first, and the one behind.

        Args:
            axis: Which of the sampled axes.
            start: The first of the samples along it.
            stop: The sample behind the last.
        """
        step = self.grid.axes[axis].step
        first, n = self.crop[self.sampled[axis]]
        return start * step + first, (stop - 1) * step + first + n

    def spans(self, box: Sequence[tuple[int, int]]) -> tuple[Span, ...]:
        """The elements of a box of samples, along each of the array's axes.

        Args:
            box: Along each sampled axis the first sample, and the one behind the last.
        """
        spans = [Span(first, 1, n) for first, n in self.crop]
        for axis, (start, stop) in enumerate(box):
            first, behind = self.elements(axis, start, stop)
            spans[self.sampled[axis]] = Span(first, 1, behind - first)
        return tuple(spans)

    def region(self, box: Sequence[tuple[int, int]]) -> Region:
        """As `spans`, for the engine."""
        return Region(self.spans(box))

    def view(self, box: NDArray[Any], counts: Sequence[int], *, before: int = 0) -> NDArray[Any]:
        """The samples of a box as an array of them.

        Args:
            box: Elements, with the array's axes; the first is the first of a sample.
            counts: Samples along each sampled axis.
            before: Axes of `box` before those of the array; the view has them too.

        Returns:
            A view of shape `(*counts, *sample_shape)`. Samples that overlap share elements.
        """
        if len(self.dropped) == len(self.sampled):
            # nothing overlaps; NumPy views strings of any length in this way alone
            order = (*self.sampled, *(a for a in range(len(self.crop)) if a not in self.dropped))
            moved = box.transpose((*range(before), *(before + a for a in order)))
            return moved[(*(slice(None),) * before, *(slice(0, n) for n in counts))]
        strides = box.strides[before:]
        lead = [
            strides[a] * axis.step for a, axis in zip(self.sampled, self.grid.axes, strict=True)
        ]
        rest = [stride for a, stride in enumerate(strides) if a not in self.dropped]
        return strided(
            box,
            (*box.shape[:before], *counts, *self.sample_shape),
            (*box.strides[:before], *lead, *rest),
        )

    @cached_property
    def storage(self) -> tuple[int, ...]:
        """The order of the array's axes in which a sample lies in one piece, as far as it can."""
        first = [a for a in self.sampled if a in self.dropped]
        return (*first, *(a for a in range(len(self.crop)) if a not in self.dropped))

    def empty_box(
        self, shape: Sequence[int], *, before: tuple[int, ...] = (), empty: Any = aligned_empty
    ) -> NDArray[Any]:
        """Memory for elements.

        Args:
            shape: Elements along each of the array's axes.
            before: Axes before them.
            empty: Makes it, of a shape and a dtype.

        Returns:
            A view of it with the axes in the array's order.
        """
        stored = empty((*before, *(shape[a] for a in self.storage)), self.layout.dtype)
        n = len(before)
        back = np.argsort(self.storage) + n
        box: NDArray[Any] = stored.transpose((*range(n), *back.tolist()))
        return box


def parse_grid(
    layouts: Sequence[ArrayLayout],
    axis: AxisKey | Sequence[AxisKey] | None,
    windows: AxisLengths | None,
    overlap: AxisLengths | None,
    crops: Crops | None,
) -> tuple[SampleGrid, tuple[Placement, ...]]:
    """What a sample of some arrays is.

    Args:
        layouts: Of the arrays.
        axis: Axes along which a sample is one index, by number or name; by default the first one,
            or none where there are windows.
        windows: Along which axes a sample is a window, and its length.
        overlap: Elements that neighbouring windows share; none by default.
        crops: For each array, slices of the axes of a sample: what is wanted of it.

    Raises:
        TypeError: An argument is not what its name says.
        ValueError: The arrays do not have these axes, or different numbers of samples, or a window
            does not fit.
        DataTypeError: There are windows of strings of any length.
    """
    lengths = _parse_lengths(windows, "windows", least=1)
    shared = _parse_lengths(overlap, "overlap", least=0)
    points = _parse_keys(axis, has_windows=bool(lengths))
    if not points and not lengths:
        msg = "no axis along which there could be samples: pass axis= or windows="
        raise ValueError(msg)
    found = [_find_axes(layout, points, lengths, shared) for layout in layouts]
    # numbered in the order of the first array's axes
    order = sorted(range(len(found[0])), key=lambda k: found[0][k][0])
    counts = []
    for layout, axes in zip(layouts, found, strict=True):
        shape = [str(axes[k][1].nsamples) for k in order]
        counts.append(f"{layout.path!r} has {' x '.join(shape)}")
    grid = SampleGrid(tuple(found[0][k][1] for k in order))
    if any([axes[k][1].nsamples for k in order] != list(grid.shape) for axes in found):
        msg = f"the arrays have different numbers of samples: {', '.join(counts)}"
        raise ValueError(msg)
    if grid.nsamples > np.iinfo(np.int64).max:
        msg = f"{' x '.join(map(str, grid.shape))} samples are more than 64 bits can count"
        raise ValueError(msg)
    for layout in layouts:
        if lengths and layout.dtype.kind == "T":
            raise DataTypeError(
                f"array {layout.path!r} has strings of any length: no windows of such",
                store=layout.store.name,
                key=layout.path,
                hint="Make numbers of them first, or take samples with axis= alone",
            )
    wanted = [None] * len(layouts) if crops is None else list(crops)
    if len(wanted) != len(layouts):
        msg = f"{len(wanted)} crops for {len(layouts)} arrays"
        raise ValueError(msg)
    return grid, tuple(
        _place(layout, grid, tuple(axes[k][0] for k in order), crop)
        for layout, axes, crop in zip(layouts, found, wanted, strict=True)
    )


def _parse_lengths(value: object, what: str, *, least: int) -> dict[AxisKey, int]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        msg = f"{what} must be a mapping from axes to lengths, not {type(value).__name__}"
        raise TypeError(msg)
    return {
        _parse_key(key, what): whole_number(n, f"{what}[{key!r}]", least=least)
        for key, n in value.items()
    }


def _parse_keys(
    axis: AxisKey | Sequence[AxisKey] | None, *, has_windows: bool
) -> tuple[AxisKey, ...]:
    if axis is None:
        return () if has_windows else (0,)
    if isinstance(axis, Sequence) and not isinstance(axis, str):
        return tuple(_parse_key(key, "axis") for key in axis)
    return (_parse_key(axis, "axis"),)


def _parse_key(key: object, what: str) -> AxisKey:
    return key if isinstance(key, str) else whole_number(cast("int", key), f"an axis of {what}")


def _find_axes(
    layout: ArrayLayout,
    points: tuple[AxisKey, ...],
    lengths: dict[AxisKey, int],
    overlap: dict[AxisKey, int],
) -> list[tuple[int, SampledAxis]]:
    """The sampled axes of one array: its points first, then its windows."""
    shape = layout.metadata.shape
    if not shape:
        msg = f"array {layout.path!r} has no axis along which there could be samples"
        raise ValueError(msg)
    found = [(_axis_of(layout, key), None, key) for key in points]
    windowed = [(_axis_of(layout, key), n, key) for key, n in lengths.items()]
    shared = {_axis_of(layout, key): n for key, n in overlap.items()}
    for key, a in zip(overlap, shared, strict=False):
        if a not in {number for number, _, _ in windowed}:
            msg = f"overlap names axis {key!r}, and there are no windows along it"
            raise ValueError(msg)
    axes: list[tuple[int, SampledAxis]] = []
    for a, window, key in [*found, *windowed]:
        if any(a == other for other, _ in axes):
            msg = f"axis {key!r} of array {layout.path!r} is named twice"
            raise ValueError(msg)
        if window is None:
            axes.append((a, SampledAxis(None, 1, shape[a])))
            continue
        step = window - shared.get(a, 0)
        if step < 1:
            msg = f"windows of {window} along axis {key!r} cannot overlap by {shared[a]}"
            raise ValueError(msg)
        if window > shape[a]:
            msg = (
                f"a window of {window} is longer than axis {key!r} of array {layout.path!r}, "
                f"which has {shape[a]} elements"
            )
            raise ValueError(msg)
        axes.append((a, SampledAxis(window, step, (shape[a] - window) // step + 1)))
    return axes


def _axis_of(layout: ArrayLayout, key: AxisKey) -> int:
    shape, names = layout.metadata.shape, layout.metadata.dimension_names
    if isinstance(key, str):
        if names is None or key not in names:
            given = "none" if names is None else ", ".join(map(repr, names))
            msg = f"array {layout.path!r} has no dimension {key!r}; its names: {given}"
            raise ValueError(msg)
        return names.index(key)
    if not -len(shape) <= key < len(shape):
        msg = f"array {layout.path!r} of {len(shape)} dimensions has no axis {key}"
        raise ValueError(msg)
    return key % len(shape)


def _place(
    layout: ArrayLayout,
    grid: SampleGrid,
    sampled: tuple[int, ...],
    wanted: Sequence[slice] | None,
) -> Placement:
    lengths = list(layout.metadata.shape)
    dropped = set()
    for a, axis in zip(sampled, grid.axes, strict=True):
        lengths[a] = axis.window or 1
        if axis.window is None:
            dropped.add(a)
    own = [a for a in range(len(lengths)) if a not in dropped]
    crop = [(0, n) for n in lengths]
    if wanted is not None:
        if len(wanted) != len(own):
            msg = f"{len(wanted)} slices for samples of {len(own)} axes of array {layout.path!r}"
            raise ValueError(msg)
        for a, part in zip(own, wanted, strict=True):
            crop[a] = _parse_crop(part, lengths[a], layout)
    return Placement(layout, grid, sampled, tuple(crop))


def _parse_crop(part: object, length: int, layout: ArrayLayout) -> tuple[int, int]:
    if not isinstance(part, slice):
        msg = f"a crop is made of slices, not {part!r:.80}"
        raise TypeError(msg)
    start = 0 if part.start is None else part.start
    stop = length if part.stop is None else part.stop
    if part.step not in (None, 1) or not 0 <= start < max(stop, 1) or stop > length:
        msg = f"crop {part} is not inside a sample of array {layout.path!r}: {length} elements"
        raise ValueError(msg)
    return start, stop - start
