from __future__ import annotations

import pytest

from zlab.lab.query import Query, QueryError, without_secrets


def test_text() -> None:
    query = Query({"store": [b" a b\xc3\xa4\x01 "], "twice": [b"a", b"b"], "latin1": [b"\xe4"]})
    assert query.text("store") == " a bä\x01 "
    assert query.text("path", "") == ""
    for name in ("missing", "twice", "latin1"):
        with pytest.raises(QueryError):
            query.text(name)


def test_whole() -> None:
    query = Query({"limit": [b"10"], "zero": [b"0"], "empty": [b""]})
    assert query.whole("limit", 5) == 10
    assert query.whole("zero", 5) == 0
    assert query.whole("missing", 5) == 5
    assert query.whole("empty", 5) == 5


@pytest.mark.parametrize(
    "text", ["-1", "1.0", "1e3", "x", "0x10", "1_0", " 1", "\u0661", "\u00b2", "9" * 5000]
)
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(QueryError):
        Query({"limit": [text.encode()]}).whole("limit", 0)
    with pytest.raises(QueryError):
        Query({"axes": [f"0,{text}".encode()]}).wholes("axes")


def test_wholes() -> None:
    query = Query({"axes": [b"1,0"], "none": [b""], "many": [b",".join([b"0"] * 65)]})
    assert query.wholes("axes") == [1, 0]
    assert query.wholes("none") == []
    assert query.wholes("missing") is None
    with pytest.raises(QueryError):
        query.wholes("many")


def test_texts() -> None:
    query = Query({"store": [b"a", b"\xc3\xa4"], "many": [b"a"] * 101, "latin1": [b"\xe4"]})
    assert query.texts("store") == ["a", "ä"]
    assert query.texts("missing") == []
    for name in ("many", "latin1"):
        with pytest.raises(QueryError):
            query.texts(name)


@pytest.mark.parametrize(
    ("uri", "cleaned"),
    [
        ("/node?store=a%20b.zarr&path=c", "/node?store=a%20b.zarr&path=c"),
        ("/node?path=c&store=s3://k:p@b/x", "/node?path=c&store=s3%3A%2F%2Fb%2Fx"),
        ("/node?store=http%3a%2f%2fu%40h%2fa", "/node?store=http%3A%2F%2Fh%2Fa"),
        ("/node?store=http://h/a?sig=x", "/node?store=http%3A%2F%2Fh%2Fa"),
        ("/reach?store=a&store=http://u@h/", "/reach?store=a&store=http%3A%2F%2Fh%2F"),
        ("/stores", "/stores"),
        ("", ""),
    ],
)
def test_secrets_of_an_address(uri: str, cleaned: str) -> None:
    assert without_secrets(uri) == cleaned
