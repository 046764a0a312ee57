"""`n5_default`: blocks that state their shape, whole, cut and padded."""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable

GZIP = {"name": "gzip", "configuration": {"level": 1}}


def codecs(*order: int, then: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {
        "codecs": [
            {"name": "transpose", "configuration": {"order": list(order)}},
            {"name": "bytes", "configuration": {"endian": "big"}},
            *then,
        ]
    }


def test_a_block_is_a_header_and_its_elements_in_fortran_order(
    array_codec: Callable[..., Any],
) -> None:
    codec = array_codec("n5_default", codecs(1, 0), (2, 3), "u2")
    array = np.arange(6, dtype="u2").reshape(2, 3)
    encoded = bytes(codec.encode(array))
    assert encoded == struct.pack(">HHII", 0, 2, 2, 3) + array.astype(">u2").tobytes("F")
    assert codec.encoded_nbytes == len(encoded)
    assert np.array_equal(codec.decode(memoryview(encoded)), array)


@pytest.mark.parametrize("block", [(2, 3), (1, 3), (2, 1), (1, 1), (3, 4), (3, 1)])
def test_blocks_of_other_shapes_are_cut_or_filled(
    array_codec: Callable[..., Any], block: tuple[int, int]
) -> None:
    codec = array_codec("n5_default", codecs(1, 0, then=(GZIP,)), (2, 3), "i4", np.int32(9))
    array = np.arange(block[0] * block[1], dtype="i4").reshape(block)
    stored = struct.pack(">HHII", 0, 2, *block) + gzip.compress(array.astype(">i4").tobytes("F"))
    expected = np.full((2, 3), 9, "i4")
    rows, columns = min(2, block[0]), min(3, block[1])
    expected[:rows, :columns] = array[:rows, :columns]
    assert np.array_equal(codec.decode(stored), expected)


def test_bytes_of_one_byte_need_no_order(array_codec: Callable[..., Any]) -> None:
    codec = array_codec(
        "n5_default",
        {"codecs": [{"name": "transpose", "configuration": {"order": [0]}}, "bytes"]},
        (3,),
        "u1",
    )
    assert bytes(codec.encode(np.array([1, 2, 3], "u1")))[8:] == b"\1\2\3"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "too few for the header"),
        (struct.pack(">HHI", 0, 2, 2), "too few for the header"),
        (struct.pack(">HHIII", 1, 2, 2, 3, 6), "mode 1"),
        (struct.pack(">HHII", 0, 1, 6, 0), "1 dimensions"),
        (struct.pack(">HHII", 0, 2, 0xFFFFFFFF, 0xFFFFFFFF), r"settings\.max_chunk_bytes"),
        (struct.pack(">HHII", 0, 2, 2, 3), "expected 24 decoded bytes, got 0"),
    ],
)
def test_wrong_blocks_are_errors(
    array_codec: Callable[..., Any], data: bytes, message: str
) -> None:
    with pytest.raises(CodecError, match=message):
        array_codec("n5_default", codecs(1, 0), (2, 3), "i4").decode(data)


@pytest.mark.parametrize(
    ("configuration", "dtype"),
    [
        ({}, "i4"),
        ({"codecs": []}, "i4"),
        ({"codecs": ["bytes"]}, "u1"),
        (codecs(0, 1), "i4"),
        (codecs(1, 0, then=(GZIP, GZIP)), "i4"),
        (codecs(1, 0), "f2"),
        (codecs(1, 0), "bool"),
        (codecs(1, 0), "c8"),
        (
            {
                "codecs": [
                    {"name": "transpose", "configuration": {"order": [1, 0]}},
                    {"name": "bytes", "configuration": {"endian": "little"}},
                ]
            },
            "i4",
        ),
        (codecs(1, 0, then=({"name": "transpose", "configuration": {"order": [1, 0]}},)), "i4"),
    ],
)
def test_what_n5_does_not_have_is_refused(
    array_codec: Callable[..., Any], configuration: dict[str, Any], dtype: str
) -> None:
    with pytest.raises(MetadataError):
        array_codec("n5_default", configuration, (2, 3), dtype)
