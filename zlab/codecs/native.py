"""numcodecs' compiled codecs, the only place that imports it.

numcodecs imports its optional codecs with itself, and a version of zfpy that it cannot read makes
that fail as a whole. Then the optional codecs are left out: zlab has its own for their names.
"""

# ruff: noqa: E402  the modules are imported after numcodecs has been

from __future__ import annotations

import sys

_OPTIONAL = ("numcodecs.zfpy", "numcodecs.pcodec", "numcodecs.msgpacks")

try:
    import numcodecs
except Exception:  # noqa: BLE001  whatever the import of a broken library raises
    for _name in [name for name in sys.modules if name.partition(".")[0] == "numcodecs"]:
        del sys.modules[_name]
    # a module that is None raises ImportError, which numcodecs expects of an optional codec
    sys.modules.update(dict.fromkeys(_OPTIONAL))  # type: ignore[arg-type]
    import numcodecs

from numcodecs import blosc, lz4, zstd
from numcodecs.fletcher32 import Fletcher32
from numcodecs.jenkins import jenkins_lookup3
from numcodecs.json import JSON
from numcodecs.shuffle import Shuffle
from numcodecs.vlen import VLenArray, VLenBytes, VLenUTF8

__all__ = [
    "JSON",
    "Fletcher32",
    "Shuffle",
    "VLenArray",
    "VLenBytes",
    "VLenUTF8",
    "blosc",
    "jenkins_lookup3",
    "lz4",
    "numcodecs",
    "zstd",
]
