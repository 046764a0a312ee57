from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.tools.nbytes import format_nbytes, parse_nbytes


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("0", 0),
        ("4096", 4096),
        ("17 B", 17),
        ("64MB", 64_000_000),
        ("64 mb", 64_000_000),
        ("2GiB", 2 << 30),
        ("1.5 KiB", 1536),
        (".5kB", 500),
        ("3TB", 3 * 10**12),
        (" 1 TiB ", 1 << 40),
        # past what a float holds exactly
        ("9007199254740993", 9007199254740993),
    ],
)
def test_parse(text: str, nbytes: int) -> None:
    assert parse_nbytes(text) == nbytes


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "1e9", "3XB", "1,000", "12 M B", "0x10", "∞"])
def test_refuses_what_is_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size: write a number and a unit"):
        parse_nbytes(text)


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_995, "10.0 kB"),
        (65_016_000, "65.0 MB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (10**15, "1.00 PB"),
        (10**19, "10000 PB"),
    ],
)
def test_format(nbytes: int, text: str) -> None:
    assert format_nbytes(nbytes) == text


@given(st.integers(0, 10**18))
def test_a_formatted_size_is_parsed_to_within_its_three_digits(nbytes: int) -> None:
    text = format_nbytes(nbytes)
    if not text.endswith("PB"):
        assert abs(parse_nbytes(text) - nbytes) <= nbytes * 0.0051
