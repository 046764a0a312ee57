from __future__ import annotations

import pytest

from zlab.lab.query import Query, QueryError


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
