"""The server's replies are those of `tests/wire`, which the front end's tests read too."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("lab")

WIRE = Path(__file__).parent.parent / "wire"


def load(name: str) -> list[dict[str, Any]]:
    accept: list[dict[str, Any]] = json.loads((WIRE / f"{name}.json").read_text())["accept"]
    return accept


def without_words(value: Any) -> Any:
    """Errors by their reason alone: the engine words its own sentences."""
    if isinstance(value, dict):
        words = {"message", "hint"} if "reason" in value else set()
        assert all(isinstance(value[name], str | None) for name in words)
        return {key: without_words(item) for key, item in value.items() if key not in words}
    return [without_words(item) for item in value] if isinstance(value, list) else value


async def test_stores(get_json: Any, root: Path) -> None:
    golden = load("stores")[0]
    status, reply = await get_json("stores")
    assert status == 200
    assert reply.pop("root") == root.as_posix()
    golden.pop("root")
    assert reply == golden


async def test_tree(get_json: Any) -> None:
    tree, page, root_array, v2 = load("tree")
    status, reply = await get_json("tree", store="climate.zarr", path="")
    assert (status, without_words(reply)) == (200, without_words(tree))
    assert await get_json("tree", store="climate.zarr", path="", limit=1) == (200, page)
    assert await get_json("tree", store="ramp.zarr") == (200, root_array)
    assert await get_json("tree", store="older/ocean.zarr") == (200, v2)


async def test_node(get_json: Any) -> None:
    for golden in load("node"):
        assert await get_json("node", store=golden["store"], path=golden["path"]) == (200, golden)


async def test_stats(get_json: Any) -> None:
    golden = load("stats")[0]
    assert await get_json("stats", store="climate.zarr", path="temperature") == (200, golden)


async def test_chunks(get: Any) -> None:
    for golden in load("chunks"):
        header = golden["header"]
        status, body, headers = await get(
            "chunks",
            store=header["store"],
            path=header["path"],
            axes=",".join(map(str, header["axes"])),
            index=",".join(map(str, header["index"])),
        )
        assert status == 200
        assert headers["Content-Type"] == "application/octet-stream"
        assert body == base64.b64decode(golden["base64"])
        (nbytes,) = struct.unpack("<I", body[:4])
        assert (4 + nbytes) % 8 == 0
        assert json.loads(body[4 : 4 + nbytes]) == header
        values = [value for row in golden["values"] for value in row]
        assert list(struct.unpack(f"<{len(values)}d", body[4 + nbytes :])) == values


async def test_errors(get_json: Any) -> None:
    missing, _, outside = load("error")
    for golden, status, params in (
        (missing, 404, {"store": "climate.zarr", "path": "missing"}),
        (outside, 403, {"store": "../etc"}),
    ):
        found, reply = await get_json("node", **params)
        assert (found, without_words(reply)) == (status, without_words(golden))


@pytest.mark.parametrize("path", sorted(WIRE.glob("*.json")), ids=lambda path: path.stem)
def test_files_are_strict_json_in_one_form(path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = path.read_text(encoding="utf-8")
    golden = json.loads(text, parse_constant=refuse)
    assert golden.keys() == {"message", "accept", "refuse"}
    assert golden["accept"]
    assert golden["refuse"]
    assert all(isinstance(case["why"], str) for case in golden["refuse"])
    assert text == json.dumps(golden, indent=2, ensure_ascii=False) + "\n"
