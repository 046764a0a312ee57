"""`import zlab` is light: nothing optional is imported, needed, or imported by accident."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

OPTIONAL = [
    "adlfs",
    "aiohttp",
    "anywidget",
    "comm",
    "cramjam",
    "dask",
    "filelock",
    "gcsfs",
    "grain",
    "ipykernel",
    "IPython",
    "ipywidgets",
    "jax",
    "jupyter_server",
    "jupyterlab",
    "matplotlib",
    "msgpack",
    "obstore",
    "optax",
    "pandas",
    "pcodec",
    "polars",
    "pyarrow",
    "s3fs",
    "sklearn",
    "statsmodels",
    "tensorstore",
    "torch",
    "tornado",
    "traitlets",
    "xarray",
    "zarr",
    "zfpy",
]

# always installed, and not needed before something is opened
HEAVY = ["fsspec", "google_crc32c", "isal", "ml_dtypes", "numcodecs", "numpy"]

BLOCKER = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {set(OPTIONAL)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def run(code: str) -> str:
    """What the code prints, in a new interpreter."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_nothing_optional() -> None:
    loaded = run("import sys, zlab; print(*{name.partition('.')[0] for name in sys.modules})")
    assert set(loaded.split()).isdisjoint([*OPTIONAL, *HEAVY])


def test_reads_and_writes_with_nothing_optional_installed() -> None:
    printed = run(
        BLOCKER
        + """
import numpy as np
import zlab

group = zlab.create_group("memory://import-test")
array = group.create_array("a", shape=(6, 4), chunks=(4, 4), dtype="int16", fill_value=-1)
array[1:5] = np.arange(16).reshape(4, 4)
print(zlab.open("memory://import-test")["a"][...].sum(axis=1).tolist())
"""
    )
    assert printed == "[-4, 6, 22, 38, 54, -4]\n"


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [
        ("jax", "jax", "jax"),
        ("torch", "torch", "torch"),
        ("polars", "polars", "polars"),
        ("widgets", "anywidget", "lab"),
    ],
)
def test_a_missing_library_names_the_extra(module: str, library: str, extra: str) -> None:
    printed = run(
        BLOCKER
        + f"""
import zlab
try:
    zlab.{module}
except ImportError as error:
    print(error.name, error)
"""
    )
    assert printed.startswith(f"{library} ")
    assert f"pip install 'zlab[{extra}]'" in printed


def test_the_public_names_are_there() -> None:
    printed = run("import zlab; print([n for n in zlab.__all__ if not hasattr(zlab, n)])")
    assert printed == "[]\n"


def test_dir_lists_what_loads_on_first_use() -> None:
    printed = run("import zlab; print(set(zlab.__all__) - set(dir(zlab)))")
    assert printed == "set()\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    printed = run(
        """
import zlab
try:
    zlab.no_such_name
except AttributeError as error:
    print(error)
"""
    )
    assert printed == "module 'zlab' has no attribute 'no_such_name'\n"


def test_version_is_the_installed_one() -> None:
    assert run("import zlab; print(zlab.__version__)") == f"{version('zlab')}\n"
