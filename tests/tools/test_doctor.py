from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import pytest

import zlab
from zlab.codecs import registry
from zlab.errors import StoreNotFoundError, StorePermissionError, UnknownCodecError
from zlab.tools import doctor
from zlab.tools.doctor import diagnose
from zlab.tools.leftovers import find_leftovers, remove

if TYPE_CHECKING:
    from pathlib import Path


def partial(path: Path, *, idle_s: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    past = path.stat().st_mtime - idle_s
    os.utime(path, (past, past))
    return path


DEAD = ".zlab-99999999"  # no process has such a number


def test_versions_and_settings() -> None:
    diagnosis = diagnose()
    assert diagnosis.python == sys.version.split()[0]
    assert diagnosis.versions["zlab"] == version("zlab")
    assert diagnosis.versions["numpy"] == np.__version__
    assert diagnosis.settings["threads"] == zlab.settings.threads
    assert (diagnosis.directory, diagnosis.leftovers, diagnosis.removed) == (None, (), 0)


def test_every_codec_is_there_once() -> None:
    codecs = {codec.name: codec for codec in diagnose().codecs}
    assert len(codecs) == len(diagnose().codecs)
    assert {registry.get(name).name for name in registry.names()} == set(codecs)
    assert codecs["zstd"].library == f"numcodecs {version('numcodecs')}"
    assert codecs["transpose"].library is None
    assert all(codec.problem is None for codec in codecs.values())


def test_a_codec_that_cannot_be_loaded_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    get = registry.get

    def broken(name: str) -> object:
        if name == "numcodecs.snappy":
            raise UnknownCodecError("codec 'numcodecs.snappy' cannot be loaded", hint="Install it")
        return get(name)

    monkeypatch.setattr(registry, "get", broken)
    diagnosis = diagnose()
    [codec] = [codec for codec in diagnosis.codecs if codec.problem is not None]
    assert codec.name == "numcodecs.snappy"
    assert codec.problem == "codec 'numcodecs.snappy' cannot be loaded. Install it"
    assert f"  not numcodecs.snappy: {codec.problem}" in str(diagnosis).splitlines()


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor._STORES, "tapes", ("fsspec", "no-such-distribution"))
    diagnosis = diagnose()
    stores = {store.name: store for store in diagnosis.stores}
    assert stores["directories"].missing == ()
    assert stores["fsspec"].library == f"fsspec {version('fsspec')}"
    assert stores["tapes"].missing == ("no-such-distribution",)
    assert "  not tapes: needs no-such-distribution" in str(diagnosis).splitlines()


def test_what_other_packages_bring_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mine-1.2.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.2\n")
    (package / "entry_points.txt").write_text(
        "[zlab.codecs]\nbroken = no_such_module:Codec\n[zlab.chunk_grids]\nhexagons = x:y\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    diagnosis = diagnose()
    assert diagnosis.plugins == {
        "zlab.chunk_grids": ("hexagons (mine 1.2)",),
        "zlab.codecs": ("broken (mine 1.2)",),
    }
    [codec] = [codec for codec in diagnosis.codecs if codec.name == "broken"]
    assert codec.problem is not None
    assert "no_such_module" in codec.problem
    assert "zlab.chunk_grids: hexagons (mine 1.2)" in str(diagnosis).splitlines()


def test_leftovers_are_found_and_removed(tmp_path: Path) -> None:
    array = zlab.create_array(tmp_path / "a.zarr", data=np.arange(6), chunks=2)
    dead = partial(tmp_path / "a.zarr" / "c" / f"{DEAD}-1.partial", idle_s=700)
    zipped = partial(tmp_path / f"{DEAD}-2.partial", idle_s=700)
    foreign = partial(tmp_path / "b" / "zarr.json.0a1b.partial", idle_s=700)
    young = partial(tmp_path / "b" / f"{DEAD}-3.partial")
    busy = partial(tmp_path / "b" / f".zlab-{os.getpid()}-4.partial", idle_s=700)
    diagnosis = diagnose(tmp_path)
    assert {leftover.path for leftover in diagnosis.leftovers if not leftover.in_use} == set(
        map(str, (dead, zipped, foreign))
    )
    assert {leftover.path for leftover in diagnosis.leftovers if leftover.in_use} == set(
        map(str, (young, busy))
    )
    assert diagnosis.removed == 0
    assert all(path.exists() for path in (dead, zipped, foreign, young, busy))
    assert diagnose(tmp_path, clean=True).removed == 3
    assert [path.exists() for path in (dead, zipped, foreign, young, busy)] == [
        *[False] * 3,
        *[True] * 2,
    ]
    assert array[...].tolist() == list(range(6))


def test_a_folder_that_was_being_removed_is_a_leftover(tmp_path: Path) -> None:
    folder = tmp_path / f"{DEAD}-1.partial"
    partial(folder / "c" / "0", idle_s=700)
    partial(folder / "c" / "1", idle_s=700)
    for path in (folder / "c", folder):
        os.utime(path, (1, 1))
    [leftover] = find_leftovers(tmp_path)
    assert (leftover.path, leftover.nbytes, leftover.in_use) == (str(folder), 8, False)
    assert remove(leftover)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_somebody_else_is_none(tmp_path: Path) -> None:
    kept = partial(tmp_path / "results.partial" / "data.bin", idle_s=700)
    (tmp_path / "linked.partial").symlink_to(kept)
    assert list(find_leftovers(tmp_path)) == []


def test_what_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = partial(tmp_path / f"{DEAD}-1.partial", idle_s=700)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        with pytest.raises(StorePermissionError, match="cannot be read"):
            list(find_leftovers(tmp_path))
    [leftover] = find_leftovers(tmp_path)
    monkeypatch.setattr(type(tmp_path), "unlink", refuse)
    with pytest.raises(StorePermissionError, match="cannot be removed"):
        remove(leftover)
    assert left.exists()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "store.zarr").mkdir()
    with pytest.raises(StoreNotFoundError, match=r"Did you mean .*store\.zarr"):
        diagnose(tmp_path / "stor.zarr")


def test_a_diagnosis_reads_well(tmp_path: Path) -> None:
    left = partial(tmp_path / f"{DEAD}-1.partial", idle_s=700)
    lines = str(diagnose(tmp_path)).splitlines()
    assert lines[0].startswith(f"zlab {version('zlab')}, Python ")
    assert lines[-2:] == [
        f"{tmp_path}: 1 temporary file, 0 removed",
        f"  {left}: left by a killed writer, 4 B",
    ]
