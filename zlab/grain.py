"""Aligned arrays in a store as a data source of grain.

grain chooses the order, and batches, repeats and shards; zlab reads. The source keeps to grain's
protocol and does not import it.

Example:
    >>> import numpy as np, zlab
    >>> image = zlab.create_array({}, data=np.zeros((10, 8, 8), "float32"))
    >>> label = zlab.create_array({}, data=np.arange(10))
    >>> source = zlab.grain.Source({"image": image, "label": label})
    >>> len(source), source[3]["image"].shape, int(source[3]["label"])
    (10, (8, 8), 3)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex, final

from zlab.group.aligned import Aligned
from zlab.samples.source import SampleSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zlab.group.aligned import Arrays
    from zlab.samples.grid import AxisKey, AxisLengths
    from zlab.samples.source import SourceReport

__all__ = ["Source"]


@final
class Source:
    """A `grain.sources.RandomAccessDataSource`: samples by their numbers, read in any thread.

    It shows the arrays as they are when it is made. Since grain shuffles over all samples, decoded
    chunks are kept, up to a bound; `report` tells how often they were decoded all the same. Where
    that is often, `zlab.jax.Loader` with `shuffle="window"` decodes each chunk once an epoch.

    To grain's worker processes it travels as a description: each opens the stores itself, and has
    a cache of its own.

    Args:
        arrays: An array, or several of the same number of samples: a group, or a tuple, list or
            mapping of arrays, also nested. A sample is the same structure of NumPy arrays.
        axis: Axes along which a sample is one index, by number or name; by default the first one,
            or none where there are windows.
        windows: Along which axes a sample is a window, and its length. Windows that are not
            complete are left out.
        overlap: Elements that neighbouring windows share; none by default.
        cache: Bytes of decoded chunks that are kept, in each process; a quarter of
            `zlab.settings.memory_budget` by default.

    Raises:
        TypeError: An argument is not what its name says.
        ValueError: The arrays do not have these axes, or different numbers of samples, or a number
            is out of range.

    Example:
        >>> import numpy as np, zlab
        >>> series = zlab.create_array({}, data=np.arange(10), dimension_names=["time"])
        >>> source = zlab.grain.Source(series, windows={"time": 4}, overlap={"time": 2})
        >>> [window.tolist() for window in source]
        [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9]]
    """

    def __init__(
        self,
        arrays: Arrays,
        *,
        axis: AxisKey | Sequence[AxisKey] | None = None,
        windows: AxisLengths | None = None,
        overlap: AxisLengths | None = None,
        cache: int | None = None,
    ) -> None:
        self._aligned = Aligned.of(arrays)
        self._sampled = f"axis={axis!r}, windows={windows!r}, overlap={overlap!r}"
        self._samples = SampleSource(
            [array.layout for array in self._aligned.arrays],
            axis=axis,
            windows=windows,
            overlap=overlap,
            cache=cache,
        )

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: SupportsIndex) -> Any:
        """A sample, in memory of its own.

        Raises:
            SelectionError: There is no sample of this number, an `IndexError`; none is negative.
            ChunkReadError: A chunk that is there could not be read or decoded.
        """
        return self._aligned.build(self._samples.read(index))

    def _getitems(self, indices: Sequence[int]) -> list[Any]:
        """Several samples at once, as grain asks where it pushes batches down to the source."""
        parts = self._samples.read_many(indices)
        return [
            self._aligned.build(part[place, ...] for part in parts) for place in range(len(indices))
        ]

    def report(self) -> SourceReport:
        """How many samples were read in this process, and how many chunks decoded for them.

        Example:
            >>> import numpy as np, zlab
            >>> source = zlab.grain.Source(zlab.create_array({}, data=np.arange(8), chunks=4))
            >>> _ = [source[number] for number in (0, 7, 1, 6)]
            >>> source.report().ndecoded, source.report().decodes_per_sample
            (2, 0.5)
        """
        return self._samples.report()

    def __repr__(self) -> str:
        # grain compares it with the one that a checkpoint was saved with, perhaps on another
        # machine: it says what the samples are, not where
        pairs = zip(self._aligned.names, self._samples.layouts, strict=True)
        arrays = ", ".join(
            f"{name}: {layout.path!r} {layout.metadata.shape} {layout.dtype}"
            for name, layout in pairs
        )
        return f"zlab.grain.Source({len(self)} samples, {self._sampled}, {arrays})"
