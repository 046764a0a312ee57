"""Metadata documents as bytes: what is no JSON object in UTF-8 is refused, with where it stands."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

import zlab
from zlab.errors import MetadataError
from zlab.metadata import document
from zlab.metadata.document import format_json, parse_json

GROUP = b'{"zarr_format": 3, "node_type": "group", "attributes": {"a": %s}}'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a JSON document, 0 bytes"),
        (b"\0" * 40, "not a JSON document"),
        (b"{", "not a JSON document, 1 bytes"),
        (b'{"a": 1} x', "Extra data"),
        (b"[]", "must be a JSON object, not list"),
        (b"null", "must be a JSON object, not NoneType"),
        (b"3", "must be a JSON object, not int"),
        (b'{"zarr_format": 3, "zarr_format": 2}', "'zarr_format' stands twice in one object"),
        (GROUP % b'{"b": {"c": 1, "d": 2, "c": 1}}', "'c' stands twice"),
        (b'{"a": "\xff"}', "utf-8"),
        (b'{"a": "\xed\xa0\x80"}', "utf-8"),
        ('{"a": 1}'.encode("utf-16"), "not a JSON document"),
        ('{"a": 1}'.encode("utf-32-le"), "not a JSON document"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a": ' + b'{"b": ' * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not a JSON document"),
        (b'{"a": 0x10}', "not a JSON document"),
        (b"{'a': 1}", "not a JSON document"),
        (b'{"a": 1,}', "not a JSON document"),
    ],
    ids=range(19),
)
def test_what_is_no_document(data: bytes, words: str) -> None:
    with pytest.raises(MetadataError, match=words) as caught:
        parse_json(data, key="a/zarr.json", store="memory:1")
    assert (caught.value.key, caught.value.store) == ("a/zarr.json", "memory:1")
    assert "zlab verify" in str(caught.value.hint)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("name", ["zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"])
def test_a_document_of_a_node_that_is_none(name: str) -> None:
    store = {".zgroup": b'{"zarr_format": 2}', name: b'{"zarr_format": 2, "metadata": {}, '}
    with pytest.raises(MetadataError) as caught:
        zlab.open_group(store)
    assert caught.value.key == name
    assert caught.value.store is not None


def test_a_byte_order_mark_says_nothing() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": "\xc3\xa9"}', key="k", store="s") == {"a": "é"}


def test_a_document_larger_than_any_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "_MAX_BYTES", 10)
    with pytest.raises(MetadataError, match="of 11 bytes"):
        parse_json(b'{"a":12345}', key="k", store="s")


def test_a_million_names_that_stand_twice_are_told_at_once() -> None:
    names = ",".join(f'"{number % 200_000}":0' for number in range(400_000))
    with pytest.raises(MetadataError, match="stands twice"):
        parse_json(f"{{{names}}}".encode(), key="k", store="s")


@pytest.mark.parametrize("value", [math.nan, math.inf, b"x", {1, 2}, object(), "\ud800"])
def test_what_json_does_not_have_is_not_written(value: Any) -> None:
    with pytest.raises(MetadataError, match="cannot be written as JSON"):
        format_json({"a": value})
    itself: dict[str, Any] = {}
    itself["a"] = itself
    with pytest.raises(MetadataError, match="cannot be written as JSON"):
        format_json(itself)


@pytest.mark.parametrize("token", [b"NaN", b"Infinity", b"-Infinity"])
def test_tokens_that_xarray_wrote_are_read(token: bytes) -> None:
    [value] = zlab.open_group({"zarr.json": GROUP % token}).attrs.values()
    assert not math.isfinite(value)


@pytest.mark.parametrize("value", [1e308, -0.0, 2**70, "é\0", "\u2028", [], {"": None}])
def test_what_is_written_is_read(value: Any) -> None:
    data = format_json({"a": value})
    assert parse_json(data, key="k", store="s") == json.loads(data) == {"a": value}
