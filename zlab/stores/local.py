"""A directory of the local file system.

An object is a file. It is written under a temporary name beside its place and then renamed onto
it, so that a reader sees the old bytes or the new ones and a writer that is killed leaves nothing
but a file that no listing shows.
"""

from __future__ import annotations

import difflib
import itertools
import os
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from zlab.errors import StoreError, StoreNotFoundError
from zlab.stores.base import (
    Entry,
    Listing,
    Range,
    bad_range,
    check_key,
    check_prefix,
    check_writable,
    span,
    storage_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange

T = TypeVar("T")
DirEntries: TypeAlias = "list[os.DirEntry[str]]"

# O_NONBLOCK: opening a named pipe returns at once instead of waiting for a writer for ever
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)

# a put finds its directory gone the first time, and else only while somebody deletes around it
_PUT_ATTEMPTS = 20
# Windows refuses to open, replace or delete a file for as long as another process, often a virus
# scanner, has it open: ERROR_ACCESS_DENIED and ERROR_SHARING_VIOLATION
_WINDOWS_BUSY = (5, 32)
_WINDOWS_WAITS_S = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4)

_PARTIAL_PREFIX = ".zlab-"
_PARTIAL_SUFFIX = ".partial"
_partial_numbers = itertools.count()


class LocalStore:
    """Objects as files below a directory.

    Symbolic links are followed, as every program that reads a directory does: whoever serves
    stores of strangers confines the directory itself. What lies behind a link that leads nowhere,
    to a disk that is not mounted perhaps, is not absent: reading and listing it are errors.

    Args:
        path: The directory.
        read_only: Refuse writes.
        create: A directory that is missing is made by the first write; otherwise, and for
            reading only, it must exist.
        fsync: Wait after each write until the bytes are on the disk, so that they outlive a loss
            of power and not only of the process.

    Raises:
        StoreNotFoundError: The directory does not exist.
        StoreError: The path is not a directory.

    Example:
        >>> import tempfile
        >>> store = LocalStore(tempfile.mkdtemp())
        >>> store.put("a/c/0", b"bytes")
        >>> store.get("a/c/0")
        b'bytes'
        >>> store.get("a/c/1") is None
        True
    """

    local = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        read_only: bool = False,
        create: bool = True,
        fsync: bool = False,
    ) -> None:
        self.path = Path(os.path.abspath(path))
        self.name = str(self.path)
        self.read_only = read_only
        self.fsync = fsync
        # of a root "/" too, so that root and key are joined by one slash
        self._root = self.name.replace(os.sep, "/").rstrip("/")
        self._found = self._find()
        if not self._found and (read_only or not create):
            raise StoreNotFoundError(
                "there is no such directory", store=self.name, hint=nearest(self.path)
            )

    def __repr__(self) -> str:
        return f"LocalStore({self.name!r}{', read_only=True' if self.read_only else ''})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalStore) and self.name == other.name

    def __hash__(self) -> int:
        # a string keeps its own, and caches ask several times a chunk
        return hash(self.name)

    def get(self, key: str, byte_range: ByteRange | None = None) -> Buffer | None:
        """The object's bytes, or those of a range; `None` only where there is no such file.

        Raises:
            StoreError: The file cannot be read, has no such range, or the root has vanished.
        """
        path = self._file(key)
        try:
            file = patiently(os.open, path, _READ)
        except (FileNotFoundError, NotADirectoryError):
            self._check_absent(path, key)
            return None
        except OSError as error:
            if os.path.isdir(path):  # Windows does not open one
                return None
            raise storage_error(error, "the file cannot be opened", self.name, key) from error
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                self._check_directory(status, key)
                return None
            start, stop = span(byte_range, status.st_size, self.name, key)
            data = _read_at(file, start, stop - start)
        except StoreError:
            raise
        except OSError as error:
            raise storage_error(error, "the file cannot be read", self.name, key) from error
        finally:
            os.close(file)
        if len(data) < stop - start:  # another program cut the file meanwhile
            raise bad_range(byte_range or Range(0, stop), self.name, key)
        return data

    def put(self, key: str, value: Buffer) -> None:
        """Replaces the object as a whole.

        Raises:
            StoreError: It cannot be written; `errno` says why, and the old bytes are in place.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, key)
        path = self._file(key)
        directory = path[: path.rindex("/")]
        try:
            for attempt in range(1, _PUT_ATTEMPTS + 1):
                try:
                    self._write(directory, path, value)
                    break
                except FileNotFoundError:
                    if attempt == _PUT_ATTEMPTS:
                        raise
                    # both: somebody deletes between two of its steps. A file in the way is told by
                    # the next attempt
                    with suppress(FileNotFoundError, FileExistsError):
                        os.makedirs(directory, exist_ok=True)
        except OSError as error:
            raise storage_error(error, "the object cannot be written", self.name, key) from error
        self._found = True

    def delete(self, key: str) -> None:
        """Removes the object, and the directories that hold nothing else.

        Raises:
            StoreError: It cannot be removed.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, key)
        path = self._file(key)
        try:
            if not os.path.isdir(path):
                patiently(os.unlink, path)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise storage_error(error, "the object cannot be deleted", self.name, key) from error
        self._prune(path[: path.rindex("/")])

    def delete_prefix(self, prefix: str) -> None:
        """Removes every object below a prefix, at one stroke; the root itself stays.

        Raises:
            StoreError: Some cannot be removed.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, prefix)
        directory = self._directory(prefix)
        try:
            if not prefix:
                self._clear(directory)
            elif stat.S_ISDIR(os.stat(directory).st_mode):
                _remove_tree(directory)
                self._prune(directory[: directory.rindex("/")])
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            what = "the objects cannot be deleted"
            raise storage_error(error, what, self.name, prefix) from error

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects below a prefix, at any depth.

        Raises:
            StoreError: A directory cannot be read.
        """
        check_prefix(prefix, self.name)
        return self._walk(prefix)

    def list_dir(self, prefix: str = "") -> Listing:
        """One level below a prefix; empty where there is no such directory.

        A link that leads nowhere is listed as an object without bytes, so that it hides nothing
        beside it; reading it is an error.

        Raises:
            StoreError: The directory cannot be read.
        """
        files, directories = self._scan(prefix)
        sizes = [(entry.name, 0 if _leads_nowhere(entry) else _nbytes(entry)) for entry in files]
        return Listing(
            sorted(
                Entry(_join(prefix, name), nbytes) for name, nbytes in sizes if nbytes is not None
            ),
            sorted(_join(prefix, entry.name) for entry in directories),
        )

    def nbytes(self, key: str) -> int | None:
        """The file's size, or `None` where there is no such file.

        Raises:
            StoreError: It cannot be found out, or the root has vanished.
        """
        path = self._file(key)
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            self._check_absent(path, key)
            return None
        except OSError as error:
            raise storage_error(error, "the file cannot be looked up", self.name, key) from error
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def version(self, key: str) -> object:
        """The file's time, size and number, or `None` where there is no such file."""
        path = self._file(key)
        try:
            status = os.stat(path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _find(self) -> bool:
        try:
            status = os.stat(self.name)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except ValueError as error:  # a NUL in it
            raise StoreError("not a valid path", store=repr(self.name)) from error
        except OSError as error:
            raise storage_error(error, "the directory cannot be opened", self.name, None) from error
        if not stat.S_ISDIR(status.st_mode):
            raise StoreError("the path is not a directory", store=self.name)
        return True

    def _file(self, key: str) -> str:
        check_key(key, self.name)
        if os.name == "nt" and ":" in key:  # a drive, or a stream inside another file
            raise StoreError("Windows allows no ':' in a file name", store=self.name, key=key)
        return f"{self._root}/{key}"

    def _check_directory(self, status: os.stat_result, key: str) -> None:
        if not stat.S_ISDIR(status.st_mode):
            raise StoreError("a device, pipe or socket, not a file", store=self.name, key=key)

    def _directory(self, prefix: str) -> str:
        return self._file(prefix) if check_prefix(prefix, self.name) else f"{self._root}/"

    def _check_absent(self, path: str, key: str) -> None:
        """Raises where it is not proven that there is no such file or directory.

        That takes a directory above it which is there; links that lead nowhere prove nothing.
        """
        while len(path) > len(self._root):
            try:
                status = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                path = path[: path.rindex("/")]
                continue
            except OSError as error:
                what = "the file cannot be looked up"
                raise storage_error(error, what, self.name, key) from error
            if stat.S_ISLNK(status.st_mode) and not os.path.exists(path):
                raise self._dangling(path, key)
            return
        if self._found and not os.path.isdir(self.name):
            raise StoreNotFoundError("the store's directory has vanished", store=self.name, key=key)

    def _dangling(self, link: str, key: str) -> StoreError:
        return StoreError(
            "a symbolic link leads to nothing",
            store=self.name,
            key=key,
            hint=f"{link!r} is the link; what it leads to may be on a disk that is not mounted",
        )

    def _write(self, directory: str, path: str, value: Buffer) -> None:
        while True:
            partial = partial_path(directory)
            with suppress(FileExistsError):  # left by a killed process of the same number
                file = patiently(os.open, partial, _WRITE, 0o666)
                break
        try:
            try:
                _write_all(file, value)
                if self.fsync:
                    os.fsync(file)
            finally:
                os.close(file)
            patiently(os.replace, partial, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)
            raise
        if self.fsync:
            _sync_directory(directory)

    def _clear(self, directory: str) -> None:
        with os.scandir(directory) as found:
            entries = list(found)
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_dir():
                    _remove_tree(f"{directory}/{entry.name}")
                else:
                    patiently(os.unlink, entry.path)

    def _prune(self, directory: str) -> None:
        with suppress(OSError):  # it is not empty, or somebody else was quicker
            while len(directory) > len(self._root):
                os.rmdir(directory)
                directory = directory[: directory.rindex("/")]

    def _walk(self, prefix: str) -> Iterator[Entry]:
        pending = [prefix]
        while pending:
            below = pending.pop()
            files, directories = self._scan(below)
            for entry in files:
                nbytes = _nbytes(entry)
                if nbytes is not None:
                    yield Entry(_join(below, entry.name), nbytes)
                elif _leads_nowhere(entry):
                    raise self._dangling(entry.path, _join(below, entry.name))
            pending.extend(
                _join(below, entry.name)
                for entry in directories
                if not (entry.is_symlink() and _leads_up(entry.path))
            )

    def _scan(self, prefix: str) -> tuple[DirEntries, DirEntries]:
        files: DirEntries = []
        directories: DirEntries = []
        directory = self._directory(prefix)
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_dir():
                        if not _is_partial(entry.name):
                            directories.append(entry)
                    elif not _is_leftover(entry.name):
                        files.append(entry)
        except (FileNotFoundError, NotADirectoryError):
            self._check_absent(directory.rstrip("/"), prefix)
        except OSError as error:
            what = "the directory cannot be listed"
            raise storage_error(error, what, self.name, prefix) from error
        return files, directories


def partial_path(directory: str) -> str:
    """A name in a directory for what is not complete; listings leave it out."""
    number = next(_partial_numbers)
    return f"{directory}/{_PARTIAL_PREFIX}{os.getpid()}-{number}{_PARTIAL_SUFFIX}"


def patiently(call: Callable[..., T], *args: object) -> T:
    """Calls, and calls again where Windows says that somebody else has the file open."""
    for wait_s in _WINDOWS_WAITS_S:
        try:
            return call(*args)
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _WINDOWS_BUSY:
                raise
            time.sleep(wait_s)
    return call(*args)


if hasattr(os, "pread"):

    def _read_some(file: int, nbytes: int, start: int) -> bytes:
        return os.pread(file, nbytes, start)

else:  # Windows; the descriptor is this call's own

    def _read_some(file: int, nbytes: int, start: int) -> bytes:
        os.lseek(file, start, os.SEEK_SET)
        return os.read(file, nbytes)


def _read_at(file: int, start: int, nbytes: int) -> bytes:
    """Bytes of an open file; fewer only where the file ends."""
    data = _read_some(file, nbytes, start)
    if len(data) == nbytes:
        return data
    parts = [data]  # the operating system reads at most 2 GiB at once
    done = len(data)
    while data and done < nbytes:
        data = _read_some(file, nbytes - done, start + done)
        parts.append(data)
        done += len(data)
    return b"".join(parts)


def _write_all(file: int, value: Buffer) -> None:
    done = os.write(file, value)
    if done < len(value):
        view = memoryview(value)
        while done < len(view):
            done += os.write(file, view[done:])


def _sync_directory(directory: str) -> None:
    if os.name == "nt":  # a directory cannot be opened there; NTFS keeps a journal of names
        return
    file = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _remove_tree(directory: str) -> None:
    """Removes a directory with all that is in it; readers see it whole or not at all."""
    aside = partial_path(directory[: directory.rindex("/")])
    patiently(os.rename, directory, aside)
    if os.path.islink(aside):
        os.unlink(aside)
    else:
        shutil.rmtree(aside)


def _join(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name


def _nbytes(entry: os.DirEntry[str]) -> int | None:
    try:
        status = entry.stat()
    except FileNotFoundError:  # deleted since the directory was read, or a link to nothing
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _is_partial(name: str) -> bool:
    return name.startswith(_PARTIAL_PREFIX) and name.endswith(_PARTIAL_SUFFIX)


def _is_leftover(name: str) -> bool:
    """What other programs leave in stores: killed writers, locks, editors, macOS's folder view."""
    return name.endswith((_PARTIAL_SUFFIX, ".lock")) or name.startswith(".#") or name == ".DS_Store"


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and os.path.lexists(entry.path) and not os.path.exists(entry.path)


def _leads_up(link: str) -> bool:
    """A link to a directory that it lies in would be listed without end."""
    target = os.path.realpath(link)
    here = os.path.realpath(os.path.dirname(link))
    return os.path.commonpath([target, here]) == target


def nearest(path: Path) -> str | None:
    """A hint for a path that does not exist: what exists of it, and a name like it."""
    with suppress(OSError):
        parent = path.parent
        while not parent.is_dir():
            if parent == parent.parent:
                return None
            path, parent = parent, parent.parent
        if path.is_symlink():
            return f"{str(path)!r} is a link to {str(path.readlink())!r}, which is not there"
        # without endings: ".zarr" alone makes no two names alike
        stems = {entry.stem: entry for entry in itertools.islice(parent.iterdir(), 1000)}
        close = difflib.get_close_matches(path.stem, stems, n=1)
        if close:
            return f"Did you mean {str(stems[close[0]])!r}?"
        return f"{str(parent)!r} exists, and has no {path.name!r}"
    return None
