"""The requests of `docs/wire.md`. Each is authenticated and authorised, and runs in a thread."""

from __future__ import annotations

import asyncio
import json
from http.client import responses
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from zlab.array import Array
from zlab.errors import NodeNotFoundError, ZlabError
from zlab.lab import find
from zlab.lab.describe import describe, find_node, list_members, row_of
from zlab.lab.paths import split_path
from zlab.lab.query import Query, without_secrets
from zlab.lab.reading import Errand
from zlab.lab.reply import format_error, format_json, format_refusal, status_of
from zlab.stores.base import redact
from zlab.tools.chunk_plane import cut_plane, encode_plane, plan_cut, read_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from zlab.group import Group
    from zlab.lab.app import ZLabApp

AUTH_RESOURCE = "zlab"


class ZLabHandler(APIHandler):
    """What all requests have in common: a query, a thread, one form for errors."""

    auth_resource = AUTH_RESOURCE

    def initialize(self) -> None:
        """Begins, before anything is logged of the request."""
        # Jupyter logs what was asked for; the parameters are parsed already
        self.request.uri = without_secrets(self.request.uri or "")
        self.errand = Errand()
        self._work: asyncio.Task[bytes] | None = None
        self._is_left = False

    def on_connection_close(self) -> None:
        """Ends the work when its client goes away."""
        self._is_left = True
        if self._work is not None:
            self._work.cancel()
        super().on_connection_close()

    @property
    def app(self) -> ZLabApp:
        """The extension, with its limits."""
        app: ZLabApp = self.settings["zlab"]
        return app

    @property
    def query(self) -> Query:
        """The parameters."""
        return Query(self.request.query_arguments)

    async def reply(self, make: Callable[[], bytes], content_type: str) -> None:
        """Answers with what `make` returns, which is called in a thread."""
        # who comes with a token and no cookie is called something else each time
        user = "" if self.token_authenticated else self.current_user.username
        self._work = asyncio.create_task(self.app.readers.run(user, make, self.errand))
        try:
            body = await self._work
        except asyncio.CancelledError:
            if not self._is_left:
                raise  # it is the server that ends
            raise web.HTTPError(499, reason="Client Closed Request") from None
        await self.finish(body, set_content_type=content_type)

    async def reply_json(self, make: Callable[[], dict[str, Any]]) -> None:
        """Answers with JSON; the value is made, and written as JSON, in a thread."""
        limit = self.app.max_reply_nbytes
        await self.reply(lambda: format_json(make(), limit), "application/json")

    def open_node(self, store: str, path: str) -> Array | Group:
        """The node that a request names."""
        split_path(path)
        return find_node(self.app.roots.open(store, self.errand), path)

    def open_array(self, store: str, path: str) -> Array:
        """The array that a request names."""
        node = self.open_node(store, path)
        if not isinstance(node, Array):
            raise NodeNotFoundError("this is a group, not an array", key=path or None)
        return node

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answers with an `Error`, whoever raised it."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if error is None or isinstance(error, web.HTTPError):
            phrase = responses.get(status_code, "Unknown")
            message = getattr(error, "log_message", None) or phrase
            body = format_refusal(message, phrase)
        else:
            self.set_status(status_of(error))
            body = format_error(error)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(body))

    def log_exception(self, kind: Any, error: Any, traceback: Any) -> None:
        """Logs what is the server's own fault; the rest was said in the reply."""
        if not isinstance(error, web.HTTPError) and status_of(error) != 500:  # noqa: PLR2004
            self.log.debug("%s: %s", type(error).__name__, error)
        else:
            super().log_exception(kind, error, traceback)


class StoresHandler(ZLabHandler):
    """`GET stores`: the stores below the server's root."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answers with the stores that a bounded search finds."""
        app = self.app
        access = app.roots.access

        def make() -> dict[str, Any]:
            stores = []
            truncated = False
            for home in (access.root, *access.extra_roots):
                found, cut = find.find_stores(home, app.bounds, allow_hidden=access.allow_hidden)
                truncated = truncated or cut
                # ids of stores below the server's root are relative to it
                above = "" if home is access.root else home.as_posix()
                stores += [app.found(store, above) for store in found]
            return {"root": app.shown_root, "stores": stores, "truncated": truncated}

        await self.reply_json(make)


class TreeHandler(ZLabHandler):
    """`GET tree`: a page of the members of a group."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answers with the members, or with an array that is the whole store."""
        query = self.query
        store, path = query.text("store"), query.text("path", "")
        offset = query.whole("offset", 0)
        limit = min(max(query.whole("limit", self.app.max_nodes), 1), self.app.max_nodes)

        def make() -> dict[str, Any]:
            node = self.open_node(store, path)
            if not isinstance(node, Array):
                rows, following, total = list_members(node, offset, limit, self.app.max_sorted)
            elif path:
                raise NodeNotFoundError("this is an array, not a group", key=path)
            else:
                rows = [row_of(node.metadata, "", self.app.name_of(store, ""))][offset:]
                following, total = None, 1
            return {
                "store": store,
                "path": path,
                "nodes": rows,
                "next": following,
                "total": total,
                "consolidated": not isinstance(node, Array) and node.consolidated,
            }

        await self.reply_json(make)


class NodeHandler(ZLabHandler):
    """`GET node`: the details of an array or group."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answers with the details."""
        store, path = self.query.text("store"), self.query.text("path", "")

        def make() -> dict[str, Any]:
            node = self.open_node(store, path)
            return {"store": store, **describe(node, self.app.name_of(store, path))}

        await self.reply_json(make)


class StatsHandler(ZLabHandler):
    """`GET stats`: how much of an array is stored."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answers with counts of chunks and bytes."""
        store, path = self.query.text("store"), self.query.text("path", "")

        def make() -> dict[str, Any]:
            array = self.open_array(store, path)
            sizes = read_sizes(array, self.app.max_chunks)
            return {
                "store": store,
                "path": path,
                "nchunks": array.nchunks,
                "nchunks_stored": int((sizes >= 0).sum()),
                "nbytes": array.nbytes,
                "nbytes_stored": array.nbytes_stored(),
            }

        await self.reply_json(make)


class ChunksHandler(ZLabHandler):
    """`GET chunks`: stored bytes of each chunk of a plane, binary."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answers with the plane."""
        query = self.query
        store, path = query.text("store"), query.text("path", "")
        axes, index = query.wholes("axes"), query.wholes("index")

        def make() -> bytes:
            array = self.open_array(store, path)
            cut = plan_cut(array.chunk_grid_shape, axes, index)
            sizes = read_sizes(array, self.app.max_chunks)
            plane = cut_plane(sizes, cut, array.chunks, array.shards)
            return encode_plane(plane, store, path)

        await self.reply(make, "application/octet-stream")


class ReachHandler(ZLabHandler):
    """`GET reach`: which of a kernel's stores the server can open too, and why not the others."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answers with an id or an error for each; nothing is opened."""
        stores = self.query.texts("store")
        roots = self.app.roots

        def reach(store: str) -> dict[str, Any]:
            try:
                return {"store": redact(store), "id": roots.reach(store), "error": None}
            except ZlabError as error:
                return {"store": redact(store), "id": None, "error": format_error(error)}

        await self.reply_json(lambda: {"stores": [reach(store) for store in stores]})


HANDLERS = {
    "stores": StoresHandler,
    "reach": ReachHandler,
    "tree": TreeHandler,
    "node": NodeHandler,
    "stats": StatsHandler,
    "chunks": ChunksHandler,
}
