"""The server as a client meets it: who is let in, where it reaches, and what it refuses."""

from __future__ import annotations

import json
import os
import pickle
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

pytestmark = pytest.mark.needs("lab")

if TYPE_CHECKING:
    from pathlib import Path

STORE_REQUESTS = ["tree", "node", "stats", "chunks"]
REQUESTS = ["stores", "reach", *STORE_REQUESTS]
ARRAY = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [4],
    "data_type": "int8",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}},
    "chunk_key_encoding": {"name": "default"},
    "fill_value": 0,
    "codecs": [{"name": "bytes"}],
}


def make(path: Path, document: object, name: str = "zarr.json") -> None:
    path.mkdir(parents=True, exist_ok=True)
    text = document if isinstance(document, str) else json.dumps(document)
    (path / name).write_text(text)


# -- who is let in


async def ask(
    client: Any, base_url: str, request: str, **options: Any
) -> tuple[int, dict[str, Any]]:
    reply = await client.fetch(
        f"{base_url}zlab/api/{request}?store=climate.zarr&path=temperature",
        raise_error=False,
        **options,
    )
    assert reply.headers["Content-Type"] == "application/json"
    body: dict[str, Any] = json.loads(reply.body)
    return reply.code, body


@pytest.mark.parametrize("request_name", REQUESTS)
async def test_a_request_without_a_token_is_refused(
    root: Path, http_server_client: Any, jp_base_url: str, request_name: str
) -> None:
    for headers in ({}, {"Authorization": "token wrong"}, {"Authorization": "Basic YTpi"}):
        status, body = await ask(http_server_client, jp_base_url, request_name, headers=headers)
        assert status == 403
        assert body == {"v": 1, "message": "Forbidden", "reason": "Forbidden", "hint": None}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_written(
    root: Path, http_server_client: Any, jp_base_url: str, jp_auth_header: Any, method: str
) -> None:
    body = b"" if method != "DELETE" else None
    options = {"method": method, "body": body}
    # without a token and an XSRF cookie it is a forged request; with a token there is no method
    assert (await ask(http_server_client, jp_base_url, "node", **options))[0] == 403
    status, _ = await ask(
        http_server_client, jp_base_url, "node", headers=jp_auth_header, **options
    )
    assert status == 405


async def test_another_origin_is_refused(
    root: Path, http_server_client: Any, jp_base_url: str
) -> None:
    headers = {"Origin": "https://evil.example", "Referer": "https://evil.example/"}
    status, body = await ask(http_server_client, jp_base_url, "node", headers=headers)
    assert status in {403, 404}
    assert body["v"] == 1
    assert "attributes" not in body


async def test_who_is_not_authorised_is_refused(get_json: Any, jp_serverapp: Any) -> None:
    asked: list[tuple[str, str]] = []

    def is_authorized(handler: object, user: object, action: str, resource: str) -> bool:
        asked.append((action, resource))
        return False

    jp_serverapp.authorizer.is_authorized = is_authorized
    for request in REQUESTS:
        status, body = await get_json(request, store="climate.zarr", path="temperature")
        assert status == 403
        assert body["v"] == 1
    assert asked == [("read", "zlab")] * len(REQUESTS)


async def test_replies_are_not_taken_for_pages(get: Any) -> None:
    for request in REQUESTS:
        status, _, headers = await get(request, store="climate.zarr", path="temperature")
        assert status == (404 if request == "tree" else 200)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]


# -- where it reaches


@pytest.mark.parametrize("request_name", STORE_REQUESTS)
async def test_nothing_outside_the_root_is_reached(
    get_json: Any, root: Path, tmp_path: Path, request_name: str
) -> None:
    make(tmp_path / "outside.zarr", ARRAY)
    (root / "link").symlink_to(tmp_path / "outside.zarr")
    (root / "climate.zarr" / "link").symlink_to(tmp_path / "outside.zarr")
    make(root / "trap.zarr", {"zarr_format": 3, "node_type": "group"})
    (root / "trap.zarr" / "a").mkdir()
    (root / "trap.zarr" / "a" / "zarr.json").symlink_to(tmp_path / "outside.zarr" / "zarr.json")
    outside = [
        ("../outside.zarr", ""),
        ("climate.zarr/../../outside.zarr", ""),
        ("link", ""),
        (str(tmp_path / "outside.zarr"), ""),
        ("/etc", ""),
        ("C:\\Windows", ""),
        ("..\\outside.zarr", ""),
        ("climate.zarr\0", ""),
        ("climate.zarr", "../outside.zarr"),
        ("climate.zarr", "../../outside.zarr"),
        ("climate.zarr", "stations/../../../outside.zarr"),
        ("climate.zarr", "/etc"),
        ("climate.zarr", "link"),
        ("climate.zarr", "link/deeper"),
        ("climate.zarr", "temperature/.."),
        ("climate.zarr", "a\0b"),
        ("trap.zarr", "a"),
    ]
    for store, path in outside:
        status, body = await get_json(request_name, store=store, path=path)
        assert (status, body["reason"]) == (403, "OutsideRootError"), (store, path)
        assert str(tmp_path) not in body["message"].replace(store, "")
        assert body["hint"]


async def test_encodings_of_a_way_out(
    jp_serverapp: Any,
    root: Path,
    tmp_path: Path,
    http_server_client: Any,
    jp_auth_header: Any,
    jp_base_url: str,
) -> None:
    make(tmp_path / "outside.zarr", ARRAY)
    expected = {
        "%2e%2e%2foutside.zarr": 403,
        "..%2Foutside.zarr": 403,
        "%2e%2e/outside.zarr": 403,
        "..%5coutside.zarr": 403,
        "climate.zarr%00": 403,
        "%252e%252e%252foutside.zarr": 404,  # decoded once, it is an odd name
        "..%c0%afoutside.zarr": 400,  # not UTF-8
        "%ff": 400,
        "climate.zarr&store=ramp.zarr": 400,
    }
    for store, status in expected.items():
        reply = await http_server_client.fetch(
            f"{jp_base_url}zlab/api/node?store={store}", headers=jp_auth_header, raise_error=False
        )
        assert reply.code == status, store
        assert json.loads(reply.body)["v"] == 1


class TestExtraRoots:
    @pytest.fixture
    def extra(self, tmp_path: Path) -> Path:
        make(tmp_path / "extra" / "deep" / "a.zarr", ARRAY)
        make(tmp_path / "extra-next-door" / "b.zarr", ARRAY)
        (tmp_path / "extra" / "link.zarr").symlink_to(tmp_path / "extra-next-door" / "b.zarr")
        return tmp_path / "extra"

    @pytest.fixture
    def jp_server_config(self, extra: Path) -> dict[str, Any]:
        return {
            "ServerApp": {"jpserver_extensions": {"zlab": True}},
            "ZLabApp": {"extra_roots": [str(extra)]},
        }

    async def test_their_stores_are_listed_and_opened(self, get_json: Any, extra: Path) -> None:
        _, body = await get_json("stores")
        name = f"{extra.as_posix()}/deep/a.zarr"
        assert [one for one in body["stores"] if one["id"].startswith("/")] == [
            {
                "id": name,
                "name": "a.zarr",
                "path": name,
                "kind": "found",
                "node": "array",
                "zarr_format": 3,
            }
        ]
        status, body = await get_json("node", store=name)
        assert (status, body["array"]["shape"], body["name"]) == (200, [4], "a.zarr")

    async def test_nothing_else_is(self, get_json: Any, extra: Path, tmp_path: Path) -> None:
        outside = [
            f"{tmp_path}/extra-next-door/b.zarr",
            f"{extra}/../extra-next-door/b.zarr",
            f"{extra}/link.zarr",
            f"{extra}//deep/a.zarr",
            "/etc",
        ]
        for store in outside:
            for request in STORE_REQUESTS:
                status, body = await get_json(request, store=store)
                assert (status, body["reason"]) == (403, "OutsideRootError"), store
            url = f"file://{store}"
            assert (await get_json("node", store=url))[1]["reason"] == "OutsideRootError"


async def test_which_stores_of_a_kernel_can_be_reached(
    get_json: Any,
    root: Path,
    tmp_path: Path,
    http_server_client: Any,
    jp_auth_header: Any,
    jp_base_url: str,
) -> None:
    make(tmp_path / "outside.zarr", ARRAY)
    expected = {
        f"{root}/older/ocean.zarr": ("older/ocean.zarr", None),
        f"file://{root}/ramp.zarr": ("ramp.zarr", None),
        "ramp.zarr": ("ramp.zarr", None),
        "https://example.org/a.zarr": ("https://example.org/a.zarr", None),
        "memory://x": (None, "KernelOnlyError"),
        f"{tmp_path}/outside.zarr": (None, "OutsideRootError"),
        f"{root}/missing.zarr": (None, "StoreNotFoundError"),
        "ftp://example.org/a.zarr": (None, "UrlNotAllowedError"),
    }
    query = "&".join(f"store={quote(store, safe='')}" for store in expected)
    reply = await http_server_client.fetch(
        f"{jp_base_url}zlab/api/reach?{query}", headers=jp_auth_header
    )
    stores = json.loads(reply.body)["stores"]
    assert [one["store"] for one in stores] == list(expected)
    for one in stores:
        reason = one["error"] and one["error"]["reason"]
        assert (one["id"], reason) == expected[one["store"]]
    assert await get_json("reach") == (200, {"v": 1, "stores": []})


async def test_hidden_paths_are_not_served(get_json: Any, root: Path) -> None:
    make(root / ".ssh" / "a.zarr", ARRAY)
    status, body = await get_json("node", store=".ssh/a.zarr")
    assert (status, body["reason"]) == (403, "HiddenPathError")
    assert ".ssh/a.zarr" not in [store["id"] for store in (await get_json("stores"))[1]["stores"]]


async def test_urls_are_refused_with_a_reason(get_json: Any) -> None:
    expected = {
        "file:///etc": "OutsideRootError",
        "memory://x": "KernelOnlyError",
        "ftp://example.org/a.zarr": "UrlNotAllowedError",
        "zip::file:///etc/a.zip": "UrlNotAllowedError",
        "simplecache::https://example.org/a.zarr": "UrlNotAllowedError",
        "reference://::https://example.org/a.json": "UrlNotAllowedError",
    }
    for url, reason in expected.items():
        status, body = await get_json("node", store=url)
        assert (status, body["reason"]) == (403, reason), url
        assert body["hint"]


class TestAllowedUrls:
    @pytest.fixture
    def jp_server_config(self) -> dict[str, Any]:
        return {
            "ServerApp": {"jpserver_extensions": {"zlab": True}},
            "ZLabApp": {"allowed_urls": ["memory://zlab-allowed"]},
        }

    async def test_what_the_list_names_is_opened(self, get_json: Any) -> None:
        fsspec = pytest.importorskip("fsspec")
        files = fsspec.filesystem("memory")
        files.pipe("/zlab-allowed/a.zarr/zarr.json", json.dumps(ARRAY).encode())
        files.pipe("/zlab-other/a.zarr/zarr.json", json.dumps(ARRAY).encode())
        status, body = await get_json("node", store="memory://zlab-allowed/a.zarr")
        assert (status, body["array"]["shape"]) == (200, [4])
        status, body = await get_json("node", store="memory://zlab-other/a.zarr")
        assert (status, body["reason"]) == (403, "KernelOnlyError")
        status, body = await get_json("node", store="https://example.org/a.zarr")
        assert (status, body["reason"]) == (403, "UrlNotAllowedError")


# -- bad questions


async def test_what_is_not_there(get_json: Any, root: Path) -> None:
    (root / "empty").mkdir()
    (root / "file.txt").write_text("no store")
    expected = [
        ("node", {"store": "missing.zarr"}, 404, "StoreNotFoundError"),
        ("node", {"store": "empty"}, 404, "NodeNotFoundError"),
        ("node", {"store": "climate.zarr", "path": "missing"}, 404, "NodeNotFoundError"),
        ("node", {"store": "ramp.zarr", "path": "missing"}, 404, "NodeNotFoundError"),
        ("tree", {"store": "climate.zarr", "path": "temperature"}, 404, "NodeNotFoundError"),
        ("stats", {"store": "climate.zarr"}, 404, "NodeNotFoundError"),
        ("chunks", {"store": "climate.zarr"}, 404, "NodeNotFoundError"),
        ("node", {"store": "climate.zarr", "path": "broken"}, 422, "MetadataError"),
    ]
    for request, params, status, reason in expected:
        found, body = await get_json(request, **params)
        assert (found, body["reason"]) == (status, reason), (request, params)
    assert (await get_json("node", store="file.txt"))[0] in {404, 502}


async def test_parameters_that_make_no_sense(get_json: Any) -> None:
    array = {"store": "climate.zarr", "path": "temperature"}
    expected = [
        ("node", {}),
        ("tree", {"store": "climate.zarr", "offset": "-1"}),
        ("tree", {"store": "climate.zarr", "limit": "many"}),
        ("chunks", array | {"axes": "0"}),
        ("chunks", array | {"axes": "0,0"}),
        ("chunks", array | {"axes": "0,2"}),
        ("chunks", array | {"axes": "0,1", "index": "0"}),
        ("chunks", array | {"axes": "0;1"}),
        ("chunks", {"store": "ramp.zarr", "index": "7,7"}),
    ]
    for request, params in expected:
        status, body = await get_json(request, **params)
        assert status == 400, (request, params)
        assert body["reason"] in {"QueryError", "SelectionError"}


async def test_the_root_may_be_a_store(get_json: Any, jp_root_dir: Path) -> None:
    make(jp_root_dir, {"zarr_format": 3, "node_type": "group"})
    _, body = await get_json("stores")
    assert [(store["id"], store["name"]) for store in body["stores"]] == [("", "root_dir")]
    status, page = await get_json("tree", store="")
    assert status == 200
    assert "climate.zarr" in [node["path"] for node in page["nodes"]]
    status, details = await get_json("node", store="", path="climate.zarr/temperature")
    assert (status, details["name"], details["array"]["shape"]) == (200, "temperature", [6, 10])


# -- pages


async def test_pages_join_to_the_whole(get_json: Any, root: Path) -> None:
    make(root / "wide.zarr", {"zarr_format": 3, "node_type": "group"})
    for number in range(25):
        kind = ARRAY if number % 2 else {"zarr_format": 3, "node_type": "group"}
        make(root / "wide.zarr" / f"n{number:02}", kind)
    names: list[str] = []
    offset: int | None = 0
    while offset is not None:
        status, page = await get_json("tree", store="wide.zarr", offset=offset, limit=7)
        assert (status, page["total"]) == (200, 25)
        names += [node["name"] for node in page["nodes"]]
        offset = page["next"]
    even, odd = range(0, 25, 2), range(1, 25, 2)
    assert names == [f"n{number:02}" for number in (*even, *odd)]
    assert (await get_json("tree", store="wide.zarr", offset=25))[1]["nodes"] == []
    assert (await get_json("tree", store="wide.zarr", offset=10**12))[1]["next"] is None
    assert len((await get_json("tree", store="wide.zarr", limit=10**12))[1]["nodes"]) == 25


# -- stores that mean harm


async def test_html_in_attributes_stays_text(get: Any, root: Path) -> None:
    attack = "</script><img src=x onerror=alert(1)>"
    make(root / "html.zarr", {**ARRAY, "attributes": {attack: [attack]}})
    status, body, headers = await get("node", store="html.zarr")
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body)["attributes"] == {attack: [attack]}


async def test_numbers_that_a_browser_cannot_hold_become_text(get: Any, root: Path) -> None:
    directory = root / "numbers.zarr"
    make(directory, {"zarr_format": 2}, ".zgroup")
    make(
        directory, '{"nan": NaN, "inf": [-Infinity], "big": 9007199254740993, "n": 1.5}', ".zattrs"
    )
    status, body, _ = await get("node", store="numbers.zarr")
    assert status == 200

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(body, parse_constant=refuse)["attributes"] == {
        "nan": "NaN",
        "inf": ["-Infinity"],
        "big": "9007199254740993",
        "n": 1.5,
    }


async def test_deep_documents(get_json: Any, root: Path) -> None:
    reasons = []
    for number, depth in enumerate((10, 300, 900, 2_000, 200_000)):
        nested = f"{'[' * depth}{']' * depth}"
        text = json.dumps({**ARRAY, "attributes": {"deep": 0}}).replace("0}", f"{nested}}}")
        make(root / f"deep{number}.zarr", text)
        status, body = await get_json("node", store=f"deep{number}.zarr")
        assert status in {200, 422}
        assert body["v"] == 1
        reasons.append(body.get("reason"))
    assert reasons[0] is None
    assert reasons[-1] == "MetadataError"


async def test_claims_of_a_size_that_nothing_has(get_json: Any, root: Path) -> None:
    grid = {"name": "regular", "configuration": {"chunk_shape": [1, 1]}}
    make(root / "huge.zarr", {**ARRAY, "shape": [10**9, 10**9], "chunk_grid": grid})
    status, body = await get_json("node", store="huge.zarr")
    assert (status, body["array"]["nchunks"]) == (200, 10**18)
    for request in ("stats", "chunks"):
        status, body = await get_json(request, store="huge.zarr")
        assert (status, body["reason"]) == (422, "MemoryBudgetError")


async def test_documents_that_are_not_what_they_should_be(get_json: Any, root: Path) -> None:
    documents: list[object] = [
        "",
        "null",
        "[]",
        "\ufeff{}",
        {},
        {"zarr_format": 4, "node_type": "array"},
        {**ARRAY, "shape": [-1]},
        {**ARRAY, "shape": ["4"]},
        {**ARRAY, "shape": 4},
        {**ARRAY, "data_type": "no such type"},
        {**ARRAY, "codecs": [{"name": "no such codec"}]},
        {**ARRAY, "codecs": []},
        {**ARRAY, "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0]}}},
        {**ARRAY, "chunk_grid": {"name": "../../etc", "configuration": {}}},
        {**ARRAY, "attributes": "text"},
        {**ARRAY, "dimension_names": ["a", "b"]},
        {**ARRAY, "fill_value": {"a": 1}},
    ]
    make(root / "bad.zarr", {"zarr_format": 3, "node_type": "group"})
    for number, document in enumerate(documents):
        make(root / "bad.zarr" / f"{number:02}", document)
    status, page = await get_json("tree", store="bad.zarr")
    assert (status, page["total"]) == (200, len(documents))
    for number, document in enumerate(documents):
        status, body = await get_json("node", store="bad.zarr", path=f"{number:02}")
        assert (status, body["v"]) == (422, 1), document


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.path,)


async def test_nothing_from_a_store_is_executed(get_json: Any, root: Path, tmp_path: Path) -> None:
    canary = tmp_path / "executed"
    document = {
        "zarr_format": 2,
        "shape": [1],
        "chunks": [1],
        "dtype": "|O",
        "compressor": None,
        "fill_value": None,
        "order": "C",
        "filters": [{"id": "pickle"}],
    }
    make(root / "pickle.zarr", document, ".zarray")
    (root / "pickle.zarr" / "0").write_bytes(pickle.dumps(_Bomb(canary)))
    for request in STORE_REQUESTS:
        await get_json(request, store="pickle.zarr")
    assert (await get_json("node", store="pickle.zarr"))[0] == 422
    assert not canary.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
async def test_a_pipe_for_a_document_is_not_waited_for(get_json: Any, root: Path) -> None:
    (root / "climate.zarr" / "pipe").mkdir()
    os.mkfifo(root / "climate.zarr" / "pipe" / "zarr.json")
    status, body = await get_json("node", store="climate.zarr", path="pipe")
    assert (status, body["reason"]) == (502, "StoreError")
    status, page = await get_json("tree", store="climate.zarr")
    assert status == 200
    assert {node["name"] for node in page["nodes"] if node["error"]} == {"broken", "pipe"}


# -- limits


class TestLimits:
    @pytest.fixture
    def jp_server_config(self) -> dict[str, Any]:
        return {
            "ServerApp": {"jpserver_extensions": {"zlab": True}},
            "ZLabApp": {
                "max_document_nbytes": 5000,
                "max_reply_nbytes": 4000,
                "max_nodes": 2,
                "max_chunks": 8,
                "search_stores": 2,
            },
        }

    async def test_bytes_of_a_document_and_a_reply(self, get_json: Any, root: Path) -> None:
        for name, length in (("document", 6000), ("reply", 3000)):
            make(root / f"{name}.zarr", {**ARRAY, "attributes": {"long": "x" * length}})
            status, body = await get_json("node", store=f"{name}.zarr")
            assert (status, body["reason"]) == (422, "DocumentTooLargeError")
            assert name in body["message"]

    async def test_counts(self, get_json: Any, root: Path) -> None:
        _, page = await get_json("tree", store="climate.zarr", limit=100)
        assert (len(page["nodes"]), page["next"]) == (2, 2)
        status, body = await get_json("chunks", store="climate.zarr", path="temperature")
        assert (status, body["reason"]) == (422, "MemoryBudgetError")
        _, body = await get_json("stores")
        assert (len(body["stores"]), body["truncated"]) == (2, True)


class TestTooSlow:
    @pytest.fixture
    def jp_server_config(self) -> dict[str, Any]:
        return {
            "ServerApp": {"jpserver_extensions": {"zlab": True}},
            "ZLabApp": {"max_seconds": 0.05, "max_reads": 1},
        }

    async def test_a_request_that_does_not_end(
        self, get_json: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate = threading.Event()
        monkeypatch.setattr("zlab.lab.find.find_stores", lambda *_, **__: gate.wait())
        try:
            status, body = await get_json("stores")
            assert (status, body["reason"]) == (504, "TooSlowError")
            # the only place of this user is taken by the thread that goes on
            status, body = await get_json("node", store="climate.zarr")
            assert (status, body["reason"]) == (504, "TooSlowError")
        finally:
            gate.set()


async def test_a_fault_of_the_server_is_said_without_its_inside(
    get_json: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("the inside")

    monkeypatch.setattr("zlab.lab.find.find_stores", fail)
    status, body = await get_json("stores")
    assert (status, body["reason"]) == (500, "ZeroDivisionError")
    assert "inside" not in json.dumps(body)


async def test_the_extension_is_found_and_enabled(jp_serverapp: Any) -> None:
    assert jp_serverapp.extension_manager.extensions["zlab"].enabled
    app = jp_serverapp.web_app.settings["zlab"]
    assert app.allowed_urls == ["*"]
    assert app.extra_roots == app.allowed_private == []
    assert {name for name in app.traits(config=True) if name.startswith(("max_", "search_"))} == {
        "max_chunks",
        "max_document_nbytes",
        "max_nodes",
        "max_reads",
        "max_remote_nbytes",
        "max_reply_nbytes",
        "max_seconds",
        "max_sorted",
        "max_waiting",
        "search_depth",
        "search_directories",
        "search_seconds",
        "search_stores",
    }
