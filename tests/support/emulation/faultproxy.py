"""A proxy on loopback that does to requests and answers what networks and servers do to them."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Self, TypeAlias
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

Headers: TypeAlias = dict[str, str]
Fault: TypeAlias = Literal[
    "status",
    "refuse",
    "reset",
    "truncate",
    "stall",
    "stall_body",
    "corrupt",
    "ignore_range",
    "lost_ack",
    "lost_ack_500",
    "lost_ack_stall",
    "page",
]
"""`status` answers by itself; `refuse` cuts the connection before an answer; `reset` and `truncate`
in the middle of it, by force and in peace; `stall` says nothing, `stall_body` no more from the
middle on; `corrupt` flips a byte; `ignore_range` has the server send all; the `lost_ack`s let the
server do its work, and lose the answer; `page` is a login page with status 200."""

_REASONS = {200: "OK", 206: "Partial Content", 404: "Not Found", 503: "Service Unavailable"}
_PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"
_LONG_AGO = "Tue, 21 Oct 2025 07:28:00 GMT"
_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "expect", "keep-alive"}
_BUFFER = 1 << 20


@dataclass
class Rule:
    """What is done to some requests.

    Attributes:
        fault: What.
        match: A part of the path, decoded.
        method: The method; every one by default.
        times: How often; for ever by default.
        skip: Requests that pass before.
        status: Of the answer, for `status`.
        headers: Of the answer, for `status`.
        body: Of the answer, for `status`.
    """

    fault: Fault
    match: str = ""
    method: str | None = None
    times: int | None = None
    skip: int = 0
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def takes(self, method: str, path: str) -> bool:
        """Whether it is for this request; counts it."""
        if self.match not in path or self.method not in (None, method) or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Seen(NamedTuple):
    """A request that came.

    Attributes:
        at: Of `time.monotonic`.
        method: Such as `"GET"`.
        path: Decoded, with the query.
        byte_range: The header, where there is one.
        fault: What was done to it.
    """

    at: float
    method: str
    path: str
    byte_range: str | None
    fault: Fault | None


class _Message(NamedTuple):
    first: str
    headers: Headers
    body: bytes

    @property
    def status(self) -> int:
        return int(self.first.split()[1])


Transform: TypeAlias = Callable[[_Message], _Message]


@dataclass
class Limit:
    """So many requests in a second, others get 503: a bucket of tokens."""

    per_s: float
    burst: float = 1.0
    refused: int = 0
    served: int = 0
    _tokens: float = 0.0
    _at: float = 0.0

    def allows(self) -> bool:
        """Whether one more may pass."""
        now = time.monotonic()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_s)
        self._at = now
        if self._tokens < 1.0:
            self.refused += 1
            return False
        self._tokens -= 1.0
        self.served += 1
        return True


class FaultProxy:
    """Stands before a server.

    Args:
        port: The server's.
        delay_s: Before each answer.
        request: Changes requests on their way.
        answer: Changes answers.

    Attributes:
        rules: What is done; the first that takes a request does it.
        seen: All requests, in the order in which they came.
        limit: How many it lets pass.
        most_in_flight: Requests that it had at once.
    """

    def __init__(
        self,
        port: int,
        *,
        delay_s: float = 0.0,
        request: Transform | None = None,
        answer: Transform | None = None,
    ) -> None:
        self.rules: list[Rule] = []
        self.seen: list[Seen] = []
        self.limit: Limit | None = None
        self.delay_s = delay_s
        self.most_in_flight = 0
        self._server_port = port
        self._request = request
        self._answer = answer
        self._in_flight = 0
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, name="fault-proxy", daemon=True).start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def fail(self, *rules: Rule) -> None:
        """Forgets what was seen and done, and does this from now on."""
        self.rules = list(rules)
        self.seen = []

    def of(self, part: str, method: str | None = None) -> list[Seen]:
        """Requests whose path has a part."""
        return [s for s in self.seen if part in s.path and method in (None, s.method)]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        self._server.close()
        for _, writer in self._idle:
            writer.close()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", 0, backlog=1024, limit=_BUFFER
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)  # the loop itself would let go of one that waits
        task.add_done_callback(self._tasks.discard)
        try:
            while await self._serve(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the proxy goes
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection goes on."""
        message = await _read(reader, writer)
        method, target, _ = message.first.split()
        path = unquote(target)
        rule = next((rule for rule in self.rules if rule.takes(method, path)), None)
        fault = None if rule is None else rule.fault
        headers = message.headers
        byte_range = headers.get("range") or headers.get("x-ms-range")
        self.seen.append(Seen(time.monotonic(), method, path, byte_range, fault))
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if self.limit is not None and not self.limit.allows():
                rule = Rule("status", body=b"<Error><Code>SlowDown</Code></Error>")
            return await self._answer_one(message, rule, reader, writer)
        finally:
            self._in_flight -= 1

    async def _answer_one(  # noqa: C901  a fault each
        self,
        message: _Message,
        rule: Rule | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        method = message.first.split()[0]
        fault = None if rule is None else rule.fault
        instead = None if rule is None else _instead(rule)
        if instead is not None:
            return await _send(writer, instead, method)
        if fault in ("refuse", "stall"):
            if fault == "stall":
                await reader.read(1)  # until the client leaves
            return _reset(writer)
        if fault == "ignore_range":
            for name in ("range", "x-ms-range"):
                message.headers.pop(name, None)
        if self._request is not None:
            message = self._request(message)
        answer = await self._ask(message)
        if self._answer is not None:
            answer = self._answer(answer)
        if fault in ("reset", "truncate", "stall_body"):
            return await _break_off(
                fault, _bytes_of(answer, method), len(answer.body), reader, writer
            )
        if fault in ("lost_ack", "lost_ack_stall"):
            if fault == "lost_ack_stall":
                await reader.read(1)
            return _reset(writer)
        if fault == "lost_ack_500":
            body = b"<Error><Code>InternalError</Code></Error>"
            answer = _Message("HTTP/1.1 500 Internal Server Error", {}, body)
        elif fault == "corrupt":
            middle = len(answer.body) // 2
            flipped = bytes([answer.body[middle] ^ 0xFF])
            body = answer.body[:middle] + flipped + answer.body[middle + 1 :]
            answer = answer._replace(body=body)
        return await _send(writer, answer, method)

    async def _ask(self, message: _Message) -> _Message:
        """The server's answer, over a connection that is kept."""
        method = message.first.split()[0]
        headers = {k: v for k, v in message.headers.items() if k not in _HOP_BY_HOP}
        if message.body or method in ("PUT", "POST"):
            headers["content-length"] = str(len(message.body))
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        data = f"{message.first}\r\n{head}\r\n".encode("latin1") + message.body
        while True:
            kept = bool(self._idle)
            if kept:
                reader, writer = self._idle.pop()
            else:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", self._server_port, limit=_BUFFER
                )
            try:
                writer.write(data)
                await writer.drain()
                answer = await _read(reader, None, method)
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                if not kept:
                    raise
                continue  # the server had closed it
            closes = answer.headers.get("connection", "").lower() == "close"
            if closes or answer.first.startswith("HTTP/1.0"):
                writer.close()
            else:
                self._idle.append((reader, writer))
            return answer


async def _read(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, method: str = "GET"
) -> _Message:
    """A request (from a client, whom `writer` reaches), or an answer to a method."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
    first, *lines = head[:-4].split("\r\n")
    headers: Headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    is_answer = writer is None
    if writer is not None and "100-continue" in headers.get("expect", "").lower():
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
    body = b""
    if is_answer and (method == "HEAD" or first.split()[1] in ("204", "304")):
        return _Message(first, headers, body)
    if "chunked" in headers.get("transfer-encoding", ""):
        parts = []
        while size := int((await reader.readline()).split(b";")[0], 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readline()
        body = b"".join(parts)
        del headers["transfer-encoding"]
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif is_answer:
        body = await reader.read()
    return _Message(first, headers, body)


def _bytes_of(message: _Message, method: str) -> bytes:
    headers = {k: v for k, v in message.headers.items() if k not in _HOP_BY_HOP}
    length = str(len(message.body))
    if method == "HEAD":
        length = message.headers.get("content-length", length)
    headers["content-length"] = length
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    body = b"" if method == "HEAD" else message.body
    return f"{message.first}\r\n{head}\r\n".encode("latin1") + body


async def _send(writer: asyncio.StreamWriter, message: _Message, method: str) -> bool:
    writer.write(_bytes_of(message, method))
    await writer.drain()
    return True


def _instead(rule: Rule) -> _Message | None:
    """What the proxy answers by itself."""
    if rule.fault == "status":
        first = f"HTTP/1.1 {rule.status} {_REASONS.get(rule.status, 'Status')}"
        return _Message(first, dict(rule.headers), rule.body)
    if rule.fault == "page":
        headers = {"content-type": "text/html", "etag": '"page"', "last-modified": _LONG_AGO}
        return _Message("HTTP/1.1 200 OK", headers, _PAGE)
    return None


async def _break_off(
    fault: Fault,
    whole: bytes,
    nbytes_body: int,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> bool:
    """Sends half of a body."""
    writer.write(whole[: len(whole) - nbytes_body + nbytes_body // 2])
    await writer.drain()
    if fault == "truncate":
        return False
    if fault == "stall_body":
        await reader.read(1)
    else:
        await asyncio.sleep(0.05)  # what was sent gets there first
    return _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> bool:
    """Cuts a connection by force."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
    return False
