from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

import zlab
from zlab.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def run(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> list[str]:
    """The lines of a command, and of its failure where it is to fail."""
    assert main([str(argument) for argument in arguments]) == status
    captured = capsys.readouterr()
    assert bool(captured.err) == bool(status)
    return [*captured.out.splitlines(), *captured.err.splitlines()]


def test_copy(capsys: pytest.CaptureFixture[str], store: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.zarr"
    lines = run(capsys, "copy", store, target)
    assert lines[0] == f"copied {store} to {target}: 1 array, 2 groups"
    files = {path.relative_to(store) for path in store.rglob("*")}
    assert {path.relative_to(target) for path in target.rglob("*")} == files
    [line] = run(capsys, "copy", store, target, status=1)
    assert "Pass overwrite=True (--overwrite)" in line
    run(capsys, "copy", store, target, "--overwrite")


def test_copy_anew(capsys: pytest.CaptureFixture[str], store: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.zip"
    options = ("--chunks", "time=1", "--no-shards", "--compressors", "gzip", "--memory", "10MB")
    lines = run(capsys, "copy", store, target, "--path", "air", "--to", "x/y", *options, "--json")
    report = json.loads("\n".join(lines))
    assert (report["arrays"], report["groups"]) == (1, 1)
    assert [array["path"] for array in report["rechunked"]] == ["x/y/temperature"]
    array = zlab.open_group(target).array("x/y/temperature")
    assert (array.chunks, array.shards) == ((1, 3), None)
    assert [codec.name for codec in array.metadata.codecs] == ["bytes", "gzip"]
    np.testing.assert_array_equal(array[...], zlab.open_group(store).array("air/temperature")[...])


@pytest.mark.parametrize(
    ("option", "text", "match"),
    [
        ("--chunks", "time=a", "not a shape"),
        ("--chunks", "1,b", "not a shape"),
        ("--compressors", "{", "not JSON"),
        ("--memory", "much", "not a size"),
    ],
)
def test_copy_refuses(
    capsys: pytest.CaptureFixture[str], store: Path, option: str, text: str, match: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["copy", str(store), "x.zarr", option, text])
    assert caught.value.code == 2
    assert match in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "shape"), [("2", (2, 2)), ("4,3", (4, 3)), ("auto", (8, 6)), ("x=2", (2, 2))]
)
def test_copy_knows_shapes(
    capsys: pytest.CaptureFixture[str],
    store: Path,
    tmp_path: Path,
    text: str,
    shape: tuple[int, ...],
) -> None:
    options = ("--chunks", text, "--no-shards", "--path", "air/temperature")
    run(capsys, "copy", store, tmp_path / "copy.zarr", *options)
    assert zlab.open_array(tmp_path / "copy.zarr").chunks == shape


def test_convert(capsys: pytest.CaptureFixture[str], store: Path, tmp_path: Path) -> None:
    target = tmp_path / "v2.zarr"
    [line] = run(capsys, "convert", store, target, "--zarr-format", 2, status=1)
    assert "air/temperature: shards" in line
    assert "--no-strict" in line
    assert not target.exists()
    lines = run(capsys, "convert", store, target, "--zarr-format", 2, "--no-strict")
    assert lines[0] == f"converted {store} to {target}, Zarr v2"
    assert lines[-1].startswith("  lost: air/temperature: shards: ")
    lines = run(
        capsys, "convert", target, tmp_path / "v3.zarr", "--zarr-format", 3, "--no-verify", "--json"
    )
    report = json.loads("\n".join(lines))
    assert (report["digest"], report["losses"], report["zarr_format"]) == (None, [], 3)
    np.testing.assert_array_equal(
        zlab.open_group(tmp_path / "v3.zarr").array("air/temperature")[...],
        zlab.open_group(store).array("air/temperature")[...],
    )


def test_consolidate(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    assert run(capsys, "consolidate", store) == [f"{store}: consolidated"]
    assert zlab.open_group(store).consolidated
    assert run(capsys, "consolidate", store, "--remove") == [
        f"{store}: no consolidated metadata any more"
    ]
    assert not zlab.open_group(store).consolidated
    assert run(capsys, "consolidate", store, "air") == [f"{store}/air: consolidated"]
    [line] = run(capsys, "consolidate", store, "air/temperature", status=1)
    assert "this is an array, not a group" in line


def test_verify(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    lines = run(capsys, "verify", store)
    assert lines[-1] == "  everything can be read"
    shard = store / "air" / "temperature" / "c" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-1])
    *lines, error = run(capsys, "verify", store, "--shallow", status=1)
    assert lines[2].startswith("  torn: air/temperature/c/0/0: ")
    assert error == f"zlab: 1 problem found (store {store})"
    *lines, error = run(capsys, "verify", store, "air", "--json", status=1)
    report = json.loads("\n".join(lines))
    assert (report["node"], report["counts"]) == (f"{store}/air", {"torn": 1})


def test_verify_repairs(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    zlab.consolidate_metadata(store)
    zlab.open_group(store, mode="r+", consolidated=False).array("air/temperature").attrs["u"] = 1
    assert "NOT" in run(capsys, "verify", store, status=1)[-2]
    assert run(capsys, "verify", store, "--repair")[-1] == "  everything can be read"
    assert run(capsys, "verify", store)[-1] == "  everything can be read"


def test_doctor(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    lines = run(capsys, "doctor")
    assert lines[0].startswith("zlab ")
    report = json.loads("\n".join(run(capsys, "doctor", store, "--clean", "--json")))
    assert (report["directory"], report["leftovers"], report["removed"]) == (str(store), [], 0)
    [line] = run(capsys, "doctor", store / "nowhere", status=1)
    assert "no such directory" in line
