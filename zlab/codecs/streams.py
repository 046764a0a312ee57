"""Decoding with the decompressors of the standard library, which take their input bit by bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zlab.codecs.sizes import check_limit, check_size, deliver
from zlab.errors import CodecError

if TYPE_CHECKING:
    import bz2
    import lzma
    from collections.abc import Callable

    from zlab.memory import Buffer


def decompress(
    name: str,
    open_stream: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor],
    data: Buffer,
    out: memoryview | None,
    nbytes: int | None,
    most: int,
) -> Buffer:
    """Decodes one stream after the other, and never more than is expected by more than a byte.

    Args:
        name: Of the codec, for messages.
        open_stream: Makes a decompressor.
        data: The streams.
        out: Where to write, or `None`.
        nbytes: Decoded bytes, or `None` where that is not known.
        most: The most that there may be where it is not known.

    Raises:
        CodecError: The streams are of another size, or end early.
    """
    room = most if nbytes is None else nbytes
    parts: list[bytes] = []
    size = 0
    rest: Buffer = data
    while True:
        stream = open_stream()
        # a decompressor may return less than it could: ask until it has nothing more to give
        part = stream.decompress(rest, room + 1 - size)
        while part:
            parts.append(part)
            size += len(part)
            if size > room or stream.eof:
                break
            part = stream.decompress(b"", room + 1 - size)
        if size > room or not stream.eof or not stream.unused_data:
            break
        rest = stream.unused_data
    if nbytes is None:
        check_limit(name, most, size)
    elif size > nbytes:
        raise CodecError(f"codec {name!r}: expected {nbytes} decoded bytes, got more")
    if not stream.eof:
        raise CodecError(f"codec {name!r}: the stream is truncated after {size} decoded bytes")
    if nbytes is not None:
        check_size(name, nbytes, size)
    return deliver(name, parts[0] if len(parts) == 1 else b"".join(parts), out)
