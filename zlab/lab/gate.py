"""The way to remote stores: a proxy on loopback that connects only to checked addresses.

The clients that read clouds resolve names, follow redirects and keep connections by themselves;
nothing can be put in between. But all of them can be told of a proxy. So the name of every host,
also of one that a redirect or an endpoint names, comes here, is resolved here once, and the
connection is made to an address that was checked: there is no moment in between in which a name
could come to mean something else. Whoever connects needs a pass, which is a request's: it counts
bytes, and when the request ends, its connections end.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from base64 import b64decode
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias, final
from urllib.parse import urlsplit

from zlab.lab.addresses import normal_host

if TYPE_CHECKING:
    from collections.abc import Callable

    from zlab.lab.addresses import Addresses

Resolve: TypeAlias = "Callable[[str, int], list[str]]"

_HEAD_NBYTES = 64 << 10
_PIECE_NBYTES = 64 << 10
_CONNECT_S = 5.0
_METHODS = ("GET", "HEAD")


class _RefusedError(Exception):
    """A connection that is not made.

    Attributes:
        status: What the client is told.
    """

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


@final
class Pass:
    """What one request may do behind the gate.

    Attributes:
        url: Of the proxy, for clients; it holds a secret.
        refusal: Why a connection was refused, as a sentence without secrets; `None` if none was.
    """

    def __init__(
        self, gate: Gate, secret: str, hosts: frozenset[str] | None, max_nbytes: int
    ) -> None:
        self._gate = gate
        self._secret = secret
        self.url = f"http://zlab:{secret}@127.0.0.1:{gate.port}"
        self.hosts = hosts
        self.refusal: str | None = None
        self.left_nbytes = max_nbytes
        self.tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return "Pass()"

    def close(self) -> None:
        """Ends its connections, and takes no more."""
        self._gate.revoke(self._secret, self)


@final
class Gate:
    """A forwarding proxy on loopback, with a thread of its own.

    Args:
        addresses: Which addresses it may connect to.
        resolve: The addresses of a host.
    """

    def __init__(self, addresses: Addresses, resolve: Resolve | None = None) -> None:
        self._addresses = addresses
        self._resolve = resolve or _resolve
        self._passes: dict[str, Pass] = {}
        self._loop = asyncio.new_event_loop()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="zlab-gate", daemon=True)
        self._thread.start()

    def admit(self, max_nbytes: int, hosts: frozenset[str] | None = None) -> Pass:
        """A pass for a request.

        Args:
            max_nbytes: Bytes that it may receive in all.
            hosts: The only ones that it may reach, `None` for any.
        """
        secret = secrets.token_hex(16)
        found = self._passes[secret] = Pass(self, secret, hosts, max_nbytes)
        return found

    def revoke(self, secret: str, admitted: Pass) -> None:
        """Ends a pass."""
        self._passes.pop(secret, None)

        def cancel() -> None:
            for task in list(admitted.tasks):
                task.cancel()

        with suppress(RuntimeError):  # the loop is closed, and with it all connections
            self._loop.call_soon_threadsafe(cancel)

    def close(self) -> None:
        """Ends all connections, and listens no more."""
        self._started.wait()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        starting = asyncio.start_server(self._accept, sock=self._listening, limit=_HEAD_NBYTES)
        try:
            self._server = loop.run_until_complete(starting)
        finally:
            self._started.set()
        loop.run_forever()
        self._server.close()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._forward(reader, writer)
        except _RefusedError as refused:
            head = f"HTTP/1.1 {refused.status}\r\nContent-Length: 0\r\nConnection: close\r\n"
            if refused.status.startswith("407"):
                head += 'Proxy-Authenticate: Basic realm="zlab"\r\n'
            with suppress(OSError):
                writer.write(f"{head}\r\n".encode())
                await writer.drain()
        except (OSError, EOFError, TimeoutError, asyncio.CancelledError):
            pass  # the client sees the connection end, which is all there is to say
        finally:
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.LimitOverrunError as error:
            raise _RefusedError("431 Request Header Fields Too Large") from error
        first, *fields = head[:-4].split("\r\n")
        admitted = self._admitted(fields)
        task = asyncio.current_task()
        if task is not None:
            admitted.tasks.add(task)
            task.add_done_callback(admitted.tasks.discard)
        method, _, rest = first.partition(" ")
        target = rest.rpartition(" ")[0]
        tunnels = method == "CONNECT"
        if not tunnels and method not in _METHODS:
            # who reads and writes nothing asks so for a token of a machine's metadata service alone
            admitted.refusal = "it has no credentials for the store, and asks no metadata service"
            raise _RefusedError("405 Method Not Allowed")
        try:
            parts = urlsplit(f"//{target}" if tunnels else target)
            host, port = parts.hostname, parts.port or (443 if tunnels else 80)
        except ValueError as error:
            raise _RefusedError("400 Bad Request") from error
        if not host or (not tunnels and parts.scheme != "http"):
            raise _RefusedError("400 Bad Request")
        far_reader, far_writer = await self._connect(host, port, admitted)
        try:
            if tunnels:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                there: asyncio.Future[Any] = asyncio.ensure_future(_pump(reader, far_writer, None))
            else:
                path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
                far_writer.write(_request(method, path, fields))
                # a second request on this connection could be for another host
                there = asyncio.ensure_future(reader.read(1))
            back: asyncio.Future[Any] = asyncio.ensure_future(
                _answer(far_reader, writer, admitted, tunnels=tunnels)
            )
            try:
                await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for half in (there, back):
                    half.cancel()
                await asyncio.gather(there, back, return_exceptions=True)
        finally:
            far_writer.close()

    def _admitted(self, fields: list[str]) -> Pass:
        for field in fields:
            name, _, value = field.partition(":")
            kind, _, coded = value.strip().partition(" ")
            if name.lower() == "proxy-authorization" and kind.lower() == "basic":
                with suppress(ValueError):  # not Base64, or not UTF-8
                    found = self._passes.get(b64decode(coded).decode().rpartition(":")[2])
                    if found is not None:
                        return found
        raise _RefusedError("407 Proxy Authentication Required")

    async def _connect(
        self, host: str, port: int, admitted: Pass
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to an address that was checked, and to no other."""
        if admitted.hosts is not None and normal_host(host) not in admitted.hosts:
            admitted.refusal = f"{host} is not on the allow-list"
            raise _RefusedError("403 Forbidden")
        try:
            found = await self._loop.run_in_executor(None, self._resolve, host, port)
        except (OSError, UnicodeError) as error:
            raise _RefusedError("502 Bad Gateway") from error
        refused = self._addresses.refused(host, found)
        if refused is not None:
            where = host if host == refused else f"{host} ({refused})"
            admitted.refusal = f"{where} is not a public address"
            raise _RefusedError("403 Forbidden")
        for address in found:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CONNECT_S):
                    return await asyncio.open_connection(address, port)
        raise _RefusedError("502 Bad Gateway")


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _request(method: str, path: str, fields: list[str]) -> bytes:
    """One request of a connection that ends with its answer, so that no other goes along."""
    kept = _without(fields, "proxy-", "connection:", "content-length:", "transfer-encoding:")
    return _head(f"{method} {path} HTTP/1.1", kept)


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, admitted: Pass, *, tunnels: bool
) -> None:
    """Hands an answer on, which says that the connection ends with it."""
    if not tunnels:
        try:
            head = (await reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1")
        except asyncio.LimitOverrunError:
            return
        first, *fields = head.split("\r\n")
        writer.write(_head(first, _without(fields, "connection:", "keep-alive:")))
    await _pump(reader, writer, admitted)


def _without(fields: list[str], *names: str) -> list[str]:
    return [field for field in fields if not field.lower().startswith(names)]


def _head(first: str, fields: list[str]) -> bytes:
    return "\r\n".join([first, *fields, "Connection: close", "", ""]).encode("latin-1")


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, admitted: Pass | None
) -> None:
    """Hands bytes on until there are no more, or no more may come."""
    while data := await reader.read(_PIECE_NBYTES):
        if admitted is not None:
            admitted.left_nbytes -= len(data)
            if admitted.left_nbytes < 0:
                admitted.refusal = "it sent more bytes than a request may read"
                return
        writer.write(data)
        await writer.drain()
