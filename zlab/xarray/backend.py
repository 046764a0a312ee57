"""`engine="zlab"`: Zarr stores opened by xarray and read by zlab."""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, final

import xarray as xr
from xarray.backends import BackendEntrypoint, StoreBackendEntrypoint

from zlab.errors import MetadataError, NodeNotFoundError, StoreNotFoundError
from zlab.group import Group, open_group
from zlab.stores.base import Store
from zlab.xarray.variables import GroupStore, check_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from xarray.coders import CFDatetimeCoder, CFTimedeltaCoder

    from zlab.array import Array
    from zlab.engine.access import Missing
    from zlab.engine.cache import Cache
    from zlab.metadata import ZarrFormat
    from zlab.stores.open import StoreLike
    from zlab.xarray.variables import By


@final
class DatasetNotFoundError(StoreNotFoundError, FileNotFoundError):
    """There is no store, told as xarray's other engines do: it is a `FileNotFoundError` too."""


@final
class ZlabBackendEntrypoint(BackendEntrypoint):
    """What xarray calls for `engine="zlab"`.

    Example:
        >>> import numpy as np, xarray as xr, zlab
        >>> group = zlab.create_group({})
        >>> _ = group.create_array("t", data=np.arange(3), dimension_names=["time"])
        >>> xr.open_dataset(group, engine="zlab").t.sum().item()
        3
    """

    description: ClassVar[str] = "Open Zarr stores (v2 and v3) using zlab"
    supports_groups: ClassVar[bool] = True

    def guess_can_open(self, filename_or_obj: object) -> bool:
        """Whether to open this where no engine was named.

        Paths that end in `.zarr` are left to xarray's own engine where zarr-python is installed.
        """
        if isinstance(filename_or_obj, (Group, Store)):
            return True
        if isinstance(filename_or_obj, (str, os.PathLike)):
            path = os.fspath(filename_or_obj)
            is_zarr = isinstance(path, str) and path.rstrip("/").endswith(".zarr")
            return is_zarr and find_spec("zarr") is None
        return False

    def open_dataset(
        self,
        filename_or_obj: StoreLike | Group,
        *,
        mask_and_scale: bool | Mapping[str, bool] | None = True,
        decode_times: bool | CFDatetimeCoder | Mapping[str, Any] | None = True,
        concat_characters: bool | Mapping[str, bool] | None = True,
        decode_coords: bool | str | None = True,
        drop_variables: str | Iterable[str] | None = None,
        use_cftime: bool | Mapping[str, bool] | None = None,
        decode_timedelta: bool | CFTimedeltaCoder | Mapping[str, Any] | None = None,
        group: str | None = None,
        consolidated: bool | None = None,
        storage_options: Mapping[str, Any] | None = None,
        zarr_format: ZarrFormat | None = None,
        use_zarr_fill_value_as_mask: bool | None = None,
        chunk_cache: Cache | int | None = None,
        missing: Missing = "fill",
        by: By = "shard",
        dims: Mapping[str, Sequence[str]] | None = None,
    ) -> xr.Dataset:
        """The arrays of one group as a dataset; `xarray.open_dataset` explains the options of its.

        Args:
            filename_or_obj: Anything that `zlab.open` takes, or a `zlab.Group`.
            mask_and_scale: As for `xarray.open_dataset`.
            decode_times: As for `xarray.open_dataset`.
            concat_characters: As for `xarray.open_dataset`.
            decode_coords: As for `xarray.open_dataset`.
            drop_variables: Variables that are left out; their metadata may be broken.
            use_cftime: As for `xarray.open_dataset`.
            decode_timedelta: As for `xarray.open_dataset`.
            group: The path of the group in the store.
            consolidated: Use consolidated metadata, of the root or of the group, where there are
                some (`None`), always, or never.
            storage_options: For the file system behind a URL.
            zarr_format: Look for this version only.
            use_zarr_fill_value_as_mask: Whether values that equal Zarr's fill value are missing;
                by default those of Zarr v2 are.
            chunk_cache: Where decoded chunks are kept, or the bytes that a cache may hold.
            missing: What an absent chunk is: the fill value, or (`"raise"`) an error.
            by: What `chunks={}` and `chunks="auto"` cut sharded arrays by.
            dims: Names of the axes by array, for those that are stored without.

        Raises:
            DatasetNotFoundError: There is no store, which is a `FileNotFoundError` too.
            NodeNotFoundError: There is no such group.
            MetadataError: Its documents cannot be understood, axes have no names, or consolidated
                metadata were asked for and there are none.
            StoreError: The storage failed.
        """
        source = Source(
            filename_or_obj,
            group=group,
            consolidated=consolidated,
            storage_options=storage_options,
            zarr_format=zarr_format,
            use_zarr_fill_value_as_mask=use_zarr_fill_value_as_mask,
            chunk_cache=chunk_cache,
            missing=missing,
            by=by,
            dims=dims,
            drop_variables=drop_variables,
        )
        (dataset,) = source.datasets(
            below=False,
            mask_and_scale=mask_and_scale,
            decode_times=decode_times,
            concat_characters=concat_characters,
            decode_coords=decode_coords,
            use_cftime=use_cftime,
            decode_timedelta=decode_timedelta,
        ).values()
        return dataset

    def open_groups_as_dict(
        self, filename_or_obj: StoreLike | Group, **options: Any
    ) -> dict[str, xr.Dataset]:
        """The groups below one, and itself, as datasets.

        Args:
            filename_or_obj: Anything that `zlab.open` takes, or a `zlab.Group`.
            **options: Those of `open_dataset`.

        Returns:
            Datasets by path: `"/"`, `"/sub"`, and so on, below `group=`.

        Raises:
            ZlabError: As `open_dataset`.
        """
        decoding = {name: options.pop(name) for name in _DECODERS if name in options}
        return Source(filename_or_obj, **options).datasets(below=True, **decoding)

    def open_datatree(self, filename_or_obj: StoreLike | Group, **options: Any) -> xr.DataTree:
        """The groups below one, and itself, as a tree.

        Args:
            filename_or_obj: Anything that `zlab.open` takes, or a `zlab.Group`.
            **options: Those of `open_dataset`.

        Raises:
            ZlabError: As `open_dataset`.
        """
        datasets = self.open_groups_as_dict(filename_or_obj, **options)
        tree = xr.DataTree.from_dict(datasets)
        for path, dataset in datasets.items():
            # where the tree cannot be made, `from_dict` has raised, and nobody holds the datasets
            tree[path].set_close(dataset.close)
        return tree


_DECODERS = (
    "mask_and_scale",
    "decode_times",
    "concat_characters",
    "decode_coords",
    "use_cftime",
    "decode_timedelta",
)
"""The options that are xarray's own."""


@dataclass(frozen=True)
class Source:
    """Where datasets come from, and how they are read; the options are those of `open_dataset`."""

    target: StoreLike | Group
    _: KW_ONLY
    group: str | None = None
    consolidated: bool | None = None
    storage_options: Mapping[str, Any] | None = None
    zarr_format: ZarrFormat | None = None
    use_zarr_fill_value_as_mask: bool | None = None
    chunk_cache: Cache | int | None = None
    missing: Missing = "fill"
    by: By = "shard"
    dims: Mapping[str, Sequence[str]] | None = None
    drop_variables: str | Iterable[str] | None = None

    def __post_init__(self) -> None:
        check_by(self.by)

    def datasets(self, *, below: bool, **decoding: Any) -> dict[str, xr.Dataset]:
        """The datasets by path, from the group down.

        Args:
            below: Whether those of the groups below are wanted too.
            **decoding: For xarray.

        Raises:
            ZlabError: As `open_dataset`.
        """
        try:
            close, group = self._open()
        except StoreNotFoundError as error:
            raise DatasetNotFoundError(
                error.what, store=error.store, key=error.key, hint=error.hint
            ) from error
        try:
            found = {
                path: self._dataset(members, group, close, decoding)
                for path, group, members in self._walk("/", group, below=below)
            }
        except BaseException:
            close()
            raise
        return found

    def _open(self) -> tuple[Callable[[], None], Group]:
        """What closes the store, and the group."""
        path = (self.group or "").strip("/")
        if isinstance(self.target, Group):
            # the user's own stays open
            return _nothing, self.target.group(path) if path else self.target
        opened = partial(
            open_group,
            self.target,
            storage_options=self.storage_options,
            zarr_format=self.zarr_format,
            cache=self.chunk_cache,
            missing=self.missing,
        )
        if path and self.consolidated is not False:
            # most stores are consolidated at their root
            try:
                root = opened(consolidated=None)
            except NodeNotFoundError:
                pass
            else:
                if root.consolidated:
                    return root.close, root.group(path)
                root.close()
        group = opened(path=path, consolidated=self.consolidated)
        return group.close, group

    def _walk(
        self, path: str, group: Group, *, below: bool
    ) -> Iterator[tuple[str, Group, dict[str, Array]]]:
        """Groups with their paths and arrays, from the top down."""
        arrays: dict[str, Array] = {}
        groups: dict[str, Group] = {}
        dropped = _names(self.drop_variables)
        for name, metadata in group.member_metadata().items():
            if isinstance(metadata, MetadataError):
                if name in dropped:
                    continue
                raise metadata
            member = group.member(name, metadata)
            if isinstance(member, Group):
                groups[name] = member
            elif name not in dropped:
                arrays[name] = member
        yield path, group, arrays
        if below:
            for name, member in groups.items():
                yield from self._walk(f"{path.rstrip('/')}/{name}", member, below=True)

    def _dataset(
        self,
        arrays: dict[str, Array],
        group: Group,
        close: Callable[[], None],
        decoding: dict[str, Any],
    ) -> xr.Dataset:
        store = GroupStore(
            arrays,
            group.metadata.attributes,
            by=self.by,
            dims=self.dims or {},
            mask=self.use_zarr_fill_value_as_mask,
            close=close,
        )
        return StoreBackendEntrypoint().open_dataset(store, **decoding)


def _nothing() -> None:
    pass


def _names(names: str | Iterable[str] | None) -> frozenset[str]:
    return frozenset([names] if isinstance(names, str) else names or ())
