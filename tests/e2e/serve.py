"""Serves JupyterLab on a fresh root with demo stores, for the browser tests.

Everything that Jupyter would read or write elsewhere is below the root, in hidden folders.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

ROOT = Path(os.environ["ZLAB_E2E_ROOT"])
LIVEBOOKS = Path(__file__).parents[2] / "livebooks"

# Jupyter reads these when it is imported.
os.environ["JUPYTER_CONFIG_DIR"] = str(ROOT / ".jupyter")
os.environ["JUPYTER_DATA_DIR"] = str(ROOT / ".data")
os.environ["JUPYTER_RUNTIME_DIR"] = str(ROOT / ".runtime")
os.environ["IPYTHONDIR"] = str(ROOT / ".ipython")


def write_stores() -> None:
    """The demo stores, and some that are odd."""
    import numpy as np

    import zlab
    from zlab.cli import main

    main(["demo", str(ROOT / "demo")])

    odd = zlab.create_group(ROOT / "odd.zarr")
    odd.attrs["note"] = "<img src=x onerror=\"document.title='hacked'\">"
    holes = odd.create_array("holes", shape=(12, 20), chunks=(1, 1), dtype="f4")
    rng = np.random.default_rng(0)
    for row in range(12):
        for column in range(row % 3, 20, 2 + row % 2):
            holes[row, column] = rng.random()
    line = odd.create_array("line", shape=(900,), chunks=(1,), dtype="i4")
    line[:700] = np.arange(1, 701)
    broken = ROOT / "odd.zarr" / "broken"
    broken.mkdir()
    (broken / "zarr.json").write_text('{"zarr_format": 3, "node_ty')

    # Written by hand: a call for each of 2500 groups would take longer than all the rest.
    wide = ROOT / "wide.zarr"
    for index in range(-1, 2500):
        path = wide / f"g{index:05d}" if index >= 0 else wide
        path.mkdir()
        document = {"zarr_format": 3, "node_type": "group", "attributes": {}}
        (path / "zarr.json").write_text(json.dumps(document))

    (ROOT / "plain").mkdir()
    (ROOT / "plain" / "notes.txt").write_text("not a store")


def write_settings() -> None:
    """Settings without which a toast about news covers a corner of each screenshot."""
    folder = ROOT / ".settings" / "@jupyterlab" / "apputils-extension"
    folder.mkdir(parents=True)
    (folder / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False})
    )


def serve() -> None:
    """Runs JupyterLab until it is told to end."""
    from jupyterlab.labapp import LabApp

    LabApp.launch_instance(
        [
            f"--ServerApp.root_dir={ROOT}",
            f"--ServerApp.port={os.environ['ZLAB_E2E_PORT']}",
            "--ServerApp.port_retries=0",
            "--ServerApp.ip=127.0.0.1",
            "--ServerApp.open_browser=False",
            "--ServerApp.allow_root=True",
            f"--IdentityProvider.token={os.environ['ZLAB_E2E_TOKEN']}",
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.extension_manager=readonly",
            f"--LabApp.user_settings_dir={ROOT / '.settings'}",
            f"--LabApp.workspaces_dir={ROOT / '.workspaces'}",
        ]
    )


if __name__ == "__main__":
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir(parents=True)
    write_stores()
    write_settings()
    if LIVEBOOKS.is_dir():
        shutil.copytree(LIVEBOOKS, ROOT / "livebooks")
    serve()
