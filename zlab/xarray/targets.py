"""What a dataset is written to: new arrays, existing ones, or parts of these. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, final

import numpy as np
from xarray import conventions

from zlab.array.create import checked
from zlab.engine.layout import ArrayLayout
from zlab.engine.nodes import join
from zlab.errors import DataTypeError, NodeNotFoundError
from zlab.stream.arguments import check_kind
from zlab.xarray.encoding import check_encoding, encode, json_value, plan_variable
from zlab.xarray.variables import variable_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    import xarray as xr
    from xarray import Variable

    from zlab.array import Array
    from zlab.group import Group
    from zlab.metadata import ArrayMetadata, ZarrFormat
    from zlab.stores.base import Store
    from zlab.xarray.encoding import Encoded

RegionLike: TypeAlias = "Mapping[Any, slice | Literal['auto']] | Literal['auto']"
"""Slices of the existing variables by dimension, `"auto"` for those that are looked up."""


@final
@dataclass(frozen=True, slots=True)
class Target:
    """What one variable is written to.

    Attributes:
        layout: Of the array, as it is to be.
        values: The variable, encoded.
        starts: Where the values go, along each axis.
        is_new: Whether the array does not exist.
    """

    layout: ArrayLayout
    values: Encoded
    starts: tuple[int, ...]
    is_new: bool

    @property
    def metadata(self) -> ArrayMetadata:
        """Of the array, as it is to be."""
        return self.layout.metadata


@final
@dataclass(frozen=True, slots=True)
class GroupPlan:
    """What one dataset is written to.

    Attributes:
        path: Of the group in the store.
        attributes: Of the group.
        targets: Of its variables.
        group: The group, where it exists.
    """

    path: str
    attributes: dict[str, Any]
    targets: tuple[Target, ...]
    group: Group | None


def plan_group(
    store: Store,
    path: str,
    dataset: xr.Dataset,
    *,
    group: Group | None,
    zarr_format: ZarrFormat,
    encoding: Mapping[Any, Mapping[str, Any]],
    append_dim: Hashable | None,
    region: RegionLike | None,
) -> GroupPlan:
    """What is to be written for a dataset, checked against what exists.

    Args:
        store: Where to.
        path: Of the group.
        dataset: What is written.
        group: The group that is added to; `None` for a new one.
        zarr_format: Of new arrays.
        encoding: How new variables are stored, by name.
        append_dim: The dimension that grows.
        region: What is written of existing variables.

    Raises:
        ZlabError: As `zlab.xarray.write`.
        ValueError: As `zlab.xarray.write`.
    """
    existing = {} if group is None else dict(group.arrays())
    slices: dict[Hashable, slice] = {}
    if region is not None:
        slices = _slices(dataset, existing, region)
        dataset = dataset.drop_vars(list(dataset.indexes))
        _check_region(dataset, existing, slices, path, store)
    if append_dim is not None:
        _check_append(dataset, existing, append_dim)
    for name, given in encoding.items():
        if name not in dataset.variables:
            msg = f"encoding= names {name!r}, which is no variable"
            raise ValueError(msg)
        if name in existing:
            msg = f"encoding= names {name!r}, which exists and keeps its encoding"
            raise ValueError(msg)
        check_encoding(name, given)
    variables, attributes = conventions.encode_dataset_coordinates(dataset)
    targets = []
    for name, variable in variables.items():
        _check_name(name)
        if name in existing:
            array = existing[name]
            target = _onto(array, name, variable, append_dim=append_dim, slices=slices)
        else:
            if name in encoding:
                variable.encoding = dict(encoding[name])
            values = encode(name, variable, zarr_format)
            where = join(path, name)
            metadata = checked(store, where, plan_variable(name, values, zarr_format))
            layout = ArrayLayout(store, where, metadata)
            target = Target(layout, values, (0,) * len(values.shape), is_new=True)
        targets.append(target)
    public = {str(key): json_value(value) for key, value in attributes.items()}
    return GroupPlan(path, public, tuple(targets), group)


def _onto(
    array: Array,
    name: str,
    variable: Variable,
    *,
    append_dim: Hashable | None,
    slices: Mapping[Hashable, slice],
) -> Target:
    """An existing array, or a part of it, as what a variable is written to."""
    stored = conventions.decode_cf_variable(name, variable_of(array))
    if set(variable.dims) != set(stored.dims):
        msg = f"{name!r} has the dimensions {variable.dims}, and in the store {stored.dims}"
        raise ValueError(msg)
    variable = variable.transpose(*stored.dims)
    variable.encoding = dict(stored.encoding)
    if array.dtype.kind in "SU":
        # xarray would cut longer texts off
        variable.encoding.pop("dtype", None)
    values = encode(name, variable, array.zarr_format)
    starts, shape = [], []
    for dim, n, old in zip(values.dims, values.shape, array.shape, strict=True):
        start, stop = (
            (old, old + n) if dim == append_dim else slices.get(dim, slice(0, old)).indices(old)[:2]
        )
        if stop - start != n:
            msg = (
                f"{name!r} has {n} positions along {dim!r}, where {stop - start} are to be "
                "written; append_dim= lets variables grow, and region= writes a part"
            )
            raise ValueError(msg)
        starts.append(start)
        shape.append(max(old, stop))
    layout = array.writable_layout()
    casting: Literal["safe", "equiv"] = "safe" if array.dtype.kind in "SU" else "equiv"
    if not np.can_cast(values.data_type.dtype, layout.dtype, casting):
        raise DataTypeError(
            f"{name!r} is {values.data_type.dtype}, and the array in the store {layout.dtype}",
            store=array.store.name,
            key=array.path,
            hint="Cast the variable first: what is stored keeps its type",
        )
    if tuple(shape) != array.shape:
        grown = replace(layout.metadata, shape=tuple(shape))
        layout = ArrayLayout(layout.node_store, layout.path, grown, layout.access)
    return Target(layout, values, tuple(starts), is_new=False)


def _slices(
    dataset: xr.Dataset, existing: Mapping[str, Array], region: RegionLike
) -> dict[Hashable, slice]:
    """The region, with the coordinates of `"auto"` looked up."""
    if region == "auto":
        region = dict.fromkeys(dataset.dims, "auto")
    check_kind(region, Mapping, "region", "'auto', or slices by dimension")
    found: dict[Hashable, slice] = {}
    for dim, part in region.items():
        if dim not in dataset.dims:
            msg = f"region= names {dim!r}; the dimensions are {list(dataset.dims)}"
            raise ValueError(msg)
        if part != "auto":
            check_kind(part, slice, f"region[{dim!r}]", "a slice or 'auto'")
            if part.step not in (None, 1):
                msg = f"a region has no steps, and {dim!r} has {part}"
                raise ValueError(msg)
            found[dim] = part
        elif dim in dataset.indexes:
            found[dim] = _look_up(dataset, existing, dim)
        else:
            found[dim] = slice(0, dataset.sizes[dim])
    return found


def _look_up(dataset: xr.Dataset, existing: Mapping[str, Array], dim: Hashable) -> slice:
    if dim not in existing:
        msg = f"region='auto' looks {dim!r} up, and the store has no such coordinate"
        raise ValueError(msg)
    stored = conventions.decode_cf_variable(dim, variable_of(existing[str(dim)]))
    places = stored.to_index().get_indexer(dataset.indexes[dim])
    if (places == -1).any():
        msg = f"coordinates of {dim!r} are not in the store: {dataset.indexes[dim][places == -1]}"
        raise ValueError(msg)
    if (np.diff(places) != 1).any():
        msg = f"coordinates of {dim!r} do not lie side by side in the store, so they are no region"
        raise ValueError(msg)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


def _check_region(
    dataset: xr.Dataset,
    existing: Mapping[str, Array],
    slices: Mapping[Hashable, slice],
    path: str,
    store: Store,
) -> None:
    missing = [name for name in dataset.variables if name not in existing]
    if missing:
        raise NodeNotFoundError(
            f"a region of {missing} is to be written, which do not exist",
            store=store.name,
            key=path,
            hint="Write the whole dataset first, or drop these variables",
        )
    apart = [name for name, v in dataset.variables.items() if not set(v.dims) & set(slices)]
    if apart:
        msg = (
            f"{apart} have none of the dimensions of the region: drop them with drop_vars({apart})"
        )
        raise ValueError(msg)


def _check_append(dataset: xr.Dataset, existing: Mapping[str, Array], append_dim: Hashable) -> None:
    if append_dim not in dataset.dims:
        msg = f"append_dim is {append_dim!r}; the dimensions are {list(dataset.dims)}"
        raise ValueError(msg)
    growing = {name for name, v in dataset.variables.items() if append_dim in v.dims}
    stored = {
        name for name, array in existing.items() if append_dim in (array.dimension_names or ())
    }
    if existing and stored - growing:
        left: Iterable[str] = sorted(stored - growing)
        msg = f"{left} have the dimension {append_dim!r} in the store, and would not grow with it"
        raise ValueError(msg)
    new = sorted(str(name) for name in growing - existing.keys())
    if existing and new:
        msg = f"{new} have the dimension {append_dim!r} and do not exist: they would be too short"
        raise ValueError(msg)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        msg = f"a variable is stored by its name, and {name!r:.40} is no text"
        raise TypeError(msg)
