"""What killed writers leave in directories: files under temporary names, which no listing shows."""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from zlab.stores.base import storage_error

if TYPE_CHECKING:
    from collections.abc import Iterator

IDLE_S = 600
"""Seconds after which a temporary file that nobody touched is taken for a leftover."""

# zlab's own names carry the number of the writer's process; zarr-python's do not
_OURS = re.compile(r"\.zlab-(\d+)-\d+\.partial")
_SUFFIX = ".partial"


@final
@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or folder under a temporary name.

    Attributes:
        path: Where it is.
        nbytes: How large it is, with everything in it.
        idle_s: Seconds since it was last written.
        in_use: Whether its writer may still be at work.
    """

    path: str
    nbytes: int
    idle_s: float
    in_use: bool

    def __str__(self) -> str:
        return f"{self.path}: {'may be in use' if self.in_use else 'left by a killed writer'}"


def find_leftovers(directory: str | os.PathLike[str]) -> Iterator[Leftover]:
    """The temporary files and folders below a directory, those that may be in use too.

    Raises:
        StoreError: A directory cannot be read.
    """
    pending = [os.fspath(directory)]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except FileNotFoundError:  # somebody has just removed it
            continue
        except OSError as error:
            raise storage_error(error, "the directory cannot be read", folder, None) from error
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if _OURS.fullmatch(entry.name) or (
                entry.name.endswith(_SUFFIX) and not is_folder and not entry.is_symlink()
            ):
                with suppress(FileNotFoundError):  # its writer has just ended
                    yield _describe(entry)
            elif is_folder:
                pending.append(entry.path)


def _describe(entry: os.DirEntry[str]) -> Leftover:
    files: list[str | Path] = [entry.path]
    if entry.is_dir(follow_symlinks=False):
        files += Path(entry.path).rglob("*")
    found = [os.lstat(file) for file in files]
    idle_s = time.time() - max(status.st_mtime for status in found)
    nbytes = sum(status.st_size for status in found if stat.S_ISREG(status.st_mode))
    ours = _OURS.fullmatch(entry.name)
    in_use = idle_s < IDLE_S or (ours is not None and _is_alive(int(ours[1])))
    return Leftover(entry.path, nbytes, idle_s, in_use)


def _is_alive(process: int) -> bool:
    """Whether this machine has a process of this number."""
    if os.name == "nt":  # there signal 0 ends the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def remove(leftover: Leftover) -> bool:
    """Removes a leftover, unless it may be in use.

    Returns:
        Whether it is gone.

    Raises:
        StoreError: It cannot be removed.
    """
    if leftover.in_use:
        return False
    path = Path(leftover.path)
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(error, "it cannot be removed", leftover.path, None) from error
    return True
