"""`scale_offset`: exact in integers, IEEE in floating point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.codecs import registry
from zlab.codecs.base import ChunkSpec
from zlab.codecs.numbers import IntegerKind, number_kind
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable

INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ml_dtypes.int4, ml_dtypes.uint2]


@given(dtype=st.sampled_from(INTEGERS), data=st.data())
def test_integers_are_exact_or_an_error(dtype: Any, data: st.DataObject) -> None:
    dtype = np.dtype(dtype)
    kind = number_kind(dtype)
    assert isinstance(kind, IntegerKind)
    near_zero = st.integers(max(kind.low, -4), min(kind.high, 4))
    numbers = st.integers(kind.low, kind.high) | near_zero
    offset = data.draw(numbers, "offset")
    scale = data.draw(numbers.filter(bool), "scale")
    value = data.draw(numbers, "value")
    codec = registry.get("scale_offset").from_config(
        {"offset": offset, "scale": scale}, ChunkSpec((1,), dtype, None)
    )
    array = np.array([value]).astype(dtype)

    def fits(number: int) -> bool:
        return kind.low <= number <= kind.high

    difference = value - offset
    if fits(difference) and fits(difference * scale):
        encoded = codec.encode(array)
        assert encoded.dtype == dtype
        assert int(encoded[0]) == difference * scale
        assert int(codec.decode(encoded)[0]) == value
    else:
        with pytest.raises(CodecError, match="cannot be scaled"):
            codec.encode(array)
    quotient, rest = divmod(value, scale)
    if not rest and fits(quotient) and fits(quotient + offset):
        assert int(codec.decode(array)[0]) == quotient + offset
    else:
        with pytest.raises(CodecError, match=r"cannot be scaled|no multiple"):
            codec.decode(array)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ml_dtypes.bfloat16, ml_dtypes.float8_e5m2])
def test_floats_are_computed_in_their_own_type(array_codec: Callable[..., Any], dtype: Any) -> None:
    codec = array_codec("scale_offset", {"offset": 5, "scale": 0.125}, (3,), dtype)
    array = np.array([5.0, 6.0, -3.0]).astype(dtype)
    encoded = codec.encode(array)
    assert encoded.dtype == array.dtype
    assert encoded.astype(float).tolist() == [0.0, 0.125, -1.0]
    assert codec.decode(encoded).astype(float).tolist() == [5.0, 6.0, -3.0]


def test_the_registry_s_example_of_range_reduction(
    pipeline: Callable[..., Any], decode: Callable[..., Any]
) -> None:
    made = pipeline(
        {"name": "scale_offset", "configuration": {"offset": 1000}},
        {"name": "cast_value", "configuration": {"data_type": "uint8"}},
        "bytes",
        shape=(3,),
        dtype="u2",
        fill_value=np.uint16(1000),
    )
    values = np.array([1000, 1100, 1255], "u2")
    assert list(made.encode(values)) == [0, 100, 255]
    assert decode(made, made.encode(values)).tolist() == [1000, 1100, 1255]
    with pytest.raises(CodecError):
        made.encode(np.array([1000, 1100, 1256], "u2"))
    with pytest.raises(CodecError):
        made.encode(np.array([1000, 1100, 999], "u2"))


def test_without_parameters_nothing_changes(array_codec: Callable[..., Any]) -> None:
    codec = array_codec("scale_offset", {}, (2,), "i4", np.int32(3))
    array = np.array([1, -5], "i4")
    assert codec.encode(array).tolist() == [1, -5]
    assert codec.decode(array).tolist() == [1, -5]
    assert codec.encoded.fill_value == 3


@pytest.mark.parametrize(
    ("configuration", "dtype", "fill_value"),
    [
        ({"offset": 300}, "u1", None),
        ({"offset": 0.5}, "i4", None),
        ({"offset": "a"}, "f4", None),
        ({"scale": 0}, "i4", None),
        ({"scale": 0}, "f4", None),
        ({"bias": 1}, "f4", None),
        ({"offset": 1}, "bool", None),
        ({"offset": 1}, "c8", None),
        ({"offset": 10}, "u1", np.uint8(5)),
    ],
)
def test_what_cannot_be_is_refused(
    array_codec: Callable[..., Any],
    configuration: dict[str, Any],
    dtype: str,
    fill_value: Any,
) -> None:
    with pytest.raises(MetadataError):
        array_codec("scale_offset", configuration, (1,), dtype, fill_value)
