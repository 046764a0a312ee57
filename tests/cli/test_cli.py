from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab
from zlab.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Runs a command that must succeed; its lines."""

    def run(*arguments: object) -> list[str]:
        assert main([str(argument) for argument in arguments]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        return captured.out.splitlines()

    return run


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must fail; its one line on stderr."""

    def run(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("zlab: ")
        assert captured.err.count("\n") == 1
        return captured.err.strip()

    return run


@pytest.fixture
def refuses(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command with wrong arguments; the last line on stderr."""

    def run(*arguments: object) -> str:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        assert caught.value.code == 2
        return capsys.readouterr().err.splitlines()[-1]

    return run


def test_tree(cli: Callable[..., list[str]], store: Path) -> None:
    assert cli("tree", store) == ["/", "└── air", "    └── temperature (8, 6) float32"]
    assert cli("tree", store, "--level", 1) == ["/", "└── air"]


def test_tree_of_an_array(cli: Callable[..., list[str]], store: Path) -> None:
    assert cli("tree", store.parent / "b.zarr") == ["/ (2, 3) int64"]


def test_info_of_a_group(cli: Callable[..., list[str]], store: Path) -> None:
    assert cli("info", store) == [
        f"{store}: group, Zarr v3",
        "  members     air",
        "  attributes",
        '    title: "é"',
    ]


def test_info_of_an_array(cli: Callable[..., list[str]], store: Path) -> None:
    # four chunks of 24 bytes, an index of four entries of 16 bytes and its checksum
    assert (store / "air/temperature/c/0/0").stat().st_size == 4 * 24 + 4 * 16 + 4 == 164
    assert cli("info", store, "/air/temperature") == [
        f"{store}/air/temperature: array, Zarr v3",
        "  shape       8 x 6",
        "  dimensions  time, x",
        "  dtype       float32",
        '  fill value  "NaN"',
        "  chunks      2 x 3, a grid of 4 x 2",
        "  shards      4 x 6",
        "  codecs      sharding_indexed(bytes(endian little))",
        "  stored      4 of 8 chunks",
        "  size        192 B in memory, 164 B stored, ratio 1.17",
        "  attributes",
        '    units: "K"',
    ]


def test_info_as_json(cli: Callable[..., list[str]], store: Path) -> None:
    (line,) = cli("info", store.parent / "b.zarr", "--json")
    info: dict[str, Any] = json.loads(line)
    array = info.pop("array")
    assert info == {
        "store": str(store.parent / "b.zarr"),
        "path": "",
        "kind": "array",
        "zarr_format": 2,
        "attributes": {},
        "members": None,
    }
    codecs = array.pop("codecs")
    assert [codec["name"] for codec in codecs] == ["transpose", "bytes", "zstd"]
    assert array.pop("nbytes_stored") == (store.parent / "b.zarr" / "0.0").stat().st_size
    assert array == {
        "shape": [2, 3],
        "dtype": "int64",
        "chunks": [2, 3],
        "shards": None,
        "order": "F",
        "dimension_names": None,
        "fill_value": 0,
        "chunk_grid_shape": [1, 1],
        "nchunks": 1,
        "nchunks_stored": 1,
        "nbytes": 48,
    }


def test_info_of_an_array_with_too_many_chunks_to_map(
    cli: Callable[..., list[str]], tmp_path: Path
) -> None:
    zlab.create_array(tmp_path / "big.zarr", shape=(10**12,), chunks=1, dtype="int8")
    assert "  stored      not counted of 1000000000000 chunks" in cli("info", tmp_path / "big.zarr")


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ((), ["[[0 1 2]", " [3 4 5]]"]),
        (("0",), ["[0 1 2]"]),
        (("1,2",), ["5"]),
        (("[:, ::2]",), ["[[0 2]", " [3 5]]"]),
        (("...,-1",), ["[2 5]"]),
        (("-1",), ["[3 4 5]"]),
        (("--", "-2:, 0"), ["[0 3]"]),
    ],
)
def test_cat(
    cli: Callable[..., list[str]], store: Path, selection: tuple[str, ...], expected: list[str]
) -> None:
    assert cli("cat", store.parent / "b.zarr", "/", *selection) == expected


def test_cat_shows_fill(cli: Callable[..., list[str]], store: Path) -> None:
    assert cli("cat", store, "air/temperature", "3:5,:2") == ["[[18. 19.]", " [nan nan]]"]


def test_errors_are_one_line_with_the_next_step(
    fails: Callable[..., str], store: Path, tmp_path: Path
) -> None:
    assert "there is no such directory" in fails("tree", tmp_path / "nowhere")
    assert "there is no array or group" in fails("info", store, "air/pressure")
    assert "`zlab tree` shows its arrays" in fails("cat", store, "air")
    assert "index 8" in fails("cat", store, "air/temperature", "8")
    (tmp_path / "empty").mkdir()
    assert "there is no array or group" in fails("info", tmp_path / "empty")


def test_a_corrupt_chunk_is_named(fails: Callable[..., str], store: Path) -> None:
    chunk = store.parent / "b.zarr" / "0.0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    message = fails("cat", store.parent / "b.zarr", "/")
    assert "chunk (0, 0)" in message
    assert "key '0.0'" in message


def test_cat_does_not_read_more_than_the_budget(
    fails: Callable[..., str], cli: Callable[..., list[str]], tmp_path: Path
) -> None:
    zlab.create_array(tmp_path / "big.zarr", shape=(10**12,), dtype="int8", fill_value=7)
    message = fails("cat", tmp_path / "big.zarr", "/")
    assert "the selection has 1.00 TB. Select less" in message
    assert cli("cat", tmp_path / "big.zarr", "/", "5:8") == ["[7 7 7]"]


@pytest.mark.parametrize("selection", ["a", "1:2:3:4", "1,,2", "()", "1 2"])
def test_what_is_no_selection_is_refused(
    refuses: Callable[..., str], store: Path, selection: str
) -> None:
    assert "is not a selection: write it as in brackets" in refuses("cat", store, "x", selection)


def test_wrong_arguments_are_refused(refuses: Callable[..., str]) -> None:
    assert "the following arguments are required" in refuses()
    assert "invalid choice: 'frobnicate'" in refuses("frobnicate")
    assert "'3XB' is not a size" in refuses("demo", "somewhere", "--size", "3XB")


def test_names_cannot_steer_the_terminal(
    cli: Callable[..., list[str]], fails: Callable[..., str], tmp_path: Path
) -> None:
    group = zlab.create_group(tmp_path / "a.zarr", attributes={"\x1b[2J": "\x9b31m\n"})
    group.create_array("red\x1b[31m", shape=(1,), dtype="int8")
    for lines in (cli("tree", tmp_path / "a.zarr"), cli("info", tmp_path / "a.zarr")):
        assert all(line.isprintable() for line in lines)
        assert any(r"\x1b[31m" in line for line in lines)
    assert fails("info", tmp_path / "a.zarr", "\x1b[31m").isprintable()


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for option, expected in (("--version", f"zlab {zlab.__version__}\n"), ("--help", None)):
        with pytest.raises(SystemExit) as caught:
            main([option])
        assert caught.value.code in (0, None)
        out = capsys.readouterr().out
        assert out == expected if expected else "show the groups and arrays of a store" in out


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zlab", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
        check=False,
    )


def test_as_a_module(store: Path, tmp_path: Path) -> None:
    done = _run("tree", store)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "    └── temperature (8, 6) float32"
    failed = _run("tree", tmp_path / "nowhere")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.count("\n") == 1


def test_a_reader_that_stops_early_is_no_failure_to_shout_about(tmp_path: Path) -> None:
    zlab.create_array(tmp_path / "a.zarr", data=np.zeros((999, 1), np.int8), chunks=(999, 1))
    with subprocess.Popen(
        [sys.executable, "-m", "zlab", "cat", tmp_path / "a.zarr", "/"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.needs("demo")
def test_demo(cli: Callable[..., list[str]], fails: Callable[..., str], tmp_path: Path) -> None:
    names = ["digits.zarr", "photo.zarr", "climate.zarr"]
    place = tmp_path / "demo"
    assert cli("demo", place, "--size", "65kB") == [f"wrote {place / name}" for name in names]
    assert cli("demo", place, "--size", "65kB") == [f"kept  {place / name}" for name in names]
    assert "--overwrite" in fails("demo", place, "--size", "130kB")
    lines = cli("demo", place, "--size", "130kB", "--overwrite")
    assert lines[-1] == f"wrote {place / 'climate.zarr'}"
    assert cli("cat", place / "climate.zarr", "elnino/sea_temperature", "0,:3") == [
        "[23.11 24.2  25.37]"
    ]


@pytest.mark.needs("demo")
def test_demo_says_what_is_wrong_with_its_place(
    fails: Callable[..., str], refuses: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert "this is a file, not a directory" in fails("demo", tmp_path / "file")
    assert "one day of the cube has 64.8 kB" in refuses("demo", tmp_path, "--size", "1kB")


def test_progress_is_shown_on_stderr(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    assert main(["cat", str(store), "air/temperature", "0,:3"]) == 0
    plain = capsys.readouterr()
    assert main(["--progress", "cat", str(store), "air/temperature", "0,:3"]) == 0
    shown = capsys.readouterr()
    assert shown.out == plain.out
    assert plain.err == ""
    assert "fetch" in shown.err
    assert shown.err.endswith("\n")
    assert main(["--progress", "cat", str(store), "nobody"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("zlab: ")
