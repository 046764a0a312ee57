"""Real servers on loopback: started for a session of tests, ended by their own pid."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

ROOT = Path(__file__).parents[3]
AZURE_ACCOUNT = "devstoreaccount1"
# everybody's: Azurite knows this account alone
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
_PATIENCE_S = 60


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class ServerFailedError(Exception):
    """A server did not start."""


@dataclass
class Server:
    """A process that listens on a port.

    Attributes:
        name: What it is.
        command: Makes the command line, of the port.
        log: Where it writes.
        environment: Variables besides the test's own.
    """

    name: str
    command: Callable[[int], list[str]]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # another process may take the port between our look and the server's start
        for _ in range(3):
            self.port = free_port()
            if self._start():
                return self
        raise ServerFailedError(f"{self.name} does not start: {self.log.read_text()[-2000:]}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Ends the process, and waits until it has."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process = None

    def _start(self) -> bool:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(self.port),
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
                env={**os.environ, **self.environment},
            )
        deadline = time.monotonic() + _PATIENCE_S
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return True
        self.stop()
        return False


def moto(folder: Path) -> Server:
    """S3; it checks no signatures."""
    return Server(
        "moto",
        lambda port: [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        folder / "moto.log",
    )


def ministack(folder: Path) -> Server:
    """S3, several times as fast; it checks no signatures either."""
    return Server(
        "ministack",
        lambda _: [shutil.which("ministack") or "ministack"],
        folder / "ministack.log",
    )


def azurite_command() -> list[str] | None:
    """How Azurite is started; `None` where it is not installed."""
    script = ROOT / "node_modules" / ".bin" / "azurite-blob"
    node = shutil.which("node")
    return [node, str(script)] if node and script.exists() else None


def azurite(folder: Path) -> Server:
    """Azure Blob Storage, with its signatures."""
    command = azurite_command() or ["azurite-blob"]
    quiet = ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    return Server(
        "azurite",
        lambda port: [*command, "--blobHost", "127.0.0.1", "--blobPort", str(port), *quiet],
        folder / "azurite.log",
    )


_NGINX = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {root};
    autoindex on;
  }}
}}
"""


def nginx(folder: Path, root: Path) -> Server:
    """A web server over a directory, with lists of links."""

    def command(port: int) -> list[str]:
        configuration = folder / "nginx.conf"
        # started by root its workers would be nobody, who may not read here
        user = "user root;" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""
        configuration.write_text(_NGINX.format(user=user, folder=folder, root=root, port=port))
        binary = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"
        return [binary, "-e", str(folder / "nginx-error.log"), "-c", str(configuration)]

    return Server("nginx", command, folder / "nginx.log")
