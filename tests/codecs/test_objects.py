"""JSON, MessagePack and, for those who ask for it, pickle."""

from __future__ import annotations

import json
import pickle
import sys
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.codecs import registry
from zlab.codecs.base import ChunkSpec
from zlab.codecs.pickle import PickleCodec
from zlab.errors import CodecError, MetadataError, UnknownCodecError

if TYPE_CHECKING:
    from collections.abc import Callable

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)


def array_of(values: list[Any], shape: tuple[int, ...]) -> Any:
    array = np.empty(len(values), object)
    for position, value in enumerate(values):
        array[position] = value
    return array.reshape(shape)


@given(
    values=st.lists(VALUES, min_size=6, max_size=6),
    shape=st.sampled_from([(6,), (2, 3), (1, 6, 1)]),
)
def test_json_is_that_of_numcodecs(values: list[Any], shape: tuple[int, ...]) -> None:
    array = array_of(values, shape)
    codec = registry.get("numcodecs.json2").from_config({}, ChunkSpec(shape, array.dtype, None))
    encoded = codec.encode(array)
    assert encoded == numcodecs.JSON().encode(array)
    assert codec.decode(memoryview(encoded)).tolist() == array.tolist()


def test_json_parameters(array_codec: Callable[..., Any]) -> None:
    codec = array_codec("numcodecs.json2", {"encoding": "utf-16", "sort_keys": False}, (1,), object)
    array = array_of(["é"], (1,))
    assert codec.encode(array) == '["\\u00e9","|O",[1]]'.encode("utf-16")
    assert codec.decode(codec.encode(array)).tolist() == ["é"]
    again = array_codec("numcodecs.json2", codec.configuration, (1,), object)
    assert again.configuration == codec.configuration
    json.dumps(codec.configuration)
    for wrong in ({"speed": 1}, {"encoding": "klingon"}):
        with pytest.raises(MetadataError, match="bad parameters"):
            array_codec("numcodecs.json2", wrong, (1,), object)


def test_json_of_a_chunk_without_axes(array_codec: Callable[..., Any]) -> None:
    array = np.empty((), object)
    array[()] = "x"
    codec = array_codec("numcodecs.json2", {}, (), object)
    assert codec.decode(codec.encode(array))[()] == "x"
    assert codec.encode(array) == numcodecs.JSON().encode(array)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "[1]",
        '[1, "|O", 1]',
        '["|O", [1000000000000]]',
        '[1, 2, "|O", [2, 1]]',
        '[1, 2, 3, "|O", [2]]',
        '[1, "|O", ["2"]]',
        '[[1, 2], "|O", [2, 1]]',
        "[1, 2",
        "",
    ],
)
def test_text_that_does_not_hold_the_chunk_is_an_error(
    pipeline: Callable[..., Any], decode: Callable[..., Any], text: str
) -> None:
    made = pipeline("numcodecs.json2", shape=(2,), dtype=object, fill_value=None)
    with pytest.raises(CodecError, match="json2"):
        decode(made, text.encode())


def test_text_nested_without_end_is_an_error(
    pipeline: Callable[..., Any], decode: Callable[..., Any]
) -> None:
    made = pipeline("numcodecs.json2", shape=(2,), dtype=object, fill_value=None)
    with pytest.raises(CodecError, match="json2"):
        decode(made, b"[" * 100_000)


class _Message:
    """Stands for msgpack where that is not installed: JSON has the same lists."""

    @staticmethod
    def packb(items: Any, *, use_bin_type: bool, use_single_float: bool) -> bytes:
        assert use_bin_type
        assert not use_single_float
        return json.dumps(items).encode()

    @staticmethod
    def unpackb(data: Any, *, raw: bool) -> Any:
        assert not raw
        return json.loads(bytes(data))


def test_messages_carry_elements_dtype_and_shape(
    array_codec: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "msgpack", _Message)
    codec = array_codec("numcodecs.msgpack2", {}, (2, 2), object)
    array = array_of([1, "a", None, [2]], (2, 2))
    encoded = codec.encode(array)
    assert json.loads(encoded) == [[1, "a"], [None, [2]], "|O", [2, 2]]
    assert codec.decode(encoded).tolist() == array.tolist()
    assert codec.configuration == {"use_single_float": False, "use_bin_type": True, "raw": False}


def test_messages_need_a_package(
    array_codec: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(UnknownCodecError, match=r"needs msgpack.*'zlab\[codecs\]'"):
        array_codec("numcodecs.msgpack2", {}, (1,), object)


def test_pickle_works_for_those_who_register_it(
    pipeline: Callable[..., Any],
    decode: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "_loaded", {})
    registry.register(PickleCodec)
    made = pipeline("numcodecs.pickle", shape=(2,), dtype=object, fill_value=None)
    array = array_of([{1, 2}, None], (2,))
    assert pickle.loads(made.encode(array)).tolist() == [{1, 2}, None]  # noqa: S301  our own
    assert decode(made, made.encode(array)).tolist() == [{1, 2}, None]
    with pytest.raises(CodecError, match="expected 2 decoded bytes, got 1"):
        decode(made, pickle.dumps(array[:1]))
    assert made.configs[0].configuration == {"protocol": pickle.HIGHEST_PROTOCOL}
