"""The doors to arrays and groups: opened, whichever they are, and created."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from zlab.array import Array
from zlab.engine.access import Access
from zlab.engine.nodes import join, read_watched
from zlab.errors import MetadataError, NodeNotFoundError
from zlab.group.consolidated import consolidated_of
from zlab.group.group import Group, new_group
from zlab.group.hierarchy import create_nodes
from zlab.metadata import ArrayMetadata
from zlab.metadata.node import check_format
from zlab.stores.open import opens, store_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.engine.access import Missing
    from zlab.engine.cache import Cache
    from zlab.engine.locks import Locks
    from zlab.group.hierarchy import NodeLike
    from zlab.metadata import ZarrFormat
    from zlab.stores.open import Mode, StoreLike


class OpenOptions(TypedDict, total=False):
    """The options that `zlab.open` explains, beside mode and path."""

    zarr_format: ZarrFormat | None
    cache: Cache | int | None
    missing: Missing
    locks: Locks | None
    aligned: bool
    storage_options: Mapping[str, Any] | None


class OpenGroupOptions(OpenOptions, total=False):
    """Those of a group."""

    consolidated: bool | None


def open(  # noqa: A001  zlab.open is what users of zarr expect
    store: StoreLike,
    *,
    mode: Mode = "r",
    path: str = "",
    zarr_format: ZarrFormat | None = None,
    consolidated: bool | None = None,
    cache: Cache | int | None = None,
    missing: Missing = "fill",
    locks: Locks | None = None,
    aligned: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Array | Group:
    """Opens the array or group at a place, whatever version it is.

    Args:
        store: A path (also of a `.zip`), a URL of any scheme that fsspec knows, a zlab store, a
            mapping from keys to bytes, or an fsspec mapper.
        mode: `"r"` to read; `"r+"` to read and write what exists; `"a"` makes a group where
            nothing exists; `"w"` replaces what exists by an empty group; `"w-"` makes a group and
            fails where something exists.
        path: The node's path in the store.
        zarr_format: Look for this version only; by default v3 first, then v2.
        consolidated: Use consolidated metadata where there are some (`None`), always, or never.
        cache: Where decoded chunks are kept, or the bytes that a cache of its own may hold.
        missing: What an absent chunk is: the fill value, or (`"raise"`) an error.
        locks: What keeps writers of one object apart; threads of this process by default.
        aligned: Refuse writes that do not cover whole chunks or shards.
        storage_options: For the file system behind a URL.

    Raises:
        NodeNotFoundError: There is no array or group.
        MetadataError: Its document cannot be understood, or consolidated metadata were asked for
            and there are none.
        NodeExistsError: Mode `"w-"`, and something is there.
        StoreError: The storage failed.

    A handle on a `.zip` that was written to is closed when it is done with: `with` does that.

    Example:
        >>> import zlab
        >>> zlab.open("demo/digits.zarr")["images"][0]  # doctest: +SKIP
    """
    check_format(zarr_format)
    access = Access.of(
        cache=cache, missing=missing, locks=locks, aligned=aligned, read_only=mode == "r"
    )
    place, prefix = store_from(store, mode=mode, storage_options=storage_options)
    where = join(prefix, path)
    owned = opens(store)
    found = None if mode in ("w", "w-") else read_watched(place, where, zarr_format)
    if found is None:
        if mode in ("r", "r+"):
            version = f"Zarr v{zarr_format} " if zarr_format else ""
            raise NodeNotFoundError(
                f"there is no {version}array or group",
                store=place.name,
                key=where or None,
                hint="A node has a zarr.json (v3), .zarray or .zgroup (v2) at its path",
            )
        made = new_group(place, where, zarr_format or 3, None, overwrite=mode == "w")
        return Group(place, where, made, access=access, owns_store=owned)
    metadata, watch = found
    if isinstance(metadata, ArrayMetadata):
        return Array(place, where, metadata, access, watch=watch, owns_store=owned)
    known = None if consolidated is False else consolidated_of(place, where, metadata, watch)
    if consolidated and known is None:
        raise MetadataError(
            "there are no consolidated metadata", store=place.name, key=where or None
        )
    return Group(place, where, metadata, known, access, watch=watch, owns_store=owned)


def open_array(
    store: StoreLike, *, path: str = "", mode: Mode = "r", **options: Unpack[OpenOptions]
) -> Array:
    """Opens an array that exists.

    Args:
        store: A path, a URL, a store, or anything else that `zlab.open` takes.
        path: Where in the store, `""` for its root.
        mode: `"r"` to read, `"r+"` or `"a"` to write too.
        **options: As `zlab.open` lists them.

    Raises:
        NodeNotFoundError: There is no array.
        MetadataError: Its document cannot be understood.
        StoreError: The storage failed.
        ValueError: Another mode.

    Example:
        >>> import zlab
        >>> zlab.open_array("demo/digits.zarr", path="images").shape  # doctest: +SKIP
        (1797, 8, 8)
    """
    if mode in ("w", "w-"):
        msg = f"an array that exists cannot be opened with mode {mode!r}: use zlab.create_array"
        raise ValueError(msg)
    # what is not there is not made
    mode = "r+" if mode == "a" else mode
    node = open(store, path=path, mode=mode, consolidated=False, **options)
    if isinstance(node, Group):
        raise NodeNotFoundError(
            "this is a group, not an array",
            store=node.store.name,
            key=node.path or None,
            hint="`zlab.open` opens either; `zlab tree` shows what is there",
        )
    return node


def open_group(
    store: StoreLike, *, path: str = "", mode: Mode = "r", **options: Unpack[OpenGroupOptions]
) -> Group:
    """Opens a group.

    Args:
        store: A path, a URL, a store, or anything else that `zlab.open` takes.
        path: Where in the store, `""` for its root.
        mode: One of those of `zlab.open`.
        **options: As `zlab.open` lists them.

    Raises:
        NodeNotFoundError: There is none, or there is an array.
        MetadataError: Its document cannot be understood.
        StoreError: The storage failed.
    """
    node = open(store, path=path, mode=mode, **options)
    if isinstance(node, Array):
        raise NodeNotFoundError(
            "this is an array, not a group",
            store=node.store.name,
            key=node.path or None,
            hint="`zlab.open` opens either",
        )
    return node


def create_group(
    store: StoreLike,
    *,
    path: str = "",
    zarr_format: ZarrFormat = 3,
    attributes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Group:
    """Creates a group, and those above it.

    Args:
        store: A path, a URL, a store, or anything else that `zlab.open` takes.
        path: Where in the store, `""` for its root.
        zarr_format: 3, or 2.
        attributes: The user's, JSON values.
        overwrite: Replace what is there, with everything below it.
        storage_options: For the file system behind a URL.

    Raises:
        NodeExistsError: Something is there, and `overwrite` is false.
        ReadOnlyError: The store is read-only.
    """
    place, prefix = store_from(store, mode="a", storage_options=storage_options)
    check_format(zarr_format)
    where = join(prefix, path)
    metadata = new_group(place, where, zarr_format, attributes, overwrite=overwrite)
    return Group(place, where, metadata, owns_store=opens(store))


def create_hierarchy(
    store: StoreLike,
    nodes: Mapping[str, NodeLike],
    *,
    path: str = "",
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, Array | Group]:
    """Creates many arrays and groups at once, and the groups between them.

    All is checked before the first document is written: the paths, the metadata, and whether
    something is there. Documents of groups are stored before those of their members, so that
    whoever is killed on the way leaves a smaller hierarchy, and none with holes.

    Args:
        store: A path, a URL, a store, or anything else that `zlab.open` takes.
        nodes: What to create, by path: the metadata of another array or group, a `zarr.json` as a
            dictionary, v2 documents by file name, or a metadata object of zarr-python.
            `zlab.array.plan_array` makes the metadata of a new array.
        path: The group that they lie below, made where there is none.
        overwrite: Replace what is there at these paths, with everything below it. A group above
            them that exists stays.
        storage_options: For the file system behind a URL.

    Returns:
        The nodes that were made, groups between them included, by path and from the top down.

    Raises:
        MetadataError: Metadata that cannot be understood, an array with members, two entries for
            one path, or both versions.
        NodeExistsError: Something is there, and `overwrite` is false; or a path leads through an
            array.
        ReadOnlyError: The store is read-only.

    Example:
        >>> import zlab
        >>> from zlab.array import plan_array
        >>> temperature = plan_array(shape=(10, 4), dtype="float32")
        >>> nodes = {"air/temperature": temperature, "air/pressure": temperature}
        >>> list(zlab.create_hierarchy("memory://", nodes))
        ['', 'air', 'air/pressure', 'air/temperature']
    """
    place, prefix = store_from(store, mode="a", storage_options=storage_options)
    root = join(prefix, path)
    owned = opens(store)
    made: dict[str, Array | Group] = {}
    for name, metadata in create_nodes(place, root, nodes, overwrite=overwrite).items():
        kind = Array if isinstance(metadata, ArrayMetadata) else Group
        made[name] = kind(place, join(root, name), metadata, owns_store=owned)  # type: ignore[arg-type]  # of its kind
    return made


def consolidate_metadata(
    store: StoreLike, *, path: str = "", storage_options: Mapping[str, Any] | None = None
) -> Group:
    """Writes the documents of all nodes below a group into one, which is then read at once.

    Args:
        store: A path, a URL, a store, or anything else that `zlab.open` takes.
        path: The group's path in the store.
        storage_options: For the file system behind a URL.

    Returns:
        The group, consolidated and open for writing.

    Raises:
        NodeNotFoundError: There is no group.
        MetadataError: A node below is of the other version.
        ReadOnlyError: The store is read-only.
    """
    group = open_group(
        store, mode="r+", path=path, consolidated=False, storage_options=storage_options
    )
    group.consolidate()
    return group
