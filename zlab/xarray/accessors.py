"""`Dataset.zlab` and `DataArray.zlab`: streams and batches of what xarray opened with zlab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, final

import xarray as xr

from zlab.xarray.batches import load_batches
from zlab.xarray.blocks import stream_blocks
from zlab.xarray.sources import NoSourceError, source_of
from zlab.xarray.tables import scan_dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    import polars as pl

    from zlab.array import Array
    from zlab.jax.loader import Loader
    from zlab.stream.stream import Derived, Progress
    from zlab.xarray.blocks import Blocks
    from zlab.xarray.variables import By

    AxisKey = Hashable


@final
@xr.register_dataset_accessor("zlab")  # type: ignore[no-untyped-call]  # xarray's
class DatasetAccessor:
    """What zlab adds to a dataset that `engine="zlab"` opened: `dataset.zlab`.

    Args:
        dataset: The dataset.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    @property
    def arrays(self) -> dict[Hashable, Array]:
        """The arrays that lazy variables are read from, as they are stored.

        Example:
            >>> import numpy as np, xarray as xr, zlab
            >>> group = zlab.create_group({})
            >>> _ = group.create_array("t", data=np.arange(4), dimension_names=["time"])
            >>> xr.open_dataset(group, engine="zlab").isel(time=0).zlab.arrays["t"].shape
            (4,)
        """
        found: dict[Hashable, Array] = {}
        for name, variable in self._dataset.variables.items():
            try:
                found[name] = source_of(variable).array
            except NoSourceError:
                continue
        return found

    def stream(
        self,
        *,
        blocks: Mapping[Hashable, int] | None = None,
        by: By = "chunk",
        concurrency: int | None = None,
        ordered: bool = True,
        max_bytes: int | None = None,
        progress: Progress = None,
    ) -> Blocks:
        """The dataset in blocks, read ahead in bounded memory.

        A block is a `Dataset` in memory, with its coordinates, and decoded as the dataset is. Cut
        are the dimensions that all variables of the most dimensions have, where the chunks of all
        of these begin: so each of their chunks is read once. Variables without a dimension that is
        cut are read once, others for each block. Variables that dask computes are cut by dask's
        chunks, and those in memory by `blocks` alone.

        Args:
            blocks: Lengths along dimensions, instead of where the chunks begin; -1 for the whole
                dimension.
            by: Blocks of chunks, or (`"shard"`) of the shards of sharded arrays.
            concurrency: Blocks that are read at once; by default as many as keep the store and the
                cores busy.
            ordered: In C order of the dimensions, else as they come.
            max_bytes: Bytes that are being read or wait for the consumer, at most;
                `zlab.settings.memory_budget` by default.
            progress: Told after each block how far an iteration has come; `True` for a bar.

        Returns:
            A stream, to be iterated with `for` or `async for` any number of times.

        Raises:
            TypeError: An argument is not what its name says.
            ValueError: There is no such dimension, or a number is out of range.
            MemoryBudgetError: A block is larger than `max_bytes`.
            ChunkReadError: Raised by the iteration.

        Example:
            >>> import numpy as np, xarray as xr, zlab
            >>> group = zlab.create_group({})
            >>> names = ["time", "x"]
            >>> values = np.arange(8.0).reshape(4, 2)
            >>> _ = group.create_array("t", data=values, chunks=(2, 2), dimension_names=names)
            >>> dataset = xr.open_dataset(group, engine="zlab")
            >>> [block.t.mean().item() for block in dataset.zlab.stream()]
            [1.5, 5.5]
        """
        return stream_blocks(
            self._dataset,
            blocks=blocks,
            by=by,
            concurrency=concurrency,
            ordered=ordered,
            max_bytes=max_bytes,
            progress=progress,
        )

    def batches(
        self,
        batch_size: int,
        *,
        x: Hashable | Sequence[Hashable] | None = None,
        y: Hashable | Sequence[Hashable] | None = None,
        axis: Hashable | Sequence[Hashable] | None = None,
        windows: Mapping[Any, int] | None = None,
        overlap: Mapping[Any, int] | None = None,
        shuffle: Literal["none", "window", "global"] = "none",
        seed: int | Sequence[int] | None = None,
        dtype: Any = None,
        transform: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> Loader:
        """Batches of `jax.Array` for a training loop, straight from the store.

        Values are those that xarray shows: what it decodes (masks, scales) is decoded in each
        batch. No worker processes, and nothing is kept in memory but the batches ahead.

        Args:
            batch_size: Samples of a batch.
            x: The variables of a batch: one name for an array, several for a dict of arrays. All
                data variables but those of `y` by default.
            y: The same for labels; a batch is then `(x, y)`.
            axis: Samples are what stands at one index of this dimension, or of these; the first
                one of the first variable by default, or none where there are windows.
            windows: Samples are windows of these lengths along these dimensions.
            overlap: How far windows overlap along these dimensions.
            shuffle: As for `zlab.jax.Loader`.
            seed: As for `zlab.jax.Loader`.
            dtype: Cast to this dtype, after decoding: one for all, or a mapping by variable.
            transform: A function of a batch, after decoding.
            **options: Those of `zlab.jax.Loader`: `drop_remainder`, `prefetch`, `sharding`,
                `epochs`, `lanes`, `max_bytes`, `progress`.

        Raises:
            MissingExtraError: JAX is not installed.
            ValueError: A variable is computed, in memory, a part of an array or read by another
                engine; or what `zlab.jax.Loader` raises.
            DataTypeError: JAX has no such type, or would cast it.

        Example:
            >>> import numpy as np, xarray as xr, zlab
            >>> group = zlab.create_group({})
            >>> values = np.arange(6, dtype="float32").reshape(3, 2)
            >>> _ = group.create_array("t", data=values, dimension_names=["time", "x"])
            >>> dataset = xr.open_dataset(group, engine="zlab")
            >>> [batch["t"].shape for batch in dataset.zlab.batches(2)]
            [(2, 2), (1, 2)]
        """
        return load_batches(
            self._dataset,
            batch_size,
            x=x,
            y=y,
            axis=axis,
            windows=windows,
            overlap=overlap,
            shuffle=shuffle,
            seed=seed,
            dtype=dtype,
            transform=transform,
            **options,
        )

    def scan(self, **options: Any) -> pl.LazyFrame:
        """A lazy table of Polars': a row for each element, a column for each variable.

        Coordinates become columns by the names of their dimensions, decoded, so that filters on
        them choose which chunks are read.

        Args:
            **options: Those of `zlab.polars.scan`, but `coords`.

        Raises:
            MissingExtraError: Polars is not installed.
            ValueError: The variables have different shapes; one is computed, in memory, a part of
                an array or read by another engine; or it is stored packed or masked, which Polars
                would not undo.
            DataTypeError: Polars has no type that holds the values exactly.

        Example:
            >>> import numpy as np, polars as pl, xarray as xr, zlab
            >>> store = zlab.create_group("memory://").store
            >>> days = np.array(["2024-01-01", "2024-01-02"], "M8[ns]")
            >>> cars = xr.Dataset({"cars": ("day", [3, 5])}, {"day": days})
            >>> reports = zlab.xarray.write(cars, store, mode="w")
            >>> table = xr.open_dataset(store, engine="zlab").zlab.scan()
            >>> table.filter(pl.col("day") > pl.date(2024, 1, 1)).collect()["cars"].to_list()
            [5]
        """
        return scan_dataset(self._dataset, **options)


@final
@xr.register_dataarray_accessor("zlab")  # type: ignore[no-untyped-call]  # xarray's
class DataArrayAccessor:
    """What zlab adds to a data array: `dataset["name"].zlab`.

    Args:
        array: The data array.
    """

    def __init__(self, array: xr.DataArray) -> None:
        self._array = array
        self._dataset = array._to_temp_dataset()  # noqa: SLF001  the one way that takes any name

    @property
    def array(self) -> Array:
        """The array in the store that the values are read from, as they are stored.

        Raises:
            ValueError: They are in memory, computed, or read by another engine.
        """
        try:
            return source_of(self._array.variable).array
        except NoSourceError as error:
            msg = f"there is no array behind this: {error}"
            raise ValueError(msg) from error

    def stream(self, **options: Any) -> Derived[xr.DataArray]:
        """The data array in blocks, which are `DataArray`s in memory.

        Args:
            **options: Those of `Dataset.zlab.stream`.
        """
        return stream_blocks(self._dataset, **options).map(self._array._from_temp_dataset)  # noqa: SLF001  as above

    def batches(self, batch_size: int, **options: Any) -> Loader:
        """Batches of `jax.Array`.

        Args:
            batch_size: Samples of a batch.
            **options: Those of `Dataset.zlab.batches` but `x` and `y`.
        """
        (name,) = self._dataset.data_vars
        return DatasetAccessor(self._dataset).batches(batch_size, x=name, **options)
