"""Which part of a batch the devices of a process hold: what it has to read, and nothing else.

A batch is one global array over the devices of all processes. Processes whose devices hold the
same samples read the same share of it; those whose devices hold parts of samples read a crop.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from zlab.samples import Share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import jax

    Shape: TypeAlias = tuple[int, ...]
    Interval: TypeAlias = tuple[int, int]
    Intervals: TypeAlias = tuple[Interval, ...]


class Need(NamedTuple):
    """What a process reads of each batch.

    Attributes:
        share: Which samples, of all hosts' shares.
        crops: Of each array, which part of a sample: slices of the axes behind the first.
    """

    share: Share
    crops: tuple[tuple[slice, ...], ...]

    def crops_samples(self, sample_shapes: Sequence[Shape]) -> bool:
        """Whether samples, of which the whole shapes are given, are read in part."""
        return any(
            part.stop - part.start != length
            for crop, shape in zip(self.crops, sample_shapes, strict=True)
            for part, length in zip(crop, shape, strict=True)
        )


def need_of(
    shardings: Sequence[jax.sharding.Sharding],
    shapes: Sequence[Shape],
    names: Sequence[str],
    process: int,
) -> Need:
    """What a process needs of each batch.

    Args:
        shardings: Of the arrays of a batch.
        shapes: Their global shapes, samples along the first axis.
        names: What errors call them.
        process: Its number, as `jax.process_index` has it.

    Raises:
        ValueError: The process has no device among them, the arrays are not cut into the same
            samples, or processes hold some samples together and others apart.
    """
    places = [_held(sharding, shape) for sharding, shape in zip(shardings, shapes, strict=True)]
    rows = {owner: held[0] for owner, held in places[0].items()}
    if process not in rows:
        msg = (
            f"sharding= has no device of this process: {process}, and its devices are of "
            f"{', '.join(map(str, sorted(rows)))}"
        )
        raise ValueError(msg)
    for name, place in zip(names, places, strict=True):
        for owner, held in place.items():
            if held[0] != rows.get(owner):
                msg = (
                    f"process {owner} has samples {_words(rows.get(owner, ()))} of {names[0]} and "
                    f"{_words(held[0])} of {name}. Cut the first axis of all arrays over the same "
                    "axes of the mesh"
                )
                raise ValueError(msg)
    crops = tuple(_crop(place[process], shape) for place, shape in zip(places, shapes, strict=True))
    return Need(_share(rows, process), crops)


def _held(sharding: jax.sharding.Sharding, shape: Shape) -> dict[int, list[Intervals]]:
    """For each process and axis, the indices that its devices hold."""
    pairs: dict[int, list[set[Interval]]] = {}
    device: Any  # JAX tells mypy nothing of it
    for device, index in sharding.devices_indices_map(shape).items():
        of_axes = pairs.setdefault(device.process_index, [set() for _ in shape])
        for held, part, length in zip(of_axes, index, shape, strict=True):
            start, stop, _ = part.indices(length)
            held.add((start, stop))
    return {process: list(map(_merged, of_axes)) for process, of_axes in pairs.items()}


def _merged(intervals: set[Interval]) -> Intervals:
    merged: list[Interval] = []
    for start, stop in sorted(intervals):
        if merged and start <= merged[-1][1]:
            start, stop = merged[-1][0], max(stop, merged[-1][1])  # noqa: PLW2901  the two are one
            merged.pop()
        merged.append((start, stop))
    return tuple(merged)


def _share(rows: Mapping[int, Intervals], process: int) -> Share:
    shares = sorted(set(rows.values()))
    pieces = sorted((interval, share) for share in shares for interval in share)
    for ((_, stop), one), ((start, _), other) in pairwise(pieces):
        if start < stop:
            msg = (
                f"a process has samples {_words(one)} of a batch and another {_words(other)}: two "
                "processes must have the same samples, or none in common. Order the devices of "
                "the mesh by process"
            )
            raise ValueError(msg)
    sizes = [sum(stop - start for start, stop in share) for share in shares]
    if len(set(sizes)) > 1:
        msg = (
            f"processes have {min(sizes)} to {max(sizes)} samples of a batch: each must have as "
            "many. Give the mesh as many devices of each process"
        )
        raise ValueError(msg)
    return Share(shares.index(rows[process]), len(shares))


def _crop(held: Sequence[Intervals], shape: Shape) -> tuple[slice, ...]:
    """Parts that lie apart are read with what is between them."""
    return tuple(
        slice(*intervals[0]) if len(intervals) == 1 else slice(0, length)
        for intervals, length in zip(held[1:], shape[1:], strict=True)
    )


def _words(intervals: Intervals) -> str:
    return " and ".join(f"{start}:{stop}" for start, stop in intervals) or "none"
