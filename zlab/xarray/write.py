"""Datasets back into a store, in bounded memory: `zlab.xarray.write`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import xarray as xr

from zlab.array import Array
from zlab.engine.nodes import check_writable, join, read_node, write_shape
from zlab.errors import NodeExistsError, NodeNotFoundError
from zlab.group import consolidate_metadata, open_group
from zlab.group.hierarchy import create_nodes, delete_node
from zlab.metadata import ArrayMetadata, GroupMetadata
from zlab.metadata.node import check_format
from zlab.stores.base import close
from zlab.stores.open import opens, store_from
from zlab.stream import write_stream
from zlab.stream.arguments import check_kind
from zlab.xarray.boxes import boxes
from zlab.xarray.sources import NoSourceError, source_of
from zlab.xarray.targets import plan_group

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from zlab.group import Group
    from zlab.metadata import NodeMetadata, ZarrFormat
    from zlab.stores.base import Store
    from zlab.stores.open import StoreLike
    from zlab.stream import WriteReport
    from zlab.xarray.targets import GroupPlan, Target

Mode = Literal["w-", "w", "a"]


def write(
    data: xr.Dataset | xr.DataArray | xr.DataTree,
    store: StoreLike,
    *,
    group: str = "",
    mode: Mode | None = None,
    append_dim: Hashable | None = None,
    region: Mapping[Any, slice | Literal["auto"]] | Literal["auto"] | None = None,
    encoding: Mapping[Any, Mapping[str, Any]] | None = None,
    consolidated: bool = True,
    zarr_format: ZarrFormat | None = None,
    storage_options: Mapping[str, Any] | None = None,
    max_bytes: int | None = None,
) -> dict[str, WriteReport]:
    """Writes a dataset as `Dataset.to_zarr` does, block by block in bounded memory.

    What zlab, another engine or dask has not read yet is read, encoded and stored in blocks of
    whole chunks or shards, each stored object once. Values are there before the metadata that
    tell of them: who reads meanwhile sees the store as it was, and a write that was killed leaves
    no array with holes.

    Args:
        data: A dataset, a data array (stored by its name) or a tree.
        store: Anything that `zlab.open` takes.
        group: The path of the group in the store.
        mode: `"w-"` makes a new group, and is the default; `"w"` replaces what is there; `"a"`
            adds variables to a group and writes those that it has anew, and is the default where
            there is an `append_dim` or a `region`.
        append_dim: The dimension along which variables that exist grow.
        region: For each dimension the slice of the existing variables that is written, or
            `"auto"` to look the coordinates up. Coordinates with an index are left alone.
        encoding: How new variables are stored, by name, instead of their own `encoding`:
            `chunks`, `shards`, `compressors`, `filters`, `serializer`, and xarray's `dtype`,
            `scale_factor` and so on. Of a tree, by path and name.
        consolidated: Write the metadata of all nodes into one document too.
        zarr_format: 3, or 2; that of the group that is there by default, else 3.
        storage_options: For the file system behind a URL.
        max_bytes: Bytes that may wait to be encoded and stored; `zlab.settings.memory_budget` by
            default.

    Returns:
        What was written, by the path of the array in the store.

    Raises:
        NodeExistsError: Mode `"w-"`, and something is there.
        NodeNotFoundError: A `region` of variables that do not exist.
        ValueError: Variables do not fit those that exist, or the options each other; or data that
            are read from the group that is to be replaced.
        DataTypeError: No Zarr data type, or not that of the existing array, holds the values.
        MetadataError: An encoding or attribute cannot be stored.
        ChunkWriteError: A chunk could not be encoded or stored.

    Example:
        >>> import numpy as np, xarray as xr, zlab
        >>> store = zlab.create_group("memory://").store
        >>> days = xr.Dataset({"t": ("day", np.arange(4.0))})
        >>> reports = zlab.xarray.write(days, store, mode="w")
        >>> reports = zlab.xarray.write(days, store, append_dim="day")
        >>> xr.open_dataset(store, engine="zlab").t.size
        8
    """
    datasets = _datasets(data)
    adds = append_dim is not None or region is not None
    mode = ("a" if adds else "w-") if mode is None else mode
    _check_options(mode, append_dim, region, adds=adds)
    check_format(zarr_format)
    options = _by_path(encoding or {}, datasets, is_tree=isinstance(data, xr.DataTree))
    place, prefix = store_from(store, mode="a", storage_options=storage_options)
    try:
        root = join(prefix, group)
        there, was_consolidated = _group_there(place, root, mode, region)
        version = (there.zarr_format if there and mode == "a" else zarr_format) or 3
        plans = [
            plan_group(
                place,
                join(root, path),
                dataset,
                group=_member(there, path) if there and mode == "a" else None,
                zarr_format=version,
                encoding=options[path],
                append_dim=append_dim,
                region=region,
            )
            for path, dataset in datasets.items()
        ]
        if there is not None and mode == "w":
            _check_apart(datasets, place, root)
            delete_node(place, root)
        reports = {
            target.layout.path: _put(target, max_bytes) for plan in plans for target in plan.targets
        }
        _tell(place, root, plans, version, keeps=region is not None)
        if region is None and (consolidated or was_consolidated):
            consolidate_metadata(place, path=prefix)
    finally:
        if opens(store):
            close(place)
    return reports


def _datasets(data: xr.Dataset | xr.DataArray | xr.DataTree) -> dict[str, xr.Dataset]:
    """The datasets by path, from the top down."""
    check_kind(data, (xr.Dataset, xr.DataArray, xr.DataTree), "data", "a Dataset, or its like")
    if isinstance(data, xr.DataTree):
        return {
            node.path.strip("/"): node.to_dataset(inherit=node is data) for node in data.subtree
        }
    if isinstance(data, xr.DataArray):
        if data.name is None:
            msg = "a data array is stored by its name, and this one has none: array.rename(name)"
            raise ValueError(msg)
        return {"": data.to_dataset()}
    return {"": data}


def _check_options(
    mode: object, append_dim: Hashable | None, region: object, *, adds: bool
) -> None:
    if mode not in ("w-", "w", "a"):
        msg = f"mode must be 'w-', 'w' or 'a', not {mode!r:.40}"
        raise ValueError(msg)
    if adds and mode != "a":
        msg = f"append_dim= and region= add to what exists: mode {mode!r} replaces it"
        raise ValueError(msg)
    if append_dim is not None and region is not None:
        msg = "append_dim= lets variables grow, and region= writes a part of them: pass one"
        raise ValueError(msg)


def _by_path(
    encoding: Mapping[Any, Mapping[str, Any]], datasets: Mapping[str, xr.Dataset], *, is_tree: bool
) -> dict[str, Mapping[Any, Any]]:
    given = (
        {str(path).strip("/"): of for path, of in encoding.items()} if is_tree else {"": encoding}
    )
    unknown = sorted(given.keys() - datasets.keys())
    if unknown:
        msg = f"encoding= names {unknown}, which are no groups of the tree"
        raise ValueError(msg)
    return {path: given.get(path, {}) for path in datasets}


def _group_there(store: Store, path: str, mode: Mode, region: object) -> tuple[Group | None, bool]:
    """The group that exists, if the mode allows one, and whether it is consolidated."""
    check_writable(store, path)
    found = read_node(store, path)
    if found is None and region is not None:
        raise NodeNotFoundError(
            "there is no group of which a region could be written", store=store.name, key=path
        )
    if found is None:
        return None, False
    if isinstance(found, ArrayMetadata) or mode == "w-":
        kind = "an array" if isinstance(found, ArrayMetadata) else "a group"
        raise NodeExistsError(
            f"there is {kind} already",
            store=store.name,
            key=path,
            hint="Pass mode='w' to replace a group, or mode='a' to add to it",
        )
    was_consolidated = open_group(store, path=path, mode="r+").consolidated
    # the documents themselves are asked, and changed
    return open_group(store, path=path, mode="r+", consolidated=False), was_consolidated


def _member(group: Group, path: str) -> Group | None:
    found = group.get(path) if path else group
    if isinstance(found, Array):
        raise NodeExistsError(
            "there is an array, not a group", store=group.store.name, key=found.path
        )
    return found


def _check_apart(datasets: Mapping[str, xr.Dataset], store: Store, root: str) -> None:
    """Raises a `ValueError` where what is to be replaced is still to be read."""
    for dataset in datasets.values():
        for name, variable in dataset.variables.items():
            try:
                array = source_of(variable).array
            except NoSourceError:
                continue
            if array.store.name == store.name and f"{array.path}/".startswith(
                f"{root}/" * bool(root)
            ):
                msg = (
                    f"{name!r} is read from the group that mode='w' replaces: load it first, or "
                    "write to another place"
                )
                raise ValueError(msg)


def _put(target: Target, max_bytes: int | None) -> WriteReport:
    """Writes the values of a variable; its metadata come later."""
    return write_stream(
        target.layout,
        _entries(target),
        incomplete="raise" if target.is_new else "merge",
        max_bytes=max_bytes,
    )


def _entries(target: Target) -> Iterator[tuple[tuple[slice, ...], NDArray[Any]]]:
    values = target.values
    for box in boxes(target.layout, target.starts, values.shape):
        region = tuple(
            slice(start + part.start, start + part.stop)
            for start, part in zip(target.starts, box, strict=True)
        )
        part = values.read(dict(zip(values.dims, box, strict=True)))
        # shorter texts than the array has: nothing else is of another type here
        yield region, part.astype(target.layout.dtype, copy=False)


def _tell(
    store: Store, root: str, plans: Sequence[GroupPlan], zarr_format: ZarrFormat, *, keeps: bool
) -> None:
    """Writes the metadata, when all values are there."""
    nodes: dict[str, NodeMetadata] = {}
    for plan in plans:
        below = plan.path[len(root) :].strip("/")
        if plan.group is None:
            nodes[below] = GroupMetadata(zarr_format, plan.attributes)
        for target in plan.targets:
            if target.is_new:
                name = target.layout.path[len(root) :].strip("/")
                nodes[name] = target.metadata
    create_nodes(store, root, nodes, overwrite=False)
    for plan in plans:
        if plan.group is not None and not keeps:
            plan.group.attrs.put(plan.attributes)
        for target in plan.targets:
            if not target.is_new:
                write_shape(store, target.layout.path, zarr_format, target.metadata.shape)
