"""`Group`: a handle on one group of a store, and the doors that open either kind of node."""

from __future__ import annotations

import warnings
from html import escape
from typing import TYPE_CHECKING, Any

from zlab.array import Array, Attributes, create_array
from zlab.array.html import table
from zlab.engine.access import Access
from zlab.engine.nodes import (
    check_writable,
    create_node,
    join,
    read_document,
    read_documents,
    read_node,
    write_attributes,
)
from zlab.errors import (
    MetadataError,
    NodeExistsError,
    NodeNotFoundError,
    StaleMetadataWarning,
)
from zlab.group.consolidated import Consolidated
from zlab.group.hierarchy import (
    consolidate,
    delete_node,
    move_node,
    remove_consolidated,
    stale_nodes,
)
from zlab.metadata import ArrayMetadata, GroupMetadata, v2
from zlab.metadata.node import check_format, parse_node
from zlab.metadata.v3 import parse_attributes
from zlab.stores.open import store_from

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zlab.engine.access import Missing
    from zlab.engine.cache import Cache
    from zlab.engine.locks import Locks
    from zlab.metadata import ZarrFormat
    from zlab.stores.base import Store
    from zlab.stores.open import Mode, StoreLike


class Group:
    """A group in a store: a mapping from names to arrays and groups.

    Make one with `zlab.open` or `zlab.create_group`; the constructor is for code that has the
    metadata already.

    Args:
        store: Where the group is.
        path: Its path in the store, `""` for the root.
        metadata: Its model.
        consolidated: Documents of the nodes below, where they were read at once.
        access: The options that it was opened with, which its members inherit.

    Example:
        >>> import zlab
        >>> group = zlab.create_group("memory://")
        >>> temperature = group.create_array("air/temperature", shape=(10,), dtype="float32")
        >>> list(group), group["air/temperature"].shape
        (['air'], (10,))
    """

    def __init__(
        self,
        store: Store,
        path: str,
        metadata: GroupMetadata,
        consolidated: Consolidated | None = None,
        access: Access | None = None,
    ) -> None:
        self._store = store
        self._path = path
        self._metadata = metadata
        self._consolidated = consolidated
        self._access = access or Access()
        self._attrs: Attributes | None = None

    @property
    def store(self) -> Store:
        """Where the group is."""
        return self._store

    @property
    def path(self) -> str:
        """The path in the store, `""` for the root."""
        return self._path

    @property
    def name(self) -> str:
        """The last part of the path, `""` for the root."""
        return self._path.rpartition("/")[2]

    @property
    def metadata(self) -> GroupMetadata:
        """The model of the metadata document."""
        return self._metadata

    @property
    def zarr_format(self) -> ZarrFormat:
        """2 or 3."""
        return self._metadata.zarr_format

    @property
    def consolidated(self) -> bool:
        """Whether the members come from consolidated metadata, without a look at the store."""
        return self._consolidated is not None

    @property
    def read_only(self) -> bool:
        """Whether the group was opened for reading."""
        return self._store.read_only or self._access.read_only

    @property
    def attrs(self) -> Attributes:
        """The user's attributes, stored as they change."""
        if self._attrs is None:
            self._attrs = Attributes(self._metadata.attributes, self._write_attributes)
        return self._attrs

    def metadata_document(self) -> dict[str, Any]:
        """The metadata as they are stored: the v3 document, or v2's documents by file name."""
        documents = read_documents(self._store, self._path, self.zarr_format)
        if documents is None:
            raise NodeNotFoundError(
                "the group is no longer there", store=self._store.name, key=self._path
            )
        return documents["zarr.json"] if self.zarr_format == 3 else documents  # noqa: PLR2004

    # -- its members

    def __getitem__(self, path: str) -> Array | Group:
        """The array or group at a path below this group.

        Raises:
            NodeNotFoundError: There is none.
            MetadataError: Its document cannot be understood.
            StoreError: The storage failed.
        """
        where = join(self._path, path)
        if where == self._path:
            raise NodeNotFoundError(
                "a member is named by its path", store=self._store.name, key=self._path
            )
        metadata = self._read(where)
        if metadata is None:
            names = self.keys()
            shown = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")  # noqa: PLR2004
            raise NodeNotFoundError(
                f"there is no array or group {path!r}",
                store=self._store.name,
                key=where,
                hint=f"There are: {shown}" if names else "This group has no members",
            )
        return self._member(where, metadata)

    def array(self, path: str) -> Array:
        """The array at a path below this group, for code that needs to know that it is one.

        Raises:
            NodeNotFoundError: There is none, or there is a group.
        """
        node = self[path]
        if isinstance(node, Array):
            return node
        raise NodeNotFoundError(
            "there is a group, not an array", store=self._store.name, key=node.path
        )

    def group(self, path: str) -> Group:
        """The group at a path below this group, for code that needs to know that it is one.

        Raises:
            NodeNotFoundError: There is none, or there is an array.
        """
        node = self[path]
        if isinstance(node, Group):
            return node
        raise NodeNotFoundError(
            "there is an array, not a group", store=self._store.name, key=node.path
        )

    def _read(self, where: str) -> ArrayMetadata | GroupMetadata | None:
        if self._consolidated is None:
            return read_node(self._store, where)
        documents = self._consolidated.documents(where)
        if documents is None:
            return None
        return parse_node(documents, store=self._store.name, path=where)

    def _member(self, where: str, metadata: ArrayMetadata | GroupMetadata) -> Array | Group:
        if isinstance(metadata, ArrayMetadata):
            return Array(self._store, where, metadata, self._access)
        return Group(self._store, where, metadata, self._consolidated, self._access)

    def keys(self) -> list[str]:
        """The names of the members, sorted; those with broken documents too."""
        if self._consolidated is not None:
            return self._consolidated.children(self._path)
        names = []
        for prefix in self._store.list_dir(self._path).prefixes:
            try:
                is_node = read_documents(self._store, prefix) is not None
            except MetadataError:
                is_node = True
            if is_node:
                names.append(prefix.rpartition("/")[2])
        return names

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __contains__(self, path: object) -> bool:
        try:
            return isinstance(path, str) and self._read(join(self._path, path)) is not None
        except MetadataError:
            # there is something, and what is wrong with it is told when it is opened
            return True

    def members(self) -> Iterator[tuple[str, Array | Group]]:
        """Names and members, one after another, sorted by name.

        Raises:
            MetadataError: A member's document cannot be understood.
        """
        for name in self.keys():
            yield name, self[name]

    def arrays(self) -> Iterator[tuple[str, Array]]:
        """Names and arrays."""
        return ((name, node) for name, node in self.members() if isinstance(node, Array))

    def groups(self) -> Iterator[tuple[str, Group]]:
        """Names and groups."""
        return ((name, node) for name, node in self.members() if isinstance(node, Group))

    def tree(self, *, level: int | None = None) -> str:
        """The hierarchy as text, one line a node.

        Args:
            level: How many levels below this group; all by default.

        Example:
            >>> import zlab
            >>> group = zlab.create_group("memory://")
            >>> _ = group.create_array("a/b", shape=(4, 2), dtype="int8")
            >>> print(group.tree())
            /
            └── a
                └── b (4, 2) int8
        """
        return "\n".join([f"/{self._path}", *_branches(self, "", level)])

    # -- making members

    def create_array(self, path: str, **kwargs: Any) -> Array:
        """Creates an array below this group; `zlab.create_array` lists the arguments."""
        self._check_writable()
        self._forget_consolidated()
        kwargs.setdefault("zarr_format", self.zarr_format)
        return create_array(self._store, path=join(self._path, path), **kwargs)

    def create_group(
        self, path: str, *, attributes: Mapping[str, Any] | None = None, overwrite: bool = False
    ) -> Group:
        """Creates a group below this group, and those between.

        Raises:
            NodeExistsError: Something is there, and `overwrite` is false.
        """
        self._check_writable()
        self._forget_consolidated()
        return create_group(
            self._store,
            path=join(self._path, path),
            zarr_format=self.zarr_format,
            attributes=attributes,
            overwrite=overwrite,
        )

    def require_group(self, path: str) -> Group:
        """The group at a path, made where there is none.

        Raises:
            NodeExistsError: There is an array.
        """
        node = self[path] if path in self else self.create_group(path)
        if isinstance(node, Array):
            raise NodeExistsError(
                "there is an array, not a group", store=self._store.name, key=node.path
            )
        return node

    def __delitem__(self, path: str) -> None:
        """Removes a member with everything below it.

        Raises:
            NodeNotFoundError: There is none.
            ReadOnlyError: The store was opened for reading.
        """
        self._check_writable()
        self._forget_consolidated()
        delete_node(self._store, join(self._path, path))

    def move(self, source: str, target: str) -> None:
        """Moves a member with everything below it to another path below this group.

        Raises:
            NodeNotFoundError: There is nothing at `source`.
            NodeExistsError: There is something at `target`, or it lies below `source`.
            ReadOnlyError: The store was opened for reading.
        """
        self._check_writable()
        self._forget_consolidated()
        move_node(self._store, join(self._path, source), join(self._path, target))

    # -- consolidated metadata

    def consolidate(self) -> None:
        """Writes the documents of all nodes below into one, which is then read at once.

        Raises:
            MetadataError: A node below is of the other version.
            ReadOnlyError: The store was opened for reading.
        """
        self._check_writable()
        nodes = consolidate(self._store, self._path, self.zarr_format)
        self._consolidated = Consolidated(self._path, nodes)

    def remove_consolidated(self) -> None:
        """Removes the consolidated metadata; where there are none, nothing happens."""
        self._check_writable()
        remove_consolidated(self._store, self._path, self.zarr_format)
        self._consolidated = None

    def stale_nodes(self) -> list[str]:
        """Paths below this group where its consolidated metadata and the store differ.

        It reads the document of every node. A group that is not consolidated has none.
        """
        if self._consolidated is None:
            return []
        below = self._consolidated.below(self._path)
        return stale_nodes(self._store, self._path, self.zarr_format, below)

    def _check_writable(self) -> None:
        check_writable(self._store, self._path, read_only=self._access.read_only)

    def _forget_consolidated(self) -> None:
        if self._consolidated is not None:
            self._consolidated = None
            warnings.warn(
                f"the consolidated metadata of {self!r} no longer say what is there; "
                "write them anew with `consolidate()`",
                StaleMetadataWarning,
                stacklevel=3,
            )

    # -- handles

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Group):
            return NotImplemented
        return (self._store, self._path) == (other._store, other._path)

    def __hash__(self) -> int:
        return hash((self._store.name, self._path))

    def __repr__(self) -> str:
        return f"<zlab.Group {join(self._store.name, self._path)} zarr_format={self.zarr_format}>"

    def _repr_html_(self) -> str:
        rows = [
            ("store", self._store.name),
            ("path", f"/{self._path}"),
            ("format", f"Zarr v{self.zarr_format}"),
            ("attributes", ", ".join(self.attrs) or "none"),
        ]
        tree = escape(self.tree(level=2))
        return f"{table(f'zlab.Group {self.name}', rows)}<pre>{tree}</pre>"

    def _write_attributes(self, attributes: Mapping[str, Any]) -> None:
        self._check_writable()
        write_attributes(self._store, self._path, self.zarr_format, attributes)
        self._metadata = self._metadata.with_attributes(attributes)


def _branches(group: Group, indent: str, level: int | None) -> Iterator[str]:
    if level == 0:
        return
    names = group.keys()
    for place, name in enumerate(names):
        is_last = place == len(names) - 1
        branch, below = ("└── ", "    ") if is_last else ("├── ", "│   ")
        try:
            node = group[name]
        except MetadataError as error:
            yield f"{indent}{branch}{name} cannot be opened: {error.what}"
            continue
        if isinstance(node, Array):
            yield f"{indent}{branch}{name} {node.shape} {node.dtype}"
        else:
            yield f"{indent}{branch}{name}"
            yield from _branches(node, indent + below, None if level is None else level - 1)


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
    if mode in ("w", "w-"):
        return create_group(place, path=where, zarr_format=zarr_format or 3, overwrite=mode == "w")
    documents = read_documents(place, where, zarr_format)
    if documents is None:
        if mode == "a":
            return create_group(place, path=where, zarr_format=zarr_format or 3)
        version = f"Zarr v{zarr_format} " if zarr_format else ""
        raise NodeNotFoundError(
            f"there is no {version}array or group",
            store=place.name,
            key=where or None,
            hint="A node has a zarr.json (v3), .zarray or .zgroup (v2) at its path",
        )
    metadata = parse_node(documents, store=place.name, path=where)
    if isinstance(metadata, ArrayMetadata):
        return Array(place, where, metadata, access)
    found = None if consolidated is False else _read_consolidated(place, where, metadata)
    if consolidated and found is None:
        raise MetadataError(
            "there are no consolidated metadata", store=place.name, key=where or None
        )
    return Group(place, where, metadata, found, access)


def _read_consolidated(store: Store, where: str, metadata: GroupMetadata) -> Consolidated | None:
    if metadata.zarr_format == 3:  # noqa: PLR2004  v3 has them inline
        nodes = metadata.consolidated
    else:
        document = read_document(store, where, v2.CONSOLIDATED)
        nodes = None if document is None else v2.parse_consolidated(document)
    return None if nodes is None else Consolidated(where, nodes)


def open_group(
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
) -> Group:
    """Opens a group; `zlab.open` lists the arguments.

    Raises:
        NodeNotFoundError: There is none, or there is an array.
    """
    node = open(
        store,
        mode=mode,
        path=path,
        zarr_format=zarr_format,
        consolidated=consolidated,
        cache=cache,
        missing=missing,
        locks=locks,
        aligned=aligned,
        storage_options=storage_options,
    )
    if isinstance(node, Array):
        raise NodeNotFoundError(
            "this is an array, not a group",
            store=node.store.name,
            key=node.path or None,
            hint="`zlab.open` opens either",
        )
    return node


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
    where = join(prefix, path)
    check_format(zarr_format)
    values = parse_attributes({} if attributes is None else attributes)
    metadata = GroupMetadata(zarr_format, dict(values))
    create_node(place, where, metadata, overwrite=overwrite)
    return Group(place, where, metadata)
