"""zlab: Zarr for people who live in Jupyter.

`import zlab` loads nothing but this module; each name is imported at its first use.

Example:
    >>> import zlab
    >>> array = zlab.create_array("memory://", shape=(4,), dtype="int8")
    >>> array[:] = 1
    >>> array[:]
    array([1, 1, 1, 1], dtype=int8)
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zlab import errors, grain, jax, polars, samples, stats, telemetry, widgets
    from zlab.array import Array, create_array
    from zlab.config import settings
    from zlab.engine.cache import Cache
    from zlab.engine.locks import FileLocks
    from zlab.group import (
        Group,
        consolidate_metadata,
        create_group,
        create_hierarchy,
        open,  # noqa: A004  as zarr names it
        open_array,
        open_group,
    )
    from zlab.pipelines import Stage, pipeline
    from zlab.stream import Checkpoint, stream_zip
    from zlab.tools.convert import convert
    from zlab.tools.copy import copy
    from zlab.tools.verify import verify

__all__ = [
    "Array",
    "Cache",
    "Checkpoint",
    "FileLocks",
    "Group",
    "Stage",
    "consolidate_metadata",
    "convert",
    "copy",
    "create_array",
    "create_group",
    "create_hierarchy",
    "errors",
    "grain",
    "jax",
    "open",
    "open_array",
    "open_group",
    "pipeline",
    "polars",
    "samples",
    "settings",
    "stats",
    "stream_zip",
    "telemetry",
    "verify",
    "widgets",
]

_HOMES = {
    "Array": "zlab.array",
    "Cache": "zlab.engine.cache",
    "Checkpoint": "zlab.stream",
    "FileLocks": "zlab.engine.locks",
    "Group": "zlab.group",
    "Stage": "zlab.pipelines",
    "consolidate_metadata": "zlab.group",
    "convert": "zlab.tools.convert",
    "copy": "zlab.tools.copy",
    "create_array": "zlab.array",
    "create_group": "zlab.group",
    "create_hierarchy": "zlab.group",
    "open": "zlab.group",
    "open_array": "zlab.group",
    "open_group": "zlab.group",
    "pipeline": "zlab.pipelines",
    "settings": "zlab.config",
    "stream_zip": "zlab.stream",
    "verify": "zlab.tools.verify",
}
_MODULES = (
    "errors",
    "grain",
    "jax",
    "polars",
    "samples",
    "stats",
    "telemetry",
    "torch",
    "widgets",
    "xarray",
    "zarr",
)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"zlab.{name}")
    elif name == "__version__":
        from importlib.metadata import version

        value = version("zlab")
    else:
        msg = f"module 'zlab' has no attribute {name!r}"
        raise AttributeError(msg)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "zlab"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from zlab.lab.app import ZLabApp

    return [{"module": "zlab", "app": ZLabApp}]


if "ipykernel" in sys.modules:
    # what a notebook reads is shown in the sidebar without a word of the user's
    from zlab.kernel import connect

    connect()
