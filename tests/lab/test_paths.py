from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from zlab.errors import ReadOnlyError, StoreError, StoreNotFoundError
from zlab.lab.confined import ConfinedStore
from zlab.lab.paths import (
    DocumentTooLargeError,
    HiddenPathError,
    KernelOnlyError,
    OutsideRootError,
    UrlNotAllowedError,
    allowed_hosts,
    check_url,
    is_url,
    local_path,
    locate,
    split_path,
)
from zlab.stores.local import LocalStore
from zlab.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OUTSIDE = [
    "..",
    "../outside.zarr",
    "a/../../outside.zarr",
    "inside.zarr/../inside.zarr",
    "./inside.zarr",
    "inside.zarr/.",
    "/etc",
    "/etc/passwd",
    "//server/share",
    "inside.zarr//x",
    "inside.zarr/",
    "/",
    "..\\outside.zarr",
    "inside.zarr\\..\\..\\outside.zarr",
    "\\\\server\\share",
    "\\\\?\\C:\\",
    "C:",
    "C:\\Windows",
    "c:/Windows",
    "C:inside.zarr",
    "inside.zarr\0",
    "inside.zarr\0/../../etc",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "inside.zarr").mkdir(parents=True)
    (root / ".hidden" / "secret.zarr").mkdir(parents=True)
    (tmp_path / "outside.zarr").mkdir()
    (tmp_path / "root-next-door").mkdir()
    return root


@pytest.mark.parametrize("path", OUTSIDE)
def test_paths_that_could_lead_out_are_refused_by_their_text(root: Path, path: str) -> None:
    with pytest.raises(OutsideRootError):
        locate(path, root)
    with pytest.raises(OutsideRootError):
        split_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "%2e%2e/outside.zarr",
        "..%2foutside.zarr",
        "%252e%252e%252foutside.zarr",
        "..%c0%afoutside.zarr",
        "\u2025/outside.zarr",
        "\uff0e\uff0e/outside.zarr",
        ".../outside.zarr",
        ".. /outside.zarr",
        "~",
        "~root",
        "$HOME",
        "${HOME}/x",
        "inside.zarr ",
        "x" * 5000,
        "a/" * 3000 + "a",
    ],
)
def test_what_only_looks_like_a_way_out_is_a_plain_name(root: Path, path: str) -> None:
    with pytest.raises(StoreNotFoundError):
        locate(path, root, allow_hidden=True)


def test_inside(root: Path) -> None:
    assert locate("inside.zarr", root) == (root / "inside.zarr", root)
    assert locate("", root) == (root, root)


def test_hidden(root: Path) -> None:
    with pytest.raises(HiddenPathError):
        locate(".hidden/secret.zarr", root)
    assert locate(".hidden/secret.zarr", root, allow_hidden=True)[0].name == "secret.zarr"


def test_links(root: Path, tmp_path: Path) -> None:
    (root / "inside_link").symlink_to(root / "inside.zarr")
    (root / "outside_link").symlink_to(tmp_path / "outside.zarr")
    (root / "relative").symlink_to("../outside.zarr")
    (root / "chain").symlink_to("outside_link")
    (root / "next_door").symlink_to(tmp_path / "root-next-door")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("nowhere")
    assert locate("inside_link", root)[0] == root / "inside.zarr"
    for name in ("outside_link", "relative", "chain", "next_door"):
        with pytest.raises(OutsideRootError):
            locate(name, root)
    for name in ("dangling", "loop/x"):
        with pytest.raises(StoreNotFoundError):
            locate(name, root)


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert locate("inside.zarr", tmp_path / "link")[0] == root / "inside.zarr"


def test_extra_roots(root: Path, tmp_path: Path) -> None:
    extra = tmp_path / "outside.zarr"
    (extra / "a.zarr").mkdir()
    (extra / ".hidden").mkdir()
    (extra / "link").symlink_to(root)
    assert locate(f"{extra}/a.zarr", root, [extra]) == (extra / "a.zarr", extra)
    assert locate(str(extra), root, [extra]) == (extra, extra)
    # a kernel names stores of the server's own root so
    assert locate(f"{root}/inside.zarr", root, [extra]) == (root / "inside.zarr", root)
    refused = [
        f"{extra}/../root-next-door",
        f"{extra}/link",
        f"{extra}//etc",
        f"{extra}-next-door",
        f"{tmp_path}/root-next-door",
        f"{extra}/a.zarr\0",
        f"/{extra}/a.zarr",
        "/etc",
    ]
    for path in refused:
        with pytest.raises(OutsideRootError):
            locate(path, root, [extra])
    with pytest.raises(HiddenPathError):
        locate(f"{extra}/.hidden", root, [extra])


@pytest.mark.parametrize(
    ("store", "path"),
    [
        ("file:///data/a%20b.zarr", "/data/a b.zarr"),
        ("FILE://localhost/data", "/data"),
        ("file:/data", "/data"),
        ("local:///data", "/data"),
        ("file:///data/%2e%2e/etc", "/data/../etc"),
        ("file://server/data", "file://server/data"),
        ("file:///a.zip::zip://b", "file:///a.zip::zip://b"),
        ("s3://bucket/a", "s3://bucket/a"),
        ("a/b", "a/b"),
    ],
)
def test_paths_of_file_urls(store: str, path: str) -> None:
    assert local_path(store) == path


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("s3://bucket/a.zarr", True),
        ("https://example.org/a.zarr", True),
        ("file:///etc", True),
        ("FILE:/etc", True),
        ("simplecache::s3://bucket/a.zarr", True),
        ("zip::a.zip", True),
        ("memory:", True),
        ("a.zarr", False),
        ("a/b.zarr", False),
        ("C:/a.zarr", False),
        ("", False),
    ],
)
def test_is_url(store: str, expected: bool) -> None:
    assert is_url(store) is expected


ALLOWED = ["https://example.org/public", "s3://bucket/"]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/public",
        "https://example.org/public/a.zarr",
        "s3://bucket/a/b.zarr",
    ],
)
def test_allowed_urls(url: str) -> None:
    assert check_url(url, ALLOWED) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/private/a.zarr",
        "https://example.org/public-not",
        "https://example.org/public/../private",
        "https://example.org/public/%2e%2e/private",
        "https://example.org/public\\..\\private",
        "https://example.org.evil.example/public/a.zarr",
        "https://example.org@evil.example/public/a.zarr",
        "http://example.org/public/a.zarr",
        "HTTPS://EXAMPLE.ORG/public/a.zarr",
        "s3://bucket-next-door/a.zarr",
        "simplecache::https://example.org/public/a.zarr",
        "https://example.org/public/a.zarr::file:///etc",
        "file:///etc/passwd",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(UrlNotAllowedError):
        check_url(url, ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/a b.zarr",
        "gs://bucket/a",
        "az://container/a",
        "abfs://container@account.dfs.core.windows.net/a",
        "https://example.org/a%20b",
        "http://[2620:fe::fe]/a",
        "HTTPS://EXAMPLE.ORG/a",
    ],
)
def test_any_url_of_a_cloud_or_web_server(url: str) -> None:
    assert check_url(url, ["*"]) == url


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/a",
        "sftp://example.org/a",
        "github://owner:repository@main/a",
        "zip::https://example.org/a.zip",
        "https://example.org/a::file:///etc",
        "https://example.org/../a",
        "https://example.org\\@evil.example/a",
        "https://example.org/\r\nHost: evil",
        "https://user@example.org/a",
        "https://user:password@example.org/a",
        "https://example.org/a?signature=x",
        "s3://key:secret@bucket/a",
        "file://server/share",
        "javascript:alert(1)",
    ],
)
def test_any_url_is_none_of_another_kind(url: str) -> None:
    with pytest.raises(UrlNotAllowedError) as caught:
        check_url(url, ["*"])
    assert "example" not in str(caught.value)


def test_what_is_in_memory_is_the_kernels() -> None:
    for url in ("memory://a", "MEMORY:"):
        with pytest.raises(KernelOnlyError):
            check_url(url, ["*"])


def test_hosts_that_redirects_may_lead_to() -> None:
    allowed = ["https://Example.org/a", "http://[::1]:80/b", "s3://bucket/"]
    assert allowed_hosts("https://example.org/a", allowed) == frozenset({"example.org", "::1"})
    assert allowed_hosts("s3://bucket/a", allowed) is None
    assert allowed_hosts("https://example.org/a", ["*", *allowed]) is None


def test_no_url_is_allowed_where_none_is_named() -> None:
    with pytest.raises(UrlNotAllowedError, match="does not open URLs"):
        check_url("https://example.org/a.zarr", [])


@pytest.fixture
def confined(root: Path) -> ConfinedStore:
    directory = root / "inside.zarr"
    (directory / "a").mkdir()
    (directory / "a" / "zarr.json").write_bytes(b"0123456789")
    return ConfinedStore(LocalStore(directory, read_only=True), directory, root, 100)


def test_a_confined_store_reads(confined: ConfinedStore, root: Path) -> None:
    assert confined.get("a/zarr.json") == b"0123456789"
    assert confined.get("a/zarr.yaml") is None
    assert confined.get("a") is None
    assert confined.nbytes("a/zarr.json") == 10
    assert [entry.key for entry in confined.list()] == ["a/zarr.json"]
    assert confined.list_dir().prefixes == ["a"]
    assert confined.version("a/zarr.json") == LocalStore(root / "inside.zarr").version(
        "a/zarr.json"
    )


@pytest.mark.parametrize("key", ["../outside.zarr/zarr.json", "/etc/passwd", "a/../../x", "a\0"])
def test_keys_do_not_lead_out(confined: ConfinedStore, key: str) -> None:
    for ask in (confined.get, confined.nbytes, confined.list_dir):
        with pytest.raises((StoreError, OutsideRootError)):
            ask(key)


def test_links_inside_a_store_do_not_lead_out(
    confined: ConfinedStore, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside.zarr" / "zarr.json").write_bytes(b"secret")
    (root / "inside.zarr" / "b").symlink_to(tmp_path / "outside.zarr")
    (root / "inside.zarr" / "c").mkdir()
    (root / "inside.zarr" / "c" / "zarr.json").symlink_to(tmp_path / "outside.zarr" / "zarr.json")
    for key in ("b/zarr.json", "c/zarr.json"):
        for ask in (confined.get, confined.nbytes, confined.version):
            with pytest.raises(OutsideRootError):
                ask(key)
    for each in (confined.list, confined.list_dir):
        with pytest.raises(OutsideRootError):
            each("b")


def test_a_confined_store_takes_no_large_document(confined: ConfinedStore, root: Path) -> None:
    (root / "inside.zarr" / "large").write_bytes(bytes(101))
    with pytest.raises(DocumentTooLargeError):
        confined.get("large")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_not_waited_for(confined: ConfinedStore, root: Path) -> None:
    os.mkfifo(root / "inside.zarr" / "pipe")
    with pytest.raises(OSError, match="not a file"):
        confined.get("pipe")


def test_a_confined_store_is_read_only(root: Path) -> None:
    memory = MemoryStore()
    confined = ConfinedStore(memory, root, root, 100)
    assert confined.read_only
    writes: list[Callable[[], None]] = [
        lambda: confined.put("a", b""),
        lambda: confined.delete("a"),
        lambda: confined.delete_prefix("a"),
    ]
    for write in writes:
        with pytest.raises(ReadOnlyError):
            write()
