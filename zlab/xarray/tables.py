"""The variables of a dataset as a lazy table of Polars', with its coordinates as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zlab.xarray.sources import whole_source

if TYPE_CHECKING:
    import polars as pl
    import xarray as xr

    from zlab.array import Array
    from zlab.xarray.sources import Source


def scan_dataset(dataset: xr.Dataset, **options: Any) -> pl.LazyFrame:
    """The table; `Dataset.zlab.scan` tells what the arguments mean."""
    from zlab.polars import scan  # noqa: PLC0415  whoever is here wants Polars

    arrays: dict[str, Array] = {}
    renamed: dict[str, str] = {}
    for name, variable in dataset.data_vars.items():
        source = whole_source(name, variable.variable, "a table is")
        if source.decoding:
            msg = (
                f"xarray decodes {name!r}, and Polars would read it as it is stored: open with "
                "mask_and_scale=False and decode the column, or make frames of the blocks of "
                "Dataset.zlab.stream"
            )
            raise ValueError(msg)
        arrays[str(name)] = source.array
        renamed |= _stored_names(source, variable.variable)
    coords = {
        stored: dataset.indexes[shown].to_numpy()
        for stored, shown in renamed.items()
        if shown in dataset.indexes
    }
    frame = scan(arrays, coords=coords, **options)
    differing = {stored: shown for stored, shown in renamed.items() if stored != shown}
    return frame.rename(differing, strict=False) if differing else frame


def _stored_names(source: Source, variable: xr.Variable) -> dict[str, str]:
    """What Polars calls each dimension, and what xarray does."""
    names = source.array.dimension_names or (None,) * source.array.ndim
    return {
        stored or f"dim_{axis}": str(shown)
        for axis, (stored, shown) in enumerate(zip(names, variable.dims, strict=True))
    }
