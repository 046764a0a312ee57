"""The checksums of numcodecs, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numcodecs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.codecs import registry
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIGURATIONS: list[tuple[str, dict[str, Any]]] = [
    ("crc32", {}),
    ("crc32", {"location": "end"}),
    ("crc32c", {}),
    ("crc32c", {"location": "start"}),
    ("adler32", {}),
    ("adler32", {"location": "end"}),
    ("fletcher32", {}),
    ("jenkins_lookup3", {}),
    ("jenkins_lookup3", {"initval": 1234}),
]
IDS = [f"{name}-{next(iter(c.values()), 'default')}" for name, c in CONFIGURATIONS]


@pytest.mark.parametrize(("name", "configuration"), CONFIGURATIONS, ids=IDS)
@given(data=st.binary(min_size=1, max_size=100))
def test_the_bytes_are_those_of_numcodecs(
    name: str, configuration: dict[str, Any], data: bytes
) -> None:
    codec = registry.get(f"numcodecs.{name}").from_config(configuration, len(data), 1)
    encoded = bytes(codec.encode(data))
    assert encoded == bytes(numcodecs.get_codec({"id": name, **configuration}).encode(data))
    assert len(encoded) == codec.encoded_nbytes
    assert bytes(codec.decode(encoded)) == data
    out = bytearray(len(data))
    codec.decode(memoryview(encoded), memoryview(out))
    assert out == data


@pytest.mark.parametrize(("name", "configuration"), CONFIGURATIONS, ids=IDS)
def test_what_was_changed_or_cut_is_an_error(
    bytes_codec: Callable[..., Any], name: str, configuration: dict[str, Any]
) -> None:
    codec = bytes_codec(f"numcodecs.{name}", configuration, nbytes=9)
    encoded = bytearray(codec.encode(b"123456789"))
    for place in range(len(encoded)):
        changed = bytearray(encoded)
        changed[place] ^= 0x10
        with pytest.raises(CodecError, match="the checksum is"):
            codec.decode(bytes(changed))
    with pytest.raises(CodecError, match="expected 9 decoded bytes, got 8"):
        codec.decode(bytes(encoded[:-1]))
    with pytest.raises(CodecError, match="too few for a checksum"):
        codec.decode(b"abc")


def test_nothing_has_a_checksum_too(bytes_codec: Callable[..., Any]) -> None:
    for name, configuration in CONFIGURATIONS:
        codec = bytes_codec(f"numcodecs.{name}", configuration, nbytes=0)
        assert bytes(codec.decode(codec.encode(b""))) == b""


def test_a_prefix_is_hashed_first(bytes_codec: Callable[..., Any]) -> None:
    codec = bytes_codec("numcodecs.jenkins_lookup3", {"prefix": [1, 2, 255]})
    theirs = numcodecs.checksum32.JenkinsLookup3(prefix=b"\1\2\xff")
    assert bytes(codec.encode(b"hello")) == theirs.encode(b"hello")
    assert codec.configuration == {"initval": 0, "prefix": [1, 2, 255]}


@pytest.mark.parametrize(
    ("name", "configuration"),
    [
        ("crc32", {"location": "middle"}),
        ("fletcher32", {"location": "start"}),
        ("jenkins_lookup3", {"prefix": "ab"}),
        ("jenkins_lookup3", {"prefix": [256]}),
        ("jenkins_lookup3", {"initval": -1}),
    ],
)
def test_a_wrong_configuration_is_refused(
    bytes_codec: Callable[..., Any], name: str, configuration: dict[str, Any]
) -> None:
    with pytest.raises(MetadataError, match=name):
        bytes_codec(f"numcodecs.{name}", configuration)
