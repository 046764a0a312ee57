"""A filter has the same result whether chunks are left out for it or not."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore

pl = pytest.importorskip("polars")

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FLOATS = [0.0, -0.0, 1.0, -1.0, 2.5, 1e300, -1e300, np.nan, np.inf, -np.inf]
INTS = [0, 1, -1, 5, -(2**63), 2**63 - 1]
UINTS = [0, 1, 2, 200, 255]
TIMES = [0, 1, 10**9, 86_400 * 10**9, 2**62, -(2**62)]

DTYPES: dict[str, list[Any]] = {
    "float64": FLOATS,
    "float32": [np.float32(x) for x in (0, -0.0, 1, -1, 2.5, np.nan, np.inf, -np.inf)],
    "int64": INTS,
    "uint8": UINTS,
    "bool": [True, False],
    "datetime64[ns]": TIMES,
    "string": ["", "a", "b", "ab", "é", "zebra"],
}


@st.composite
def columns(draw: Any) -> tuple[str, NDArray[Any], Any]:
    """A dtype, values of two chunks' length at least, and a fill value that may be among them."""
    dtype = draw(st.sampled_from(sorted(DTYPES)))
    pool = DTYPES[dtype]
    n = draw(st.integers(1, 3))
    values = []
    for _ in range(n):
        # chunks that differ from each other, so that some can be left out
        part = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=3))
        values += [part[place % len(part)] for place in range(4)]
    fill = draw(st.sampled_from(pool))
    if dtype == "string":
        return dtype, np.array(values, np.dtypes.StringDType()), fill
    if dtype.startswith("datetime64"):
        times = np.array(values, np.int64).view("M8[ns]")
        times[draw(st.lists(st.integers(0, len(times) - 1), max_size=3))] = "NaT"
        fill = draw(st.sampled_from([np.datetime64(fill, "ns"), np.datetime64("NaT", "ns")]))
        return dtype, times, fill
    return dtype, np.array(values, dtype), np.dtype(dtype).type(fill)


def literal(dtype: str, value: Any) -> Any:
    if dtype.startswith("datetime64"):
        return pl.lit(value).cast(pl.Datetime("ns"))
    if isinstance(value, np.generic):
        return value.item()
    return value


COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "eq_missing": lambda a, b: a.eq_missing(b),
    "reversed": lambda a, b: pl.lit(b) < a if not isinstance(b, pl.Expr) else b < a,
}


@st.composite
def leaves(draw: Any, name: str, dtype: str) -> Any:
    """A predicate on one column."""
    column = pl.col(name)
    one = literal(dtype, draw(st.sampled_from(DTYPES[dtype])))
    other = literal(dtype, draw(st.sampled_from(DTYPES[dtype])))
    kinds = ["compare", "compare", "compare", "between", "null", "not null", "in", "position"]
    number = dtype in ("float64", "float32", "int64", "uint8")
    if dtype.startswith("float"):
        kinds += ["nan", "not nan", "finite", "arithmetic", "narrow"]
    if number:
        kinds += ["cast", "unknown", "halves"]
    if dtype == "bool":
        kinds += ["bool", "not bool"]
    if dtype.startswith("datetime"):
        kinds += ["year", "date", "milliseconds"]
    kind = draw(st.sampled_from(kinds))
    compare = COMPARISONS[draw(st.sampled_from(sorted(COMPARISONS)))]
    positive = draw(st.sampled_from([0.5, 3.0, -1.0, 1e300]))
    return {
        "compare": lambda: compare(column, one),
        "between": lambda: column.is_between(
            one, other, closed=draw(st.sampled_from(["both", "left", "right", "none"]))
        ),
        "null": column.is_null,
        "not null": column.is_not_null,
        "in": lambda: column.is_in(
            pl.Series([10**9, 0], dtype=pl.Int64).cast(pl.Datetime("ns")).implode()
            if dtype.startswith("datetime")
            else draw(st.lists(st.sampled_from([one, other, None]), min_size=1)),
            nulls_equal=draw(st.booleans()),
        ),
        "position": lambda: compare(pl.col("dim_0"), draw(st.integers(-1, 12))),
        "nan": column.is_nan,
        "not nan": column.is_not_nan,
        "finite": column.is_finite,
        "arithmetic": lambda: compare(
            draw(st.sampled_from([column + positive, column - positive, column * positive])), one
        ),
        "narrow": lambda: compare(column.cast(pl.Float32), 2.5),
        "cast": lambda: compare(column.cast(pl.Float64), 1.5),
        "unknown": lambda: compare(column.clip(0, 1), 1),
        "halves": lambda: compare(column, 1.5),
        "bool": lambda: column,
        "not bool": lambda: ~column,
        "year": lambda: compare(column.dt.year(), 1970),
        "date": lambda: compare(column.dt.date(), dt.date(1970, 1, 1)),
        "milliseconds": lambda: compare(
            column.cast(pl.Datetime("ms")), pl.lit(1000).cast(pl.Datetime("ms"))
        ),
    }[kind]()


def predicates(name: str, dtype: str) -> Any:
    return st.recursive(
        leaves(name, dtype),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda pair: pair[0] & pair[1]),
            st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
            inner.map(lambda one: ~one),
        ),
        max_leaves=4,
    )


@given(st.data())
def test_filter_of_scan_is_filter_of_table(data: Any) -> None:
    dtype, values, fill = data.draw(columns())
    store: dict[str, bytes] = {}
    array = zlab.create_array(
        store, shape=values.shape, chunks=4, dtype=dtype, fill_value=fill, zarr_format=3
    )
    # a chunk that nobody writes is there as fill
    skipped = data.draw(st.integers(0, len(values) // 4))
    for number in range(len(values) // 4):
        if number != skipped:
            array[number * 4 : number * 4 + 4] = values[number * 4 : number * 4 + 4]
    zlab.stats.build(array)
    if data.draw(st.booleans()):
        # what is written afterwards has no statistics
        array[0:4] = values[::-1][:4]
    nullable = data.draw(st.booleans())
    coordinate_dtype, coordinate, _ = data.draw(columns())
    coords = None
    wanted = predicates("v", dtype)
    if data.draw(st.booleans()):
        coords = {"dim_0": np.resize(coordinate, len(values))}
        along = predicates("dim_0", coordinate_dtype)
        both = st.tuples(wanted, along)
        wanted = st.one_of(
            along,
            both.map(lambda pair: pair[0] & pair[1]),
            both.map(lambda pair: pair[0] | ~pair[1]),
        )
    table = zlab.polars.scan({"v": array}, coords=coords, fill_to_null=nullable)
    predicate = data.draw(wanted)
    try:
        expected = table.collect().filter(predicate)
    except pl.exceptions.PolarsError:
        return
    assert table.filter(predicate).collect().equals(expected, null_equal=True)
    counted = table.filter(predicate).select(pl.len()).collect(engine="streaming").item()
    assert counted == len(expected)


def pairs(dtype: str) -> NDArray[Any]:
    """Each two of the values, one pair after another."""
    pool = DTYPES[dtype]
    if dtype == "string":
        values: NDArray[Any] = np.array(pool, np.dtypes.StringDType())
    elif dtype.startswith("datetime64"):
        values = np.append(np.array(pool, np.int64).view("M8[ns]"), np.datetime64("NaT"))
    else:
        values = np.array(pool, dtype)
    first, second = np.divmod(np.arange(len(values) ** 2), len(values))
    return np.stack([values[first], values[second]], axis=1).reshape(-1)


@pytest.mark.parametrize("dtype", sorted(DTYPES))
@pytest.mark.parametrize("nullable", [False, True])
def test_each_pair_of_values_against_each_literal(dtype: str, nullable: bool) -> None:
    values = pairs(dtype)
    store = CountingStore(MemoryStore())
    fill = values[2]
    array = zlab.create_array(store, data=values, chunks=2, fill_value=fill)
    zlab.stats.build(array)
    table = zlab.polars.scan({"v": array}, fill_to_null=nullable)
    everything = table.collect()
    column = pl.col("v")
    tests = [column.is_null(), column.is_not_null()]
    if dtype.startswith("float"):
        tests += [column.is_nan(), column.is_not_nan()]
    for value in DTYPES[dtype]:
        one = literal(dtype, value)
        tests += [column > one, column >= one, column < one, column <= one]
        tests += [column == one, column != one]
    for test in [*tests, *(~test for test in tests)]:
        store.reset()
        found = table.filter(test).collect()
        read = {key for key in store.counts.keys if key.startswith("c/")}
        expected = everything.filter(test)
        assert found.equals(expected, null_equal=True), str(test)
        needed = {f"c/{chunk}" for chunk in (expected["dim_0"] // 2).unique()}
        assert needed <= read
        # only values between the two, and which of them are null, are not told by their bounds
        assert read == needed or nullable or "==" in str(test) or "!=" in str(test), str(test)
