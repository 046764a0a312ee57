"""Bombs: few stored bytes that would decode to a gigabyte, for every codec on bytes.

Each is a real one, made by the codec itself. It is refused in a process that may hold little more
than it holds, whether the size of a chunk is known beforehand or only its limit.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import struct
import subprocess
import sys
import textwrap
import zlib
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from zlab.codecs import ChunkSpec, registry
from zlab.config import settings
from zlab.errors import CodecError

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 256 << 20
LIMIT = 1 << 20
BLOSC_HEADER = struct.Struct("<BBBBIII")

# of zeros, in parts: no test takes the memory that it forbids
PART = bytes(8 << 20)


def _deflated(wrapper: int) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, wrapper)
    return b"".join([stream.compress(PART) for _ in range(SIZE // len(PART))]) + stream.flush()


def _zstd(*, content_size: bool) -> bytes:
    """A frame of blocks that repeat one byte 128 kB times, four bytes each."""
    blocks = SIZE >> 17
    header = b"\x28\xb5\x2f\xfd"
    header += b"\xa0" + struct.pack("<I", SIZE) if content_size else b"\0\x58"
    kinds = [(1 << 17) << 3 | 1 << 1 | (at == blocks - 1) for at in range(blocks)]
    return header + b"".join(kind.to_bytes(3, "little") + b"\0" for kind in kinds)


@cache
def bombs() -> dict[str, tuple[str, bytes]]:
    """What each codec is given."""
    small = bz2.compress(PART)
    blosc = registry.get("blosc").from_config({"cname": "zstd"}, None, 1)
    header = list(BLOSC_HEADER.unpack_from(bytes(blosc.encode(PART))))
    header[4] = SIZE
    return {
        "gzip": ("gzip", _deflated(31)),
        "gzip in members": ("gzip", gzip.compress(PART) * (SIZE // len(PART))),
        "zlib": ("numcodecs.zlib", _deflated(15)),
        "bz2": ("numcodecs.bz2", small * (SIZE // len(PART))),
        "lzma": ("numcodecs.lzma", lzma.compress(PART) * (SIZE // len(PART))),
        "lz4": ("numcodecs.lz4", struct.pack("<I", SIZE) + b"\x1f\0\1\0" + b"\xff" * 2000 + b"\0"),
        "zstd": ("zstd", _zstd(content_size=True)),
        "zstd without a size": ("zstd", _zstd(content_size=False)),
        "zstd in frames": ("zstd", _zstd(content_size=False)[:200] + b"\0" * 4),
        "blosc": ("blosc", BLOSC_HEADER.pack(*header) + bytes(blosc.encode(PART))[16:]),
        "snappy": ("numcodecs.snappy", b"\x80\x80\x80\x80\x01" + b"\0\0" + b"\xfe\1\0" * 20),
    }


def attempt(name: str, codec: str, data: bytes, nbytes: int | None) -> str:
    """What the codec says of a bomb, alone and inside of `conditional`."""
    with settings.override(max_chunk_bytes=LIMIT):
        made = registry.get(codec).from_config({}, nbytes, 1)
        conditional = registry.get("conditional").from_config({"codecs": [codec]}, nbytes, 1)
    said = [_refusal(made, data), _refusal(conditional, b"\1" + data)]
    return f"{name}: {' | '.join(said)}"


def _refusal(codec: Any, data: bytes) -> str:
    try:
        codec.decode(data)
    except (CodecError, RuntimeError) as error:
        return str(error)
    return "decoded"


@pytest.mark.skipif(sys.platform != "linux", reason="limits its address space")
@pytest.mark.parametrize("nbytes", [None, LIMIT])
def test_bombs_are_refused_in_little_memory(nbytes: int | None, tmp_path: Path) -> None:
    cases = dict(bombs())
    if find_spec("cramjam") is None:
        del cases["snappy"]
    for name, (_, data) in cases.items():
        (tmp_path / name).write_bytes(data)
        assert len(data) < SIZE // 100
    code = f"""
    import importlib.util, pathlib, resource
    spec = importlib.util.spec_from_file_location("bombs", {__file__!r})
    bombs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bombs)
    cases = {[(name, codec) for name, (codec, _) in cases.items()]!r}
    for _, codec in cases:
        bombs.registry.get(codec).from_config({{}}, None, 1).encode(b"abc")
    files = {{name: (pathlib.Path({str(tmp_path)!r}) / name).read_bytes() for name, _ in cases}}
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + (128 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for name, codec in cases:
        print(bombs.attempt(name, codec, files[name], {nbytes!r}))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(cases)
    for line in lines:
        for refusal in line.partition(": ")[2].split(" | "):
            assert re.search("decoded bytes|truncated|buffer is too small", refusal), line


# what the codecs on arrays are given: more elements than the chunk has
ARRAYS: dict[str, tuple[dict[str, Any], Any]] = {
    "vlen-utf8": ({}, np.dtypes.StringDType()),
    "vlen-bytes": ({}, object),
    "numcodecs.vlen-array": ({"dtype": "<f8"}, object),
    "numcodecs.json2": ({}, object),
    "numcodecs.msgpack2": ({}, object),
    "numcodecs.pcodec": ({}, "f8"),
    "numcodecs.zfpy": ({"mode": 4, "tolerance": 0}, "f8"),
    "packbits": ({}, "?"),
    "bytes": ({}, "u1"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_more_elements_than_a_chunk_has_are_refused(name: str) -> None:
    package = registry._PACKAGES.get(name)
    if package is not None:
        pytest.importorskip(package)
    configuration, dtype = ARRAYS[name]
    make = registry.get(name).from_config
    large = np.zeros(1 << 16, dtype if name != "numcodecs.vlen-array" else object)
    if name == "numcodecs.vlen-array":
        large[...] = None
    if name == "vlen-bytes":
        large[...] = b""
    data = make(configuration, ChunkSpec(large.shape, large.dtype, None)).encode(large)
    with pytest.raises(Exception, match=name.removeprefix("numcodecs.")):
        make(configuration, ChunkSpec((4,), large.dtype, None)).decode(bytes(data))
