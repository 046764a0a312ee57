"""`Group`: a handle on one group of a store."""

from __future__ import annotations

import warnings
from html import escape
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import numpy as np

from zlab.array import Array, Attributes, create_array
from zlab.array.html import Info, attribute_rows, gone_html, page, table
from zlab.engine.access import Access
from zlab.engine.nodes import (
    change_attributes,
    check_writable,
    create_node,
    document_names,
    join,
    read_watched,
    stored_document,
)
from zlab.engine.watch import Watch
from zlab.errors import (
    MetadataError,
    NodeExistsError,
    NodeNotFoundError,
    StaleMetadataWarning,
    StoreError,
)
from zlab.group.consolidated import consolidated_of
from zlab.group.hierarchy import (
    consolidate,
    create_nodes,
    delete_node,
    move_node,
    remove_consolidated,
    stale_nodes,
)
from zlab.group.members import are_nodes, kinds_of, list_members, read_members
from zlab.group.tree import Tree, tree_html
from zlab.metadata import ArrayMetadata, GroupMetadata, data_type_of
from zlab.metadata.node import parse_node
from zlab.metadata.v3 import parse_attributes
from zlab.stores.base import close

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from zlab.array.attributes import Change
    from zlab.group.consolidated import Consolidated
    from zlab.group.hierarchy import NodeLike
    from zlab.group.members import Found, Kind
    from zlab.metadata import NodeMetadata, ZarrFormat
    from zlab.stores.base import Store

T = TypeVar("T")

_SHOWN_LEVELS = 2
"""In a notebook, where each node costs a request."""


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
        watch: Of the documents that `metadata` came from; from now on by default.
        owns_store: Whether closing the group closes the store.

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
        *,
        watch: Watch | None = None,
        owns_store: bool = False,
    ) -> None:
        self._store = store
        self._path = path
        self._metadata = metadata
        self._consolidated = consolidated
        self._access = access or Access()
        self._watch = watch or Watch.start(store, path, document_names(metadata))
        self._owns_store = owns_store

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
        """The model of the metadata document, as it is now.

        Raises:
            NodeNotFoundError: The group was deleted.
        """
        if not self._watch.is_current():
            self._reload()
        return self._metadata

    def refresh(self) -> Self:
        """Reads the metadata again, the consolidated ones too, whatever is known of them.

        Only what other processes write to a store that has no cheap versions needs it: of local
        stores every use looks whether the metadata have changed.

        Returns:
            The group itself.

        Raises:
            NodeNotFoundError: There is no group any more.
        """
        self._reload()
        if self._consolidated is not None:
            self._consolidated = self._consolidated.renewed()
        return self

    def _reload(self) -> None:
        found = read_watched(self._store, self._path, self.zarr_format)
        if found is None or not isinstance(found[0], GroupMetadata):
            raise NodeNotFoundError(
                "the group is no longer there",
                store=self._store.name,
                key=self._path or None,
                hint="It was deleted, moved or replaced since it was opened",
            )
        self._metadata, self._watch = found[0], found[1]

    @property
    def zarr_format(self) -> ZarrFormat:
        """2 or 3."""
        return self._metadata.zarr_format

    @property
    def consolidated(self) -> bool:
        """Whether the members come from consolidated metadata, without a look at the store.

        It ends when this process changes a member, since they no longer say what is there then.
        """
        return self._members_at_once is not None

    @property
    def _members_at_once(self) -> Consolidated | None:
        known = self._consolidated
        if known is not None and not known.is_current():
            known = self._consolidated = known.renewed()
        return known

    @property
    def read_only(self) -> bool:
        """Whether the group was opened for reading."""
        return self._store.read_only or self._access.read_only

    @property
    def attrs(self) -> Attributes:
        """The user's attributes, stored as they change."""
        return Attributes(lambda: self.metadata.attributes, self._change_attributes)

    def update_attributes(self, attributes: Mapping[str, Any]) -> Self:
        """Sets several attributes and stores them at once; the others stay.

        Returns:
            The group itself.

        Raises:
            MetadataError: A value that JSON does not have.
            ReadOnlyError: The group was opened for reading.
        """
        self.attrs.update(attributes)
        return self

    @property
    def info(self) -> Info:
        """What there is to say about the group itself, as text or in a notebook."""
        rows: list[tuple[str, object]] = [
            ("store", self._store.name),
            ("path", f"/{self._path}"),
            ("format", f"Zarr v{self.zarr_format}"),
            ("opened for", "reading" if self.read_only else "reading and writing"),
            ("consolidated", "yes" if self.consolidated else "no"),
            *attribute_rows(self.metadata.attributes),
        ]
        return Info(f"zlab.Group {self.name}".rstrip(), rows)

    def metadata_document(self) -> dict[str, Any]:
        """The metadata as they are stored: the v3 document, or v2's documents by file name."""
        return stored_document(self._store, self._path, self.zarr_format)

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
        node = self._open(where)
        if node is None:
            names = self.keys()
            shown = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")  # noqa: PLR2004
            raise NodeNotFoundError(
                f"there is no array or group {path!r}",
                store=self._store.name,
                key=where,
                hint=f"There are: {shown}" if names else "This group has no members",
            )
        return node

    @overload
    def get(self, path: str) -> Array | Group | None: ...

    @overload
    def get(self, path: str, default: T) -> Array | Group | T: ...

    def get(self, path: str, default: T | None = None) -> Array | Group | T | None:
        """The array or group at a path below this group, `default` where there is none.

        Raises:
            MetadataError: Its document cannot be understood.
            StoreError: The storage failed.
        """
        where = join(self._path, path)
        node = None if where == self._path else self._open(where)
        return default if node is None else node

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

    def _open(self, where: str) -> Array | Group | None:
        known = self._members_at_once
        if known is not None:
            documents = known.documents(where)
            if documents is None:
                return None
            return self._node(where, parse_node(documents, store=self._store.name, path=where))
        found = read_watched(self._store, where)
        if found is None:
            return None
        metadata, watch = found
        return self._node(where, metadata, watch)

    def _node(
        self, where: str, metadata: NodeMetadata, watch: Watch | None = None
    ) -> Array | Group:
        known = self._consolidated
        watch = watch or Watch.late(self._store, where, document_names(metadata))
        if isinstance(metadata, ArrayMetadata):
            return Array(
                self._store,
                where,
                metadata,
                self._access,
                watch=watch,
                consolidated_in=None if known is None else known.root,
            )
        return Group(self._store, where, metadata, known, self._access, watch=watch)

    def list_members(self, paths: Sequence[str]) -> list[list[str]]:
        """The names of what may be members of groups, for code that shows a part of many.

        Args:
            paths: Of the groups, in the store.

        Returns:
            Names for each group. A directory that holds no node may be among them.
        """
        known = self._members_at_once
        if known is not None:
            return [known.children(path) for path in paths]
        return list_members(self._store, paths)

    def read_members(self, paths: Sequence[str]) -> list[Found | None]:
        """The models of nodes, read together; see `member_metadata`.

        Args:
            paths: Of the nodes, in the store.

        Returns:
            For each of them its model, the error that says why it has none, or `None` where there
            is no node.
        """
        known = self._members_at_once
        if known is None:
            return read_members(self._store, paths)
        found: list[Found | None] = []
        for path in paths:
            documents = known.documents(path)
            try:
                found.append(
                    None
                    if documents is None
                    else parse_node(documents, store=self._store.name, path=path)
                )
            except MetadataError as error:
                found.append(error)
        return found

    def keys(self) -> list[str]:
        """The names of the members, sorted; those with broken documents too."""
        names = self.list_members([self._path])[0]
        if self._consolidated is not None:
            return names
        paths = [join(self._path, name) for name in names]
        there = are_nodes(self._store, paths)
        return [name for name, is_there in zip(names, there, strict=True) if is_there]

    def member_metadata(self) -> dict[str, Found]:
        """What the members are, by name, without opening them: shapes, data types, attributes.

        Where the metadata are consolidated, the store is not asked. Otherwise it costs a listing
        and a request for each member, many of them at a time where the store is remote.

        Returns:
            Models by name, sorted; of a member whose document cannot be understood the
            `MetadataError` that opening it raises.

        Raises:
            StoreError: The storage failed.

        Example:
            >>> import zlab
            >>> group = zlab.create_group("memory://")
            >>> _ = group.create_array("x", shape=(4, 2), dtype="int8")
            >>> group.member_metadata()["x"].shape
            (4, 2)
        """
        names = self.list_members([self._path])[0]
        found = self.read_members([join(self._path, name) for name in names])
        return {name: node for name, node in zip(names, found, strict=True) if node is not None}

    def member(self, name: str, metadata: NodeMetadata) -> Array | Group:
        """A member whose metadata are at hand, from `member_metadata`; the store is not asked.

        Args:
            name: The member's name.
            metadata: Its model.

        Example:
            >>> import zlab
            >>> group = zlab.create_group("memory://")
            >>> _ = group.create_array("x", shape=(4, 2), dtype="int8")
            >>> group.member("x", group.member_metadata()["x"]).nbytes
            8
        """
        return self._node(join(self._path, name), metadata)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str):
            return False
        where = join(self._path, path)
        known = self._members_at_once
        if known is not None:
            return known.documents(where) is not None
        return are_nodes(self._store, [where])[0]

    def members(self, max_depth: int | None = 0) -> Iterator[tuple[str, Array | Group]]:
        """Names and members, sorted by name.

        Args:
            max_depth: How many levels below the members are visited too, which are named by their
                paths below this group; `None` for all.

        Raises:
            MetadataError: A member's document cannot be understood.
        """
        for name, metadata in self.member_metadata().items():
            if isinstance(metadata, MetadataError):
                raise metadata
            node = self._node(join(self._path, name), metadata)
            yield name, node
            if isinstance(node, Group) and max_depth != 0:
                below = node.members(None if max_depth is None else max_depth - 1)
                yield from ((f"{name}/{path}", member) for path, member in below)

    def nmembers(self, max_depth: int | None = 0) -> int:
        """How many members there are, `max_depth` levels below them included."""
        return len(self) if max_depth == 0 else sum(1 for _ in self.members(max_depth))

    def items(self) -> Iterator[tuple[str, Array | Group]]:
        """Names and members, as of a mapping."""
        return self.members()

    def values(self) -> Iterator[Array | Group]:
        """The members, sorted by name."""
        return (node for _, node in self.members())

    def arrays(self) -> Iterator[tuple[str, Array]]:
        """Names and arrays."""
        return ((name, node) for name, node in self.members() if isinstance(node, Array))

    def array_keys(self) -> Iterator[str]:
        """The names of the arrays, those that cannot be opened included."""
        return self._keys_of("array")

    def array_values(self) -> Iterator[Array]:
        """The arrays, sorted by name."""
        return (array for _, array in self.arrays())

    def groups(self) -> Iterator[tuple[str, Group]]:
        """Names and groups."""
        return ((name, node) for name, node in self.members() if isinstance(node, Group))

    def group_keys(self) -> Iterator[str]:
        """The names of the groups, those that cannot be opened included."""
        return self._keys_of("group")

    def _keys_of(self, kind: Kind) -> Iterator[str]:
        if self._members_at_once is not None:
            model = ArrayMetadata if kind == "array" else GroupMetadata
            found = self.member_metadata()
            return (name for name, node in found.items() if isinstance(node, model))
        names = self.list_members([self._path])[0]
        kinds = kinds_of(self._store, [join(self._path, name) for name in names])
        return (name for name, other in zip(names, kinds, strict=True) if other == kind)

    def group_values(self) -> Iterator[Group]:
        """The groups, sorted by name."""
        return (group for _, group in self.groups())

    def tree(self, *, level: int | None = None, max_nodes: int | None = None) -> Tree:
        """The hierarchy: one line a node when it is printed, branches to unfold in a notebook.

        Args:
            level: How many levels below this group; all by default.
            max_nodes: How many nodes are shown at most, upper levels first; `print` shows all by
                default.

        Example:
            >>> import zlab
            >>> group = zlab.create_group("memory://")
            >>> _ = group.create_array("a/b", shape=(4, 2), dtype="int8")
            >>> print(group.tree())
            /
            └── a
                └── b (4, 2) int8
        """
        return Tree(self, level=level, max_nodes=max_nodes)

    # -- making members

    def create_array(self, path: str, **kwargs: Any) -> Array:
        """Creates an array below this group; `zlab.create_array` lists the arguments."""
        self._check_writable()
        kwargs.setdefault("zarr_format", self.zarr_format)
        array = create_array(self._store, path=join(self._path, path), **kwargs)
        self._forget_consolidated()
        return Array(array.store, array.path, array.metadata, self._access)

    def create_group(
        self, path: str, *, attributes: Mapping[str, Any] | None = None, overwrite: bool = False
    ) -> Group:
        """Creates a group below this group, and those between.

        Raises:
            NodeExistsError: Something is there, and `overwrite` is false.
        """
        self._check_writable()
        where = join(self._path, path)
        metadata = new_group(self._store, where, self.zarr_format, attributes, overwrite=overwrite)
        self._forget_consolidated()
        return Group(self._store, where, metadata, access=self._access)

    def create_hierarchy(
        self, nodes: Mapping[str, NodeLike], *, overwrite: bool = False
    ) -> dict[str, Array | Group]:
        """Creates many nodes below this group; see `zlab.create_hierarchy`.

        Args:
            nodes: What to create, by path below this group.
            overwrite: Replace what is there, with everything below it.

        Returns:
            The nodes that were made, implicit groups included, by path below this group.
        """
        self._check_writable()
        made = create_nodes(self._store, self._path, nodes, overwrite=overwrite)
        self._forget_consolidated()
        return {path: self._node(join(self._path, path), node) for path, node in made.items()}

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

    def require_groups(self, *paths: str) -> tuple[Group, ...]:
        """The groups at several paths, made where there are none; see `require_group`."""
        return tuple(map(self.require_group, paths))

    def require_array(
        self,
        path: str,
        *,
        shape: Sequence[int] | int,
        dtype: object,
        exact: bool = False,
        **kwargs: Any,
    ) -> Array:
        """The array at a path, made where there is none.

        Args:
            path: Below this group.
            shape: The shape that it has or gets.
            dtype: A dtype that can be cast to what it holds, or what it gets.
            exact: Whether the dtype has to be the same.
            **kwargs: For a new array, as `zlab.create_array` lists them.

        Raises:
            NodeExistsError: There is a group, or an array of another shape or dtype.
        """
        node = self.get(path)
        if node is None:
            return self.create_array(path, shape=shape, dtype=dtype, **kwargs)
        wanted = data_type_of(dtype).dtype
        lengths = (shape,) if isinstance(shape, int) else tuple(shape)
        if isinstance(node, Group):
            what = "there is a group, not an array"
        elif node.shape != lengths:
            what = f"the array there has the shape {node.shape}, not {lengths}"
        elif node.dtype != wanted and (exact or not np.can_cast(wanted, node.dtype)):
            what = f"the array there holds {node.dtype}, not {wanted}"
        else:
            return node
        raise NodeExistsError(what, store=self._store.name, key=node.path)

    def __delitem__(self, path: str) -> None:
        """Removes a member with everything below it.

        Raises:
            NodeNotFoundError: There is none.
            ReadOnlyError: The store was opened for reading.
        """
        self._check_writable()
        delete_node(self._store, join(self._path, path))
        self._forget_consolidated()

    def move(self, source: str, target: str) -> None:
        """Moves a member with everything below it to another path below this group.

        Raises:
            NodeNotFoundError: There is nothing at `source`.
            NodeExistsError: There is something at `target`, or it lies below `source`.
            ReadOnlyError: The store was opened for reading.
        """
        self._check_writable()
        move_node(self._store, join(self._path, source), join(self._path, target))
        self._forget_consolidated()

    # -- consolidated metadata

    def consolidate(self) -> None:
        """Writes the documents of all nodes below into one, which is then read at once.

        Raises:
            MetadataError: A node below is of the other version.
            ReadOnlyError: The store was opened for reading.
        """
        self._check_writable()
        consolidate(self._store, self._path, self.zarr_format)
        self._reload()
        self._consolidated = consolidated_of(self._store, self._path, self._metadata, self._watch)

    def remove_consolidated(self) -> None:
        """Removes the consolidated metadata; where there are none, nothing happens."""
        self._check_writable()
        remove_consolidated(self._store, self._path, self.zarr_format)
        self._consolidated = None

    def stale_nodes(self) -> list[str]:
        """Paths below this group where its consolidated metadata and the store differ.

        It reads the document of every node. A group that is not consolidated has none.
        """
        known = self._members_at_once
        if known is None:
            return []
        below = known.below(self._path)
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

    def __reduce__(self) -> tuple[object, ...]:
        state = self._store, self._path, self._metadata, self._consolidated, self._access
        return _rebuild, (*state, self._watch)

    def _repr_html_(self) -> str:
        try:
            return self._html()
        except (NodeNotFoundError, StoreError) as error:
            return gone_html(self, error)

    def _html(self) -> str:
        info = self.info
        title = f'<div class="zlab-title"><b>{escape(info.title)}</b></div>'
        tree = tree_html(self.tree(level=None if self.consolidated else _SHOWN_LEVELS).bounded())
        return page(f"{title}{table(info.asdict().items())}<br>{tree}")

    def close(self) -> None:
        """Closes the store if zlab has opened it for this handle; a second call does nothing.

        Only what is written to an archive (`.zip`) needs it, which is complete when it is closed.
        Members that were opened through this group can no longer be used then. A store that was
        passed to zlab stays open.

        Raises:
            StoreError: What was written cannot be put in its place.

        Example:
            >>> import tempfile, zlab
            >>> path = tempfile.mkdtemp() + "/a.zip"
            >>> with zlab.create_group(path) as group:
            ...     x = group.create_array("x", data=[1, 2, 3])
            >>> zlab.open(path)["x"][1]
            np.int64(2)
        """
        if self._owns_store:
            close(self._store)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _change_attributes(self, change: Change) -> None:
        self._check_writable()
        change_attributes(self._store, self._path, self.zarr_format, change)


def new_group(
    store: Store,
    path: str,
    zarr_format: ZarrFormat,
    attributes: Mapping[str, Any] | None,
    *,
    overwrite: bool,
) -> GroupMetadata:
    """Writes a new group, and returns its model; see `zlab.create_group`."""
    values = parse_attributes({} if attributes is None else attributes)
    metadata = GroupMetadata(zarr_format, dict(values))
    create_node(store, path, metadata, overwrite=overwrite)
    return metadata


def _rebuild(
    store: Store,
    path: str,
    metadata: GroupMetadata,
    consolidated: Consolidated | None,
    access: Access,
    watch: Watch,
) -> Group:
    return Group(store, path, metadata, consolidated, access, watch=watch)
