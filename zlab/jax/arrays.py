"""An array in a store as one `jax.Array`, on one device or on many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import numpy as np
from jax.sharding import Sharding, SingleDeviceSharding

from zlab.array import Array
from zlab.array.indexing import parse_selection
from zlab.engine.points import read_points
from zlab.engine.read import read_region
from zlab.engine.selection import Region, Span
from zlab.jax.device import to_device
from zlab.jax.dtypes import chosen_dtype, convert_into, converted, title_of
from zlab.memory import aligned_empty
from zlab.stream.arguments import check_kind
from zlab.stream.chunks import stream_chunks

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.engine.selection import Selection

Bounds: TypeAlias = tuple[tuple[int, int], ...]
"""Where a part of an array lies: from and up to along each axis."""


def to_array(
    array: Array,
    selection: Selection | jax.Array = ...,
    *,
    device: jax.Device | None = None,
    sharding: Sharding | None = None,
    dtype: DTypeLike | None = None,
) -> jax.Array:
    """Reads a selection as a `jax.Array`.

    It is read on all cores, into memory that the CPU takes over without a copy. With a sharding,
    what lies on a device is read for it alone; what lies on several is read once. A chunk that has
    parts on several devices is decoded for each, unless the array was opened with a cache.

    Args:
        array: The array.
        selection: As between the brackets of `zlab.Array`, `{"time": 0}` for named dimensions
            among them; all of it by default. Index arrays may be tensors.
        device: Where it goes; JAX's default device by default.
        sharding: Over which devices it is divided. Each process reads for its own devices.
        dtype: Cast to this dtype, as NumPy does it.

    Returns:
        An array of the selection's shape; without axes where every axis is selected by an integer.

    Raises:
        DataTypeError: JAX has no such type, or would cast it: 64 bits with x64 off.
        SelectionError: The selection does not fit the array.
        TypeError: An argument is not what its name says, or both `device` and `sharding` are given.
        ValueError: The selection cannot be divided as the sharding says. These are found before
            anything is read.
        ChunkReadError: A chunk that is there could not be read or decoded.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(6, dtype="int32").reshape(2, 3))
        >>> zlab.jax.to_array(array, (slice(None), slice(1, None)))
        Array([[1, 2],
               [4, 5]], dtype=int32)
    """
    check_kind(array, Array, "array", "a zlab.Array")
    if device is not None and sharding is not None:
        msg = "device= and sharding= both say where the array goes: give one of them"
        raise TypeError(msg)
    if device is not None:
        check_kind(device, jax.Device, "device", "a jax.Device, as jax.devices() lists")
    if sharding is not None:
        check_kind(sharding, Sharding, "sharding", "a jax.sharding.Sharding")
    what = title_of(array)
    target = chosen_dtype(array.dtype, dtype, what)
    layout, wanted = array.layout, parse_selection(array, _on_host(selection))
    if sharding is None:
        return to_device(_read(layout, wanted, target), device, what)
    shape = wanted.shape if isinstance(wanted, Region) else wanted[0].shape
    parts = []
    for bounds, devices in divide(shape, sharding).items():
        box = tuple(slice(start, stop) for start, stop in bounds)
        part = wanted.part(box) if isinstance(wanted, Region) else tuple(i[box] for i in wanted)
        data = _read(layout, part, target)
        for each in devices:
            place = SingleDeviceSharding(each, memory_kind=sharding.memory_kind)
            parts.append(to_device(data, place, what))
    return jax.make_array_from_single_device_arrays(shape, sharding, parts)


def _on_host(selection: Any) -> Any:
    """A selection whose index arrays are NumPy's."""
    if isinstance(selection, Mapping):
        return {name: _on_host(index) for name, index in selection.items()}
    if isinstance(selection, tuple):
        return tuple(map(_on_host, selection))
    return np.asarray(selection) if isinstance(selection, jax.Array) else selection


def _read(
    layout: ArrayLayout, wanted: Region | tuple[NDArray[np.intp], ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Reads, and casts where the dtype is another than the array's."""
    if not isinstance(wanted, Region):
        return converted(read_points(layout, wanted), dtype)
    box = _box(wanted)
    if dtype == layout.dtype or box is None or layout.access.cache is not None:
        return converted(read_region(layout, wanted), dtype)
    # chunk by chunk, so that no more than a few of them are held besides the result
    out = aligned_empty(wanted.shape, dtype)
    placed = out.reshape(wanted.box_shape)
    for chunk in stream_chunks(layout, region=box, include_missing=True, ordered=False):
        target = tuple(
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(chunk.region, box, strict=True)
        )
        convert_into(placed[target], chunk.data)
        del chunk
    return out


def _box(region: Region) -> tuple[slice, ...] | None:
    """The region as slices; `None` where it has steps, runs backwards or picks elements."""
    spans = [span for span in region.spans if isinstance(span, Span) and span.step == 1]
    if len(spans) < len(region.spans) or region.reversed_axes:
        return None
    return tuple(slice(span.start, span.start + span.count) for span in spans)


def divide(shape: tuple[int, ...], sharding: Sharding) -> dict[Bounds, list[jax.Device]]:
    """Which parts of an array lie on which devices of this process.

    Args:
        shape: Of the array.
        sharding: Divides it.

    Raises:
        ValueError: It cannot be divided so.
    """
    try:
        indices = sharding.addressable_devices_indices_map(shape)
    except (ValueError, IndexError) as error:
        msg = (
            f"an array of shape {shape} cannot be divided as the sharding says: JAX wants every "
            "axis to be a multiple of the number of its parts. Select so much that it is, or "
            "leave the axis whole"
        )
        raise ValueError(msg) from error
    parts: dict[Bounds, list[jax.Device]] = {}
    for device, index in indices.items():
        parts.setdefault(bounds_of(index, shape), []).append(device)
    return parts


def bounds_of(index: tuple[slice, ...] | None, shape: tuple[int, ...]) -> Bounds:
    """Where a part lies that JAX names by slices; `None` is all of it."""
    slices = index or (slice(None),) * len(shape)
    return tuple(part.indices(n)[:2] for part, n in zip(slices, shape, strict=True))
