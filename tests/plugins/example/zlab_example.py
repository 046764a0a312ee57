"""One of each kind of extension: small, but complete.

Names of extensions that are not registered with Zarr have a dot, after a part that is one's own.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self
from urllib.parse import quote, unquote, urlsplit
from weakref import finalize

import numpy as np

from zlab.errors import CodecError, MetadataError, StoreError, StoreNotFoundError
from zlab.grid import Grid
from zlab.metadata import DataType
from zlab.stores.base import Entry, Listing, check_key, check_prefix, check_writable, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange, Store


# --8<-- [start:codec]
class Invert:
    """Turns every bit over."""

    name: ClassVar[str] = "example.invert"
    kind: ClassVar[Literal["bytes-bytes"]] = "bytes-bytes"

    def __init__(self, nbytes: int | None) -> None:
        self.encoded_nbytes = nbytes
        self.configuration: dict[str, Any] = {}

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec for chunks of `nbytes`, where they all have the same."""
        del itemsize
        if configuration:
            raise MetadataError(f"codec {cls.name!r} takes no configuration")
        return cls(nbytes)

    def encode(self, data: Buffer) -> Buffer:
        """The bytes, each turned over."""
        return np.invert(np.frombuffer(data, np.uint8)).data

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """The bytes, each turned over; written into `out` where that is given."""
        if self.encoded_nbytes not in (None, len(data)):
            raise CodecError(f"{len(data)} bytes instead of {self.encoded_nbytes}")
        if out is None:
            return self.encode(data)
        np.invert(np.frombuffer(data, np.uint8), np.frombuffer(out, np.uint8))
        return out


# --8<-- [end:codec]


# --8<-- [start:data_type]
class _Hex:
    """Fill values as on the web: `#ff8000`."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype

    def parse(self, value: object) -> Any:
        if not isinstance(value, str) or not value.startswith("#"):
            raise ValueError
        parts = np.frombuffer(bytes.fromhex(value[1:]), self._dtype["r"].newbyteorder(">"))
        r, g, b = parts.tolist()
        return np.array((r, g, b), self._dtype)[()]

    def format(self, scalar: Any) -> str:
        parts = np.array(scalar.tolist(), self._dtype["r"].newbyteorder(">"))
        return f"#{parts.tobytes().hex()}"


def rgb(configuration: Mapping[str, Any]) -> DataType:
    """A colour of three parts, of 8 bits or (`{"bits": 16}`) 16 each."""
    bits = configuration.get("bits", 8)
    if bits not in (8, 16) or set(configuration) - {"bits"}:
        raise MetadataError(f"data type 'example.rgb' has 8 or 16 bits, not {configuration!r}")
    dtype = np.dtype([(part, f"u{bits // 8}") for part in "rgb"])
    return DataType("example.rgb", dtype, "raw", dict(configuration), fill_form=_Hex(dtype))


# --8<-- [end:data_type]


# --8<-- [start:chunk_grid]
@dataclass(frozen=True)
class DoublingAxis:
    """Chunks of `first` elements, `2 * first`, `4 * first` ... as logarithms of samples are."""

    length: int
    first: int

    @property
    def nchunks(self) -> int:
        """Chunks along the axis."""
        return self.chunk_at(self.length - 1) + 1 if self.length else 0

    def start(self, chunk: int) -> int:
        """The first element of a chunk."""
        return self.first * ((1 << chunk) - 1)

    def size(self, chunk: int) -> int:
        """The elements that a chunk is stored with."""
        return self.first << chunk

    def chunk_at(self, index: int) -> int:
        """The chunk that holds an element."""
        return (index // self.first + 1).bit_length() - 1

    def chunks_at(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """The chunks that hold some elements."""
        return np.frexp(indices // self.first + 1)[1].astype(np.intp) - 1


def doubling(configuration: Mapping[str, Any], shape: tuple[int, ...]) -> Grid:
    """The grid `{"first": [length, ...]}`."""
    first: Sequence[int] = configuration.get("first", ())
    if len(first) != len(shape) or any(n < 1 for n in first):
        raise MetadataError(f"chunk grid 'example.doubling' needs {len(shape)} lengths in 'first'")
    axes = tuple(DoublingAxis(n, f) for n, f in zip(shape, first, strict=True))
    return Grid(axes, chunk_shape=None)


# --8<-- [end:chunk_grid]


# --8<-- [start:chunk_key_encoding]
@dataclass(frozen=True)
class HexKeys:
    """Chunk (10, 3) is `a-3`: short keys for large grids."""

    configuration: Mapping[str, Any]
    ndim: int

    def encode(self, coords: Iterable[int]) -> str:
        """The key of a chunk, relative to the array."""
        return "-".join(f"{c:x}" for c in coords) or "-"

    def decode(self, key: str) -> tuple[int, ...] | None:
        """The coordinates that a key stands for, or `None` where it is no chunk's key."""
        try:
            coords = tuple(int(part, 16) for part in key.split("-") if part)
        except ValueError:
            return None
        return coords if len(coords) == self.ndim and self.encode(coords) == key else None


# --8<-- [end:chunk_key_encoding]


# --8<-- [start:storage_transformer]
@dataclass(frozen=True)
class FanOut:
    """Spreads an array's chunks over 256 folders, by a hash of their keys."""

    store: Store
    path: str

    @property
    def name(self) -> str:
        """What messages call it: as the store below."""
        return self.store.name

    @property
    def read_only(self) -> bool:
        """As the store below."""
        return self.store.read_only

    @property
    def local(self) -> bool:
        """As the store below."""
        return self.store.local

    def _inside(self, key: str) -> str:
        below = f"{self.path}/" if self.path else ""
        rest = key.removeprefix(below)
        return f"{below}{blake2b(rest.encode(), digest_size=1).hexdigest()}/{rest}"

    def _outside(self, key: str) -> str | None:
        below = f"{self.path}/" if self.path else ""
        outside = below + key.removeprefix(below).partition("/")[2]
        return outside if self._inside(outside) == key else None

    def get(self, key: str, byte_range: ByteRange | None = None) -> Buffer | None:
        """As `Store.get`."""
        return self.store.get(self._inside(key), byte_range)

    def put(self, key: str, value: Buffer) -> None:
        """As `Store.put`."""
        self.store.put(self._inside(key), value)

    def delete(self, key: str) -> None:
        """As `Store.delete`."""
        self.store.delete(self._inside(key))

    def delete_prefix(self, prefix: str) -> None:
        """As `Store.delete_prefix`."""
        for entry in list(self.list(prefix)):
            self.delete(entry.key)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """As `Store.list`: chunks alone, by the keys that they were put with."""
        for entry in self.store.list(self.path):
            key = self._outside(entry.key)
            if key is not None and (not prefix or key.startswith(f"{prefix}/")):
                yield Entry(key, entry.nbytes)

    def list_dir(self, prefix: str = "") -> Listing:
        """As `Store.list_dir`."""
        return one_level(self.list(prefix), prefix)

    def nbytes(self, key: str) -> int | None:
        """As `Store.nbytes`."""
        return self.store.nbytes(self._inside(key))

    def version(self, key: str) -> object:
        """As `Store.version`."""
        return self.store.version(self._inside(key))


def fan_out(configuration: Mapping[str, Any], store: Store, path: str) -> FanOut:
    """The transformer, which has no parameters."""
    if configuration:
        raise MetadataError("storage transformer 'example.fan_out' takes no configuration")
    return FanOut(store, path)


# --8<-- [end:storage_transformer]


def one_level(entries: Iterable[Entry], prefix: str) -> Listing:
    """What `list_dir` answers, from all objects below a prefix."""
    skip = len(prefix) + 1 if prefix else 0
    files: dict[str, Entry] = {}
    prefixes: set[str] = set()
    for entry in entries:
        end = entry.key.find("/", skip)
        if end < 0:
            files[entry.key] = entry
        else:
            prefixes.add(entry.key[:end])
    return Listing(sorted(files.values()), sorted(prefixes))


# --8<-- [start:store]
class SqliteStore:
    """Objects as the rows of a table: `sqlite:///path/to/file.db`."""

    local = True

    def __init__(self, path: str, *, read_only: bool, create: bool) -> None:
        self.name = f"sqlite://{path}"
        self.read_only = read_only
        self._path = path
        self._lock = threading.Lock()
        mode = "ro" if read_only else "rwc" if create else "rw"
        url = f"file:{quote(path)}?mode={mode}"
        try:
            self._rows = sqlite3.connect(url, uri=True, check_same_thread=False)
            finalize(self, self._rows.close)
            if not read_only:
                self._ask("CREATE TABLE IF NOT EXISTS objects (key TEXT PRIMARY KEY, value BLOB)")
        except sqlite3.OperationalError as error:
            raise StoreNotFoundError(f"cannot be opened: {error}", store=self.name) from error

    def __repr__(self) -> str:
        return f"SqliteStore({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SqliteStore) and self.name == other.name

    def __hash__(self) -> int:
        return hash((SqliteStore, self.name))

    def __reduce__(self) -> tuple[object, ...]:
        return open_again, (self._path, self.read_only)

    def _ask(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        # a connection serves one thread at a time; a transaction is all or nothing
        with self._lock, self._rows:
            return self._rows.execute(statement, parameters).fetchall()

    def _try(self, key: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        try:
            return self._ask(statement, *parameters)
        except sqlite3.Error as error:
            raise StoreError(f"the database failed: {error}", store=self.name, key=key) from error

    def get(self, key: str, byte_range: ByteRange | None = None) -> Buffer | None:
        """The object's bytes, or those of a range; `None` where there is no such row."""
        check_key(key, self.name)
        rows = self._try(key, "SELECT value FROM objects WHERE key = ?", key)
        if not rows:
            return None
        value: bytes = rows[0][0]
        start, stop = span(byte_range, len(value), self.name, key)
        return value[start:stop]

    def put(self, key: str, value: Buffer) -> None:
        """Replaces the object."""
        check_writable(self, key)
        check_key(key, self.name)
        self._try(key, "REPLACE INTO objects VALUES (?, ?)", key, bytes(value))

    def delete(self, key: str) -> None:
        """Removes the object; one that does not exist is no error."""
        check_writable(self, key)
        check_key(key, self.name)
        self._try(key, "DELETE FROM objects WHERE key = ?", key)

    def delete_prefix(self, prefix: str) -> None:
        """Removes every object below a prefix."""
        check_writable(self, prefix)
        for entry in self.list(prefix):
            self.delete(entry.key)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects below a prefix, as they are at the time of the call."""
        check_prefix(prefix, self.name)
        below = f"{prefix}/" if prefix else ""
        statement = "SELECT key, length(value) FROM objects WHERE substr(key, 1, ?) = ?"
        rows = self._try(prefix, statement, len(below), below)
        return iter([Entry(key, nbytes) for key, nbytes in rows])

    def list_dir(self, prefix: str = "") -> Listing:
        """One level below a prefix."""
        return one_level(self.list(prefix), prefix)

    def nbytes(self, key: str) -> int | None:
        """The object's size, or `None` where there is no such row."""
        check_key(key, self.name)
        rows = self._try(key, "SELECT length(value) FROM objects WHERE key = ?", key)
        return rows[0][0] if rows else None

    def version(self, key: str) -> object:
        """`None`: it takes a request."""
        del key
        return None


def open_again(path: str, read_only: bool) -> SqliteStore:
    """The store of a pickle."""
    return SqliteStore(path, read_only=read_only, create=False)


def open_sqlite(
    url: str, *, read_only: bool, create: bool, storage_options: Mapping[str, Any]
) -> SqliteStore:
    """The store of a URL."""
    if storage_options:
        raise TypeError("a database takes no storage options")
    return SqliteStore(unquote(urlsplit(url).path), read_only=read_only, create=create)


# --8<-- [end:store]
