"""An array of zarr-python in its store, read and written by the engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from zlab.config import settings
from zlab.engine.layout import ArrayLayout
from zlab.engine.points import read_points, write_points
from zlab.engine.read import read_region
from zlab.engine.selection import Span
from zlab.engine.workers import Team
from zlab.engine.write import write_region
from zlab.memory import aligned_empty
from zlab.zarr.adapt import ZarrStore, native
from zlab.zarr.batch import box_of, kind_of, points_of, region_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from zarr.abc.store import Store as AbstractStore

    from zlab.engine.selection import Region
    from zlab.zarr.batch import Item, Kind
    from zlab.zarr.model import Model

    Work: TypeAlias = Callable[[], None]

_QUICK_NBYTES = 1 << 18  # of one local chunk: decoded faster than handed over to another thread


@dataclass(frozen=True, slots=True)
class Bound:
    """An array in a store.

    Attributes:
        given: The store of zarr-python.
        loop: The event loop that its coroutines run on.
        layout: The array, as the engine sees it.
        is_foreign: Some codec is zarr-python's, which may need the event loop.
    """

    given: AbstractStore
    loop: asyncio.AbstractEventLoop
    layout: ArrayLayout
    is_foreign: bool

    @classmethod
    def of(
        cls, model: Model, store: AbstractStore, key: str, loop: asyncio.AbstractEventLoop
    ) -> Bound | None:
        """The array that has a chunk with this key; `None` where its keys are not understood."""
        own = native(store, read_only=store.read_only) or ZarrStore(store, loop=loop)
        parts = key.split("/")
        # the shortest end of the key that is a chunk's key: the rest is the array's path
        for count in range(1, len(parts) + 1):
            layout = ArrayLayout(own, "/".join(parts[:-count]), model.array)
            if layout.coords_of(key) is not None:
                return cls(store, loop, layout, model.is_foreign)
        return None

    def is_quick(self, items: Sequence[Item]) -> bool:
        """Whether a batch is read faster than it is handed over to another thread."""
        if len(items) > 1 or not self.layout.store.local or self.is_foreign:
            return False
        chunk = self.layout.chunks.stored_shape((0,) * len(items[0].spec.shape))
        return prod(chunk) * self.layout.dtype.itemsize <= _QUICK_NBYTES

    def reading(self, items: Sequence[Item], out: Any, drop_axes: tuple[int, ...]) -> Work | None:
        """What reads a batch when it is called; `None` where zarr-python has to."""
        layout = self.layout
        kind = self._kind(items)
        if kind is None or not isinstance(out, np.ndarray) or not _fits(out.dtype, layout.dtype):
            return None
        if kind == "box":
            box = box_of(layout, items)
            if box is None or box.shape != out.shape:
                return None
            return lambda: self._read_box(box, out)
        if kind == "points":
            found = points_of(layout, items)
            if found is None:
                return None
            points, places = found
            return lambda: out.__setitem__(places, read_points(layout, points))
        regions = self._regions(items)
        if regions is None:
            return None

        def read(pair: tuple[Item, Region]) -> None:
            item, region = pair
            part = read_region(layout, region)
            out[item.target] = part.squeeze(drop_axes) if drop_axes else part

        return lambda: self._each(regions, read)

    def _read_box(self, box: Region, out: NDArray[Any]) -> None:
        if out.dtype == self.layout.dtype:
            read_region(self.layout, box, out)
            return
        native_out = aligned_empty(out.shape, self.layout.dtype)
        read_region(self.layout, box, native_out)
        out[...] = native_out

    def writing(self, items: Sequence[Item], value: Any, drop_axes: tuple[int, ...]) -> Work | None:
        """What writes a batch when it is called; `None` where zarr-python has to."""
        layout = self.layout
        kind = self._kind(items)
        if (
            kind is None
            or not isinstance(value, np.ndarray)
            or not _fits(value.dtype, layout.dtype)
        ):
            return None
        keep_empty = bool(items[0].spec.config.write_empty_chunks)
        value = value.astype(layout.dtype, copy=False)
        if kind == "box":
            box = box_of(layout, items)
            if box is None or (value.ndim and value.shape != box.shape):
                return None
            if all(item.is_complete for item in items):
                layout = _ending(layout, box)
            return lambda: write_region(layout, box, value, write_empty_chunks=keep_empty)
        if kind == "points":
            found = points_of(layout, items)
            if found is None:
                return None
            points, places = found
            values = value if value.ndim == 0 else value.reshape(-1)[places]
            return lambda: write_points(layout, points, values, write_empty_chunks=keep_empty)
        regions = self._regions(items)
        if regions is None:
            return None

        def write(pair: tuple[Item, Region]) -> None:
            item, region = pair
            part = np.expand_dims(value[item.target], drop_axes) if value.ndim else value
            write_region(layout, region, part, write_empty_chunks=keep_empty)

        return lambda: self._each(regions, write)

    def results(self, keys: Sequence[str]) -> tuple[dict[str, str], ...]:
        """For each key whether there is such an object."""
        found: dict[str, str] = {}

        def look(key: str) -> None:
            found[key] = "missing" if self.layout.store.nbytes(key) is None else "present"

        self._each(keys, look)
        return tuple({"status": found[key]} for key in keys)

    def _each(self, units: Sequence[Any], work: Callable[[Any], None]) -> None:
        local = self.layout.store.local
        width = settings.threads if local else settings.fetch_concurrency
        Team(units, work).run(min(width, len(units)), caller_works=local)

    def _kind(self, items: Sequence[Item]) -> Kind | None:
        """How all of the items select; `None` where they differ."""
        kind = kind_of(items[0])
        if kind == "box":
            return kind  # each item is checked when they are put together
        is_one = all(kind_of(item) == kind and item.path.store is self.given for item in items)
        return kind if is_one else None

    def _regions(self, items: Sequence[Item]) -> list[tuple[Item, Region]] | None:
        pairs: list[tuple[Item, Region]] = []
        for item in items:
            region = region_of(self.layout, item)
            if region is None:
                return None
            pairs.append((item, region))
        return pairs


def _ending(layout: ArrayLayout, box: Region) -> ArrayLayout:
    """The array with its end where a box ends: what is cut there is all that the array has."""
    # complete objects are taken without steps
    shape = tuple(span.start + span.count for span in box.spans if isinstance(span, Span))
    return ArrayLayout(layout.node_store, layout.path, replace(layout.metadata, shape=shape))


def _fits(given: np.dtype[Any], own: np.dtype[Any]) -> bool:
    """Whether a dtype is the array's, in whatever byte order."""
    if given == own:
        return True
    return given.kind not in "TO" and given.newbyteorder("=") == own
