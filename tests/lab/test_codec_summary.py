from __future__ import annotations

from typing import Any

import pytest

from zlab.lab.codec_summary import describe_codecs, summarise
from zlab.metadata import NamedConfig


@pytest.mark.parametrize(
    ("name", "configuration", "summary"),
    [
        ("bytes", {"endian": "little"}, "little-endian bytes"),
        ("bytes", {}, "bytes as they are"),
        ("transpose", {"order": [2, 0, 1]}, "axes in the order 2, 0, 1"),
        ("zstd", {"level": 0, "checksum": False}, "Zstandard, level 0"),
        ("zstd", {"level": 5, "checksum": True}, "Zstandard, level 5, with checksum"),
        ("gzip", {"level": 1}, "gzip, level 1"),
        ("numcodecs.zlib", {"level": 9}, "zlib, level 9"),
        ("numcodecs.bz2", {"level": 1}, "bzip2, level 1"),
        ("numcodecs.lz4", {"acceleration": 2}, "LZ4, acceleration 2"),
        ("numcodecs.delta", {"dtype": "<i4"}, "differences between neighbours, as <i4"),
        ("numcodecs.shuffle", {"elementsize": 4}, "bytes sorted by their place in elements of 4"),
        (
            "blosc",
            {"cname": "lz4", "clevel": 5, "shuffle": "bitshuffle"},
            "Blosc with lz4, level 5, bitshuffle",
        ),
        (
            "blosc",
            {"cname": "zstd", "clevel": 1, "shuffle": "noshuffle"},
            "Blosc with zstd, level 1",
        ),
        ("crc32c", {}, "CRC-32C checksum, verified at each read"),
        (
            "sharding_indexed",
            {
                "chunk_shape": [2, 4],
                "codecs": [{"name": "bytes"}, "zstd"],
                "index_codecs": ["bytes", {"name": "crc32c"}],
                "index_location": "start",
            },
            "shards of chunks of 2 x 4, each by bytes, zstd; index at the start, by bytes, crc32c",
        ),
        ("example.other", {"a": 1, "b": [2]}, "a 1, b [2]"),
        ("example.other", {}, "example.other"),
        ("example.other", {"a": "x" * 1000}, f"a {'x' * 198}"),
    ],
)
def test_summaries(name: str, configuration: dict[str, Any], summary: str) -> None:
    assert summarise(name, configuration) == summary


def test_describe() -> None:
    codecs = [
        NamedConfig("transpose", {"order": [1, 0]}),
        NamedConfig("bytes", {"endian": "big"}),
        NamedConfig("gzip", {"level": 3}),
    ]
    assert [(codec["name"], codec["kind"]) for codec in describe_codecs(codecs)] == [
        ("transpose", "array-array"),
        ("bytes", "array-bytes"),
        ("gzip", "bytes-bytes"),
    ]
