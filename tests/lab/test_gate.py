"""The gate as a client meets it: bytes on a socket."""

from __future__ import annotations

import socket
import threading
from base64 import b64encode
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from zlab.lab.addresses import Addresses
from zlab.lab.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zlab.lab.gate import Pass

TIMEOUT_S = 20
MUCH = 1 << 20
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
HANDED_ON = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


class Server:
    """A server that keeps what it was sent, and gives one answer to each connection."""

    def __init__(self, host: str, answer: bytes = ANSWER, *, stays: bool = False) -> None:
        self.received: list[bytes] = []
        self.gone = threading.Event()
        self._answer = answer
        self._stays = stays
        self._socket = socket.create_server((host, 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.received.append(connection.recv(65536))
                try:
                    connection.sendall(self._answer)
                    while self._stays and connection.recv(1):
                        pass
                except OSError:
                    pass
                self.gone.set()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def serve(host: str = "127.0.0.1", **options: object) -> Server:
        servers.append(Server(host, **options))  # type: ignore[arg-type]
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


@pytest.fixture
def gates() -> Iterator[Callable[..., Gate]]:
    made: list[Gate] = []

    def make(*allowed: str, resolve: Callable[[str, int], list[str]] | None = None) -> Gate:
        made.append(Gate(Addresses.parse(allowed), resolve))
        return made[-1]

    yield make
    for gate in made:
        gate.close()


def credentials(admitted: Pass) -> str:
    user = admitted.url.removeprefix("http://").rpartition("@")[0]
    return f"Proxy-Authorization: Basic {b64encode(user.encode()).decode()}\r\n"


def connect(gate: Gate) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gate.port), timeout=TIMEOUT_S)


def read(connection: socket.socket) -> bytes:
    """Everything until the connection ends."""
    pieces = []
    try:
        while piece := connection.recv(65536):
            pieces.append(piece)
    except ConnectionError:
        pass
    return b"".join(pieces)


def ask(gate: Gate, first: str, headers: str = "", after: bytes = b"") -> bytes:
    with closing(connect(gate)) as connection:
        connection.sendall(f"{first} HTTP/1.1\r\n{headers}\r\n".encode() + after)
        return read(connection)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_a_request_goes_to_a_named_address(
    serve: Callable[..., Server], gates: Callable[..., Gate]
) -> None:
    server, gate = serve(), gates("127.0.0.1")
    admitted = gate.admit(MUCH)
    headers = f"{credentials(admitted)}Host: 127.0.0.1\r\nX-Kept: 1\r\n"
    assert ask(gate, f"GET http://127.0.0.1:{server.port}/a?b=c", headers) == HANDED_ON
    assert server.received == [
        b"GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Kept: 1\r\nConnection: close\r\n\r\n"
    ]
    assert admitted.refusal is None


def test_a_tunnel_carries_bytes(serve: Callable[..., Server], gates: Callable[..., Gate]) -> None:
    server, gate = serve(answer=b"back"), gates("127.0.0.0/8")
    headers = credentials(gate.admit(MUCH))
    with closing(connect(gate)) as connection:
        connection.sendall(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n{headers}\r\n".encode())
        assert status(connection.recv(100)) == 200
        connection.sendall(b"there")
        assert read(connection) == b"back"
    assert server.received == [b"there"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1"])
def test_private_addresses_are_not_connected_to(
    serve: Callable[..., Server], gates: Callable[..., Gate], host: str
) -> None:
    server, gate = serve(), gates()
    for first in (f"GET http://{host}:{server.port}/", f"CONNECT {host}:{server.port}"):
        admitted = gate.admit(MUCH)
        assert status(ask(gate, first, credentials(admitted))) in {403, 502}
    assert not server.received


def test_a_refusal_is_told_with_the_host(gates: Callable[..., Gate]) -> None:
    gate = gates(resolve=lambda _host, _port: ["9.9.9.9", "169.254.169.254"])
    admitted = gate.admit(MUCH)
    assert status(ask(gate, "CONNECT data.example:443", credentials(admitted))) == 403
    assert admitted.refusal == "data.example (169.254.169.254) is not a public address"


def test_a_name_that_comes_to_mean_another_address(
    serve: Callable[..., Server], gates: Callable[..., Gate]
) -> None:
    # DNS rebinding: the first answer is open, those that follow are not
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

    opened = serve("127.0.0.2")
    gate = gates("127.0.0.2", resolve=resolve)
    admitted = gate.admit(MUCH)
    url = f"GET http://data.example:{opened.port}/"
    assert ask(gate, url, credentials(admitted)) == HANDED_ON
    # one look-up a connection, and the connection is made to what it gave
    assert asked == ["data.example"]
    assert status(ask(gate, url, credentials(admitted))) == 403
    assert asked == ["data.example"] * 2
    assert len(opened.received) == 1


def test_only_who_has_a_pass_is_let_in(
    serve: Callable[..., Server], gates: Callable[..., Gate]
) -> None:
    server, gate = serve(), gates("127.0.0.1")
    url = f"GET http://127.0.0.1:{server.port}/"
    revoked = gate.admit(MUCH)
    revoked.close()
    wrong = f"Proxy-Authorization: Basic {b64encode(b'zlab:guess').decode()}\r\n"
    for headers in ("", wrong, "Proxy-Authorization: Basic \xff\r\n", credentials(revoked)):
        assert status(ask(gate, url, headers)) == 407
    assert not server.received
    assert "zlab:" not in repr(revoked)


def test_only_hosts_of_the_allow_list(
    serve: Callable[..., Server], gates: Callable[..., Gate]
) -> None:
    server = serve()
    gate = gates("127.0.0.1", resolve=lambda _host, _port: ["127.0.0.1"])
    admitted = gate.admit(MUCH, frozenset({"data.example"}))
    headers = credentials(admitted)
    assert ask(gate, f"GET http://Data.Example:{server.port}/", headers) == HANDED_ON
    assert status(ask(gate, f"GET http://evil.example:{server.port}/", headers)) == 403
    assert admitted.refusal == "evil.example is not on the allow-list"


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("POST http://127.0.0.1/", 405),
        ("PUT http://127.0.0.1/", 405),
        ("GET /", 400),
        ("GET ftp://127.0.0.1/", 400),
        ("GET file:///etc/passwd", 400),
        ("CONNECT 127.0.0.1:99999", 400),
        ("GET http:///", 400),
        ("GET http://[::1/", 400),
        ("CONNECT [::1:443", 400),
    ],
)
def test_what_it_does_not_forward(gates: Callable[..., Gate], first: str, expected: int) -> None:
    gate = gates("127.0.0.1")
    assert status(ask(gate, first, credentials(gate.admit(MUCH)))) == expected


def test_a_head_without_an_end(gates: Callable[..., Gate]) -> None:
    gate = gates()
    answer = ask(gate, "GET http://127.0.0.1/", "X: " + "x" * (128 << 10))
    assert answer == b"" or status(answer) == 431


def test_one_request_a_connection(serve: Callable[..., Server], gates: Callable[..., Gate]) -> None:
    # the second could be for another host, which nobody would look at
    server, gate = serve(stays=True), gates("127.0.0.1")
    headers = credentials(gate.admit(MUCH))
    request = f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\n{headers}\r\n".encode()
    with closing(connect(gate)) as connection:
        connection.sendall(request)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET http://127.0.0.2/ HTTP/1.1\r\n\r\n")
        assert b"HTTP/" not in read(connection)
    assert len(server.received) == 1


def test_bytes_are_counted(serve: Callable[..., Server], gates: Callable[..., Gate]) -> None:
    server, gate = serve(answer=ANSWER + bytes(1 << 20)), gates("127.0.0.1")
    admitted = gate.admit(100_000)
    answer = ask(gate, f"GET http://127.0.0.1:{server.port}/", credentials(admitted))
    assert len(answer) <= 100_000
    assert admitted.refusal == "it sent more bytes than a request may read"


def test_connections_end_with_the_pass(
    serve: Callable[..., Server], gates: Callable[..., Gate]
) -> None:
    server, gate = serve(answer=b"x", stays=True), gates("127.0.0.1")
    admitted = gate.admit(MUCH)
    headers = credentials(admitted)
    with closing(connect(gate)) as connection:
        connection.sendall(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n{headers}\r\n".encode())
        assert status(connection.recv(100)) == 200
        connection.sendall(b"there")
        assert connection.recv(1) == b"x"
        admitted.close()
        assert read(connection) == b""
    assert server.gone.wait(TIMEOUT_S)


def test_a_host_that_does_not_exist_or_answer(gates: Callable[..., Gate]) -> None:
    def resolve(host: str, _port: int) -> list[str]:
        if host == "missing.example":
            raise socket.gaierror("no such host")
        return ["127.0.0.1"]

    gate = gates("127.0.0.1", resolve=resolve)
    admitted = gate.admit(MUCH)
    with closing(socket.create_server(("127.0.0.1", 0))) as unused:
        closed: int = unused.getsockname()[1]
    for host in ("missing.example:80", f"closed.example:{closed}"):
        assert status(ask(gate, f"GET http://{host}/", credentials(admitted))) == 502
    assert admitted.refusal is None


def test_one_that_nobody_used_is_closed_at_once() -> None:
    gate = Gate(Addresses())
    gate.close()
    gate.close()
    with pytest.raises(OSError, match="refused"):
        connect(gate)
