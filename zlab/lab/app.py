"""The Jupyter server extension."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from jupyter_server.extension.application import ExtensionApp
from traitlets import Float, Int, List, Unicode

from zlab.lab.find import Bounds
from zlab.lab.handlers import HANDLERS
from zlab.lab.reading import Readers
from zlab.lab.roots import Access, Roots


class ZLabApp(ExtensionApp):
    """Serves what the zlab sidebar shows: stores, their trees and their chunks.

    It reads metadata and measures chunks, and never runs anything that a store holds. Its limits
    are set in a Jupyter configuration file, such as `c.ZLabApp.max_seconds = 60`.
    """

    name = "zlab"
    extension_url = "/zlab"
    load_other_extensions = True

    allowed_urls = List(
        Unicode(),
        help="Beginnings of the URLs that may be opened, with this server's credentials. None by "
        "default.",
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
    max_seconds = Float(30.0, min=0.001, help="Seconds that a request may take.").tag(config=True)
    max_reads = Int(4, min=1, help="Requests of one user that are worked on at a time.").tag(
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

    @cached_property
    def readers(self) -> Readers:
        """The threads that requests run in."""
        return Readers(self.max_reads, self.max_seconds)

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

    def name_of(self, store: str, path: str) -> str:
        """What a node is called: the last part of its path, or of its store's."""
        last = path.rpartition("/")[2] or store.rstrip("/").rpartition("/")[2]
        return last or self.roots.access.root.name or "/"

    def initialize_handlers(self) -> None:
        """Adds the requests."""
        self.handlers.extend((rf"/zlab/api/{name}", kind) for name, kind in HANDLERS.items())

    async def stop_extension(self) -> None:
        """Lets the threads go."""
        self.readers.close()
