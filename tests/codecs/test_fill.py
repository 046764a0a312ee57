"""A chunk is filled where it is the fill value bit for bit."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from zlab.codecs.fill import is_filled

NAN = np.float64("nan")
OTHER_NAN = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]


@pytest.mark.parametrize(
    ("dtype", "fill", "other"),
    [
        ("bool", False, True),
        ("uint8", 0, 1),
        ("int16", -1, 1),
        ("float32", 0.0, -0.0),
        ("float64", NAN, OTHER_NAN),
        ("float64", NAN, 0.0),
        ("complex64", 0, 1j),
        ("complex128", complex(0, np.nan), 0),
        ("M8[s]", np.datetime64("NaT", "s"), np.datetime64(0, "s")),
        ("U3", "", "a"),
        ("S3", b"", b"a"),
        ("V5", np.void(b"\0\0\0\0\0"), np.void(b"\0\0\0\0\1")),
        (ml_dtypes.bfloat16, 0, 1),
        (ml_dtypes.int4, 0, 1),
        (np.dtypes.StringDType(), "", "a"),
        ([("a", "i4"), ("b", "f8")], (0, 0.0), (0, 1.0)),
        (object, b"", b"a"),
    ],
)
@pytest.mark.parametrize("strided", [False, True])
def test_only_the_fill_value_itself_fills(
    dtype: Any, fill: Any, other: Any, *, strided: bool
) -> None:
    dtype = np.dtype(dtype)
    scalar = np.array(fill, dtype)[()]
    array = np.full((3, 8), scalar, dtype)[:, :: 2 if strided else 1]
    assert is_filled(array, scalar)
    array[2, 3] = other
    assert not is_filled(array, scalar)


def test_nothing_is_filled_without_a_fill_value_but_an_empty_chunk_is() -> None:
    assert not is_filled(np.zeros(3), None)
    assert is_filled(np.zeros((0, 3)), 1.0)
    assert is_filled(np.zeros(()), 0.0)
