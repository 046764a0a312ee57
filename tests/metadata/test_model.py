"""Two arrays' metadata are equal whose documents say the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import zlab
from zlab.errors import MetadataError
from zlab.metadata import GroupMetadata


@pytest.mark.parametrize(
    ("dtype", "fill_value"),
    [
        ("f4", np.nan),
        ("c8", complex(0, np.nan)),
        ("M8[3ms]", None),
        ("i2", 5),
        ("U3", "ab"),
        ([("a", "f4"), ("b", "u1")], (np.nan, 3)),
    ],
)
def test_a_fill_value_is_compared_bit_for_bit(dtype: Any, fill_value: Any) -> None:
    store: dict[str, bytes] = {}
    written = zlab.create_array(store, shape=3, dtype=dtype, fill_value=fill_value).metadata
    read = zlab.open_array(store).metadata
    assert read == written
    assert read == replace(read)
    assert read != replace(read, shape=(4,))
    assert read != replace(read, fill_value=np.uint8(1))
    assert read != GroupMetadata(3)


def test_another_kind_of_not_a_number_is_another_fill_value() -> None:
    one = zlab.create_array({}, shape=3, dtype="f4", fill_value=np.nan).metadata
    other = np.uint32(0x7FC00001).view("f4")
    assert one != replace(one, fill_value=other)
    assert one != replace(one, fill_value=np.float32(0))


@pytest.mark.parametrize("fill_value", [(1.5,), (1.5, 2, 3), (1.5, 300), (1.5, 0.5), ("x", 1)])
def test_a_tuple_that_is_no_value_of_a_structured_type_is_refused(fill_value: Any) -> None:
    with pytest.raises(MetadataError, match="fill_value"):
        zlab.create_array({}, shape=3, dtype=[("a", "f4"), ("b", "u1")], fill_value=fill_value)


def test_a_tuple_fills_a_structured_type_field_by_field() -> None:
    dtype = np.dtype([("a", "f4"), ("b", [("c", "u1"), ("d", "S2")])])
    array = zlab.create_array({}, shape=2, dtype=dtype, fill_value=(1.5, (7, b"xy")))
    np.testing.assert_array_equal(array[...], np.array([(1.5, (7, b"xy"))] * 2, dtype))
