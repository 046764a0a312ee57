"""Remote stores as a client of the server meets them: where requests go, and what ends them."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.needs("lab"), pytest.mark.needs("cloud")]

TIMEOUT_S = 20
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
DOCUMENT = json.dumps(ARRAY).encode()


class Web:
    """A web server: what it answers at a path, and what it was asked.

    An answer is bytes, or a function that is given the handler.
    """

    def __init__(self, host: str) -> None:
        self.answers: dict[str, bytes | Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                web.asked.append(f"{self.command} {self.path}")
                answer = web.answers.get(self.path)
                if callable(answer):
                    answer(self)
                    return
                self.send_response(404 if answer is None else 200)
                self.send_header("Content-Length", str(len(answer or b"")))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(answer or b"")

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def redirect(to: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web("127.0.0.1")
    web.answers["/a.zarr/zarr.json"] = DOCUMENT
    yield web
    web.close()


@pytest.fixture
def inner() -> Iterator[Web]:
    """A server at an address that nobody named."""
    web = Web("127.0.0.2")
    web.answers["/a.zarr/zarr.json"] = DOCUMENT
    yield web
    web.close()


def config(**traits: object) -> dict[str, Any]:
    return {"ServerApp": {"jpserver_extensions": {"zlab": True}}, "ZLabApp": traits}


class TestPrivateAddresses:
    async def test_nobody_is_asked(self, get_json: Any, web: Web) -> None:
        hosts = ["127.0.0.1", "localhost", "2130706433", "0x7f.0.0.1", "[::ffff:127.0.0.1]"]
        urls = [f"http://{host}:{web.port}/a.zarr" for host in hosts]
        for url in [*urls, urls[0].replace("http:", "https:"), urls[0].replace("http:", "HTTP:")]:
            status, body = await get_json("node", store=url)
            assert (status, body["reason"]) == (403, "PrivateAddressError"), url
            assert "is not a public address" in body["message"]
            assert "allowed_private" in body["hint"]
        assert web.asked == []

    async def test_nor_is_the_metadata_service(self, get_json: Any) -> None:
        for url in ("http://169.254.169.254/latest", "http://[fd00:ec2::254]/latest"):
            status, body = await get_json("tree", store=url)
            assert (status, body["reason"]) == (403, "PrivateAddressError"), url

    async def test_nor_an_endpoint_of_the_environment(
        self, get_json: Any, web: Web, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", web.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        status, body = await get_json("node", store="s3://bucket/a.zarr")
        assert (status, body["reason"]) == (403, "PrivateAddressError")
        assert web.asked == []

    async def test_nor_is_a_machine_for_its_credentials(
        self, get_json: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        status, body = await get_json("node", store="s3://bucket/a.zarr")
        assert (status, body["reason"]) == (403, "PrivateAddressError")
        assert "no credentials" in body["message"]


class TestNamedAddresses:
    @pytest.fixture
    def jp_server_config(self) -> dict[str, Any]:
        return config(
            allowed_private=["127.0.0.1"],
            max_document_nbytes=10_000,
            max_remote_nbytes=1 << 20,
            max_seconds=TIMEOUT_S,
        )

    async def test_they_are_asked(self, get_json: Any, web: Web) -> None:
        status, body = await get_json("node", store=f"{web.url}/a.zarr")
        assert (status, body["array"]["shape"]) == (200, [4])
        assert body["store"] == f"{web.url}/a.zarr"
        status, body = await get_json("node", store=f"{web.url}/missing.zarr")
        assert (status, body["reason"]) == (404, "NodeNotFoundError")

    async def test_what_a_web_server_lists_is_a_tree(self, get_json: Any, web: Web) -> None:
        group = {"zarr_format": 3, "node_type": "group"}
        web.answers |= {
            "/g.zarr/zarr.json": json.dumps(group).encode(),
            "/g.zarr/b/zarr.json": DOCUMENT,
            "/g.zarr": b'<a href="b/">b/</a>',
            "/g.zarr/": b'<a href="b/">b/</a>',
        }
        status, body = await get_json("tree", store=f"{web.url}/g.zarr")
        assert status == 200
        assert [(node["path"], node["shape"]) for node in body["nodes"]] == [("b", [4])]

    async def test_a_redirect_to_another_is_not_followed(
        self, get_json: Any, web: Web, inner: Web
    ) -> None:
        for to in (f"{inner.url}/a.zarr/zarr.json", "http://169.254.169.254/", "http://[::1]/"):
            web.answers["/r.zarr/zarr.json"] = redirect(to)
            status, body = await get_json("node", store=f"{web.url}/r.zarr")
            assert (status, body["reason"]) == (403, "PrivateAddressError"), to
        assert inner.asked == []

    async def test_a_redirect_to_one_of_them_is(self, get_json: Any, web: Web) -> None:
        web.answers["/r.zarr/zarr.json"] = redirect(f"{web.url}/a.zarr/zarr.json")
        status, _ = await get_json("node", store=f"{web.url}/r.zarr")
        assert status == 200

    async def test_a_loop_of_redirects_ends(self, get_json: Any, web: Web) -> None:
        web.answers["/r.zarr/zarr.json"] = redirect(f"{web.url}/r.zarr/zarr.json")
        status, body = await get_json("node", store=f"{web.url}/r.zarr")
        assert (status, body["v"]) == (502, 1)

    async def test_a_throttling_server_is_asked_through_the_gate_alone(
        self, get_json: Any, web: Web, inner: Web
    ) -> None:
        # an answer that says to wait is looked at more closely, and may redirect by then
        def throttle(handler: BaseHTTPRequestHandler) -> None:
            if len(web.asked) > 1:
                redirect(f"{inner.url}/a.zarr/zarr.json")(handler)
                return
            handler.send_response(429)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        web.answers["/t.zarr/zarr.json"] = throttle
        status, body = await get_json("node", store=f"{web.url}/t.zarr")
        assert (status, body["reason"]) == (403, "PrivateAddressError")
        assert inner.asked == []

    async def test_a_large_document_is_not_fetched(self, get_json: Any, web: Web) -> None:
        web.answers["/l.zarr/zarr.json"] = b" " * 10_001
        status, body = await get_json("node", store=f"{web.url}/l.zarr")
        assert (status, body["reason"]) == (422, "DocumentTooLargeError")
        assert {one.split()[0] for one in web.asked} == {"HEAD"}

    async def test_a_document_that_is_larger_than_it_says(self, get_json: Any, web: Web) -> None:
        def lie(handler: BaseHTTPRequestHandler) -> None:
            nbytes = 10 if handler.command == "HEAD" else 1 << 30
            handler.send_response(200)
            handler.send_header("Content-Length", str(nbytes))
            handler.end_headers()
            if handler.command == "GET":
                try:
                    for _ in range(1 << 10):
                        handler.wfile.write(bytes(1 << 20))
                except OSError:
                    cut.set()

        cut = threading.Event()
        web.answers["/l.zarr/zarr.json"] = lie
        status, body = await get_json("node", store=f"{web.url}/l.zarr")
        assert (status, body["reason"]) == (403, "PrivateAddressError")
        assert "more bytes" in body["message"]
        assert await asyncio.to_thread(cut.wait, TIMEOUT_S)

    async def test_a_page_that_grows_when_it_is_unpacked(self, get_json: Any, web: Web) -> None:
        bomb = gzip.compress(bytes(50 << 20))

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Encoding", "gzip")
            handler.send_header("Content-Length", str(len(bomb)))
            handler.end_headers()
            if handler.command == "GET":
                handler.wfile.write(bomb)

        group = json.dumps({"zarr_format": 3, "node_type": "group"}).encode()
        web.answers |= {"/b.zarr/zarr.json": group, "/b.zarr": answer, "/b.zarr/": answer}
        status, body = await get_json("tree", store=f"{web.url}/b.zarr")
        assert (status, body.get("nodes", [])) in ((200, []), (502, []))

    async def test_html_instead_of_a_document(self, get_json: Any, web: Web) -> None:
        web.answers["/h.zarr/zarr.json"] = b"<script>alert(1)</script>"
        status, body = await get_json("node", store=f"{web.url}/h.zarr")
        assert (status, body["reason"]) == (422, "MetadataError")

    async def test_secrets_are_neither_told_nor_logged(
        self, get_json: Any, web: Web, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        host = f"127.0.0.1:{web.port}"
        urls = [
            f"http://user:s3cr3t@{host}/a.zarr",
            f"http://s3cr3t@{host}/a.zarr",
            f"http://{host}/a.zarr?X-Amz-Signature=s3cr3t",
            "s3://key:s3cr3t@bucket/a.zarr",
        ]
        for url in urls:
            for request in ("node", "reach"):
                _, body = await get_json(request, store=url)
                assert "s3cr3t" not in json.dumps(body)
        assert (await get_json("node", store=urls[0]))[1]["reason"] == "UrlNotAllowedError"
        assert web.asked == []
        assert "s3cr3t" not in caplog.text

    async def test_nor_are_those_of_the_server(
        self,
        get_json: Any,
        web: Web,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        monkeypatch.setenv("AWS_ENDPOINT_URL", web.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
        monkeypatch.setenv("AWS_REGION", "us-east-1")

        def deny(handler: BaseHTTPRequestHandler) -> None:
            text = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
            handler.send_response(403)
            handler.send_header("Content-Length", str(len(text)))
            handler.end_headers()
            if handler.command == "GET":
                handler.wfile.write(text)

        for path in ("/bucket/a.zarr/zarr.json", "/bucket/a.zarr/.zarray"):
            web.answers[path] = deny
        status, body = await get_json("node", store="s3://bucket/a.zarr")
        assert status == 502
        for secret in ("s3cr3t", "AKIAEXAMPLE", "zlab:"):
            assert secret not in json.dumps(body)
            assert secret not in caplog.text
        assert web.asked

    async def test_the_work_ends_when_the_client_goes(
        self,
        jp_serverapp: Any,
        http_server_client: Any,
        jp_http_port: int,
        web: Web,
        jp_auth_header: Any,
        jp_base_url: str,
    ) -> None:
        asked, gone = threading.Event(), threading.Event()

        def hang(handler: BaseHTTPRequestHandler) -> None:
            asked.set()
            handler.connection.recv(1)  # until the gate lets go
            gone.set()

        web.answers["/s.zarr/zarr.json"] = hang
        _, writer = await asyncio.open_connection("127.0.0.1", jp_http_port)
        header = f"Authorization: {jp_auth_header['Authorization']}\r\n"
        target = f"{jp_base_url}zlab/api/node?store={web.url}/s.zarr"
        writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode())
        await writer.drain()
        assert await asyncio.to_thread(asked.wait, TIMEOUT_S)
        writer.close()
        await writer.wait_closed()
        assert await asyncio.to_thread(gone.wait, TIMEOUT_S)
        # and so is the user's place free again
        app = jp_serverapp.web_app.settings["zlab"]
        for _ in range(1000):
            if not app.readers._interest:
                break
            await asyncio.sleep(0.01)
        assert not app.readers._interest


class TestNamedHosts:
    @pytest.fixture
    def jp_server_config(self, web: Web) -> dict[str, Any]:
        return config(allowed_private=["127.0.0.0/8"], allowed_urls=[f"{web.url}/"])

    async def test_a_redirect_does_not_leave_the_list(
        self, get_json: Any, web: Web, inner: Web
    ) -> None:
        assert (await get_json("node", store=f"{web.url}/a.zarr"))[0] == 200
        status, body = await get_json("node", store=f"{inner.url}/a.zarr")
        assert (status, body["reason"]) == (403, "UrlNotAllowedError")
        web.answers["/r.zarr/zarr.json"] = redirect(f"{inner.url}/a.zarr/zarr.json")
        status, body = await get_json("node", store=f"{web.url}/r.zarr")
        assert (status, body["reason"]) == (403, "PrivateAddressError")
        assert "another host" in body["message"]
        assert inner.asked == []


class TestTooSlow:
    @pytest.fixture
    def jp_server_config(self) -> dict[str, Any]:
        return config(allowed_private=["127.0.0.1"], max_seconds=0.5)

    async def test_a_server_that_does_not_end(self, get_json: Any, web: Web) -> None:
        gone = threading.Event()

        def drip(handler: BaseHTTPRequestHandler) -> None:
            handler.connection.recv(1)
            gone.set()

        web.answers["/s.zarr/zarr.json"] = drip
        status, body = await get_json("node", store=f"{web.url}/s.zarr")
        assert (status, body["reason"]) == (504, "TooSlowError")
        assert await asyncio.to_thread(gone.wait, TIMEOUT_S)


async def test_users_whom_somebody_else_tells_apart_open_no_urls(
    jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = jp_serverapp.web_app.settings["zlab"]
    assert app._allowed_by_default() == ["*"]
    other = type("Directory", (), {"__module__": "company.identity"})()
    monkeypatch.setattr(app, "serverapp", type("Server", (), {"identity_provider": other})())
    assert app._allowed_by_default() == []
