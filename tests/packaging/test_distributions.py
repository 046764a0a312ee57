"""What a user installs: sdist and wheel, built here and installed into empty environments."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
VERSION = version("zlab")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROUND_TRIP = """
import numpy as np
import zlab

group = zlab.create_group("store.zarr")
array = group.create_array("a", shape=(10, 10), chunks=(4, 4), dtype="float32")
array[2:8, :] = np.arange(60, dtype="float32").reshape(6, 10)
print(zlab.__version__, zlab.open("store.zarr")["a"][...].sum())

# shards have checksums, and bfloat16 is not NumPy's: both come with the core
sharded = group.create_array("s", shape=(8, 8), chunks=(2, 4), shards=(4, 8), dtype="bfloat16")
sharded[...] = np.ones((8, 8), "float32").astype(sharded.dtype)
print(zlab.open("store.zarr")["s"][...].astype("float32").sum())
"""
PRINTED = f"{VERSION} 1770.0\n64.0\n"


@dataclass(frozen=True)
class Environment:
    """A virtual environment that knows nothing of the checkout."""

    path: Path

    @property
    def bin(self) -> Path:
        return self.path / ("Scripts" if os.name == "nt" else "bin")

    @property
    def python(self) -> str:
        return str(self.bin / "python")

    def run(self, *command: str) -> str:
        """What a command of this environment prints, on both streams, without colours."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
        env.pop("PYTHONPATH", None)
        env["PATH"] = f"{self.bin}{os.pathsep}{env['PATH']}"
        # the reader's own settings stay out
        env["JUPYTER_CONFIG_DIR"] = str(self.path / "jupyter-config")
        env["JUPYTER_DATA_DIR"] = str(self.path / "jupyter-data")
        done = subprocess.run(
            command,
            cwd=self.path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return re.sub(r"\x1b\[\d+m", "", done.stdout)


def make_environment(path: Path, requirement: str) -> Environment:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
    environment = Environment(path)
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", environment.python, "install", requirement],
        check=True,
    )
    return environment


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was made from it."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", out, ROOT], check=True)
    return out


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    return dist / f"zlab-{VERSION}-py3-none-any.whl"


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return make_environment(tmp_path_factory.mktemp("bare"), str(wheel))


@pytest.fixture(scope="module")
def lab(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return make_environment(tmp_path_factory.mktemp("lab"), f"{wheel}[lab]")


def test_sdist_holds_the_sources_and_what_is_built_of_them(dist: Path) -> None:
    with tarfile.open(dist / f"zlab-{VERSION}.tar.gz") as archive:
        names = {name.removeprefix(f"zlab-{VERSION}/") for name in archive.getnames()}
    assert {
        "LICENSE",
        "README.md",
        "js/install.json",
        "js/src/lab/index.ts",
        "package-lock.json",
        "package.json",
        "pyproject.toml",
        "zlab/__init__.py",
        "zlab/lab/jupyter-config/server-config/zlab.json",
        "zlab/labextension/package.json",
        "zlab/labextension/static/style.js",
        "zlab/py.typed",
        "zlab/static/chunk_heatmap.js",
        "zlab/static/telemetry.js",
    } <= names
    tops = {name.partition("/")[0] for name in names}
    assert tops.isdisjoint(["tests", "benchmarks", "livebooks", "node_modules", "demo"])
    assert not any(name.startswith("js/lib/") for name in names)


def test_wheel_holds_what_runs_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    assert len(names) == len(set(names)), "a file is packed twice"
    shared = f"zlab-{VERSION}.data/data/"
    lab_extension = f"{shared}share/jupyter/labextensions/zlab/"
    assert {
        "zlab/__init__.py",
        "zlab/py.typed",
        "zlab/static/chunk_heatmap.js",
        "zlab/static/telemetry.js",
        f"{shared}etc/jupyter/jupyter_server_config.d/zlab.json",
        f"{lab_extension}install.json",
        f"{lab_extension}package.json",
        f"{lab_extension}static/style.js",
        f"zlab-{VERSION}.dist-info/licenses/LICENSE",
    } <= set(names)
    assert {name.partition("/")[0] for name in names} == {
        "zlab",
        f"zlab-{VERSION}.data",
        f"zlab-{VERSION}.dist-info",
    }
    assert {Path(name).suffix for name in names if name.startswith("zlab/")} <= {
        ".js",
        ".py",
        ".typed",
    }
    assert not [name for name in names if name.startswith(("zlab/labextension", "zlab/lab/jupy"))]


def test_the_lab_extension_has_the_version_of_the_library(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        package = json.loads(
            archive.read(f"zlab-{VERSION}.data/data/share/jupyter/labextensions/zlab/package.json")
        )
    assert (package["name"], package["version"]) == ("zlab", VERSION)


def test_without_an_extra_a_store_is_written_and_read(bare: Environment) -> None:
    assert bare.run(bare.python, "-W", "error", "-c", ROUND_TRIP) == PRINTED


def test_without_an_extra_only_the_core_is_installed(bare: Environment) -> None:
    listing = (
        "from importlib.metadata import distributions as d; print(*{x.name.lower() for x in d()})"
    )
    installed = set(bare.run(bare.python, "-c", listing).split())
    assert installed - {"isal"} == {
        "fsspec",
        "google-crc32c",
        "ml_dtypes",
        "numcodecs",
        "numpy",
        "typing_extensions",
        "zlab",
        "zstandard",
    }


def test_with_lab_the_extension_is_installed_and_enabled(lab: Environment) -> None:
    (line,) = [
        line
        for line in lab.run("jupyter", "labextension", "list").splitlines()
        if line.strip().startswith("zlab ")
    ]
    assert line.split() == ["zlab", f"v{VERSION}", "enabled", "OK", "(python,", "zlab)"]


def test_with_lab_the_server_extension_is_enabled_and_valid(lab: Environment) -> None:
    lines = [
        line.split()
        for line in lab.run("jupyter", "server", "extension", "list").splitlines()
        if "zlab" in line
    ]
    assert ["zlab", "enabled"] in lines
    assert ["zlab", VERSION, "OK"] in lines


def test_with_lab_a_store_is_written_and_read(lab: Environment) -> None:
    assert lab.run(lab.python, "-c", ROUND_TRIP) == PRINTED
