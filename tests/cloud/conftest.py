"""Buckets of real servers on loopback, each behind a proxy that can spoil what passes."""

from __future__ import annotations

import itertools
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from emulation.buckets import Bucket, access
from emulation.faultproxy import FaultProxy
from emulation.gcs_double import AUTHORIZATION, GcsDouble
from emulation.servers import AZURE_KEY, azurite, ministack, moto, nginx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SCHEMES = ("s3", "gs", "az", "http")
_numbers = itertools.count()


def _port(url: str) -> int:
    parts = urlsplit(url)
    assert parts.hostname == "127.0.0.1", "the servers of tests are on this machine"
    assert parts.port is not None
    return parts.port


@pytest.fixture(scope="session")
def _s3_port(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    wanted = request.config.getoption("s3")
    if wanted.startswith("http"):
        yield _port(wanted)
        return
    folder = tmp_path_factory.mktemp("s3")
    with (moto if wanted == "moto" else ministack)(folder) as server:
        yield server.port


@pytest.fixture(scope="session")
def _azure_port(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    wanted = request.config.getoption("azure")
    if wanted.startswith("http"):
        yield _port(wanted)
        return
    with azurite(tmp_path_factory.mktemp("azure")) as server:
        yield server.port


@pytest.fixture(scope="session")
def _web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    folder = tmp_path_factory.mktemp("web")
    root = folder / "root"
    root.mkdir()
    folder.chmod(0o755)
    with nginx(folder, root) as server:
        yield server.port, root


def _make_bucket(scheme: str, port: int, name: str) -> None:
    if scheme == "az":
        from azure.storage.blob import BlobServiceClient

        options = access("az", f"http://127.0.0.1:{port}")
        with BlobServiceClient(options["endpoint"], credential=AZURE_KEY) as client:
            client.create_container(name)
        return
    request = Request(
        f"http://127.0.0.1:{port}/{name}", method="PUT", headers={"Authorization": AUTHORIZATION}
    )
    urlopen(request, timeout=10).close()  # noqa: S310  on this machine


@pytest.fixture(scope="session")
def bucket_of(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Bucket]]:
    """Makes a new bucket of a scheme. Its server starts with the first one."""
    proxies: list[FaultProxy] = []

    @cache
    def proxy_of(scheme: str) -> tuple[FaultProxy, int, Path | None]:
        folder = None
        match scheme:
            case "http":
                port, folder = request.getfixturevalue("_web")
            case "az":
                port = request.getfixturevalue("_azure_port")
            case "gs" if request.config.getoption("gcs").startswith("http"):
                port = _port(request.config.getoption("gcs"))
            case _:
                port = request.getfixturevalue("_s3_port")
        is_double = scheme == "gs" and request.config.getoption("gcs") == "shim"
        proxy = (GcsDouble if is_double else FaultProxy)(port)
        proxies.append(proxy)
        proxy.__enter__()
        return proxy, port, folder

    def make(scheme: str) -> Bucket:
        proxy, port, folder = proxy_of(scheme)
        proxy.fail()
        proxy.limit = None
        name = f"bucket-{next(_numbers)}"
        if folder is None:
            _make_bucket(scheme, port, name)
        else:
            (folder / name).mkdir()
        # generations are the double's own: nobody goes past it
        direct = access(scheme, proxy.url if scheme == "gs" else f"http://127.0.0.1:{port}")
        return Bucket(scheme, name, proxy, folder, direct)

    yield make
    for proxy in proxies:
        proxy.__exit__()


_NEEDS = {"s3": "moto", "gs": "moto", "az": "azurite", "http": "nginx"}


@pytest.fixture(
    params=[
        pytest.param(scheme, marks=pytest.mark.needs("cloud", _NEEDS[scheme])) for scheme in SCHEMES
    ]
)
def bucket(request: pytest.FixtureRequest, bucket_of: Callable[[str], Bucket]) -> Bucket:
    """A new bucket of each kind."""
    return bucket_of(request.param)


@pytest.fixture(
    params=[
        pytest.param(scheme, marks=pytest.mark.needs("cloud", _NEEDS[scheme]))
        for scheme in SCHEMES[:-1]
    ]
)
def cloud(request: pytest.FixtureRequest, bucket_of: Callable[[str], Bucket]) -> Bucket:
    """A new bucket of each kind that can be written to."""
    return bucket_of(request.param)
