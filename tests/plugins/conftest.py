from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zlab.codecs import registry
from zlab.grid.grid import grids
from zlab.grid.keys import key_encodings
from zlab.metadata.datatypes import data_types
from zlab.stores.open import schemes
from zlab.stores.transformers import transformers

EXAMPLE = Path(__file__).parent / "example"
REGISTRIES = (data_types, grids, key_encodings, schemes, transformers)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example package, installed as pip installs it."""
    pytest.importorskip("hatchling")
    source = tmp_path_factory.mktemp("source") / "example"
    shutil.copytree(EXAMPLE, source)
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--target", str(target)]
    subprocess.run([*command, str(source)], check=True)
    return target


@pytest.fixture
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registries that have found nothing yet."""
    monkeypatch.setattr(registry, "_loaded", {})
    for each in (registry._packages, *REGISTRIES):
        monkeypatch.setattr(each, "_plugins", {})


@pytest.fixture
def _installed(_fresh: None, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example package, found by this process."""
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "zlab_example", raising=False)
