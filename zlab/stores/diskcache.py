"""Bytes of stores in a directory, which processes share and which outlives them.

An entry is one file, written beside and renamed to its place, so that none is ever seen in part;
what a crash leaves is a file that nobody reads, and goes after an hour. The checksums of an entry
tell a file that was damaged, whose bytes are then fetched again. A file's modification time is when
the store last said that the entry is its present version, its access time when it was last used.
"""

from __future__ import annotations

import os
import re
import struct
import threading
import time
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final
from uuid import uuid4
from zlib import crc32

from zlab.stores.base import storage_error
from zlab.stores.bytecache import ByteCacheInfo, Kept, Place, check_bound, window_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange

DISK_NBYTES = 10_000_000_000

_HEAD = struct.Struct("<8sIHHQ")  # magic, checksum of the rest of the head, tag, blocks, bytes
_MAGIC = b"zlabkept"
_BLOCK = 1 << 20  # has a checksum of its own, so that a range is checked without reading all
_FIRST_READ = 1 << 16
_MOST_BLOCKS = _MOST_TAG = (1 << 16) - 1
_USED_EVERY_NS = 10**9
_LEFT_BEHIND_S = 3600.0
_EVICT_TO = 0.9
_LOOK_EVERY = 0.05
_BEGUN = "begun"
# what has another name is not the cache's to remove, whatever directory it was given
_FOLDER = "zlab-bytes-1"
_ENTRY = re.compile(r"[0-9a-f]{32}\.(all|\d+\+\d+|-\d+)")
_BEGUN_ENTRY = re.compile(r"\d+-[0-9a-f]{32}")


class _File(NamedTuple):
    """An entry's file.

    Attributes:
        used_ns: When it was last used.
        nbytes: Its size.
        path: Where it is.
    """

    used_ns: int
    nbytes: int
    path: str


@final
class DiskCache:
    """Bytes in files.

    Processes that use the same directory share what is there. Each counts what it adds, and looks
    at what the others did whenever that is a twentieth of the bound: so many twentieths, one for
    each process, may be there too much for a moment.

    Args:
        directory: Where; made where it does not exist, for this user alone.
        max_nbytes: Bytes that the files may take. What is larger by itself is not kept.

    Attributes:
        directory: Where.

    Raises:
        StoreError: There can be no such directory.
        ValueError: `max_nbytes` is not positive.

    Example:
        >>> import tempfile
        >>> cache = DiskCache(tempfile.mkdtemp(), 1_000_000)
        >>> cache.put(Place("a", "all"), b"bytes", "v1")
        >>> cache.get(Place("a", "all")).data.tobytes()
        b'bytes'
    """

    def __init__(self, directory: str | os.PathLike[str], max_nbytes: int = DISK_NBYTES) -> None:
        self._max_nbytes = check_bound(max_nbytes)
        self.directory = Path(directory).expanduser().absolute()
        self._root = os.fspath(self.directory / _FOLDER)
        try:
            Path(self._root).mkdir(mode=0o700, parents=True, exist_ok=True)
            Path(self._root, _BEGUN).mkdir(exist_ok=True)
        except OSError as error:
            what = "the directory of the cache cannot be made"
            raise storage_error(error, what, str(self.directory), None) from error
        self._lock = threading.Lock()
        self._held: int | None = None  # nobody has looked yet
        self._added = 0
        self._evictions = self._failures = 0

    def __repr__(self) -> str:
        return f"DiskCache({str(self.directory)!r}, {self._max_nbytes})"

    def __reduce__(self) -> tuple[object, ...]:
        return DiskCache, (str(self.directory), self._max_nbytes)

    def get(self, place: Place, within: ByteRange | None = None) -> Kept | None:
        """As `ByteCache.get`; of a file that was damaged there is nothing."""
        path = self._path(place)
        try:
            file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError:
            return None
        try:
            found = os.fstat(file)
            kept = _read(file, found, place, within)
            now = time.time_ns()
            if kept is not None and now - found.st_atime_ns > _USED_EVERY_NS:
                with suppress(OSError):  # somebody else's file
                    os.utime(path, ns=(now, found.st_mtime_ns))
        except (OSError, ValueError, struct.error):
            # it may be replaced at this moment by another process, whose entry is then fetched anew
            self._failures += 1
            _unlink(path)
            return None
        finally:
            os.close(file)
        return kept

    def put(self, place: Place, data: Buffer, tag: str | None) -> None:
        """As `ByteCache.put`."""
        head = _head_of(place, data, tag)
        if head is None or len(head) + len(data) > self._max_nbytes:
            return
        begun = os.path.join(self._root, _BEGUN, f"{os.getpid()}-{uuid4().hex}")  # noqa: PTH118
        path = self._path(place)
        try:
            self._make_room(len(head) + len(data))
            with open(begun, "xb", buffering=0) as file:  # noqa: PTH123
                for piece in (head, data):
                    if file.write(piece) != len(piece):
                        msg = "the disk is full"
                        raise OSError(msg)
            try:
                os.replace(begun, path)  # noqa: PTH105
            except FileNotFoundError:
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120
                os.replace(begun, path)  # noqa: PTH105
        except OSError:
            self._failures += 1
            _unlink(begun)

    def check(self, place: Place) -> None:
        """As `ByteCache.check`."""
        with suppress(OSError):
            os.utime(self._path(place))

    def drop(self, place: str) -> None:
        """As `ByteCache.drop`."""
        for entry in _entries(os.path.dirname(self._path(Place(place, "")))):  # noqa: PTH120
            if entry.name.startswith(f"{place}."):
                _unlink(entry.path)

    def clear(self) -> None:
        """As `ByteCache.clear`, for all processes."""
        for file in self._files():
            _unlink(file.path)
        with self._lock:
            self._held = None

    def info(self) -> ByteCacheInfo:
        """As `ByteCache.info`; it looks at all files."""
        sizes = [file.nbytes for file in self._files()]
        return ByteCacheInfo(
            len(sizes), sum(sizes), self._max_nbytes, self._evictions, self._failures
        )

    def _path(self, place: Place) -> str:
        return f"{self._root}/{place.object[:3]}/{place.object}.{place.part}"

    def _files(self) -> Iterator[_File]:
        """The files of entries; removes what was left behind by those that died writing."""
        now = time.time()
        for folder in _entries(self._root):
            names = _BEGUN_ENTRY if folder.name == _BEGUN else _ENTRY
            for entry in _entries(folder.path):
                if not names.fullmatch(entry.name):
                    continue
                try:
                    found = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # another process has removed it
                if folder.name != _BEGUN:
                    yield _File(found.st_atime_ns, found.st_size, entry.path)
                elif now - found.st_mtime > _LEFT_BEHIND_S:
                    _unlink(entry.path)

    def _make_room(self, nbytes: int) -> None:
        """Removes what was used longest ago, where so many bytes more would be too many."""
        with self._lock:
            if self._held is None or self._added > _LOOK_EVERY * self._max_nbytes:
                self._held = sum(file.nbytes for file in self._files())
                self._added = 0
            if self._held + nbytes > self._max_nbytes:
                files = sorted(self._files(), key=attrgetter("used_ns"))
                held = sum(file.nbytes for file in files)
                if held + nbytes > self._max_nbytes:
                    most = min(int(_EVICT_TO * self._max_nbytes), self._max_nbytes - nbytes)
                    for file in files:
                        if held <= most:
                            break
                        _unlink(file.path)
                        held -= file.nbytes
                        self._evictions += 1
                self._held, self._added = held, 0
            self._held += nbytes
            self._added += nbytes


def _head_of(place: Place, data: Buffer, tag: str | None) -> bytes | None:
    """What stands before the bytes in a file; `None` where there are too many of them."""
    told = b"" if tag is None else b"=" + tag.encode("utf-8", "surrogatepass")
    view = memoryview(data)
    sums = [crc32(view[start : start + _BLOCK]) for start in range(0, len(view), _BLOCK)]
    if len(sums) > _MOST_BLOCKS or len(told) > _MOST_TAG:
        return None
    rest = told + struct.pack(f"<{len(sums)}I", *sums)
    numbers = struct.pack("<HHQ", len(told), len(sums), len(view))
    checksum = crc32(rest, crc32(numbers, crc32(f"{place.object}.{place.part}".encode())))
    return _HEAD.pack(_MAGIC, checksum, len(told), len(sums), len(view)) + rest


def _read(file: int, found: os.stat_result, place: Place, within: ByteRange | None) -> Kept | None:
    """What a file holds.

    Raises:
        ValueError: It is damaged.
        struct.error: So is its head.
    """
    first = os.pread(file, _FIRST_READ, 0) if hasattr(os, "pread") else os.read(file, _FIRST_READ)
    magic, checksum, ntag, nblocks, nbytes = _HEAD.unpack_from(first)
    at = _HEAD.size + ntag + 4 * nblocks
    if magic != _MAGIC or at + nbytes != found.st_size:
        raise _damaged()
    if at > len(first):
        first += _read_at(file, len(first), at - len(first))
    rest = first[_HEAD.size : at]
    numbers = struct.pack("<HHQ", ntag, nblocks, nbytes)
    name = f"{place.object}.{place.part}".encode()
    if crc32(rest, crc32(numbers, crc32(name))) != checksum or nblocks != -(-nbytes // _BLOCK):
        raise _damaged()
    tag = rest[1:ntag].decode("utf-8", "surrogatepass") if ntag else None
    window = window_of(within, nbytes)
    if window is None:
        return None
    start, stop = window
    blocks = range(start // _BLOCK, -(-stop // _BLOCK))
    low, high = blocks.start * _BLOCK, min(blocks.stop * _BLOCK, nbytes)
    if at + high <= len(first):
        data = memoryview(first)[at + low : at + high]
    else:
        data = memoryview(_read_at(file, at + low, max(0, high - low)))
    sums = struct.unpack_from(f"<{nblocks}I", rest, ntag)
    for number, block in enumerate(blocks):
        if crc32(data[number * _BLOCK : (number + 1) * _BLOCK]) != sums[block]:
            raise _damaged()
    return Kept(data[start - low : stop - low], tag, found.st_mtime)


def _read_at(file: int, start: int, nbytes: int) -> bytes:
    os.lseek(file, start, os.SEEK_SET)
    pieces = []
    while nbytes:
        piece = os.read(file, nbytes)
        if not piece:
            raise _damaged()
        pieces.append(piece)
        nbytes -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _damaged() -> ValueError:
    return ValueError("the file is damaged")


def _entries(folder: str) -> list[os.DirEntry[Any]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []  # there is none, or a file of somebody else's


def _unlink(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108
