"""The Jupyter server extension."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.extension.application import ExtensionApp
from traitlets import Float, Int, List, TraitError, Unicode, default, validate

from zlab.lab.addresses import Addresses
from zlab.lab.find import Bounds
from zlab.lab.handlers import HANDLERS
from zlab.lab.paths import ANY
from zlab.lab.reading import Readers
from zlab.lab.roots import Access, Roots

if TYPE_CHECKING:
    from traitlets.utils.bunch import Bunch

    from zlab.lab.find import FoundStore

# of these identity providers all who are let in are one user, by a token, password or hub
_SINGLE_USER = ("jupyter_server.", "jupyterhub.")


class ZLabApp(ExtensionApp):
    """Serves what the zlab sidebar shows: stores, their trees and their chunks.

    It reads metadata and measures chunks, and never runs anything that a store holds. Its limits
    are set in a Jupyter configuration file, such as `c.ZLabApp.max_seconds = 60`.
    """

    name = "zlab"
    extension_url = "/zlab"
    load_other_extensions = True

    extra_roots = List(
        Unicode(),
        help="Folders besides the server's root whose stores are served, as absolute paths.",
    ).tag(config=True)
    allowed_urls = List(
        Unicode(),
        help="Beginnings of the URLs that may be opened, with this server's credentials; '*' is "
        "every URL of S3, Google, Azure and web servers, and the default where the server has one "
        "user. Where an identity provider of another make tells users apart, it is none.",
    ).tag(config=True)
    allowed_private = List(
        Unicode(),
        help="Private, loopback and link-local addresses that remote stores may be asked at: "
        "addresses, ranges ('10.0.0.0/8'), or names of hosts, which are then trusted with any "
        "address. None by default.",
    ).tag(config=True)
    max_nodes = Int(1000, min=1, help="Nodes on one page of a tree.").tag(config=True)
    max_sorted = Int(
        2000,
        min=0,
        help="Members of a group up to which groups are listed first; of larger groups, a page "
        "is read, and the order is by name.",
    ).tag(config=True)
    max_chunks = Int(
        1 << 22, min=1, help="Chunks of an array of which a map is made, 8 bytes each."
    ).tag(config=True)
    max_document_nbytes = Int(
        64 << 20, min=1, help="Bytes of a metadata document that is read."
    ).tag(config=True)
    max_reply_nbytes = Int(32 << 20, min=1, help="Bytes of a reply.").tag(config=True)
    max_remote_nbytes = Int(
        256 << 20, min=1, help="Bytes that a request may receive from a remote store."
    ).tag(config=True)
    max_seconds = Float(30.0, min=0.001, help="Seconds that a request may take.").tag(config=True)
    max_reads = Int(4, min=1, help="Requests of one user that are worked on at a time.").tag(
        config=True
    )
    max_waiting = Int(100, min=0, help="Requests of one user that may wait for their turn.").tag(
        config=True
    )
    kept_roots = Int(16, min=0, help="Stores of which the root's metadata are kept.").tag(
        config=True
    )
    search_depth = Int(6, min=0, help="Levels of directories searched for stores.").tag(config=True)
    search_directories = Int(20_000, min=1, help="Directories searched for stores.").tag(
        config=True
    )
    search_stores = Int(1000, min=1, help="Stores listed.").tag(config=True)
    search_seconds = Float(5.0, min=0.001, help="Seconds of the search for stores.").tag(
        config=True
    )

    @default("allowed_urls")
    def _allowed_by_default(self) -> list[str]:
        server = self.serverapp
        provider = None if server is None else server.identity_provider
        return [ANY] if type(provider).__module__.startswith(_SINGLE_USER) else []

    @validate("extra_roots")
    def _check_roots(self, proposal: Bunch) -> list[str]:
        roots: list[str] = proposal["value"]
        for root in roots:
            if not Path(root).expanduser().is_absolute():
                raise TraitError(f"extra_roots takes absolute paths, not {root!r}")
        return roots

    @validate("allowed_private")
    def _check_private(self, proposal: Bunch) -> list[str]:
        entries: list[str] = proposal["value"]
        try:
            Addresses.parse(entries)
        except ValueError as error:
            raise TraitError(str(error)) from error
        return entries

    @cached_property
    def readers(self) -> Readers:
        """The threads that requests run in."""
        return Readers(self.max_reads, self.max_seconds, self.max_waiting)

    @cached_property
    def roots(self) -> Roots:
        """The stores below the server's root."""
        server = self.serverapp
        if server is None:
            raise RuntimeError("the extension is not part of a server yet")
        contents = server.contents_manager
        # a contents manager that keeps no files has no folder; the server always does
        root = getattr(contents, "root_dir", "") or server.root_dir
        access = Access(
            root=Path(root).absolute(),
            allow_hidden=contents.allow_hidden,
            allowed_urls=tuple(self.allowed_urls),
            max_document_nbytes=self.max_document_nbytes,
            extra_roots=tuple(Path(one).expanduser() for one in self.extra_roots),
            addresses=Addresses.parse(self.allowed_private),
            max_remote_nbytes=self.max_remote_nbytes,
        )
        return Roots(access, self.kept_roots)

    @cached_property
    def bounds(self) -> Bounds:
        """How far the search for stores goes."""
        return Bounds(
            depth=self.search_depth,
            directories=self.search_directories,
            stores=self.search_stores,
            seconds=self.search_seconds,
        )

    @property
    def shown_root(self) -> str:
        """The server's root as JupyterLab shows it."""
        root = self.roots.access.root
        home = Path.home()
        if root.is_relative_to(home):
            return (Path("~") / root.relative_to(home)).as_posix()
        return root.as_posix()

    def found(self, store: FoundStore, above: str) -> dict[str, Any]:
        """A store as the wire has it.

        Args:
            store: What was found.
            above: The extra root that it was found in, `""` for the server's root.
        """
        path = "/".join(part for part in (above.rstrip("/"), store.path) if part)
        return {
            "id": path,
            "name": self.name_of(path, ""),
            "path": path,
            "kind": "found",
            "node": store.node,
            "zarr_format": store.zarr_format,
        }

    def name_of(self, store: str, path: str) -> str:
        """What a node is called: the last part of its path, or of its store's."""
        last = path.rpartition("/")[2] or store.rstrip("/").rpartition("/")[2]
        return last or self.roots.access.root.name or "/"

    def initialize_handlers(self) -> None:
        """Adds the requests."""
        self.handlers.extend((rf"/zlab/api/{name}", kind) for name, kind in HANDLERS.items())

    async def stop_extension(self) -> None:
        """Lets the threads and connections go."""
        self.readers.close()
        self.roots.close()
