"""The filters of numcodecs: golden vectors, and its own results for any array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from zlab.codecs import registry
from zlab.codecs.base import ChunkSpec
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable

STRINGS = np.dtypes.StringDType()


def test_fixed_scale_offset_multiplies(array_codec: Callable[..., Any]) -> None:
    values = np.linspace(1000, 1001, 5)
    codec = array_codec(
        "numcodecs.fixedscaleoffset",
        {"offset": 1000, "scale": 10, "dtype": "<f8", "astype": "|u1"},
        (5,),
        "f8",
    )
    encoded = codec.encode(values)
    assert encoded.dtype == "u1"
    assert encoded.tolist() == [0, 2, 5, 8, 10]
    assert codec.decode(encoded).tolist() == [1000.0, 1000.2, 1000.5, 1000.8, 1001.0]


def test_quantize_rounds_to_bits_and_not_to_digits(array_codec: Callable[..., Any]) -> None:
    codec = array_codec("numcodecs.quantize", {"digits": 1, "dtype": "<f8"}, (3,), "f8")
    assert codec.encode(np.array([0.123, 0.456, 1.999])).tolist() == [0.125, 0.4375, 2.0]


def test_delta_wraps_and_comes_back_exactly(array_codec: Callable[..., Any]) -> None:
    codec = array_codec("numcodecs.delta", {"dtype": "|u1"}, (3,), "u1")
    values = np.array([5, 3, 250], "u1")
    assert codec.encode(values).tolist() == [5, 254, 247]
    assert codec.decode(codec.encode(values)).tolist() == [5, 3, 250]


def test_delta_stores_the_narrower_type_and_reads_the_wider(
    array_codec: Callable[..., Any],
) -> None:
    codec = array_codec("numcodecs.delta", {"dtype": "<i2", "astype": "|i1"}, (10,), "i2")
    values = np.arange(100, 120, 2, dtype="i2")
    encoded = codec.encode(values)
    assert encoded.dtype == "i1"
    assert encoded.tolist() == [100, *[2] * 9]
    decoded = codec.decode(encoded)
    assert decoded.dtype == "i2"
    assert np.array_equal(decoded, values)


def test_packbits(array_codec: Callable[..., Any]) -> None:
    codec = array_codec("numcodecs.packbits", {}, (3, 3), "bool")
    values = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1], bool).reshape(3, 3)
    encoded = codec.encode(values)
    assert encoded.tobytes().hex() == "07b180"
    assert codec.encoded.shape == encoded.shape
    assert np.array_equal(codec.decode(encoded), values)
    with pytest.raises(CodecError, match="3 bits of padding, expected 7"):
        codec.decode(np.array([3, 0, 0], "u1"))


@pytest.mark.parametrize("dtype", [STRINGS, np.dtype("U9"), np.dtype(object)])
@pytest.mark.parametrize("name", ["categorize", "numcodecs.categorize"])
def test_categorize(array_codec: Callable[..., Any], name: str, dtype: np.dtype[Any]) -> None:
    codec = array_codec(name, {"labels": ["female", "male"], "astype": "|u1"}, (4,), dtype)
    values = np.array(["male", "female", "other", "male"], dtype)
    encoded = codec.encode(values)
    assert encoded.tolist() == [2, 1, 0, 2]
    decoded = codec.decode(encoded)
    assert decoded.dtype == dtype
    assert decoded.tolist() == ["male", "female", "", "male"]
    assert codec.decode(np.array([0, 3, 200, 1], "u1")).tolist() == ["", "", "", "female"]


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b", "a"]])
@given(values=st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=8))
def test_categorize_is_that_of_numcodecs(labels: list[str], values: list[str]) -> None:
    array = np.array(values, object)
    chunk = ChunkSpec(array.shape, array.dtype, None)
    codec = registry.get("categorize").from_config(
        {"labels": labels, "dtype": "|O", "astype": "|u1"}, chunk
    )
    theirs = numcodecs.Categorize(labels=labels, dtype=object)
    encoded = codec.encode(array)
    assert encoded.tolist() == theirs.encode(array).tolist()
    assert codec.decode(encoded).tolist() == theirs.decode(encoded).tolist()


FILTERS: list[tuple[str, dict[str, Any], str]] = [
    ("delta", {"dtype": "<i4"}, "i4"),
    ("delta", {"dtype": "<u8"}, "u8"),
    ("delta", {"dtype": "<f8"}, "f8"),
    ("delta", {"dtype": "<i4", "astype": "<i2"}, "i4"),
    ("delta", {"dtype": "<i8"}, "M8[s]"),
    ("quantize", {"digits": 3, "dtype": "<f8"}, "f8"),
    ("quantize", {"digits": 0, "dtype": "<f4"}, "f4"),
    ("quantize", {"digits": -2, "dtype": "<f8", "astype": "<f4"}, "f8"),
    ("fixedscaleoffset", {"offset": 10, "scale": 0.5, "dtype": "<f8"}, "f8"),
    ("fixedscaleoffset", {"offset": 1, "scale": 3, "dtype": "<f4", "astype": "<i4"}, "f4"),
    ("fixedscaleoffset", {"offset": 1, "scale": 2, "dtype": "<i4", "astype": "<i8"}, "i4"),
    ("astype", {"encode_dtype": "<f4", "decode_dtype": "<f8"}, "f8"),
    ("astype", {"encode_dtype": "<i2", "decode_dtype": "<i8"}, "i8"),
    ("packbits", {}, "?"),
]
IDS = [f"{name}-{number}" for number, (name, *_) in enumerate(FILTERS)]


@pytest.mark.parametrize(("name", "configuration", "dtype"), FILTERS, ids=IDS)
@given(data=st.data())
def test_results_are_those_of_numcodecs(
    name: str, configuration: dict[str, Any], dtype: str, data: st.DataObject
) -> None:
    shape = data.draw(npst.array_shapes(max_dims=3, max_side=4))
    floats = st.floats(-1e6, 1e6, width=32)
    kinds: dict[str, st.SearchStrategy[Any]] = {"f": floats, "b": st.booleans()}
    elements = kinds.get(np.dtype(dtype).kind, st.integers(0, 30000))
    array = data.draw(npst.arrays("i8" if dtype[0] == "M" else dtype, shape, elements=elements))
    array = array.view(dtype)
    codec = registry.get(f"numcodecs.{name}").from_config(
        configuration, ChunkSpec(shape, array.dtype, None)
    )
    theirs = numcodecs.get_codec({"id": name, **configuration})
    encoded = codec.encode(array)
    expected = theirs.encode(array)
    assert encoded.shape == codec.encoded.shape
    assert encoded.dtype == codec.encoded.dtype == expected.dtype
    assert encoded.tobytes() == expected.tobytes()
    decoded = codec.decode(encoded)
    assert decoded.shape == shape
    assert decoded.dtype == array.dtype
    assert decoded.tobytes() == theirs.decode(expected).tobytes()
    transposed = np.asfortranarray(array)
    assert codec.encode(transposed).tobytes() == encoded.tobytes()


@pytest.mark.parametrize(
    ("name", "configuration", "dtype"),
    [
        ("delta", {"dtype": "<i4"}, "i2"),
        ("delta", {"dtype": "wide"}, "i2"),
        ("delta", {"dtype": 4}, "i2"),
        ("delta", {"dtype": "|O"}, "i2"),
        ("delta", {"astype": "|O"}, "i2"),
        ("delta", {}, object),
        ("quantize", {"digits": 1, "dtype": "<i4"}, "i4"),
        ("quantize", {"dtype": "<f4"}, "f4"),
        ("fixedscaleoffset", {"offset": 0, "scale": 0, "dtype": "<f4"}, "f4"),
        ("fixedscaleoffset", {"offset": "0", "scale": 1}, "f4"),
        ("astype", {}, "f4"),
        ("astype", {"encode_dtype": "f2", "decode_dtype": "f8"}, "f4"),
        ("packbits", {}, "i2"),
        ("packbits", {}, object),
        ("categorize", {"labels": "abc"}, STRINGS),
        ("categorize", {"labels": [1]}, STRINGS),
        ("categorize", {"labels": ["a"] * 256}, STRINGS),
        ("categorize", {"labels": ["a"], "astype": "<f4"}, STRINGS),
        ("categorize", {"labels": ["a"]}, "i4"),
    ],
)
def test_what_does_not_fit_the_chunk_is_refused(
    array_codec: Callable[..., Any], name: str, configuration: dict[str, Any], dtype: Any
) -> None:
    with pytest.raises(MetadataError, match=f"{name}'"):
        array_codec(f"numcodecs.{name}", configuration, (4,), dtype)


@pytest.mark.parametrize(("name", "configuration", "dtype"), FILTERS, ids=IDS)
def test_the_configuration_that_is_recorded_makes_the_same_codec(
    array_codec: Callable[..., Any], name: str, configuration: dict[str, Any], dtype: str
) -> None:
    codec = array_codec(f"numcodecs.{name}", configuration, (4,), dtype)
    again = array_codec(f"numcodecs.{name}", codec.configuration, (4,), dtype)
    assert again.configuration == codec.configuration
    assert again.encoded == codec.encoded
    theirs = numcodecs.get_codec({"id": name, **configuration}).get_config()
    assert codec.configuration == {key: theirs[key] for key in theirs if key != "id"}


def test_the_fill_value_stays_the_number_that_it_is(array_codec: Callable[..., Any]) -> None:
    codec = array_codec(
        "numcodecs.delta", {"dtype": "<i4", "astype": "<i2"}, (4,), "i4", np.int32(7)
    )
    assert codec.encoded.fill_value == 7
    assert codec.encoded.fill_value.dtype == "i2"
