"""Single samples by their numbers, for PyTorch's samplers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex, final

import torch.utils.data

from zlab.group.aligned import Aligned
from zlab.samples.source import SampleSource
from zlab.torch.tensors import check_dtype, tensor_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zlab.group.aligned import Arrays
    from zlab.samples.grid import AxisKey, AxisLengths
    from zlab.samples.source import SourceReport


@final
class MapDataset(torch.utils.data.Dataset[Any]):  # type: ignore[misc, unused-ignore]
    """A map-style dataset: samples in the order of a sampler of PyTorch's.

    A `DataLoader` asks for all samples of a batch at once; the chunks that they need are decoded
    on all cores, and kept up to a bound, since a sampler shuffles over all samples. `report` tells
    how often chunks were decoded all the same. Where that is often, `zlab.torch.Dataset` with
    `shuffle="window"` decodes each chunk once an epoch.

    Args:
        arrays: An array, or several of the same number of samples: a group, or a tuple, list or
            mapping of arrays, also nested. A sample is the same structure of tensors.
        axis: Axes along which a sample is one index, by number or name; by default the first one,
            or none where there are windows.
        windows: Along which axes a sample is a window, and its length. Windows that are not
            complete are left out.
        overlap: Elements that neighbouring windows share; none by default.
        cache: Bytes of decoded chunks that are kept, in each process; a quarter of
            `zlab.settings.memory_budget` by default.

    Raises:
        DataTypeError: PyTorch has no such data type.
        TypeError: An argument is not what its name says.
        ValueError: The arrays do not have these axes, or different numbers of samples, or a number
            is out of range.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(10), chunks=5)
        >>> dataset = zlab.torch.MapDataset(array)
        >>> loader = torch.utils.data.DataLoader(dataset, batch_size=5, shuffle=True)
        >>> sorted(torch.cat(list(loader)).tolist())
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        >>> dataset.report().ndecoded
        2
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
        layouts = [array.layout for array in self._aligned.arrays]
        for name, layout in zip(self._aligned.names, layouts, strict=True):
            check_dtype(layout.dtype, name)
        self._samples = SampleSource(
            layouts, axis=axis, windows=windows, overlap=overlap, cache=cache
        )

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: SupportsIndex) -> Any:
        """A sample, in memory of its own.

        Raises:
            SelectionError: There is no sample of this number, an `IndexError`; none is negative.
            ChunkReadError: A chunk that is there could not be read or decoded.
        """
        return self._aligned.build(map(tensor_of, self._samples.read(index)))

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The samples of a batch, as PyTorch's loader asks for them."""
        parts = [tensor_of(part) for part in self._samples.read_many(indices)]
        return [self._aligned.build(part[place] for part in parts) for place in range(len(indices))]

    def report(self) -> SourceReport:
        """How many samples were read in this process, and how many chunks decoded for them."""
        return self._samples.report()
