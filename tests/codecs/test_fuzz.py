"""Corrupt bytes give a `CodecError` or wrong values: no crash, no hang, no memory without end."""

from __future__ import annotations

import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.codecs import ChunkSpec, Pipeline
from zlab.errors import CodecError
from zlab.metadata.extension import NamedConfig

LITTLE = NamedConfig("bytes", {"endian": "little"})
ARRAY = np.arange(300, dtype="i4").reshape(20, 15) // 7
STRINGS = np.dtypes.StringDType()
TEXT = np.array([f"text {number}" for number in range(20)], STRINGS)


def _sharding(*codecs: NamedConfig) -> NamedConfig:
    inner = [config.format() for config in (LITTLE, *codecs)]
    return NamedConfig("sharding_indexed", {"chunk_shape": [10, 5], "codecs": inner})


N5 = NamedConfig(
    "n5_default",
    {
        "codecs": [
            {"name": "transpose", "configuration": {"order": [1, 0]}},
            {"name": "bytes", "configuration": {"endian": "big"}},
            {"name": "gzip", "configuration": {"level": 1}},
        ]
    },
)
CHAINS: dict[str, list[NamedConfig]] = {
    **{
        name: [LITTLE, NamedConfig(name)]
        for name in (
            "zstd",
            "gzip",
            "crc32c",
            "numcodecs.lz4",
            "numcodecs.zlib",
            "numcodecs.bz2",
            "numcodecs.lzma",
            "numcodecs.shuffle",
            "numcodecs.adler32",
            "numcodecs.fletcher32",
            "numcodecs.jenkins_lookup3",
            "numcodecs.base64",
        )
    },
    **{
        f"blosc {cname}": [LITTLE, NamedConfig("blosc", {"cname": cname, "blocksize": 256})]
        for cname in ("blosclz", "lz4", "zlib", "zstd")
    },
    "conditional": [
        LITTLE,
        NamedConfig("conditional", {"codecs": ["numcodecs.shuffle", "zstd"]}),
    ],
    "packbits": [NamedConfig("packbits", {"padding_encoding": "first_byte", "last_bit": 6})],
    "n5": [N5],
    "sharding": [_sharding(NamedConfig("zstd"))],
    "sharding blosc": [_sharding(NamedConfig("blosc"), NamedConfig("crc32c"))],
    "vlen-utf8": [NamedConfig("vlen-utf8")],
    "vlen-utf8 zstd": [NamedConfig("vlen-utf8"), NamedConfig("zstd")],
    "vlen-utf8 blosc": [NamedConfig("vlen-utf8"), NamedConfig("blosc")],
    "vlen-utf8 lz4": [NamedConfig("vlen-utf8"), NamedConfig("numcodecs.lz4")],
    "vlen-utf8 gzip": [NamedConfig("vlen-utf8"), NamedConfig("gzip")],
    "json2": [NamedConfig("numcodecs.json2")],
}


def _made(name: str) -> tuple[Pipeline, Any]:
    array = TEXT if name.startswith(("vlen", "json")) else ARRAY
    return Pipeline.resolve(CHAINS[name], ChunkSpec(array.shape, array.dtype, None)), array


PIPELINES = {name: _made(name) for name in CHAINS}
ENCODED = {name: bytes(made.encode(array)) for name, (made, array) in PIPELINES.items()}


def decode_anything(name: str, data: bytes) -> None:
    made, array = PIPELINES[name]
    out = np.empty(array.shape, array.dtype)
    try:
        made.decode(data, out)
    except CodecError:
        return
    assert out.shape == array.shape


@pytest.mark.parametrize("name", CHAINS)
@given(data=st.binary(max_size=400))
def test_random_bytes(name: str, data: bytes) -> None:
    decode_anything(name, data)


@pytest.mark.parametrize("name", CHAINS)
@given(data=st.data())
def test_bytes_that_were_right_but_for_a_few(name: str, data: st.DataObject) -> None:
    stored = bytearray(ENCODED[name])
    for _ in range(data.draw(st.integers(1, 4))):
        # most of what a decoder trusts stands at the start
        near = st.integers(0, min(40, len(stored) - 1))
        at = data.draw(near | st.integers(0, len(stored) - 1))
        stored[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del stored[data.draw(st.integers(0, len(stored))) :]
    if data.draw(st.booleans()):
        stored += data.draw(st.binary(max_size=30))
    decode_anything(name, bytes(stored))


BOMBS: dict[str, bytes] = {
    "zstd": b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 10 << 30) + b"\1\0\0",
    "blosc lz4": struct.pack("<BBBBIII", 2, 1, 0x21, 4, 0x7FFFFFF0, 0x7FFFFFF0, 30) + bytes(14),
    "numcodecs.lz4": struct.pack("<I", 0x7FFFFFFF) + bytes(20),
    "vlen-utf8": struct.pack("<II", 0xFFFFFFFF, 0xFFFFFFFF),
    "vlen-utf8 zstd": b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 10 << 30) + b"\1\0\0",
    "vlen-utf8 blosc": struct.pack("<BBBBIII", 2, 1, 0x21, 4, 0x7FFFFFF0, 1 << 20, 30) + bytes(14),
    "vlen-utf8 lz4": struct.pack("<I", 0x7FFFFFFF) + bytes(20),
    "n5": struct.pack(">HHII", 0, 2, 0xFFFF, 0xFFFFFF),
    "json2": b'["|O", [100000000000]]',
}


@pytest.mark.skipif(sys.platform != "linux", reason="limits its address space")
def test_headers_that_claim_gigabytes_take_no_memory() -> None:
    # in a process that may hold little more than it holds: an allocation would raise MemoryError
    code = f"""
    import importlib.util, resource
    spec = importlib.util.spec_from_file_location("fuzz", {__file__!r})
    fuzz = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fuzz)
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + (256 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for name, bomb in fuzz.BOMBS.items():
        made, array = fuzz.PIPELINES[name]
        try:
            made.decode(bomb, fuzz.np.empty(array.shape, array.dtype))
        except fuzz.CodecError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    refusals = done.stdout.splitlines()
    assert len(refusals) == len(BOMBS)
    assert all(line.startswith("codec ") for line in refusals)
