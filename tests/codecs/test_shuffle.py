"""`numcodecs.shuffle`, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.codecs import registry
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable


@given(
    size=st.sampled_from([1, 2, 3, 4, 8, 16]), count=st.integers(0, 200), seed=st.integers(0, 99)
)
def test_the_bytes_are_those_of_numcodecs(size: int, count: int, seed: int) -> None:
    data = np.random.default_rng(seed).bytes(size * count)
    codec = registry.get("numcodecs.shuffle").from_config({"elementsize": size}, len(data), 1)
    encoded = bytes(codec.encode(data))
    assert len(encoded) == codec.encoded_nbytes
    assert encoded == (bytes(numcodecs.Shuffle(size).encode(data)) if data else b"")
    assert bytes(codec.decode(encoded)) == data
    out = bytearray(len(data))
    codec.decode(memoryview(encoded), memoryview(out))
    assert out == data


def test_an_element_is_one_of_the_array_unless_it_is_said(
    bytes_codec: Callable[..., Any],
) -> None:
    codec = bytes_codec("numcodecs.shuffle", {}, nbytes=8, itemsize=2)
    assert codec.configuration == {"elementsize": 2}
    assert bytes(codec.encode(b"aAbBcCdD")) == b"abcdABCD"


def test_what_is_no_whole_number_of_elements_is_refused(bytes_codec: Callable[..., Any]) -> None:
    with pytest.raises(MetadataError, match="10 bytes are no multiple of 4"):
        bytes_codec("numcodecs.shuffle", {"elementsize": 4}, nbytes=10)
    with pytest.raises(CodecError, match="10 bytes are no multiple of 4"):
        bytes_codec("numcodecs.shuffle", {"elementsize": 4}).decode(bytes(10))
    with pytest.raises(CodecError, match="expected 8 decoded bytes, got 4"):
        bytes_codec("numcodecs.shuffle", {"elementsize": 4}, nbytes=8).decode(bytes(4))
    with pytest.raises(MetadataError, match="elementsize"):
        bytes_codec("numcodecs.shuffle", {"elementsize": -1})
