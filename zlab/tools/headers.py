"""What a compressed chunk says of itself in its first bytes, without decoding it.

Sources: RFC 8878 (Zstandard), section 3.1.1.1; RFC 1952 (gzip); the header of Blosc 1; numcodecs
for LZ4, whose blocks follow their decoded size.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from zlab.stores.base import Range

if TYPE_CHECKING:
    from collections.abc import Callable

    from zlab.codecs.pipeline import Pipeline
    from zlab.stores.base import Store

_HEAD = 18  # bytes of the longest header
_CHECKSUMS = {"crc32c": 4}  # those that stand behind the bytes


def looks_whole(store: Store, key: str, nbytes: int, pipeline: Pipeline) -> bool:
    """Whether the size of a stored chunk, or what its header says of it, is the expected one.

    Args:
        store: Where it is.
        key: Its key.
        nbytes: Its stored size.
        pipeline: Of the chunk.

    Returns:
        False where something is odd: the chunk may be corrupt, or be written in an unusual way,
        which decoding it tells.

    Raises:
        StoreError: The store failed.
    """
    if pipeline.encoded_nbytes is not None:
        return nbytes == pipeline.encoded_nbytes
    codecs = list(pipeline.bytes_codecs)
    trailer = 0
    while codecs and codecs[-1].name in _CHECKSUMS:
        trailer += _CHECKSUMS[codecs.pop().name]
    read = _READERS.get(codecs[-1].name) if codecs else None
    if read is None:
        return nbytes > trailer
    before = codecs[-2] if len(codecs) > 1 else pipeline.serializer
    head = store.get(key, Range(0, min(_HEAD, nbytes)))
    if head is None:  # deleted since it was listed
        return True
    try:
        claimed = read(bytes(head), nbytes - trailer)
    except (struct.error, IndexError, ValueError):
        return False
    return claimed is None or before.encoded_nbytes in (None, claimed)


def _zstd(head: bytes, nbytes: int) -> int | None:
    del nbytes
    if head[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError
    descriptor = head[4]
    is_single_segment = descriptor >> 5 & 1
    at = 5 + (1 - is_single_segment) + (0, 1, 2, 4)[descriptor & 3]
    form = ("<B" if is_single_segment else None, "<H", "<I", "<Q")[descriptor >> 6]
    if form is None:
        return None
    (size,) = struct.unpack_from(form, head, at)
    return int(size) + (256 if form == "<H" else 0)


def _blosc(head: bytes, nbytes: int) -> int:
    decoded, _, stored = struct.unpack_from("<III", head, 4)
    if stored != nbytes:
        raise ValueError
    return int(decoded)


def _gzip(head: bytes, nbytes: int) -> None:
    del nbytes
    if head[:2] != b"\x1f\x8b":
        raise ValueError  # that is all that it says


def _lz4(head: bytes, nbytes: int) -> int:
    del nbytes
    return int(struct.unpack_from("<I", head)[0])


_READERS: dict[str, Callable[[bytes, int], int | None]] = {
    "blosc": _blosc,
    "gzip": _gzip,
    "numcodecs.lz4": _lz4,
    "zstd": _zstd,
}
