"""What of a write is complete, kept in a small file, so that a write that was killed goes on.

The file says which array it is about, and holds the set of the stored objects (chunks, or shards)
that were put, not the last one: objects are completed in any order.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, final

from zlab.engine.inventory import stored_objects
from zlab.errors import CheckpointError
from zlab.stores.local import LocalStore
from zlab.stream.assembly import number_of
from zlab.stream.identity import identity
from zlab.stream.ranges import Ranges

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from zlab.engine.layout import ArrayLayout

    Coords = tuple[int, ...]

_VERSION = 1


class HasLayout(Protocol):
    """An open array."""

    @property
    def layout(self) -> ArrayLayout:
        """What the engine reads and writes by."""
        ...


@final
class Checkpoint:
    """A file that says which chunks (or shards) of an array a write stream has completed.

    It is made by `Array.write_stream`, and holds for that array and, where a fingerprint is given,
    for that source: a write that is another one is refused. One write at a time may use it.

    Args:
        path: The file.
        fingerprint: Tells what is written, such as a version or a hash of the source.

    Example:
        >>> import tempfile
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, shape=(6,), chunks=(2,), dtype="int8")
        >>> checkpoint = zlab.Checkpoint(tempfile.mkdtemp() + "/write.json")
        >>> report = array.write_stream([((1,), np.ones(2, "int8"))], checkpoint=checkpoint)
        >>> is_missing = checkpoint.missing(array)
        >>> [c for c in range(3) if is_missing((c,))]
        [0, 2]
    """

    def __init__(self, path: str | os.PathLike[str], *, fingerprint: str | None = None) -> None:
        self.path = Path(path).absolute()
        self.fingerprint = fingerprint

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.path)!r}, fingerprint={self.fingerprint!r})"

    def missing(self, array: HasLayout) -> Callable[[Coords], bool]:
        """Which chunks are still to be written, as the `filter` of a stream that is the source.

        A chunk of a shard that is not complete is missing, whatever came of that shard before.

        Args:
            array: Which is written.

        Raises:
            CheckpointError: The file is another array's or another source's, or is broken.
            StoreError: The file cannot be read, or the array cannot be listed.
        """
        layout = array.layout
        ledger = Ledger(self, layout)

        def is_missing(coords: Coords) -> bool:
            shard = coords if layout.sharding is None else layout.shard_of(coords)
            return not ledger.is_done(number_of(shard, layout.objects.shape))

        return is_missing


class Ledger:
    """A checkpoint, loaded for one array.

    What the file calls stored and the array no longer has counts as missing again, so that an
    array that was emptied or made anew is written whole.

    Args:
        checkpoint: The file.
        layout: Of the array.

    Raises:
        CheckpointError: The file is another array's or another source's, or is broken.
        StoreError: The file cannot be read, or the array cannot be listed.
    """

    def __init__(self, checkpoint: Checkpoint, layout: ArrayLayout) -> None:
        self._path = checkpoint.path
        self._store = LocalStore(self._path.parent, fsync=True)
        self._head = {
            "zlab_checkpoint": _VERSION,
            "array": identity(layout),
            "source": checkpoint.fingerprint,
        }
        self._stored = Ranges()
        self._empty = Ranges()
        data = self._store.get(self._path.name)
        if data is not None:
            self._load(bytes(data))
            self._check_stored(layout)

    def is_done(self, number: int) -> bool:
        """Whether an object is complete."""
        return number in self._stored or number in self._empty

    def record(self, number: int, *, stored: bool) -> None:
        """An object was put, or left out because it holds nothing but the fill value."""
        (self._stored if stored else self._empty).add(number, number + 1)

    def save(self) -> None:
        """Replaces the file, all at once.

        Raises:
            StoreError: It cannot be written; the old one is in place.
        """
        document = self._head | {"stored": list(self._stored), "empty": list(self._empty)}
        self._store.put(self._path.name, json.dumps(document).encode())

    def _load(self, data: bytes) -> None:
        try:
            document = json.loads(data)
            head = {name: document[name] for name in self._head}
            stored, empty = (_parse_ranges(document[name]) for name in ("stored", "empty"))
        except (ValueError, KeyError, TypeError) as error:
            raise self._refusal("it is no checkpoint of zlab, or is damaged") from error
        for name, what in (
            ("zlab_checkpoint", "another version of zlab wrote it"),
            ("array", "it is about another array"),
            ("source", "it is about another source"),
        ):
            if head[name] != self._head[name]:
                raise self._refusal(f"{what}: {_short(head[name])}, not {_short(self._head[name])}")
        self._stored, self._empty = stored, empty

    def _check_stored(self, layout: ArrayLayout) -> None:
        if not self._stored:
            return
        there = Ranges()
        for coords, _ in stored_objects(layout):
            number = number_of(coords, layout.objects.shape)
            if number in self._stored:
                there.add(number, number + 1)
        self._stored = there

    def _refusal(self, why: str) -> CheckpointError:
        return CheckpointError(
            f"the checkpoint cannot be used: {why}",
            store=str(self._path.parent),
            key=self._path.name,
            hint="Delete the file to write everything, or name another one",
        )


def _parse_ranges(pairs: list[tuple[int, int]]) -> Ranges:
    if not all(isinstance(number, int) for pair in pairs for number in pair):
        msg = "ranges are pairs of whole numbers"
        raise TypeError(msg)
    return Ranges(pairs)


def _short(value: object) -> str:
    return f"{json.dumps(value):.200}"
