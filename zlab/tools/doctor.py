"""What this installation can do, and what killed writers left behind."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, final

from zlab.codecs import registry
from zlab.config import settings
from zlab.errors import StoreNotFoundError, UnknownCodecError
from zlab.stores.local import nearest
from zlab.tools.leftovers import find_leftovers, remove
from zlab.tools.nbytes import format_nbytes
from zlab.tools.words import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from zlab.tools.leftovers import Leftover

_LIBRARIES = (
    "numpy",
    "numcodecs",
    "ml-dtypes",
    "isal",
    "google-crc32c",
    "fsspec",
    "obstore",
    "jax",
    "polars",
    "xarray",
    "dask",
    "zarr",
    "jupyterlab",
    "anywidget",
    "tqdm",
    "rich",
    "opentelemetry-api",
)

# the libraries that codecs stand on, by the first word of a codec's module; the others are zlab's
_CODEC_LIBRARIES = {
    "blosc": "numcodecs",
    "crc32c": "google-crc32c",
    "deflate": "isal",
    "objects": "numcodecs",
    "pcodec": "pcodec",
    "snappy": "cramjam",
    "vlen": "numcodecs",
    "zfp": "zfpy",
    "zstd": "numcodecs",
}

_ENTRY_POINTS = "zlab."  # begins the names of all groups

_STORES: dict[str, tuple[str, ...]] = {
    "directories": (),
    "memory": (),
    "zip archives": (),
    "fsspec": ("fsspec",),
    "HTTP": ("fsspec", "aiohttp"),
    "S3 (fsspec)": ("fsspec", "s3fs"),
    "Google Cloud (fsspec)": ("fsspec", "gcsfs"),
    "Azure (fsspec)": ("fsspec", "adlfs"),
    "S3, Google Cloud, Azure (obstore)": ("obstore",),
}


@final
@dataclass(frozen=True, slots=True)
class CodecStatus:
    """Whether chunks of a codec can be read and written.

    Attributes:
        name: Its registered name.
        library: What it stands on and its version, `None` where that is zlab itself.
        problem: Why it cannot be used, `None` where it can.
    """

    name: str
    library: str | None
    problem: str | None


@final
@dataclass(frozen=True, slots=True)
class StoreStatus:
    """Whether stores of a kind can be opened.

    Attributes:
        name: What kind.
        library: What it stands on and its version, `None` where that is zlab itself.
        missing: Libraries that are not installed.
    """

    name: str
    library: str | None
    missing: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What this installation can do.

    Attributes:
        python: Version of the interpreter.
        machine: Operating system and processor.
        versions: Versions of zlab and of what it works with, `None` for what is not installed.
        codecs: Every codec, and whether it can be used.
        stores: Every kind of store, and whether it can be opened.
        plugins: What other packages bring, by the group of their entry points.
        settings: `zlab.settings`.
        directory: Below which leftovers were looked for, `None` for nowhere.
        leftovers: What killed writers left there; what may be in use too.
        removed: How many of them have been removed.
    """

    python: str
    machine: str
    versions: dict[str, str | None]
    codecs: tuple[CodecStatus, ...]
    stores: tuple[StoreStatus, ...]
    plugins: dict[str, tuple[str, ...]]
    settings: dict[str, int]
    directory: str | None
    leftovers: tuple[Leftover, ...]
    removed: int

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        installed = [f"{name} {found}" for name, found in self.versions.items() if found]
        yield f"zlab {self.versions['zlab']}, Python {self.python}, {self.machine}"
        yield f"  with {', '.join(installed[1:])}"
        usable = [codec for codec in self.codecs if codec.problem is None]
        yield f"codecs: {len(usable)} of {len(self.codecs)} can be used"
        yield f"  {', '.join(codec.name for codec in usable)}"
        for codec in self.codecs:
            if codec.problem is not None:
                yield f"  not {codec.name}: {codec.problem}"
        yield "stores"
        for store in self.stores:
            what = f"needs {', '.join(store.missing)}" if store.missing else store.library or "zlab"
            yield f"  {'not ' if store.missing else ''}{store.name}: {what}"
        for group, names in self.plugins.items():
            yield f"{group}: {', '.join(names)}"
        yield "settings"
        for name, value in self.settings.items():
            yield f"  {name} {value:,}"
        if self.directory is not None:
            found = counted(len(self.leftovers), "temporary file")
            yield f"{self.directory}: {found}, {self.removed} removed"
            for leftover in self.leftovers:
                yield f"  {leftover}, {format_nbytes(leftover.nbytes)}"


def diagnose(directory: str | os.PathLike[str] | None = None, *, clean: bool = False) -> Diagnosis:
    """Finds out what this installation can do, and what lies below a directory.

    Args:
        directory: Where to look for temporary files of writers that were killed.
        clean: Remove them, but those whose writers may be at work: that have been written in the
            last ten minutes, or whose process is alive on this machine.

    Raises:
        StoreNotFoundError: There is no such directory.
        StoreError: It cannot be read, or a file in it cannot be removed.

    Example:
        >>> from zlab.tools.doctor import diagnose
        >>> [codec.problem for codec in diagnose().codecs if codec.name == "zstd"]
        [None]
    """
    leftovers: list[Leftover] = []
    if directory is not None:
        if not Path(directory).is_dir():
            raise StoreNotFoundError(
                "there is no such directory", store=str(directory), hint=nearest(Path(directory))
            )
        leftovers = list(find_leftovers(directory))
    return Diagnosis(
        platform.python_version(),
        f"{platform.system()} {platform.release()} {platform.machine()}",
        {name: _version(name) for name in ("zlab", *_LIBRARIES)},
        tuple(_codecs()),
        tuple(_store(name, libraries) for name, libraries in _STORES.items()),
        _plugins(),
        asdict(settings),
        None if directory is None else str(directory),
        tuple(leftovers),
        sum(map(remove, leftovers)) if clean else 0,
    )


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _named(distribution: str) -> str:
    found = _version(distribution)
    return distribution if found is None else f"{distribution} {found}"


def _codecs() -> Iterator[CodecStatus]:
    """Each codec once, by its own name; one that cannot be loaded by all its names."""
    others = {entry.name for entry in entry_points(group=f"{_ENTRY_POINTS}codecs")}
    for name in sorted({*registry.names(), *others}):
        try:
            codec = registry.get(name)
        except UnknownCodecError as error:
            yield CodecStatus(
                name, None, f"{error.what}. {error.hint}" if error.hint else error.what
            )
            continue
        if codec.name == name or name in others:
            module = codec.__module__.rpartition(".")[2]
            library = _CODEC_LIBRARIES.get(module) if codec.__module__.startswith("zlab.") else None
            yield CodecStatus(name, None if library is None else _named(library), None)


def _plugins() -> dict[str, tuple[str, ...]]:
    found = entry_points()
    return {
        group: tuple(
            f"{entry.name} ({_named(entry.dist.name) if entry.dist else entry.value})"
            for entry in found.select(group=group)
        )
        for group in sorted(found.groups)
        if group.startswith(_ENTRY_POINTS)
    }


def _store(name: str, libraries: tuple[str, ...]) -> StoreStatus:
    missing = tuple(library for library in libraries if _version(library) is None)
    library = None if missing or not libraries else ", ".join(map(_named, libraries))
    return StoreStatus(name, library, missing)
