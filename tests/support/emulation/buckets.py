"""Buckets of servers, behind a proxy that can spoil what passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emulation.servers import AZURE_ACCOUNT, AZURE_KEY
from zlab.stores.open import store_from
from zlab.stores.remote import RemoteStore

if TYPE_CHECKING:
    from pathlib import Path

    from emulation.faultproxy import FaultProxy

# waits of a test, not of a user
QUICK = {
    "retry": {"attempts": 4, "base_s": 0.01, "cap_s": 0.05, "deadline_s": 20},
    "connect_s": 2.0,
    "idle_s": 1.0,
    "total_s": 4.0,
}


@dataclass
class Bucket:
    """A bucket, container or directory of a server.

    Attributes:
        scheme: Of its URLs: `s3`, `gs`, `az` or `http`.
        name: What it is called.
        proxy: Between it and who opens it by `url` and `options`.
        folder: Of a web server, where its files are.
        direct: `storage_options` past the proxy.
    """

    scheme: str
    name: str
    proxy: FaultProxy
    folder: Path | None = None
    direct: dict[str, Any] = field(default_factory=dict)

    def url(self, path: str = "", *, bucket: str | None = None) -> str:
        """The URL of a path in it, or in another bucket."""
        if self.scheme == "http":
            return f"{self.proxy.url}/{bucket or self.name}/{path}".rstrip("/")
        return f"{self.scheme}://{bucket or self.name}/{path}".rstrip("/")

    def options(self, **more: Any) -> dict[str, Any]:
        """`storage_options` with short waits."""
        return {**access(self.scheme, self.proxy.url), **QUICK, **more}

    def store(self, path: str = "", **more: Any) -> RemoteStore:
        """A store in it, open for writing."""
        store, _ = store_from(self.url(path), mode="a", storage_options=self.options(**more))
        assert isinstance(store, RemoteStore)
        return store

    def put(self, key: str, data: bytes) -> None:
        """Puts an object, past the proxy."""
        if self.folder is not None:
            file = self.folder / self.name / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            return
        url = f"{self.scheme}://{self.name}"
        store, _ = store_from(url, mode="a", storage_options=self.direct)
        store.put(key, data)


def access(scheme: str, url: str) -> dict[str, Any]:
    """`storage_options` for an emulator of a cloud at a URL."""
    match scheme:
        case "s3":
            return {"endpoint": url, "key": "test", "secret": "test", "region": "us-east-1"}
        case "gs":
            return {"endpoint": url, "token": "test"}
        case "az":
            return {
                "endpoint": f"{url}/{AZURE_ACCOUNT}",
                "account_name": AZURE_ACCOUNT,
                "account_key": AZURE_KEY,
            }
        case _:
            return {}
