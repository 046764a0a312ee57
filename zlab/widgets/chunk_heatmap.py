"""The chunk heatmap: which chunks of an array are stored, and in how many bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from zlab.array import Array
from zlab.stream.arguments import check_kind
from zlab.tools.chunk_plane import cut_plane, plan_cut, read_sizes
from zlab.widgets.bundles import read_bundle

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_CHUNKS = 1 << 24


class ChunkHeatmap(anywidget.AnyWidget):
    """Draws a plane of an array's chunk grid.

    Set `axes` and `index` to draw another plane, and observe `selected` to hear of clicks. The
    sizes are read when the widget is made, and again by `refresh`.

    Args:
        array: A zlab array.
        axes: The axes drawn as rows and columns; by default the two with the most chunks.
        index: The chunk coordinate on every axis, for those that are not drawn; by default 0.

    Raises:
        TypeError: `array` is not a zlab array.
        SelectionError: The axes or the index do not fit the array.
        MemoryBudgetError: The array has more chunks than a browser can draw.
        StoreError: The storage failed.

    Example:
        >>> import zlab
        >>> array = zlab.create_array(
        ...     "memory://", path="a", shape=(8, 8), chunks=(1, 4), dtype="f4"
        ... )
        >>> zlab.widgets.ChunkHeatmap(array)
        ChunkHeatmap('a', 8x2 chunks)
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _header = traitlets.Dict().tag(sync=True)
    _data = traitlets.Bytes().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    axes = traitlets.List(traitlets.Int()).tag(sync=True)
    index = traitlets.List(traitlets.Int()).tag(sync=True)
    selected = traitlets.List(traitlets.Int()).tag(sync=True)

    def __init__(
        self,
        array: Array,
        axes: Sequence[int] | None = None,
        index: Sequence[int] | None = None,
    ) -> None:
        check_kind(array, Array, "array", "a zlab.Array")
        self._array = array
        self._sizes = read_sizes(array, _MAX_CHUNKS)
        cut = plan_cut(self._sizes.shape, axes, index)
        super().__init__(
            _esm=read_bundle("chunk_heatmap"),
            title=array.path or array.store.name,
            axes=list(cut.axes),
            index=list(cut.index),
            **self._draw(cut.axes, cut.index),
        )

    def refresh(self) -> None:
        """Reads the sizes again, after chunks were written or deleted."""
        self._sizes = read_sizes(self._array, _MAX_CHUNKS)
        self._redraw()

    def __repr__(self) -> str:
        shape = "x".join(str(length) for length in self._header["shape"])
        return f"ChunkHeatmap({self.title!r}, {shape} chunks)"

    def _draw(self, axes: Sequence[int], index: Sequence[int]) -> dict[str, Any]:
        array = self._array
        cut = plan_cut(self._sizes.shape, axes, index)
        plane = cut_plane(self._sizes, cut, array.chunks, array.shards)
        return {
            "_header": plane.header(array.store.name, array.path),
            "_data": plane.payload(),
        }

    def _redraw(self) -> None:
        with self.hold_sync():  # the page must never see the header of one plane on another
            for name, value in self._draw(self.axes, self.index).items():
                setattr(self, name, value)

    @traitlets.validate("axes", "index")
    def _check_plane(self, proposal: Any) -> list[int]:
        proposed = {"axes": self.axes, "index": self.index, proposal.trait.name: proposal.value}
        plan_cut(self._sizes.shape, **proposed)
        return list(proposal.value)

    @traitlets.observe("axes", "index")
    def _on_plane(self, _change: object) -> None:
        self._redraw()
