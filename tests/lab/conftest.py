"""A Jupyter server with zlab, on a root that holds the stores of the golden files."""

from __future__ import annotations

import copy
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("jupyter_server"):
    from pytest_jupyter.jupyter_server import *  # noqa: F403 - fixtures and hooks


def _write(path: Path, content: str | bytes | dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")


@pytest.fixture  # type: ignore[no-redef]
def jp_server_config() -> dict[str, Any]:
    return {"ServerApp": {"jpserver_extensions": {"zlab": True}}}


WIRE = Path(__file__).parent.parent / "wire"


def load_wire(name: str) -> dict[str, Any]:
    """A golden file of `tests/wire`."""
    golden: dict[str, Any] = json.loads((WIRE / f"{name}.json").read_text(encoding="utf-8"))
    return golden


@pytest.fixture
def root(jp_root_dir: Path) -> Path:
    """The server's root, with the stores that the golden files describe.

    Their documents are those in `node.json`; chunks hold as many bytes as `chunks.json` says.
    """
    zarr = pytest.importorskip("zarr")
    temperature, ramp, group, salinity = (
        copy.deepcopy(details["metadata"]) for details in load_wire("node")["accept"]
    )
    # on the wire it is text: a browser's numbers end at 2**53
    temperature["attributes"]["big"] = int(temperature["attributes"]["big"])

    climate = jp_root_dir / "climate.zarr"
    _write(climate / "zarr.json", group)
    _write(climate / "stations" / "zarr.json", {"zarr_format": 3, "node_type": "group"})
    _write(climate / "broken" / "zarr.json", '{"zarr_format": 3, "sha')
    _write(climate / "no_node" / "notes.txt", "a folder without a document is no node")
    _write(climate / "temperature" / "zarr.json", temperature)
    array = zarr.open_array(climate / "temperature", mode="r+")
    array[0:2, 0:8] = 1
    array[2:4, 0:4] = 1
    array[4:6, 0:8] = 1

    _write(jp_root_dir / "ramp.zarr" / "zarr.json", ramp)
    _write(jp_root_dir / "ramp.zarr" / "c" / "0", bytes(17))
    _write(jp_root_dir / "ramp.zarr" / "c" / "2", bytes(29))

    ocean = jp_root_dir / "older" / "ocean.zarr"
    depth = {**salinity[".zarray"], "shape": [], "chunks": [], "dtype": "<f8", "order": "C"}
    documents = {
        ".zgroup": {"zarr_format": 2},
        "depth/.zarray": depth,
        "salinity/.zarray": salinity[".zarray"],
        "salinity/.zattrs": salinity[".zattrs"],
    }
    for key, document in documents.items():
        _write(ocean / key, document)
    _write(ocean / ".zmetadata", {"zarr_consolidated_format": 1, "metadata": documents})
    _write(ocean / "depth" / "0", bytes(8))
    return jp_root_dir


@pytest.fixture
def get(jp_fetch: Any, root: Path) -> Any:
    """Asks the server: `await get("node", store="a.zarr", path="x")` -> status, body, headers."""

    async def get(request: str, **params: object) -> tuple[int, bytes, Any]:
        reply = await jp_fetch("zlab", "api", request, params=params, raise_error=False)
        return reply.code, reply.body, reply.headers

    return get


@pytest.fixture
def get_json(get: Any) -> Any:
    """As `get`, but returns the status and the parsed body."""

    async def get_json(request: str, **params: object) -> tuple[int, dict[str, Any]]:
        status, body, headers = await get(request, **params)
        assert headers["Content-Type"] == "application/json"
        return status, json.loads(body)

    return get_json
