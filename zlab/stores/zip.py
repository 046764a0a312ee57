"""A zip archive.

Reading asks the operating system for a member's bytes at their place, so that threads do not wait
for each other. Writing works on a copy beside the archive, which takes the archive's place when
the store is closed: a process that is killed leaves the old archive as it was.
"""

from __future__ import annotations

import lzma
import os
import shutil
import struct
import threading
import warnings
import weakref
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from zlab.config import settings
from zlab.errors import StoreError, StoreNotFoundError
from zlab.stores.base import (
    Entry,
    Range,
    bad_range,
    check_key,
    check_prefix,
    check_writable,
    span,
    storage_error,
)
from zlab.stores.local import nearest, partial_path, patiently
from zlab.stores.memory import one_level

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange, Listing

_LOCAL_HEADER = struct.Struct("<4s2xH18xHH")
_LOCAL_MAGIC = b"PK\x03\x04"
_ENCRYPTED = 0x1
_UTF8 = 0x800
_DRAINED_NBYTES = 1 << 20
# what zipfile and the decompressors raise for bytes that no archive has: RuntimeError for features
# that they do not know (NotImplementedError is one), ValueError for names and places
_CORRUPT = (
    zipfile.BadZipFile,
    RuntimeError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
# of the same objects, the same archive byte for byte: checksums of published data stay valid
_DATE = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o100644 << 16


class ZipStore:
    """Objects as members of a zip archive.

    What is written is seen at once by this store, and by others when it is closed: by `close` or at
    the end of a `with` block. A store that is forgotten is completed when it is collected as
    garbage or the interpreter ends, with a `ResourceWarning`. An object that is written again
    replaces the older one; there are never two members of one name. Members are stored as they
    are, since chunks are compressed already; compressed members of other writers can be read.

    A pickle carries the path, and not what was written since the archive was opened.

    The format has a checksum of each member, and none of the directory at its end. A member whose
    name is damaged there is an error when it is read; the name that it had counts as absent, as
    of a chunk that was never written. `zlab.verify` shows such members: they belong to nothing.

    Args:
        path: The archive.
        read_only: Refuse writes.
        create: An archive that is missing is made; otherwise, and for reading only, it must exist.

    Raises:
        StoreNotFoundError: There is no such file.
        StoreError: The file is not a zip archive, or not a whole one.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/data.zip"
        >>> with ZipStore(path) as store:
        ...     store.put("a/c/0", b"bytes")
        >>> ZipStore(path, read_only=True).get("a/c/0")
        b'bytes'
    """

    local = True

    def __init__(
        self, path: str | os.PathLike[str], *, read_only: bool = False, create: bool = True
    ) -> None:
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - does not resolve links
        self.name = str(self.path)
        self.read_only = read_only
        self._lock = threading.Lock()
        self._draft: _Draft | None = None
        self._closed = False
        self._opened_as = _identity(self.path)
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._archive: zipfile.ZipFile | None = None
        if self._opened_as is not None:
            self._archive, self._members = _open_archive(self.path)
        elif read_only or not create:
            raise StoreNotFoundError(
                "there is no such archive", store=self.name, hint=nearest(self.path)
            )

    def __repr__(self) -> str:
        return f"ZipStore({self.name!r}{', read_only=True' if self.read_only else ''})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ZipStore) and self.name == other.name

    def __hash__(self) -> int:
        return hash((ZipStore, self.name))

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (self.name, self.read_only)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Puts what was written in the archive's place; a second call does nothing.

        Raises:
            StoreError: The archive cannot be written, or somebody else has changed it.
        """
        with self._lock:
            self._closed = True
            self._archive, self._members = None, {}
            draft, self._draft = self._draft, None
            if draft is not None and draft.finalizer.detach() is not None:
                draft.publish()

    def get(self, key: str, byte_range: ByteRange | None = None) -> Buffer | None:
        """The object's bytes, or those of a range; `None` only where there is no such member.

        Raises:
            StoreError: The member is corrupt or encrypted, has no such range, or the store is
                closed.
        """
        archive, info = self._member(key)
        if archive is None or info is None:
            return None
        if info.flag_bits & _ENCRYPTED:
            raise StoreError("the member is encrypted", store=self.name, key=key)
        start, stop = span(byte_range, info.file_size, self.name, key)
        try:
            if info.compress_type != zipfile.ZIP_STORED or not hasattr(os, "pread"):
                with self._lock:
                    return self._read_through(archive, info, start, stop)
            data = self._read_stored(archive, info, start, stop)
        except StoreError:
            raise
        except _CORRUPT as error:
            raise StoreError(
                f"the member is corrupt, or made by a program that zlab cannot read: {error}",
                store=self.name,
                key=key,
            ) from error
        except OSError as error:
            raise storage_error(error, "the member cannot be read", self.name, key) from error
        if len(data) < stop - start:
            raise bad_range(byte_range or Range(start, stop), self.name, key)
        if byte_range is None and zlib.crc32(data) != info.CRC:
            raise StoreError("the member is corrupt: wrong checksum", store=self.name, key=key)
        return data

    def put(self, key: str, value: Buffer) -> None:
        """Replaces the object; other openers of the archive see it once this store is closed.

        Raises:
            StoreError: It cannot be written, or the store is closed.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, key)
        check_key(key, self.name)
        with self._lock:
            draft = self._begin(key, keep=True)
            try:
                info = draft.add(key, value)
            except OSError as error:
                what = "the object cannot be written"
                raise storage_error(error, what, self.name, key) from error
            self._members[key] = info

    def delete(self, key: str) -> None:
        """Removes the object; one that does not exist is no error.

        Raises:
            StoreError: The archive cannot be written, or the store is closed.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, key)
        check_key(key, self.name)
        with self._lock:
            self._check_open(key)
            if key in self._members:
                self._begin(key, keep=True)
                del self._members[key]

    def delete_prefix(self, prefix: str) -> None:
        """Removes every object below a prefix.

        Raises:
            StoreError: The archive cannot be written, or the store is closed.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, prefix)
        below = f"{prefix}/" if check_prefix(prefix, self.name) else ""
        with self._lock:
            self._check_open(prefix)
            doomed = [key for key in self._members if key.startswith(below)]
            if doomed:
                self._begin(prefix, keep=len(doomed) < len(self._members))
                for key in doomed:
                    self._members.pop(key, None)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects below a prefix, as they are at the time of the call.

        Raises:
            StoreError: The store is closed.
        """
        below = f"{prefix}/" if check_prefix(prefix, self.name) else ""
        with self._lock:
            self._check_open(prefix)
            return iter(
                [
                    Entry(key, info.file_size)
                    for key, info in self._members.items()
                    if key.startswith(below)
                ]
            )

    def list_dir(self, prefix: str = "") -> Listing:
        """One level below a prefix.

        Raises:
            StoreError: The store is closed.
        """
        return one_level(self.list(prefix), prefix)

    def nbytes(self, key: str) -> int | None:
        """The object's size, or `None` where it does not exist.

        Raises:
            StoreError: The store is closed.
        """
        info = self._member(key)[1]
        return None if info is None else info.file_size

    def version(self, key: str) -> object:
        """The member's place in the archive and its checksum, or `None` where there is none."""
        info = self._members.get(key)
        return None if info is None else (info.header_offset, info.CRC, info.file_size)

    def _member(self, key: str) -> tuple[zipfile.ZipFile | None, zipfile.ZipInfo | None]:
        check_key(key, self.name)
        with self._lock:  # a draft and its members change together
            self._check_open(key)
            return self._archive, self._members.get(key)

    def _check_open(self, key: str) -> None:
        if self._closed:
            raise StoreError(
                "the archive was closed", store=self.name, key=key, hint="Open it again"
            )

    def _read_stored(
        self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, start: int, stop: int
    ) -> bytes:
        file = _file_of(archive).fileno()
        header_nbytes = _LOCAL_HEADER.size + len(info.orig_filename.encode())
        header = os.pread(file, header_nbytes, info.header_offset)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(_LOCAL_MAGIC):
            msg = "no member starts where the directory says"
            raise zipfile.BadZipFile(msg)
        _, flags, name_nbytes, extra_nbytes = _LOCAL_HEADER.unpack_from(header)
        name = header[_LOCAL_HEADER.size :][:name_nbytes]
        if name.decode("utf-8" if flags & _UTF8 else "cp437") != info.orig_filename:
            listed = info.orig_filename
            msg = f"the directory says {listed!r:.80}, and the member itself {name!r:.80}"
            raise zipfile.BadZipFile(msg)
        at = info.header_offset + _LOCAL_HEADER.size + name_nbytes + extra_nbytes
        if at + stop > os.fstat(file).st_size:  # before memory is taken for what it claims
            msg = "it ends behind the archive"
            raise zipfile.BadZipFile(msg)
        parts: list[bytes] = []
        while start < stop:  # the operating system reads at most 2 GiB at once
            part = os.pread(file, stop - start, at + start)
            if not part:
                break
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_through(
        self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, start: int, stop: int
    ) -> bytes:
        is_compressed = info.compress_type != zipfile.ZIP_STORED
        if is_compressed and stop - start > settings.max_chunk_bytes:  # a small archive may hold it
            raise StoreError(
                f"{stop - start} bytes of a compressed member, more than the "
                f"{settings.max_chunk_bytes} that settings.max_chunk_bytes allows",
                store=self.name,
                key=info.filename,
                hint="If you trust the archive, raise zlab.settings.max_chunk_bytes",
            )
        with archive.open(info) as member:
            member.seek(start)
            data = member.read(stop - start)
            while member.read(_DRAINED_NBYTES):  # the checksum is that of all
                pass
            return data

    def _begin(self, key: str, *, keep: bool) -> _Draft:
        self._check_open(key)
        if self._draft is None:
            try:
                self._draft = _Draft(self, self._members if keep else {}, self._opened_as)
            except OSError as error:
                what = "the archive cannot be written"
                raise storage_error(error, what, self.name, key) from error
            self._members = self._draft.members
            self._archive = self._draft.archive
        elif self._draft.pid != os.getpid():
            raise StoreError(
                "the archive is being written by the process that this one was forked from",
                store=self.name,
                key=key,
            )
        return self._draft


class _Draft:
    """The archive to be: a copy that is written to and takes the place of the old one."""

    def __init__(
        self,
        store: ZipStore,
        members: dict[str, zipfile.ZipInfo],
        opened_as: tuple[int, ...] | None,
    ) -> None:
        self.path = store.path
        self.pid = os.getpid()
        self.members = dict(members)
        self._opened_as = opened_as
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._partial = partial_path(str(self.path.parent))
        if members:
            shutil.copyfile(self.path, self._partial)
        self.archive = zipfile.ZipFile(self._partial, "a" if members else "w")
        # when the store is closed, collected as garbage, or the interpreter ends
        self.finalizer = weakref.finalize(store, self._publish_forgotten)

    def add(self, key: str, value: Buffer) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(key, _DATE)
        info.external_attr = _READABLE
        self.archive.NameToInfo.pop(key, None)  # else zipfile warns of a second member
        self.archive.writestr(info, value)
        _file_of(self.archive).flush()  # readers use the descriptor
        return info

    def _publish_forgotten(self) -> None:
        if self.pid != os.getpid():
            return
        self.publish()
        # after it: where the warning is an error, nothing is lost all the same
        warnings.warn(
            f"{self.path} was written to and never closed; it was completed now. Use `with`, or "
            "`close` the array, group or store that was opened",
            ResourceWarning,
            stacklevel=2,
        )

    def publish(self) -> None:
        """Puts the draft in the archive's place, unless it belongs to the parent process."""
        if self.pid != os.getpid():
            return
        try:
            # the directory at the end of the archive lists these and no others
            self.archive.filelist[:] = self.members.values()
            self.archive.comment = self.archive.comment  # marks it as changed
            self.archive.close()
            self._compact()
            if _identity(self.path) != self._opened_as:
                raise StoreError(
                    "another program has changed the archive since it was opened",
                    store=str(self.path),
                    hint=f"What was written here is in {self._partial}",
                )
            patiently(os.replace, self._partial, self.path)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            with suppress(OSError):
                os.unlink(self._partial)  # noqa: PTH108 - a string
            what = "the archive cannot be written"
            raise storage_error(error, what, str(self.path), None) from error

    def _compact(self) -> None:
        """Leaves out the bytes of replaced members once they are more than the others."""
        alive = sum(info.compress_size for info in self.members.values())
        if os.path.getsize(self._partial) < 2 * alive + (1 << 20):  # noqa: PTH202 - a string
            return
        compacted = partial_path(str(self.path.parent))
        with zipfile.ZipFile(self._partial) as old, zipfile.ZipFile(compacted, "w") as new:
            for info in old.infolist():
                copy = zipfile.ZipInfo(info.filename, info.date_time)
                copy.compress_type = info.compress_type
                copy.external_attr = info.external_attr
                copy.file_size = info.file_size
                with old.open(info) as source, new.open(copy, "w") as target:
                    shutil.copyfileobj(source, target)
        os.replace(compacted, self._partial)  # noqa: PTH105 - strings


def _open_archive(path: Path) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    try:
        archive = zipfile.ZipFile(path)
    except _CORRUPT as error:
        raise StoreError(
            f"not a whole zip archive: {error}",
            store=str(path),
            hint="It may have been cut off, or its writer was never closed",
        ) from error
    except OSError as error:
        raise storage_error(error, "the archive cannot be opened", str(path), None) from error
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():  # of several members of one name, the last
        if not info.is_dir():
            with suppress(StoreError):  # names that lead out of the archive are not shown
                members[check_key(info.filename, str(path))] = info
    return archive, members


def _file_of(archive: zipfile.ZipFile) -> BinaryIO:
    file: BinaryIO | None = archive.fp  # type: ignore[assignment]
    if file is None:
        msg = "the archive was closed"
        raise zipfile.BadZipFile(msg)
    return file


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise storage_error(error, "the archive cannot be opened", str(path), None) from error
    return status.st_ino, status.st_size, status.st_mtime_ns


def _reopen(path: str, read_only: bool) -> ZipStore:  # noqa: FBT001 - called by pickle
    return ZipStore(path, read_only=read_only)
